//! Random BSON for property tests: every type, deprecated ones too, names that are empty or there
//! twice.

use bson::Decimal128;
use proptest::collection::vec;
use proptest::prelude::*;

/// The type and bytes of a value.
type Raw = (u8, Vec<u8>);

/// Any document whose values Extended JSON can hold: UTF-8, one NaN, canonical decimals.
pub(crate) fn document() -> impl Strategy<Value = Vec<u8>> {
    vec((key(), value()), 0..8).prop_map(encode)
}

/// Documents one after another.
pub(crate) fn documents(most: usize) -> impl Strategy<Value = Vec<Vec<u8>>> {
    vec(document(), 0..most)
}

/// A whole document with anything inside, for what looks at its frame alone. Quicker to make.
pub(crate) fn frame() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..40).prop_map(|inside| {
        let length = i32::try_from(inside.len() + 5).unwrap().to_le_bytes();
        [length.as_slice(), &inside, &[0]].concat()
    })
}

/// Joins elements to a document.
pub(crate) fn encode(elements: Vec<(String, Raw)>) -> Vec<u8> {
    let mut document = vec![0; 4];
    for (key, (kind, value)) in elements {
        document.push(kind);
        document.extend(cstring(&key));
        document.extend(value);
    }
    document.push(0);
    let length = length(&document);
    document.splice(..4, length);
    document
}

fn key() -> impl Strategy<Value = String> {
    prop_oneof![
        Just(String::new()),
        Just("a".to_owned()),
        "[a-z.$]{1,3}",
        "[^\\x00]{0,6}",
    ]
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\PC{0,12}",
        any::<String>(),
        Just("\u{2028}\u{2029}\0\u{8}\u{c}\n\r\t\"\\/\u{7f}<&>😀".to_owned())
    ]
}

fn value() -> impl Strategy<Value = Raw> {
    leaf().prop_recursive(6, 48, 5, |inner| {
        prop_oneof![
            vec((key(), inner.clone()), 0..5).prop_map(|elements| (0x03, encode(elements))),
            vec(inner.clone(), 0..5).prop_map(|values| {
                let numbered = values.into_iter().enumerate();
                (
                    0x04,
                    encode(numbered.map(|(n, value)| (n.to_string(), value)).collect()),
                )
            }),
            (text(), vec((key(), inner), 0..4)).prop_map(|(code, scope)| {
                let parts = [string(&code), encode(scope)].concat();
                (
                    0x0F,
                    [
                        i32::try_from(parts.len() + 4)
                            .unwrap()
                            .to_le_bytes()
                            .to_vec(),
                        parts,
                    ]
                    .concat(),
                )
            }),
        ]
    })
}

fn leaf() -> impl Strategy<Value = Raw> {
    let double = prop_oneof![
        any::<f64>(),
        any::<i32>().prop_map(f64::from),
        prop::sample::select(vec![
            0.0,
            -0.0,
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            1e-5,
            1e21
        ]),
    ];
    let numbers = prop_oneof![
        double.prop_map(|double| (0x01, double.to_le_bytes().to_vec())),
        any::<i32>().prop_map(|int| (0x10, int.to_le_bytes().to_vec())),
        any::<u64>().prop_map(|timestamp| (0x11, timestamp.to_le_bytes().to_vec())),
        any::<i64>().prop_map(|int| (0x12, int.to_le_bytes().to_vec())),
        any::<i64>().prop_map(|millis| (0x09, millis.to_le_bytes().to_vec())),
        decimal().prop_map(|decimal| (0x13, decimal.bytes().to_vec())),
    ];
    let texts = prop_oneof![
        text().prop_map(|text| (0x02, string(&text))),
        text().prop_map(|text| (0x0D, string(&text))),
        text().prop_map(|text| (0x0E, string(&text))),
        (key(), "[a-z]{0,4}")
            .prop_map(|(pattern, options)| (0x0B, [cstring(&pattern), cstring(&options)].concat())),
        (text(), any::<[u8; 12]>())
            .prop_map(|(ns, id)| (0x0C, [string(&ns), id.to_vec()].concat())),
    ];
    let others = prop_oneof![
        any::<[u8; 12]>().prop_map(|id| (0x07, id.to_vec())),
        any::<bool>().prop_map(|flag| (0x08, vec![u8::from(flag)])),
        prop::sample::select(vec![0x06, 0x0A, 0x7F, 0xFF]).prop_map(|kind| (kind, vec![])),
        (any::<u8>(), vec(any::<u8>(), 0..20))
            .prop_map(|(subtype, bytes)| (0x05, binary(subtype, &bytes))),
    ];
    prop_oneof![numbers, texts, others]
}

fn decimal() -> impl Strategy<Value = Decimal128> {
    let finite = (
        any::<bool>(),
        0..10_u128.pow(34),
        0..=34_u32,
        -6176..=6111_i32,
    );
    let finite = finite.prop_map(|(negative, coefficient, shift, exponent)| {
        let coefficient = coefficient / 10_u128.pow(shift);
        format!(
            "{}{coefficient}E{exponent}",
            if negative { "-" } else { "" }
        )
    });
    let special =
        prop::sample::select(vec!["NaN", "Infinity", "-Infinity"]).prop_map(str::to_owned);
    prop_oneof![9 => finite, 1 => special].prop_map(|text| text.parse().unwrap())
}

fn binary(subtype: u8, bytes: &[u8]) -> Vec<u8> {
    let field = |length: usize| i32::try_from(length).unwrap().to_le_bytes().to_vec();
    if subtype == 2 {
        [
            field(bytes.len() + 4),
            vec![subtype],
            field(bytes.len()),
            bytes.to_vec(),
        ]
        .concat()
    } else {
        [field(bytes.len()), vec![subtype], bytes.to_vec()].concat()
    }
}

fn string(text: &str) -> Vec<u8> {
    let bytes = [text.as_bytes(), &[0]].concat();
    [length(&bytes).to_vec(), bytes].concat()
}

fn cstring(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn length(bytes: &[u8]) -> [u8; 4] {
    i32::try_from(bytes.len()).unwrap().to_le_bytes()
}
