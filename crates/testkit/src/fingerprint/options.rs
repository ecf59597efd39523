//! What a fingerprint covers.

/// Which databases are read and what counts as a difference.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FingerprintOptions {
    /// The databases to read. Default: all but `admin`, `config` and `local`.
    pub databases: Option<Vec<String>>,
    /// Databases not to read. Default: none.
    pub exclude: Vec<String>,
    /// Whether the version of an index does not count. Default: false.
    pub ignore_index_version: bool,
    /// How time-series are compared. Default: by their buckets.
    pub time_series: TimeSeriesBy,
    /// Documents of one collection up to which each one's digest is kept. Default: 250,000.
    ///
    /// Of bigger collections only a digest of the whole is kept: a difference is found but not named.
    pub documents_by_id: u64,
}

/// How time-series are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimeSeriesBy {
    /// By the raw documents of `system.buckets`, and the number of measurements.
    Buckets,
    /// By the measurements: buckets made by inserting the same measurements have different ids.
    Measurements,
}

impl Default for FingerprintOptions {
    fn default() -> Self {
        Self {
            databases: None,
            exclude: Vec::new(),
            ignore_index_version: false,
            time_series: TimeSeriesBy::Buckets,
            documents_by_id: 250_000,
        }
    }
}

impl FingerprintOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads these databases only; `admin` may be one.
    #[must_use]
    pub fn databases<S: Into<String>>(mut self, databases: impl IntoIterator<Item = S>) -> Self {
        self.databases = Some(databases.into_iter().map(Into::into).collect());
        self
    }

    /// Leaves out a database.
    #[must_use]
    pub fn exclude(mut self, database: impl Into<String>) -> Self {
        self.exclude.push(database.into());
        self
    }

    /// Sets whether the version of an index does not count.
    #[must_use]
    pub fn ignore_index_version(mut self, ignore: bool) -> Self {
        self.ignore_index_version = ignore;
        self
    }

    /// Sets how time-series are compared.
    #[must_use]
    pub fn time_series(mut self, by: TimeSeriesBy) -> Self {
        self.time_series = by;
        self
    }

    /// Sets the number of documents of one collection up to which each one's digest is kept.
    #[must_use]
    pub fn documents_by_id(mut self, documents: u64) -> Self {
        self.documents_by_id = documents;
        self
    }

    pub(super) fn selects(&self, database: &str) -> bool {
        let selected = match &self.databases {
            Some(databases) => databases.iter().any(|name| name == database),
            None => !["admin", "config", "local"].contains(&database),
        };
        selected && !self.exclude.iter().any(|name| name == database)
    }
}
