//! Where a dump has users and roles.

use crate::namespace::Namespace;

/// What a collection of `admin` has about who may do what, and what it is called in a dump.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[expect(
    clippy::exhaustive_enums,
    reason = "servers have these three, and no match may overlook one"
)]
pub enum Authorization {
    /// `admin.system.users`.
    Users,
    /// `admin.system.roles`.
    Roles,
    /// `admin.system.version`: the version that users and roles have.
    Version,
}

/// What the names of users and roles that were dumped with one database start with.
const DUMPED_WITH_DATABASE: &str = "$admin.";

/// Whether a collection of a dump holds users, roles or their version that were dumped with its database.
pub(crate) fn is_dumped_with_database(collection: &str) -> bool {
    let name = collection.strip_prefix(DUMPED_WITH_DATABASE);
    name.is_some_and(|name| {
        Authorization::ALL
            .iter()
            .any(|this| this.collection() == name)
    })
}

impl Authorization {
    const ALL: [Self; 3] = [Self::Users, Self::Roles, Self::Version];

    /// What `namespace` of a dump holds, if that is users, roles or their version: those of the whole deployment, in
    /// `admin`, or those of the one database that was dumped, in a collection of it called `$admin.system.users` and
    /// the like.
    #[must_use]
    pub fn of(namespace: &Namespace) -> Option<Self> {
        let collection = match namespace.collection.strip_prefix(DUMPED_WITH_DATABASE) {
            Some(collection) => collection,
            None if namespace.db == "admin" => &namespace.collection,
            None => return None,
        };
        Self::ALL
            .into_iter()
            .find(|this| this.collection() == collection)
    }

    /// The name of the collection of `admin`.
    #[must_use]
    pub fn collection(self) -> &'static str {
        match self {
            Self::Users => "system.users",
            Self::Roles => "system.roles",
            Self::Version => "system.version",
        }
    }

    /// The namespace that a dump of one database has for it.
    #[must_use]
    pub fn dumped_with(self, db: &str) -> Namespace {
        Namespace::new(db, format!("{DUMPED_WITH_DATABASE}{}", self.collection()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_and_roles_are_told_apart_from_collections_that_are_called_alike() {
        let of = |namespace: &str| Authorization::of(&namespace.parse().unwrap());
        assert_eq!(of("admin.system.users"), Some(Authorization::Users));
        assert_eq!(of("shop.$admin.system.roles"), Some(Authorization::Roles));
        assert_eq!(
            of("admin.$admin.system.version"),
            Some(Authorization::Version)
        );
        for other in [
            "shop.system.users",
            "admin.system.js",
            "admin.users",
            "shop.$admin.users",
            "shop.admin.system.users",
        ] {
            assert_eq!(of(other), None, "{other}");
        }
    }

    #[test]
    fn what_is_dumped_with_a_database_is_known_again() {
        let namespace = Authorization::Users.dumped_with("shop");
        assert_eq!(namespace.to_string(), "shop.$admin.system.users");
        assert_eq!(Authorization::of(&namespace), Some(Authorization::Users));
    }
}
