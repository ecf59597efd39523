use std::{fs, sync::Arc};

use hyper::{
    Method, Request, StatusCode, body::Incoming, header::IF_NONE_MATCH, service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto::Builder,
};
use s3s::{Body, auth::SimpleAuth, service::S3ServiceBuilder};
use s3s_fs::FileSystem;
use tempfile::TempDir;
use tokio::{net::TcpListener, sync::Mutex, task::JoinSet};

use super::{ACCESS_KEY, BUCKET, SECRET_KEY, location};

/// A small object store in this process, which ends when it is dropped.
#[derive(Debug)]
pub struct S3Server {
    _folder: TempDir,
    address: String,
    /// Ended when it is dropped.
    _accepting: JoinSet<()>,
}

impl S3Server {
    /// Starts it, with a bucket.
    pub async fn start() -> Self {
        Self::start_and(false).await
    }

    /// Starts it as Amazon's store is to somebody who may read and write, and not list: what is absent is refused, as it
    /// would be if it were there and might not be read.
    pub async fn start_without_listings() -> Self {
        Self::start_and(true).await
    }

    async fn start_and(refuses_listings: bool) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be created");
        fs::create_dir(folder.path().join(BUCKET)).expect("a folder can be created");
        let files = FileSystem::new(folder.path()).expect("the folder is there");
        let mut service = S3ServiceBuilder::new(files);
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let service = service.build();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.expect("a port is free");
        let address = listener
            .local_addr()
            .expect("it has an address")
            .to_string();
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let http = Builder::new(TokioExecutor::new());
            let mut connections = JoinSet::new();
            let conditional = Arc::new(Mutex::new(()));
            while let Ok((socket, _)) = listener.accept().await {
                let (http, service) = (http.clone(), service.clone());
                let conditional = Arc::clone(&conditional);
                connections.spawn(async move {
                    let service = service_fn(move |request: Request<Incoming>| {
                        let (service, conditional) = (service.clone(), Arc::clone(&conditional));
                        async move {
                            // Of itself it lets several win that put at the same moment what must not be there.
                            let _turn = match request.headers().contains_key(IF_NONE_MATCH) {
                                true => Some(conditional.lock().await),
                                false => None,
                            };
                            let is_head = request.method() == Method::HEAD;
                            let query = request.uri().query().unwrap_or_default();
                            let is_listing = query.contains("list-type=2");
                            let mut answer = service.call(request.map(Body::from)).await;
                            if let Ok(answer) = &mut answer {
                                let is_absent = answer.status() == StatusCode::NOT_FOUND;
                                if refuses_listings && (is_listing || is_head && is_absent) {
                                    *answer.status_mut() = StatusCode::FORBIDDEN;
                                }
                            }
                            answer
                        }
                    });
                    // Whoever asks sees that it broke off.
                    drop(http.serve_connection(TokioIo::new(socket), service).await);
                });
                while connections.try_join_next().is_some() {}
            }
        });
        Self {
            _folder: folder,
            address,
            _accepting: accepting,
        }
    }

    /// Address as `127.0.0.1:PORT`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// A prefix of the bucket, as a location.
    pub fn location(&self, prefix: &str) -> String {
        location(&self.address, prefix)
    }
}
