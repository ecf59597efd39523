//! The versions of the server that tests run, and what the older ones of them lack.

use std::fmt;

/// A version of `mongod` that [`binaries::server`](crate::binaries::server) finds; older ones are less.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum ServerVersion {
    /// MongoDB 4.2.6.
    V4_2_6,
    /// MongoDB 4.4.2.
    V4_4_2,
    /// MongoDB 5.0.4.
    V5_0_4,
    /// MongoDB 6.0.5: what tests run that do not choose.
    V6_0_5,
    /// MongoDB 6.0.27.
    V6_0_27,
}

/// Something that a deployment can hold, but not of every [`ServerVersion`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Feature {
    /// Namespaces of more than 120 bytes, up to 255. Since 4.4.
    LongNamespaces,
    /// Indexes that are kept up but not used. Since 4.4.
    HiddenIndexes,
    /// Compound indexes with a hashed field. Since 4.4.
    CompoundHashedIndexes,
    /// Field names with a dollar in front, at the top of a document. Since 5.0.
    DollarFieldNames,
    /// Time-series collections. Since 5.0.
    TimeSeries,
    /// Collections that are stored in the order of `_id`. Since 5.3.
    ClusteredCollections,
    /// Indexes of time-series on fields that are neither time nor meta field. Since 6.0.
    MeasurementIndexes,
    /// Partial indexes whose filter has `$and` beside fields. Since 6.0.
    NestedPartialFilters,
    /// Indexes that are to become unique (`prepareUnique`). Since 6.0.
    PrepareUnique,
    /// Images of documents for change streams, as an option of collections. Since 6.0.
    ChangeStreamImages,
}

impl ServerVersion {
    /// Every version, oldest first.
    pub const ALL: [Self; 5] = [
        Self::V4_2_6,
        Self::V4_4_2,
        Self::V5_0_4,
        Self::V6_0_5,
        Self::V6_0_27,
    ];

    /// The version as the server says it: `6.0.5`.
    pub fn number(self) -> &'static str {
        match self {
            Self::V4_2_6 => "4.2.6",
            Self::V4_4_2 => "4.4.2",
            Self::V5_0_4 => "5.0.4",
            Self::V6_0_5 => "6.0.5",
            Self::V6_0_27 => "6.0.27",
        }
    }

    /// Whether its deployments can hold this.
    pub fn has(self, feature: Feature) -> bool {
        self >= feature.since()
    }

    /// What its deployments cannot hold: data sets are without it there.
    pub fn lacks(self) -> Vec<Feature> {
        let lacks = Feature::ALL.into_iter();
        lacks.filter(|feature| !self.has(*feature)).collect()
    }
}

impl Feature {
    /// Every feature, the oldest first.
    pub const ALL: [Self; 10] = [
        Self::LongNamespaces,
        Self::HiddenIndexes,
        Self::CompoundHashedIndexes,
        Self::DollarFieldNames,
        Self::TimeSeries,
        Self::ClusteredCollections,
        Self::MeasurementIndexes,
        Self::NestedPartialFilters,
        Self::PrepareUnique,
        Self::ChangeStreamImages,
    ];

    /// The oldest of our versions that has it.
    pub fn since(self) -> ServerVersion {
        match self {
            Self::LongNamespaces | Self::HiddenIndexes | Self::CompoundHashedIndexes => {
                ServerVersion::V4_4_2
            }
            Self::DollarFieldNames | Self::TimeSeries => ServerVersion::V5_0_4,
            Self::ClusteredCollections
            | Self::MeasurementIndexes
            | Self::NestedPartialFilters
            | Self::PrepareUnique
            | Self::ChangeStreamImages => ServerVersion::V6_0_5,
        }
    }
}

impl fmt::Display for ServerVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.number())
    }
}
