//! Seeded data that covers what a deployment can hold.
//!
//! Every data set lives in databases of its own, so several can be seeded into one deployment, and has the same
//! content every time. Documents go to the server as raw bytes: nothing is normalised on the way.

mod bulk;
mod collections;
mod gridfs;
mod ids;
mod indexes;
mod large;
mod names;
mod orders;
mod rules;
mod seeder;
mod time_series;
mod types;
mod users;
mod views;

use std::{fmt, sync::Arc};

use futures::future::BoxFuture;
use mongodb::Client;

use crate::server_version::{Feature, ServerVersion};
pub use bulk::{Shape, seed_bulk};
pub use collections::{capped, clustered, empty_collections, options};
pub use gridfs::gridfs;
pub use ids::ids_of_every_type;
pub use indexes::indexes;
pub use large::large_documents;
pub use names::odd_names;
pub use orders::orders;
pub use rules::{collations, validators};
pub use seeder::Seeder;
pub use time_series::time_series;
pub use types::every_bson_type;
pub use users::{PASSWORD, users_and_roles};
pub use views::views;

type Fill = dyn Fn(Seeder) -> BoxFuture<'static, ()> + Send + Sync;

/// A named set of databases and how to fill them.
#[derive(Clone)]
pub struct Dataset {
    name: &'static str,
    databases: Vec<String>,
    /// What it is all about, if not every version has that.
    needs: Option<Feature>,
    version: ServerVersion,
    fill: Arc<Fill>,
}

impl Dataset {
    /// A data set that fills `databases` by calling `fill`.
    pub fn new<F, R>(name: &'static str, databases: &[&str], fill: F) -> Self
    where
        F: Fn(Seeder) -> R + Send + Sync + 'static,
        R: Future<Output = ()> + Send + 'static,
    {
        Self {
            name,
            databases: databases.iter().map(|&name| name.to_owned()).collect(),
            needs: None,
            version: ServerVersion::V6_0_5,
            fill: Arc::new(move |seeder| Box::pin(fill(seeder))),
        }
    }

    /// Marks what it is all about: versions without that do not have the data set.
    #[must_use]
    fn needs(mut self, feature: Feature) -> Self {
        self.needs = Some(feature);
        self
    }

    /// The same data set without what servers of this version [lack](ServerVersion::lacks), or `None` if it is
    /// all about that. Default: the data set for 6.0.5, which lacks nothing.
    pub fn on(self, version: ServerVersion) -> Option<Self> {
        let is_there = self.needs.is_none_or(|feature| version.has(feature));
        is_there.then_some(Self { version, ..self })
    }

    /// What it is called, in words with hyphens.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The databases that it fills.
    pub fn databases(&self) -> &[String] {
        &self.databases
    }

    /// Fills the databases, which must not exist yet.
    pub async fn seed(&self, client: &Client) {
        (self.fill)(Seeder::new(self.name, client.clone()).version(self.version)).await;
    }
}

impl fmt::Debug for Dataset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dataset")
            .field("name", &self.name)
            .field("databases", &self.databases)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Every data set but the bulk ones and those that need `admin`, in a small size.
pub fn all() -> Vec<Dataset> {
    vec![
        orders(1_000),
        every_bson_type(),
        large_documents(),
        empty_collections(),
        odd_names(),
        views(),
        capped(),
        clustered(),
        time_series(),
        collations(),
        validators(),
        indexes(),
        ids_of_every_type(3_000),
        gridfs(),
        options(),
    ]
}

/// The data sets of [`all`] that servers of a version can hold, without what they [lack](ServerVersion::lacks).
pub fn all_on(version: ServerVersion) -> Vec<Dataset> {
    let all = all().into_iter();
    all.filter_map(|dataset| dataset.on(version)).collect()
}
