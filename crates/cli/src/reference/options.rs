//! The options of mongodump and mongorestore 100.18, in the order of their help.

use super::{
    Group,
    Ours::{Refused, Supported, WithoutEffect},
    Value::{Nothing, Optional, Repeatable, Required},
    hidden, option,
};

/// What both tools have.
pub(super) const BOTH: &[Group] = &[
    Group {
        name: "general",
        options: &[
            option("--help", Nothing, "--help", Supported("")),
            option("--version", Nothing, "--version", Supported("")),
            option(
                "--config",
                Required,
                "--config /dev/null",
                Supported("errors name file and line, and quote nothing"),
            ),
            hidden(
                "--numThreads",
                Required,
                "--numThreads 4",
                Supported("threads that do network and file work, 2 to 64"),
            ),
            hidden("--failpoints", Required, "--failpoints x", Refused),
            hidden(
                "--trace",
                Nothing,
                "--trace",
                WithoutEffect("as in mongodump"),
            ),
        ],
    },
    Group {
        name: "verbosity",
        options: &[
            option(
                "-v, --verbose",
                Optional,
                "-vvvvv",
                Supported("`-v` tells the server and the plan, `-vv` and more tell nothing else"),
            ),
            option(
                "--quiet",
                Nothing,
                "--quiet",
                Supported("errors are told nevertheless"),
            ),
        ],
    },
    Group {
        name: "connection",
        options: &[
            option("-h, --host", Required, "--host rs0/a,b:1", Supported("")),
            option("--port", Required, "--port 1", Supported("")),
            hidden(
                "--dialTimeout",
                Required,
                "--dialTimeout 3",
                Supported("10 seconds by default, not 3"),
            ),
            hidden(
                "--socketTimeout",
                Required,
                "--socketTimeout 0",
                WithoutEffect("as in mongodump since 100.15"),
            ),
            hidden(
                "--TCPKeepAliveSeconds",
                Required,
                "--TCPKeepAliveSeconds 30",
                WithoutEffect("as in mongodump since 100.15"),
            ),
            hidden(
                "--serverSelectionTimeout",
                Required,
                "--serverSelectionTimeout 0",
                Supported(""),
            ),
            hidden(
                "--compressors",
                Required,
                "--compressors snappy,zstd",
                Supported(""),
            ),
        ],
    },
    Group {
        name: "SSL",
        options: &[
            option("--ssl", Nothing, "--ssl", Supported("")),
            option("--sslCAFile", Required, "--sslCAFile f", Supported("")),
            option(
                "--sslPEMKeyFile",
                Required,
                "--sslPEMKeyFile f",
                Supported(""),
            ),
            option(
                "--sslPEMKeyPassword",
                Required,
                "--sslPEMKeyPassword p",
                Supported(""),
            ),
            option("--sslCRLFile", Required, "--sslCRLFile f", Refused),
            hidden(
                "--sslAllowInvalidCertificates",
                Nothing,
                "--sslAllowInvalidCertificates",
                Supported("deprecated: it is `--tlsInsecure`"),
            ),
            hidden(
                "--sslAllowInvalidHostnames",
                Nothing,
                "--sslAllowInvalidHostnames",
                Supported("deprecated: it is `--tlsInsecure`"),
            ),
            option("--sslFIPSMode", Nothing, "--sslFIPSMode", Refused),
            option("--tlsInsecure", Nothing, "--tlsInsecure", Supported("")),
        ],
    },
    Group {
        name: "authentication",
        options: &[
            option("-u, --username", Required, "-u u", Supported("")),
            option("-p, --password", Required, "-p p", Supported("")),
            option(
                "--authenticationDatabase",
                Required,
                "--authenticationDatabase d",
                Supported(""),
            ),
            option(
                "--authenticationMechanism",
                Required,
                "-u u --authenticationMechanism PLAIN",
                Supported(
                    "SCRAM-SHA-256, SCRAM-SHA-1, MONGODB-X509, MONGODB-OIDC, PLAIN; GSSAPI and MONGODB-AWS are refused",
                ),
            ),
            option(
                "--awsSessionToken",
                Required,
                "--awsSessionToken t",
                Refused,
            ),
        ],
    },
    Group {
        name: "Kerberos",
        options: &[
            option(
                "--gssapiServiceName",
                Required,
                "--gssapiServiceName n",
                Refused,
            ),
            option("--gssapiHostName", Required, "--gssapiHostName n", Refused),
        ],
    },
    Group {
        name: "namespace",
        options: &[
            option("-d, --db", Required, "-d x", Supported("")),
            option("-c, --collection", Required, "-d x -c y", Supported("")),
        ],
    },
    Group {
        name: "URI",
        options: &[option(
            "--uri",
            Required,
            "--uri mongodb://a",
            Supported(""),
        )],
    },
];

/// What mongodump has besides.
pub(super) const DUMP: &[Group] = &[
    Group {
        name: "query",
        options: &[
            option("-q, --query", Required, "-d x -c y -q {}", Supported("")),
            option(
                "--queryFile",
                Required,
                "-d x -c y --queryFile /dev/null --forceTableScan",
                Supported(""),
            ),
            option(
                "--readPreference",
                Required,
                "--readPreference {mode:'nearest'}",
                Supported("wins over the connection string"),
            ),
            option(
                "--forceTableScan",
                Nothing,
                "--forceTableScan",
                WithoutEffect("as in mongodump, but for `--query` beside it"),
            ),
            hidden(
                "--internalOnlySourceWritesDoneBarrier",
                Required,
                "--internalOnlySourceWritesDoneBarrier f",
                Supported("the dump waits before it reads anything"),
            ),
        ],
    },
    Group {
        name: "output",
        options: &[
            option(
                "-o, --out",
                Required,
                "-o x",
                Supported("with `-` documents may be compressed by `--compress`"),
            ),
            option("--gzip", Nothing, "--gzip", Supported("")),
            option("--oplog", Nothing, "--oplog", Supported("")),
            option("--archive", Optional, "--archive=x", Supported("")),
            option(
                "--dumpDbUsersAndRoles",
                Nothing,
                "-d x --dumpDbUsersAndRoles",
                Supported(""),
            ),
            option(
                "--excludeCollection",
                Repeatable,
                "-d x --excludeCollection y",
                Supported(""),
            ),
            option(
                "--excludeCollectionsWithPrefix",
                Repeatable,
                "-d x --excludeCollectionsWithPrefix y",
                Supported(""),
            ),
            option(
                "-j, --numParallelCollections",
                Required,
                "-j 4",
                Supported("by default as many as there are cores, at most 4"),
            ),
            option(
                "--viewsAsCollections",
                Nothing,
                "--viewsAsCollections",
                Supported(""),
            ),
        ],
    },
];

/// What mongorestore has besides.
pub(super) const RESTORE: &[Group] = &[
    Group {
        name: "namespace",
        options: &[
            option(
                "--excludeCollection",
                Repeatable,
                "--excludeCollection y",
                Supported("deprecated: it is `--nsExclude '*.NAME'`"),
            ),
            option(
                "--excludeCollectionsWithPrefix",
                Repeatable,
                "--excludeCollectionsWithPrefix y",
                Supported("deprecated: it is `--nsExclude '*.PREFIX*'`"),
            ),
            option("--nsExclude", Repeatable, "--nsExclude x.*", Supported("")),
            option("--nsInclude", Repeatable, "--nsInclude x.*", Supported("")),
            option("--nsFrom", Repeatable, "--nsFrom a --nsTo b", Supported("")),
            option("--nsTo", Repeatable, "--nsFrom a --nsTo b", Supported("")),
        ],
    },
    Group {
        name: "input",
        options: &[
            option("--objcheck", Nothing, "--objcheck", Supported("")),
            option("--oplogReplay", Nothing, "--oplogReplay", Supported("")),
            option(
                "--oplogLimit",
                Required,
                "--oplogReplay --oplogLimit 1:2",
                Supported(""),
            ),
            option(
                "--oplogFile",
                Required,
                "--oplogReplay --oplogFile f",
                Supported(""),
            ),
            option("--archive", Optional, "--archive=x", Supported("")),
            option(
                "--restoreDbUsersAndRoles",
                Nothing,
                "-d x --restoreDbUsersAndRoles",
                Supported(""),
            ),
            option("--dir", Required, "--dir x", Supported("")),
            option(
                "--gzip",
                Nothing,
                "--gzip",
                Supported("compressed files are known without it"),
            ),
        ],
    },
    Group {
        name: "restore",
        options: &[
            option("--drop", Nothing, "--drop", Supported("")),
            option("--dryRun", Nothing, "--dryRun", Supported("")),
            option(
                "--writeConcern",
                Required,
                "--writeConcern {w:1,j:true}",
                Supported("wins over the connection string"),
            ),
            option(
                "--noIndexRestore",
                Nothing,
                "--noIndexRestore",
                Supported(""),
            ),
            option(
                "--convertLegacyIndexes",
                Nothing,
                "--convertLegacyIndexes",
                Supported(""),
            ),
            option(
                "--noOptionsRestore",
                Nothing,
                "--noOptionsRestore",
                Supported(""),
            ),
            option(
                "--keepIndexVersion",
                Nothing,
                "--keepIndexVersion",
                Supported(""),
            ),
            option(
                "--maintainInsertionOrder",
                Nothing,
                "--maintainInsertionOrder",
                Supported(""),
            ),
            option(
                "-j, --numParallelCollections",
                Required,
                "-j 4",
                Supported("by default as many as there are cores, at most 4"),
            ),
            option(
                "--numInsertionWorkersPerCollection",
                Required,
                "--numInsertionWorkersPerCollection 2",
                Supported(
                    "4 by default; 0 is refused, where mongorestore restores nothing and says so of no document",
                ),
            ),
            option("--stopOnError", Nothing, "--stopOnError", Supported("")),
            option(
                "--bypassDocumentValidation",
                Nothing,
                "--bypassDocumentValidation",
                Supported(""),
            ),
            option(
                "--preserveUUID",
                Nothing,
                "--preserveUUID --drop",
                Supported(""),
            ),
            hidden(
                "--tempUsersColl",
                Required,
                "--tempUsersColl tempusers",
                Supported(""),
            ),
            hidden(
                "--tempRolesColl",
                Required,
                "--tempRolesColl temproles",
                Supported(""),
            ),
            hidden("--batchSize", Required, "--batchSize 1000", Supported("")),
            option(
                "--fixDottedHashIndex",
                Nothing,
                "--fixDottedHashIndex",
                Supported(""),
            ),
        ],
    },
];
