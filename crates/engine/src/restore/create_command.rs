//! The command that creates a collection as it was.

use bson::{Binary, RawBsonRef, RawDocument, RawDocumentBuf, cstr, rawdoc, spec::BinarySubtype};
use rdump_format::{CollectionMetadata, Namespace};

use super::index_spec::{BsonResult, is_default_id, is_simple};
use crate::capabilities::Capabilities;

/// How options are changed on their way.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct CreateRules {
    pub(crate) without_options: bool,
    pub(crate) keep_index_version: bool,
    /// What the target makes of `autoIndexId`.
    pub(crate) auto_index_id: AutoIndexId,
    /// The target is Amazon DocumentDB, which takes none of what MongoDB says of every collection.
    pub(crate) documentdb: bool,
}

/// What a server makes of the option `autoIndexId`, which old servers had.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum AutoIndexId {
    #[default]
    Taken,
    /// Since 4.0, outside of `local`, it may not be false.
    OnlyTrue,
    /// It is not known any more.
    Unknown,
}

impl AutoIndexId {
    pub(crate) fn of(target: Capabilities, db: &str) -> Self {
        if !target.auto_index_id {
            Self::Unknown
        } else if db != "local" {
            Self::OnlyTrue
        } else {
            Self::Taken
        }
    }
}

/// The options to create a collection with, `idIndex` included.
pub(crate) fn options(
    metadata: Option<&CollectionMetadata>,
    rules: CreateRules,
) -> BsonResult<RawDocumentBuf> {
    let mut options = RawDocumentBuf::new();
    let Some(metadata) = metadata.filter(|_| !rules.without_options) else {
        return Ok(options);
    };
    let id_index = match rules.documentdb {
        true => None,
        false => id_index(metadata, rules)?,
    };
    for option in metadata.options.iter() {
        let (name, value) = option?;
        match (name.as_str(), value) {
            // The server decides about replicated record ids by itself; the command has a write concern of its own.
            ("recordIdsReplicated" | "idIndex" | "writeConcern", _) => {}
            ("autoIndexId", _)
                if id_index.is_some() || rules.auto_index_id == AutoIndexId::Unknown => {}
            ("autoIndexId", value)
                if rules.auto_index_id == AutoIndexId::OnlyTrue && !is_true(value) =>
            {
                options.append(name, true);
            }
            ("autoIndexId" | "storageEngine", _) if rules.documentdb => {}
            ("capped", RawBsonRef::Boolean(false)) if rules.documentdb => {}
            // Amazon DocumentDB says so of every collection, and nobody else knows it.
            ("storageEngine", RawBsonRef::Document(engine)) if is_documentdb(engine) => {}
            _ => options.append(name, value),
        }
    }
    if let Some(id_index) = id_index {
        options.append(cstr!("idIndex"), id_index);
    }
    Ok(options)
}

/// Whether options of a storage engine are those of Amazon DocumentDB.
pub(crate) fn is_documentdb(engine: &RawDocument) -> bool {
    let mut engines = engine.iter().flatten();
    engines
        .next()
        .is_some_and(|(name, _)| name.as_str() == "documentDB")
        && engines.next().is_none()
}

fn is_true(value: RawBsonRef<'_>) -> bool {
    match value {
        RawBsonRef::Boolean(value) => value,
        value => super::index_spec::as_number(value).is_some_and(|number| number != 0.0),
    }
}

/// The index on `_id` as `create` takes it, unless the collection is clustered by it.
fn id_index(
    metadata: &CollectionMetadata,
    rules: CreateRules,
) -> BsonResult<Option<RawDocumentBuf>> {
    if metadata.options.get("clusteredIndex")?.is_some() {
        return Ok(None);
    }
    let named = metadata
        .indexes
        .iter()
        .find(|index| index.get_str("name").is_ok_and(|name| name == "_id_"));
    let Some(index) = named else { return Ok(None) };
    let lacks_collation =
        index.get("collation")?.is_none() && metadata.options.get("collation")?.is_some();
    if !is_default_id(index)? || lacks_collation {
        return Ok(None);
    }
    let is_version_1 = index.get("v")?.and_then(super::index_spec::as_number) == Some(1.0);
    let mut spec = RawDocumentBuf::new();
    for field in index.iter() {
        let (name, value) = field?;
        match name.as_str() {
            "v" if !rules.keep_index_version => {}
            "ns" | "background" => {}
            "key" => spec.append(name, rawdoc! { "_id": 1 }),
            "collation" if is_version_1 && is_simple(value) => {}
            _ => spec.append(name, value),
        }
    }
    Ok(Some(spec))
}

/// `create`, to be run on the collection's database.
pub(crate) fn create(collection: &str, options: &RawDocument) -> BsonResult<RawDocumentBuf> {
    let mut command = rawdoc! { "create": collection };
    for option in options.iter() {
        let (name, value) = option?;
        command.append(name, value);
    }
    Ok(command)
}

/// `applyOps` with the same `create` and the collection's old UUID, to be run on `admin`.
pub(crate) fn create_with_uuid(
    namespace: &Namespace,
    options: &RawDocument,
    uuid: [u8; 16],
) -> BsonResult<RawDocumentBuf> {
    let ui = Binary {
        subtype: BinarySubtype::Uuid,
        bytes: uuid.to_vec(),
    };
    let op = rawdoc! {
        "op": "c", "ns": format!("{}.$cmd", namespace.db), "o": create(&namespace.collection, options)?, "ui": ui,
    };
    Ok(rawdoc! { "applyOps": [op] })
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc};

    use super::*;

    fn metadata(options: Document, indexes: &[Document]) -> CollectionMetadata {
        CollectionMetadata {
            options: RawDocumentBuf::try_from(&options).unwrap(),
            indexes: indexes
                .iter()
                .map(|index| RawDocumentBuf::try_from(index).unwrap())
                .collect(),
            ..CollectionMetadata::default()
        }
    }

    fn made(metadata: &CollectionMetadata, rules: CreateRules) -> Document {
        let options = options(Some(metadata), rules).unwrap();
        Document::try_from(&*create("c", &options).unwrap()).unwrap()
    }

    fn id() -> Document {
        doc! { "v": 2, "key": { "_id": 1 }, "name": "_id_", "ns": "db.c" }
    }

    #[test]
    fn what_amazon_documentdb_says_of_every_collection_is_left_out() {
        let metadata = |engine: RawDocumentBuf| CollectionMetadata {
            options: rawdoc! { "capped": false, "storageEngine": engine },
            ..CollectionMetadata::default()
        };
        let made_of = |engine| options(Some(&metadata(engine)), CreateRules::default());
        let documentdb = rawdoc! { "documentDB": { "compression": { "enable": false } } };
        assert_eq!(made_of(documentdb).unwrap(), rawdoc! { "capped": false });
        let other = rawdoc! { "wiredTiger": {} };
        let expected = rawdoc! { "capped": false, "storageEngine": { "wiredTiger": {} } };
        assert_eq!(made_of(other).unwrap(), expected);
    }

    #[test]
    fn options_keep_their_order_and_the_id_index_comes_last() {
        let metadata = metadata(
            doc! { "validator": { "b": 1, "a": 2 }, "capped": true, "size": 4096 },
            &[id()],
        );
        let expected = doc! {
            "create": "c", "validator": { "b": 1, "a": 2 }, "capped": true, "size": 4096,
            "idIndex": { "key": { "_id": 1 }, "name": "_id_" },
        };
        let made = made(&metadata, CreateRules::default());
        assert_eq!(made, expected);
        assert!(made.keys().eq(expected.keys()));
    }

    #[test]
    fn a_clustered_collection_has_no_id_index() {
        // TOOLS-3108.
        let options = doc! { "clusteredIndex": { "v": 2, "key": { "_id": 1 }, "name": "mine", "unique": true } };
        let metadata = metadata(
            options,
            &[doc! { "v": 2, "key": { "_id": 1 }, "name": "mine", "clustered": true }],
        );
        assert!(!made(&metadata, CreateRules::default()).contains_key("idIndex"));
    }

    #[test]
    fn nothing_but_the_name_is_left_without_options() {
        let metadata = metadata(doc! { "capped": true, "size": 4096 }, &[id()]);
        let rules = CreateRules {
            without_options: true,
            ..CreateRules::default()
        };
        assert_eq!(made(&metadata, rules), doc! { "create": "c" });
    }

    #[test]
    fn auto_index_id_is_what_the_target_takes() {
        // mongorestore/metadata_test.go, TOOLS-4073.
        let metadata = metadata(
            doc! { "autoIndexId": false, "recordIdsReplicated": true },
            &[],
        );
        for (auto_index_id, expected) in [
            (
                AutoIndexId::Taken,
                doc! { "create": "c", "autoIndexId": false },
            ),
            (
                AutoIndexId::OnlyTrue,
                doc! { "create": "c", "autoIndexId": true },
            ),
            (AutoIndexId::Unknown, doc! { "create": "c" }),
        ] {
            assert_eq!(
                made(
                    &metadata,
                    CreateRules {
                        auto_index_id,
                        ..CreateRules::default()
                    }
                ),
                expected
            );
        }
        let with_index = CollectionMetadata {
            indexes: vec![RawDocumentBuf::try_from(&id()).unwrap()],
            ..metadata
        };
        assert!(!made(&with_index, CreateRules::default()).contains_key("autoIndexId"));
    }

    #[test]
    fn an_old_id_index_is_written_as_today() {
        let old = doc! {
            "v": 1, "key": { "_id": true }, "name": "_id_", "background": true, "collation": { "locale": "simple" },
        };
        let metadata = metadata(doc! {}, &[old]);
        let rules = CreateRules {
            keep_index_version: true,
            ..CreateRules::default()
        };
        assert_eq!(
            made(&metadata, rules).get_document("idIndex").unwrap(),
            &doc! { "v": 1, "key": { "_id": 1 }, "name": "_id_" }
        );
    }

    #[test]
    fn a_uuid_is_kept_through_apply_ops() {
        let command = create_with_uuid(
            &Namespace::new("db", "c"),
            &rawdoc! { "capped": true },
            [7; 16],
        )
        .unwrap();
        let command = Document::try_from(&*command).unwrap();
        let op = command.get_array("applyOps").unwrap()[0]
            .as_document()
            .unwrap();
        assert_eq!(op.get_str("ns").unwrap(), "db.$cmd");
        assert_eq!(
            op.get_document("o").unwrap(),
            &doc! { "create": "c", "capped": true }
        );
        assert_eq!(op.get_binary_generic("ui").ok(), None);
    }
}
