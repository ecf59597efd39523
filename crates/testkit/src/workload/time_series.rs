//! Inserts measurements of several series into a time-series.

use std::sync::Arc;

use bson::{DateTime, Document, doc};
use rand::RngExt as _;

use super::{
    Change, Write,
    documents::insert,
    pen::{Fate, Pen, Timing},
};

/// The first version that has time-series.
const SINCE: (u32, u32) = (5, 0);
/// 2024-01-01T00:00:00Z, in milliseconds.
const START: i64 = 1_704_067_200_000;
/// Values of the meta field.
const SERIES: i32 = 6;

/// Writes until the workload is stopped.
pub(super) async fn run(mut pen: Pen) -> Vec<Write> {
    let mut current = None;
    let mut made = 0;
    let Some(ready) = pen.ready().await else {
        return pen.into_writes();
    };
    while ready.version >= SINCE && !pen.shared.is_stopped() {
        current = match current {
            Some(namespace) => measure(&mut pen, namespace).await,
            None => {
                made += 1;
                let namespace = pen.namespace(&format!("series{}_{made}", pen.number));
                let options = doc! { "timeseries": { "timeField": "at", "metaField": "sensor" } };
                let fate = pen.create(&namespace, options).await;
                matches!(fate, Fate::Done(_)).then_some(namespace)
            }
        };
        pen.pause().await;
    }
    pen.into_writes()
}

/// Inserts one measurement, and gives the time-series if there can be another.
async fn measure(pen: &mut Pen, namespace: Arc<str>) -> Option<Arc<str>> {
    let id = pen.id();
    let measurement = measurement(pen, id);
    let step = insert(Arc::clone(&namespace), id, &measurement);
    let change = Change::Document {
        id,
        after: step.after,
    };
    let fate = pen
        .write(&namespace, step.command, change, Timing::Reply)
        .await;
    (!matches!(fate, Fate::Lost)).then_some(namespace)
}

/// A measurement about a second after the one before, or some time before that.
fn measurement(pen: &mut Pen, id: i64) -> Document {
    let number = id % 1_000_000;
    let late = if pen.chance(5) { 100_000 } else { 0 };
    let at = DateTime::from_millis(START + number * 1000 - late);
    let sensor = doc! { "number": pen.rng.random_range(0..SERIES), "room": "a" };
    let mut measurement = doc! { "_id": id, "at": at, "sensor": sensor };
    if pen.chance(90) {
        measurement.insert("value", pen.rng.random_range(-20.0..40.0));
    }
    if pen.chance(20) {
        measurement.insert("note", format!("number {number}"));
    }
    measurement
}
