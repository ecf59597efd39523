use std::fmt;

use mongodb::{Client, options::ClientOptions};

use crate::{Result, connect::connect_error};

/// How to reach a deployment: a connection string, or its parts.
#[derive(Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct ConnectOptions {
    /// A [connection string](https://www.mongodb.com/docs/manual/reference/connection-string/). Default:
    /// `mongodb://localhost:27017`.
    pub uri: Option<String>,
}

impl fmt::Debug for ConnectOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectOptions").finish_non_exhaustive()
    }
}

impl ConnectOptions {
    /// Sets the connection string.
    #[must_use]
    pub fn uri(mut self, uri: impl Into<String>) -> Self {
        self.uri = Some(uri.into());
        self
    }

    pub(crate) async fn client(&self) -> Result<Client> {
        let uri = self.uri.as_deref().unwrap_or("mongodb://localhost:27017");
        let options = ClientOptions::parse(uri).await.map_err(connect_error)?;
        Client::with_options(options).map_err(connect_error)
    }
}
