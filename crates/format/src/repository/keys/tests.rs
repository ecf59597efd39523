use bson::rawdoc;
use proptest::prelude::*;

use super::*;
use crate::manifest::SourceRecord;
use crate::repository::{RepositoryId, SnapshotManifest, StoredObject};

fn id() -> SnapshotId {
    "20260102T030405Z-00ff17a0".parse().unwrap()
}

fn keys() -> DataKeys {
    let mut keys = DataKeys::new(id());
    keys.add(1, Zeroizing::new([1; 32]));
    keys.add(2, Zeroizing::new([2; 32]));
    keys
}

proptest! {
    #[test]
    fn a_segment_is_decrypted_at_its_place_only_and_any_change_is_noticed(
        segment in proptest::collection::vec(any::<u8>(), 0..300),
        nonce: [u8; NONCE_BYTES],
        at: prop::sample::Index,
        bit in 0_u8..8,
    ) {
        let (keys, path) = (keys(), "data/2-7.bson.zst.enc");
        let stored = keys.encrypt_segment(path, 3, nonce, &segment).unwrap();
        prop_assert_eq!(stored.len(), segment.len() + 40);
        prop_assert_eq!(keys.decrypt_segment(path, 3, &stored).unwrap(), segment);
        let refused = Err(EncryptionError::NotAuthentic);
        prop_assert_eq!(keys.decrypt_segment(path, 2, &stored), refused.clone());
        prop_assert_eq!(keys.decrypt_segment("data/2-8.bson.zst.enc", 3, &stored), refused.clone());
        prop_assert_eq!(keys.decrypt_segment("data/1-7.bson.zst.enc", 3, &stored), refused.clone());
        let mut changed = stored.clone();
        let at = at.index(stored.len());
        changed[at] ^= 1 << bit;
        prop_assert_eq!(keys.decrypt_segment(path, 3, &changed), refused.clone());
        prop_assert_eq!(keys.decrypt_segment(path, 3, &stored[..at]), refused);
    }
}

#[test]
fn a_segment_of_another_snapshot_or_of_an_attempt_without_a_key_is_refused() {
    let stored = keys().encrypt_segment("data/1-0.bson.enc", 0, [7; NONCE_BYTES], b"text");
    let mut others = DataKeys::new("20260102T030405Z-00ff17a1".parse().unwrap());
    others.add(1, Zeroizing::new([1; 32]));
    let read = others.decrypt_segment("data/1-0.bson.enc", 0, &stored.unwrap());
    assert_eq!(read, Err(EncryptionError::NotAuthentic));
    let read = keys().encrypt_segment("data/3-0.bson.enc", 0, [7; NONCE_BYTES], b"text");
    assert_eq!(read, Err(EncryptionError::NoKey));
}

#[test]
fn keys_are_read_as_they_were_written_and_never_shown() {
    let bytes = keys().to_bytes().unwrap();
    let back = DataKeys::from_bytes(&bytes).unwrap();
    assert_eq!(back.to_bytes().unwrap(), bytes);
    assert_eq!(format!("{back:?}"), format!("DataKeys({}, [1, 2])", id()));
    for wrong in [&bytes[1..], b"{}", b"", &[bytes.as_slice(), b" x"].concat()] {
        let refused = DataKeys::from_bytes(wrong).map(|_| ());
        assert_eq!(refused, Err(EncryptionError::Keys));
    }
}

#[test]
fn what_is_private_of_a_run_is_read_with_its_key_in_its_place() {
    let mut run = RunRecord::new(SourceRecord::default(), "0.1.0", "then", "now");
    run.options = serde_json::json!({ "query": "{name: 1}" });
    run.problems.push("shop.people lost".to_owned());
    let whole = run.clone();
    let private = PrivateRun::take(&mut run);
    assert!(run.options.is_null() && run.problems.is_empty());
    let nonce = [9; NONCE_BYTES];
    let text = keys().encrypt_private(PrivatePlace::Manifest, 2, nonce, &private);
    let text = text.unwrap();
    let read = |place, attempt| keys().decrypt_private(place, attempt, &text);
    read(PrivatePlace::Manifest, 2).unwrap().put_into(&mut run);
    assert_eq!(run, whole);
    assert!(read(PrivatePlace::Begun, 2).is_err());
    assert!(read(PrivatePlace::Manifest, 1).is_err());
    assert!(read(PrivatePlace::Manifest, 3).is_err());
}

#[test]
fn the_root_of_a_manifest_is_authentic_or_not() {
    let run = RunRecord::new(SourceRecord::default(), "0.1.0", "then", "now");
    let catalog = StoredObject::new("catalog/2-0.bson.zst.enc", Vec::new());
    let mut manifest = SnapshotManifest::new(RepositoryId([3; 16]), id(), run, catalog);
    manifest.private = Some("text".to_owned());
    manifest.tags.insert("x".to_owned(), "y".to_owned());
    manifest
        .tags
        .insert("authentication".to_owned(), "of old".to_owned());
    let text = manifest.to_authenticate().unwrap();
    let code = keys().authenticate(manifest.attempt(), [4; NONCE_BYTES], &text);
    manifest.authentication = Some(code.unwrap());
    let bytes = manifest.to_bytes().unwrap();
    let back = SnapshotManifest::from_bytes(&bytes).unwrap();
    assert_eq!(back, manifest);
    assert_eq!((back.attempt(), back.is_encrypted()), (2, true));
    let code = back.authentication.as_deref().unwrap();
    let authenticated = SnapshotManifest::authenticated(&bytes).unwrap();
    assert_eq!(authenticated, text);
    assert_eq!(keys().check(2, authenticated, code), Ok(()));
    let refused = Err(EncryptionError::NotAuthentic);
    assert_eq!(keys().check(1, authenticated, code), refused);
    let mut forged = manifest.clone();
    forged.tags.insert("x".to_owned(), "z".to_owned());
    let bytes = forged.to_bytes().unwrap();
    let forged = SnapshotManifest::authenticated(&bytes).unwrap();
    assert_eq!(keys().check(2, forged, code), refused);
    // Half of what makes it encrypted makes it nothing.
    manifest.private = None;
    assert!(manifest.to_bytes().is_err());
    manifest.authentication = None;
    assert!(manifest.to_bytes().is_err());
}

#[test]
fn what_is_stored_encrypted_says_nothing_of_what_it_is() {
    let document = rawdoc! { "name": "somebody" };
    let stored = keys().encrypt_segment(
        "data/1-0.bson.enc",
        0,
        [7; NONCE_BYTES],
        document.as_bytes(),
    );
    let stored = stored.unwrap();
    assert!(!stored.windows(8).any(|bytes| bytes == b"somebody"));
}

#[test]
fn what_a_part_says_goes_with_its_own_index_only() {
    let (keys, path) = (keys(), "parts/1-0.bson.zst.enc");
    let (index, other) = (Digest::of(b"index"), Digest::of(b"another"));
    let stored = keys.encrypt_details(path, index, [3; NONCE_BYTES], b"details");
    let stored = stored.unwrap();
    assert_eq!(
        keys.decrypt_details(path, index, &stored).unwrap(),
        b"details"
    );
    let refused = Err(EncryptionError::NotAuthentic);
    assert_eq!(keys.decrypt_details(path, other, &stored), refused);
    assert_eq!(keys.decrypt_segment(path, 1, &stored), refused);
}
