use clap::Args;

/// A dump in one file.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct ArchiveArgs {
    /// The dump is an archive: this file or s3://bucket/key, or without =FILE standard output or input
    #[arg(
        long,
        value_name = "FILE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "-"
    )]
    pub(crate) archive: Option<String>,
}

impl ArchiveArgs {
    /// Where the archive is, unless the value is empty: that is none. `-` is standard output or input.
    pub(crate) fn place(&self) -> Option<&str> {
        self.archive.as_deref().filter(|place| !place.is_empty())
    }
}

/// How many collections at once.
#[derive(Args, Clone, Debug, Default, PartialEq)]
pub(crate) struct ParallelArgs {
    /// Collections under way at once; as many as there are cores, at most 4, by default
    #[arg(
        short = 'j',
        long = "numParallelCollections",
        value_name = "N",
        allow_negative_numbers = true
    )]
    pub(crate) num_parallel_collections: Option<i64>,
}
