//! What exists in a deployment: databases, collections, their options and indexes, as raw as the server
//! gives them.

use bson::{Document, RawDocument, RawDocumentBuf, doc, spec::BinarySubtype};
use futures::TryStreamExt;
use mongodb::options::SelectionCriteria;
use rdump_format::{Namespace, check_database_name};
use rdump_oplog::OpTime;

use crate::{
    Error, ErrorKind, Result,
    command::{self, code},
    connect::Deployment,
};

/// One entry of [`listCollections`](https://www.mongodb.com/docs/manual/reference/command/listCollections/).
#[derive(Clone, Debug)]
pub(crate) struct CollectionEntry {
    pub(crate) name: String,
    pub(crate) kind: CollectionKind,
    pub(crate) options: RawDocumentBuf,
    pub(crate) uuid: Option<[u8; 16]>,
}

/// What kind of collection the server says it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CollectionKind {
    Collection,
    View,
    TimeSeries,
}

impl CollectionKind {
    /// What the server has this word for; old ones have none.
    pub(crate) fn named(name: Option<&str>) -> Self {
        match name {
            Some("view") => Self::View,
            Some("timeseries") => Self::TimeSeries,
            _ => Self::Collection,
        }
    }

    /// The server's word for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Collection => "collection",
            Self::View => "view",
            Self::TimeSeries => "timeseries",
        }
    }
}

/// How large the server thinks a collection is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Statistics {
    pub(crate) documents: u64,
    pub(crate) bytes: u64,
}

/// Reads the catalog of a deployment on members that fit a read preference.
#[derive(Debug)]
pub(crate) struct Catalog<'a> {
    pub(crate) deployment: &'a Deployment,
    pub(crate) from: &'a SelectionCriteria,
    /// What was written until then is seen, by whoever was still at it as well; none if it does not matter.
    pub(crate) not_before: Option<OpTime>,
}

impl Catalog<'_> {
    /// The names of all databases that this user may see, and whether they are known to be all there are.
    pub(crate) async fn databases(&self) -> Result<(Vec<String>, bool)> {
        let admin = self.deployment.database("admin");
        let mut list = doc! { "listDatabases": 1, "nameOnly": true };
        list.extend(self.not_before.map(command::not_before));
        // Without the privilege to list all of them, the server names those that may be read and does not say so.
        let mut all = list.clone();
        all.insert("authorizedDatabases", false);
        let (reply, complete) = match command::read(&admin, all, self.from).await {
            Err(error) if !error.is_retryable() => {
                let reply = command::read(&admin, list, self.from).await?;
                (reply, error.kind() != ErrorKind::Denied)
            }
            reply => (reply?, true),
        };
        Ok((database_names(&reply)?, complete))
    }

    /// The collections of one database, in the server's order; those that fit `filter`.
    pub(crate) async fn collections(
        &self,
        db: &str,
        filter: Document,
    ) -> Result<Vec<CollectionEntry>> {
        let command = doc! { "listCollections": 1, "filter": filter, "cursor": {} };
        let entries = self.cursor(db, command).await.map_err(command::error)?;
        entries
            .iter()
            .map(|entry| CollectionEntry::parse(entry))
            .collect()
    }

    /// One collection, if it exists.
    pub(crate) async fn collection(
        &self,
        namespace: &Namespace,
    ) -> Result<Option<CollectionEntry>> {
        let found = self
            .collections(&namespace.db, doc! { "name": &namespace.collection })
            .await?;
        Ok(found.into_iter().next())
    }

    /// The indexes of one collection in the server's order; none if it is gone or a view.
    pub(crate) async fn indexes(&self, namespace: &Namespace) -> Result<Vec<RawDocumentBuf>> {
        let command = doc! { "listIndexes": namespace.collection.as_str(), "cursor": {} };
        match self.cursor(&namespace.db, command).await {
            Ok(indexes) => Ok(indexes),
            Err(error) => match command::server_code(&error) {
                Some(code::NAMESPACE_NOT_FOUND | code::COMMAND_NOT_SUPPORTED_ON_VIEW) => {
                    Ok(Vec::new())
                }
                _ => Err(command::error(error).for_namespace(namespace)),
            },
        }
    }

    /// How large the server thinks a collection is; zeros where it does not say.
    ///
    /// With `raw_data` the documents of a time-series collection are its buckets.
    pub(crate) async fn statistics(
        &self,
        namespace: &Namespace,
        raw_data: bool,
    ) -> Result<Statistics> {
        let database = self.deployment.database(&namespace.db);
        let number = |reply: &Document, field: &str| {
            let value = reply.get(field).and_then(crate::connect::whole_number);
            value
                .and_then(|value| u64::try_from(value).ok())
                .unwrap_or(0)
        };
        // From the collection's counters: unlike collStats it costs the same for any number of indexes.
        let size = doc! { "dataSize": namespace.to_string(), "estimate": true };
        match command::read(&database, size, self.from).await {
            Ok(reply) => Ok(Statistics {
                documents: number(&reply, "numObjects"),
                bytes: number(&reply, "size"),
            }),
            Err(error) if error.is_retryable() => Err(error.for_namespace(namespace)),
            // Not every server has the command, nor every user the privilege.
            Err(_) => {
                let mut count = doc! { "count": namespace.collection.as_str() };
                if raw_data {
                    count.insert("rawData", true);
                }
                match command::read(&database, count, self.from).await {
                    Err(error) if error.is_retryable() => Err(error.for_namespace(namespace)),
                    count => Ok(Statistics {
                        documents: count.map(|reply| number(&reply, "n")).unwrap_or(0),
                        bytes: 0,
                    }),
                }
            }
        }
    }

    async fn cursor(
        &self,
        db: &str,
        mut command: Document,
    ) -> mongodb::error::Result<Vec<RawDocumentBuf>> {
        command.extend(self.not_before.map(command::not_before));
        let database = self.deployment.database(db);
        let cursor = database
            .run_cursor_command(command)
            .selection_criteria(self.from.clone())
            .await?;
        cursor.with_type::<RawDocumentBuf>().try_collect().await
    }
}

/// The names in a reply to `listDatabases`.
fn database_names(reply: &Document) -> Result<Vec<String>> {
    let databases = reply
        .get_array("databases")
        .map_err(|error| reply_error("listDatabases", error))?;
    let names = databases.iter().map(|database| {
        let name = database
            .as_document()
            .and_then(|database| database.get_str("name").ok())
            .unwrap_or_default();
        // The name becomes a folder's: one that leads elsewhere must not be followed.
        check_database_name(name).map_err(|error| {
            Error::data("the server named a database that cannot be one").caused_by(error)
        })?;
        Ok(name.to_owned())
    });
    names.collect()
}

impl CollectionEntry {
    fn parse(entry: &RawDocument) -> Result<Self> {
        let invalid = |error: bson::error::Error| reply_error("listCollections", error);
        let name = entry
            .get_str("name")
            .map_err(|error| reply_error("listCollections", error))?
            .to_owned();
        let kind = entry.get("type").map_err(invalid)?;
        let kind = CollectionKind::named(kind.and_then(|kind| kind.as_str()));
        let options = entry
            .get("options")
            .map_err(invalid)?
            .and_then(|options| options.as_document());
        let info = entry
            .get("info")
            .map_err(invalid)?
            .and_then(|info| info.as_document());
        let uuid = info
            .and_then(|info| info.get("uuid").ok().flatten())
            .and_then(|uuid| uuid.as_binary());
        let uuid = uuid.filter(|uuid| uuid.subtype == BinarySubtype::Uuid);
        let uuid = uuid.and_then(|uuid| <[u8; 16]>::try_from(uuid.bytes).ok());
        Ok(Self {
            name,
            kind,
            options: options.map(ToOwned::to_owned).unwrap_or_default(),
            uuid,
        })
    }
}

fn reply_error(command: &str, error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::data(format!("the server's answer to {command} is malformed")).caused_by(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_database_whose_name_leads_out_of_the_dump_is_refused() {
        // TOOLS-4117.
        let reply = |name: &str| doc! { "databases": [{ "name": "shop" }, { "name": name }] };
        assert_eq!(database_names(&reply("x")).unwrap(), ["shop", "x"]);
        for name in ["..", ".", "../etc", "/etc", "a/b", "a\\b", "a\0b", ""] {
            let error = database_names(&reply(name)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Data, "{name:?}");
        }
        database_names(&doc! { "ok": 1 }).unwrap_err();
    }
}
