//! Looks for what a command has that is refused.

mod index;
mod pipeline;
mod query;

use bson::{RawDocument, raw::RawBsonRef};

use super::{
    commands::{COMMON_FIELDS, Standing, standing},
    message::Command,
    refusal::Refusal,
};

/// Says why a command is refused, if it is.
pub(super) fn check(command: &Command) -> Result<(), Refusal> {
    let (name, body) = (command.name(), &command.body);
    match standing(name) {
        Standing::Unknown => return Err(Refusal::command(name)),
        Standing::Refused => return Err(Refusal::feature(name)),
        Standing::Fields(fields) => {
            check_fields(body, |field| {
                field == name || fields.contains(&field) || COMMON_FIELDS.contains(&field)
            })?;
            check_transaction(name, body)?;
            check_read_concern(body)?;
        }
        Standing::Whole => {}
    }
    match name {
        "find" | "count" | "distinct" | "findAndModify" | "findandmodify" => query::check(body),
        "aggregate" => pipeline::check(body),
        "update" => command
            .documents("updates")
            .into_iter()
            .try_for_each(query::check_update),
        "delete" => command
            .documents("deletes")
            .into_iter()
            .try_for_each(query::check_delete),
        "create" => check_collection(body),
        "createIndexes" => command
            .documents("indexes")
            .into_iter()
            .try_for_each(index::check),
        "collMod" => index::check_change(body),
        "listCollections" => match field(body, "filter").and_then(|filter| filter.as_document()) {
            Some(filter) => check_fields(filter, |field| field != "type"),
            None => Ok(()),
        },
        "saslStart"
            if body
                .get_str("mechanism")
                .is_ok_and(|mechanism| mechanism == "SCRAM-SHA-256") =>
        {
            Err(Refusal::new(18, "Unsupported mechanism [ -301 ]"))
        }
        _ => Ok(()),
    }
}

/// Refuses the first field that is not `taken`.
fn check_fields(document: &RawDocument, taken: impl Fn(&str) -> bool) -> Result<(), Refusal> {
    let mut names = document
        .iter_elements()
        .flatten()
        .map(|element| element.key().as_str());
    match names.find(|name| !taken(name)) {
        Some(name) => Err(Refusal::field(name)),
        None => Ok(()),
    }
}

/// Refuses writes that could be repeated: those that have a number and are in no transaction.
fn check_transaction(name: &str, body: &RawDocument) -> Result<(), Refusal> {
    let is_numbered = field(body, "txnNumber").is_some();
    let is_write = matches!(
        name,
        "insert" | "update" | "delete" | "findAndModify" | "findandmodify"
    );
    if is_write && is_numbered && field(body, "autocommit").is_none() {
        return Err(Refusal::new(301, "Retryable writes are not supported"));
    }
    Ok(())
}

fn check_read_concern(body: &RawDocument) -> Result<(), Refusal> {
    let Some(concern) = field(body, "readConcern").and_then(|concern| concern.as_document()) else {
        return Ok(());
    };
    if field(concern, "afterClusterTime").is_some() {
        return Err(Refusal::feature("'causal consistency'"));
    }
    check_fields(concern, |field| field == "level")?;
    match concern.get_str("level") {
        Ok("local" | "majority" | "available") | Err(_) => Ok(()),
        // Transactions are all at one moment.
        Ok("snapshot") if field(body, "startTransaction").is_some() => Ok(()),
        Ok(level) => Err(Refusal::feature(format!("readConcern level '{level}'"))),
    }
}

fn check_collection(body: &RawDocument) -> Result<(), Refusal> {
    if is_true(field(body, "capped")) {
        return Err(Refusal::feature("capped:true"));
    }
    Ok(())
}

fn field<'a>(document: &'a RawDocument, name: &str) -> Option<RawBsonRef<'a>> {
    document.get(name).ok().flatten()
}

fn is_true(value: Option<RawBsonRef<'_>>) -> bool {
    value.is_some_and(|value| value.as_bool().unwrap_or(true))
}
