//! Which collections have their changes recorded, and since when.

use bson::{Document, Timestamp, doc};

/// What `modifyChangeStreams` switched on and off. By default that is nothing.
///
/// Changes are recorded as they are made: what was not enabled then is not delivered later.
#[derive(Debug, Default)]
pub(super) struct Enabled(Vec<Span>);

/// A time during which changes are recorded.
#[derive(Debug)]
struct Span {
    /// Empty for all.
    database: String,
    /// Empty for all of the database.
    collection: String,
    after: Timestamp,
    /// The last moment of it, if it is over.
    until: Option<Timestamp>,
}

impl Enabled {
    /// Switches a scope on or off, with what is done after `now`.
    pub(super) fn switch(
        &mut self,
        database: &str,
        collection: &str,
        enable: bool,
        now: Timestamp,
    ) {
        let open = self.open(database, collection);
        match (open, enable) {
            (Some(span), false) => span.until = Some(now),
            (None, true) => self.0.push(Span {
                database: database.to_owned(),
                collection: collection.to_owned(),
                after: now,
                until: None,
            }),
            (Some(_), true) | (None, false) => {}
        }
    }

    /// Ends what was enabled of single collections that were dropped by `now`: of one, or of a whole database.
    pub(super) fn dropped(&mut self, database: &str, collection: Option<&str>, now: Timestamp) {
        for span in &mut self.0 {
            let is_it = match collection {
                Some(collection) => span.collection == collection,
                None => !span.collection.is_empty(),
            };
            if span.database == database && is_it && span.until.is_none() {
                span.until = Some(now);
            }
        }
    }

    /// Whether a change that was made at `time` is recorded.
    pub(super) fn has(&self, database: &str, collection: &str, time: Timestamp) -> bool {
        self.0.iter().any(|span| {
            let covers = |scope: &str, name: &str| scope.is_empty() || scope == name;
            covers(&span.database, database)
                && covers(&span.collection, collection)
                && span.after < time
                && span.until.is_none_or(|until| time <= until)
        })
    }

    /// What is enabled now, as `$listChangeStreams` says it.
    pub(super) fn list(&self) -> Vec<Document> {
        let open = self.0.iter().filter(|span| span.until.is_none());
        open.map(|span| doc! { "database": &span.database, "collection": &span.collection })
            .collect()
    }

    fn open(&mut self, database: &str, collection: &str) -> Option<&mut Span> {
        self.0.iter_mut().find(|span| {
            span.database == database && span.collection == collection && span.until.is_none()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: u32) -> Timestamp {
        Timestamp { time, increment: 1 }
    }

    #[test]
    fn only_what_was_enabled_when_it_was_done_is_recorded() {
        let mut enabled = Enabled::default();
        enabled.switch("shop", "orders", true, at(10));
        assert!(!enabled.has("shop", "orders", at(10)));
        assert!(enabled.has("shop", "orders", at(11)));
        assert!(!enabled.has("shop", "carts", at(11)));
        enabled.switch("shop", "orders", false, at(20));
        assert!(enabled.has("shop", "orders", at(20)));
        assert!(!enabled.has("shop", "orders", at(21)));
        enabled.switch("shop", "", true, at(30));
        assert!(enabled.has("shop", "carts", at(31)));
        assert!(!enabled.has("bank", "carts", at(31)));
        enabled.switch("", "", true, at(40));
        assert!(enabled.has("bank", "carts", at(41)));
        assert_eq!(enabled.list().len(), 2);
    }

    #[test]
    fn a_drop_ends_what_was_enabled_of_that_collection_alone() {
        let mut enabled = Enabled::default();
        enabled.switch("shop", "", true, at(1));
        enabled.switch("shop", "orders", true, at(1));
        enabled.dropped("shop", Some("orders"), at(5));
        assert_eq!(
            enabled.list(),
            [doc! { "database": "shop", "collection": "" }]
        );
    }
}
