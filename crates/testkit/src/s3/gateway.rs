//! An HTTP proxy in front of an object store that knows what is asked for, and fails as a test tells it to.
//!
//! Requests are passed on as they come, so that their signatures hold, and so are answers. A rule of the test looks at
//! each request and may have a [`Fault`] for it; beside it requests can be [throttled](Gateway::throttle) and
//! fail [at random](Gateway::misbehave). Every request is remembered, so that a test can tell what was asked for.
//!
//! ```no_run
//! # async fn example() {
//! use rdump_testkit::s3::{
//!     Gateway, S3Server,
//!     gateway::{Fault, S3Operation},
//! };
//!
//! let server = S3Server::start().await;
//! let gateway = Gateway::start(server.address()).await;
//! gateway.rule(|asked| match asked.operation {
//!     S3Operation::Part if asked.before < 3 => Some(Fault::ResetBefore),
//!     _ => None,
//! });
//! // ... whatever uploads something to `gateway.location("prefix")` ...
//! assert_eq!(gateway.faults(), 3);
//! # }
//! ```

mod asked;
mod body;
mod fault;
mod forward;
mod state;

use std::{fmt, sync::Arc};

use super::location;
use crate::process::listening::Listening;
use forward::Shared;

pub use self::{
    asked::{Asked, S3Operation},
    fault::{Answer, Fault},
    state::Odds,
};

/// A running gateway; it ends, with all its connections, when it is dropped.
///
/// It runs on a thread of its own, so a test may block while requests go through it.
pub struct Gateway {
    listening: Listening,
    shared: Arc<Shared>,
}

impl Gateway {
    /// Starts a gateway in front of the store at `target` (`host:port`) that passes everything on.
    pub async fn start(target: impl Into<String>) -> Self {
        let shared = Arc::new(Shared::new(target.into()));
        let listening = Listening::start("gateway", {
            let shared = Arc::clone(&shared);
            let store = forward::store();
            move |client| forward::carry(client, Arc::clone(&shared), store.clone())
        });
        Self { listening, shared }
    }

    /// Address at which it listens, as `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.listening.address()
    }

    /// A prefix of the bucket behind it, as a location.
    pub fn location(&self, prefix: &str) -> String {
        location(&self.address(), prefix)
    }

    /// Asks `rule` what is to happen to each request from now on, instead of the rule before.
    pub fn rule(&self, rule: impl Fn(&Asked) -> Option<Fault> + Send + Sync + 'static) {
        self.shared.state().set_rule(Some(Arc::new(rule)));
    }

    /// Passes on at most so many requests a second, and answers the others that they should slow down.
    pub fn throttle(&self, per_second: u32) {
        assert!(per_second > 0, "nothing ever gets through at 0 a second");
        self.shared.state().throttle(per_second);
    }

    /// Lets requests fail at random. Which ones depends on the seed and on the order in which they come.
    pub fn misbehave(&self, seed: u64, odds: Odds) {
        self.shared.state().misbehave(seed, odds);
    }

    /// Passes everything on again.
    pub fn pass(&self) {
        self.shared.state().pass();
    }

    /// Every request so far, in the order in which they came.
    pub fn asked(&self) -> Vec<Asked> {
        self.shared.state().asked.clone()
    }

    /// How often an operation was asked for so far, failed ones included.
    pub fn count(&self, operation: S3Operation) -> usize {
        self.count_of(|asked| asked.operation == operation)
    }

    /// How many requests met a fault so far.
    pub fn faults(&self) -> usize {
        self.count_of(|asked| asked.fault.is_some())
    }

    fn count_of(&self, of: impl Fn(&Asked) -> bool) -> usize {
        let state = self.shared.state();
        state.asked.iter().filter(|asked| of(asked)).count()
    }

    /// Keys that an operation was asked for so far, in the order in which they came.
    pub fn keys(&self, operation: S3Operation) -> Vec<String> {
        let asked = self.asked().into_iter();
        let asked = asked.filter(|asked| asked.operation == operation);
        asked.map(|asked| asked.key).collect()
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}
