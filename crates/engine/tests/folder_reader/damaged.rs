//! Folders of which something is damaged, missing or out of reach.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{ffi::OsStrExt, fs::symlink, net::UnixListener},
};

use bson::doc;
use futures::TryStreamExt;
use rdump::{
    Codec, Error, ErrorKind, FolderReaderOptions,
    media::{DumpReader, RandomAccess},
};
use rdump_testkit::damage;

use super::{damage_of, has_notice, names, numbered, open_all, read, refused};
use crate::made::Made;

#[tokio::test]
async fn a_damaged_manifest_is_never_passed_over() {
    let mut made = Made::new();
    made.data("db.c", Codec::None, numbered(1));
    made.manifest();
    for offset in [0, 20, 90, 200] {
        made.manifest();
        damage::flip_byte(&made.file(rdump_format::MANIFEST_FILE), offset);
        let error = refused(&made, "", FolderReaderOptions::default()).await;
        assert_eq!(error.kind(), ErrorKind::Data);
        assert!(error.hint().unwrap().contains("verify"));
    }
}

#[tokio::test]
async fn what_was_changed_after_the_dump_says_how_it_is_restored_nevertheless() {
    for (changed, to) in [
        ("db/c.bson", None),
        ("db/c.bson", Some("db/renamed.bson")),
        ("db/c.metadata.json", None),
    ] {
        let mut made = Made::new();
        made.data("db.c", Codec::None, numbered(1));
        made.metadata_text("db.c", Codec::None, r#"{"indexes":[]}"#);
        made.manifest();
        match to {
            None => fs::remove_file(made.file(changed)).unwrap(),
            Some(to) => fs::rename(made.file(changed), made.file(to)).unwrap(),
        }
        let reader = open_all(&made).await;
        let error = damage_of(&reader, "db.c").unwrap();
        let hint = error.hint().unwrap();
        assert!(hint.contains("delete rdump.manifest.json"), "{hint}");
        fs::remove_file(made.file("rdump.manifest.json")).unwrap();
        assert!(!open_all(&made).await.contents().verified);
    }
}

#[tokio::test]
async fn a_folder_that_cannot_be_looked_into_fails_only_what_lies_in_it() {
    let mut made = Made::new();
    // Not even root can follow a link to itself.
    symlink("loop", made.file("loop")).unwrap();
    made.data("db.c", Codec::None, numbered(1));
    // Without a manifest it may be a part of the dump.
    let error = refused(&made, "", FolderReaderOptions::default()).await;
    assert!(
        error.to_string().starts_with("cannot look into loop: "),
        "{error}"
    );
    symlink("lost+found", made.file("lost+found")).unwrap();
    fs::remove_file(made.file("loop")).unwrap();
    let reader = open_all(&made).await;
    assert!(has_notice(&reader, "lost+found is skipped: "));

    symlink("loop", made.file("loop")).unwrap();
    made.manifest();
    let reader = open_all(&made).await;
    assert_eq!(names(&reader), ["db.c"]);
    assert!(has_notice(&reader, "loop is skipped: "));

    fs::rename(made.file("db"), made.file("away")).unwrap();
    symlink("db", made.file("db")).unwrap();
    let reader = open_all(&made).await;
    let error = damage_of(&reader, "db.c").unwrap();
    assert_eq!(error.kind(), ErrorKind::Data);
    let text = error.to_string();
    assert!(
        text.starts_with("db.c: db/c.bson cannot be looked at: db: "),
        "{text}"
    );
}

#[tokio::test]
async fn what_is_no_file_and_what_has_no_plain_name_is_refused_by_name() {
    let whole = FolderReaderOptions::default();
    let one = FolderReaderOptions::default().db("db").collection("c");
    for (name, what, options, path) in [
        (&b"d.bson"[..], "a socket", &whole, ""),
        (b"d.bson", "a symbolic link to nothing", &whole, ""),
        (b"c.metadata.json", "a socket", &one, "db/c.bson"),
        (b"d\xe9.bson", "name is not UTF-8", &whole, ""),
    ] {
        let mut made = Made::new();
        made.data("db.c", Codec::None, numbered(1));
        let file = made.file("db").join(OsStr::from_bytes(name));
        match what {
            "a socket" => drop(UnixListener::bind(&file).unwrap()),
            "a symbolic link to nothing" => symlink("nothing", &file).unwrap(),
            _ => fs::write(&file, "").unwrap(),
        }
        let error = refused(&made, path, options.clone()).await;
        assert_eq!(error.kind(), ErrorKind::Data);
        let (text, name) = (error.to_string(), String::from_utf8_lossy(name));
        assert!(text.contains(&*name) && text.ends_with(what), "{text}");

        // A manifest knows what is missing.
        made.manifest();
        let reader = open_all(&made).await;
        assert!(has_notice(&reader, &format!("db/{name} is skipped: it")));
    }
}

#[tokio::test]
async fn what_can_be_no_part_of_a_dump_is_skipped_whatever_it_is() {
    let mut made = Made::new();
    made.data("db.c", Codec::None, numbered(1));
    for name in ["db/s.sock", "notes.sock"] {
        drop(UnixListener::bind(made.file(name)).unwrap());
    }
    symlink("nothing", made.file("db/latest.txt")).unwrap();
    fs::write(made.file("db").join(OsStr::from_bytes(b"\xff.txt")), "").unwrap();
    let reader = open_all(&made).await;
    for path in [
        "db/s.sock",
        "notes.sock",
        "db/latest.txt",
        "db/\u{fffd}.txt",
    ] {
        assert!(
            has_notice(&reader, &format!("{path} is skipped: it")),
            "{path}"
        );
    }
    // It may have been the folder of a database, on a disk that is not there.
    symlink("nothing", made.file("shop")).unwrap();
    let error = refused(&made, "", FolderReaderOptions::default()).await;
    assert!(error.to_string().contains("shop"), "{error}");
}

#[tokio::test]
async fn files_that_are_too_long_for_what_they_hold_are_refused_and_not_read() {
    let mut made = Made::new();
    made.data("db.c", Codec::None, numbered(1));
    // Seventeen times 16 MiB of nothing, and more than is read of any metadata.
    let path = made.metadata_text("db.c", Codec::Gzip, &" ".repeat(16 << 20));
    let member = fs::read(made.file(&path)).unwrap();
    made.stray(&path, member.repeat(17));
    let reader = open_all(&made).await;
    let error = damage_of(&reader, "db.c").unwrap();
    assert!(error.to_string().contains("too many"), "{error}");

    let manifest = fs::File::create(made.file(rdump_format::MANIFEST_FILE)).unwrap();
    manifest
        .set_len(rdump_format::MAX_MANIFEST_BYTES + 1)
        .unwrap();
    let error = refused(&made, "", FolderReaderOptions::default()).await;
    assert_eq!(error.kind(), ErrorKind::Data);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("1073741825 bytes long"), "{cause}");
}

#[tokio::test]
async fn missing_changed_and_cut_files_are_named_with_their_namespace() {
    for action in ["delete", "truncate", "flip"] {
        for victim in ["db/c.bson", "db/c.metadata.json"] {
            let mut made = Made::new();
            made.data("db.c", Codec::None, numbered(250));
            made.metadata("db.c", doc! {}, &[]);
            made.data("db.sound", Codec::None, numbered(1));
            made.manifest();
            let file = made.file(victim);
            match action {
                "delete" => fs::remove_file(&file).unwrap(),
                "truncate" => damage::truncate(&file, damage::length(&file) - 1),
                _ => damage::flip_byte(&file, 5),
            }
            let reader = open_all(&made).await;
            assert_eq!(names(&reader), ["db.c", "db.sound"], "{action} {victim}");
            let [damaged, sound] = reader.contents().entries.as_slice() else {
                unreachable!("there are two")
            };
            assert_eq!(read(&reader, sound).await.unwrap().len(), 1);
            let error = read(&reader, damaged).await.unwrap_err();
            assert_eq!(error.namespace().unwrap().to_string(), "db.c");
            // The bytes of documents are looked at when they are read.
            let is_found_late = action == "flip" && victim == "db/c.bson";
            assert_eq!(damaged.damage.is_none(), is_found_late);
            assert_eq!(error.kind(), ErrorKind::Data, "{action} {victim}");
            assert!(
                error.location() == Some(victim) || error.to_string().contains(victim),
                "{error:?}"
            );
        }
    }
}

#[tokio::test]
async fn metadata_that_cannot_be_read_damages_its_collection_even_if_it_alone_has_the_name() {
    let mut made = Made::new();
    let long = format!("db.{}", "n".repeat(240));
    for namespace in ["db.c", &long] {
        made.data(namespace, Codec::None, numbered(1));
        made.metadata_text(namespace, Codec::None, "{");
    }
    made.data("db.sound", Codec::None, numbered(1));
    made.data("old.c", Codec::None, numbered(1));
    made.stray("old/system.indexes.bson", b"no documents");
    let reader = open_all(&made).await;
    assert_eq!(names(&reader).len(), 4);
    for entry in &reader.contents().entries {
        let damage = entry.damage.as_ref();
        let is_sound = entry.namespace.collection == "sound";
        assert_eq!(damage.is_none(), is_sound, "{:?}", entry.namespace);
        let names_it = |error: &Error| error.namespace() == Some(&entry.namespace);
        assert!(damage.is_none_or(names_it), "{damage:?}");
    }
}

#[tokio::test]
async fn a_prelude_that_is_damaged_or_missing_is_told_and_hinders_nothing() {
    let mut made = Made::new();
    made.data("db.c", Codec::None, numbered(1));
    made.stray("prelude.json", b"{");
    let reader = open_all(&made).await;
    assert!(has_notice(&reader, "it is not known which server"));
    assert!(damage_of(&reader, "db.c").is_none());
}

#[tokio::test]
async fn a_damaged_segment_is_named_and_those_before_it_are_read() {
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let mut made = Made::new();
        let path = made.data("db.c", codec, numbered(250));
        made.manifest();
        let first = made.segments(&path)[0];
        damage::flip_bits(&made.file(&path), first + 30, 1);
        let reader = open_all(&made).await;
        let mut runs = reader.documents(&reader.contents().entries[0]);
        assert_eq!(runs.try_next().await.unwrap().unwrap().documents, 100);
        let error = runs.try_next().await.unwrap_err();
        assert_eq!(error.namespace().unwrap().to_string(), "db.c");
        assert!(
            error
                .to_string()
                .contains(&format!("segment 2 of 3 of {path} (bytes {first} to")),
            "{error}"
        );
        assert!(runs.try_next().await.unwrap().is_none());
    }
}

/// Without a manifest only a cut between two documents of a plain file goes unnoticed.
#[tokio::test]
async fn a_file_without_manifest_that_is_cut_at_any_byte_is_an_error() {
    for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
        let mut made = Made::new();
        let few: Vec<_> = (0..3).map(|number| doc! { "_id": number }).collect();
        let path = made.data("db.c", codec, few);
        let whole = fs::read(made.file(&path)).unwrap();
        for cut in 0..whole.len() {
            made.stray(&path, &whole[..cut]);
            let reader = open_all(&made).await;
            let found = read(&reader, &reader.contents().entries[0]).await;
            if codec == Codec::None && cut % 14 == 0 {
                assert_eq!(found.unwrap().len(), cut / 14);
            } else {
                let error = found.unwrap_err();
                assert_eq!(
                    (error.kind(), error.namespace().unwrap().to_string()),
                    (ErrorKind::Data, "db.c".into())
                );
            }
        }
    }
}
