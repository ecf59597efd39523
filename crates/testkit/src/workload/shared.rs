//! What the writers of a workload have in common.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use bson::{Timestamp, doc, raw::cstr, rawdoc};
use mongodb::{
    Client,
    error::{Error, ErrorKind, Result},
};
use tokio::sync::OnceCell;

use super::{
    Change, Outcome, WorkloadOptions, Write, change::BEFORE_ALL, oplog::find, options::split,
};

/// Time between two attempts while there is no primary.
pub(super) const RETRY: Duration = Duration::from_millis(20);
/// The error of creating a collection that exists.
const NAMESPACE_EXISTS: i32 = 48;

/// One for all writers of a workload.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) client: Client,
    pub(super) options: WorkloadOptions,
    pub(super) stop: AtomicBool,
    pub(super) acknowledged: AtomicU64,
    /// Bytes of large documents that the journal has.
    pub(super) large_bytes: AtomicU64,
    /// The namespaces that the options name.
    pub(super) namespaces: Vec<Arc<str>>,
    ready: OnceCell<Option<Ready>>,
    prepared: Mutex<Vec<Write>>,
}

/// What was found out, before the first write.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ready {
    /// First two numbers of the server's version.
    pub(super) version: (u32, u32),
    /// A time that every write is after.
    pub(super) time: Timestamp,
}

impl Ready {
    /// Whether the reply to a write that makes one entry of the oplog has the time of that.
    ///
    /// In the first moments of a set that is 4.2 it may be that of another entry.
    pub(super) fn replies_with_time(self) -> bool {
        self.version >= (4, 4)
    }
}

impl Shared {
    pub(super) fn new(client: Client, options: WorkloadOptions) -> Self {
        let namespaces = options.namespaces.iter();
        Self {
            client,
            namespaces: namespaces.map(|name| Arc::from(name.as_str())).collect(),
            options,
            stop: AtomicBool::new(false),
            acknowledged: AtomicU64::new(0),
            large_bytes: AtomicU64::new(0),
            ready: OnceCell::new(),
            prepared: Mutex::default(),
        }
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Waits until the namespaces are there; `None` if the workload was stopped before.
    pub(super) async fn ready(&self) -> Option<Ready> {
        *self.ready.get_or_init(|| self.prepare()).await
    }

    /// The writes that created the namespaces.
    pub(super) fn take_prepared(&self) -> Vec<Write> {
        let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *prepared)
    }

    /// Tries each step until it succeeds, or the workload is stopped.
    async fn prepare(&self) -> Option<Ready> {
        let mut ready = None;
        while ready.is_none() {
            ready = self.look().await.ok();
            self.go_on(ready.is_some()).await?;
        }
        let ready = ready?;
        for namespace in &self.namespaces {
            let mut write = None;
            while write.is_none() {
                write = self.create(namespace, ready.time).await.ok();
                self.go_on(write.is_some()).await?;
            }
            let mut prepared = self.prepared.lock().unwrap_or_else(PoisonError::into_inner);
            prepared.extend(write);
        }
        Some(ready)
    }

    async fn go_on(&self, is_done: bool) -> Option<()> {
        if !is_done {
            tokio::time::sleep(RETRY).await;
        }
        (is_done || !self.is_stopped()).then_some(())
    }

    async fn look(&self) -> Result<Ready> {
        let admin = self.client.database("admin");
        let reply = admin.run_command(doc! { "buildInfo": 1 }).await?;
        let version = reply.get_str("version").unwrap_or_default();
        let mut numbers = version.split('.').map(|number| number.parse().unwrap_or(0));
        let time = reply.get_timestamp("operationTime");
        Ok(Ready {
            version: (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)),
            time: time.unwrap_or(BEFORE_ALL),
        })
    }

    /// Creates a namespace; one that was there is from before all.
    async fn create(&self, namespace: &Arc<str>, after: Timestamp) -> Result<Write> {
        let (db, collection) = split(namespace);
        let mut command = rawdoc! { "create": collection };
        let concern = self.options.acknowledgement.write_concern();
        command.append(cstr!("writeConcern"), concern);
        let change = Change::Create(Box::default());
        let database = self.client.database(db);
        let is_new = match database.run_raw_command(command).await {
            Ok(_) => true,
            // Perhaps by us, if an attempt had an effect but no answer.
            Err(error) if is_namespace_exists(&error) => false,
            Err(error) => return Err(error),
        };
        let time = match after {
            BEFORE_ALL => None,
            after => {
                let created = find(&self.client, namespace, &change, after).await?;
                if is_new && created.is_none() {
                    return Err(std::io::Error::other("its entry cannot be seen yet").into());
                }
                Some(created.unwrap_or(BEFORE_ALL))
            }
        };
        Ok(Write {
            namespace: Arc::clone(namespace),
            change,
            outcome: Outcome::Acknowledged(time),
        })
    }
}

fn is_namespace_exists(error: &Error) -> bool {
    matches!(error.kind.as_ref(), ErrorKind::Command(error) if error.code == NAMESPACE_EXISTS)
}
