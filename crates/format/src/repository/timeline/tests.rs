use proptest::prelude::*;

use super::*;

const ONE: TimelineId = TimelineId([0, 1, 2, 3, 4, 5, 6, 7]);
const OTHER: TimelineId = TimelineId([9; 8]);

fn at(seconds: u32) -> OpTime {
    OpTime {
        seconds,
        ordinal: 1,
    }
}

fn slice(start: u32, end: u32) -> SpanName {
    SpanName::new(at(start), at(end), ONE, SpanKind::Slice)
}

fn timeline(spans: &[(u32, u32)]) -> Timeline {
    spans
        .iter()
        .map(|(start, end)| slice(*start, *end))
        .collect()
}

fn stretches(of: &Timeline) -> Vec<(u32, u32)> {
    let stretches = of.stretches().into_iter();
    stretches
        .map(|stretch| (stretch.start.seconds, stretch.end.seconds))
        .collect()
}

type Way = Result<Vec<(u32, u32)>, (u32, Option<u32>)>;

fn way(of: &Timeline, from: u32, to: u32) -> Way {
    match of.way(ONE, at(from), at(to)) {
        Ok(way) => Ok(way
            .iter()
            .map(|it| (it.start.seconds, it.end.seconds))
            .collect()),
        Err(no_way) => Err((no_way.reached.seconds, no_way.next.map(|at| at.seconds))),
    }
}

#[test]
fn a_name_says_of_which_span_of_which_history_the_object_is() {
    let span = slice(1, 0x6553_f100);
    let path = "timeline/0000000100000001-6553f10000000001-0001020304050607.bson.zst";
    assert_eq!(span.path(), path);
    for kind in [SpanKind::Slice, SpanKind::EncryptedSlice, SpanKind::Gap] {
        let span = SpanName { kind, ..span };
        assert_eq!(SpanName::parse_path(&span.path()), Some(span));
    }
    for wrong in [
        path.replace("timeline/", ""),
        path.replace("bson", "json"),
        path.replace("6553f1", "6553F1"),
        path.replace("6553f1", "6553f10"),
        // It ends before it begins.
        path.replace("6553f100", "00000000"),
        path.replace("0001020304050607", "0001020304050607-1"),
    ] {
        assert_eq!(SpanName::parse_path(&wrong), None, "{wrong}");
    }
}

#[test]
fn slices_that_follow_each_other_are_a_stretch() {
    assert_eq!(stretches(&timeline(&[])), []);
    let whole = timeline(&[(1, 2), (2, 5), (5, 9)]);
    assert_eq!(stretches(&whole), [(1, 9)]);
    let broken = timeline(&[(1, 2), (2, 5), (6, 9), (9, 10)]);
    assert_eq!(stretches(&broken), [(1, 5), (6, 10)]);
    // Two writers at once: what one of them wrote late leads on, or leads nowhere.
    let doubled = timeline(&[(1, 2), (2, 4), (2, 5), (4, 9)]);
    assert_eq!(stretches(&doubled), [(1, 9)]);
}

#[test]
fn a_way_is_found_around_what_was_written_twice_and_ends_at_a_gap() {
    let doubled = timeline(&[(1, 2), (2, 4), (2, 5), (4, 9)]);
    assert_eq!(way(&doubled, 1, 9), Ok(vec![(1, 2), (2, 4), (4, 9)]));
    assert_eq!(way(&doubled, 1, 5), Ok(vec![(1, 2), (2, 5)]));
    assert_eq!(way(&doubled, 3, 3), Ok(Vec::new()));
    // The moment of the snapshot is inside of a slice.
    assert_eq!(way(&doubled, 3, 8), Ok(vec![(2, 4), (4, 9)]));
    let broken = timeline(&[(1, 2), (2, 5), (6, 9), (9, 10)]);
    assert_eq!(way(&broken, 1, 10), Err((5, Some(6))));
    assert_eq!(way(&broken, 5, 10), Err((5, Some(6))));
    assert_eq!(way(&broken, 6, 11), Err((10, None)));
    assert_eq!(way(&broken, 0, 4), Err((0, Some(1))));
    assert_eq!(way(&timeline(&[]), 0, 4), Err((0, None)));
}

#[test]
fn histories_do_not_mix() {
    let other = SpanName::new(at(2), at(3), OTHER, SpanKind::Slice);
    let both: Timeline = [slice(1, 2), other, slice(3, 4)].into_iter().collect();
    assert_eq!(stretches(&both), [(1, 2), (2, 3), (3, 4)]);
    assert_eq!(way(&both, 1, 4), Err((2, Some(3))));
    assert_eq!(both.histories_of(at(2)), [OTHER]);
    assert_eq!(both.ends(), [slice(3, 4), other]);
    let gap = SpanName::new(at(2), at(3), ONE, SpanKind::Gap);
    let with_gap: Timeline = [slice(1, 2), gap, slice(3, 4)].into_iter().collect();
    assert_eq!(way(&with_gap, 1, 4), Err((2, Some(3))));
    assert_eq!(with_gap.gaps().collect::<Vec<_>>(), [&gap]);
}

proptest! {
    /// A way covers what it is asked for, without a hole, and is found if and only if there is one.
    #[test]
    fn a_way_covers_all_that_is_between(
        spans in prop::collection::vec((0_u32..12, 1_u32..5), 0..14), from in 0_u32..14, length in 1_u32..10,
    ) {
        let spans: Vec<(u32, u32)> = spans.iter().map(|(start, length)| (*start, start + length)).collect();
        let to = from + length;
        let mut reachable: BTreeSet<u32> = spans.iter()
            .filter(|(start, end)| *start <= from && from < *end).map(|(_, end)| *end).collect();
        for _ in 0..spans.len() {
            let next: Vec<u32> = spans.iter().filter(|(start, _)| reachable.contains(start)).map(|(_, end)| *end).collect();
            reachable.extend(next);
        }
        match way(&timeline(&spans), from, to) {
            Ok(way) => {
                prop_assert!(way[0].0 <= from && from < way[0].1);
                prop_assert!(way.windows(2).all(|pair| pair[0].1 == pair[1].0));
                prop_assert!(way.last().unwrap().1 >= to);
            }
            Err((reached, _)) => {
                prop_assert_eq!(reached, reachable.last().copied().unwrap_or(from));
                prop_assert!(reached < to);
            }
        }
    }
}
