//! What servers can do, by their version: the one place where versions are compared.
//!
//! What a reply or an error tells by itself is not here: it is asked for, or tried.

use std::cmp::Ordering;

use rdump_format::Namespace;

/// What a server can do, as far as a dump or a restore depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capabilities {
    /// It knows the command `hello`, and not only `isMaster`. Since 4.4.2.
    pub(crate) hello: bool,
    /// It takes `commitQuorum` with `createIndexes`. Since 4.4.
    pub(crate) commit_quorum: bool,
    /// It finds a time in the oplog without being told by `oplogReplay` that this is what is looked for. Since 4.4.
    pub(crate) finds_in_oplog: bool,
    /// It has time-series collections. Since 5.0.
    pub(crate) time_series: bool,
    /// It reads what was there at one moment, outside of transactions. Since 5.0.
    pub(crate) snapshot_reads: bool,
    /// It does so with capped collections too. Since 8.0.
    pub(crate) snapshot_reads_of_capped: bool,
    /// It has geoHaystack indexes. Until 4.9, which is 5.0 before its release.
    pub(crate) geo_haystack: bool,
    /// It leaves zero timestamps alone in inserts with `bypassEmptyTsReplacement`. Since 8.0, and in 7.0, 6.0 and 5.0
    /// since a patch of each.
    pub(crate) zero_timestamps: bool,
    /// It says in `admin.system.version` which version its users and roles have. Until 8.1, where there is only one.
    pub(crate) authorization_version: bool,
    /// It knows the option `autoIndexId` of `create`. Until 8.2.
    pub(crate) auto_index_id: bool,
    /// It is Amazon DocumentDB, which lacks `applyOps`, and fields of `find`, `create` and `createIndexes`.
    pub(crate) documentdb: bool,
    /// It has no namespace for the buckets of a time-series collection: they are read and written under the name of
    /// the collection, with `rawData`. Since 8.3.
    pub(crate) raw_data: bool,
}

impl Capabilities {
    /// Those of a server by the numbers of its version.
    pub(crate) fn of(version: [u32; 3]) -> Self {
        let since = |first: [u32; 3]| version >= first;
        Self {
            hello: since([4, 4, 2]),
            commit_quorum: since([4, 4, 0]),
            finds_in_oplog: since([4, 4, 0]),
            time_series: since([5, 0, 0]),
            snapshot_reads: since([5, 0, 0]),
            snapshot_reads_of_capped: since([8, 0, 0]),
            geo_haystack: !since([4, 9, 0]),
            zero_timestamps: match version {
                [5, 0, patch] => patch >= 29,
                [6, 0, patch] => patch >= 17,
                [7, 0, patch] => patch >= 13,
                [major, ..] => major >= 8,
            },
            authorization_version: !since([8, 1, 0]),
            auto_index_id: !since([8, 2, 0]),
            documentdb: false,
            raw_data: since([8, 3, 0]),
        }
    }

    /// Those of Amazon DocumentDB, which calls itself by the versions of MongoDB whose drivers it works with.
    pub(crate) fn of_documentdb(self) -> Self {
        Self {
            hello: self.hello,
            documentdb: true,
            ..Self::of([4, 0, 0])
        }
    }

    /// Those of the server that a dump says it is of, `8.1.0-rc0` for instance; `None` if that is no version.
    pub(crate) fn of_text(version: &str) -> Option<Self> {
        numbers(version).map(Self::of)
    }

    /// Where such a server keeps the buckets of a time-series collection, for who reads or writes them.
    pub(crate) fn buckets(self, of: &Namespace) -> Namespace {
        match self.raw_data {
            true => of.clone(),
            false => of.buckets(),
        }
    }
}

/// When the release of a server was last mended, if that is over: see [the vendor's list](https://www.mongodb.com/legal/support-policy/lifecycles).
pub(crate) fn end_of_life([major, minor, _]: [u32; 3]) -> Option<&'static str> {
    match (major, minor) {
        (0..=3, _) | (4, 0 | 1) => Some("April 2022 or before"),
        (4, 2 | 3) => Some("April 2023"),
        (4, _) => Some("February 2024"),
        (5, _) => Some("October 2024"),
        (6, _) => Some("July 2025"),
        _ => None,
    }
}

/// The oldest release that anything here was tried with.
pub(crate) const OLDEST_TRIED: [u32; 3] = [4, 2, 0];

/// The numbers of a version; `None` if it is none.
fn numbers(version: &str) -> Option<[u32; 3]> {
    let mut numbers = version.split(['.', '-']);
    let mut number = || numbers.next()?.parse().ok();
    Some([number()?, number()?, number().unwrap_or(0)])
}

/// How the release that a dump says it is of stands to that of a server, patches aside; `None` if it says none.
pub(crate) fn compare_releases(dumped: &str, server: [u32; 3]) -> Option<Ordering> {
    let release = |[major, minor, _]: [u32; 3]| [major, minor];
    numbers(dumped).map(|dumped| release(dumped).cmp(&release(server)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLDEST: Capabilities = Capabilities {
        time_series: false,
        snapshot_reads: false,
        snapshot_reads_of_capped: false,
        hello: false,
        commit_quorum: false,
        finds_in_oplog: false,
        geo_haystack: true,
        zero_timestamps: false,
        authorization_version: true,
        auto_index_id: true,
        documentdb: false,
        raw_data: false,
    };
    const V4_4: Capabilities = Capabilities {
        hello: true,
        commit_quorum: true,
        finds_in_oplog: true,
        ..OLDEST
    };
    const V5_0: Capabilities = Capabilities {
        time_series: true,
        snapshot_reads: true,
        geo_haystack: false,
        ..V4_4
    };
    const V8_0: Capabilities = Capabilities {
        zero_timestamps: true,
        snapshot_reads_of_capped: true,
        ..V5_0
    };
    const V8_1: Capabilities = Capabilities {
        authorization_version: false,
        ..V8_0
    };
    const V8_2: Capabilities = Capabilities {
        auto_index_id: false,
        ..V8_1
    };
    const V8_3: Capabilities = Capabilities {
        raw_data: true,
        ..V8_2
    };

    #[test]
    fn each_version_can_do_what_its_manual_says() {
        // TOOLS-3782, TOOLS-4073, TOOLS-4089.
        for (version, expected) in [
            ([4, 2, 6], OLDEST),
            ([4, 4, 2], V4_4),
            ([5, 0, 4], V5_0),
            ([6, 0, 5], V5_0),
            ([7, 0, 12], V5_0),
            ([8, 0, 0], V8_0),
            ([8, 1, 0], V8_1),
            ([8, 2, 0], V8_2),
            ([8, 3, 0], V8_3),
            ([9, 0, 0], V8_3),
        ] {
            assert_eq!(Capabilities::of(version), expected, "{version:?}");
        }
    }

    #[test]
    fn the_patches_before_and_after_a_change_differ() {
        let of = Capabilities::of;
        assert!(of([4, 4, 1]).commit_quorum && !of([4, 4, 1]).hello);
        assert!(of([4, 8, 99]).geo_haystack && !of([4, 9, 0]).geo_haystack);
        for (before, after) in [
            ([5, 0, 28], [5, 0, 29]),
            ([6, 0, 16], [6, 0, 27]),
            ([7, 0, 12], [7, 0, 13]),
            ([7, 3, 4], [8, 0, 0]),
        ] {
            assert!(!of(before).zero_timestamps, "{before:?}");
            assert!(of(after).zero_timestamps, "{after:?}");
        }
        // Quick releases between those of a year had the patch in none.
        assert!(!of([6, 3, 2]).zero_timestamps);
        assert!(of([8, 0, 99]).authorization_version && of([8, 1, 99]).auto_index_id);
        assert!(!of([8, 2, 99]).raw_data);
    }

    #[test]
    fn buckets_have_a_namespace_of_their_own_until_8_3() {
        let series = Namespace::new("weather", "t");
        let before = V8_2.buckets(&series);
        assert_eq!(before, Namespace::new("weather", "system.buckets.t"));
        assert_eq!(V8_3.buckets(&series), series);
    }

    #[test]
    fn a_dump_says_the_version_of_its_server_as_text() {
        let of = Capabilities::of_text;
        assert_eq!(of("6.0.5"), Some(V5_0));
        assert_eq!(of("8.1.0-rc0"), Some(V8_1));
        assert_eq!(of("8.1-alpha"), Some(V8_1));
        assert_eq!(of("9.0"), Some(V8_3));
        for no_version in ["unknown", "", "8", "8.x.1", "-8.1.0"] {
            assert_eq!(of(no_version), None, "{no_version}");
        }
    }

    #[test]
    fn patches_of_a_release_are_one_release() {
        // TOOLS-3983.
        for (dumped, expected) in [
            ("6.0.27", Some(Ordering::Equal)),
            ("6.0.0-rc1", Some(Ordering::Equal)),
            ("5.0.31", Some(Ordering::Less)),
            ("4.4", Some(Ordering::Less)),
            ("6.1.0", Some(Ordering::Greater)),
            ("10.0.0", Some(Ordering::Greater)),
            ("unknown", None),
        ] {
            assert_eq!(compare_releases(dumped, [6, 0, 5]), expected, "{dumped}");
        }
    }
}
