//! What a request asks an object store for.

use hyper::{HeaderMap, Method, Request, Uri};

use super::Fault;

/// What is asked for, as far as a test of faults tells it apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum S3Operation {
    /// Begins an upload in parts.
    Create,
    /// Sends a part.
    Part,
    /// Makes an object of the parts.
    Complete,
    /// Takes an upload back.
    Abort,
    /// Writes an object by one request.
    Put,
    /// Looks an object up.
    Head,
    /// Reads an object, or a range of one.
    Get,
    /// Lists objects.
    List,
    /// Lists uploads that were begun.
    ListUploads,
    /// Deletes one object, or many.
    Delete,
    /// Copies an object, or a part of one.
    Copy,
    /// Asks for an object to be thawed.
    Restore,
    /// Anything else.
    Other,
}

/// A request.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Asked {
    /// What it asks for.
    pub operation: S3Operation,
    /// Key of the object; empty if the bucket is asked.
    pub key: String,
    /// How many of the same operation came before it, since the rule was given.
    pub before: usize,
    /// What happened to it instead of being answered, as is known after the rule was asked.
    pub fault: Option<Fault>,
    uri: Uri,
    headers: HeaderMap,
}

impl Asked {
    pub(super) fn new<B>(request: &Request<B>) -> Self {
        let path = request.uri().path().trim_start_matches('/');
        let (_bucket, key) = path.split_once('/').unwrap_or((path, ""));
        let mut asked = Self {
            operation: S3Operation::Other,
            key: decoded(key),
            before: 0,
            fault: None,
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        };
        asked.operation = asked.classified(request.method());
        asked
    }

    /// The value of an option behind the question mark; empty if the option has none.
    pub fn query(&self, name: &str) -> Option<String> {
        let mut options = self.uri.query().unwrap_or_default().split('&');
        options.find_map(|option| {
            let (found, value) = option.split_once('=').unwrap_or((option, ""));
            (found == name).then(|| decoded(value))
        })
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The number of the part, from 1, if it is about one.
    pub fn part(&self) -> Option<u32> {
        self.query("partNumber")?.parse().ok()
    }

    fn classified(&self, method: &Method) -> S3Operation {
        let has = |option| self.query(option).is_some();
        let copies = self.header("x-amz-copy-source").is_some();
        match (method.as_str(), self.key.is_empty()) {
            ("POST", false) if has("uploads") => S3Operation::Create,
            ("POST", false) if has("restore") => S3Operation::Restore,
            ("POST", false) if has("uploadId") => S3Operation::Complete,
            ("DELETE", false) if has("uploadId") => S3Operation::Abort,
            ("PUT", false) if copies => S3Operation::Copy,
            ("PUT", false) if has("uploadId") => S3Operation::Part,
            ("PUT", false) if self.is_plain() => S3Operation::Put,
            ("HEAD", false) => S3Operation::Head,
            ("GET", false) if self.is_plain() => S3Operation::Get,
            ("GET", true) if has("list-type") => S3Operation::List,
            ("GET", true) if has("uploads") => S3Operation::ListUploads,
            ("DELETE", false) if self.is_plain() => S3Operation::Delete,
            ("POST", true) if has("delete") => S3Operation::Delete,
            _ => S3Operation::Other,
        }
    }

    /// Whether it is about an object itself, and not about its tags, its permissions or the like.
    fn is_plain(&self) -> bool {
        let options = self.uri.query().unwrap_or_default().split('&');
        let mut names = options.map(|option| option.split('=').next().unwrap_or_default());
        names.all(|name| matches!(name, "" | "x-id" | "versionId" | "partNumber"))
    }
}

fn decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text)
        .decode_utf8_lossy()
        .into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(method: &str, uri: &str, header: Option<&str>) -> Asked {
        let mut request = Request::builder().method(method).uri(uri);
        if let Some(name) = header {
            request = request.header(name, "x");
        }
        Asked::new(&request.body(()).unwrap())
    }

    #[test]
    fn method_and_options_say_what_is_asked_for() {
        use S3Operation::*;
        for (method, uri, operation) in [
            ("POST", "/b/k?uploads", Create),
            ("PUT", "/b/k?x-id=UploadPart&partNumber=7&uploadId=u", Part),
            (
                "POST",
                "/b/k?x-id=CompleteMultipartUpload&uploadId=u",
                Complete,
            ),
            ("DELETE", "/b/k?uploadId=u", Abort),
            ("POST", "/b/k?restore", Restore),
            ("GET", "/b/k?uploadId=u", Other),
            ("PUT", "/b/k?x-id=PutObject", Put),
            ("PUT", "/b/k?tagging", Other),
            ("PUT", "/b", Other),
            ("HEAD", "/b/k", Head),
            ("HEAD", "/b", Other),
            ("GET", "/b/k?x-id=GetObject", Get),
            ("GET", "/b/k?retention", Other),
            ("GET", "/b?list-type=2&prefix=p", List),
            ("GET", "/b/?list-type=2", List),
            ("GET", "/b?uploads", ListUploads),
            ("GET", "/b?versioning", Other),
            ("DELETE", "/b/k", Delete),
            ("POST", "/b/?delete", Delete),
        ] {
            assert_eq!(
                asked(method, uri, None).operation,
                operation,
                "{method} {uri}"
            );
        }
        let copy = asked("PUT", "/b/k", Some("x-amz-copy-source"));
        assert_eq!(copy.operation, Copy);
    }

    #[test]
    fn keys_and_options_are_decoded() {
        let part = asked("PUT", "/b/a/%C3%A4%20%2B?partNumber=7&uploadId=u%2F1", None);
        assert_eq!(part.key, "a/ä +");
        assert_eq!(part.part(), Some(7));
        assert_eq!(part.query("uploadId").as_deref(), Some("u/1"));
        assert_eq!(part.query("upload"), None);
    }
}
