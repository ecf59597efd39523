//! Whose server it is.

use std::{fmt, str::FromStr};

use bson::{Document, doc};
use mongodb::Client;
use serde::{Deserialize, Serialize};

/// Whose server it is, as far as that matters.
///
/// # Examples
///
/// ```
/// use rdump::Flavor;
///
/// assert_eq!("documentdb".parse(), Ok(Flavor::DocumentDb));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Flavor {
    /// MongoDB, and what behaves as it does.
    MongoDb,
    /// [Amazon DocumentDB](https://docs.aws.amazon.com/documentdb/latest/developerguide/functional-differences.html): it has no oplog, reads nothing at one moment, and
    /// refuses fields of commands that it does not know.
    DocumentDb,
}

impl fmt::Display for Flavor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MongoDb => "mongodb",
            Self::DocumentDb => "documentdb",
        })
    }
}

impl FromStr for Flavor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let all = [Self::MongoDb, Self::DocumentDb];
        let found = all.into_iter().find(|it| it.to_string() == text);
        found
            .ok_or_else(|| format!("{text:?} is none of them: mongodb and documentdb are possible"))
    }
}

impl Flavor {
    /// Finds out by a question that only Amazon DocumentDB understands, where the answer to `hello` is not that of MongoDB.
    pub(super) async fn probe(client: &Client, hello: &Document) -> Self {
        if hello.contains_key("$clusterTime") || !hello.contains_key("setName") {
            return Self::MongoDb;
        }
        let named = hello.get_str("me").unwrap_or_default();
        let named = named.split(':').next().unwrap_or_default();
        let list = doc! { "aggregate": 1, "pipeline": [{ "$listChangeStreams": 1 }], "cursor": {} };
        let answer = client.database("admin").run_command(list).await;
        match answer {
            Ok(_) => Self::DocumentDb,
            Err(_) if named.ends_with(".docdb.amazonaws.com") => Self::DocumentDb,
            Err(_) => Self::MongoDb,
        }
    }
}
