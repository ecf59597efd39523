//! The table of flags in `docs/compatibility.md` is that of the tools themselves.

use std::{collections::BTreeSet, fs, path::Path};

use rdump_testkit::{binaries, reference::attempt};

/// One line of the table.
struct Flag {
    names: BTreeSet<String>,
    value: String,
    is_hidden: bool,
}

/// The lines under a heading.
fn documented(heading: &str) -> Vec<Flag> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/compatibility.md");
    let document = fs::read_to_string(path).unwrap();
    let (_, section) = document.split_once(&format!("### {heading}\n")).unwrap();
    let section = section.split("\n### ").next().unwrap_or_default();
    let rows = section.lines().filter(|line| line.contains("| `-"));
    rows.map(|row| {
        let cells: Vec<&str> = row.split(" | ").collect();
        let names = cells[1].split('`').filter(|name| name.starts_with('-'));
        Flag {
            names: names.map(str::to_owned).collect(),
            value: cells[2].trim().to_owned(),
            is_hidden: cells[1].ends_with("(hidden)"),
        }
    })
    .collect()
}

/// The names that the tool's help lists.
fn in_help(program: &Path) -> BTreeSet<String> {
    let help = String::from_utf8(attempt(program, ["--help"]).stdout).unwrap();
    let is_option = |line: &&str| line.starts_with("  -") || line.starts_with("      --");
    let options = help.lines().filter(is_option).flat_map(|line| {
        let words = line.split_whitespace();
        let names = words.take_while(|word| word.starts_with('-'));
        names.map(|name| name.split(['=', ',']).next().unwrap_or_default().to_owned())
    });
    options.collect()
}

#[test]
fn the_documented_flags_are_those_of_mongodump_and_mongorestore() {
    for (tool, program) in [
        ("mongodump", binaries::mongodump()),
        ("mongorestore", binaries::mongorestore()),
    ] {
        let mut flags = documented("Options of mongodump and mongorestore");
        flags.extend(documented(&format!("Options of {tool} alone")));
        let visible = flags.iter().filter(|flag| !flag.is_hidden);
        let visible: BTreeSet<String> = visible.flat_map(|flag| flag.names.clone()).collect();
        assert_eq!(visible, in_help(&program), "{tool}");

        let said = |arguments: [&str; 2]| {
            let output = attempt(&program, arguments);
            String::from_utf8(output.stderr).unwrap()
        };
        for flag in flags {
            let long = flag
                .names
                .iter()
                .find(|name| name.starts_with("--"))
                .unwrap();
            let with_value = said([&format!("{long}=1"), "--version"]);
            let alone = said(["--version", long]);
            // Only test builds know it.
            let is_unknown = long == "--failpoints";
            assert_eq!(with_value.contains("unknown option"), is_unknown, "{long}");
            let takes_none = with_value.contains("bool flag");
            assert_eq!(takes_none, flag.value.is_empty(), "{long}: {with_value}");
            let needs_one = alone.contains("expected argument");
            let is_required = ["yes", "several"].contains(&&*flag.value);
            assert_eq!(needs_one, is_required && !is_unknown, "{long}: {alone}");
        }
    }
}
