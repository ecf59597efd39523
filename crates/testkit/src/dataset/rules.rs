//! Collations and validators.

use bson::{RawDocumentBuf, Regex, rawdoc};

use super::Dataset;

/// Collections with a default collation, and indexes that inherit it, override it or switch it off.
pub fn collations() -> Dataset {
    Dataset::new("collations", &["collations"], |seeder| async move {
        let names = [
            "Zürich", "zurich", "ZURICH", "Öl", "ol", "résumé", "resume", "10", "9",
        ];
        let documents: Vec<RawDocumentBuf> = names
            .into_iter()
            .zip(0..)
            .map(|(name, id)| rawdoc! { "_id": id, "name": name, "number": id })
            .collect();
        let german = rawdoc! { "collation": {
            "locale": "de", "strength": 1, "caseLevel": true, "caseFirst": "upper", "numericOrdering": true,
            "alternate": "shifted", "maxVariable": "space", "backwards": false, "normalization": true,
        } };
        let short = rawdoc! { "collation": { "locale": "fr_CA" } };
        for (collection, options) in [("german", german), ("french", short), ("none", rawdoc! {})] {
            seeder.create("collations", collection, &options).await;
            seeder
                .insert("collations", collection, documents.clone())
                .await;
            let indexes = [
                rawdoc! { "key": { "name": 1 }, "name": "inherited" },
                rawdoc! { "key": { "name": 1 }, "name": "simple", "collation": { "locale": "simple" } },
                rawdoc! { "key": { "name": 1 }, "name": "swedish", "collation": { "locale": "sv", "strength": 2 } },
                rawdoc! { "key": { "number": -1, "name": 1 }, "name": "unique", "unique": true },
            ];
            // On a collection without collation the first two are one and the same.
            let skipped = usize::from(collection == "none");
            seeder
                .index("collations", collection, indexes.into_iter().skip(skipped))
                .await;
        }
        // Ids that differ by case only are the same to this collection.
        let folded = rawdoc! { "collation": { "locale": "en", "strength": 2 } };
        seeder.create("collations", "folded ids", &folded).await;
        let ids = ["a", "B", "c", "D"].map(|id| rawdoc! { "_id": id });
        seeder.insert("collations", "folded ids", ids).await;
    })
}

/// Collections with validators that their own documents violate.
pub fn validators() -> Dataset {
    Dataset::new("validators", &["validators"], |seeder| async move {
        let schema = rawdoc! { "$jsonSchema": {
            "title": "A \"person\"",
            "bsonType": "object",
            "required": ["name", "age"],
            "additionalProperties": true,
            "properties": {
                "name": { "bsonType": "string", "pattern": "^[A-Z]\\w+(\\s|$)", "description": "it's \\ a 'name'\n" },
                "age": { "bsonType": ["int", "long"], "minimum": 0_i64, "maximum": 150.0 },
                "address": { "bsonType": "object", "properties": { "zip": { "enum": ["1", 2, null] } } },
            },
        } };
        let regex = Regex {
            pattern: "^a/\"b\\.".try_into().expect("no NUL"),
            options: "i".try_into().expect("no NUL"),
        };
        let expression = rawdoc! {
            "$expr": { "$and": [
                { "$gt": ["$total", { "$add": ["$net", { "$multiply": ["$net", 0.19] }] }] },
                { "$cond": {
                    "if": { "$eq": ["$a", "$$ROOT.b"] }, "then": true, "else": { "$in": ["$c", [1, 2.0, 3_i64]] },
                } },
            ] },
            "name": regex,
            "$or": [{ "z": 1, "a": 2 }, { "a": { "$type": "string" }, "z": { "$exists": false } }],
        };
        let plain = rawdoc! { "age": { "$gte": 18 } };
        for (collection, validator, level, action) in [
            ("schema", schema, "strict", "error"),
            ("expression", expression, "moderate", "error"),
            ("warning", plain, "strict", "warn"),
        ] {
            let documents = (0..20).map(|id| rawdoc! { "_id": id, "name": id, "age": "unknown" });
            seeder.insert("validators", collection, documents).await;
            // Today's documents stay, though none of them is valid.
            let change = rawdoc! {
                "collMod": collection, "validator": validator, "validationLevel": level, "validationAction": action,
            };
            seeder.command("validators", change).await;
        }
        let created = rawdoc! {
            "validator": { "n": { "$lt": 3 } }, "validationLevel": "off", "validationAction": "error",
        };
        seeder.create("validators", "off", &created).await;
        let documents = (0..5).map(|id| rawdoc! { "_id": id, "n": id });
        seeder.insert("validators", "off", documents).await;
    })
}
