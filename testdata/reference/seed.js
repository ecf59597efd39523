// Fills an empty replica set: mongosh <uri> seed.js

const shop = db.getSiblingDB("shop");

shop.createCollection("orders", { validator: { total: { $gte: 0 } } });
shop.orders.createIndex({ customer: 1, total: -1 }, { name: "by customer" });
shop.orders.createIndex({ at: 1 }, { expireAfterSeconds: 2000000000 });
shop.orders.insertMany(
  Array.from({ length: 40 }, (_, n) => ({
    _id: n,
    customer: "c" + (n % 7),
    total: NumberDecimal(n + ".50"),
    at: new Date(Date.UTC(2024, 0, 1 + n)),
    lines: [{ sku: "s" + n, count: NumberLong(String(n)) }],
  })),
);

shop.types.insertMany([
  { _id: "double", value: 1.5 },
  { _id: "document", value: { a: { b: {} } } },
  { _id: "array", value: [1, [], "x"] },
  { _id: "binary", value: BinData(0, "AAECAw==") },
  { _id: "uuid", value: UUID("00112233-4455-6677-8899-aabbccddeeff") },
  { _id: "objectId", value: ObjectId("65920080c0ffee0123456789") },
  { _id: "booleans", value: [true, false] },
  { _id: "date", value: new Date(-1) },
  { _id: "null", value: null },
  { _id: "regex", value: /^a.b$/im },
  { _id: "code", value: Code("return 1") },
  { _id: "scope", value: Code("return x", { x: 1 }) },
  { _id: "timestamp", value: Timestamp({ t: 1700000000, i: 7 }) },
  { _id: "long", value: NumberLong("9007199254740993") },
  { _id: "decimal", value: NumberDecimal("1E-6176") },
  { _id: "keys", value: [MinKey(), MaxKey()] },
]);

shop.createCollection("caf\u00e9 & more/50%.\n", { collation: { locale: "de", strength: 2 } });
shop.getCollection("caf\u00e9 & more/50%.\n").insertMany([{ _id: "\u00e4" }, { _id: "b" }]);

shop.createCollection("empty", { capped: true, size: 4096, max: 3 });
shop.createView("open orders", "orders", [{ $match: { total: { $lt: NumberDecimal("10") } } }]);

shop.createCollection("prices", {
  timeseries: { timeField: "at", metaField: "of", granularity: "hours" },
});
shop.prices.insertMany(
  Array.from({ length: 24 }, (_, n) => ({
    _id: n,
    at: new Date(Date.UTC(2024, 0, 1, n)),
    of: "share " + (n % 3),
    price: n / 4,
  })),
);

shop.createRole({
  role: "clerk",
  privileges: [{ resource: { db: "shop", collection: "orders" }, actions: ["find"] }],
  roles: [],
});
shop.createUser({ user: "ann", pwd: "of no account", roles: ["clerk"], mechanisms: ["SCRAM-SHA-256"] });
db.getSiblingDB("admin").createUser({
  user: "root",
  pwd: "of no account",
  roles: ["root"],
  mechanisms: ["SCRAM-SHA-256"],
});
