//! What verification finds.

use std::{fs, os::unix::fs::symlink, sync::Arc};

use bson::doc;
use rdump::{
    CancellationToken, Codec, DamageKind, Error, ErrorKind, Event, Observer, RecordingObserver,
    VerifyReport, verify_folder,
};
use rdump_testkit::damage;

use crate::made::Made;

const DATA: &str = "db/c.bson.zst";
const METADATA: &str = "db/c.metadata.json";
const MANIFEST: &str = rdump_format::MANIFEST_FILE;

fn dump() -> Made {
    let mut made = Made::new();
    made.data(
        "db.c",
        Codec::Zstd,
        (0..350).map(|number| doc! { "_id": number }),
    );
    made.metadata("db.c", doc! { "capped": true }, &[]);
    made.data(
        "db.plain",
        Codec::None,
        (0..10).map(|number| doc! { "_id": number }),
    );
    made.data("db.gzip", Codec::Gzip, []);
    made.manifest();
    made
}

async fn try_verify(made: &Made) -> Result<VerifyReport, Error> {
    verify_folder(&made.location(), Arc::new(()), CancellationToken::new()).await
}

async fn damage_of(made: &Made) -> Vec<(String, DamageKind)> {
    let report = try_verify(made).await.unwrap();
    report
        .damage
        .into_iter()
        .map(|damage| (damage.path, damage.kind))
        .collect()
}

#[tokio::test]
async fn a_whole_dump_has_no_damage() {
    let report = try_verify(&dump()).await.unwrap();
    assert!(report.is_whole(), "{report}");
    assert_eq!((report.files, report.documents), (4, 360));
}

#[tokio::test]
async fn every_kind_of_damage_to_every_kind_of_file_is_found() {
    for victim in [DATA, METADATA, "db/plain.bson", MANIFEST] {
        for action in ["delete", "truncate", "flip", "extend"] {
            let made = dump();
            let file = made.file(victim);
            match action {
                "delete" => fs::remove_file(&file).unwrap(),
                "truncate" => damage::truncate(&file, damage::length(&file) - 1),
                "flip" => damage::flip_bits(&file, damage::length(&file) / 2, 1),
                _ => made.stray(victim, [fs::read(&file).unwrap(), vec![0]].concat()),
            }
            let expected = match (victim, action) {
                (MANIFEST, "delete") => {
                    assert_eq!(
                        try_verify(&made).await.unwrap_err().kind(),
                        ErrorKind::Unsupported
                    );
                    continue;
                }
                (MANIFEST, _) => DamageKind::Manifest,
                (_, "delete") => DamageKind::Missing,
                (_, "flip") => DamageKind::Digest,
                _ => DamageKind::Size,
            };
            assert_eq!(
                damage_of(&made).await,
                [(victim.to_owned(), expected)],
                "{action} {victim}"
            );
        }
    }
}

#[tokio::test]
async fn every_flipped_bit_of_a_data_file_is_found() {
    let made = dump();
    let file = made.file("db/plain.bson");
    for offset in 0..damage::length(&file) {
        damage::flip_bits(&file, offset, 0x10);
        assert_eq!(
            damage_of(&made).await,
            [("db/plain.bson".to_owned(), DamageKind::Digest)]
        );
        damage::flip_bits(&file, offset, 0x10);
    }
    assert!(damage_of(&made).await.is_empty());
}

#[tokio::test]
async fn a_damaged_segment_is_named_with_what_it_held() {
    let made = dump();
    let first = made.segments(DATA)[0];
    damage::flip_byte(&made.file(DATA), first + 3);
    let report = try_verify(&made).await.unwrap();
    assert_eq!(report.damage.len(), 1);
    let text = report.damage[0].to_string();
    assert!(
        text.starts_with(&format!("db/c.bson.zst: segment 2 of 4 (bytes {first} to")),
        "{text}"
    );
    assert!(text.contains("100 documents"), "{text}");
    assert!(
        text.ends_with("; the 2 segments after it were not checked"),
        "{text}"
    );
    assert_eq!(report.documents, 110);
}

#[tokio::test]
async fn what_the_manifest_does_not_list_is_unexpected() {
    let made = dump();
    made.stray("db/new.bson", b"");
    made.stray("notes.txt", b"hello");
    made.stray("db/.rdump-12-0.part", b"half");
    let unexpected = |path: &str| (path.to_owned(), DamageKind::Unexpected);
    let expected = [
        unexpected("db/.rdump-12-0.part"),
        unexpected("db/new.bson"),
        unexpected("notes.txt"),
    ];
    assert_eq!(damage_of(&made).await, expected);
}

#[tokio::test]
async fn a_folder_that_cannot_be_looked_into_is_an_error_only_if_the_manifest_lists_files_in_it() {
    let made = dump();
    // Not even root can follow a link to itself.
    symlink("loop", made.file("loop")).unwrap();
    let notices = Arc::new(RecordingObserver::default());
    let observer = Arc::clone(&notices) as Arc<dyn Observer>;
    let report = verify_folder(&made.location(), observer, CancellationToken::new()).await;
    assert!(report.unwrap().is_whole());
    let is_told = |event: &Event| matches!(event, Event::Notice { message, .. } if message.starts_with("loop is skipped: "));
    assert!(notices.events().iter().any(is_told));

    fs::rename(made.file("db"), made.file("away")).unwrap();
    symlink("db", made.file("db")).unwrap();
    let error = try_verify(&made).await.unwrap_err();
    assert_eq!(error.location(), Some("db"));
}

#[tokio::test]
async fn a_manifest_that_is_too_long_is_damage_and_not_read() {
    let made = dump();
    let manifest = fs::File::create(made.file(MANIFEST)).unwrap();
    manifest
        .set_len(rdump_format::MAX_MANIFEST_BYTES + 1)
        .unwrap();
    let report = try_verify(&made).await.unwrap();
    let text = report.damage[0].to_string();
    assert!(text.contains("1073741825 bytes long"), "{text}");
}

#[tokio::test]
async fn a_dump_without_manifest_cannot_be_verified_and_a_missing_one_is_a_mistake() {
    let mut made = Made::new();
    made.data("db.c", Codec::None, [doc! {}]);
    assert_eq!(
        try_verify(&made).await.unwrap_err().kind(),
        ErrorKind::Unsupported
    );
    made.stray(rdump_format::UNFINISHED_FILE, "");
    let error = try_verify(&made).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("did not finish"), "{error}");
    made.manifest();
    assert!(try_verify(&made).await.unwrap().is_whole());
    let missing = made.file("missing").as_path().into();
    let error = verify_folder(&missing, Arc::new(()), CancellationToken::new())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_cancelled_verification_says_so() {
    let made = dump();
    let cancel = CancellationToken::new();
    cancel.cancel();
    let error = verify_folder(&made.location(), Arc::new(()), cancel)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}
