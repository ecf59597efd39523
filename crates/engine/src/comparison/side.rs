//! One of what is compared: a deployment, or a dump.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use bson::RawDocumentBuf;
use futures::{FutureExt, StreamExt, TryStreamExt, future::BoxFuture, stream};
use rdump_format::{Namespace, Pattern, RunRecord, Selector};

use super::content::{Closeness, Gatherer, Read, Rules};
use crate::{
    Dump, DumpOptions, Error, ErrorKind, NamespaceKind, Restore, RestoreOptions, Result, Source,
    Target,
    context::RunContext,
    media::{
        Access, Discard, DumpHeader, DumpReader, DumpWriter, LastStep, NamespaceHeader,
        NamespaceWriter, PackedSegment, Packing, Written, no_step,
    },
};

/// What is compared.
#[derive(Clone, Debug)]
pub(super) enum Side {
    Deployment(Source),
    /// A dump, as a restore to that deployment would have it.
    Dump(Arc<dyn DumpReader>, Target),
}

/// What one side has of a namespace.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    pub(crate) kind: NamespaceKind,
    pub(crate) options: RawDocumentBuf,
    pub(crate) indexes: Vec<RawDocumentBuf>,
    pub(crate) has_data: bool,
}

/// The namespaces whose documents are read, and which of these are compared.
pub(super) type Wanted = HashMap<Namespace, Rules>;

/// Whether it is data of somebody, and not the server's own.
pub(super) fn is_comparable(namespace: &Namespace) -> bool {
    let system = namespace.collection.strip_prefix("system.");
    !["config", "local"].contains(&namespace.db.as_str())
        && (system.is_none() || system == Some("js") && namespace.db != "admin")
}

impl Side {
    /// What there is of what is selected.
    pub(super) async fn list(
        &self,
        select: &Selector,
        cx: &RunContext,
    ) -> Result<BTreeMap<Namespace, Listed>> {
        let listed: Vec<_> = match self {
            Self::Deployment(source) => {
                let options = DumpOptions::default().select(select.clone());
                let dump = Dump::new(source, Arc::new(Discard)).options(options);
                let plan = dump.context(cx.clone()).plan().await?;
                plan.headers().map(of_header).collect()
            }
            Self::Dump(reader, target) => {
                let options = RestoreOptions::default().select(select.clone()).drop(true);
                let restore = Restore::new(target, Arc::clone(reader)).options(options);
                let plan = restore.context(cx.clone()).plan().await?;
                plan.asked_for().collect()
            }
        };
        let listed = listed.into_iter();
        Ok(listed.filter(|(name, _)| is_comparable(name)).collect())
    }

    /// Reads documents.
    pub(super) async fn read(
        &self,
        select: &Selector,
        wanted: Wanted,
        closeness: &Closeness,
        cx: &RunContext,
    ) -> Result<HashMap<Namespace, Read>> {
        match self {
            Self::Deployment(source) => {
                let done = Arc::<Mutex<_>>::default();
                let gathering = Gathering {
                    wanted,
                    closeness: closeness.clone(),
                    done: Arc::clone(&done),
                };
                let options = DumpOptions::default().select(select.clone());
                let dump = Dump::new(source, Arc::new(gathering)).options(options);
                let dump = dump.context(cx.clone());
                let plan = dump.plan().await?;
                dump.run(plan).await?;
                let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                Ok(std::mem::take(&mut *done))
            }
            Self::Dump(reader, _) => {
                let at_once = crate::default_parallelism().get();
                let reads = wanted.into_iter().map(|(namespace, rules)| {
                    let gatherer = Gatherer::new(rules, closeness);
                    async {
                        let read = read_dump(&**reader, &namespace, gatherer).await?;
                        Ok((namespace, read))
                    }
                    .boxed()
                });
                stream::iter(reads)
                    .buffer_unordered(at_once)
                    .try_collect()
                    .await
            }
        }
    }

    /// Reads the documents of one namespace.
    pub(super) async fn read_one(
        &self,
        namespace: &Namespace,
        rules: Rules,
        closeness: &Closeness,
        cx: &RunContext,
    ) -> Result<Option<Read>> {
        let select = Selector {
            include: vec![Pattern::literal(&namespace.to_string())],
            exclude: Vec::new(),
        };
        let wanted = HashMap::from([(namespace.clone(), rules)]);
        let mut read = self.read(&select, wanted, closeness, cx).await?;
        Ok(read.remove(namespace))
    }
}

async fn read_dump(
    reader: &dyn DumpReader,
    namespace: &Namespace,
    mut gatherer: Gatherer,
) -> Result<Read> {
    let Access::Random(random) = reader.access() else {
        let message = "a dump that is read from front to end cannot be compared";
        return Err(Error::new(ErrorKind::Unsupported, message));
    };
    let mut entries = reader.contents().entries.iter();
    let Some(entry) = entries.find(|entry| entry.namespace == *namespace) else {
        return Ok(gatherer.finish());
    };
    let mut documents = random.documents(entry);
    while let Some(run) = documents.next().await {
        let run = run?;
        gatherer = blocking(gatherer, move |gatherer| gatherer.take(&run.body)).await?;
    }
    Ok(gatherer.finish())
}

/// Digests off the network tasks.
async fn blocking(
    mut gatherer: Gatherer,
    work: impl FnOnce(&mut Gatherer) -> Result<()> + Send + 'static,
) -> Result<Gatherer> {
    let task = tokio::task::spawn_blocking(move || {
        work(&mut gatherer)?;
        Ok(gatherer)
    });
    task.await.map_err(|error| Error::task("digest", error))?
}

fn of_header(header: &NamespaceHeader) -> (Namespace, Listed) {
    let metadata = header.metadata.as_ref();
    let listed = Listed {
        kind: NamespaceKind::of(metadata),
        options: metadata.map(|it| it.options.clone()).unwrap_or_default(),
        indexes: metadata.map(|it| it.indexes.clone()).unwrap_or_default(),
        has_data: header.data_namespace.is_some(),
    };
    (header.namespace.clone(), listed)
}

/// A medium that keeps of documents what can be compared.
#[derive(Debug)]
struct Gathering {
    wanted: Wanted,
    closeness: Closeness,
    done: Arc<Mutex<HashMap<Namespace, Read>>>,
}

impl DumpWriter for Gathering {
    fn packing(&self) -> Packing {
        Packing::Plain
    }

    fn begin<'a>(&'a self, _: &'a DumpHeader) -> BoxFuture<'a, Result<Vec<String>>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn namespace<'a>(
        &'a self,
        header: &'a NamespaceHeader,
    ) -> BoxFuture<'a, Result<Box<dyn NamespaceWriter>>> {
        let rules = self.wanted.get(&header.namespace);
        let gatherer = rules.map(|rules| Gatherer::new(rules.clone(), &self.closeness));
        let writer = GatheringNamespace {
            namespace: header.namespace.clone(),
            gatherer,
            written: Written::default(),
            done: Arc::clone(&self.done),
        };
        async { Ok(Box::new(writer) as Box<dyn NamespaceWriter>) }.boxed()
    }

    fn commit<'a>(&'a self, _: RunRecord) -> BoxFuture<'a, Result<LastStep<'a>>> {
        async { Ok(no_step()) }.boxed()
    }
}

#[derive(Debug)]
struct GatheringNamespace {
    namespace: Namespace,
    /// None where it is not wanted.
    gatherer: Option<Gatherer>,
    written: Written,
    done: Arc<Mutex<HashMap<Namespace, Read>>>,
}

impl NamespaceWriter for GatheringNamespace {
    fn write(&mut self, segment: PackedSegment) -> BoxFuture<'_, Result<()>> {
        async move {
            self.written.add(&segment);
            if let Some(gatherer) = self.gatherer.take() {
                let gathered = blocking(gatherer, move |it| it.take(&segment.bytes));
                self.gatherer = Some(gathered.await?);
            }
            Ok(())
        }
        .boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Written>> {
        async move {
            if let Some(gatherer) = self.gatherer {
                let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
                done.insert(self.namespace, gatherer.finish());
            }
            Ok(self.written)
        }
        .boxed()
    }
}
