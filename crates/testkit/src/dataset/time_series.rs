//! Time-series collections.

use bson::{DateTime, RawDocumentBuf, rawdoc};
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::Dataset;
use crate::{raw::RawBuilder, server_version::Feature};

const DB: &str = "series";
/// 2024-01-01T00:00:00Z, in milliseconds.
const START: i64 = 1_704_067_200_000;

/// Time-series of every granularity, with many buckets, kinds of meta values, and indexes; and a view on one.
///
/// The ids of buckets differ from seeding to seeding; the measurements do not.
pub fn time_series() -> Dataset {
    Dataset::new("time-series", &[DB], |seeder| async move {
        let readings = rawdoc! { "timeseries": { "timeField": "at", "metaField": "sensor", "granularity": "seconds" } };
        seeder.create(DB, "readings", &readings).await;
        seeder
            .insert(DB, "readings", measurements(3_000, 1_000))
            .await;
        let mut indexes = vec![
            rawdoc! { "key": { "sensor": 1, "at": -1 }, "name": "sensor_1_at_-1" },
            rawdoc! { "key": { "sensor.room": 1 }, "name": "room", "hidden": true },
        ];
        if seeder.has(Feature::MeasurementIndexes) {
            indexes.push(rawdoc! { "key": { "place": "2dsphere" }, "name": "place" });
        }
        seeder.index(DB, "readings", indexes).await;

        let bare = rawdoc! { "timeseries": { "timeField": "at", "granularity": "minutes" } };
        seeder.create(DB, "without meta", &bare).await;
        seeder
            .insert(DB, "without meta", measurements(500, 60_000))
            .await;

        let expiring = rawdoc! {
            "timeseries": { "timeField": "at", "metaField": "sensor", "granularity": "hours" },
            "expireAfterSeconds": 1_000_000_000_i64,
        };
        seeder.create(DB, "expiring", &expiring).await;
        seeder
            .insert(DB, "expiring", measurements(500, 3_600_000))
            .await;

        // Ids of buckets hold 32 bits of seconds; these are outside.
        let far = rawdoc! { "timeseries": { "timeField": "at", "metaField": "m" } };
        seeder.create(DB, "far", &far).await;
        let years = [
            -3_000_000_000_000,
            -1,
            0,
            4_294_967_296_000,
            10_000_000_000_000,
        ];
        let far = years.into_iter().zip(0..).map(|(at, id)| {
            rawdoc! { "_id": id, "at": DateTime::from_millis(at), "m": "x", "value": id }
        });
        seeder.insert(DB, "far", far).await;

        seeder.create(DB, "empty", &bare).await;
        let view =
            rawdoc! { "viewOn": "readings", "pipeline": [{ "$match": { "sensor": "plain" } }] };
        seeder.create(DB, "view", &view).await;
    })
    .needs(Feature::TimeSeries)
}

/// Measurements `step` milliseconds apart, some late, with values of several types.
fn measurements(number: i32, step: i64) -> Vec<RawDocumentBuf> {
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let mut all = Vec::new();
    for id in 0..number {
        let late = if id % 97 == 0 { 40 } else { 0 };
        let at = START + i64::from(id - late) * step;
        let measurement = RawBuilder::new().int32("_id", id).date("at", at);
        let measurement = match id % 6 {
            0 => measurement.string("sensor", "plain"),
            1 => measurement.document("sensor", &rawdoc! { "room": 1, "shelf": "a" }),
            // The same fields in another order are the same meta value to the server.
            2 => measurement.document("sensor", &rawdoc! { "shelf": "b", "room": 2_i64 }),
            3 => measurement.element(0x0A, "sensor", &[]),
            4 => measurement.int32("sensor", id % 18),
            _ => measurement,
        };
        let measurement = match id % 50 {
            0 => measurement.string("value", "broken"),
            1 => measurement.element(0x0A, "value", &[]),
            2 => measurement.int64("value", i64::from(id)),
            3 => measurement,
            _ => measurement.double("value", rng.random_range(-20.0..40.0)),
        };
        let place = rawdoc! { "type": "Point", "coordinates": [f64::from(id % 90), 50.5] };
        all.push(measurement.document("place", &place).build());
    }
    all
}
