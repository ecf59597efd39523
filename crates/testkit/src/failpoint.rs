//! Makes a server fail on purpose, for as long as a guard lives.
//!
//! See the [fail point commands](https://github.com/mongodb/mongo/wiki/The-%22failCommand%22-fail-point) of
//! MongoDB. Every server of this kit runs with `enableTestCommands`.

use std::thread;

use bson::{Document, doc};
use tokio::runtime;

use crate::deployment::{Deployment, connect};

/// A fail point of one server that is switched off when the guard is dropped.
#[derive(Debug)]
pub struct FailPoint {
    name: String,
    uri: String,
    enabled: bool,
}

impl FailPoint {
    /// Sends a `configureFailPoint` command to the server that takes writes now.
    pub async fn enable(deployment: &Deployment, command: Document) -> Self {
        let member = deployment.await_primary().await;
        Self::enable_on(deployment, member, command).await
    }

    /// Sends a `configureFailPoint` command to one member.
    pub async fn enable_on(deployment: &Deployment, member: usize, command: Document) -> Self {
        let name = command.get_str("configureFailPoint");
        let name = name.expect("the command is configureFailPoint").to_owned();
        let admin = deployment.direct_client(member).database("admin");
        admin
            .run_command(command)
            .await
            .unwrap_or_else(|error| panic!("enabling fail point {name}: {error}"));
        Self {
            name,
            uri: deployment.impatient_uri(member),
            enabled: true,
        }
    }

    /// Makes commands fail with an error code or a closed connection: the fail point `failCommand`.
    ///
    /// `mode` is as in `{ times: 1 }`; `data` holds what `failCommand` takes, such as `errorCode`.
    pub async fn fail_command(
        deployment: &Deployment,
        commands: &[&str],
        mode: Document,
        mut data: Document,
    ) -> Self {
        data.insert("failCommands", commands);
        let command = doc! { "configureFailPoint": "failCommand", "mode": mode, "data": data };
        Self::enable(deployment, command).await
    }

    /// Switches the fail point off and tells how often it was reached, whether it fired or not.
    pub async fn disable(mut self) -> i64 {
        self.enabled = false;
        let reply = switch_off(&self.uri, &self.name).await;
        let reply =
            reply.unwrap_or_else(|error| panic!("disabling fail point {}: {error}", self.name));
        let count = reply.get("count");
        count
            .and_then(|count| count.as_i64().or(count.as_i32().map(i64::from)))
            .unwrap_or(0)
    }
}

impl Drop for FailPoint {
    /// Works wherever it is dropped: the runtime of the test may be busy dropping us, so a thread has its own.
    fn drop(&mut self) {
        if !self.enabled {
            return;
        }
        let (uri, name) = (self.uri.clone(), self.name.clone());
        let thread = thread::spawn(move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime can be built").block_on(async {
                // Fails when the server is dead; a new start has no fail points.
                drop(switch_off(&uri, &name).await);
            });
        });
        drop(thread.join());
    }
}

async fn switch_off(uri: &str, name: &str) -> mongodb::error::Result<Document> {
    let command = doc! { "configureFailPoint": name, "mode": "off" };
    let client = connect(uri).await;
    client.database("admin").run_command(command).await
}
