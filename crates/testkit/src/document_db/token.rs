//! Resume tokens that tell nobody a time.
//!
//! A token of MongoDB begins with the time of its event. A token of this kit is that token's bytes in hexadecimal,
//! backwards, behind `01`: a text that `resumeAfter` takes, as the ones of DocumentDB are.

use bson::{RawDocument, RawDocumentBuf, Timestamp, rawdoc};

use super::refusal::Refusal;

/// What a text begins with.
const MARK: &str = "01";
/// What the data of a token of MongoDB begins with, before seconds and counter: the type of a timestamp.
const TIMESTAMP: &str = "82";

/// The token that clients see for one of the server.
pub(super) fn wrap(token: &RawDocument) -> RawDocumentBuf {
    let mut bytes = token.as_bytes().to_vec();
    bytes.reverse();
    rawdoc! { "_data": format!("{MARK}{}", hex::encode(bytes)) }
}

/// The server's token, and the time of the event that it comes after.
pub(super) fn unwrap(token: &RawDocument) -> Result<(RawDocumentBuf, Timestamp), Refusal> {
    opened(token).ok_or_else(Refusal::invalid_token)
}

fn opened(token: &RawDocument) -> Option<(RawDocumentBuf, Timestamp)> {
    let text = token.get_str("_data").ok()?.strip_prefix(MARK)?;
    let mut bytes = hex::decode(text).ok()?;
    bytes.reverse();
    let token = RawDocumentBuf::from_bytes(bytes).ok()?;
    let data = token.get_str("_data").ok()?.strip_prefix(TIMESTAMP)?;
    let number = |at: usize| u32::from_str_radix(data.get(at..at + 8)?, 16).ok();
    let time = Timestamp {
        time: number(0)?,
        increment: number(8)?,
    };
    Some((token, time))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_whole_and_its_time_is_known_to_us_alone() {
        let data = "8265A1B2C30000000512B022C0100296E5A1004";
        let token = rawdoc! { "_data": data, "_typeBits": true };
        let wrapped = wrap(&token);
        assert!(!wrapped.get_str("_data").unwrap().contains("65a1b2c3"));
        let (unwrapped, time) = unwrap(&wrapped).unwrap();
        assert_eq!(unwrapped, token);
        assert_eq!(time.time, 0x65A1_B2C3);
        assert_eq!(time.increment, 5);
    }

    #[test]
    fn what_is_no_token_of_ours_is_refused() {
        for token in [
            rawdoc! {},
            rawdoc! { "_data": "8265A1B2C300000005" },
            rawdoc! { "_data": "01zz" },
        ] {
            assert_eq!(unwrap(&token), Err(Refusal::invalid_token()));
        }
    }
}
