//! Carries requests to the store and answers back, or does not.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{FutureExt as _, future};
use http_body_util::BodyExt as _;
use hyper::{Request, Response, Uri, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    client::legacy::{self, Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioIo},
};
use tokio::{net::TcpStream, sync::mpsc};

use super::{
    Asked, Fault,
    body::{Body, full, trickled, truncated, whole},
    state::State,
};
use crate::proxy::Ending;

/// What the connections and the test's handle share.
pub(super) struct Shared {
    target: String,
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(target: String) -> Self {
        Self {
            target,
            state: Mutex::default(),
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What happens to a request.
    fn judged(&self, mut asked: Asked) -> Option<Fault> {
        let (place, rule) = self.state().remember(&mut asked);
        // Without the lock: a rule may look at the gateway itself.
        let by_rule = rule.and_then(|rule| rule(&asked));
        let mut state = self.state();
        let fault = by_rule.or_else(|| state.by_chance());
        state.asked[place].fault.clone_from(&fault);
        fault
    }
}

/// Asks the store.
pub(super) type Store = Client<HttpConnector, Incoming>;

/// What asks the store for all connections.
pub(super) fn store() -> Store {
    Client::builder(TokioExecutor::new()).build_http()
}

/// Carries the requests of one connection.
pub(super) async fn carry(client: TcpStream, shared: Arc<Shared>, store: Store) {
    // Delays are ours to choose, not the kernel's.
    drop(client.set_nodelay(true));
    let (cut, mut cuts) = mpsc::channel(1);
    let service = service_fn(move |request| {
        let passage = Passage {
            shared: Arc::clone(&shared),
            store: store.clone(),
            cut: cut.clone(),
        };
        passage.answer(request).boxed()
    });
    let mut connection = http1::Builder::new().serve_connection(TokioIo::new(client), service);
    let ending = tokio::select! {
        // First, so that what is there is sent before the connection is cut.
        biased;
        // Whoever asks sees that it broke off.
        _ = &mut connection => return,
        ending = cuts.recv() => ending,
    };
    if ending == Some(Ending::Reset) {
        let client = connection.into_parts().io.into_inner();
        // Without it the connection ends by FIN, which is as good an end.
        drop(client.set_zero_linger());
    }
}

/// The way of one request.
struct Passage {
    shared: Arc<Shared>,
    store: Store,
    cut: mpsc::Sender<Ending>,
}

impl Passage {
    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, legacy::Error> {
        let Some(fault) = self.shared.judged(Asked::new(&request)) else {
            return Ok(self.forward(request).await?.map(whole));
        };
        match fault {
            Fault::Answer(answer) => {
                taken(request).await;
                Ok(answer.into_response().map(full))
            }
            Fault::ResetBefore => self.reset().await,
            Fault::LoseAnswer => {
                // Its end tells that the store is done.
                drop(self.forward(request).await?.collect().await);
                self.reset().await
            }
            Fault::Truncate { bytes } => {
                let answer = self.forward(request).await?;
                Ok(answer.map(|body| truncated(body, bytes, self.cut)))
            }
            Fault::Trickle { bytes, every } => {
                let answer = self.forward(request).await?;
                Ok(answer.map(|body| trickled(body, bytes, every)))
            }
            Fault::Headers(headers) => {
                let mut answer = self.forward(request).await?.map(whole);
                for (name, value) in headers {
                    let value = value.parse().expect("a header is valid");
                    answer.headers_mut().insert(name, value);
                }
                Ok(answer)
            }
            Fault::Hold => {
                taken(request).await;
                future::pending().await
            }
        }
    }

    /// Asks the store. `Host` stays as it was, since it is signed.
    async fn forward(
        &self,
        mut request: Request<Incoming>,
    ) -> Result<Response<Incoming>, legacy::Error> {
        let asked = request.uri().path_and_query();
        let asked = asked.map_or("/", |asked| asked.as_str());
        let uri = format!("http://{}{asked}", self.shared.target);
        *request.uri_mut() = uri.parse::<Uri>().expect("it was one before");
        self.store.request(request).await
    }

    async fn reset<T>(&self) -> T {
        cut_by(&self.cut, Ending::Reset).await
    }
}

/// Has the connection cut. What waits for this waits for ever, and ends with the connection.
pub(super) async fn cut_by<T>(cut: &mpsc::Sender<Ending>, ending: Ending) -> T {
    let sent = cut.send(ending).await;
    sent.expect("a connection outlives its requests");
    future::pending().await
}

/// Reads a request to its end, so that the client gets to read an answer.
async fn taken(request: Request<Incoming>) {
    drop(request.into_body().collect().await);
}
