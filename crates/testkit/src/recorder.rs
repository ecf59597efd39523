//! An HTTP server that takes down what it gets.

use std::{
    collections::{BTreeMap, VecDeque},
    convert::Infallible,
    future,
    net::SocketAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    task::JoinSet,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        crypto::ring,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
    },
};

use crate::deployment::Certificates;

/// One request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Recorded {
    /// Its method, such as `POST`.
    pub method: String,
    /// Its path, with the query.
    pub path: String,
    /// Its headers, their names in lower case.
    pub headers: BTreeMap<String, String>,
    /// Its body.
    pub body: String,
}

/// How a request is answered.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Answer {
    /// By this status and this body.
    With(u16, &'static str),
    /// Never.
    Never,
}

/// An HTTP server in this process that ends when it is dropped.
#[derive(Debug)]
pub struct Recorder {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    certificates: Option<(TempDir, PathBuf)>,
    /// Ended when it is dropped.
    _accepting: JoinSet<()>,
}

#[derive(Debug, Default)]
struct State {
    requests: Vec<Recorded>,
    answers: VecDeque<Answer>,
}

impl Recorder {
    /// Starts one that answers 200 to everybody.
    pub async fn start() -> Self {
        Self::start_and(None).await
    }

    /// Starts one that speaks HTTPS, with a certificate that [`ca_file`](Self::ca_file) vouches for.
    pub async fn start_with_tls() -> Self {
        let folder = TempDir::new().expect("a temporary folder can be created");
        Self::start_and(Some(folder)).await
    }

    async fn start_and(folder: Option<TempDir>) -> Self {
        let (acceptor, certificates) = match folder {
            None => (None, None),
            Some(folder) => {
                let made = Certificates::create(folder.path());
                (Some(acceptor(&made)), Some((folder, made.ca_file)))
            }
        };
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("a port is free");
        let address = listener.local_addr().expect("it has an address");
        let state = Arc::new(Mutex::new(State::default()));
        let (shared, mut accepting) = (Arc::clone(&state), JoinSet::new());
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let (state, acceptor) = (Arc::clone(&shared), acceptor.clone());
                connections.spawn(async move {
                    match acceptor {
                        None => serve(socket, state).await,
                        Some(acceptor) => {
                            if let Ok(socket) = acceptor.accept(socket).await {
                                serve(socket, state).await;
                            }
                        }
                    }
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            address,
            state,
            certificates,
            _accepting: accepting,
        }
    }

    /// From now on requests are answered so, one after the other; those after them by 200.
    pub fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        lock(&self.state).answers = answers.into_iter().collect();
    }

    /// What came until now.
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.state).requests.clone()
    }

    /// Where it is: `http://127.0.0.1:PORT`, or `https://`.
    pub fn url(&self) -> String {
        match self.certificates {
            None => format!("http://{}", self.address),
            Some(_) => format!("https://localhost:{}", self.address.port()),
        }
    }

    /// The certificate of who vouches for it.
    pub fn ca_file(&self) -> &PathBuf {
        let (_, file) = self.certificates.as_ref().expect("it speaks HTTPS");
        file
    }
}

fn acceptor(certificates: &Certificates) -> TlsAcceptor {
    let pem = &certificates.server_pem;
    let chain = CertificateDer::pem_file_iter(pem).expect("it was written");
    let chain = chain.collect::<Result<_, _>>().expect("it was just made");
    let key = PrivateKeyDer::from_pem_file(pem).expect("it was just made");
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("there are some")
        .with_no_client_auth()
        .with_single_cert(chain, key);
    TlsAcceptor::from(Arc::new(config.expect("key and certificate fit")))
}

async fn serve(socket: impl AsyncRead + AsyncWrite + Unpin, state: Arc<Mutex<State>>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(respond(request, &state).await) }
    });
    let served = http1::Builder::new().serve_connection(TokioIo::new(socket), service);
    // Whoever asks sees that it broke off.
    drop(served.await);
}

async fn respond(request: Request<Incoming>, state: &Mutex<State>) -> Response<Full<Bytes>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let headers = head.headers.iter().map(|(name, value)| {
        let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
        (name.to_string(), value)
    });
    let recorded = Recorded {
        method: head.method.to_string(),
        path: head.uri.to_string(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let answer = {
        let mut state = lock(state);
        state.requests.push(recorded);
        state.answers.pop_front()
    };
    let (status, body) = match answer.unwrap_or(Answer::With(200, "")) {
        Answer::With(status, body) => (status, body),
        Answer::Never => future::pending().await,
    };
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status of HTTP");
    response
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
