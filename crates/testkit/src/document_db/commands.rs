//! Which commands there are, and which fields they take.
//!
//! From [what AWS lists](https://docs.aws.amazon.com/documentdb/latest/developerguide/mongo-apis.html) for 5.0.

/// What becomes of a command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Standing {
    /// It takes these fields beside those of [`COMMON_FIELDS`].
    Fields(&'static [&'static str]),
    /// It takes any field, as far as anybody knows.
    Whole,
    /// It is a command of MongoDB that is not supported.
    Refused,
    Unknown,
}

/// Fields that any command takes.
pub(super) const COMMON_FIELDS: &[&str] = &[
    "$db",
    "$readPreference",
    "autocommit",
    "lsid",
    "maxTimeMS",
    "readConcern",
    "startTransaction",
    "txnNumber",
    "writeConcern",
];

#[rustfmt::skip] // One command, one line.
pub(super) fn standing(command: &str) -> Standing {
    use Standing::{Fields, Refused, Unknown, Whole};
    match command {
        "aggregate" => Fields(&["pipeline", "cursor", "explain", "hint", "comment"]),
        "collMod" => Fields(&["index", "validator", "validationLevel", "validationAction"]),
        "count" => Fields(&["query", "limit", "skip", "hint", "comment"]),
        "create" => Fields(&["capped", "autoIndexId", "storageEngine", "validator", "validationLevel", "validationAction"]),
        "createIndexes" => Fields(&["indexes"]),
        "delete" => Fields(&["deletes", "ordered"]),
        "distinct" => Fields(&["key", "query"]),
        "dropIndexes" | "deleteIndexes" => Fields(&["index"]),
        "find" => Fields(&["filter", "sort", "projection", "hint", "skip", "limit", "batchSize", "singleBatch", "comment"]),
        "findAndModify" | "findandmodify" => Fields(&["query", "sort", "remove", "update", "new", "fields", "upsert", "arrayFilters"]),
        "getMore" => Fields(&["collection", "batchSize", "comment"]),
        "insert" => Fields(&["documents", "ordered"]),
        "killCursors" => Fields(&["cursors"]),
        "listCollections" => Fields(&["filter", "nameOnly", "authorizedCollections", "cursor"]),
        "listDatabases" => Fields(&["filter", "nameOnly", "authorizedDatabases"]),
        "listIndexes" => Fields(&["cursor"]),
        "modifyChangeStreams" => Fields(&["database", "collection", "enable"]),
        "renameCollection" => Fields(&["to", "dropTarget"]),
        "update" => Fields(&["updates", "ordered"]),
        "abortTransaction" | "authenticate" | "buildInfo" | "buildinfo" | "collStats" | "collstats" | "commitTransaction"
        | "connectionStatus" | "createRole" | "createUser" | "currentOp" | "dataSize" | "dbStats" | "dbstats" | "drop"
        | "dropAllRolesFromDatabase" | "dropAllUsersFromDatabase" | "dropDatabase" | "dropRole" | "dropUser" | "endSessions"
        | "explain" | "grantRolesToRole" | "grantRolesToUser" | "hello" | "hostInfo" | "isMaster" | "ismaster"
        | "killAllSessions" | "killOp" | "killSessions" | "listCommands" | "logout" | "ping" | "refreshSessions"
        | "revokePrivilegesFromRole" | "revokeRolesFromRole" | "revokeRolesFromUser" | "rolesInfo" | "saslContinue"
        | "saslStart" | "serverStatus" | "startSession" | "top" | "updateRole" | "updateUser" | "usersInfo" => Whole,
        "appendOplogNote" | "applyOps" | "bulkWrite" | "cloneCollectionAsCapped" | "compact" | "connPoolStats"
        | "convertToCapped" | "dbHash" | "features" | "filemd5" | "fsync" | "fsyncUnlock" | "getCmdLineOpts"
        | "getDefaultRWConcern" | "getLastError" | "getLog" | "getParameter" | "getShardMap" | "grantPrivilegesToRole"
        | "invalidateUserCache" | "killAllSessionsByPattern" | "listShards" | "mapReduce" | "planCacheClear"
        | "replSetGetConfig" | "replSetGetStatus" | "replSetStepDown" | "setDefaultRWConcern"
        | "setFeatureCompatibilityVersion" | "setParameter" | "shutdown" | "validate" => Refused,
        _ => Unknown,
    }
}

/// Stages of a pipeline.
pub(super) const STAGES: &[&str] = &[
    "$addFields",
    "$changeStream",
    "$collStats",
    "$count",
    "$currentOp",
    "$geoNear",
    "$group",
    "$indexStats",
    "$limit",
    "$listChangeStreams",
    "$lookup",
    "$match",
    "$out",
    "$project",
    "$redact",
    "$replaceRoot",
    "$sample",
    "$skip",
    "$sort",
    "$unwind",
];

/// Stages that may follow `$changeStream`.
pub(super) const STREAM_STAGES: &[&str] = &[
    "$addFields",
    "$match",
    "$project",
    "$redact",
    "$replaceRoot",
];

/// What `$changeStream` takes.
pub(super) const STREAM_FIELDS: &[&str] = &[
    "allChangesForCluster",
    "fullDocument",
    "resumeAfter",
    "startAtOperationTime",
];

/// What an index may have.
pub(super) const INDEX_FIELDS: &[&str] = &[
    "2dsphereIndexVersion",
    "background",
    "default_language",
    "expireAfterSeconds",
    "key",
    "language_override",
    "name",
    "ns",
    "partialFilterExpression",
    "sparse",
    "textIndexVersion",
    "unique",
    "v",
    "weights",
];
