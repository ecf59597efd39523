//! Whether what is gone on with was begun with the same options.

use serde_json::{Map, Value};

/// The first option that differs, but for those that are `of_no_matter`.
pub(crate) fn different(then: &Value, now: &Value, of_no_matter: &[&str]) -> Option<String> {
    let empty = Map::new();
    let (then, now) = (
        then.as_object().unwrap_or(&empty),
        now.as_object().unwrap_or(&empty),
    );
    let mut names = then.keys().chain(now.keys());
    let differs = |name: &&String| {
        !of_no_matter.contains(&name.as_str()) && then.get(*name) != now.get(*name)
    };
    names.find(differs).cloned()
}
