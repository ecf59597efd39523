//! Bodies of answers: as they come, cut off, or slowly.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream, stream::BoxStream};
use http_body_util::{BodyDataStream, BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use tokio::sync::mpsc;

use super::forward::cut_by;
use crate::proxy::Ending;

pub(super) type Body = UnsyncBoxBody<Bytes, hyper::Error>;

/// As it comes.
pub(super) fn whole(body: Incoming) -> Body {
    body.boxed_unsync()
}

/// One that is there already.
pub(super) fn full(text: String) -> Body {
    let body = Full::new(Bytes::from(text));
    body.map_err(|never| match never {}).boxed_unsync()
}

/// The first `bytes` of it; then the connection is closed.
pub(super) fn truncated(body: Incoming, bytes: usize, cut: mpsc::Sender<Ending>) -> Body {
    let pieces = stream::unfold((pieces(body), bytes), move |(mut pieces, left)| {
        let cut = cut.clone();
        async move {
            if left == 0 {
                // What was given until now is sent before.
                return cut_by(&cut, Ending::Finish).await;
            }
            let piece = pieces.next().await?.map(|mut piece| {
                piece.truncate(left);
                piece
            });
            let left = left - piece.as_ref().map_or(0, Bytes::len);
            Some((piece, (pieces, left)))
        }
    });
    streamed(pieces.boxed())
}

/// All of it, `bytes` at a time.
pub(super) fn trickled(body: Incoming, bytes: usize, every: Duration) -> Body {
    let pieces = pieces(body).flat_map(move |piece| match piece {
        Ok(mut piece) => {
            let drops = std::iter::from_fn(move || match piece.is_empty() {
                true => None,
                false => Some(Ok(piece.split_to(bytes.clamp(1, piece.len())))),
            });
            stream::iter(drops).boxed()
        }
        Err(error) => stream::iter([Err(error)]).boxed(),
    });
    let slow = pieces.then(move |piece| async move {
        tokio::time::sleep(every).await;
        piece
    });
    streamed(slow.boxed())
}

fn pieces(body: Incoming) -> BoxStream<'static, hyper::Result<Bytes>> {
    BodyDataStream::new(body).boxed()
}

fn streamed(pieces: BoxStream<'static, hyper::Result<Bytes>>) -> Body {
    let frames = pieces.map(|piece| piece.map(Frame::data));
    StreamBody::new(frames).boxed_unsync()
}
