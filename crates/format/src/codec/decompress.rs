//! Decompressing one piece of known length, or a whole file as a stream.

use std::io::{self, BufRead, Cursor, Read};

use flate2::bufread::MultiGzDecoder;

use super::{Codec, CodecError};

/// The largest window of a zstd frame that [`decoder`] accepts, as a power of two: 128 MiB,
/// `zstd`'s own limit.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

impl Codec {
    /// The most decompressed bytes that one stored byte can stand for.
    ///
    /// Deflate: 258 bytes in 2 bits. Zstd: a run-length block of 128 KiB in 4 bytes.
    fn highest_ratio(self) -> u64 {
        match self {
            Self::None => 1,
            Self::Gzip => 1032,
            Self::Zstd => 32 * 1024,
        }
    }
}

/// Appends the `uncompressed_bytes` bytes that `stored` holds to `out`.
///
/// All of `stored` must be used up, and give exactly that many bytes. No more than that is
/// allocated, and nothing at all when so few stored bytes cannot possibly hold so many.
///
/// # Errors
///
/// [`CodecError::Damaged`] for bytes that the codec refuses, [`CodecError::Length`] for too many or
/// too few of them, [`CodecError::OutOfMemory`]. `out` is then as it was before.
pub fn decompress(
    codec: Codec,
    stored: &[u8],
    uncompressed_bytes: u64,
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let length = |found| CodecError::Length {
        codec,
        stored_bytes: stored.len(),
        expected: uncompressed_bytes,
        found,
    };
    let stored_bytes = u64::try_from(stored.len()).unwrap_or(u64::MAX);
    if uncompressed_bytes > stored_bytes.saturating_mul(codec.highest_ratio()) {
        return Err(length("they are too few"));
    }
    let expected = usize::try_from(uncompressed_bytes).unwrap_or(usize::MAX);
    if out.try_reserve(expected).is_err() {
        return Err(CodecError::OutOfMemory {
            bytes: uncompressed_bytes,
        });
    }

    let start = out.len();
    let done = match codec {
        Codec::None => {
            out.extend_from_slice(stored);
            Ok(())
        }
        Codec::Gzip => gunzip(stored, expected, out),
        Codec::Zstd => unzstd(stored, out),
    };
    let outcome = match done {
        Err(source) => Err(CodecError::Damaged {
            codec,
            stored_bytes: stored.len(),
            source,
        }),
        Ok(()) => match out.len().saturating_sub(start).cmp(&expected) {
            std::cmp::Ordering::Less => Err(length("there are fewer")),
            std::cmp::Ordering::Greater => Err(length("there are more")),
            std::cmp::Ordering::Equal => Ok(()),
        },
    };
    if outcome.is_err() {
        out.truncate(start);
    }
    outcome
}

/// Appends at most `expected` bytes, and one more when there are more.
fn gunzip(stored: &[u8], expected: usize, out: &mut Vec<u8>) -> io::Result<()> {
    let mut decoder = MultiGzDecoder::new(stored);
    decoder
        .by_ref()
        .take(u64::try_from(expected).unwrap_or(u64::MAX))
        .read_to_end(out)?;
    // Reading on also compares the checksum of the last member.
    let mut excess = [0];
    let excess_bytes = decoder.read(&mut excess)?;
    out.extend(excess.iter().take(excess_bytes));
    Ok(())
}

/// Appends what the frames hold, which must fit the capacity that `out` has left.
fn unzstd(stored: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
    if stored.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let end = u64::try_from(out.len()).map_err(io::Error::other)?;
    let mut tail = Cursor::new(out);
    tail.set_position(end);
    zstd::bulk::Decompressor::new()?.decompress_to_buffer(stored, &mut tail)?;
    Ok(())
}

/// Decompresses a stream of any number of gzip members or zstd frames as it is read.
///
/// A stream that ends inside a member or frame, or has anything else after one, gives an
/// [`io::Error`] where it is read; so does a compressed stream of no bytes at all, since an empty
/// file is one empty member or frame. Memory: the codec's window, at most 128 MiB for zstd frames
/// made with `--long`, 8 MiB and below for ours.
///
/// # Errors
///
/// [`CodecError::Setup`] when the codec cannot start.
pub fn decoder<'a, R: BufRead + Send + 'a>(
    codec: Codec,
    input: R,
) -> Result<Box<dyn Read + Send + 'a>, CodecError> {
    match codec {
        Codec::None => Ok(Box::new(input)),
        Codec::Gzip => Ok(Box::new(MultiGzDecoder::new(input))),
        Codec::Zstd => {
            let setup = |source| CodecError::Setup { codec, source };
            let mut decoder = zstd::stream::read::Decoder::with_buffer(input).map_err(setup)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(setup)?;
            Ok(Box::new(decoder))
        }
    }
}

/// How long the zstd frame is that `bytes` begin with; `None` if they do not begin with a whole one.
#[must_use]
pub fn first_zstd_frame(bytes: &[u8]) -> Option<usize> {
    zstd::zstd_safe::find_frame_compressed_size(bytes).ok()
}
