use clap::Args;

/// One database or collection.
#[derive(Args, Clone, Debug, Default, PartialEq)]
#[command(next_help_heading = "Namespace options")]
pub(crate) struct NamespaceArgs {
    /// Only this database
    #[arg(short, long, value_name = "DB")]
    pub(crate) db: Option<String>,

    /// Only this collection of --db
    #[arg(short, long, value_name = "COLLECTION")]
    pub(crate) collection: Option<String>,
}

impl NamespaceArgs {
    /// The collection, unless its name is empty: that is none.
    pub(crate) fn collection(&self) -> Option<&str> {
        self.collection.as_deref().filter(|name| !name.is_empty())
    }
}

/// Collections to leave out, by their names.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct ExcludeArgs {
    /// Leave out this collection of --db; may be repeated
    #[arg(long = "excludeCollection", value_name = "COLLECTION")]
    pub(crate) exclude_collection: Vec<String>,

    /// Leave out collections of --db whose names start so; may be repeated
    #[arg(long = "excludeCollectionsWithPrefix", value_name = "PREFIX")]
    pub(crate) exclude_collections_with_prefix: Vec<String>,
}

/// Namespaces to take and to leave out, by patterns.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct PatternArgs {
    /// Leave out namespaces that fit this pattern; may be repeated
    #[arg(long = "nsExclude", value_name = "PATTERN")]
    pub(crate) ns_exclude: Vec<String>,

    /// Take only namespaces that fit this pattern, as in shop.*; may be repeated
    #[arg(long = "nsInclude", value_name = "PATTERN")]
    pub(crate) ns_include: Vec<String>,
}
