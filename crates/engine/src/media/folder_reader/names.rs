//! Which collection a file belongs to.

use rdump_format::{BUCKETS_PREFIX, FileKind, FileNameError, Namespace};

use super::survey::Found;

/// The collection of a file that the manifest does not name.
///
/// `recorded` are the names that metadata beside the file records, its own first. A shortened file name is looked up
/// among them, also as that of the buckets behind one of them.
pub(super) fn collection<'a>(
    file: &Found,
    recorded: impl IntoIterator<Item = &'a str>,
) -> Result<String, FileNameError> {
    if !file.name.is_shortened() {
        return file.name.collection(None);
    }
    let mut first = None;
    for name in recorded {
        match file.name.collection(Some(name)) {
            Ok(collection) => return Ok(collection),
            Err(error) => {
                first.get_or_insert(error);
            }
        }
    }
    match first {
        Some(error) if file.name.kind == FileKind::Metadata => Err(error),
        _ => file.name.collection(None),
    }
}

/// The namespace as the user knows it, and whether `collection` names the buckets behind it.
pub(super) fn logical(db: &str, collection: &str) -> (Namespace, bool) {
    match collection.strip_prefix(BUCKETS_PREFIX) {
        Some(logical) if !logical.is_empty() => (Namespace::new(db, logical), true),
        _ => (Namespace::new(db, collection), false),
    }
}

#[cfg(test)]
mod tests {
    use rdump_format::{Codec, FileName, data_file, metadata_file};
    use rdump_storage::ObjectInfo;

    use super::*;

    fn found(name: &str) -> Found {
        Found {
            object: ObjectInfo::new(format!("db/{name}"), 0),
            db: "db".to_owned(),
            name: FileName::parse(name).unwrap(),
            record: None,
            damage: None,
            unfinished: None,
        }
    }

    #[test]
    fn plain_names_are_unescaped_and_need_no_metadata() {
        for name in ["orders", "caf\u{e9}s", "a/b c+d%2F", "$x", "\n"] {
            let file = found(&data_file(name, Codec::Gzip));
            assert_eq!(collection(&file, []).unwrap(), name);
        }
    }

    #[test]
    fn a_shortened_name_comes_from_the_metadata_and_is_not_unescaped_again() {
        let long = "a+b%41/".repeat(30);
        let file = found(&metadata_file(&long, Codec::None));
        assert_eq!(collection(&file, [long.as_str()]).unwrap(), long);
        assert!(matches!(
            collection(&file, ["other"]),
            Err(FileNameError::OtherCollection { .. })
        ));
        assert!(matches!(
            collection(&file, []),
            Err(FileNameError::NotRecorded { .. })
        ));
    }

    #[test]
    fn shortened_buckets_are_found_by_the_name_of_their_collection() {
        let long = "t".repeat(230);
        let file = found(&data_file(&format!("{BUCKETS_PREFIX}{long}"), Codec::None));
        let name = collection(&file, ["other", long.as_str()]).unwrap();
        assert_eq!(logical("db", &name), (Namespace::new("db", long), true));
    }
}
