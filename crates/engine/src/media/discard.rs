use futures::{FutureExt, future::BoxFuture};
use rdump_format::RunRecord;

use super::{
    DumpHeader, DumpWriter, LastStep, NamespaceHeader, NamespaceWriter, PackedSegment, Packing,
    Written, no_step,
};
use crate::Result;

/// A medium that forgets everything: what it costs to read a deployment, and nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Discard;

impl DumpWriter for Discard {
    fn packing(&self) -> Packing {
        Packing::Plain
    }

    fn begin<'a>(&'a self, _: &'a DumpHeader) -> BoxFuture<'a, Result<Vec<String>>> {
        async { Ok(Vec::new()) }.boxed()
    }

    fn namespace<'a>(
        &'a self,
        _: &'a NamespaceHeader,
    ) -> BoxFuture<'a, Result<Box<dyn NamespaceWriter>>> {
        async { Ok(Box::new(DiscardNamespace::default()) as Box<dyn NamespaceWriter>) }.boxed()
    }

    fn commit<'a>(&'a self, _: RunRecord) -> BoxFuture<'a, Result<LastStep<'a>>> {
        async { Ok(no_step()) }.boxed()
    }
}

#[derive(Debug, Default)]
struct DiscardNamespace(Written);

impl NamespaceWriter for DiscardNamespace {
    fn write(&mut self, segment: PackedSegment) -> BoxFuture<'_, Result<()>> {
        self.0.add(&segment);
        async { Ok(()) }.boxed()
    }

    fn finish(self: Box<Self>) -> BoxFuture<'static, Result<Written>> {
        async move { Ok(self.0) }.boxed()
    }
}
