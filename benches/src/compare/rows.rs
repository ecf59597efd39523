//! What is compared, as data.
//!
//! In arguments, `{source}` and `{target}` are the connection strings, `{documents}` is the number of documents of
//! the source, `{out}` a new folder for the run, `{oplog}` the folder of an oplog, `{endpoint}` an object store with a bucket
//! `{bucket}`, `{mongodump}`, `{mongorestore}` and `{aws}` programs, and the name of an [`Input`] in braces the folder or object
//! of that dump.

/// A program that a side of a row runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// Our `rdump`.
    Rdump,
    /// Our `rrestore`.
    Rrestore,
    /// The library, in this program, dumping to a writer that forgets everything.
    Discard,
    /// The reference tool.
    Mongodump,
    /// The reference tool.
    Mongorestore,
    /// The reference tool and others, put together as people do.
    Pipeline,
}

/// Two command lines that do the same, and how they should compare.
#[derive(Debug)]
pub(super) struct Row {
    /// What `--rows` calls it.
    pub(super) name: &'static str,
    /// What is done.
    pub(super) title: &'static str,
    pub(super) kind: Kind,
    /// Our side.
    pub(super) ours: Side,
    /// The reference's.
    pub(super) theirs: Side,
    /// What our figure divided by the reference's should be at most.
    pub(super) targets: Targets,
}

/// What a run leaves behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Files, or nothing.
    Dump,
    /// The data in the target.
    Restore,
    /// What an oplog says, in the target.
    Replay,
}

/// One command line.
#[derive(Debug)]
pub(super) struct Side {
    pub(super) program: Program,
    pub(super) arguments: &'static [&'static str],
}

/// The highest ratios of each metric, where there is a target.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Targets {
    pub(super) wall: Option<f64>,
    pub(super) cpu: Option<f64>,
    pub(super) memory: Option<f64>,
    pub(super) size: Option<f64>,
}

/// A dump that restores read, made once.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: &'static str,
    pub(super) dump: Side,
}

const RDUMP_PLAIN: Side = Side {
    program: Program::Rdump,
    arguments: &["--uri={source}", "--quiet", "--db=bench", "--out={out}"],
};
const RDUMP_ZSTD: Side = Side {
    program: Program::Rdump,
    arguments: &[
        "--uri={source}",
        "--quiet",
        "--db=bench",
        "--compress=zstd:1",
        "--out={out}",
    ],
};
const MONGODUMP_PLAIN: Side = Side {
    program: Program::Mongodump,
    arguments: &["--uri={source}", "--quiet", "--db=bench", "--out={out}"],
};
const MONGODUMP_GZIP: Side = Side {
    program: Program::Mongodump,
    arguments: &[
        "--uri={source}",
        "--quiet",
        "--db=bench",
        "--gzip",
        "--out={out}",
    ],
};

const BACKUP: Side = Side {
    program: Program::Rdump,
    arguments: &[
        "backup",
        "--uri={source}",
        "--quiet",
        "--db=bench",
        "--compress=zstd:1",
        "--repo={out}",
    ],
};
const BACKUP_ENCRYPTED: Side = Side {
    program: Program::Rdump,
    arguments: &[
        "backup",
        "--uri={source}",
        "--quiet",
        "--db=bench",
        "--compress=zstd:1",
        "--repo={out}",
        // From the documentation of age.
        "--encrypt-to=age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa",
    ],
};

const RDUMP_S3: Side = Side {
    program: Program::Rdump,
    arguments: &[
        "--uri={source}",
        "--quiet",
        "--db=bench",
        "--compress=zstd:1",
        "--overwrite",
        "--out=s3://{bucket}/rdump-s3?endpoint={endpoint}",
    ],
};
const MONGODUMP_S3: Side = Side {
    program: Program::Pipeline,
    arguments: &[
        "set -o pipefail; '{mongodump}' --uri='{source}' --quiet --db=bench --gzip --archive | \
         '{aws}' s3 cp - s3://{bucket}/mongodump-s3 --endpoint-url={endpoint} --only-show-errors",
    ],
};

/// The dumps that restores read.
pub(super) const INPUTS: &[Input] = &[
    Input {
        name: "rdump-plain",
        dump: RDUMP_PLAIN,
    },
    Input {
        name: "rdump-zstd",
        dump: RDUMP_ZSTD,
    },
    Input {
        name: "mongodump-plain",
        dump: MONGODUMP_PLAIN,
    },
    Input {
        name: "mongodump-gzip",
        dump: MONGODUMP_GZIP,
    },
    Input {
        name: "rdump-s3",
        dump: RDUMP_S3,
    },
    Input {
        name: "mongodump-s3",
        dump: MONGODUMP_S3,
    },
];

const NO_TARGETS: Targets = Targets {
    wall: None,
    cpu: None,
    memory: None,
    size: None,
};

/// The rows, in the order in which they run.
pub(super) const ROWS: &[Row] = &[
    Row {
        name: "dump-nowhere",
        title: "dump into nothing, against mongodump --archive into /dev/null",
        kind: Kind::Dump,
        ours: Side {
            program: Program::Discard,
            arguments: &["{source}", "{documents}"],
        },
        theirs: Side {
            program: Program::Mongodump,
            arguments: &["--uri={source}", "--quiet", "--db=bench", "--archive"],
        },
        targets: Targets {
            wall: Some(0.60),
            cpu: Some(0.30),
            memory: Some(0.10),
            size: None,
        },
    },
    Row {
        name: "dump-plain",
        title: "dump to a folder, plain with digests, against mongodump",
        kind: Kind::Dump,
        ours: RDUMP_PLAIN,
        theirs: MONGODUMP_PLAIN,
        targets: Targets {
            wall: Some(1.05),
            memory: Some(0.20),
            ..NO_TARGETS
        },
    },
    Row {
        name: "dump-zstd",
        title: "dump to a folder, zstd level 1 with digests, against mongodump --gzip",
        kind: Kind::Dump,
        ours: RDUMP_ZSTD,
        theirs: MONGODUMP_GZIP,
        targets: Targets {
            wall: Some(0.45),
            cpu: Some(0.40),
            memory: Some(0.35),
            size: Some(0.96),
        },
    },
    Row {
        name: "backup",
        title: "backup to a repository, zstd level 1, against rdump to a folder",
        kind: Kind::Dump,
        ours: BACKUP,
        theirs: RDUMP_ZSTD,
        targets: Targets {
            wall: Some(1.10),
            ..NO_TARGETS
        },
    },
    Row {
        name: "backup-encrypted",
        title: "the same, encrypted to a public key",
        kind: Kind::Dump,
        ours: BACKUP_ENCRYPTED,
        theirs: RDUMP_ZSTD,
        targets: NO_TARGETS,
    },
    Row {
        name: "dump-s3",
        title: "dump to an object store, zstd level 1 with digests, against mongodump --gzip --archive piped to aws s3 cp",
        kind: Kind::Dump,
        ours: RDUMP_S3,
        theirs: MONGODUMP_S3,
        targets: Targets {
            wall: Some(1.0),
            ..NO_TARGETS
        },
    },
    Row {
        name: "restore",
        title: "restore with indexes, majority, against mongorestore",
        kind: Kind::Restore,
        ours: Side {
            program: Program::Rrestore,
            arguments: &["--uri={target}", "--quiet", "{rdump-plain}"],
        },
        theirs: Side {
            program: Program::Mongorestore,
            arguments: &["--uri={target}", "--quiet", "{mongodump-plain}"],
        },
        targets: Targets {
            wall: Some(0.75),
            cpu: Some(0.25),
            memory: Some(0.20),
            size: None,
        },
    },
    Row {
        name: "restore-s3",
        title: "restore from an object store, against aws s3 cp piped to mongorestore --gzip --archive",
        kind: Kind::Restore,
        ours: Side {
            program: Program::Rrestore,
            arguments: &[
                "--uri={target}",
                "--quiet",
                "{rdump-s3}?endpoint={endpoint}",
            ],
        },
        theirs: Side {
            program: Program::Pipeline,
            arguments: &[
                "set -o pipefail; '{aws}' s3 cp {mongodump-s3} - --endpoint-url={endpoint} --only-show-errors | \
                 '{mongorestore}' --uri='{target}' --quiet --gzip --archive",
            ],
        },
        targets: Targets {
            wall: Some(1.0),
            ..NO_TARGETS
        },
    },
    Row {
        name: "restore-workers",
        title: "the same, against mongorestore --numInsertionWorkersPerCollection=4",
        kind: Kind::Restore,
        ours: Side {
            program: Program::Rrestore,
            arguments: &["--uri={target}", "--quiet", "{rdump-plain}"],
        },
        theirs: Side {
            program: Program::Mongorestore,
            arguments: &[
                "--uri={target}",
                "--quiet",
                "--numInsertionWorkersPerCollection=4",
                "{mongodump-plain}",
            ],
        },
        targets: Targets {
            wall: Some(0.75),
            ..NO_TARGETS
        },
    },
    Row {
        name: "restore-zstd",
        title: "restore from zstd, against mongorestore --gzip",
        kind: Kind::Restore,
        ours: Side {
            program: Program::Rrestore,
            arguments: &["--uri={target}", "--quiet", "{rdump-zstd}"],
        },
        theirs: Side {
            program: Program::Mongorestore,
            arguments: &["--uri={target}", "--quiet", "--gzip", "{mongodump-gzip}"],
        },
        targets: Targets {
            wall: Some(0.60),
            ..NO_TARGETS
        },
    },
    Row {
        name: "replay",
        title: "replay of single inserts and updates over ten collections, against mongorestore --oplogReplay",
        kind: Kind::Replay,
        ours: Side {
            program: Program::Rrestore,
            arguments: &["--uri={target}", "--quiet", "--oplogReplay", "{oplog}"],
        },
        theirs: Side {
            program: Program::Mongorestore,
            arguments: &["--uri={target}", "--quiet", "--oplogReplay", "{oplog}"],
        },
        targets: Targets {
            wall: Some(0.20),
            ..NO_TARGETS
        },
    },
];

impl Program {
    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rdump => "rdump",
            Self::Rrestore => "rrestore",
            Self::Discard => "rdump (library)",
            Self::Mongodump => "mongodump",
            Self::Mongorestore => "mongorestore",
            Self::Pipeline => "the pipe",
        }
    }
}

impl Side {
    /// Whether an argument mentions `{name}`.
    pub(super) fn mentions(&self, name: &str) -> bool {
        let placeholder = format!("{{{name}}}");
        self.arguments
            .iter()
            .any(|argument| argument.contains(&placeholder))
    }

    /// The arguments with a value for each placeholder.
    pub(super) fn arguments_with(&self, values: &[(&str, &str)]) -> Vec<String> {
        let fill = |argument: &&str| {
            let mut argument = (*argument).to_owned();
            for (name, value) in values {
                argument = argument.replace(&format!("{{{name}}}"), value);
            }
            argument
        };
        self.arguments.iter().map(fill).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{super::oplog, *};

    #[test]
    fn every_row_has_its_own_name_and_only_known_placeholders() {
        let known = [
            "source",
            "target",
            "documents",
            "out",
            "endpoint",
            "bucket",
            "mongodump",
            "mongorestore",
            "aws",
            oplog::NAME,
        ];
        let known: Vec<(&str, &str)> = known
            .into_iter()
            .chain(INPUTS.iter().map(|input| input.name))
            .map(|name| (name, "x"))
            .collect();
        for (position, row) in ROWS.iter().enumerate() {
            assert!(
                ROWS[..position].iter().all(|other| other.name != row.name),
                "{}",
                row.name
            );
            for side in [&row.ours, &row.theirs] {
                let arguments = side.arguments_with(&known);
                assert!(
                    arguments
                        .iter()
                        .all(|argument| !argument.contains(['{', '}'])),
                    "{arguments:?}"
                );
                assert_eq!(
                    row.kind != Kind::Dump,
                    side.mentions("target"),
                    "{}",
                    row.name
                );
            }
        }
    }
}
