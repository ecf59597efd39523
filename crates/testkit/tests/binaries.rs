//! Binaries are found, and their absence is explained.

use std::process::Command;

use rdump_testkit::binaries::{find_tool, mongod, promtool};

#[test]
fn there_is_a_server() {
    assert!(mongod().is_file());
}

#[test]
fn there_is_a_promtool() {
    let shown = Command::new(promtool()).arg("--version").output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.starts_with("promtool, version "), "{shown}");
}

#[test]
fn a_missing_tool_is_named_with_the_variable_to_set() {
    let missing = find_tool("no-such-tool", "RDUMP_NO_SUCH_TOOL").expect_err("it does not exist");
    let message = missing.to_string();
    assert!(message.contains("no-such-tool not found"), "{message}");
    assert!(message.contains("RDUMP_NO_SUCH_TOOL"), "{message}");
}
