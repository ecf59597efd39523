//! Matching literals with gaps between them.

/// Literals with any text between one and the next, anchored at both ends. One literal alone has no
/// gap.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Glob {
    /// The text before the first gap.
    prefix: String,
    /// The text after each gap.
    after: Vec<String>,
}

impl Glob {
    /// Reads a pattern with `*` for gaps and `\` for literal `*`, `\` and `$`; `None` for a `$`
    /// without `\`.
    pub(crate) fn parse(pattern: &str) -> Option<Self> {
        let mut glob = Self::literal("");
        let mut characters = pattern.chars();
        while let Some(character) = characters.next() {
            match character {
                '*' => glob.push_gap(),
                '$' => return None,
                // A backslash at the very end is dropped, as one before any other character is.
                '\\' => glob.push_literal(characters.next()),
                other => glob.push_literal([other]),
            }
        }
        Some(glob)
    }

    /// Matches `text` and nothing else.
    pub(crate) fn literal(text: &str) -> Self {
        Self {
            prefix: text.to_owned(),
            after: Vec::new(),
        }
    }

    pub(crate) fn push_gap(&mut self) {
        self.after.push(String::new());
    }

    pub(crate) fn push_literal(&mut self, text: impl IntoIterator<Item = char>) {
        self.after
            .last_mut()
            .unwrap_or(&mut self.prefix)
            .extend(text);
    }

    /// The literals: one more than there are gaps.
    pub(crate) fn literals(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.prefix)
            .chain(&self.after)
            .map(String::as_str)
    }

    pub(crate) fn gaps(&self) -> usize {
        self.after.len()
    }

    /// What the gaps stand for in `text`, each as short as it can be from left to right; `None`
    /// when `text` does not match. No backtracking: a literal found early leaves more room for
    /// those after it.
    pub(crate) fn captures<'a>(&self, text: &'a str) -> Option<Vec<&'a str>> {
        let mut rest = text.strip_prefix(&self.prefix)?;
        let Some((last, inner)) = self.after.split_last() else {
            return rest.is_empty().then(Vec::new);
        };
        let mut captures = Vec::with_capacity(self.after.len());
        for literal in inner {
            let (capture, after) = rest.split_once(literal.as_str())?;
            captures.push(capture);
            rest = after;
        }
        captures.push(rest.strip_suffix(last.as_str())?);
        Some(captures)
    }
}
