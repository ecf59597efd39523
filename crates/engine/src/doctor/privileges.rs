//! What the user may do.

use std::collections::BTreeSet;

use bson::{Bson, Document, doc};

use super::{
    Held,
    deployment::Asked,
    finding::{Check, Findings},
    oplog::Readable,
    words::some,
};
use crate::{Error, ErrorKind, Flavor, Topology};

/// What a backup of everything needs everywhere.
const READ: [&str; 3] = ["find", "listCollections", "listIndexes"];
/// What a restore needs everywhere.
const WRITE: [&str; 4] = [
    "insert",
    "createCollection",
    "createIndex",
    "dropCollection",
];
/// Where users and roles are.
const AUTHORIZATION: [&str; 2] = ["system.users", "system.roles"];

const GRANT_BACKUP: &str =
    "grant the built-in role backup: db.getSiblingDB('admin').grantRolesToUser('…', ['backup'])";

/// What somebody may do, as [`connectionStatus`](https://www.mongodb.com/docs/manual/reference/command/connectionStatus/) says it.
struct Privileges {
    users: Vec<String>,
    all: Vec<(Resource, BTreeSet<String>)>,
}

/// What actions are about.
#[derive(Debug, PartialEq, Eq)]
enum Resource {
    Anything,
    Cluster,
    /// An empty name stands for all that are no system collections.
    Of {
        db: String,
        collection: String,
    },
    Other,
}

impl Privileges {
    fn parse(reply: &Document) -> Option<Self> {
        let told = reply.get_document("authInfo").ok()?;
        let list = |name: &str| {
            let list = told.get_array(name).ok()?;
            Some(list.iter().filter_map(Bson::as_document))
        };
        let users = list("authenticatedUsers")?;
        let users = users.filter_map(|user| user.get_str("user").ok().map(str::to_owned));
        let all = list("authenticatedUserPrivileges")?.filter_map(|privilege| {
            let actions = privilege.get_array("actions").ok()?.iter();
            let actions = actions.filter_map(Bson::as_str).map(str::to_owned);
            let resource = Resource::parse(privilege.get_document("resource").ok()?);
            Some((resource, actions.collect()))
        });
        Some(Self {
            users: users.collect(),
            all: all.collect(),
        })
    }

    fn may(&self, action: &str, covers: impl Fn(&Resource) -> bool) -> bool {
        let has =
            |actions: &BTreeSet<String>| actions.contains(action) || actions.contains("anyAction");
        self.all
            .iter()
            .any(|(resource, actions)| has(actions) && covers(resource))
    }

    /// On everything that is no system collection.
    fn everywhere(&self, action: &str) -> bool {
        self.may(action, |resource| match resource {
            Resource::Anything => true,
            Resource::Of { db, collection } => db.is_empty() && collection.is_empty(),
            Resource::Cluster | Resource::Other => false,
        })
    }

    fn on_cluster(&self, action: &str) -> bool {
        self.may(action, |it| {
            matches!(it, Resource::Anything | Resource::Cluster)
        })
    }

    fn on_anything(&self, action: &str) -> bool {
        self.may(action, |it| *it == Resource::Anything)
    }

    fn on_system(&self, action: &str, database: &str, name: &str) -> bool {
        self.may(action, |resource| match resource {
            Resource::Anything => true,
            Resource::Of { db, collection } => {
                (db.is_empty() || db == database) && collection == name
            }
            Resource::Cluster | Resource::Other => false,
        })
    }

    /// The databases that may be read as a whole.
    fn readable(&self) -> Vec<String> {
        let of = self
            .all
            .iter()
            .filter_map(|(resource, actions)| match resource {
                Resource::Of { db, collection } if collection.is_empty() && !db.is_empty() => {
                    actions.contains("find").then(|| db.clone())
                }
                _ => None,
            });
        let of: BTreeSet<String> = of.collect();
        of.into_iter().collect()
    }

    /// What of a backup of everything may not be done.
    fn lacking(&self) -> Vec<String> {
        let everywhere = READ.into_iter().filter(|action| !self.everywhere(action));
        let mut lacking: Vec<_> = everywhere
            .map(|action| format!("{action} everywhere"))
            .collect();
        if !self.on_cluster("listDatabases") {
            lacking.push("listDatabases".to_owned());
        }
        for name in AUTHORIZATION {
            if !self.on_system("find", "admin", name) {
                lacking.push(format!("find in admin.{name}"));
            }
        }
        lacking
    }
}

impl Resource {
    fn parse(told: &Document) -> Self {
        let is = |name: &str| told.get_bool(name).unwrap_or(false);
        let text = |name: &str| told.get_str(name).ok().map(str::to_owned);
        match (text("db"), text("collection")) {
            _ if is("anyResource") => Self::Anything,
            _ if is("cluster") => Self::Cluster,
            (Some(db), Some(collection)) => Self::Of { db, collection },
            _ => Self::Other,
        }
    }
}

pub(super) async fn look(
    asked: &Asked,
    held: Option<&Held>,
    (oplog, may_stream): (Readable, Option<bool>),
    findings: &mut Findings,
) {
    captures(asked, held, (oplog, may_stream), findings);
    let listed = asked
        .ask("admin", doc! { "listDatabases": 1, "nameOnly": true })
        .await;
    let status = doc! { "connectionStatus": 1, "showPrivileges": true };
    let told = match asked.ask("admin", status).await {
        Ok(reply) => Privileges::parse(&reply)
            .ok_or_else(|| Error::data("the answer to connectionStatus is malformed")),
        Err(error) => Err(error),
    };
    let privileges = match told {
        Ok(privileges) => privileges,
        Err(error) => {
            for check in [
                Check::BackupPrivileges,
                Check::RestorePrivileges,
                Check::AccessControl,
            ] {
                findings.unknown(check, &error, "");
            }
            return;
        }
    };
    if privileges.users.is_empty() {
        return nobody(&listed, findings);
    }
    findings.good(
        Check::AccessControl,
        format!("logged in as {}", privileges.users.join(", ")),
    );
    backups(&privileges, findings);
    restores(asked, &privileges, findings);
}

/// Nobody is logged in.
fn nobody(listed: &crate::Result<Document>, findings: &mut Findings) {
    match listed {
        Ok(_) => {
            findings.warning(
                Check::AccessControl,
                "nobody has to log in: whoever reaches the server may read and change everything",
                "start the server with --auth, or --keyFile in a replica set, and create users",
            );
            for check in [Check::BackupPrivileges, Check::RestorePrivileges] {
                findings.good(
                    check,
                    "nobody has to log in, and everybody may do everything",
                );
            }
        }
        Err(error) if error.kind() == ErrorKind::Denied => {
            findings.danger(
                Check::BackupPrivileges,
                "nobody is logged in, and who is not may read nothing",
                "give user and password: in the connection string, or by --username",
            );
            findings.good(Check::AccessControl, "who does not log in may do nothing");
        }
        Err(error) => findings.unknown(Check::AccessControl, error, ""),
    }
}

fn backups(privileges: &Privileges, findings: &mut Findings) {
    let check = Check::BackupPrivileges;
    let lacking = privileges.lacking();
    let readable = privileges.readable();
    if lacking.is_empty() {
        return findings.good(check, "the user may read everything that a backup has");
    }
    let lacks = format!("the user may not {}", some(&lacking));
    if privileges.everywhere("find") {
        findings.danger(
            check,
            format!("{lacks}: a backup of everything fails"),
            GRANT_BACKUP,
        );
    } else if readable.is_empty() {
        findings.danger(check, format!("{lacks}: no backup succeeds"), GRANT_BACKUP);
    } else {
        findings.warning(
            check,
            format!("{lacks}: only {} can be backed up", some(&readable)),
            format!("for a backup of everything {GRANT_BACKUP}"),
        );
    }
}

/// What was tried says more than privileges would.
fn captures(
    asked: &Asked,
    held: Option<&Held>,
    (oplog, may_stream): (Readable, Option<bool>),
    findings: &mut Findings,
) {
    let check = Check::CapturePrivileges;
    let is_captured = held.is_some_and(|held| held.end_of(&asked.source).is_some());
    match (oplog, may_stream) {
        (Readable::Yes, _) => findings.good(check, "the user may read the oplog"),
        (Readable::No, Some(true)) => findings.note(
            check,
            "the user may not read the oplog: captures are made by a change stream, which does not tell everything",
            GRANT_BACKUP,
        ),
        (_, Some(true)) => findings.good(check, "the user may open change streams"),
        (Readable::No, _) | (_, Some(false)) => {
            let seen = "the user may read neither the oplog nor a change stream of everything: nothing can be captured";
            match is_captured {
                true => findings.danger(check, seen, GRANT_BACKUP),
                false => findings.warning(check, seen, GRANT_BACKUP),
            }
        }
        // That it has none is told as such.
        (Readable::None, None) => {}
    }
}

fn restores(asked: &Asked, privileges: &Privileges, findings: &mut Findings) {
    let check = Check::RestorePrivileges;
    if !WRITE
        .into_iter()
        .all(|action| privileges.everywhere(action))
    {
        return findings.note(
            check,
            "the user may not restore everything, and need not where it only backs up",
            "for a restore grant the built-in role restore",
        );
    }
    let has_oplog =
        asked.server().flavor == Flavor::MongoDb && asked.server().topology != Topology::Sharded;
    match has_oplog && !privileges.on_anything("applyOps") {
        true => findings.note(
            check,
            "the user may restore snapshots of one moment, and replay no oplog",
            "to restore to other moments (--to-time) and snapshots that need their oplog, grant a role with anyAction on anyResource",
        ),
        false => findings.note(
            check,
            "the user may change everything",
            "who only backs up needs the role backup alone",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn privileges(all: Vec<Bson>) -> Privileges {
        let users = vec![Bson::from(doc! { "user": "keeper", "db": "admin" })];
        let told = doc! { "authenticatedUsers": users, "authenticatedUserPrivileges": all };
        Privileges::parse(&doc! { "authInfo": told }).unwrap()
    }

    fn privilege(resource: Document, actions: &[&str]) -> Bson {
        let actions: Vec<_> = actions.iter().map(|it| Bson::from(*it)).collect();
        doc! { "resource": resource, "actions": actions }.into()
    }

    #[test]
    fn what_is_of_all_databases_is_not_of_system_collections() {
        let all = doc! { "db": "", "collection": "" };
        let of = privileges(vec![
            privilege(all, &READ),
            privilege(doc! { "cluster": true }, &["listDatabases"]),
            privilege(doc! { "db": "shop", "collection": "" }, &["find"]),
        ]);
        assert_eq!(
            of.lacking(),
            ["find in admin.system.users", "find in admin.system.roles"]
        );
        assert_eq!(of.readable(), ["shop"]);
        assert!(!of.on_anything("applyOps") && !of.everywhere("insert"));
        let of = privileges(vec![privilege(
            doc! { "anyResource": true },
            &["anyAction"],
        )]);
        assert_eq!(of.lacking(), [""; 0]);
        assert!(of.on_anything("applyOps") && of.everywhere("insert"));
        let of = privileges(vec![privilege(
            doc! { "db": "admin", "collection": "system.users" },
            &["find"],
        )]);
        assert_eq!(of.lacking().len(), 5);
        assert!(Privileges::parse(&doc! { "ok": 1 }).is_none());
    }
}
