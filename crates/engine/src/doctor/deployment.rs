//! What kind of deployment it is, its clock and its disk.

use bson::{Bson, Document, doc};
use jiff::Timestamp;
use mongodb::options::{ReadPreference, SelectionCriteria};

use super::{
    Doctor, Held,
    finding::{Check, Findings},
    words::{length, size},
};
use crate::{
    Error, Flavor, Result, ServerInfo, Source, SourceRecord, Topology,
    capabilities::{OLDEST_TRIED, end_of_life},
    command,
    connect::Deployment,
    dump::source_record,
};

/// How far clocks may be apart before it is told, in seconds.
pub(super) const APART_SECONDS: i64 = 30;
/// How much of a disk should be free, in percent.
const FREE_PERCENT: u64 = 10;

/// A deployment that is asked.
pub(super) struct Asked {
    pub(super) deployment: Deployment,
    pub(super) from: SelectionCriteria,
    pub(super) source: SourceRecord,
}

impl Asked {
    pub(super) fn new(source: &Source) -> Self {
        let deployment = source.0.clone();
        let asked = deployment.client.selection_criteria().cloned();
        Self {
            from: asked.unwrap_or(SelectionCriteria::ReadPreference(
                ReadPreference::PrimaryPreferred { options: None },
            )),
            source: source_record(source),
            deployment,
        }
    }

    pub(super) fn server(&self) -> &ServerInfo {
        &self.deployment.server
    }

    /// Whether it is of MongoDB and has an oplog that can be asked for.
    pub(super) fn has_oplog(&self) -> bool {
        let server = self.server();
        server.flavor == Flavor::MongoDb && server.topology == Topology::ReplicaSet
    }

    pub(super) async fn ask(&self, database: &str, command: Document) -> Result<Document> {
        command::read(&self.deployment.database(database), command, &self.from).await
    }
}

pub(super) async fn look(
    doctor: &Doctor,
    asked: &Asked,
    held: Option<&Held>,
    findings: &mut Findings,
) {
    version(asked.server(), findings);
    let name = match asked.server().capabilities().hello {
        true => "hello",
        false => "isMaster",
    };
    match asked.ask("admin", doc! { name: 1 }).await {
        Ok(hello) => {
            topology(asked.server(), &hello, findings);
            clock(doctor, &hello, findings);
        }
        Err(error) => {
            findings.unknown(Check::Topology, &error, "");
            findings.unknown(Check::ServerClock, &error, "");
        }
    }
    if asked.server().flavor == Flavor::MongoDb {
        feature_compatibility(asked, findings).await;
        disk(asked, held, findings).await;
    }
}

fn version(server: &ServerInfo, findings: &mut Findings) {
    let (check, version) = (Check::ServerVersion, &server.version);
    if server.flavor == Flavor::DocumentDb {
        let seen = format!(
            "Amazon DocumentDB {version}: it has no oplog, and reads nothing at one moment"
        );
        findings.note(
            check,
            seen,
            "backups of one moment and captures are made by change streams: have them enabled",
        );
        return;
    }
    let seen = format!("MongoDB {version}");
    match end_of_life(server.version_numbers) {
        _ if server.version_numbers < OLDEST_TRIED => findings.danger(
            check,
            format!("{seen}: nothing here was ever tried with a version before 4.2"),
            "take the server to a newer version, and try a restore before you count on it",
        ),
        Some(ended) => findings.warning(
            check,
            format!("{seen}: of this release nothing is mended any more since {ended}"),
            "take the server to a release that is supported",
        ),
        None => findings.good(check, seen),
    }
}

fn topology(server: &ServerInfo, hello: &Document, findings: &mut Findings) {
    let check = Check::Topology;
    let is = |name: &str| hello.get_bool(name).unwrap_or(false);
    let is_primary = is("isWritablePrimary") || is("ismaster");
    match server.topology {
        Topology::Standalone => findings.warning(
            check,
            "a standalone server: each collection is backed up as of a time of its own, and nothing can be captured",
            "make it a replica set, of one member too: --replSet and rs.initiate()",
        ),
        Topology::Sharded => findings.note(
            check,
            "a sharded cluster: it is read through its router, at one moment, and captured by a change stream; the oplogs of its shards are not looked at",
            "",
        ),
        Topology::ReplicaSet => {
            let set = server.set_name.as_deref().unwrap_or_default();
            let members = server.hosts.len();
            let seen = format!("replica set {set} of {members} members that hold data");
            match (is_primary, hello.get_str("primary")) {
                (false, Err(_)) => findings.danger(
                    check,
                    format!("{seen}, and no primary: nothing that is written is confirmed"),
                    "bring members back until the set elects a primary",
                ),
                (false, Ok(primary)) => findings.note(
                    check,
                    format!("{seen}; a secondary is asked, and {primary} is the primary"),
                    "",
                ),
                (true, _) if members == 1 => findings.note(
                    check,
                    format!("replica set {set} of one member: what stops that stops backups and captures"),
                    "",
                ),
                (true, _) => findings.good(check, seen),
            }
        }
    }
}

fn clock(doctor: &Doctor, hello: &Document, findings: &mut Findings) {
    let check = Check::ServerClock;
    let Ok(local) = hello.get_datetime("localTime") else {
        let error = Error::data("the server does not say what time it is");
        findings.unknown(check, &error, "");
        return;
    };
    let ahead = local.timestamp_millis() / 1000 - doctor.clock().as_second();
    match ahead.abs() > APART_SECONDS {
        true => findings.warning(
            check,
            format!("the clock of the server is {}", apart(ahead)),
            "set the clocks by NTP: the times of restores, and how far a capture is behind, are by that of the server",
        ),
        false => findings.good(check, format!("the clock of the server is {}", apart(ahead))),
    }
}

/// How far a clock is ahead of that of this machine, or behind it.
pub(super) fn apart(ahead_seconds: i64) -> String {
    let how = match ahead_seconds < 0 {
        true => "behind",
        false => "ahead of",
    };
    format!(
        "{} {how} that of this machine",
        length(ahead_seconds.saturating_abs())
    )
}

async fn feature_compatibility(asked: &Asked, findings: &mut Findings) {
    let check = Check::FeatureCompatibility;
    if asked.server().topology == Topology::Sharded {
        return;
    }
    let parameter = doc! { "getParameter": 1, "featureCompatibilityVersion": 1 };
    let reply = match asked.ask("admin", parameter).await {
        Ok(reply) => reply,
        Err(error) => {
            let advice = "the role backup is enough to ask: it may getParameter";
            return findings.unknown(check, &error, advice);
        }
    };
    let told = reply.get_document("featureCompatibilityVersion").ok();
    let text = |name: &str| told.and_then(|told| told.get_str(name).ok());
    let [major, minor, _] = asked.server().version_numbers;
    let release = format!("{major}.{minor}");
    match (text("version"), text("targetVersion")) {
        (_, Some(target)) => findings.warning(
            check,
            format!("the server is on its way to behave as {target}"),
            "end that first, by setFeatureCompatibilityVersion once more: a backup or a capture meanwhile may fail",
        ),
        (Some(version), None) if version == release => {
            findings.good(check, format!("the server behaves as {version}"));
        }
        (Some(version), None) => findings.note(
            check,
            format!("the server is of {release} and behaves as {version}"),
            "restore to a server that behaves as that or a newer release",
        ),
        (None, None) => {
            let error = Error::data("the server does not say which version it behaves as");
            findings.unknown(check, &error, "");
        }
    }
}

async fn disk(asked: &Asked, held: Option<&Held>, findings: &mut Findings) {
    let check = Check::ServerDisk;
    let number = |reply: &Document, name: &str| {
        let value = reply.get(name);
        value.and_then(bytes)
    };
    let reply = match asked.ask("admin", doc! { "dbStats": 1 }).await {
        Ok(reply) => reply,
        Err(error) => {
            let advice = "the role clusterMonitor is enough to ask: it may dbStats";
            return findings.unknown(check, &error, advice);
        }
    };
    let (Some(total), Some(used)) = (number(&reply, "fsTotalSize"), number(&reply, "fsUsedSize"))
    else {
        let error = Error::data("the server does not say how large its disk is");
        return findings.unknown(check, &error, "");
    };
    let free = total.saturating_sub(used);
    let newest = held.and_then(|held| held.snapshots.whole.last());
    let restored = newest.map_or(String::new(), |newest| {
        let bytes = newest.manifest().run.uncompressed_bytes;
        format!("; the newest snapshot has documents of {}", size(bytes))
    });
    let seen = format!(
        "{} of {} are free on the disk of the server{restored}",
        size(free),
        size(total)
    );
    match free.saturating_mul(100) < total.saturating_mul(FREE_PERCENT) {
        true => findings.warning(
            check,
            seen,
            "make room: a server whose disk is full takes no writes, nor a restore",
        ),
        false => findings.good(check, seen),
    }
}

fn bytes(value: &Bson) -> Option<u64> {
    let number = crate::connect::whole_number(value)?;
    u64::try_from(number).ok()
}

/// How long ago a moment is, in seconds.
pub(super) fn age(now: Timestamp, at_seconds: i64) -> i64 {
    now.as_second().saturating_sub(at_seconds).max(0)
}
