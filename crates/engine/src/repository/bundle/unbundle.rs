//! A bundle becoming a snapshot of a repository.

use std::{collections::BTreeMap, io::Read, sync::Arc, time::Instant};

use bytes::Bytes;
use futures::FutureExt;
use rdump_format::repository::{AuditVerb, BEGUN, KEYS, REPOSITORY_FILE, RepositoryId, SnapshotId};
use rdump_storage::{Location, Store, Upload};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::input::Input;
use crate::{
    Error, ErrorKind, Observer, Repository, Result,
    context::RunContext,
    media::leftover_notice,
    repository::{
        Act, Actor, Outcome, differs,
        lease::{LEASE, Lease},
        progress::SnapshotProgress,
        put_manifest, put_same,
        snapshot::Object,
    },
};

/// What became of a bundle that was taken apart into a repository.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub struct UnbundleReport {
    /// The snapshot.
    pub id: SnapshotId,
    /// The repository that it is in now.
    pub repository: RepositoryId,
    /// How many data objects it has.
    pub objects: u64,
    /// Their size, in bytes.
    pub stored_bytes: u64,
    /// How many of these were there already, from an earlier attempt, and are the same.
    pub kept_bytes: u64,
    /// What is wrong, though not with the snapshot: that it could not be recorded who stored it.
    pub problems: Vec<String>,
    /// How long it took, in seconds.
    pub duration_seconds: f64,
}

impl Repository {
    /// Takes a bundle, which errors call `name`, apart into the repository at a location. An empty place becomes the
    /// repository that the snapshot comes from.
    ///
    /// Every byte is compared with its digest before it is stored, and the manifest is put last: a run that fails or is killed
    /// leaves no snapshot. It can be run again, and what is there then is compared and not written.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Data`](crate::ErrorKind::Data) if it is no bundle, or is damaged or cut short;
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if the snapshot is there already, or something else in its place, or
    /// in the place of a repository; [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) if it is of a newer format;
    /// [`ErrorKind::Unavailable`](crate::ErrorKind::Unavailable) if it cannot be read;
    /// [`ErrorKind::Cancelled`](crate::ErrorKind::Cancelled), and as the place has them.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves no snapshot, or the whole one. A thread may go on waiting for `input`.
    pub async fn unbundle(
        location: &Location,
        name: impl Into<String>,
        input: impl Read + Send + 'static,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Result<UnbundleReport> {
        let input = (name, input);
        Self::unbundle_by(location, input, Actor::default(), observer, cancel).await
    }

    /// As [`unbundle`](Self::unbundle), with [who](Self::actor) does it.
    ///
    /// # Errors
    ///
    /// As there.
    ///
    /// # Cancel safety
    ///
    /// As there.
    pub async fn unbundle_by(
        location: &Location,
        (name, input): (impl Into<String>, impl Read + Send + 'static),
        actor: Actor,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> Result<UnbundleReport> {
        let (clock, name) = (Instant::now(), name.into());
        let mut cx = RunContext::default();
        cx.set_observer(observer);
        cx.cancel = cancel;
        let store = location.create()?;
        let input = Input::new(&*name, input);
        let mut place = Place {
            store: Arc::clone(&store),
            actor,
            act: None,
            lease: None,
        };
        let unbundled = async {
            let unbundled = cx.unless_cancelled(unbundle(&mut place, input, &cx));
            let (report, root) = unbundled.await?;
            if let Some(lease) = &place.lease {
                lease.check().await?;
            }
            // To its end, or somebody hears of no snapshot where there is one.
            for problem in put_manifest(&*store, &report.id, root.to_vec()).await? {
                cx.notice(None, problem);
            }
            Ok::<_, Error>(report)
        };
        let mut unbundled = unbundled.boxed().await;
        if let Some(lease) = place.lease {
            lease.release().await;
        }
        if unbundled.is_err() {
            store.settle().await;
        }
        if let Some(act) = place.act {
            let outcome = |report: &UnbundleReport| {
                Outcome::default()
                    .figure("objects", report.objects)
                    .figure("stored-bytes", report.stored_bytes)
            };
            let missing = act.from(name).since(clock).end(&unbundled, outcome).await;
            match &mut unbundled {
                Ok(report) => report.problems.extend(missing),
                Err(_) => cx.unrecorded(missing, None),
            }
        }
        let mut report = unbundled?;
        report.duration_seconds = clock.elapsed().as_secs_f64();
        Ok(report)
    }
}

/// Where a bundle goes, and what is held there until its end.
struct Place {
    store: Arc<dyn Store>,
    actor: Actor,
    /// Once it is known which snapshot of which repository it is.
    act: Option<Act>,
    lease: Option<Lease>,
}

/// Stores all but the manifest, which it gives. The lease keeps others from writing or pruning the snapshot.
async fn unbundle(
    Place {
        store,
        actor,
        act,
        lease,
    }: &mut Place,
    input: Input,
    cx: &RunContext,
) -> Result<(UnbundleReport, Bytes)> {
    let store = &*store;
    let (input, head) = input.head(None).await?;
    let id = head.snapshot.id().clone();
    let repository = match Repository::find(store).await? {
        Some(record) => Repository::of(Arc::clone(store), record).actor(actor.clone()),
        None => {
            let (store, record) = (Arc::clone(store), head.repository.clone());
            Repository::init_as(store, record, actor.clone()).await?
        }
    };
    let is_encrypted = head.snapshot.manifest().is_encrypted();
    let unbundling = repository.act(AuditVerb::Unbundle).snapshot(Some(&id));
    *act = Some(unbundling.private(is_encrypted));
    let records = head.objects.iter();
    let records = records.map(|(path, bytes)| (path.as_str(), bytes));
    let records: Vec<_> = records
        .filter(|(path, _)| *path != REPOSITORY_FILE)
        .collect();
    repository.check_free(&id, &head.root, &records).await?;
    *lease = match Lease::take(store, id.as_str(), LEASE).await {
        // Where the store minds no conditions, there is none.
        Err(error) if error.kind() == ErrorKind::Unsupported => None,
        taken => Some(taken?),
    };
    let folders = ["catalog", "data", "parts"].map(|name| format!("{}{name}", id.folder()));
    for leftover in store.remove_leftovers(&folders).await? {
        cx.notice(None, leftover_notice(&leftover));
    }

    let mut expected = BTreeMap::new();
    let folder = id.folder();
    for (path, bytes) in &head.objects {
        if let Some(path) = path.strip_prefix(&folder) {
            expected.insert(path.to_owned(), bytes.len() as u64);
            put_same(&**store, &format!("{folder}{path}"), bytes.clone()).await?;
        } else if path.starts_with(KEYS) {
            put_same(&**store, path, bytes.clone()).await?;
        }
    }
    let mut report = UnbundleReport {
        id: id.clone(),
        repository: repository.record.id,
        objects: head.data.len() as u64,
        stored_bytes: 0,
        kept_bytes: 0,
        problems: Vec::new(),
        duration_seconds: 0.0,
    };
    let to_store = head.data.iter().map(Object::stored_bytes).sum();
    let mut progress = SnapshotProgress::start(cx, &id, (report.objects, to_store));
    let mut storing = Storing { store, input };
    for object in head.data {
        let (path, stored_bytes) = (object.path.clone(), object.stored_bytes());
        let (back, was_there) = storing.object(format!("{folder}{path}"), object).await?;
        storing = back;
        report.stored_bytes += stored_bytes;
        report.kept_bytes += if was_there { stored_bytes } else { 0 };
        expected.insert(path, stored_bytes);
        progress.add(stored_bytes);
    }
    progress.finish();
    let (root, of) = (head.root.clone(), id.clone());
    storing
        .blocking(move |input| input.finish(&of, &root))
        .await?;

    // Only now: what was begun and not finished would be gone on with as a backup.
    for (path, bytes) in &head.objects {
        if path.starts_with(BEGUN) {
            put_same(&**store, path, bytes.clone()).await?;
        }
    }
    repository.check_stored(&id, &expected).await?;
    store.flush().await?;
    Ok((report, head.root))
}

/// Data objects on their way from a bundle to a store.
struct Storing<'a> {
    store: &'a Arc<dyn Store>,
    input: Input,
}

impl Storing<'_> {
    /// Stores one object, or compares it with what is there.
    async fn object(mut self, path: String, object: Object) -> Result<(Self, bool)> {
        let stored_bytes = object.stored_bytes();
        let begun = path.clone();
        self = self
            .blocking(move |input| input.begin(&begun, stored_bytes))
            .await?
            .0;
        let there = self.store.head(&path).await?;
        if there
            .as_ref()
            .is_some_and(|it| it.stored_bytes != stored_bytes)
        {
            return Err(differs(&**self.store, &path));
        }
        let was_there = there.is_some();
        let mut upload: Option<Box<dyn Upload>> = match was_there {
            true => None,
            false => Some(self.store.upload(&path).await?),
        };
        let mut start = 0;
        for record in object.segments {
            let range = start..start + record.stored_bytes;
            start = range.end;
            let (back, stored) = self
                .blocking(move |input| {
                    let stored = input.read(record.stored_bytes)?;
                    input.check_stored(&record, &stored)?;
                    Ok(stored)
                })
                .await?;
            self = back;
            match &mut upload {
                Some(upload) => upload.write(stored).await?,
                None if self.store.read(&path, range, None).await? == stored => {}
                None => return Err(differs(&**self.store, &path)),
            }
        }
        self = self.blocking(Input::end_object).await?.0;
        if let Some(upload) = upload {
            let stored = upload.finish().await?;
            if stored.stored_bytes != stored_bytes {
                return Err(Error::data(format!(
                    "{path} has {} bytes instead of {stored_bytes}",
                    stored.stored_bytes
                ))
                .at(path));
            }
        }
        Ok((self, was_there))
    }

    /// Takes something of the bundle, on a thread that may block.
    async fn blocking<T: Send + 'static>(
        self,
        work: impl FnOnce(&mut Input) -> Result<T> + Send + 'static,
    ) -> Result<(Self, T)> {
        let Self { store, mut input } = self;
        let done = tokio::task::spawn_blocking(move || {
            let done = work(&mut input)?;
            Ok::<_, Error>((input, done))
        });
        let (input, done) = done
            .await
            .map_err(|error| Error::task("read a bundle", error))??;
        Ok((Self { store, input }, done))
    }
}
