#![expect(
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

use proptest::prelude::*;

use super::*;

/// The plainest matcher there is, to compare with: tries everything.
fn naive(pattern: &[char], text: &[char]) -> bool {
    match (pattern, text) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=text.len()).any(|gap| naive(rest, text.get(gap..).unwrap())),
        (['\\'], _) => naive(&[], text),
        (['\\', literal, rest @ ..], [first, text @ ..]) => literal == first && naive(rest, text),
        ([literal, rest @ ..], [first, text @ ..]) => literal == first && naive(rest, text),
        _ => false,
    }
}

fn chars(text: &str) -> Vec<char> {
    text.chars().collect()
}

fn selector(include: &[&str], exclude: &[&str]) -> Selector {
    let parse = |patterns: &[&str]| {
        patterns
            .iter()
            .map(|pattern| pattern.parse().unwrap())
            .collect()
    };
    Selector {
        include: parse(include),
        exclude: parse(exclude),
    }
}

proptest! {
    #[test]
    fn patterns_match_as_the_naive_matcher_does(
        pattern in r"[ab.*\\]{0,8}",
        text in r"[ab.*\\]{0,8}",
    ) {
        prop_assert_eq!(Pattern::parse(&pattern).unwrap().matches(&text), naive(&chars(&pattern), &chars(&text)));
    }

    #[test]
    fn a_literal_matches_itself_alone(
        name in r"[ab.*\\$]{0,6}|.{0,10}",
        other in r"[ab.*\\$]{0,6}",
    ) {
        let pattern = Pattern::literal(&name);
        prop_assert!(pattern.matches(&name));
        prop_assert_eq!(pattern.matches(&other), name == other);
        prop_assert_eq!(pattern.as_str(), Pattern::escape(&name));
        prop_assert_eq!(&Pattern::parse(pattern.as_str()).unwrap(), &pattern);
    }

    #[test]
    fn a_selection_is_what_some_pattern_includes_and_none_excludes(
        include in prop::collection::vec("[ab.*]{1,4}", 0..3),
        exclude in prop::collection::vec("[ab.*]{1,4}", 0..3),
        db in "[ab]{1,2}",
        collection in "[ab.]{1,3}",
    ) {
        let parse = |patterns: &[String]| patterns.iter().map(|pattern| pattern.parse().unwrap()).collect();
        let selector = Selector { include: parse(&include), exclude: parse(&exclude) };
        let namespace = Namespace::new(db, collection);
        let name = chars(&namespace.to_string());
        let any = |patterns: &[String]| patterns.iter().any(|pattern| naive(&chars(pattern), &name));
        let expected = (include.is_empty() || any(&include)) && !any(&exclude);
        prop_assert_eq!(selector.selects(&namespace), expected);
        prop_assert_eq!(selector.selects(&namespace.buckets()), expected);
    }
}

#[test]
fn stars_stand_for_anything() {
    // TOOLS-3822.
    for (pattern, matching, other) in [
        ("*", "", None),
        ("*.*", "stuff.user", Some("stuff")),
        ("*.user*", "stuff.users", Some("stuff.use")),
        (r"pr\*d\.*", "pr*d.turbo.encabulators", Some(r"pr*d\.magic")),
        (r"a\b.*", "ab.c", Some(r"a\b.c")),
        (r"a\\*", r"a\b", Some("a*")),
        ("db.a*b", "db.a\n\r\nb", Some("db.a\n")),
        ("café.*", "café.x", Some("cafe.x")),
        (r"db.\$a", "db.$a", Some("db.a")),
        ("db.(?:2)[a]", "db.(?:2)[a]", Some("db.2a")),
        ("a*a", "aa", Some("a")),
        (r"db.x\", "db.x", Some(r"db.x\")),
    ] {
        let parsed = Pattern::parse(pattern).unwrap();
        assert!(parsed.matches(matching), "{pattern} {matching}");
        assert!(
            !other.is_some_and(|other| parsed.matches(other)),
            "{pattern} {other:?}"
        );
    }
}

#[test]
fn a_dollar_is_refused() {
    for pattern in ["$.user$", "*.user$", "$"] {
        let error = Pattern::parse(pattern).unwrap_err();
        assert_eq!(
            error,
            PatternError::Dollar {
                pattern: pattern.to_owned()
            }
        );
    }
}

#[test]
fn time_series_are_selected_by_their_own_name() {
    // mongorestore/mongorestore_test.go.
    let series = Namespace::new("db", "x");
    assert!(selector(&["db.x"], &[]).selects(&series.buckets()));
    assert!(!selector(&[], &["db.x"]).selects(&series.buckets()));
    assert!(!selector(&["db.system.buckets.x"], &[]).selects(&series.buckets()));
}

#[test]
fn a_selector_is_plain_data() {
    let selector = selector(&["a.*"], &[r"a.\*"]);
    let json = serde_json::to_string(&selector).unwrap();
    assert_eq!(json, r#"{"include":["a.*"],"exclude":["a.\\*"]}"#);
    assert_eq!(serde_json::from_str::<Selector>(&json).unwrap(), selector);
    assert_eq!(
        serde_json::from_str::<Selector>("{}").unwrap(),
        Selector::default()
    );
    serde_json::from_str::<Selector>(r#"{"include":["$"]}"#).unwrap_err();
    serde_json::from_str::<Selector>(r#"{"only":[]}"#).unwrap_err();
    assert_eq!(selector.include[0].to_string(), "a.*");
}
