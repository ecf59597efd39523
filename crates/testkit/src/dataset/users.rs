//! Users and roles.

use bson::rawdoc;

use super::Dataset;

/// Password of every user of [`users_and_roles`].
pub const PASSWORD: &str = "pass wörd/@:";

/// Users and roles in `admin` and in `accounts`, with data of their own, restrictions and inherited roles.
///
/// Not part of [`all`](super::all): it writes into `admin`, and salts and ids differ from seeding to seeding.
pub fn users_and_roles() -> Dataset {
    Dataset::new("users-and-roles", &["accounts"], |seeder| async move {
        seeder
            .insert("accounts", "things", [rawdoc! { "_id": 1 }])
            .await;
        let auditor = rawdoc! {
            "createRole": "auditor",
            "privileges": [
                { "resource": { "db": "accounts", "collection": "" }, "actions": ["find", "collStats"] },
                { "resource": { "cluster": true }, "actions": ["serverStatus"] },
            ],
            "roles": [{ "role": "read", "db": "accounts" }],
            "authenticationRestrictions": [{ "clientSource": ["127.0.0.1", "10.0.0.0/8"] }],
        };
        seeder.command("admin", auditor).await;
        let clerk = rawdoc! {
            "createRole": "clerk",
            "privileges": [
                { "resource": { "db": "accounts", "collection": "things" }, "actions": ["insert", "update"] },
            ],
            "roles": ["read"],
        };
        seeder.command("accounts", clerk).await;
        let chief =
            rawdoc! { "createRole": "chief", "privileges": [], "roles": ["clerk", "dbAdmin"] };
        seeder.command("accounts", chief).await;

        let ann = rawdoc! {
            "createUser": "ann", "pwd": PASSWORD, "roles": ["readWriteAnyDatabase", "auditor"],
            "customData": { "employee": 7_i64, "note": "first" },
        };
        seeder.command("admin", ann).await;
        let bob = rawdoc! {
            "createUser": "bob", "pwd": PASSWORD, "roles": ["chief", { "role": "read", "db": "other" }],
            "mechanisms": ["SCRAM-SHA-256"],
            "authenticationRestrictions": [{ "clientSource": ["127.0.0.1"], "serverAddress": ["127.0.0.1"] }],
        };
        seeder.command("accounts", bob).await;
        let odd = rawdoc! {
            "createUser": "o'brien@ü/%2F", "pwd": PASSWORD, "roles": [], "mechanisms": ["SCRAM-SHA-1"],
        };
        seeder.command("accounts", odd).await;
    })
}
