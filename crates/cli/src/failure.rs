//! How the end of a run that failed is told.

use serde::Serialize;

use crate::{console::Console, session::Stopped};

/// An error as a line of JSON.
#[derive(Serialize)]
struct ErrorLine {
    kind: &'static str,
    message: String,
    hint: Option<String>,
}

/// Says why it failed: one line with all causes, a hint if there is one, and the same as JSON.
pub(crate) fn tell(console: &Console, error: &anyhow::Error) {
    let line = ErrorLine::of(error);
    console.always(format_args!("Failed: {}", line.message));
    if let Some(hint) = &line.hint {
        console.always(format_args!("Hint: {hint}"));
    }
    console.json("error", line);
}

/// The same as the one JSON document on stdout, of a command that would have printed one.
pub(crate) fn document(console: &Console, error: &anyhow::Error) {
    console.document(serde_json::json!({ "error": ErrorLine::of(error) }));
}

impl ErrorLine {
    fn of(error: &anyhow::Error) -> Self {
        let ours = error.downcast_ref::<rdump::Error>();
        let hint = ours.and_then(|error| error.hint());
        Self {
            kind: kind_of(error),
            message: chain(error),
            hint: hint.map(str::to_owned),
        }
    }
}

/// The messages of an error and its causes, each once.
pub(crate) fn chain(error: &anyhow::Error) -> String {
    let mut messages: Vec<String> = Vec::new();
    for cause in error.chain() {
        let message = one_line(&cause.to_string());
        if messages.last().is_none_or(|last| !last.ends_with(&message)) {
            messages.push(message);
        }
    }
    messages.join(": ")
}

/// A text from elsewhere without its line breaks.
pub(crate) fn one_line(text: &str) -> String {
    match text.contains(['\n', '\r']) {
        true => text
            .split(['\n', '\r'])
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join(" "),
        false => text.to_owned(),
    }
}

/// What kind of error it is, in one word.
pub(crate) fn kind_of(error: &anyhow::Error) -> &'static str {
    match error.downcast_ref::<rdump::Error>() {
        Some(ours) => ours.kind().as_str(),
        None if error.is::<Stopped>() => "cancelled",
        None => "invalid",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_is_one_line_without_repetitions() {
        let error = anyhow::anyhow!("disk full")
            .context("cannot write a.bson")
            .context("cannot write a.bson");
        assert_eq!(chain(&error), "cannot write a.bson: disk full");
        assert_eq!(one_line("a\n  b\r\nc"), "a b c");
    }
}
