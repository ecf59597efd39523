use super::*;

const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

#[test]
fn a_digest_is_written_as_sha256sum_prints_it() {
    let digest = Digest::of(b"abc");
    assert_eq!(digest.to_string(), ABC);
    assert_eq!(ABC.parse(), Ok(digest));
    assert_eq!(format!("{digest:?}"), format!("Digest({ABC})"));
    let json = serde_json::to_string(&digest).unwrap();
    assert_eq!(serde_json::from_str::<Digest>(&json).unwrap(), digest);
}

#[test]
fn pieces_have_the_digest_of_the_whole() {
    let mut digester = Digester::new();
    digester.update(b"a");
    digester.update(b"");
    digester.update(b"bc");
    assert_eq!(digester.finish(), Digest::of(b"abc"));
}

#[test]
fn only_64_lower_case_digits_are_a_digest() {
    let upper = ABC.to_uppercase();
    let spaced = format!(" {}", &ABC[1..]);
    for text in [
        "",
        &ABC[..63],
        &format!("{ABC}0"),
        &upper,
        &spaced,
        &"é".repeat(32),
    ] {
        text.parse::<Digest>().unwrap_err();
    }
    assert_eq!(
        "x".parse::<Digest>().unwrap_err().to_string(),
        r#""x" is not 64 lower-case hexadecimal digits"#
    );
}
