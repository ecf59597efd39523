//! Events of a change stream, as the entries of an oplog that would do the same.

#[cfg(test)]
#[expect(
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]
mod tests;
mod update;

use bson::{RawDocument, RawDocumentBuf, Timestamp};
use rdump_format::element::{Element, Elements, Value};
use rdump_format::{InvalidBson, Namespace};

use crate::OpTime;
use crate::document::DocumentBuilder;

/// How long the operations of one entry get, in bytes, before there is another one.
const ENTRY_BYTES: usize = 8 << 20;
/// What no server knows: nothing tells what is written to such a collection.
const CREATE_TIME_SERIES: &str = "createTimeSeries";

/// A borrowed view of one [change event](https://www.mongodb.com/docs/manual/reference/change-events/).
///
/// # Examples
///
/// ```
/// use rdump_oplog::{ChangeEvent, Entry, EventEntries};
///
/// let event = bson::rawdoc! {
///     "_id": { "_data": "82…" }, "operationType": "insert", "clusterTime": bson::Timestamp { time: 7, increment: 1 },
///     "ns": { "db": "shop", "coll": "orders" }, "documentKey": { "_id": 1 }, "fullDocument": { "_id": 1 },
/// };
/// let event = ChangeEvent::parse(event.as_bytes())?;
/// let mut entries = EventEntries::new(event.at());
/// entries.push(&event)?;
/// let entries = entries.build();
/// let entry = Entry::parse(entries[0].as_bytes())?;
/// assert_eq!((entry.operation(), entry.namespace()), ("i", "shop.orders"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct ChangeEvent<'a> {
    at: OpTime,
    kind: &'a str,
    namespace: Option<Namespace>,
    token: &'a [u8],
    fields: Fields<'a>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Fields<'a> {
    at: Option<Value<'a>>,
    kind: Option<Value<'a>>,
    token: Option<&'a [u8]>,
    namespace: Option<&'a [u8]>,
    to: Option<&'a [u8]>,
    key: Option<&'a [u8]>,
    full_document: Option<&'a [u8]>,
    update: Option<&'a [u8]>,
    operation: Option<&'a [u8]>,
    collection_uuid: Option<Element<'a>>,
    wall_time: Option<Element<'a>>,
}

impl<'a> ChangeEvent<'a> {
    /// Reads an event.
    ///
    /// # Errors
    ///
    /// [`ChangeEventError`] if it is none.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, ChangeEventError> {
        let at = OpTime::default();
        let bson = |source| ChangeEventError::Bson { at, source };
        let mut fields = Fields::default();
        for element in Elements::of(bytes).map_err(bson)? {
            fields.set(element.map_err(bson)?);
        }
        let Some(Value::Timestamp { time, increment }) = fields.at else {
            return Err(ChangeEventError::missing("clusterTime", at));
        };
        let at = OpTime::from(Timestamp { time, increment });
        let kind = fields.kind.and_then(text);
        let namespace = match fields.namespace {
            Some(namespace) => Some(read_namespace(namespace, at)?),
            None => None,
        };
        Ok(Self {
            at,
            kind: kind.ok_or_else(|| ChangeEventError::missing("operationType", at))?,
            namespace,
            token: fields
                .token
                .ok_or_else(|| ChangeEventError::missing("_id", at))?,
            fields,
        })
    }

    /// When it happened: `clusterTime`.
    #[must_use]
    pub fn at(&self) -> OpTime {
        self.at
    }

    /// What a stream that goes on after it is told: `_id`.
    #[must_use]
    pub fn token(&self) -> &'a [u8] {
        self.token
    }

    /// What happened: `operationType`.
    #[must_use]
    pub fn kind(&self) -> &'a str {
        self.kind
    }

    /// Where: a collection, or a database with an empty name of a collection.
    #[must_use]
    pub fn namespace(&self) -> Option<&Namespace> {
        self.namespace.as_ref()
    }

    /// The name that a collection was given.
    ///
    /// # Errors
    ///
    /// [`ChangeEventError`] if it is missing in an event about a rename.
    pub fn renamed_to(&self) -> Result<Option<Namespace>, ChangeEventError> {
        match self.kind {
            "rename" => read_namespace(self.need(self.fields.to, "to")?, self.at).map(Some),
            _ => Ok(None),
        }
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_end(&self) -> bool {
        self.kind == "invalidate"
    }

    /// What has to be done to documents; nothing if it is about something else.
    fn on_documents(&self) -> Result<Vec<RawDocumentBuf>, ChangeEventError> {
        let key = || self.need(self.fields.key, "documentKey");
        let change = |kind, object: &[u8], object2| self.operation(kind, object, object2);
        match self.kind {
            "insert" => {
                let document = self.need(self.fields.full_document, "fullDocument")?;
                Ok(vec![change("i", document, self.fields.key)?])
            }
            "delete" => Ok(vec![change("d", key()?, None)?]),
            "update"
                if let (Some(description), None) =
                    (self.fields.update, self.fields.full_document) =>
            {
                let key = key()?;
                let changes = update::changes(description, self.at)?;
                let changes = changes.iter();
                changes
                    .map(|it| change("u", it.as_bytes(), Some(key)))
                    .collect()
            }
            "update" | "replace" => match self.fields.full_document {
                Some(document) => Ok(vec![change("u", document, Some(key()?))?]),
                // It was looked up when it was deleted already, as an event that comes later says.
                None if self.kind == "update" => Ok(Vec::new()),
                None => Err(ChangeEventError::missing("fullDocument", self.at)),
            },
            _ => Ok(Vec::new()),
        }
    }

    /// What has to be done to collections, as commands, each with the database that it is for.
    fn on_collections(&self) -> Result<Vec<(String, RawDocumentBuf)>, ChangeEventError> {
        let mut commands = Vec::new();
        let Some(namespace) = &self.namespace else {
            return Ok(commands);
        };
        let mut push = |command: DocumentBuilder| {
            commands.push((namespace.db.clone(), command.build()));
        };
        let start = |name: &str| {
            let mut command = DocumentBuilder::new();
            command.string(name, &namespace.collection);
            command
        };
        match self.kind {
            "drop" => push(start("drop")),
            "dropDatabase" => {
                // Of views nothing else tells.
                let mut views = DocumentBuilder::new();
                views.string("drop", "system.views");
                push(views);
                let mut command = DocumentBuilder::new();
                command.int32("dropDatabase", 1);
                push(command);
            }
            "create" => {
                let mut command = start("create");
                self.copy_operation(&mut command)?;
                push(command);
            }
            "modify" => {
                let mut command = start("collMod");
                self.copy_operation(&mut command)?;
                push(command);
            }
            "createIndexes" => {
                for index in self.indexes()? {
                    let mut command = start("createIndexes");
                    self.copy(index, &mut command)?;
                    push(command);
                }
            }
            "dropIndexes" => {
                for index in self.indexes()? {
                    let name = self.field(index, b"name")?;
                    let name = name.ok_or_else(|| ChangeEventError::missing("name", self.at))?;
                    let mut command = start("dropIndexes");
                    command.raw(b"index", name.raw);
                    push(command);
                }
            }
            _ => {}
        }
        if let Some(to) = self.renamed_to()? {
            let mut command = DocumentBuilder::new();
            command.string("renameCollection", &namespace.to_string());
            command.string("to", &to.to_string());
            match self.fields.operation {
                Some(operation) => {
                    if let Some(target) = self.field(operation, b"dropTarget")? {
                        command.copy(&target);
                    }
                }
                // What had the name was dropped, and older servers do not say so.
                None => command.boolean("dropTarget", true),
            }
            push(command);
        }
        Ok(commands)
    }

    /// Whether it made a time-series collection, of which nothing more is told.
    fn is_of_time_series(&self) -> Result<bool, ChangeEventError> {
        match self.fields.operation {
            Some(operation) => Ok(self.field(operation, b"timeseries")?.is_some()),
            None => Ok(false),
        }
    }

    /// Whether it is of a kind that says nothing about what a restore has to do.
    fn says_nothing(&self) -> bool {
        matches!(
            self.kind,
            "invalidate"
                | "startIndexBuild"
                | "abortIndexBuild"
                | "shardCollection"
                | "refineCollectionShardKey"
                | "reshardCollection"
                | "endOfTransaction"
        )
    }

    fn operation(
        &self,
        kind: &str,
        object: &[u8],
        object2: Option<&[u8]>,
    ) -> Result<RawDocumentBuf, ChangeEventError> {
        let namespace = self.namespace.as_ref();
        let namespace = namespace.ok_or_else(|| ChangeEventError::missing("ns", self.at))?;
        let mut operation = DocumentBuilder::new();
        operation.string("op", kind);
        operation.string("ns", &namespace.to_string());
        if let Some(uuid) = self.fields.collection_uuid {
            operation.raw(b"ui", uuid.raw);
        }
        operation.document("o", object);
        if let Some(object2) = object2 {
            operation.document("o2", object2);
        }
        Ok(operation.build())
    }

    fn indexes(&self) -> Result<Vec<&'a [u8]>, ChangeEventError> {
        let operation = self.need(self.fields.operation, "operationDescription")?;
        let Some(Value::Array(indexes)) =
            self.field(operation, b"indexes")?.map(|field| field.value)
        else {
            return Err(ChangeEventError::missing("indexes", self.at));
        };
        let mut found = Vec::new();
        for index in self.elements(indexes.bytes)? {
            match self.sound(index)?.value {
                Value::Document(index) => found.push(index.bytes),
                _ => return Err(ChangeEventError::missing("indexes", self.at)),
            }
        }
        Ok(found)
    }

    fn copy_operation(&self, to: &mut DocumentBuilder) -> Result<(), ChangeEventError> {
        match self.fields.operation {
            Some(operation) => self.copy(operation, to),
            None => Ok(()),
        }
    }

    fn copy(&self, document: &'a [u8], to: &mut DocumentBuilder) -> Result<(), ChangeEventError> {
        for element in self.elements(document)? {
            to.copy(&self.sound(element)?);
        }
        Ok(())
    }

    fn field(
        &self,
        document: &'a [u8],
        name: &[u8],
    ) -> Result<Option<Element<'a>>, ChangeEventError> {
        for element in self.elements(document)? {
            let element = self.sound(element)?;
            if element.name == name {
                return Ok(Some(element));
            }
        }
        Ok(None)
    }

    fn elements(&self, document: &'a [u8]) -> Result<Elements<'a>, ChangeEventError> {
        let at = self.at;
        Elements::of(document).map_err(|source| ChangeEventError::Bson { at, source })
    }

    fn sound(
        &self,
        element: Result<Element<'a>, InvalidBson>,
    ) -> Result<Element<'a>, ChangeEventError> {
        let at = self.at;
        element.map_err(|source| ChangeEventError::Bson { at, source })
    }

    fn need(
        &self,
        field: Option<&'a [u8]>,
        name: &'static str,
    ) -> Result<&'a [u8], ChangeEventError> {
        field.ok_or_else(|| ChangeEventError::missing(name, self.at))
    }
}

impl<'a> Fields<'a> {
    fn set(&mut self, element: Element<'a>) {
        let document = match element.value {
            Value::Document(document) => Some(document.bytes),
            _ => None,
        };
        match element.name {
            b"clusterTime" => self.at = Some(element.value),
            b"operationType" => self.kind = Some(element.value),
            b"_id" => self.token = document,
            b"ns" => self.namespace = document,
            b"to" => self.to = document,
            b"documentKey" => self.key = document,
            b"fullDocument" => self.full_document = document,
            b"updateDescription" => self.update = document,
            b"operationDescription" => self.operation = document,
            b"collectionUUID" => self.collection_uuid = Some(element),
            b"wallTime" => self.wall_time = Some(element),
            _ => {}
        }
    }
}

/// Makes entries of the events of one moment: all that happened in a transaction is one entry, or a few if it is long.
#[derive(Debug)]
pub struct EventEntries {
    at: OpTime,
    operations: Vec<RawDocumentBuf>,
    bytes: usize,
    wall_time: Vec<u8>,
    entries: Vec<RawDocumentBuf>,
}

impl EventEntries {
    /// None yet, of this moment.
    #[must_use]
    pub fn new(at: OpTime) -> Self {
        Self {
            at,
            operations: Vec::new(),
            bytes: 0,
            wall_time: Vec::new(),
            entries: Vec::new(),
        }
    }

    /// The moment that the entries are of.
    #[must_use]
    pub fn at(&self) -> OpTime {
        self.at
    }

    /// Takes the next event.
    ///
    /// What cannot be said as an entry becomes a command that no server knows, so that a restore says what it cannot do.
    ///
    /// # Errors
    ///
    /// [`ChangeEventError`] for what is missing in it.
    pub fn push(&mut self, event: &ChangeEvent<'_>) -> Result<(), ChangeEventError> {
        if self.wall_time.is_empty()
            && let Some(Element {
                raw: (0x09, bytes), ..
            }) = event.fields.wall_time
        {
            self.wall_time = bytes.to_vec();
        }
        match event.kind {
            "insert" | "update" | "replace" | "delete" => match event.on_documents() {
                Ok(operations) => operations
                    .into_iter()
                    .for_each(|it| self.push_operation(it)),
                Err(ChangeEventError::Path { name, .. }) => {
                    self.push_unknown(event, &format!("update of the field {name:?}"));
                }
                Err(error) => return Err(error),
            },
            "create" if event.is_of_time_series()? => self.push_unknown(event, CREATE_TIME_SERIES),
            "create" | "createIndexes" | "drop" | "dropDatabase" | "dropIndexes" | "modify"
            | "rename" => {
                for (db, command) in event.on_collections()? {
                    self.push_command(&db, &command);
                }
            }
            _ if event.says_nothing() => {}
            kind => self.push_unknown(event, kind),
        }
        Ok(())
    }

    /// Takes that a time-series collection was made: a command that no server knows, so that a restore says that it cannot do it.
    pub fn push_time_series(&mut self, namespace: &Namespace) {
        let mut command = DocumentBuilder::new();
        command.string(CREATE_TIME_SERIES, &namespace.collection);
        self.push_command(&namespace.db, &command.build());
    }

    fn push_unknown(&mut self, event: &ChangeEvent<'_>, what: &str) {
        let namespace = event.namespace.clone();
        let namespace = namespace.unwrap_or_else(|| Namespace::new("admin", ""));
        let mut command = DocumentBuilder::new();
        command.string(&what.replace('\0', ""), &namespace.collection);
        self.push_command(&namespace.db, &command.build());
    }

    /// Takes a command that was applied in a database.
    pub fn push_command(&mut self, db: &str, command: &RawDocument) {
        self.flush();
        let mut entry = self.start();
        entry.string("op", "c");
        entry.string("ns", &format!("{db}.$cmd"));
        entry.document("o", command.as_bytes());
        self.finish(entry);
    }

    /// How long what was taken and not given out is, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let entries = self.entries.iter().map(|entry| entry.as_bytes().len());
        entries.sum::<usize>().saturating_add(self.bytes)
    }

    /// The entries.
    #[must_use]
    pub fn build(mut self) -> Vec<RawDocumentBuf> {
        self.flush();
        self.entries
    }

    /// The entries that will not be changed by what comes.
    pub fn take_complete(&mut self) -> Vec<RawDocumentBuf> {
        std::mem::take(&mut self.entries)
    }

    fn push_operation(&mut self, operation: RawDocumentBuf) {
        let bytes = operation.as_bytes().len();
        if self.bytes.saturating_add(bytes) > ENTRY_BYTES {
            self.flush();
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.operations.push(operation);
    }

    fn flush(&mut self) {
        let operations = std::mem::take(&mut self.operations);
        self.bytes = 0;
        let mut entry = self.start();
        match operations.as_slice() {
            [] => return,
            [operation] => {
                for element in Elements::of(operation.as_bytes())
                    .into_iter()
                    .flatten()
                    .flatten()
                {
                    entry.copy(&element);
                }
            }
            operations => {
                let mut command = DocumentBuilder::new();
                let array = command.start_array("applyOps");
                for (position, operation) in operations.iter().enumerate() {
                    command.document(&position.to_string(), operation.as_bytes());
                }
                command.end(array);
                entry.string("op", "c");
                entry.string("ns", "admin.$cmd");
                entry.document("o", command.build().as_bytes());
            }
        }
        self.finish(entry);
    }

    fn start(&self) -> DocumentBuilder {
        let mut entry = DocumentBuilder::new();
        entry.timestamp("ts", self.at);
        entry.int64("v", 2);
        entry
    }

    fn finish(&mut self, mut entry: DocumentBuilder) {
        if !self.wall_time.is_empty() {
            entry.raw(b"wall", (0x09, &self.wall_time));
        }
        self.entries.push(entry.build());
    }
}

fn text(value: Value<'_>) -> Option<&str> {
    match value {
        Value::String(text) => str::from_utf8(text).ok(),
        _ => None,
    }
}

/// `{db: …, coll: …}`
fn read_namespace(document: &[u8], at: OpTime) -> Result<Namespace, ChangeEventError> {
    let (mut db, mut collection) = (None, None);
    let bson = |source| ChangeEventError::Bson { at, source };
    for element in Elements::of(document).map_err(bson)? {
        let element = element.map_err(bson)?;
        match element.name {
            b"db" => db = text(element.value),
            b"coll" => collection = text(element.value),
            _ => {}
        }
    }
    let db = db.ok_or_else(|| ChangeEventError::missing("ns", at))?;
    Ok(Namespace::new(db, collection.unwrap_or_default()))
}

/// Why an event does not say what a restore has to do.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum ChangeEventError {
    #[error("the change event of {at} is malformed: {source}")]
    Bson { at: OpTime, source: InvalidBson },
    #[error("the change event of {at} has no proper `{field}`")]
    Missing { field: &'static str, at: OpTime },
    #[error("the change event of {at} is about the field {name:?}, which no path can name")]
    Path { name: Box<str>, at: OpTime },
}

impl ChangeEventError {
    fn missing(field: &'static str, at: OpTime) -> Self {
        Self::Missing { field, at }
    }
}
