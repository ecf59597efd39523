//! Documents of a file that no manifest describes: a stream from front to end.

use std::sync::Arc;

use futures::{StreamExt, stream, stream::BoxStream};
use rdump_format::Codec;
use rdump_storage::{ObjectInfo, ObjectReader, Store};
use tokio::{runtime::Handle, sync::mpsc};

use super::Documents;
use crate::{Error, Result, media::runs};

pub(super) fn read(
    store: &Arc<dyn Store>,
    codec: Codec,
    object: &ObjectInfo,
) -> BoxStream<'static, Result<Documents>> {
    let (store, object) = (Arc::clone(store), object.clone());
    let start = async move {
        // One run waits while one is filled and one is used.
        let (sender, receiver) = mpsc::channel(1);
        let runtime = Handle::current();
        let task = tokio::task::spawn_blocking(move || {
            let input = ObjectReader::new(runtime, &store, &object);
            runs::read_runs(input, &object.path, codec, &sender)
        });
        runs::received(receiver, async move {
            task.await
                .unwrap_or_else(|error| Err(Error::task("read documents", error)))
        })
    };
    stream::once(start).flatten().boxed()
}
