//! Views.

use bson::{RawBson, rawdoc};

use super::Dataset;

/// Views, views on views, and views on nothing; with collations, and with pipelines whose order matters.
pub fn views() -> Dataset {
    Dataset::new("views", &["views"], |seeder| async move {
        let documents =
            (0..100).map(|id| rawdoc! { "_id": id, "group": id % 7, "name": format!("n{id}") });
        seeder.insert("views", "numbers", documents).await;
        let none = RawBson::Array(bson::RawArrayBuf::new());
        // The order of the keys of `$sort` and of the fields of `$project` is part of the view.
        let sorted = rawdoc! { "viewOn": "numbers", "pipeline": [
            { "$match": { "group": { "$gte": 2_i64, "$lte": 5.0 } } },
            { "$sort": { "z": -1, "group": 1, "a": -1 } },
            { "$project": { "name": 1, "group": "$group", "constant": { "$literal": "$\"quoted\" \\ ü" } } },
        ] };
        let on_view = rawdoc! { "viewOn": "sorted", "pipeline": [
            { "$group": { "_id": "$group", "names": { "$push": "$name" }, "count": { "$sum": 1 } } },
        ] };
        let joined = rawdoc! { "viewOn": "on view", "pipeline": [
            { "$lookup": { "from": "numbers", "localField": "_id", "foreignField": "group", "as": "numbers" } },
        ] };
        let collated = rawdoc! {
            "viewOn": "numbers", "pipeline": [{ "$match": { "name": "N1" } }],
            "collation": { "locale": "en", "strength": 2 },
        };
        // Listed before what they are built on.
        let early = rawdoc! { "viewOn": "zz", "pipeline": [{ "$limit": 3 }] };
        let late = rawdoc! { "viewOn": "numbers", "pipeline": none.clone() };
        let on_nothing = rawdoc! { "viewOn": "not there", "pipeline": none };
        for (name, options) in [
            ("sorted", sorted),
            ("on view", on_view),
            ("joined", joined),
            ("collated", collated),
            ("aa", early),
            ("zz", late),
            ("on nothing/ü", on_nothing),
        ] {
            seeder.create("views", name, &options).await;
        }
    })
}
