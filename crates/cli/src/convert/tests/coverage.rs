//! Every option of mongodump and mongorestore, by the list in their manual.

use super::{dump, dump_refusal, restore, restore_refusal};

/// Options of both tools: general, verbosity, connection, SSL, authentication, URI.
const SHARED: &[&str] = &[
    "--numThreads 4",
    "--trace",
    "-v",
    "-vvv",
    "--verbose=2",
    "--quiet",
    "-h a",
    "--host rs0/a,b:1",
    "--port 1",
    "--dialTimeout 3",
    "--socketTimeout 0",
    "--TCPKeepAliveSeconds 30",
    "--serverSelectionTimeout 0",
    "--compressors none",
    "--compressors snappy,zstd",
    "--ssl",
    "--sslCAFile f",
    "--sslPEMKeyFile f",
    "--sslPEMKeyPassword p",
    "--tlsInsecure",
    "--sslAllowInvalidCertificates",
    "--sslAllowInvalidHostnames",
    "-u u",
    "--username u",
    "-p p",
    "--password p",
    "--authenticationDatabase d",
    "--authenticationMechanism PLAIN -u u",
    "--awsSessionToken t",
    "--gssapiServiceName n",
    "--gssapiHostName n",
    "-d x",
    "--db x",
    "-d x -c y",
    "-d x --collection y",
    "--uri mongodb://a",
    "mongodb+srv://a.example",
];

/// Options of both tools that are refused by name.
const SHARED_REFUSED: &[(&str, &str)] = &[
    ("--config f", "--config"),
    ("--failpoints x", "--failpoints"),
    ("--sslCRLFile f", "--sslCRLFile"),
    ("--sslFIPSMode", "--sslFIPSMode"),
    ("--authenticationMechanism GSSAPI -u u", "GSSAPI"),
    ("--authenticationMechanism MONGODB-AWS -u u", "MONGODB-AWS"),
];

#[test]
fn every_option_of_mongodump_is_followed_or_refused_by_name() {
    let own = [
        "-d x -c y -q {}",
        "-d x -c y --query {}",
        "--readPreference nearest",
        "--forceTableScan",
        "-o x",
        "--out x",
        "--gzip",
        "-d x --excludeCollection y",
        "-d x --excludeCollectionsWithPrefix y",
        "-j 4",
        "--numParallelCollections 4",
        "--viewsAsCollections",
        "-d x --dumpDbUsersAndRoles",
        "--archive",
        "--archive=x",
    ];
    for line in SHARED.iter().chain(&own) {
        dump(line);
    }
    let refused = [
        ("--oplog", "--oplog"),
        (
            "--internalOnlySourceWritesDoneBarrier f",
            "--internalOnlySourceWritesDoneBarrier",
        ),
        ("--out -", "--out -"),
    ];
    for (line, name) in SHARED_REFUSED.iter().chain(&refused) {
        let reason = dump_refusal(line);
        assert!(
            reason.contains(name) && reason.contains("support"),
            "{line}: {reason}"
        );
    }
    assert_eq!(
        dump_refusal("--oplog"),
        "--oplog: not yet supported by this version"
    );
}

#[test]
fn every_option_of_mongorestore_is_followed_or_refused_by_name() {
    let own = [
        "folder",
        "--dir folder",
        "--excludeCollection y",
        "--excludeCollectionsWithPrefix y",
        "--nsInclude x.*",
        "--nsExclude x.*",
        "--nsFrom a --nsTo b",
        "--objcheck",
        "--gzip",
        "--drop",
        "--dryRun",
        "--writeConcern 1",
        "--writeConcern {w:1,j:true}",
        "--noIndexRestore",
        "--noOptionsRestore",
        "--keepIndexVersion",
        "--convertLegacyIndexes",
        "--fixDottedHashIndex",
        "--bypassDocumentValidation",
        "--preserveUUID --drop",
        "--maintainInsertionOrder",
        "--stopOnError",
        "-j 4",
        "--numParallelCollections 4",
        "--numInsertionWorkersPerCollection 2",
        "--batchSize 1000",
        "--tempUsersColl tempusers",
        "--tempRolesColl temproles",
        "-d x --restoreDbUsersAndRoles",
        "--archive",
        "--archive=x",
    ];
    for line in SHARED.iter().chain(&own) {
        restore(line);
    }
    let refused = [
        ("--oplogReplay", "--oplogReplay"),
        ("--oplogLimit 1:2", "--oplogLimit"),
        ("--oplogFile f", "--oplogFile"),
        ("-d x -c y -", "standard input"),
        ("--dir -", "--dir -"),
    ];
    for (line, name) in SHARED_REFUSED.iter().chain(&refused) {
        let reason = restore_refusal(line);
        assert!(
            reason.contains(name) && reason.contains("support"),
            "{line}: {reason}"
        );
    }
}
