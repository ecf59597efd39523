//! The file of `--config`: what should not stand on a command line.

use std::{fs, path::Path};

use rdump::Secret;
use saphyr_parser::{Event, Parser, ScalarStyle};

use super::Refusal;

/// What a file says.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Config {
    pub(super) password: Option<Secret>,
    pub(super) uri: Option<Secret>,
    pub(super) ssl_pem_key_password: Option<Secret>,
}

/// Why a file is none, without a word of what is in it: any of that may be a secret.
#[derive(Debug, PartialEq)]
struct Fault {
    line: usize,
    reason: &'static str,
}

/// Reads the file.
pub(super) fn read(path: &Path) -> Result<Config, Refusal> {
    let text = fs::read_to_string(path).map_err(|error| {
        Refusal::Usage(format!(
            "error opening file with --config: {}: {error}",
            path.display()
        ))
    })?;
    parse(&text).map_err(|Fault { line, reason }| {
        Refusal::Usage(format!(
            "error parsing config file {}: line {line}: {reason}",
            path.display()
        ))
    })
}

/// Reads the first document of a text, as mongodump does.
fn parse(text: &str) -> Result<Config, Fault> {
    let mut config = Config::default();
    let mut key: Option<Key> = None;
    let mut seen = Vec::new();
    let mut is_mapping = false;
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| Fault {
            line: error.marker().line(),
            reason: "it is not YAML",
        })?;
        let fault = |reason| Fault {
            line: span.start.line(),
            reason,
        };
        match (event, is_mapping, key) {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, ..) => {}
            (Event::MappingStart(..), false, _) => is_mapping = true,
            (Event::Scalar(name, ..), true, None) => {
                let known = Key::of(&name).ok_or_else(|| {
                    fault("it has another key than password, uri, sslPEMKeyPassword and destinationPassword")
                })?;
                if seen.contains(&known) {
                    return Err(fault("it has a key twice"));
                }
                seen.push(known);
                key = Some(known);
            }
            (Event::Scalar(value, style, ..), true, Some(known)) => {
                let is_null = style == ScalarStyle::Plain
                    && matches!(&*value, "" | "~" | "null" | "Null" | "NULL");
                if !is_null {
                    known.set(&mut config, Secret::from(&*value));
                }
                key = None;
            }
            (Event::Scalar(value, ScalarStyle::Plain, ..), false, _) if value.is_empty() => {}
            (Event::DocumentEnd | Event::StreamEnd, ..) => break,
            (_, true, Some(_)) => return Err(fault("a value must be a text")),
            (Event::MappingEnd, true, None) => {}
            _ => return Err(fault("it must be keys with values, as in password: secret")),
        }
    }
    Ok(config)
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Key {
    Password,
    Uri,
    SslPemKeyPassword,
    DestinationPassword,
}

impl Key {
    fn of(name: &str) -> Option<Self> {
        match name {
            "password" => Some(Self::Password),
            "uri" => Some(Self::Uri),
            "sslPEMKeyPassword" => Some(Self::SslPemKeyPassword),
            "destinationPassword" => Some(Self::DestinationPassword),
            _ => None,
        }
    }

    fn set(self, config: &mut Config, value: Secret) {
        match self {
            Self::Password => config.password = Some(value),
            Self::Uri => config.uri = Some(value),
            Self::SslPemKeyPassword => config.ssl_pem_key_password = Some(value),
            // Another tool's, which may share the file.
            Self::DestinationPassword => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(password: &str, uri: &str, key: &str) -> Config {
        let secret = |text: &str| Some(text).filter(|text| !text.is_empty()).map(Secret::from);
        Config {
            password: secret(password),
            uri: secret(uri),
            ssl_pem_key_password: secret(key),
        }
    }

    #[test]
    fn keys_are_read_in_every_style_of_yaml() {
        for (text, expected) in [
            ("", config("", "", "")),
            ("# nothing\n", config("", "", "")),
            ("---\n", config("", "", "")),
            (
                "password: p\nuri: mongodb://a/?x=1\nsslPEMKeyPassword: k",
                config("p", "mongodb://a/?x=1", "k"),
            ),
            ("---\npassword: 'it''s'\n...\n", config("it's", "", "")),
            (
                r#"{password: "a\tb\u00e9", "uri": x}"#,
                config("a\tbé", "x", ""),
            ),
            (
                "password: |-\n  two\n  lines\n",
                config("two\nlines", "", ""),
            ),
            ("password: 0123\nuri: ~\n", config("0123", "", "")),
            ("password: 'null'\nuri:\n", config("null", "", "")),
            ("password: p # comment\n", config("p", "", "")),
            ("password: p#not\n", config("p#not", "", "")),
            ("password: p\n---\npassword: q\n", config("p", "", "")),
            ("\u{feff}password: p\r\n", config("p", "", "")),
            ("destinationPassword: p\n", config("", "", "")),
            ("password: &a p\n", config("p", "", "")),
        ] {
            assert_eq!(parse(text), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_config_is_refused_with_its_line_and_no_word_of_it() {
        let key =
            "it has another key than password, uri, sslPEMKeyPassword and destinationPassword";
        let mapping = "it must be keys with values, as in password: secret";
        for (text, line, reason) in [
            ("canary7", 1, mapping),
            ("- canary7", 1, mapping),
            ("host: canary7", 1, key),
            ("password: p\n\nPassword: canary7", 3, key),
            ("password: p\npassword: canary7", 2, "it has a key twice"),
            ("uri: x\npassword: [canary7]", 2, "a value must be a text"),
            ("password:\n  canary7: x", 2, "a value must be a text"),
            ("password: &a canary7\nuri: *a", 2, "a value must be a text"),
            ("password: pass: canary7", 1, "it is not YAML"),
            ("? [canary7]\n: x", 1, mapping),
            ("uri: x\npassword: \"canary7", 2, "it is not YAML"),
        ] {
            assert_eq!(parse(text), Err(Fault { line, reason }), "{text:?}");
        }
    }
}
