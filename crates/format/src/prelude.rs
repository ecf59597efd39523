//! `prelude.json`: which server was dumped, and by which tool.
//!
//! See `docs/format.md`, *Prelude*.

#[cfg(test)]
mod tests;

use std::error::Error;

use serde::Deserialize;

/// The name of the file, in the folder of a whole dump or in that of the one database dumped.
pub const PRELUDE_FILE: &str = "prelude.json";

/// What stands for a server whose version nobody knows.
pub(crate) const UNKNOWN: &str = "unknown";

/// The content of a `prelude.json`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prelude {
    /// The version of the server, such as `7.0.16`; `None` when the dump could not find out.
    pub server_version: Option<String>,
    /// The version of the tool that dumped.
    pub tool_version: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Fields {
    server_version: String,
    tool_version: String,
}

impl Prelude {
    /// The text of the file, as mongodump writes it: compact, no newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        let quoted = |text: &str| serde_json::Value::from(text).to_string();
        format!(
            r#"{{"ServerVersion":{},"ToolVersion":{}}}"#,
            quoted(self.server_version.as_deref().unwrap_or(UNKNOWN)),
            quoted(&self.tool_version)
        )
    }

    /// Reads the text of the file; keys that it does not know are passed over.
    ///
    /// # Errors
    ///
    /// [`PreludeError`] for text that is not JSON or lacks one of the two keys.
    pub fn from_json(text: &[u8]) -> Result<Self, PreludeError> {
        let fields: Fields = serde_json::from_slice(text).map_err(|source| PreludeError {
            line: source.line(),
            column: source.column(),
            source: source.into(),
        })?;
        let server_version = Some(fields.server_version).filter(|version| version != UNKNOWN);
        Ok(Self {
            server_version,
            tool_version: fields.tool_version,
        })
    }
}

/// Why a text is not a prelude. Lines and columns count from 1.
#[derive(Debug, thiserror::Error)]
#[error("not a prelude: line {line}, column {column}")]
pub struct PreludeError {
    line: usize,
    column: usize,
    source: Box<dyn Error + Send + Sync>,
}
