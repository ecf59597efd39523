//! Replays commands: to the target, to the index catalog, or to both.

use bson::RawDocumentBuf;
use rdump_format::element::{Element, Value};
use rdump_format::{BUCKETS_PREFIX, Namespace};

use super::{Notice, Operation, Rename, Replay, ReplayError, Step};
use crate::document::DocumentBuilder;
use crate::entry::{Command, EntryError};
use crate::index_catalog::{CollMod, CollModFault, DefaultCollation, IndexChoice};
use crate::lane::Lane;
use crate::{Entry, Unknown};

type Result<T> = std::result::Result<T, ReplayError>;

/// A command, and where it comes from.
struct Context<'e, 'a> {
    entry: &'e Entry<'a>,
    command: Command<'a>,
    /// Its name, as it is in the table of those that are known.
    name: &'static str,
}

/// The commands that a replay may meet.
const COMMANDS: [&str; 15] = [
    "applyOps",
    "collMod",
    "commitIndexBuild",
    "convertToCapped",
    "create",
    "createIndexes",
    "dbCheck",
    "deleteIndex",
    "deleteIndexes",
    "drop",
    "dropDatabase",
    "dropIndex",
    "dropIndexes",
    "emptycapped",
    "renameCollection",
];

/// Whether a replay knows what a command does.
pub(crate) fn is_known(command: &str) -> bool {
    COMMANDS.contains(&command)
}

impl Replay {
    pub(super) fn command(
        &mut self,
        entry: &Entry<'_>,
        depth: usize,
        steps: &mut Vec<Step>,
    ) -> Result<()> {
        let command = entry.command()?;
        let Some(name) = COMMANDS.into_iter().find(|known| *known == command.name) else {
            if command.name == "upgradeDowngradeViewlessTimeseries" {
                let (namespace, at) = (entry.namespace().into(), entry.at());
                return Err(ReplayError::TimeseriesConversion { namespace, at });
            }
            return self.unknown(Unknown::command(entry, &command), steps);
        };
        let cx = Context {
            entry,
            command,
            name,
        };
        if let Value::String(subject) = command.subject
            && subject.starts_with(BUCKETS_PREFIX.as_bytes())
        {
            self.check_buckets(&cx.collection()?, entry.at())?;
        }
        match name {
            "applyOps" => return self.inner(entry, depth, steps),
            "createIndexes" => return self.create_index(&cx),
            "commitIndexBuild" => return self.commit_index_build(&cx),
            "deleteIndex" | "deleteIndexes" | "dropIndex" | "dropIndexes" => {
                return self.drop_indexes(&cx);
            }
            "collMod" => return self.coll_mod(&cx, steps),
            "create" => return self.create(&cx, steps),
            "renameCollection" => return self.rename(&cx, steps),
            "drop" => {
                let collection = cx.collection()?;
                self.catalog.drop_collection(&collection);
                self.dropped.insert(collection, entry.at());
            }
            "dropDatabase" => {
                self.catalog.drop_database(entry.db());
                self.dropped.insert(entry.db().to_owned(), entry.at());
                if self.options.keep_databases {
                    return Ok(());
                }
            }
            "convertToCapped" => self.catalog.convert_to_capped(cx.collection()?),
            _ => {}
        }
        steps.push(Step::Apply(self.operation(&cx, command.object)?));
        Ok(())
    }

    fn operation(&self, cx: &Context<'_, '_>, object: &[u8]) -> Result<Operation> {
        let object2 = match cx.name {
            // Since 8.3 it has what the storage engine of that server calls the collection.
            "create" => None,
            _ => cx.entry.object2()?,
        };
        let objects = (object, object2);
        Ok(Operation::new(cx.entry, objects, Lane::Alone, self.options))
    }

    /// `{createIndexes: <collection>, v: 2, key: {…}, name: …, …}`: one index in each entry.
    fn create_index(&mut self, cx: &Context<'_, '_>) -> Result<()> {
        let mut spec = DocumentBuilder::new();
        for element in cx.elements()?.skip(1) {
            spec.copy(&element?);
        }
        self.add_index(cx, spec.build())
    }

    /// `{commitIndexBuild: <collection>, indexBuildUUID: …, indexes: [{v: 2, key: {…}, …}, …]}`.
    fn commit_index_build(&mut self, cx: &Context<'_, '_>) -> Result<()> {
        let Some(Value::Array(indexes)) = cx.field("indexes")? else {
            return Err(cx.fault("it has no array `indexes`"));
        };
        for index in cx.entry.elements(indexes.bytes)? {
            let Value::Document(index) = cx.sound(index)?.value else {
                return Err(cx.fault("one of its `indexes` is no document"));
            };
            let mut spec = DocumentBuilder::new();
            for element in cx.entry.elements(index.bytes)? {
                spec.copy(&cx.sound(element)?);
            }
            self.add_index(cx, spec.build())?;
        }
        Ok(())
    }

    fn add_index(&mut self, cx: &Context<'_, '_>, spec: RawDocumentBuf) -> Result<()> {
        if spec.get_document("key").is_err() || spec.get_str("name").is_err() {
            return Err(cx.fault("it has an index without a key or a name"));
        }
        self.catalog.add(cx.collection()?, spec);
        Ok(())
    }

    /// `{dropIndexes: <collection>, index: "*" | <name> | <key>}`.
    fn drop_indexes(&mut self, cx: &Context<'_, '_>) -> Result<()> {
        let which = match cx.field("index")? {
            None => return Ok(()),
            Some(Value::String(b"*")) => IndexChoice::AllButId,
            Some(Value::String(name)) => IndexChoice::Name(name),
            Some(Value::Document(key)) => IndexChoice::Key(key.bytes),
            Some(_) => return Err(cx.fault("its `index` is neither a name nor a key")),
        };
        self.catalog.drop_indexes(&cx.collection()?, which);
        Ok(())
    }

    /// The part about an index goes to the catalog; the rest, if there is any, to the target.
    fn coll_mod(&mut self, cx: &Context<'_, '_>, steps: &mut Vec<Step>) -> Result<()> {
        let collection = cx.collection()?;
        // Options of storage engines that are no more; servers refuse them from then on.
        let is_clean = self.target.version < [4, 1, 11];
        let mut rest = DocumentBuilder::new();
        let mut has_rest = false;
        for (position, element) in cx.elements()?.enumerate() {
            let element = element?;
            match element.name {
                b"noPadding" | b"usePowerOf2Sizes" if !is_clean => continue,
                b"index" => {
                    let change = CollMod::parse(element.value).map_err(|fault| match fault {
                        CollModFault::Wrong(fault) => cx.fault(fault),
                        CollModFault::Bson(source) => {
                            let at = cx.entry.at();
                            EntryError::Bson { at, source }.into()
                        }
                    })?;
                    if !self.catalog.coll_mod(&collection, &change) {
                        steps.push(Step::Notice(Notice::UnknownIndex {
                            at: cx.entry.at(),
                            namespace: namespace(&collection),
                        }));
                    }
                    continue;
                }
                _ => {}
            }
            has_rest |= position > 0;
            rest.copy(&element);
        }
        if has_rest {
            let operation = self.operation(cx, rest.build().as_bytes())?;
            steps.push(Step::Apply(operation));
        }
        Ok(())
    }

    fn create(&mut self, cx: &Context<'_, '_>, steps: &mut Vec<Step>) -> Result<()> {
        let (mut collation, mut capped) = (DefaultCollation::Simple, false);
        let mut command = DocumentBuilder::new();
        for element in cx.elements()? {
            let element = element?;
            match (element.name, element.value) {
                // https://jira.mongodb.org/browse/TOOLS-4073: the target decides that for itself.
                (b"recordIdsReplicated", _) => continue,
                (b"capped", value) => capped = !matches!(value, Value::Bool(false)),
                (b"collation", Value::Document(rules)) => {
                    let locale = cx.entry.field(rules.bytes, "locale")?;
                    if !locale.is_some_and(|it| matches!(it.value, Value::String(b"simple"))) {
                        collation = DefaultCollation::Other;
                    }
                }
                _ => {}
            }
            command.copy(&element);
        }
        let operation = self.operation(cx, command.build().as_bytes())?;
        self.catalog.create(cx.collection()?, collation, capped);
        steps.push(Step::Apply(operation));
        Ok(())
    }

    /// `{renameCollection: "<db>.<from>", to: "<db>.<to>", dropTarget: <UUID>}`.
    ///
    /// The target knows that UUID only if it has those of the source.
    fn rename(&mut self, cx: &Context<'_, '_>, steps: &mut Vec<Step>) -> Result<()> {
        let Some(Value::String(to)) = cx.field("to")? else {
            return Err(cx.fault("it does not say what the collection is renamed to"));
        };
        let (from, to) = (cx.text(cx.command.subject)?, cx.text(Value::String(to))?);
        self.check_buckets(from, cx.entry.at())?;
        self.check_buckets(to, cx.entry.at())?;
        let operation = if self.options.preserve_uuid {
            self.operation(cx, cx.command.object)?
        } else {
            let mut command = DocumentBuilder::new();
            for element in cx.elements()? {
                let element = element?;
                if element.name != b"dropTarget" {
                    command.copy(&element);
                }
            }
            let operation = self.operation(cx, command.build().as_bytes())?;
            operation.renaming(Rename {
                from: namespace(from),
                to: namespace(to),
            })
        };
        self.catalog.rename(from, to);
        // What was in `from` is in `to` now, and must not be missing there.
        self.dropped.insert(to.to_owned(), cx.entry.at());
        steps.push(Step::Apply(operation));
        Ok(())
    }
}

impl<'a> Context<'_, 'a> {
    /// The collection that the command is about, `db.collection`.
    fn collection(&self) -> Result<String> {
        let collection = self.text(self.command.subject)?;
        Ok(format!("{}.{collection}", self.entry.db()))
    }

    fn text(&self, value: Value<'a>) -> Result<&'a str> {
        match value {
            Value::String(text) => str::from_utf8(text).ok(),
            _ => None,
        }
        .ok_or_else(|| self.fault("it does not name a collection"))
    }

    fn field(&self, name: &str) -> Result<Option<Value<'a>>> {
        let field = self.entry.field(self.command.object, name)?;
        Ok(field.map(|field| field.value))
    }

    fn elements(&self) -> Result<impl Iterator<Item = Result<Element<'a>>>> {
        let elements = self.entry.elements(self.command.object)?;
        Ok(elements.map(|element| self.sound(element)))
    }

    fn sound(
        &self,
        element: std::result::Result<Element<'a>, rdump_format::InvalidBson>,
    ) -> Result<Element<'a>> {
        let at = self.entry.at();
        Ok(element.map_err(|source| EntryError::Bson { at, source })?)
    }

    fn fault(&self, fault: &'static str) -> ReplayError {
        ReplayError::Command {
            command: self.name,
            namespace: self.entry.namespace().into(),
            at: self.entry.at(),
            fault,
        }
    }
}

fn namespace(text: &str) -> Namespace {
    let (db, collection) = text.split_once('.').unwrap_or((text, ""));
    Namespace::new(db, collection)
}
