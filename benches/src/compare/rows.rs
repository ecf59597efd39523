//! What is compared, as data.
//!
//! In arguments, `{source}` and `{target}` are the connection strings, `{host}` is the address of the source, `{documents}` the
//! number of its documents, `{many}` a database of many small collections in it, `{out}` a new folder for the run, `{oplog}` the
//! folder of an oplog, `{endpoint}` an object store with a bucket `{bucket}`, `{rdump}`, `{rrestore}`, `{mongodump}`,
//! `{mongorestore}` and `{aws}` programs, and the name of an [`Input`] in braces the folder or object of that dump.

/// A program that a side of a row runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Program {
    /// Our `rdump`.
    Rdump,
    /// Our `rrestore`.
    Rrestore,
    /// The library, in this program, dumping to a writer that forgets everything.
    Discard,
    /// This program, reading all documents from sockets and doing nothing with them.
    Drain,
    /// Ours, put together.
    OurPipeline,
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
    /// The database of many collections in the target.
    RestoreMany,
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
    /// Processor time of the servers.
    pub(super) server: Option<f64>,
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

const BACKUP_S3: Side = Side {
    program: Program::Rdump,
    arguments: &[
        "backup",
        "--uri={source}",
        "--quiet",
        "--db=bench",
        "--compress=zstd:1",
        "--repo=s3://{bucket}/backup-s3?endpoint={endpoint}",
    ],
};
const ARCHIVE_GZIP: &[&str] = &[
    "--uri={source}",
    "--quiet",
    "--db=bench",
    "--archive",
    "--gzip",
];
const MANY: &[&str] = &["--uri={source}", "--quiet", "--db={many}", "--out={out}"];

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
    Input {
        name: "rdump-many",
        dump: Side {
            program: Program::Rdump,
            arguments: MANY,
        },
    },
    Input {
        name: "mongodump-many",
        dump: Side {
            program: Program::Mongodump,
            arguments: MANY,
        },
    },
];

const NO_TARGETS: Targets = Targets {
    wall: None,
    cpu: None,
    memory: None,
    size: None,
    server: None,
};

/// What is not slower to start.
const START: Targets = Targets {
    wall: Some(1.0),
    ..NO_TARGETS
};
const EMPTY: &[&str] = &["--uri={target}", "--quiet", "--db=bench", "--out={out}"];

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
            server: Some(1.0),
            ..NO_TARGETS
        },
    },
    Row {
        name: "dump-plain",
        title: "dump to a folder, plain with digests, against mongodump",
        kind: Kind::Dump,
        ours: RDUMP_PLAIN,
        theirs: MONGODUMP_PLAIN,
        targets: Targets {
            wall: Some(0.95),
            cpu: Some(0.85),
            memory: Some(0.15),
            server: Some(1.0),
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
            wall: Some(0.38),
            cpu: Some(0.33),
            memory: Some(0.30),
            size: Some(0.95),
            server: Some(1.0),
        },
    },
    Row {
        name: "dump-archive-gzip",
        title: "dump to an archive, gzip that mongorestore reads, against mongodump --archive --gzip",
        kind: Kind::Dump,
        ours: Side {
            program: Program::Rdump,
            arguments: ARCHIVE_GZIP,
        },
        theirs: Side {
            program: Program::Mongodump,
            arguments: ARCHIVE_GZIP,
        },
        targets: Targets {
            wall: Some(0.60),
            ..NO_TARGETS
        },
    },
    Row {
        name: "dump-drain",
        title: "dump into nothing, against a client that only empties the sockets",
        kind: Kind::Dump,
        ours: Side {
            program: Program::Discard,
            arguments: &["{source}", "{documents}"],
        },
        theirs: Side {
            program: Program::Drain,
            arguments: &["{host}", "{documents}"],
        },
        targets: Targets {
            cpu: Some(2.5),
            ..NO_TARGETS
        },
    },
    Row {
        name: "backup",
        title: "backup to a repository, zstd level 1, against rdump to a folder",
        kind: Kind::Dump,
        ours: BACKUP,
        theirs: RDUMP_ZSTD,
        targets: Targets {
            wall: Some(1.05),
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
        name: "backup-s3",
        title: "backup to a repository in an object store, zstd level 1, against rdump to a folder",
        kind: Kind::Dump,
        ours: BACKUP_S3,
        theirs: RDUMP_ZSTD,
        targets: Targets {
            wall: Some(1.05),
            ..NO_TARGETS
        },
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
            wall: Some(0.62),
            cpu: Some(0.18),
            memory: Some(0.12),
            ..NO_TARGETS
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
            wall: Some(0.72),
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
            wall: Some(0.15),
            ..NO_TARGETS
        },
    },
    Row {
        name: "pipe",
        title: "rdump --archive piped to rrestore --archive, against the pair of the originals",
        kind: Kind::Restore,
        ours: Side {
            program: Program::OurPipeline,
            arguments: &[
                "set -o pipefail; '{rdump}' --uri='{source}' --quiet --db=bench --archive | \
                 '{rrestore}' --uri='{target}' --quiet --archive",
            ],
        },
        theirs: Side {
            program: Program::Pipeline,
            arguments: &[
                "set -o pipefail; '{mongodump}' --uri='{source}' --quiet --db=bench --archive | \
                 '{mongorestore}' --uri='{target}' --quiet --archive",
            ],
        },
        targets: Targets {
            wall: Some(0.65),
            ..NO_TARGETS
        },
    },
    Row {
        name: "dump-many",
        title: "dump of 20,000 collections of 20 documents",
        kind: Kind::Dump,
        ours: Side {
            program: Program::Rdump,
            arguments: MANY,
        },
        theirs: Side {
            program: Program::Mongodump,
            arguments: MANY,
        },
        targets: Targets {
            wall: Some(0.5),
            ..NO_TARGETS
        },
    },
    Row {
        name: "restore-many",
        title: "restore of 20,000 collections of 20 documents",
        kind: Kind::RestoreMany,
        ours: Side {
            program: Program::Rrestore,
            arguments: &["--uri={target}", "--quiet", "{rdump-many}"],
        },
        theirs: Side {
            program: Program::Mongorestore,
            arguments: &["--uri={target}", "--quiet", "{mongodump-many}"],
        },
        targets: Targets {
            wall: Some(0.5),
            ..NO_TARGETS
        },
    },
    Row {
        name: "start-help",
        title: "start-up: --help",
        kind: Kind::Dump,
        ours: Side {
            program: Program::Rdump,
            arguments: &["--help"],
        },
        theirs: Side {
            program: Program::Mongodump,
            arguments: &["--help"],
        },
        targets: START,
    },
    Row {
        name: "start-empty",
        title: "start-up: a database with nothing in it",
        kind: Kind::Dump,
        ours: Side {
            program: Program::Rdump,
            arguments: EMPTY,
        },
        theirs: Side {
            program: Program::Mongodump,
            arguments: EMPTY,
        },
        targets: START,
    },
];

impl Program {
    /// What it is called.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rdump => "rdump",
            Self::Rrestore => "rrestore",
            Self::Discard => "rdump (library)",
            Self::Drain => "draining client",
            Self::OurPipeline => "our pipe",
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
            "host",
            "many",
            "rdump",
            "rrestore",
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
                // A dump may read it, since there is nothing in it.
                let is_target = side.mentions("target");
                assert!(row.kind == Kind::Dump || is_target, "{}", row.name);
            }
        }
    }
}
