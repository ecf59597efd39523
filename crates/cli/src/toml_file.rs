//! Files in TOML, whose errors quote nothing of them: there may be secrets in it.

use std::{fs, path::Path};

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;

/// The most bytes that such a file may have.
const MOST_BYTES: u64 = 1 << 20;

/// Reads a file.
///
/// # Errors
///
/// The message names the file, the line and what is wrong there.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> anyhow::Result<T> {
    let cannot = || format!("cannot read {}", path.display());
    if fs::metadata(path).with_context(cannot)?.len() > MOST_BYTES {
        bail!("{} has more than {MOST_BYTES} bytes", path.display());
    }
    let text = fs::read_to_string(path).with_context(cannot)?;
    parse(&text).map_err(|wrong| anyhow::anyhow!("{}, {wrong}", path.display()))
}

/// As [`read`], of what such a file holds; the message begins with the line.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        format!("line {line}: {}", without_values(error.message()))
    })
}

/// A message without what it quotes, but for names of keys.
fn without_values(message: &str) -> String {
    let message = crate::failure::one_line(message);
    let mut kept = String::new();
    let mut rest = message.as_str();
    while let Some(at) = rest.find(['"', '`']) {
        let (before, quoted) = rest.split_at(at);
        let quote = &quoted[..1];
        kept.push_str(before);
        let Some((inside, after)) = quoted[1..].split_once(quote) else {
            kept.push('…');
            return kept;
        };
        let is_name = |letter: char| letter.is_ascii_lowercase() || "-.=[]".contains(letter);
        match quote == "`" && inside.len() <= 20 && inside.chars().all(is_name) {
            true => kept.push_str(&format!("`{inside}`")),
            false => kept.push('…'),
        }
        rest = after;
    }
    kept + rest
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields, rename_all = "kebab-case")]
    struct File {
        #[expect(dead_code, reason = "it is read alone")]
        url_file: Vec<String>,
    }

    #[test]
    fn what_is_wrong_is_told_by_its_line_and_no_value_of_it() {
        for (text, told) in [
            (
                "\nurl = 1",
                "line 2: unknown field `url`, expected `url-file`",
            ),
            (
                "url-file = \"Canary\"",
                "line 1: invalid type: string …, expected a sequence",
            ),
            ("\n\n[Canary", "line 3: "),
            ("https://Canary = 1", "line 1: "),
            (
                "\"https://Canary\" = 1",
                "line 1: unknown field …, expected `url-file`",
            ),
            ("url-file = [\"Canary\", \"", "line 1: "),
            ("", "line 1: missing field `url-file`"),
        ] {
            let wrong = parse::<File>(text).unwrap_err();
            assert!(wrong.starts_with(told), "{wrong}");
            assert!(
                !wrong.contains("Canary") && !wrong.contains('\n'),
                "{wrong}"
            );
        }
    }
}
