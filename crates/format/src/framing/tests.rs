#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "a panic in a test is a failed test"
)]

use std::io;

use proptest::prelude::*;

use super::*;
use crate::arbitrary;

/// Hands out at most `step` bytes a time, and an interruption before each.
struct Trickle<'a> {
    rest: &'a [u8],
    step: usize,
    interrupt: bool,
}

impl Read for Trickle<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.interrupt = !self.interrupt;
        if self.interrupt {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let length = self.step.min(buffer.len());
        (&mut self.rest).take(length as u64).read(buffer)
    }
}

fn read_all(input: impl Read) -> (Vec<Vec<u8>>, Result<u64, FrameError>) {
    let mut reader = DocumentReader::new(input);
    let mut read = Vec::new();
    loop {
        let mut document = b"before".to_vec();
        match reader.read_into(&mut document) {
            Ok(Some(length)) => {
                assert_eq!(length + 6, document.len());
                read.push(document.split_off(6));
            }
            outcome => {
                assert_eq!(document, b"before");
                return (read, outcome.map(|_| reader.offset()));
            }
        }
    }
}

proptest! {
    #[test]
    fn any_way_of_reading_gives_the_same_documents(
        written in prop::collection::vec(arbitrary::frame(), 0..6),
        step in 1..20_usize,
    ) {
        let bytes = written.concat();
        let (read, end) = read_all(Trickle { rest: &bytes, step, interrupt: false });
        prop_assert_eq!(end.unwrap(), bytes.len() as u64);
        prop_assert_eq!(&read, &written);
        let sliced = documents(&bytes).map(|document| document.unwrap().to_vec()).collect::<Vec<_>>();
        prop_assert_eq!(sliced, written);
    }

    #[test]
    fn a_stream_cut_inside_a_document_is_an_error(
        written in prop::collection::vec(arbitrary::frame(), 0..6),
        at in any::<prop::sample::Index>(),
    ) {
        let bytes = written.concat();
        prop_assume!(!bytes.is_empty());
        let cut = &bytes[..at.index(bytes.len())];
        let boundary = written.iter().scan(0, |end, document| { *end += document.len(); Some(*end) }).any(|end| end == cut.len());
        let clean = boundary || cut.is_empty();
        prop_assert_eq!(read_all(cut).1.is_ok(), clean);
        prop_assert_eq!(documents(cut).all(|document| document.is_ok()), clean);
    }

    #[test]
    fn a_document_is_whole_or_refused(document in arbitrary::frame(), extra in 0..3_usize) {
        prop_assert!(check_document(&document).is_ok());
        prop_assert!(check_document(&document[..document.len() - 1]).is_err());
        let longer = [document.as_slice(), &vec![0; extra]].concat();
        prop_assert_eq!(check_document(&longer).is_ok(), extra == 0);
    }

    #[test]
    fn both_readers_judge_any_bytes_alike(bytes in prop::collection::vec(0..16_u8, 0..64)) {
        let (read, end) = read_all(bytes.as_slice());
        let mut sliced = documents(&bytes);
        for document in read {
            prop_assert_eq!(sliced.next().unwrap().unwrap(), document.as_slice());
        }
        match end {
            Ok(_) => prop_assert!(sliced.next().is_none()),
            Err(error) => prop_assert_eq!(sliced.next().unwrap().unwrap_err().to_string(), error.to_string()),
        }
        prop_assert!(sliced.next().is_none());
    }
}

#[test]
fn lengths_from_5_to_the_limit_are_read() {
    let longest = {
        let mut document = vec![0; MAX_DOCUMENT_BYTES];
        document[..4].copy_from_slice(&i32::try_from(MAX_DOCUMENT_BYTES).unwrap().to_le_bytes());
        document
    };
    check_document(&longest).unwrap();
    assert_eq!(
        read_all(longest.as_slice()).1.unwrap(),
        MAX_DOCUMENT_BYTES as u64
    );
    for length in [
        i32::MIN,
        -1,
        0,
        4,
        i32::try_from(MAX_DOCUMENT_BYTES).unwrap() + 1,
        i32::MAX,
    ] {
        let bytes = [length.to_le_bytes().as_slice(), &[0; 8]].concat();
        assert!(
            matches!(check_document(&bytes), Err(FrameError::Length { offset: 0, length: found }) if found == length)
        );
        assert!(matches!(
            read_all(bytes.as_slice()).1,
            Err(FrameError::Length { .. })
        ));
    }
}

#[test]
fn a_reader_that_fails_is_named_with_the_place() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("unplugged"))
        }
    }
    let empty = [5, 0, 0, 0, 0];
    for (given, offset) in [(&empty[..], 5), (&empty[..4], 0), (&empty[..2], 0)] {
        let (_, end) = read_all(given.chain(Broken));
        assert!(
            matches!(end, Err(FrameError::Read { offset: found, .. }) if found == offset),
            "{end:?}"
        );
    }
}
