//! What can go wrong with a request.

use std::time::Duration;

use hyper::{Response, StatusCode};

/// What happens to a request instead of being passed on and answered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// It is answered without being passed on.
    Answer(Answer),
    /// The connection is reset without it being passed on.
    ResetBefore,
    /// It is passed on, and the connection is reset when the store has answered.
    LoseAnswer,
    /// The connection is closed when so many bytes of the answer's body are through.
    Truncate {
        /// How many that are.
        bytes: usize,
    },
    /// The answer's body comes a little at a time.
    Trickle {
        /// How much, in bytes.
        bytes: usize,
        /// After what time.
        every: Duration,
    },
    /// It is taken, not passed on and never answered.
    Hold,
    /// It is passed on, and the answer has these headers too.
    Headers(Vec<(&'static str, String)>),
}

impl Fault {
    /// An answer that is an error of this status and code.
    pub fn error(status: u16, code: &str) -> Self {
        Self::Answer(Answer::error(status, code))
    }

    /// What a store answers that is asked too often.
    pub fn slow_down() -> Self {
        Self::error(503, "SlowDown")
    }
}

/// An answer that the store did not give.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    /// An empty answer.
    pub fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: String::new(),
        }
    }

    /// An error, as the S3 protocol has them.
    pub fn error(status: u16, code: &str) -> Self {
        Self::new(status).body(format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <Error><Code>{code}</Code><Message>injected by a test</Message></Error>"
        ))
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Sets the body, which is XML.
    #[must_use]
    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    pub(super) fn into_response(self) -> Response<String> {
        let mut response = Response::new(self.body);
        *response.status_mut() = StatusCode::from_u16(self.status).expect("a status is valid");
        let headers = response.headers_mut();
        headers.insert(
            "content-type",
            "application/xml".parse().expect("it is one"),
        );
        for (name, value) in self.headers {
            headers.insert(name, value.parse().expect("a header is valid"));
        }
        response
    }
}

impl From<Answer> for Fault {
    fn from(answer: Answer) -> Self {
        Self::Answer(answer)
    }
}
