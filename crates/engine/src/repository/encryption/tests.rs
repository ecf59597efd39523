use super::*;

// Made by `ssh-keygen` for these tests.
const ED25519: [&str; 2] = [
    include_str!("keys/ed25519.pub"),
    include_str!("keys/ed25519"),
];
const RSA: [&str; 2] = [include_str!("keys/rsa.pub"), include_str!("keys/rsa")];
const PROTECTED: &str = include_str!("keys/protected");
const ECDSA: [&str; 2] = [include_str!("keys/ecdsa.pub"), include_str!("keys/ecdsa")];
/// From the documentation of age.
const AGE: [&str; 2] = [
    "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa",
    "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33",
];

fn keys() -> DataKeys {
    let mut keys = DataKeys::new("20260102T030405Z-00ff17a0".parse().unwrap());
    keys.add(1, data_key());
    keys
}

fn record(recipients: &Recipients, keys: &DataKeys) -> KeyRecord {
    let wrapped = recipients.wrap(keys).unwrap();
    KeyRecord::new(keys.id().clone(), recipients.names(), wrapped)
}

#[tokio::test]
async fn each_kind_of_key_opens_what_was_encrypted_to_it_and_no_other() {
    let (all, keys) = ([AGE, ED25519, RSA], keys());
    for (owner, [public, _]) in all.iter().enumerate() {
        let recipients = Recipients::parse(&format!("# somebody\n\n{public}\n")).unwrap();
        let record = record(&recipients, &keys);
        for (number, [_, secret]) in all.iter().enumerate() {
            let identities = Identities::parse(&(*secret).into()).unwrap();
            let unwrapped = unwrap_keys(record.clone(), &identities).await;
            match number == owner {
                true => {
                    let unwrapped = unwrapped.unwrap().to_bytes().unwrap();
                    assert_eq!(unwrapped, keys.to_bytes().unwrap());
                }
                false => assert_eq!(unwrapped.unwrap_err().kind(), ErrorKind::Denied),
            }
        }
    }
}

#[tokio::test]
async fn each_of_several_recipients_opens_it() {
    let recipients = Recipients::parse(&[AGE[0], ED25519[0], RSA[0]].join("\n")).unwrap();
    assert_eq!(recipients.names()[0], AGE[0]);
    // Without the comment, which names a person and a machine.
    assert!(ED25519[0].starts_with(&recipients.names()[1]));
    assert!(!recipients.names()[1].contains('@'));
    let record = record(&recipients, &keys());
    for [_, secret] in [AGE, ED25519, RSA] {
        let identities = Identities::parse(&secret.into()).unwrap();
        unwrap_keys(record.clone(), &identities).await.unwrap();
    }
    let error = unwrap_keys(record, &Identities::passphrase(&"x".into()).unwrap()).await;
    let error = error.unwrap_err().to_string();
    assert!(
        error.contains("age1t7r") && error.contains("ssh-rsa"),
        "{error}"
    );
}

#[test]
fn what_is_no_key_is_refused_and_never_quoted() {
    let refused = |error: Error| {
        assert_eq!(error.kind(), ErrorKind::Invalid);
        let text = format!("{error:?}");
        assert!(
            !text.contains("AAAA") && !text.contains("1GQ9778"),
            "{text}"
        );
        text
    };
    for (text, problem) in [
        ("", "no public key"),
        ("# nobody", "no public key"),
        (AGE[1], "line 1 of the public keys is a secret key"),
        ("age1x", "line 1 of the public keys is no key"),
        (ECDSA[0], "is no key that can be used"),
        (ED25519[1], "line 1 of the public keys is no key"),
    ] {
        let error = refused(Recipients::parse(text).unwrap_err());
        assert!(error.contains(problem), "{error}");
    }
    for (text, problem) in [
        ("", "no secret key"),
        (AGE[0], "no secret key"),
        (&AGE[1][..40], "no secret key"),
        (PROTECTED, "protected by a passphrase"),
        (ECDSA[1], "no type that can be used"),
        (
            "-----BEGIN OPENSSH PRIVATE KEY-----\n",
            "no type that can be used",
        ),
        ("-----BEGIN AGE ENCRYPTED FILE-----\n", "no secret key"),
    ] {
        let error = refused(Identities::parse(&text.into()).unwrap_err());
        assert!(error.contains(problem), "{error}");
    }
    refused(Recipients::passphrase(&"\n".into()).unwrap_err());
    refused(Identities::passphrase(&"".into()).unwrap_err());
}

#[tokio::test]
async fn what_is_wrapped_for_another_snapshot_or_is_nothing_is_damage() {
    let recipients = Recipients::parse(AGE[0]).unwrap();
    let identities = Identities::parse(&AGE[1].into()).unwrap();
    let mut other = record(&recipients, &keys());
    other.id = "20260102T030405Z-00ff17a1".parse().unwrap();
    let error = unwrap_keys(other, &identities).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Data);
    assert!(error.to_string().contains("00ff17a0"), "{error}");
    let whole = record(&recipients, &keys());
    for length in 0..whole.age.len() - 1 {
        let mut cut = whole.clone();
        cut.age.truncate(length);
        let error = unwrap_keys(cut, &identities).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Data, "{length}: {error}");
    }
}

#[tokio::test]
async fn nobody_makes_us_use_more_memory_than_we_say() {
    let mut recipient = scrypt::Recipient::new(SecretString::from("x".to_owned()));
    recipient.set_work_factor(2);
    let armored = age::encrypt_and_armor(&recipient, b"x").unwrap();
    // Whoever stores it says what it costs.
    let costly = armored.lines().collect::<Vec<_>>().join("\n");
    let bytes = {
        let mut bytes = Vec::new();
        let mut reader = ArmoredReader::new(costly.as_bytes());
        reader.read_to_end(&mut bytes).unwrap();
        bytes
    };
    let at = bytes.windows(3).position(|three| three == b" 2\n").unwrap();
    let bytes = [&bytes[..at], b" 30\n", &bytes[at + 3..]].concat();
    let mut armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).unwrap();
    armor.write_all(&bytes).unwrap();
    let age = String::from_utf8(armor.finish().unwrap()).unwrap();
    let record = KeyRecord::new(keys().id().clone(), vec!["passphrase".to_owned()], age);
    let error = unwrap_keys(record, &Identities::passphrase(&"x".into()).unwrap()).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::Unsupported);
}
