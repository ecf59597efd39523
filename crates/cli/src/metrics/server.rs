//! The HTTP endpoint that Prometheus asks.

use std::{convert::Infallible, sync::Arc, time::Duration};

use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    header::{ALLOW, CONTENT_TYPE},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use rdump::CancellationToken;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

use super::Registry;

/// How many are answered at once; who comes then waits.
const MOST_CONNECTIONS: usize = 16;
/// How long one may take to ask and to take the answer.
const MOST_TIME: Duration = Duration::from_secs(10);
/// How long those that are being answered are waited for at the end.
const LAST_TIME: Duration = Duration::from_secs(1);
/// How long nobody is answered when no more connections can be taken: too many files are open, for instance.
const PAUSE: Duration = Duration::from_millis(100);

/// Answers `/metrics` and `/healthz` until it is cancelled.
///
/// Each connection is for one request, and ends after ten seconds however slow the other side is.
pub(crate) async fn serve(
    listener: TcpListener,
    registry: Arc<Registry>,
    cancel: CancellationToken,
) {
    let (mut answering, free) = (JoinSet::new(), Arc::new(Semaphore::new(MOST_CONNECTIONS)));
    let accepting = async {
        while let Ok(place) = Arc::clone(&free).acquire_owned().await {
            while answering.try_join_next().is_some() {}
            match listener.accept().await {
                Ok((stream, _)) => {
                    let registry = Arc::clone(&registry);
                    answering.spawn(async move {
                        // Who went away or was too slow has no use for being told.
                        let _ended = timeout(MOST_TIME, answer(stream, registry)).await;
                        drop(place);
                    });
                }
                Err(_) => tokio::time::sleep(PAUSE).await,
            }
        }
    };
    cancel.run_until_cancelled(accepting).await;
    let last = async { while answering.join_next().await.is_some() {} };
    let _late = timeout(LAST_TIME, last).await;
}

async fn answer(stream: TcpStream, registry: Arc<Registry>) -> hyper::Result<()> {
    let service = service_fn(move |request| {
        let answered = respond(&request, &registry);
        async { Ok::<_, Infallible>(answered) }
    });
    http1::Builder::new()
        .timer(TokioTimer::new())
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await
}

fn respond(request: &Request<Incoming>, registry: &Registry) -> Response<Full<Bytes>> {
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, body) = match request.uri().path() {
        "/metrics" | "/healthz" if !is_read => {
            (StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n".to_owned())
        }
        "/metrics" => (StatusCode::OK, registry.text()),
        "/healthz" => (StatusCode::OK, "ok\n".to_owned()),
        _ => (StatusCode::NOT_FOUND, "/metrics or /healthz\n".to_owned()),
    };
    let kind = match request.uri().path() {
        "/metrics" => prometheus::TEXT_FORMAT,
        _ => "text/plain; charset=utf-8",
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    if let Ok(kind) = kind.parse() {
        headers.insert(CONTENT_TYPE, kind);
    }
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
    }
    response
}
