//! The kit's own clients of a deployment.

use futures::future::join_all;
use mongodb::{Client, options::ClientOptions};

use super::address::{Addresses, Credentials};

/// Limits for clients of single members, which are asked whether they live.
pub(super) const IMPATIENT: &str =
    "&connectTimeoutMS=1000&serverSelectionTimeoutMS=1000&heartbeatFrequencyMS=500";

/// Connections of a client to one server.
const CONNECTIONS: u32 = 200;

/// One client for the deployment and one for each member.
#[derive(Debug)]
pub(super) struct Clients {
    pub(super) whole: Client,
    pub(super) direct: Vec<Client>,
}

impl Clients {
    pub(super) async fn open(addresses: &Addresses, credentials: Credentials<'_>) -> Self {
        let direct = addresses.hosts.iter().map(|host| {
            let uri = addresses.direct_uri(host, credentials) + IMPATIENT;
            async move { connect(&uri).await }
        });
        Self {
            whole: connect(&addresses.uri(credentials)).await,
            direct: join_all(direct).await,
        }
    }
}

/// A client for a connection string; panics when the string is not one.
///
/// It has connections enough for every writer of a workload: of the driver's ten, each could wait for a lock that a
/// transaction holds, whose commit then has none.
pub async fn connect(uri: &str) -> Client {
    let mut options = ClientOptions::parse(uri)
        .await
        .unwrap_or_else(|error| panic!("connection string {uri}: {error}"));
    options.max_pool_size.get_or_insert(CONNECTIONS);
    Client::with_options(options).unwrap_or_else(|error| panic!("client for {uri}: {error}"))
}
