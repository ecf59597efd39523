//! The defaults, as the README quotes them.

use std::{fmt::Debug, num::NonZeroUsize, path::Path};

use rdump::{DumpOptions, RestoreOptions};
use serde::{Serialize, de::DeserializeOwned};

/// As TOML, which must come back the same.
fn toml<T: Serialize + DeserializeOwned + PartialEq + Debug>(options: &T) -> String {
    let text = toml::to_string(options).unwrap();
    assert_eq!(toml::from_str::<T>(&text).as_ref(), Ok(options));
    text
}

#[test]
fn the_readme_quotes_the_default_options() {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    // The one default that depends on the machine.
    let cores = NonZeroUsize::new(4).unwrap();
    let dump = toml(&DumpOptions::default().parallel_collections(cores));
    let restore = toml(&RestoreOptions::default().parallel_collections(cores));
    for (name, options) in [("DumpOptions", dump), ("RestoreOptions", restore)] {
        let quoted = format!("```toml\n# {name}\n{options}```\n");
        assert!(
            readme.contains(&quoted),
            "README.md does not have\n{quoted}"
        );
    }
}
