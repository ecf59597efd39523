//! What the stages of a pipeline may be.

use bson::RawDocument;

use super::{field, query};
use crate::document_db::{
    commands::{STAGES, STREAM_FIELDS, STREAM_STAGES},
    message::{documents_of, first_key},
    refusal::Refusal,
};

pub(super) fn check(body: &RawDocument) -> Result<(), Refusal> {
    query::check_hint(body)?;
    let stages = documents_of(field(body, "pipeline"));
    let is_stream = stages
        .first()
        .is_some_and(|stage| first_key(stage) == "$changeStream");
    for (at, stage) in stages.into_iter().enumerate() {
        let name = first_key(stage);
        let stages = if is_stream && at > 0 {
            STREAM_STAGES
        } else {
            STAGES
        };
        if !stages.contains(&name) {
            return Err(Refusal::stage(name));
        }
        let options = field(stage, name);
        query::check_operators(options)?;
        if let Some(options) = options.and_then(|options| options.as_document()) {
            match name {
                "$changeStream" => check_stream(options)?,
                "$collStats" => check_statistics(options)?,
                _ => {}
            }
        }
    }
    Ok(())
}

fn check_stream(options: &RawDocument) -> Result<(), Refusal> {
    let mut names = options
        .iter_elements()
        .flatten()
        .map(|element| element.key().as_str());
    if let Some(name) = names.find(|name| !STREAM_FIELDS.contains(name)) {
        let message = format!("BSON field '$changeStream.{name}' is an unknown field.");
        return Err(Refusal::new(40415, message));
    }
    match options.get_str("fullDocument") {
        Ok("default" | "updateLookup") | Err(_) => Ok(()),
        Ok(other) => Err(Refusal::feature(format!("fullDocument '{other}'"))),
    }
}

fn check_statistics(options: &RawDocument) -> Result<(), Refusal> {
    ["latencyStats", "queryExecStats", "recordStats"]
        .into_iter()
        .try_for_each(|name| match field(options, name) {
            Some(_) => Err(Refusal::field(name)),
            None => Ok(()),
        })
}
