//! What the store checks parts and objects with.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use aws_sdk_s3::types::ChecksumAlgorithm;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use crc_fast::CrcAlgorithm;
use sha2::{Digest as _, Sha256};

use super::S3Checksum;
use crate::{Result, StorageError};

/// A way to compute a checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    Sha256,
    Crc32C,
}

/// Which checksums are sent to a store. Clones know what it has refused.
#[derive(Clone, Debug)]
pub(super) struct Checksums {
    wanted: S3Checksum,
    are_refused: Arc<AtomicBool>,
}

/// The checksum of some bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Checksum {
    algorithm: Algorithm,
    raw: Bytes,
}

impl Checksums {
    pub(super) fn new(wanted: S3Checksum) -> Self {
        Self {
            wanted,
            are_refused: Arc::default(),
        }
    }

    /// What to send, if anything.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        match self.wanted {
            S3Checksum::Auto if self.are_refused.load(Ordering::Relaxed) => None,
            S3Checksum::Auto | S3Checksum::Crc32C => Some(Algorithm::Crc32C),
            S3Checksum::Sha256 => Some(Algorithm::Sha256),
            S3Checksum::WhenRequired | S3Checksum::None => None,
        }
    }

    /// Whether a request with a checksum may have failed because of that, and is to be made without.
    pub(super) fn may_be_refused(&self, error: &StorageError) -> bool {
        self.wanted == S3Checksum::Auto && matches!(error, StorageError::Refused { .. })
    }

    /// What came of a request that was made again without a checksum: if it went well, no more are sent; if not, they were not
    /// the reason.
    pub(super) fn were_refused<T>(&self, again: Result<T>, before: Result<T>) -> Result<T> {
        match again {
            Ok(done) => {
                self.are_refused.store(true, Ordering::Relaxed);
                Ok(done)
            }
            Err(_) => before,
        }
    }

    /// Whether not even those are sent that the protocol demands.
    pub(super) fn are_never_sent(&self) -> bool {
        self.wanted == S3Checksum::None
    }
}

impl Algorithm {
    /// As the protocol calls it.
    pub(super) fn name(self) -> ChecksumAlgorithm {
        match self {
            Self::Sha256 => ChecksumAlgorithm::Sha256,
            Self::Crc32C => ChecksumAlgorithm::Crc32C,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Crc32C => "crc32c",
        }
    }

    /// How many a checksum has.
    fn bytes(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Crc32C => 4,
        }
    }

    fn raw(self, bytes: &[u8]) -> Bytes {
        match self {
            Self::Sha256 => Bytes::copy_from_slice(&Sha256::digest(bytes)),
            Self::Crc32C => {
                let sum = crc_fast::checksum(CrcAlgorithm::Crc32Iscsi, bytes);
                // Of 64 bits, it uses the lower half.
                Bytes::copy_from_slice(&sum.to_be_bytes()[4..])
            }
        }
    }

    /// Of bytes, by a thread that may be busy for long.
    pub(super) async fn of(self, bytes: &Bytes) -> Option<Checksum> {
        let bytes = bytes.clone();
        let sum = tokio::task::spawn_blocking(move || Checksum {
            algorithm: self,
            raw: self.raw(&bytes),
        });
        sum.await.ok()
    }
}

impl Checksum {
    /// Of an object in parts, from theirs in order: as stores compute it.
    pub(super) fn of_parts<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Option<Self> {
        let mut parts = parts.into_iter().peekable();
        let algorithm = parts.peek()?.algorithm;
        let raw: Vec<u8> = parts.flat_map(|part| part.raw.clone()).collect();
        let raw = algorithm.raw(&raw);
        Some(Self { algorithm, raw })
    }

    /// As [`told`](Self::told) has it, of an object.
    pub(super) fn parse(text: &str) -> Option<(Self, Option<usize>)> {
        let (name, value) = text.split_once(':')?;
        let algorithm = [Algorithm::Sha256, Algorithm::Crc32C];
        let algorithm = algorithm.into_iter().find(|it| it.text() == name)?;
        let (value, parts) = match value.split_once('-') {
            Some((value, parts)) => (value, Some(parts.parse().ok()?)),
            None => (value, None),
        };
        let raw = BASE64_STANDARD.decode(value).ok()?;
        let is_whole = raw.len() == algorithm.bytes();
        let raw = raw.into();
        is_whole.then_some((Self { algorithm, raw }, parts))
    }

    /// What a store says of an object, or of a part of one, with the name of the algorithm before it.
    pub(super) fn told(sha256: Option<&str>, crc32c: Option<&str>) -> Option<String> {
        let told = |algorithm: Algorithm, value: &str| format!("{}:{value}", algorithm.text());
        let sha256 = sha256.map(|value| told(Algorithm::Sha256, value));
        sha256.or_else(|| crc32c.map(|value| told(Algorithm::Crc32C, value)))
    }

    pub(super) fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub(super) fn text(&self) -> String {
        BASE64_STANDARD.encode(&self.raw)
    }

    /// The text, if it is a SHA-256.
    pub(super) fn sha256(&self) -> Option<String> {
        (self.algorithm == Algorithm::Sha256).then(|| self.text())
    }

    /// The text, if it is a CRC32C.
    pub(super) fn crc32c(&self) -> Option<String> {
        (self.algorithm == Algorithm::Crc32C).then(|| self.text())
    }

    /// Whether what a store says of an object in parts, if it says anything of this kind, is this. Some give that of the
    /// whole object instead, which has no number of parts behind it.
    pub(super) fn agrees(&self, sha256: Option<&str>, crc32c: Option<&str>) -> bool {
        let told = match self.algorithm {
            Algorithm::Sha256 => sha256,
            Algorithm::Crc32C => crc32c,
        };
        match told.and_then(|told| told.split_once('-')) {
            Some((told, _parts)) => told == self.text(),
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(algorithm: Algorithm, bytes: &[u8]) -> Checksum {
        let raw = algorithm.raw(bytes);
        Checksum { algorithm, raw }
    }

    #[test]
    fn checksums_are_those_that_others_compute() {
        // RFC 3720, B.4: 32 bytes of zeroes; and the check value of the catalogue of CRCs.
        let zeroes = of(Algorithm::Crc32C, &[0; 32]);
        assert_eq!(zeroes.raw[..], 0x8a91_36aa_u32.to_be_bytes());
        let digits = of(Algorithm::Crc32C, b"123456789");
        assert_eq!(digits.crc32c().as_deref(), Some("4waSgw=="));
        assert_eq!(digits.sha256(), None);
        let empty = of(Algorithm::Sha256, b"");
        let expected = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        assert_eq!(empty.sha256().as_deref(), Some(expected));
    }

    #[test]
    fn that_of_an_object_is_made_of_those_of_its_parts() {
        let parts = [of(Algorithm::Crc32C, b"a"), of(Algorithm::Crc32C, b"b")];
        let whole = Checksum::of_parts(&parts).unwrap();
        let both = [&parts[0].raw[..], &parts[1].raw[..]].concat();
        assert_eq!(whole, of(Algorithm::Crc32C, &both));
        let told = format!("{}-2", whole.text());
        assert!(whole.agrees(None, Some(&told)));
        assert!(whole.agrees(None, None) && whole.agrees(None, Some("AAAAAA==")));
        assert!(!whole.agrees(None, Some("AAAAAA==-2")));
        assert_eq!(Checksum::of_parts([]), None);
    }

    #[test]
    fn what_a_store_says_is_read_and_what_is_no_checksum_is_not() {
        let sum = of(Algorithm::Crc32C, b"123456789");
        let told = |text: &str| Checksum::told(None, Some(text)).unwrap();
        assert_eq!(
            Checksum::parse(&told("4waSgw==")),
            Some((sum.clone(), None))
        );
        assert_eq!(Checksum::parse(&told("4waSgw==-3")), Some((sum, Some(3))));
        let sum = of(Algorithm::Sha256, b"").text();
        let both = Checksum::told(Some(&sum), Some("4waSgw==")).unwrap();
        let (parsed, _) = Checksum::parse(&both).unwrap();
        assert_eq!(parsed.algorithm(), Algorithm::Sha256);
        for wrong in ["", "4waS", "4waSgw==-", "4waSgw==-x", "?"] {
            assert_eq!(Checksum::parse(&told(wrong)), None, "{wrong}");
        }
        assert_eq!(Checksum::parse("crc64nvme:AAAAAAAAAAA="), None);
        assert_eq!(Checksum::told(None, None), None);
    }

    #[test]
    fn only_auto_gives_up_and_only_if_that_helps() {
        let refused = || StorageError::Refused {
            action: "s3:PutObject",
            path: "x".to_owned(),
            source: "NotImplemented".into(),
        };
        let auto = Checksums::new(S3Checksum::Auto);
        let changed = StorageError::Changed {
            path: "x".to_owned(),
        };
        assert!(!auto.may_be_refused(&changed) && auto.may_be_refused(&refused()));
        assert!(
            auto.were_refused::<()>(Err(changed), Err(refused()))
                .is_err()
        );
        assert!(auto.algorithm().is_some());
        assert!(auto.clone().were_refused(Ok(()), Err(refused())).is_ok());
        assert!(auto.algorithm().is_none());
        assert!(!Checksums::new(S3Checksum::Sha256).may_be_refused(&refused()));
    }
}
