//! Compressing one piece at a time.

use std::fmt;
use std::io::{self, Cursor};

use flate2::{Compress, FlushCompress, Status};
use zstd::zstd_safe::{CParameter, compress_bound};

use super::{Codec, CodecError, Compression};

/// The window of deflate, as a power of two: 32 KiB, the largest there is.
const GZIP_WINDOW_BITS: u8 = 15;

/// What level 1 has other than zstd's own: it remembers more of what it saw, and for longer. Documents repeat
/// themselves at distances of megabytes; for a fifth more work this makes dumps an eighth smaller.
const FASTEST: [CParameter; 2] = [CParameter::WindowLog(21), CParameter::HashLog(17)];

/// Compresses pieces, reusing the codec's memory from one to the next.
pub struct Compressor {
    compression: Compression,
    context: Context,
}

enum Context {
    None,
    Gzip(Compress),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Compressor {
    /// Sets up the codec. A zstd context takes from 1 MiB (level 1) to about 80 MiB (level 19).
    ///
    /// # Errors
    ///
    /// [`CodecError::Level`] for a level that the codec does not have, [`CodecError::Setup`] when
    /// it cannot start.
    pub fn new(compression: Compression) -> Result<Self, CodecError> {
        compression.check()?;
        let context = match compression {
            Compression::None => Context::None,
            Compression::Gzip { level } => Context::Gzip(Compress::new_gzip(
                flate2::Compression::new(level.into()),
                GZIP_WINDOW_BITS,
            )),
            Compression::Zstd { level } => {
                let setup = |source| CodecError::Setup {
                    codec: Codec::Zstd,
                    source,
                };
                let mut context = zstd::bulk::Compressor::new(level.into()).map_err(setup)?;
                context
                    .set_parameter(CParameter::ChecksumFlag(true))
                    .map_err(setup)?;
                if level == 1 {
                    for parameter in FASTEST {
                        context.set_parameter(parameter).map_err(setup)?;
                    }
                }
                Context::Zstd(context)
            }
        };
        Ok(Self {
            compression,
            context,
        })
    }

    /// What this compressor was made for.
    #[must_use]
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Appends `body` to `out` as one gzip member, one zstd frame with its content size and
    /// checksum, or as it is.
    ///
    /// An empty body gives an empty member or frame, which is what a file without documents
    /// consists of.
    ///
    /// # Errors
    ///
    /// [`CodecError::Compress`]; `out` is as it was before.
    pub fn compress(&mut self, body: &[u8], out: &mut Vec<u8>) -> Result<(), CodecError> {
        let start = out.len();
        let done = match &mut self.context {
            Context::None => {
                out.extend_from_slice(body);
                Ok(())
            }
            Context::Gzip(context) => gzip(context, body, out),
            Context::Zstd(context) => zstd(context, body, out),
        };
        done.map_err(|source| {
            out.truncate(start);
            CodecError::Compress {
                codec: self.compression.codec(),
                bytes: body.len(),
                source,
            }
        })
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor")
            .field("compression", &self.compression)
            .finish_non_exhaustive()
    }
}

fn gzip(context: &mut Compress, body: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    context.reset();
    let mut rest = body;
    loop {
        // The codec zeroes all the room it is given, so the bound of what may come would cost as much memory as the body.
        if out.capacity() == out.len() {
            out.reserve_exact((rest.len() / 4).max(1024));
        }
        let before = context.total_in();
        let status = context.compress_vec(rest, out, FlushCompress::Finish)?;
        if status == Status::StreamEnd {
            return Ok(());
        }
        let consumed =
            usize::try_from(context.total_in().saturating_sub(before)).unwrap_or(usize::MAX);
        rest = rest.get(consumed..).unwrap_or_default();
    }
}

fn zstd(
    context: &mut zstd::bulk::Compressor<'static>,
    body: &[u8],
    out: &mut Vec<u8>,
) -> io::Result<()> {
    out.reserve(compress_bound(body.len()));
    let end = u64::try_from(out.len()).map_err(io::Error::other)?;
    let mut tail = Cursor::new(out);
    tail.set_position(end);
    context.compress_to_buffer(body, &mut tail)?;
    Ok(())
}
