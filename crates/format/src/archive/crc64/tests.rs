use proptest::prelude::*;

use super::*;

/// Bit by bit, from the definition.
fn slow(bytes: &[u8]) -> u64 {
    let mut register = u64::MAX;
    for byte in bytes {
        register ^= u64::from(*byte);
        for _ in 0..8 {
            let carry = register & 1;
            register >>= 1;
            if carry == 1 {
                register ^= POLYNOMIAL;
            }
        }
    }
    !register
}

#[test]
fn the_checksum_is_that_of_the_catalogues() {
    assert_eq!(Crc64::of(b"123456789").value(), 0x995D_C9BB_DF19_39FA);
    assert_eq!(Crc64::new().value(), 0);
    assert_eq!(
        format!("{:?}", Crc64::of(b"123456789")),
        "Crc64(995dc9bbdf1939fa of 9 bytes)"
    );
}

#[test]
fn lengths_beyond_memory_can_be_put_together() {
    // Zeros are doubled 40 times over, in one order and in the other.
    let mut doubled = Crc64::of(&[0]);
    let mut added = Crc64::new();
    for _ in 0..40 {
        added.append(&doubled);
        doubled.append(&doubled.clone());
    }
    added.append(&Crc64::of(&[0]));
    assert_eq!(added, doubled);
    assert_eq!(added.bytes(), 1 << 40);
}

proptest! {
    #[test]
    fn the_checksum_is_that_of_the_definition(bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert_eq!(Crc64::of(&bytes).value(), slow(&bytes));
    }

    #[test]
    fn pieces_have_the_checksum_of_the_whole(
        pieces in prop::collection::vec(
            (prop::collection::vec(any::<u8>(), 0..300), any::<bool>()),
            0..6,
        ),
    ) {
        let mut crc = Crc64::new();
        for (piece, append) in &pieces {
            if *append {
                crc.append(&Crc64::of(piece));
            } else {
                crc.update(piece);
            }
        }
        let whole = pieces.iter().flat_map(|(piece, _)| piece.iter().copied()).collect::<Vec<_>>();
        prop_assert_eq!(crc, Crc64::of(&whole));
    }
}
