//! What a comparison found.

use std::fmt;

use rdump_format::Namespace;
use serde::Serialize;

/// What a [`Comparison`](crate::Comparison) found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ComparisonReport {
    /// The namespaces, by name.
    pub namespaces: Vec<ComparedNamespace>,
    /// How many of them differ.
    pub different: u64,
    /// How many were not compared wholly: each says why.
    pub partial: u64,
    /// Documents that were compared.
    pub documents: u64,
    /// How long it took.
    pub duration_seconds: f64,
}

impl ComparisonReport {
    /// Whether nothing differs.
    pub fn is_same(&self) -> bool {
        self.different == 0
    }
}

/// One namespace that was compared.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct ComparedNamespace {
    /// The namespace.
    pub namespace: Namespace,
    /// Documents that there should be, of those that were compared; `None` for a view.
    pub expected_documents: Option<u64>,
    /// Documents that there are, of those that were compared.
    pub documents: Option<u64>,
    /// A digest of the documents that there should be, whatever their order: the sum of the SHA-256 of each.
    pub expected_digest: Option<String>,
    /// That of the documents that there are.
    pub digest: Option<String>,
    /// How many documents were left out, since they go away by themselves.
    pub expiring_documents: u64,
    /// How many documents were left out, since entries of the oplog that was replayed changed a part of them.
    pub changed_documents: u64,
    /// Why it, or what part of it, was not compared.
    pub not_compared: Vec<String>,
    /// In what it differs.
    pub differences: Vec<Difference>,
}

impl ComparedNamespace {
    pub(super) fn new(namespace: &Namespace) -> Self {
        Self {
            namespace: namespace.clone(),
            expected_documents: None,
            documents: None,
            expected_digest: None,
            digest: None,
            expiring_documents: 0,
            changed_documents: 0,
            not_compared: Vec::new(),
            differences: Vec::new(),
        }
    }
}

/// In what a namespace differs from what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(
    tag = "kind",
    rename_all = "kebab-case",
    rename_all_fields = "kebab-case"
)]
#[non_exhaustive]
pub enum Difference {
    /// It is not there.
    Missing,
    /// It should not be there.
    Unexpected,
    /// It is another kind of namespace.
    Kind {
        /// What it should be, and what it is.
        message: String,
    },
    /// One of its options differs.
    Option {
        /// Which one, and how.
        message: String,
    },
    /// One of its indexes differs.
    Index {
        /// Which one, and how.
        message: String,
    },
    /// Documents differ.
    #[non_exhaustive]
    Documents {
        /// How many are not there.
        missing: u64,
        /// How many should not be there.
        unexpected: u64,
        /// How many are there, and are not what they should be.
        changed: u64,
        /// Whether these are all; if not, there are more.
        all: bool,
        /// `_id`s of some of them, in canonical Extended JSON.
        examples: Vec<String>,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => f.write_str("it is missing"),
            Self::Unexpected => f.write_str("it should not be there"),
            Self::Kind { message } | Self::Option { message } | Self::Index { message } => {
                f.write_str(message)
            }
            Self::Documents {
                missing,
                unexpected,
                changed,
                all,
                examples,
            } => {
                let at_least = if *all { "" } else { "at least " };
                write!(
                    f,
                    "{at_least}{missing} documents missing, {changed} changed, {unexpected} unexpected"
                )?;
                if !examples.is_empty() {
                    write!(f, ": {}", examples.join(", "))?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for ComparisonReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} namespaces and {} documents compared, {} namespaces differ, {} were not compared wholly",
            self.namespaces.len(),
            self.documents,
            self.different,
            self.partial
        )
    }
}
