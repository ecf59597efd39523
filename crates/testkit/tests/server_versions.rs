//! What servers of older versions lack is said, and left out of their data sets.

use rdump_testkit::{Feature, ServerVersion, dataset};

fn data_sets(version: ServerVersion) -> Vec<&'static str> {
    let all = dataset::all_on(version);
    all.iter().map(rdump_testkit::Dataset::name).collect()
}

#[test]
fn the_default_version_lacks_nothing_and_older_ones_lack_more() {
    assert_eq!(ServerVersion::V6_0_5.lacks(), []);
    for versions in ServerVersion::ALL.windows(2) {
        let [older, newer] = [versions[0].lacks(), versions[1].lacks()];
        assert!(newer.iter().all(|feature| older.contains(feature)));
    }
    assert_eq!(ServerVersion::V4_2_6.lacks(), Feature::ALL);
}

#[test]
fn data_sets_that_are_all_about_what_a_version_lacks_are_left_out() {
    let all: Vec<_> = dataset::all()
        .iter()
        .map(rdump_testkit::Dataset::name)
        .collect();
    assert_eq!(data_sets(ServerVersion::V6_0_27), all);
    let left_out = |version| {
        let there = data_sets(version);
        let left_out = all.iter().copied();
        left_out
            .filter(|name| !there.contains(name))
            .collect::<Vec<_>>()
    };
    assert_eq!(left_out(ServerVersion::V5_0_4), ["clustered"]);
    assert_eq!(
        left_out(ServerVersion::V4_4_2),
        ["clustered", "time-series"]
    );
    assert_eq!(
        left_out(ServerVersion::V4_2_6),
        ["clustered", "time-series"]
    );
}
