#![expect(
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

use proptest::{collection::btree_map, option, prelude::*, sample::select};

use super::*;

fn entry() -> AuditEntry {
    let who = AuditActor {
        user: "backup".to_owned(),
        name: Some("nightly".to_owned()),
        host: "vault".to_owned(),
        process: 7,
        tool_version: "0.1.0".to_owned(),
    };
    let mut entry = AuditEntry::new(
        RepositoryId([0xa1; 16]),
        "00112233445566ff",
        "2026-01-02T03:04:05Z",
        who,
        (AuditVerb::Restore, AuditResult::Problems),
    );
    entry.number = 2;
    entry.previous = Some(Digest::of(b"the first"));
    entry.subject.snapshot = "20260102T030405Z-00ff17a0".parse().ok();
    entry.subject.until = "1767323045:3".parse().ok();
    entry.subject.to = Some("rs0/localhost:27017".to_owned());
    entry.figures.insert("documents".to_owned(), 12);
    entry
}

#[test]
fn an_entry_is_written_as_the_format_says() {
    let mut entry = entry();
    let bytes = entry.to_bytes().unwrap();
    assert_eq!(
        String::from_utf8(bytes).unwrap(),
        concat!(
            r#"{"sha256":"2c7b9d338b0604aa7b71b0bc980c0a17e3dfe41407240bf5c0bf8e7026404783","audit":{"#,
            r#""version":"1.1","read_by":"0.1.0","repository":"a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1","#,
            r#""number":2,"previous":"6fa2c9ea02d6b6cc4aeb86495d9a1beac7ebeba72023ebd2c1ec8564117f1c6e","#,
            r#""operation":"00112233445566ff","at":"2026-01-02T03:04:05Z","#,
            r#""who":{"user":"backup","name":"nightly","host":"vault","process":7,"tool_version":"0.1.0"},"#,
            r#""verb":"restore","result":"problems","#,
            r#""subject":{"snapshot":"20260102T030405Z-00ff17a0","until":"1767323045:3","to":"rs0/localhost:27017"},"#,
            r#""figures":{"documents":12}}}"#,
            "\n"
        )
    );
    entry.subject = AuditSubject::default();
    entry.figures.clear();
    entry.error = Some(AuditError::new("data", None));
    let bytes = entry.to_bytes().unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(
        text.ends_with("\"result\":\"problems\",\"error\":{\"kind\":\"data\"}}}\n"),
        "{text}"
    );
    assert_eq!(AuditEntry::from_bytes(&bytes).unwrap(), entry);
}

#[test]
fn the_newest_entry_is_the_first_of_a_listing() {
    let paths = [1, 2, 9, 10, 99_999, 100_000, MAX_AUDIT_NUMBER].map(audit_path);
    assert_eq!(paths[0], "audit/999999999999-1.json");
    assert_eq!(paths[6], "audit/000000000001-999999999999.json");
    assert!(paths.is_sorted_by(|one, other| one > other), "{paths:?}");
    for wrong in [
        "audit/999999999999-2.json",
        "audit/999999999999-01.json",
        "audit/1000000000000-0.json",
        "audit/000000000000-1000000000000.json",
        "audit/99999999999-1.json",
        "audit/999999999999-1",
        "audit/-1.json",
        "999999999999-1.json",
    ] {
        assert_eq!(AuditEntry::parse_path(wrong), None, "{wrong}");
    }
}

#[test]
fn what_can_be_no_entry_is_neither_written_nor_read() {
    let refused = |change: fn(&mut AuditEntry), why: &str| {
        let mut entry = entry();
        change(&mut entry);
        let written = entry.to_bytes().unwrap_err().to_string();
        assert!(written.contains(why), "{written}");
        let text = serde_json::to_string(&entry).unwrap();
        let read = AuditEntry::from_bytes(&Frame::Audit.wrap(&text));
        assert!(read.unwrap_err().to_string().contains(why));
    };
    let first = "the first entry, and it alone, has none before it: ";
    refused(|entry| entry.previous = None, first);
    refused(|entry| entry.number = 1, first);
    refused(|entry| entry.number = 0, "can have: 0");
    refused(|entry| entry.number = MAX_AUDIT_NUMBER + 1, "can have");
    refused(|entry| entry.who.user = "u".repeat(1 << 16), "longer");
    let newer = r#"{"version":"1.9","read_by":"9.0.0","verb":"dance"}"#;
    let error = AuditEntry::from_bytes(&Frame::Audit.wrap(newer)).unwrap_err();
    assert!(matches!(error.fault, RecordFault::TooNew { .. }), "{error}");
}

#[test]
fn words_are_read_as_they_are_written() {
    for verb in AuditVerb::ALL {
        assert_eq!(verb.to_string().parse(), Ok(*verb));
        assert_eq!(serde_json::to_value(verb).unwrap(), verb.as_str());
    }
    for result in AuditResult::ALL {
        assert_eq!(result.as_str().parse(), Ok(*result));
        assert_eq!(serde_json::to_value(result).unwrap(), result.as_str());
    }
    let error = "dance".parse::<AuditVerb>().unwrap_err();
    assert!(error.starts_with("\"dance\" is none of init, backup,"));
}

#[test]
fn any_flip_and_cut_is_noticed() {
    let bytes = entry().to_bytes().unwrap();
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        for bit in [1, 0x20, 0x80] {
            changed[at] = bytes[at] ^ bit;
            assert!(AuditEntry::from_bytes(&changed).is_err(), "byte {at}");
        }
        assert!(AuditEntry::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        number in 2..=MAX_AUDIT_NUMBER,
        (user, name, host) in (any::<String>(), option::of(any::<String>()), "\\PC{0,9}"),
        (process, verb) in (any::<u32>(), select(AuditVerb::ALL)),
        result in select(AuditResult::ALL),
        (from, to) in (option::of(any::<String>()), option::of(any::<String>())),
        after in option::of((any::<u32>(), any::<u32>())),
        figures in btree_map("[a-z-]{0,8}", any::<u64>(), 0..5),
        message in option::of(any::<String>()),
    ) {
        let mut entry = entry();
        entry.number = number;
        (entry.who.user, entry.who.name, entry.who.host) = (user, name, host);
        (entry.who.process, entry.verb, entry.result) = (process, verb, result);
        (entry.subject.from, entry.subject.to) = (from, to);
        entry.subject.after = after.map(|(seconds, ordinal)| OpTime { seconds, ordinal });
        entry.figures = figures;
        entry.error = message.map(|message| AuditError::new("data", Some(message)));
        let bytes = entry.to_bytes().unwrap();
        prop_assert_eq!(&AuditEntry::from_bytes(&bytes).unwrap(), &entry);
        prop_assert_eq!(AuditEntry::parse_path(&entry.path()), Some(number));
    }

    #[test]
    fn whatever_the_bytes_are_reading_them_is_no_panic(
        value in "\\{?[\"a-z:0-9,{}]{0,40}",
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        path in "(audit/)?[0-9]{0,14}-?[0-9]{0,22}(.json)?",
    ) {
        prop_assert!(AuditEntry::from_bytes(&bytes).is_err());
        prop_assert!(AuditEntry::from_bytes(&Frame::Audit.wrap(&value)).is_err());
        if let Some(number) = AuditEntry::parse_path(&path) {
            prop_assert_eq!(audit_path(number), path);
        }
    }
}
