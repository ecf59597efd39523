//! CRC-64/XZ, the checksum of the documents of a namespace.
//!
//! The specification of the archive calls it CRC-64-ECMA, after its polynomial; the register starts
//! as all ones and is inverted at the end, as in `.xz` files.

#[cfg(test)]
mod tests;

use std::fmt;

/// The polynomial of ECMA-182 without its highest term, the lowest power in the highest bit.
const POLYNOMIAL: u64 = 0xC96C_5795_D787_0F42;

/// The polynomial `x`⁸: multiplying by it is what a byte does to a register.
const ONE_BYTE: u64 = 1 << (63 - 8);

/// The CRC-64/XZ of bytes, and how many they are.
///
/// Pieces can be looked at in any order, on any thread, and put together by
/// [`append`](Self::append), which takes microseconds however long they are.
///
/// # Examples
///
/// ```
/// use rdump_format::Crc64;
///
/// let mut whole = Crc64::of(b"12345");
/// whole.append(&Crc64::of(b"6789"));
/// assert_eq!(whole.value(), 0x995D_C9BB_DF19_39FA);
/// assert_eq!(whole.bytes(), 9);
/// ```
#[derive(Clone, Default)]
pub struct Crc64 {
    /// The checksum of what is there before `tail`.
    head: u64,
    tail: crc64fast::Digest,
    tail_bytes: u64,
    bytes: u64,
}

impl Crc64 {
    /// Starts with no bytes, whose checksum is 0.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The checksum of `bytes`.
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        let mut crc = Self::new();
        crc.update(bytes);
        crc
    }

    /// Adds `bytes` to those already seen.
    pub fn update(&mut self, bytes: &[u8]) {
        self.tail.write(bytes);
        self.tail_bytes = self.tail_bytes.saturating_add(bytes.len() as u64);
        self.bytes = self.bytes.saturating_add(bytes.len() as u64);
    }

    /// Adds the bytes that `next` has seen to those already seen.
    pub fn append(&mut self, next: &Self) {
        *self = Self {
            head: zeros_added(self.value(), next.bytes) ^ next.value(),
            tail: crc64fast::Digest::new(),
            tail_bytes: 0,
            bytes: self.bytes.saturating_add(next.bytes),
        };
    }

    /// The checksum of all bytes seen.
    #[must_use]
    pub fn value(&self) -> u64 {
        zeros_added(self.head, self.tail_bytes) ^ self.tail.sum64()
    }

    /// How many bytes were seen.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl fmt::Debug for Crc64 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Crc64({:016x} of {} bytes)", self.value(), self.bytes)
    }
}

impl PartialEq for Crc64 {
    fn eq(&self, other: &Self) -> bool {
        (self.value(), self.bytes) == (other.value(), other.bytes)
    }
}

impl Eq for Crc64 {}

/// What is left of `crc` in the checksum of longer bytes, `bytes` bytes further on.
fn zeros_added(mut crc: u64, mut bytes: u64) -> u64 {
    let mut power = ONE_BYTE;
    while crc != 0 && bytes != 0 {
        if bytes & 1 == 1 {
            crc = product(crc, power);
        }
        power = product(power, power);
        bytes >>= 1;
    }
    crc
}

/// The product of two polynomials over one bit, modulo [`POLYNOMIAL`].
fn product(mut left: u64, mut right: u64) -> u64 {
    let mut product = 0;
    while left != 0 {
        if left >> 63 == 1 {
            product ^= right;
        }
        left <<= 1;
        right = (right >> 1) ^ if right & 1 == 1 { POLYNOMIAL } else { 0 };
    }
    product
}
