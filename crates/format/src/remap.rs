//! Restoring namespaces under other names.

#[cfg(test)]
mod tests;

use crate::namespace::{BUCKETS_PREFIX, Namespace};
use crate::select::PatternError;
use crate::select::glob::Glob;

/// Rules that rename namespaces, in pairs of a pattern to match and one to build the new name by.
///
/// A rule has either stars or variables. With stars, `*` matches any text, both sides have the same
/// number of them, and they correspond in order: `prod.*` to `test.*`. With variables, `$name$`
/// matches any text, a `*` is literal, the same variable may come once in the first pattern and any
/// number of times in the second: `$db$.$coll$` to `all.$db$_$coll$`.
///
/// The rule given last wins, and only one is applied, so that two names can be swapped.
///
/// # Examples
///
/// ```
/// use rdump_format::{Namespace, Remap};
///
/// let remap = Remap::parse(&["prod.*", "$db$.tmp_$name$"], &["test.*", "tmp.$db$_$name$"])?;
/// let renamed = |db, collection| remap.apply(&Namespace::new(db, collection));
/// assert_eq!(renamed("prod", "orders")?.to_string(), "test.orders");
/// assert_eq!(renamed("prod", "tmp_a")?.to_string(), "tmp.prod_a");
/// assert_eq!(renamed("other", "orders")?.to_string(), "other.orders");
/// # Ok::<(), rdump_format::PatternError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remap {
    /// In the order given.
    rules: Vec<Rule>,
}

#[derive(Clone, Debug, PartialEq)]
struct Rule {
    from: Glob,
    to: Vec<Part>,
}

/// A part of a new name.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Literal(String),
    /// What the gap at this position stood for.
    Captured(usize),
}

impl Remap {
    /// Reads the rules: the first of `from` goes with the first of `to`, and so on.
    ///
    /// # Errors
    ///
    /// [`PatternError`], which names the pattern and what is wrong with it.
    pub fn parse<S: AsRef<str>>(from: &[S], to: &[S]) -> Result<Self, PatternError> {
        if from.len() != to.len() {
            return Err(PatternError::RuleCount {
                from: from.len(),
                to: to.len(),
            });
        }
        let rules = from
            .iter()
            .zip(to)
            .map(|(from, to)| Rule::parse(from.as_ref(), to.as_ref()));
        Ok(Self {
            rules: rules.collect::<Result<_, _>>()?,
        })
    }

    /// Whether there are no rules.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// The name under which `ns` is restored: `ns` itself when no rule matches.
    ///
    /// The buckets of a time-series collection go where the collection goes; a rule for their own
    /// name is never used.
    ///
    /// # Errors
    ///
    /// [`PatternError::NotANamespace`] when the new name lacks the database or the collection.
    pub fn apply(&self, ns: &Namespace) -> Result<Namespace, PatternError> {
        if ns.collection.starts_with(BUCKETS_PREFIX) {
            return Ok(self.apply_logical(&ns.without_buckets_prefix())?.buckets());
        }
        self.apply_logical(ns)
    }

    /// The place of the first rule that fits none of these namespaces.
    pub fn unmatched<'a>(
        &self,
        namespaces: impl IntoIterator<Item = &'a Namespace>,
    ) -> Option<usize> {
        let names: Vec<String> = namespaces
            .into_iter()
            .map(|ns| ns.without_buckets_prefix().to_string())
            .collect();
        let mut rules = self.rules.iter();
        rules.position(|rule| !names.iter().any(|name| rule.apply(name).is_some()))
    }

    fn apply_logical(&self, ns: &Namespace) -> Result<Namespace, PatternError> {
        let name = ns.to_string();
        let Some(renamed) = self.rules.iter().rev().find_map(|rule| rule.apply(&name)) else {
            return Ok(ns.clone());
        };
        match renamed.split_once('.') {
            Some((db, collection)) if !db.is_empty() && !collection.is_empty() => {
                Ok(Namespace::new(db, collection))
            }
            _ => Err(PatternError::NotANamespace {
                from: name,
                to: renamed,
            }),
        }
    }
}

impl Rule {
    fn parse(from: &str, to: &str) -> Result<Self, PatternError> {
        match Glob::parse(from) {
            Some(glob) if !from.contains('$') => Self::with_stars(from, glob, to),
            _ => Self::with_variables(from, to),
        }
    }

    fn with_stars(text: &str, from: Glob, to: &str) -> Result<Self, PatternError> {
        let Some(built) = Glob::parse(to) else {
            return Err(PatternError::NoVariables {
                from: text.to_owned(),
                to: to.to_owned(),
            });
        };
        if from.gaps() != built.gaps() {
            return Err(PatternError::StarCount {
                from: text.to_owned(),
                to: to.to_owned(),
            });
        }
        let mut parts = Vec::new();
        for (position, literal) in built.literals().enumerate() {
            // The gap before a literal has the number of the literal before it.
            parts.extend(position.checked_sub(1).map(Part::Captured));
            parts.push(Part::Literal(literal.to_owned()));
        }
        Ok(Self { from, to: parts })
    }

    fn with_variables(from: &str, to: &str) -> Result<Self, PatternError> {
        for pattern in [from, to] {
            // `$` splits an even number of times when the pieces are odd in number.
            if pattern.split('$').count().is_multiple_of(2) {
                return Err(PatternError::OddDollars {
                    pattern: pattern.to_owned(),
                });
            }
        }
        let mut glob = Glob::literal("");
        let mut variables = Vec::new();
        for (piece, is_variable) in pieces(from) {
            if !is_variable {
                glob.push_literal(piece.chars());
            } else if variables.contains(&piece) {
                return Err(PatternError::RepeatedVariable {
                    from: from.to_owned(),
                    name: piece.to_owned(),
                });
            } else {
                glob.push_gap();
                variables.push(piece);
            }
        }
        let part = |(piece, is_variable): (&str, bool)| {
            if !is_variable {
                return Ok(Part::Literal(piece.to_owned()));
            }
            let position = variables.iter().position(|name| *name == piece);
            position
                .map(Part::Captured)
                .ok_or_else(|| PatternError::UnknownVariable {
                    to: to.to_owned(),
                    name: piece.to_owned(),
                })
        };
        Ok(Self {
            to: pieces(to).map(part).collect::<Result<_, _>>()?,
            from: glob,
        })
    }

    fn apply(&self, name: &str) -> Option<String> {
        let captures = self.from.captures(name)?;
        let part = |part: &'_ Part| match part {
            Part::Literal(text) => text.clone(),
            Part::Captured(position) => captures
                .get(*position)
                .copied()
                .unwrap_or_default()
                .to_owned(),
        };
        Some(self.to.iter().map(part).collect())
    }
}

/// Literals and names of variables in turn; `true` for the latter.
fn pieces(pattern: &str) -> impl Iterator<Item = (&str, bool)> {
    pattern.split('$').zip([false, true].into_iter().cycle())
}
