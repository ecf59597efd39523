//! Every option of mongodump and mongorestore, and what ours does with it: the table of `docs/compatibility.md`.

mod options;

use std::{ffi::OsString, fmt::Write as _, fs, iter, path::Path};

use clap::{Arg, ArgAction, Command, CommandFactory};

use crate::{
    args::{self, DumpArgs, Parsed, RestoreArgs},
    convert::{DumpRequest, Environment, Refusal, RestoreRequest},
    failure,
};

/// Options under one heading of the reference tools' help.
struct Group {
    name: &'static str,
    options: &'static [ReferenceOption],
}

/// One option of a reference tool.
struct ReferenceOption {
    /// As its help spells it: `-d, --db`.
    names: &'static str,
    value: Value,
    /// Not in its help.
    is_hidden: bool,
    /// Options that make sense together, this one among them.
    example: &'static str,
    ours: Ours,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Value {
    Nothing,
    Required,
    /// It follows only an `=`.
    Optional,
    /// It is required, and each counts.
    Repeatable,
}

enum Ours {
    /// It does what it does in the reference tool; how it differs, if it does.
    Supported(&'static str),
    /// It is taken and changes nothing; why.
    WithoutEffect(&'static str),
    /// By name; the refusal says why and what to use instead.
    Refused,
}

const fn option(
    names: &'static str,
    value: Value,
    example: &'static str,
    ours: Ours,
) -> ReferenceOption {
    ReferenceOption {
        names,
        value,
        is_hidden: false,
        example,
        ours,
    }
}

const fn hidden(
    names: &'static str,
    value: Value,
    example: &'static str,
    ours: Ours,
) -> ReferenceOption {
    ReferenceOption {
        is_hidden: true,
        ..option(names, value, example, ours)
    }
}

impl ReferenceOption {
    fn long(&self) -> &'static str {
        self.names.rsplit("--").next().unwrap_or_default()
    }

    fn short(&self) -> Option<char> {
        let letters = self.names.strip_prefix('-')?;
        letters.chars().next().filter(|letter| *letter != '-')
    }
}

/// One of the binaries, and what the reference tool that it stands in for has.
struct Tool {
    command: Command,
    groups: Vec<&'static Group>,
    /// Follows a command line as far as it goes without a server.
    request: fn(&str) -> Result<(), Refusal>,
}

fn tools() -> [Tool; 2] {
    let groups = |own: &'static [Group]| options::BOTH.iter().chain(own).collect();
    [
        Tool {
            command: DumpArgs::command(),
            groups: groups(options::DUMP),
            request: |line| {
                let args = parse::<DumpArgs>(line);
                DumpRequest::new(&args, &Environment::default()).map(drop)
            },
        },
        Tool {
            command: RestoreArgs::command(),
            groups: groups(options::RESTORE),
            request: |line| {
                let args = parse::<RestoreArgs>(line);
                RestoreRequest::new(&args, &Environment::default()).map(drop)
            },
        },
    ]
}

fn parse<A: clap::Parser>(line: &str) -> A {
    let words = iter::once("x").chain(line.split_whitespace());
    match args::parse(words.map(OsString::from)) {
        Ok(Parsed::Run(args)) => args,
        Ok(Parsed::Print(_)) => panic!("{line} prints help"),
        Err(reason) => panic!("{line}: {reason}"),
    }
}

impl Tool {
    fn options(&self) -> impl Iterator<Item = &'static ReferenceOption> {
        self.groups.iter().flat_map(|group| group.options)
    }

    fn defined(&self, option: &ReferenceOption) -> &Arg {
        let mut defined = self.command.get_arguments();
        defined
            .find(|argument| argument.get_long() == Some(option.long()))
            .unwrap_or_else(|| panic!("{} is not defined", option.names))
    }

    /// What happens to an option that is used as its example does; checks it against the table.
    fn treatment(&self, option: &ReferenceOption) -> String {
        let refusal = (self.request)(option.example)
            .err()
            .map(|refusal| match refusal {
                Refusal::Usage(reason) | Refusal::BadOption(reason) => {
                    panic!("{}: {reason}", option.example)
                }
                Refusal::Failed(error) => failure::chain(&error),
            });
        let colon = |text: &str| match text {
            "" => String::new(),
            text => format!(": {text}"),
        };
        let reason = refusal.as_deref().map(|refusal| {
            let reason = refusal.strip_prefix(&format!("--{}: ", option.long()));
            reason.unwrap_or(refusal)
        });
        match (&option.ours, reason) {
            (Ours::Supported(difference), None) => format!("supported{}", colon(difference)),
            (Ours::WithoutEffect(why), None) => format!("accepted without effect{}", colon(why)),
            (Ours::Refused, Some(reason)) if Some(reason) != refusal.as_deref() => {
                format!("refused: {reason}")
            }
            (_, reason) => panic!("{} is refused with {reason:?}", option.example),
        }
    }
}

#[test]
fn every_option_of_the_reference_tools_is_defined_as_theirs() {
    for tool in tools() {
        for group in &tool.groups {
            for option in group.options {
                let defined = tool.defined(option);
                let takes_value = defined.get_action().takes_values();
                let number = defined.get_num_args();
                let optional = number.is_some_and(|number| number.min_values() == 0);
                let each = matches!(defined.get_action(), ArgAction::Append);
                let value = match (takes_value, optional, each) {
                    (false, ..) => Value::Nothing,
                    (true, true, _) => Value::Optional,
                    (true, false, true) => Value::Repeatable,
                    (true, false, false) => Value::Required,
                };
                let names = option.names;
                assert_eq!(value, option.value, "{names}");
                assert_eq!(defined.get_short(), option.short(), "{names}");
                assert_eq!(defined.is_hide_set(), option.is_hidden, "{names}");
                let heading = defined.get_help_heading().unwrap_or_default();
                let expected = format!("{} options", group.name);
                assert!(
                    heading.eq_ignore_ascii_case(&expected),
                    "{names}: {heading}"
                );
            }
        }
    }
}

#[test]
fn help_has_the_order_of_the_reference_tools_and_what_is_ours_at_the_end() {
    for tool in tools() {
        // mongorestore has two groups of one name, which are one here.
        let mut groups = tool.groups.clone();
        groups.sort_by_key(|group| {
            tool.groups
                .iter()
                .position(|first| first.name == group.name)
        });
        let options = groups.iter().flat_map(|group| group.options);
        let visible = options.filter(|option| !option.is_hidden);
        let expected: Vec<&str> = visible.map(ReferenceOption::long).collect();
        let mut command = tool.command.clone();
        let help = command.render_help().to_string();
        let options = help.lines().filter_map(|line| {
            let is_option = line.starts_with("  -") || line.starts_with("      --");
            let (_, long) = line.split_once("--").filter(|_| is_option)?;
            long.split([' ', '[']).next()
        });
        let options: Vec<&str> = options.collect();
        let (theirs, ours) = options.split_at(expected.len());
        assert_eq!(theirs, expected);
        for long in ours {
            let defined = command.get_arguments().find(|a| a.get_long() == Some(long));
            let heading = defined.and_then(Arg::get_help_heading).unwrap_or_default();
            assert!(
                heading.starts_with("Options that mongo"),
                "{long}: {heading}"
            );
        }
    }
}

#[test]
fn no_option_of_ours_is_hidden_or_has_a_letter() {
    for tool in tools() {
        for defined in tool.command.get_arguments() {
            let long = defined.get_long();
            let is_theirs = tool.options().any(|option| long == Some(option.long()));
            let is_hidden = defined.is_hide_set() || defined.get_short().is_some();
            assert!(long.is_none() || is_theirs || !is_hidden, "{long:?}");
        }
    }
}

#[test]
fn manual_pages_and_completions_have_every_option_that_help_has() {
    for tool in tools() {
        let mut command = tool.command.clone();
        let name = command.get_name().to_owned();
        let mut texts = vec![Vec::new()];
        clap_mangen::Man::new(command.clone())
            .render(&mut texts[0])
            .unwrap();
        for shell in [
            clap_complete::Shell::Bash,
            clap_complete::Shell::Zsh,
            clap_complete::Shell::Fish,
        ] {
            let mut completions = Vec::new();
            clap_complete::generate(shell, &mut command, &name, &mut completions);
            texts.push(completions);
        }
        for text in texts {
            let text = String::from_utf8(text).unwrap().replace("\\-", "-");
            for option in tool.options().filter(|option| !option.is_hidden) {
                let long = option.long();
                let is_there =
                    text.contains(&format!("--{long}")) || text.contains(&format!("-l {long}"));
                assert!(is_there, "{long} is not in {}", &text[..200]);
            }
        }
    }
}

/// Set `INSTA_UPDATE=always` to write the table where it differs, as for snapshots.
#[test]
fn the_documentation_says_what_happens_to_every_option() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/compatibility.md");
    let document = fs::read_to_string(&path).unwrap();
    let (begin, end) = ("<!-- flags: begin -->\n", "<!-- flags: end -->");
    let (before, rest) = document.split_once(begin).unwrap();
    let (_, after) = rest.split_once(end).unwrap();
    let expected = format!("{before}{begin}{}{end}{after}", document_tables());
    if expected != document && std::env::var("INSTA_UPDATE").as_deref() == Ok("always") {
        fs::write(&path, &expected).unwrap();
    } else {
        assert!(
            expected == document,
            "docs/compatibility.md differs; INSTA_UPDATE=always writes it:\n{}",
            document_tables()
        );
    }
}

fn document_tables() -> String {
    let mut text = String::new();
    let [dump, restore] = tools();
    table(
        &mut text,
        "mongodump and mongorestore",
        &dump,
        options::BOTH,
    );
    for option in options::BOTH.iter().flat_map(|group| group.options) {
        assert_eq!(dump.treatment(option), restore.treatment(option));
    }
    table(&mut text, "mongodump alone", &dump, options::DUMP);
    table(&mut text, "mongorestore alone", &restore, options::RESTORE);
    text.push_str("\n### Options of our own\n\n| option | rdump | rrestore | what it does |\n|---|---|---|---|\n");
    for tool in [&dump, &restore] {
        for defined in tool
            .command
            .get_arguments()
            .filter(|defined| is_own(defined))
        {
            let in_other = |other: &Tool| {
                let mut others = other.command.get_arguments();
                others.any(|argument| argument.get_long() == defined.get_long() && is_own(argument))
            };
            let (in_dump, in_restore) = (in_other(&dump), in_other(&restore));
            if tool.command.get_name() == "rrestore" && in_dump {
                continue;
            }
            let mark = |is_there| if is_there { "yes" } else { "" };
            let help = defined
                .get_help()
                .map(ToString::to_string)
                .unwrap_or_default();
            writeln!(
                text,
                "| `--{}` | {} | {} | {} |",
                defined.get_long().unwrap_or_default(),
                mark(in_dump),
                mark(in_restore),
                help.replace('|', "\\|")
            )
            .unwrap();
        }
    }
    text
}

fn is_own(argument: &Arg) -> bool {
    let heading = argument.get_help_heading();
    heading.is_some_and(|heading| heading.starts_with("Options that mongo"))
}

fn table(text: &mut String, title: &str, tool: &Tool, groups: &[Group]) {
    write!(
        text,
        "\n### Options of {title}\n\n| group | option | value | here |\n|---|---|---|---|\n"
    )
    .unwrap();
    for group in groups {
        for option in group.options {
            let value = match option.value {
                Value::Nothing => "",
                Value::Required => "yes",
                Value::Optional => "after `=`",
                Value::Repeatable => "several",
            };
            let mark = if option.is_hidden { " (hidden)" } else { "" };
            let names = option.names.replace(", ", "`, `");
            let treatment = tool.treatment(option).replace('|', "\\|");
            writeln!(
                text,
                "| {} | `{names}`{mark} | {value} | {treatment} |",
                group.name
            )
            .unwrap();
        }
    }
}
