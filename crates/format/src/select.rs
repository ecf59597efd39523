//! Which namespaces are meant: patterns to include and to exclude.

pub(crate) mod glob;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::namespace::Namespace;
use glob::Glob;

/// A pattern over whole namespaces.
///
/// `*` stands for any text, dots and newlines included. `\*`, `\\` and `\$` stand for themselves; a
/// backslash before anything else is dropped. Everything else is literal. A `$` without a backslash
/// is refused, as mongorestore does.
///
/// # Examples
///
/// ```
/// use rdump_format::Pattern;
///
/// let orders = Pattern::parse("shop*.orders")?;
/// assert!(orders.matches("shop_eu.orders"));
/// assert!(!orders.matches("shop.orders.old"));
/// assert_eq!(Pattern::literal("shop.a*b").as_str(), r"shop.a\*b");
/// # Ok::<(), rdump_format::PatternError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Pattern {
    text: String,
    glob: Glob,
}

impl Pattern {
    /// Reads a pattern.
    ///
    /// # Errors
    ///
    /// [`PatternError::Dollar`].
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        match Glob::parse(text) {
            Some(glob) => Ok(Self {
                text: text.to_owned(),
                glob,
            }),
            None => Err(PatternError::Dollar {
                pattern: text.to_owned(),
            }),
        }
    }

    /// The pattern that matches `name` and nothing else.
    #[must_use]
    pub fn literal(name: &str) -> Self {
        Self {
            text: Self::escape(name),
            glob: Glob::literal(name),
        }
    }

    /// `name` with a backslash before each `*`, `\` and `$`.
    #[must_use]
    pub fn escape(name: &str) -> String {
        let mut escaped = String::with_capacity(name.len());
        for character in name.chars() {
            if matches!(character, '*' | '\\' | '$') {
                escaped.push('\\');
            }
            escaped.push(character);
        }
        escaped
    }

    /// Whether the pattern matches all of `text`.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        self.glob.captures(text).is_some()
    }

    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Pattern {
    type Error = PatternError;

    fn try_from(text: String) -> Result<Self, PatternError> {
        Self::parse(&text)
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> Self {
        pattern.text
    }
}

/// Patterns of what to include and what to leave out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Selector {
    /// Namespaces to include. Default: all.
    pub include: Vec<Pattern>,
    /// Namespaces to leave out, also of those included. Default: none.
    pub exclude: Vec<Pattern>,
}

impl Selector {
    /// Whether `ns` is meant: some pattern includes it, or there is none, and no pattern excludes
    /// it.
    ///
    /// The buckets of a time-series collection are looked up under the name of the collection, so
    /// that both are selected or neither.
    #[must_use]
    pub fn selects(&self, ns: &Namespace) -> bool {
        (self.include.is_empty() || any_matches(&self.include, ns)) && !self.excludes(ns)
    }

    /// The patterns to include that fit none of these namespaces.
    pub fn unmatched<'a>(
        &self,
        namespaces: impl IntoIterator<Item = &'a Namespace>,
    ) -> Vec<&Pattern> {
        let mut unmatched: Vec<&Pattern> = self.include.iter().collect();
        for namespace in namespaces {
            if unmatched.is_empty() {
                break;
            }
            unmatched.retain(|pattern| !any_matches(std::slice::from_ref(pattern), namespace));
        }
        unmatched
    }

    /// Whether some pattern leaves `ns` out; looked up as [`selects`](Self::selects) does.
    #[must_use]
    pub fn excludes(&self, ns: &Namespace) -> bool {
        any_matches(&self.exclude, ns)
    }
}

fn any_matches(patterns: &[Pattern], ns: &Namespace) -> bool {
    let name = ns.without_buckets_prefix().to_string();
    patterns.iter().any(|pattern| pattern.matches(&name))
}

/// Why a pattern, or a pair of patterns to rename by, cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each message is its documentation")]
#[non_exhaustive]
pub enum PatternError {
    #[error("pattern {pattern:?} contains a `$`: write `\\$` for a literal one")]
    Dollar { pattern: String },
    #[error("there are {from} patterns to rename from, but {to} to rename to")]
    RuleCount { from: usize, to: usize },
    #[error("{from:?} and {to:?} have different numbers of `*`")]
    StarCount { from: String, to: String },
    #[error("{pattern:?} has an odd number of `$`")]
    OddDollars { pattern: String },
    #[error("{from:?} has the variable `${name}$` more than once")]
    RepeatedVariable { from: String, name: String },
    #[error("{to:?} has the variable `${name}$`, which the pattern to rename from has not")]
    UnknownVariable { to: String, name: String },
    #[error("{to:?} has variables, but {from:?} has none")]
    NoVariables { from: String, to: String },
    #[error("{from:?} would be renamed to {to:?}, which has no database or no collection")]
    NotANamespace { from: String, to: String },
}
