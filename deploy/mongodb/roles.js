// The least roles for rdump: mongosh --file roles.js mongodb://admin@host/admin
// Give each process a user of its own: db.createUser({user: "backup", pwd: passwordPrompt(), roles: ["rdumpBackup"]})

// rdump backup, rdump, rdump status: reads everything, users and roles too, and the oplog while it reads.
db.getSiblingDB("admin").runCommand({
  "createRole": "rdumpBackup",
  "roles": [],
  "privileges": [
    { "resource": { "cluster": true }, "actions": ["listDatabases"] },
    { "resource": { "db": "", "collection": "" }, "actions": ["find", "listCollections", "listIndexes"] },
    { "resource": { "db": "", "collection": "system.js" }, "actions": ["find", "listIndexes"] },
    { "resource": { "db": "", "system_buckets": "" }, "actions": ["find"] },
    { "resource": { "db": "admin", "collection": "system.users" }, "actions": ["find", "listIndexes"] },
    { "resource": { "db": "admin", "collection": "system.roles" }, "actions": ["find", "listIndexes"] },
    { "resource": { "db": "admin", "collection": "system.version" }, "actions": ["find", "listIndexes"] },
    { "resource": { "db": "config", "collection": "" }, "actions": ["find", "listCollections", "listIndexes"] },
    { "resource": { "db": "config", "collection": "transactions" }, "actions": ["find"] },
    { "resource": { "db": "local", "collection": "oplog.rs" }, "actions": ["find"] }
  ]
});

// rdump capture: reads the oplog, or a change stream of everything.
db.getSiblingDB("admin").runCommand({
  "createRole": "rdumpCapture",
  "roles": [],
  "privileges": [
    { "resource": { "db": "", "collection": "" }, "actions": ["changeStream", "find", "listCollections"] },
    { "resource": { "db": "config", "collection": "transactions" }, "actions": ["find"] },
    { "resource": { "db": "local", "collection": "oplog.rs" }, "actions": ["find"] }
  ]
});

// rrestore: writes everything, users and roles too, and what was captured.
db.getSiblingDB("admin").runCommand({
  "createRole": "rdumpRestore",
  "roles": [],
  "privileges": [
    { "resource": { "cluster": true }, "actions": ["listDatabases", "getParameter", "applyOps", "forceUUID", "useUUID"] },
    { "resource": { "db": "", "collection": "" }, "actions": [
      "find", "insert", "update", "remove", "bypassDocumentValidation", "listCollections", "listIndexes", "createCollection", "createIndex",
      "dropCollection", "dropIndex", "dropDatabase", "collMod", "convertToCapped", "renameCollectionSameDB",
      "createUser", "createRole", "grantRole", "revokeRole", "dropUser", "dropRole", "changeCustomData", "changePassword", "viewUser", "viewRole"] },
    { "resource": { "db": "", "collection": "system.js" }, "actions": ["bypassDocumentValidation", "find", "insert", "update", "remove", "listIndexes", "createCollection", "createIndex"] },
    { "resource": { "db": "", "collection": "system.views" }, "actions": ["bypassDocumentValidation", "find", "insert", "update", "remove", "createCollection"] },
    { "resource": { "db": "", "system_buckets": "" }, "actions": ["bypassDocumentValidation", "find", "insert", "update", "remove", "createCollection", "createIndex", "dropCollection", "listIndexes"] },
    { "resource": { "db": "admin", "collection": "system.users" }, "actions": ["bypassDocumentValidation", "find", "insert", "update", "remove"] },
    { "resource": { "db": "admin", "collection": "system.roles" }, "actions": ["bypassDocumentValidation", "find", "insert", "update", "remove"] },
    { "resource": { "db": "admin", "collection": "system.version" }, "actions": ["find"] }
  ]
});
