//! Inserts, updates, replaces and deletes documents that no other writer knows.

mod desk;

use super::{
    Change, Write, document,
    pen::{Fate, Pen, Timing},
};
pub(super) use desk::{Alive, Desk, Step, insert};

/// Writes until the workload is stopped.
pub(super) async fn run(mut pen: Pen) -> Vec<Write> {
    let mut desk = Desk::default();
    if pen.ready().await.is_some() {
        while !pen.shared.is_stopped() {
            write(&mut pen, &mut desk).await;
            pen.pause().await;
        }
    }
    pen.into_writes()
}

/// Makes one write.
pub(super) async fn write(pen: &mut Pen, desk: &mut Desk) {
    let step = desk.choose(pen);
    let change = Change::Document {
        id: step.id,
        after: step.after.clone(),
    };
    let command = step.command.clone();
    match pen
        .write(&step.namespace, command, change, Timing::Reply)
        .await
    {
        Fate::Done(reply) => {
            step.verify(&reply, pen);
            desk.done(step);
        }
        Fate::Refused => desk.undone(step),
        // Nobody touches it again.
        Fate::Lost => {}
    }
}

impl Step {
    /// Panics unless the reply is that of a write with the effect that was expected.
    pub(super) fn verify(&self, reply: &bson::Document, pen: &Pen) {
        if !pen.is_durable() {
            return;
        }
        if let Ok(value) = reply.get_document("value") {
            let value = document::raw(value);
            assert_eq!(
                Some(&value),
                self.after.as_deref(),
                "what a document is after {:?}",
                self.command
            );
            return;
        }
        let is_update = reply.contains_key("nModified");
        let changed = reply.get_i32(if is_update { "nModified" } else { "n" });
        assert!(
            matches!(changed, Ok(1)),
            "a write to a document of one's own has an effect: {reply}, {:?}",
            self.command
        );
    }
}
