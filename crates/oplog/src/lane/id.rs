//! Hashes an `_id` so that ids that are equal for the server have the same hash.
//!
//! Servers [compare](https://www.mongodb.com/docs/manual/reference/bson-type-comparison-order/) numbers of all
//! types by value, and text of the deprecated type Symbol like any other. The rest is equal if its bytes
//! are. That ids which differ may have the same hash costs nothing but balance.

use std::hash::{Hash, Hasher};

use rdump_format::element::{Element, Elements, Nested, Value};

/// How deep the documents in an `_id` are looked into. Deeper ones are taken for equal.
const MAX_DEPTH: usize = 8;

pub(super) fn hash(id: &Element<'_>, hasher: &mut impl Hasher) {
    value(id, MAX_DEPTH, hasher);
}

fn value(element: &Element<'_>, levels: usize, hasher: &mut impl Hasher) {
    match element.value {
        Value::Int32(number) => approximate(number.into(), hasher),
        #[expect(
            clippy::cast_precision_loss,
            reason = "numbers that are equal stay so, and that is enough"
        )]
        Value::Int64(number) => approximate(number as f64, hasher),
        Value::Double(number) => approximate(number, hasher),
        Value::Decimal128(bytes) => approximate(decimal(*bytes), hasher),
        Value::String(text) | Value::Symbol(text) => (2, text).hash(hasher),
        Value::Document(nested) => (3, nested_in(nested, levels, hasher)).hash(hasher),
        Value::Array(nested) => (4, nested_in(nested, levels, hasher)).hash(hasher),
        _ => element.raw.hash(hasher),
    }
}

/// Hashes what is in a document or array, and gives how many elements that is.
fn nested_in(nested: Nested<'_>, levels: usize, hasher: &mut impl Hasher) -> usize {
    let Some(levels) = levels.checked_sub(1) else {
        return 0;
    };
    let elements = Elements::of(nested.bytes).into_iter().flatten().flatten();
    elements
        .map(|element| {
            element.name.hash(hasher);
            value(&element, levels, hasher);
        })
        .count()
}

/// Hashes a number by what it is as a double: what is equal before that conversion is so after it.
fn approximate(number: f64, hasher: &mut impl Hasher) {
    let bits = if number.is_nan() {
        f64::NAN.to_bits()
    } else if number == 0.0 {
        // Of either sign.
        0
    } else {
        number.to_bits()
    };
    (1, bits).hash(hasher);
}

/// The nearest double of a decimal in the [binary encoding](https://github.com/mongodb/specifications/blob/master/source/bson-decimal128/decimal128.md).
fn decimal(bytes: [u8; 16]) -> f64 {
    const EXPONENT_BIAS: i32 = 6176;
    const MAX_COEFFICIENT: u128 = 10_u128.pow(34).saturating_sub(1);
    let bits = u128::from_le_bytes(bytes);
    let sign = if bits >> 127 == 1 { "-" } else { "" };
    let magnitude = match (bits >> 122) & 0x1F {
        0x1F => return f64::NAN,
        0x1E => "inf".to_owned(),
        // Coefficients too long to be one are zero, in this form always.
        combination if combination >> 3 == 3 => "0".to_owned(),
        _ => {
            let exponent = i32::try_from((bits >> 113) & 0x3FFF).unwrap_or_default();
            let coefficient = bits & ((1 << 113) - 1);
            let coefficient = if coefficient > MAX_COEFFICIENT {
                0
            } else {
                coefficient
            };
            format!("{coefficient}e{}", exponent.saturating_sub(EXPONENT_BIAS))
        }
    };
    format!("{sign}{magnitude}").parse().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use std::hash::DefaultHasher;

    use bson::spec::BinarySubtype;
    use bson::{Binary, Decimal128, RawDocumentBuf, rawdoc};
    use proptest::prelude::*;

    use super::*;

    fn hash_of(document: &RawDocumentBuf) -> u64 {
        let mut hasher = DefaultHasher::new();
        let element = Elements::of(document.as_bytes()).unwrap().next();
        hash(&element.unwrap().unwrap(), &mut hasher);
        hasher.finish()
    }

    fn decimal_of(text: &str) -> Decimal128 {
        text.parse().unwrap()
    }

    #[test]
    fn numbers_that_are_equal_are_one_id_whatever_their_types() {
        let ones = [
            rawdoc! { "_id": 1 },
            rawdoc! { "_id": 1_i64 },
            rawdoc! { "_id": 1.0 },
            rawdoc! { "_id": decimal_of("1") },
            rawdoc! { "_id": decimal_of("1.000") },
            rawdoc! { "_id": decimal_of("0.1E1") },
        ];
        for one in &ones {
            assert_eq!(hash_of(one), hash_of(&ones[0]), "{one:?}");
        }
        for other in [
            rawdoc! { "_id": 2 },
            rawdoc! { "_id": -1 },
            rawdoc! { "_id": true },
            rawdoc! { "_id": "1" },
            rawdoc! { "_id": decimal_of("1.001") },
        ] {
            assert_ne!(hash_of(&other), hash_of(&ones[0]), "{other:?}");
        }
    }

    #[test]
    fn zeroes_infinities_and_nans_are_one_id_each() {
        for equal in [
            [rawdoc! { "_id": 0 }, rawdoc! { "_id": -0.0 }],
            [
                rawdoc! { "_id": 0.0 },
                rawdoc! { "_id": decimal_of("-0E+5") },
            ],
            [rawdoc! { "_id": f64::NAN }, rawdoc! { "_id": -f64::NAN }],
            [
                rawdoc! { "_id": f64::NAN },
                rawdoc! { "_id": decimal_of("NaN") },
            ],
            [
                rawdoc! { "_id": f64::INFINITY },
                rawdoc! { "_id": decimal_of("Infinity") },
            ],
            [
                rawdoc! { "_id": f64::NEG_INFINITY },
                rawdoc! { "_id": decimal_of("-Infinity") },
            ],
        ] {
            assert_eq!(hash_of(&equal[0]), hash_of(&equal[1]), "{equal:?}");
        }
    }

    #[test]
    fn decimals_with_a_coefficient_that_is_too_long_are_zero() {
        let zero = hash_of(&rawdoc! { "_id": 0 });
        let too_long = (6176_u128 << 113) | 10_u128.pow(34);
        let other_form = (3 << 125) | 7_u128;
        for bits in [too_long, other_form] {
            let id = Decimal128::from_bytes(bits.to_le_bytes());
            assert_eq!(hash_of(&rawdoc! { "_id": id }), zero);
        }
    }

    #[test]
    fn documents_are_one_id_when_their_fields_are_in_order() {
        let id = hash_of(&rawdoc! { "_id": { "a": 1, "b": { "c": [2.0, "x"] } } });
        let same = rawdoc! { "_id": { "a": 1_i64, "b": { "c": [2, "x"] } } };
        assert_eq!(hash_of(&same), id);
        for other in [
            rawdoc! { "_id": { "b": { "c": [2, "x"] }, "a": 1 } },
            rawdoc! { "_id": { "A": 1, "b": { "c": [2, "x"] } } },
            rawdoc! { "_id": { "a": 1, "b": { "c": [2, "x", 3] } } },
        ] {
            assert_ne!(hash_of(&other), id, "{other:?}");
        }
    }

    #[test]
    fn symbols_are_text() {
        let text = rawdoc! { "_id": "a" };
        let symbol = text.as_bytes().iter().enumerate();
        let symbol = symbol.map(|(at, byte)| if at == 4 { 0x0E } else { *byte });
        let symbol = RawDocumentBuf::from_bytes(symbol.collect()).unwrap();
        assert_eq!(hash_of(&symbol), hash_of(&text));
    }

    #[test]
    fn binary_ids_of_another_subtype_are_others() {
        let binary = |subtype| {
            let bytes = vec![7; 16];
            hash_of(&rawdoc! { "_id": Binary { subtype, bytes } })
        };
        assert_ne!(binary(BinarySubtype::Uuid), binary(BinarySubtype::Generic));
    }

    #[test]
    fn ids_nested_without_end_are_hashed_nevertheless() {
        let mut nested = rawdoc! { "a": 1 };
        for _ in 0..500 {
            nested = rawdoc! { "a": nested };
        }
        hash_of(&nested);
    }

    proptest! {
        #[test]
        fn a_number_has_one_hash_as_every_type_that_holds_it(number in any::<i32>()) {
            let ids = [
                rawdoc! { "_id": number },
                rawdoc! { "_id": i64::from(number) },
                rawdoc! { "_id": f64::from(number) },
                rawdoc! { "_id": decimal_of(&number.to_string()) },
                rawdoc! { "_id": decimal_of(&format!("{number}.0")) },
            ];
            for id in &ids {
                prop_assert_eq!(hash_of(id), hash_of(&ids[0]));
            }
        }

        #[test]
        fn large_integers_have_one_hash_as_integer_and_as_decimal(number in any::<i64>()) {
            let decimal = rawdoc! { "_id": decimal_of(&number.to_string()) };
            prop_assert_eq!(hash_of(&rawdoc! { "_id": number }), hash_of(&decimal));
        }
    }
}
