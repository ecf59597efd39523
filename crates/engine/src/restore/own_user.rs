//! The user that restores, and the roles it has: a merge of users and roles that drops all others leaves them.

use std::sync::Arc;

use bson::{Bson, Document, doc};
use rdump_format::{Authorization, Namespace};

use super::{
    authorization::{ADMIN, PlannedAuthorization},
    plan::PlannedNamespace,
    run::Shared,
};
use crate::{ErrorKind, Result, command, retry::patiently};

impl Shared {
    /// Puts the user that restores and the roles it has among those to be merged: else they would be dropped with all
    /// others that are not in the dump, before its work is done.
    pub(super) async fn keep_own_user(
        &self,
        planned: &PlannedAuthorization,
        empty: impl Fn(&Namespace) -> bool,
    ) -> Result<()> {
        let merged = |part: &Option<Arc<PlannedNamespace>>| {
            let part = part.as_ref().map(|part| part.namespace.clone());
            part.filter(|part| !empty(part))
        };
        let status = self.keeping(doc! { "connectionStatus": 1 }).await?;
        let listed = |list: &str| {
            let info = status.get_document("authInfo");
            let list = info.ok().and_then(|info| info.get_array(list).ok());
            let list = list.into_iter().flatten().filter_map(Bson::as_document);
            list.filter(|entry| {
                let db = entry.get_str("db");
                db.is_ok_and(|db| planned.db.is_empty() || planned.db == db)
            })
        };
        // What the dump has of a user is with what the dump has of roles.
        let mut is_dumped = false;
        if let Some(users) = merged(&planned.users) {
            for user in listed("authenticatedUsers") {
                let Some(user) = self.own_user(user).await? else {
                    continue;
                };
                is_dumped |= !self
                    .keep(&user, &users, "it is the one that restores")
                    .await?;
            }
        }
        if let Some(roles) = merged(&planned.roles).filter(|_| !is_dumped) {
            let own = listed("authenticatedUserRoles").cloned().map(Bson::from);
            for role in self.own_roles(own.collect()).await? {
                self.keep(&role, &roles, "the user that restores has it")
                    .await?;
            }
        }
        Ok(())
    }

    /// The user of this name as the server stores it, if it does and shows it.
    async fn own_user(&self, user: &Document) -> Result<Option<Document>> {
        let (Ok(name), Ok(db)) = (user.get_str("user"), user.get_str("db")) else {
            return Ok(None);
        };
        let find = doc! {
            "find": Authorization::Users.collection(),
            "filter": { "_id": format!("{db}.{name}") },
            "singleBatch": true,
        };
        let found = match self.keeping(find).await {
            // Who may not read users cannot be kept.
            Err(error) if error.kind() == ErrorKind::Denied => return Ok(None),
            found => found?,
        };
        let cursor = found.get_document("cursor").ok();
        let batch = cursor.and_then(|cursor| cursor.get_array("firstBatch").ok());
        let user = batch.and_then(|batch| batch.first());
        Ok(user.and_then(Bson::as_document).cloned())
    }

    /// Those of the roles that are not built in, as the server stores them. These are all that the user has, those that
    /// it has by others too; it may look at its own, but not into the collection.
    async fn own_roles(&self, roles: Vec<Bson>) -> Result<Vec<Document>> {
        let ask = doc! {
            "rolesInfo": roles, "showPrivileges": true, "showAuthenticationRestrictions": true,
        };
        let reply = self.keeping(ask).await?;
        let infos = reply.get_array("roles").into_iter().flatten();
        let infos = infos
            .filter_map(Bson::as_document)
            .filter(|info| !info.get_bool("isBuiltin").unwrap_or(false));
        Ok(infos
            .filter_map(|info| {
                let (role, db) = (info.get_str("role").ok()?, info.get_str("db").ok()?);
                let mut stored = doc! { "_id": format!("{db}.{role}"), "role": role, "db": db };
                for field in ["privileges", "roles"] {
                    stored.insert(field, info.get_array(field).ok()?.clone());
                }
                let field = "authenticationRestrictions";
                let restrictions = info.get_array(field).into_iter().flatten();
                // They are stored in one array, and shown in an array of that.
                let restrictions = restrictions.flat_map(|shown| match shown {
                    Bson::Array(stored) => stored.clone(),
                    other => vec![other.clone()],
                });
                let restrictions: Vec<Bson> = restrictions.collect();
                if !restrictions.is_empty() {
                    stored.insert(field, restrictions);
                }
                Some(stored)
            })
            .collect())
    }

    /// Puts a user or role that the server has among those to be merged, and tells of it, or returns false if the dump
    /// has it, and it becomes that.
    async fn keep(&self, stored: &Document, among: &Namespace, reason: &str) -> Result<bool> {
        let insert = doc! { "insert": &among.collection, "documents": [stored.clone()] };
        let inserted = self.keeping(insert).await?;
        // One that is in the dump too is a duplicate.
        let is_kept = inserted.get_i32("n").is_ok_and(|n| n == 1);
        if is_kept {
            let what = if stored.contains_key("role") {
                "role"
            } else {
                "user"
            };
            let id = stored.get_str("_id").unwrap_or_default();
            let message = format!("{what} {id} is not in the dump, and kept: {reason}");
            self.cx.notice(None, message);
        }
        Ok(is_kept)
    }

    /// Runs a command of keeping the user that restores.
    async fn keeping(&self, command: Document) -> Result<Document> {
        let admin = self.deployment.database(ADMIN);
        let what = "keeping the user that restores";
        patiently(&self.cx, self.options.max_retries, None, what, || {
            command::run(&admin, command.clone())
        })
        .await
    }
}
