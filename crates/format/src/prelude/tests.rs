use proptest::prelude::*;

use super::*;

proptest! {
    #[test]
    fn a_prelude_comes_back_from_its_text(
        server in proptest::option::of(any::<String>()),
        tool in any::<String>(),
    ) {
        prop_assume!(server.as_deref() != Some(UNKNOWN));
        let prelude = Prelude { server_version: server, tool_version: tool };
        prop_assert_eq!(Prelude::from_json(prelude.to_json().as_bytes()).unwrap(), prelude);
    }
}

#[test]
fn the_text_is_that_of_mongodump() {
    let mut prelude = Prelude {
        server_version: Some("7.0.16".into()),
        tool_version: "100.18.0".into(),
    };
    assert_eq!(
        prelude.to_json(),
        r#"{"ServerVersion":"7.0.16","ToolVersion":"100.18.0"}"#
    );
    prelude.server_version = None;
    assert_eq!(
        prelude.to_json(),
        r#"{"ServerVersion":"unknown","ToolVersion":"100.18.0"}"#
    );
    assert_eq!(
        Prelude::from_json(prelude.to_json().as_bytes()).unwrap(),
        prelude
    );
}

#[test]
fn unknown_keys_are_passed_over_and_missing_ones_are_not() {
    let text = br#" { "ToolVersion" : "1", "Later" : {}, "ServerVersion" : "2" } "#;
    assert_eq!(
        Prelude::from_json(text).unwrap().server_version.as_deref(),
        Some("2")
    );
    for text in [
        "",
        "{}",
        r#"{"ServerVersion":"1"}"#,
        r#"{"ServerVersion":1,"ToolVersion":"1"}"#,
        "[",
        "\u{0}",
    ] {
        Prelude::from_json(text.as_bytes()).unwrap_err();
    }
    assert_eq!(
        Prelude::from_json(b"{\n}").unwrap_err().to_string(),
        "not a prelude: line 2, column 1"
    );
}
