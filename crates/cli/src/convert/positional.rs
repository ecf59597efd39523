//! The arguments without a flag: a connection string, anywhere, and for a restore the dump.

use rdump::Secret;

use super::Refusal;

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
            false => Err(invalid(
                "provide only one MongoDB connection string. Connection strings must begin with mongodb:// or \
                 mongodb+srv:// schemes",
            )),
        }
    }
}

/// Positional arguments that make no sense.
pub(super) fn invalid(reason: &str) -> Refusal {
    Refusal::Usage(format!("error parsing positional arguments: {reason}"))
}

fn is_uri(text: &str) -> bool {
    text.starts_with("mongodb://") || text.starts_with("mongodb+srv://")
}
