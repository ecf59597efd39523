//! The arguments without a flag: a connection string, anywhere, and for a restore the dump.

use rdump::Secret;

use super::Refusal;

const ONLY_URI: &str = "provide only one MongoDB connection string. Connection strings must begin with mongodb:// or \
                        mongodb+srv:// schemes";

/// What the arguments without a flag are.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Positional {
    pub(super) uri: Option<Secret>,
    pub(super) others: Vec<String>,
}

impl Positional {
    /// Tells connection strings from the rest. Empty arguments are none.
    pub(super) fn sort(arguments: &[Secret]) -> Result<Self, Refusal> {
        let mut sorted = Self::default();
        for argument in arguments.iter().filter(|argument| !argument.is_empty()) {
            if is_misspelt_uri(argument.reveal()) {
                return Err(invalid(ONLY_URI));
            }
            if is_uri(argument.reveal()) {
                if sorted.uri.is_some() {
                    return Err(Refusal::Usage(
                        "too many URIs found in positional arguments: only one URI can be set as a positional argument"
                            .to_owned(),
                    ));
                }
                sorted.uri = Some(argument.clone());
            } else {
                sorted.others.push(argument.reveal().to_owned());
            }
        }
        Ok(sorted)
    }

    /// Refuses anything but a connection string. Nothing is quoted: it may be a misspelt one.
    pub(super) fn only_uri(self) -> Result<Option<Secret>, Refusal> {
        match self.others.is_empty() {
            true => Ok(self.uri),
            false => Err(invalid(ONLY_URI)),
        }
    }
}

/// Positional arguments that make no sense.
pub(super) fn invalid(reason: &str) -> Refusal {
    Refusal::Usage(format!("error parsing positional arguments: {reason}"))
}

/// Whether this looks like a connection string, a misspelt one too: it may hold a password.
pub(crate) fn is_like_uri(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    let has_scheme = text.starts_with("mongodb:") || text.starts_with("mongodb+srv:");
    has_scheme || (text.starts_with("mongo") && text.contains(':') && text.contains('@'))
}

pub(super) fn is_misspelt_uri(text: &str) -> bool {
    is_like_uri(text) && !is_uri(text)
}

fn is_uri(text: &str) -> bool {
    text.starts_with("mongodb://") || text.starts_with("mongodb+srv://")
}
