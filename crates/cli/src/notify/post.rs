//! A document on its way to a URL.

use std::{error::Error, time::Duration};

use backon::{ExponentialBuilder, Retryable};
use http_body_util::Full;
use hyper::{
    Request, StatusCode, Uri,
    body::Bytes,
    header::{CONTENT_TYPE, HeaderName, HeaderValue, USER_AGENT},
};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use rdump::Secret;
use tokio::time::timeout;

/// How patiently a notice is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// How long all attempts may take.
    pub(super) total: Duration,
    /// How long one may take.
    pub(super) attempt: Duration,
    /// The pause after the first; each is twice as long as the one before, and a little shorter or longer.
    pub(super) pause: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            total: Duration::from_secs(60),
            attempt: Duration::from_secs(10),
            pause: Duration::from_secs(1),
        }
    }
}

/// Why it did not come. It says nothing of the URL.
#[derive(Debug)]
struct Failed {
    message: String,
    may_pass: bool,
}

/// Posts a document, again and again while that may help.
pub(super) async fn post(
    url: &Secret,
    headers: &[(HeaderName, HeaderValue)],
    body: String,
    patience: Patience,
) -> Result<(), String> {
    let uri = uri(url)?;
    let https = HttpsConnectorBuilder::new()
        .with_native_roots()
        .map_err(|error| format!("no certificates to trust: {error}"))?
        .https_or_http()
        .enable_http1()
        .build();
    let client: Sender = Client::builder(TokioExecutor::new()).build(https);
    let body = Bytes::from(body);
    let mut attempts = 0_u32;
    let attempt = || {
        attempts += 1;
        send(&client, &uri, headers, body.clone(), patience.attempt)
    };
    let pauses = ExponentialBuilder::default()
        .with_min_delay(patience.pause)
        .with_max_delay(patience.total / 4)
        .with_jitter()
        .without_max_times();
    let sent = attempt
        .retry(pauses)
        .when(|failed: &Failed| failed.may_pass);
    let mut last = String::new();
    let sent = sent.notify(|failed: &Failed, _| last.clone_from(&failed.message));
    match timeout(patience.total, sent).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(failed)) => Err(failed.message),
        Err(_late) if last.is_empty() => Err("nobody answered in time".to_owned()),
        Err(_late) => Err(format!("{last}, {attempts} times")),
    }
}

type Sender = Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

fn uri(url: &Secret) -> Result<Uri, String> {
    let uri: Result<Uri, _> = url.reveal().parse();
    let uri = uri.map_err(|_error| "its URL is none".to_owned())?;
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    match uri.scheme_str() {
        Some("http" | "https") if authority.contains('@') => {
            Err("its URL has a user, which is not sent: use headers".to_owned())
        }
        Some("http" | "https") if !authority.is_empty() => Ok(uri),
        _ => Err("its URL does not begin with https:// or http:// and a host".to_owned()),
    }
}

async fn send(
    client: &Sender,
    uri: &Uri,
    headers: &[(HeaderName, HeaderValue)],
    body: Bytes,
    within: Duration,
) -> Result<(), Failed> {
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = hyper::Method::POST;
    *request.uri_mut() = uri.clone();
    let known = [
        (CONTENT_TYPE, HeaderValue::from_static("application/json")),
        (
            USER_AGENT,
            HeaderValue::from_static(concat!("rdump/", env!("CARGO_PKG_VERSION"))),
        ),
    ];
    let headers = known.into_iter().chain(headers.iter().cloned());
    headers.for_each(|(name, value)| drop(request.headers_mut().insert(name, value)));
    let status = match timeout(within, client.request(request)).await {
        Err(_late) => {
            return Err(Failed {
                message: format!("no answer within {} s", within.as_secs_f64()),
                may_pass: true,
            });
        }
        Ok(Err(error)) => {
            return Err(Failed {
                message: causes(&error),
                may_pass: true,
            });
        }
        Ok(Ok(response)) => response.status(),
    };
    // What it says beside that may have a secret in it.
    match status.is_success() {
        true => Ok(()),
        false => Err(Failed {
            message: format!("the answer was {status}"),
            may_pass: status.is_server_error()
                || [
                    StatusCode::REQUEST_TIMEOUT,
                    StatusCode::TOO_EARLY,
                    StatusCode::TOO_MANY_REQUESTS,
                ]
                .contains(&status),
        }),
    }
}

/// All causes in one line.
fn causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
