use proptest::prelude::*;

use super::*;

const CODECS: [Codec; 3] = [Codec::None, Codec::Gzip, Codec::Zstd];

proptest! {
    #[test]
    fn any_name_comes_back_from_its_escaped_form(name in any::<String>()) {
        let escaped = escape(&name);
        prop_assert!(escaped.bytes().all(|byte| byte.is_ascii_graphic() && !br#"/\:*?"<>|$"#.contains(&byte)));
        prop_assert_eq!(unescape(&escaped).unwrap(), name);
    }

    #[test]
    fn unescaping_any_text_gives_a_name_or_an_error(text in "[+%0-9a-fA-F é]{0,20}") {
        if let Ok(name) = unescape(&text) {
            prop_assert_eq!(unescape(&escape(&name)).unwrap(), name);
        }
    }

    #[test]
    fn any_collection_is_found_in_the_names_of_its_files(
        name in prop_oneof!["[a-zé +%$.]{1,30}", "[a-zé +%$.]{70,260}", "[a-z]{225,250}"],
        codec in prop::sample::select(&CODECS[..]),
    ) {
        for (file, kind) in [(data_file(&name, codec), FileKind::Data), (metadata_file(&name, codec), FileKind::Metadata)] {
            let longest = if codec == Codec::Zstd { 256 } else { 255 };
            prop_assert!(file.len() <= longest);
            let parsed = FileName::parse(&file).unwrap();
            prop_assert_eq!((parsed.kind, parsed.codec), (kind, codec));
            prop_assert_eq!(parsed.collection(Some(&name)).unwrap(), name.as_str());
            if parsed.is_shortened() {
                parsed.collection(None).unwrap_err();
                parsed.collection(Some("another")).unwrap_err();
            } else {
                prop_assert_eq!(parsed.collection(None).unwrap(), name.as_str());
            }
        }
        let buckets = FileName::parse(&data_file(&format!("{BUCKETS_PREFIX}{name}"), codec)).unwrap();
        prop_assert_eq!(buckets.collection(Some(&name)).unwrap(), format!("{BUCKETS_PREFIX}{name}"));
    }
}

#[test]
fn names_are_escaped_as_the_query_of_a_url_is() {
    // TOOLS-2290.
    assert_eq!(escape("azAZ09-_.~"), "azAZ09-_.~");
    assert_eq!(
        escape("a b/c%d$e*f+g\\h\n\0é"),
        "a+b%2Fc%25d%24e%2Af%2Bg%5Ch%0A%00%C3%A9"
    );
    assert_eq!(unescape("a+b%2fc%C3%a9").unwrap(), "a b/cé");
    assert_eq!(unescape("coll%252Fbaz").unwrap(), "coll%2Fbaz");
}

#[test]
fn bad_escapes_are_refused_with_their_place() {
    for (text, offset) in [("%", 0), ("ab%2", 2), ("a%zz", 1), ("é%é", 2)] {
        assert_eq!(
            unescape(text),
            Err(FileNameError::Escape {
                text: text.to_owned(),
                offset
            })
        );
    }
    assert_eq!(
        unescape("ab%FF"),
        Err(FileNameError::NotUtf8 {
            text: "ab%FF".to_owned(),
            offset: 2
        })
    );
}

#[test]
fn a_stem_of_238_bytes_is_kept_and_a_longer_one_is_shortened() {
    // TOOLS-2658.
    let natural = "x".repeat(238);
    assert_eq!(stem(&natural), natural);
    let shortened = stem(&"x".repeat(239));
    assert_eq!(
        shortened,
        format!("{}%24{}", "x".repeat(208), "Nq75d-cu3iRxNs-ce3Tvf9gagoU")
    );
    assert_eq!(shortened.len(), 238);
    assert!(
        data_file(&"é".repeat(60), Codec::None).contains("%24"),
        "escaping counts"
    );
}

#[test]
fn a_natural_name_that_looks_shortened_needs_its_metadata() {
    // TOOLS-2658.
    let name = format!("{}${}", "x".repeat(208), "A".repeat(27));
    let file = FileName::parse(&data_file(&name, Codec::None)).unwrap();
    assert!(file.is_shortened());
    assert_eq!(file.collection(Some(&name)).unwrap(), name);
    let error = file.collection(None).unwrap_err();
    assert!(matches!(error, FileNameError::NotRecorded { .. }));
    let error = file.collection(Some("other")).unwrap_err();
    assert!(matches!(error, FileNameError::OtherCollection { .. }));
}

#[test]
fn the_oplog_keeps_its_name_when_it_is_compressed_by_gzip() {
    // mongodump/mongodump.go.
    let names = [Codec::None, Codec::Gzip, Codec::Zstd].map(oplog_file);
    assert_eq!(names, ["oplog.bson", "oplog.bson", "oplog.bson.zst"]);
}

#[test]
fn files_are_told_by_their_suffix() {
    let parse = |name| FileName::parse(name).map(|file| (file.stem, file.kind, file.codec));
    let some = |stem: &str, kind, codec| Some((stem.to_owned(), kind, codec));
    assert_eq!(parse("a.bson"), some("a", FileKind::Data, Codec::None));
    assert_eq!(
        parse("a.b.bson.gz"),
        some("a.b", FileKind::Data, Codec::Gzip)
    );
    assert_eq!(parse("a.bson.zst"), some("a", FileKind::Data, Codec::Zstd));
    assert_eq!(parse("a.bin"), some("a", FileKind::Data, Codec::None));
    assert_eq!(
        parse("a.metadata.json"),
        some("a", FileKind::Metadata, Codec::None)
    );
    assert_eq!(
        parse("a.metadata.json.gz"),
        some("a", FileKind::Metadata, Codec::Gzip)
    );
    assert_eq!(
        parse("a.metadata.json.zst"),
        some("a", FileKind::Metadata, Codec::Zstd)
    );
    assert_eq!(
        parse("$admin.system.users.bson"),
        some("$admin.system.users", FileKind::Data, Codec::None)
    );
    for name in [
        "",
        ".bson",
        ".metadata.json",
        "a.bin.gz",
        "prelude.json",
        "a.bson.bz2",
        "a.json",
        "bson",
        "a.gz",
    ] {
        assert_eq!(parse(name), None, "{name}");
    }
}

#[test]
fn a_literal_dollar_is_no_mark_of_a_shortened_name() {
    // TOOLS-2593.
    let file = FileName::parse("$admin.system.users.bson").unwrap();
    assert!(!file.is_shortened());
    assert_eq!(file.collection(None).unwrap(), "$admin.system.users");
}
