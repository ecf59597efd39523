//! What replies look like to clients.

use bson::{
    Document, RawDocument, RawDocumentBuf, doc,
    raw::{RawBson, RawBsonRef},
};

use super::{
    message::{documents_of, encoded},
    refusal::Refusal,
};
use crate::replica_set::NAME;

/// What no reply has: times that clusters of MongoDB tell each other.
const INTERNAL: &[&str] = &["$clusterTime", "$gleStats", "electionId", "opTime"];
/// What a handshake does not offer: compression, and replies that come by themselves.
const NOT_OFFERED: &[&str] = &[
    "compression",
    "topologyVersion",
    "arbiters",
    "passives",
    "tags",
];
/// Databases that are not there for anybody.
pub(super) const HIDDEN: &[&str] = &["admin", "config", "local"];
/// The wire version of MongoDB 5.0.
const WIRE_VERSION: i32 = 13;

/// A copy with each field as `change` gives it, or without it.
pub(super) fn edited(
    document: &RawDocument,
    mut change: impl FnMut(&str, RawBsonRef<'_>) -> Option<RawBson>,
) -> RawDocumentBuf {
    let mut copy = RawDocumentBuf::new();
    for element in document.iter_elements().flatten() {
        let Ok(value) = element.value() else { continue };
        if let Some(value) = change(element.key().as_str(), value) {
            copy.append(element.key(), value);
        }
    }
    copy
}

/// A reply without what no reply has.
pub(super) fn without_internals(reply: &RawDocument) -> RawDocumentBuf {
    edited(reply, |name, value| {
        (!INTERNAL.contains(&name)).then(|| value.into())
    })
}

/// Whether it is of a command that was done.
pub(super) fn is_ok(reply: &RawDocument) -> bool {
    reply
        .get("ok")
        .ok()
        .flatten()
        .is_some_and(|ok| ok.as_f64() == Some(1.0))
}

/// The reply to a handshake: a set whose one member is here.
pub(super) fn handshake(reply: &RawDocument, address: &str, me: &str) -> RawDocumentBuf {
    edited(reply, |name, value| match name {
        "hosts" => Some(RawBson::Array([address].into_iter().collect())),
        "primary" => Some(address.into()),
        "me" => Some(me.into()),
        "setName" => Some(NAME.into()),
        "maxWireVersion" => Some(
            value
                .as_i32()
                .unwrap_or(WIRE_VERSION)
                .min(WIRE_VERSION)
                .into(),
        ),
        "saslSupportedMechs" => Some(RawBson::Array(["SCRAM-SHA-1"].into_iter().collect())),
        name => (!NOT_OFFERED.contains(&name)).then(|| value.into()),
    })
}

pub(super) fn build_info(original: &RawDocument) -> RawDocumentBuf {
    let mut info = doc! {
        "version": "5.0.0", "versionArray": [5, 0, 0, 0], "bits": 64, "debug": false,
        "maxBsonObjectSize": 16 << 20, "ok": 1.0,
    };
    if let Ok(time) = original.get_timestamp("operationTime") {
        info.insert("operationTime", time);
    }
    encoded(info)
}

/// The reply to `listDatabases` without those that are not there.
pub(super) fn databases(reply: &RawDocument) -> RawDocumentBuf {
    edited(reply, |name, value| match name {
        "databases" => {
            let all = documents_of(Some(value)).into_iter();
            let shown =
                all.filter(|one| !HIDDEN.contains(&one.get_str("name").unwrap_or_default()));
            Some(RawBson::Array(shown.collect()))
        }
        _ => Some(value.into()),
    })
}

/// What `listCollections` says of one: no UUID, and options that nobody chose.
pub(super) fn collection(collection: &RawDocument) -> Option<RawDocumentBuf> {
    let name = collection.get_str("name").unwrap_or_default();
    (!name.starts_with("system.")).then(|| {
        edited(collection, |name, value| match (name, value) {
            ("info", RawBsonRef::Document(info)) => {
                Some(RawBson::Document(edited(info, |name, value| {
                    (name != "uuid").then(|| value.into())
                })))
            }
            ("options", RawBsonRef::Document(options)) => {
                let mut options = Document::try_from(options).unwrap_or_default();
                options.insert("autoIndexId", true);
                options.insert("capped", options.get_bool("capped").unwrap_or(false));
                let engine = doc! { "documentDB": { "compression": { "enable": false } } };
                options.insert("storageEngine", engine);
                Some(RawBson::Document(encoded(options)))
            }
            _ => Some(value.into()),
        })
    })
}

/// What `listIndexes` says of one: its namespace too.
pub(super) fn index(index: &RawDocument, namespace: &str) -> RawDocumentBuf {
    let mut index = edited(index, |name, value| (name != "ns").then(|| value.into()));
    index.append(bson::raw::cstr!("ns"), namespace);
    index
}

/// A cursor's id, 0 when it has ended, and namespace.
pub(super) fn cursor(reply: &RawDocument) -> Option<(i64, &str)> {
    let cursor = reply.get_document("cursor").ok()?;
    Some((cursor.get_i64("id").ok()?, cursor.get_str("ns").ok()?))
}

/// The documents that a cursor gives.
pub(super) fn batch(reply: &RawDocument) -> Vec<&RawDocument> {
    let Ok(cursor) = reply.get_document("cursor") else {
        return Vec::new();
    };
    let batch = ["firstBatch", "nextBatch"].map(|name| cursor.get(name).ok().flatten());
    documents_of(batch.into_iter().flatten().next())
}

/// The reply of a cursor with another id and batch, and another token of it or none.
pub(super) fn with_batch(
    reply: &RawDocument,
    id: i64,
    batch: Vec<RawDocumentBuf>,
    token: Option<RawDocumentBuf>,
) -> RawDocumentBuf {
    let mut batch = Some(batch);
    edited(reply, |name, value| match (name, value) {
        ("cursor", RawBsonRef::Document(cursor)) => Some(RawBson::Document(edited(
            cursor,
            |name, value| match name {
                "firstBatch" | "nextBatch" => {
                    Some(RawBson::Array(batch.take().into_iter().flatten().collect()))
                }
                "id" => Some(id.into()),
                "postBatchResumeToken" => token.clone().map(RawBson::Document),
                _ => Some(value.into()),
            },
        ))),
        _ => Some(value.into()),
    })
}

/// The reply of what is not there, in a database that is not there; `None` for what looks into no database.
pub(super) fn of_nothing(
    command: &str,
    namespace: Option<String>,
    database: &str,
) -> Option<Result<RawDocumentBuf, Refusal>> {
    let empty = |namespace: String| {
        let cursor = doc! { "firstBatch": [], "id": 0_i64, "ns": namespace };
        Ok(encoded(doc! { "cursor": cursor, "ok": 1.0 }))
    };
    match command {
        "find" | "aggregate" => namespace.map(empty),
        "listCollections" => Some(empty(format!("{database}.$cmd.listCollections"))),
        "listIndexes" => {
            let namespace = namespace.unwrap_or_default();
            Some(Err(Refusal::new(
                26,
                format!("ns does not exist: {namespace}"),
            )))
        }
        "count" => Some(Ok(encoded(doc! { "n": 0, "ok": 1.0 }))),
        "distinct" => Some(Ok(encoded(doc! { "values": [], "ok": 1.0 }))),
        "collMod" | "create" | "createIndexes" | "delete" | "drop" | "dropDatabase"
        | "dropIndexes" | "deleteIndexes" | "findAndModify" | "findandmodify" | "insert"
        | "update" => Some(Err(Refusal::feature(format!("database '{database}'")))),
        _ => None,
    }
}
