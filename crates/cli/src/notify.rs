//! Telling people how runs end, by webhooks, Slack and Amazon SNS.
//!
//! A [`Notifier`] is made of what a file says, and sends each [`Notice`] to those that want it. What cannot be told is told to whoever
//! called, and changes nothing of what was done. URLs and tokens are secrets: they are read when they are needed, and never shown.

mod config;
mod notice;
mod post;
#[cfg(test)]
mod tests;

use std::{fmt, path::Path};

use futures::future::join_all;
use rdump::Secret;
use tokio::time::timeout;

pub(crate) use config::Channel;
use config::Kind;
pub(crate) use config::check;
pub(crate) use notice::{Event, Notice};
use post::{Patience, post};

use crate::failure;

/// Who is told.
pub(crate) struct Notifier {
    channels: Vec<Channel>,
    patience: Patience,
    /// What the environment has.
    variable: fn(&str) -> Option<Secret>,
}

/// What became of one notice to one of them.
#[derive(Debug)]
pub(crate) struct Sent {
    /// Whom it is for: the type, and the number in the file.
    pub(crate) to: String,
    /// Why it did not come.
    pub(crate) sent: Result<(), String>,
}

impl Notifier {
    /// Tells those whom a file names.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or makes no sense. Secrets that it names are not looked for.
    pub(crate) fn open(path: &Path, variable: fn(&str) -> Option<Secret>) -> anyhow::Result<Self> {
        Ok(Self::new(config::read(path)?, variable))
    }

    /// Tells these.
    pub(crate) fn new(channels: Vec<Channel>, variable: fn(&str) -> Option<Secret>) -> Self {
        Self {
            channels,
            patience: Patience::default(),
            variable,
        }
    }

    /// Tells all who want to know, at the same time, and gives what became of it; a test is for all. It takes a minute at most.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future stops the sending; some may have been told.
    pub(crate) async fn send(&self, notice: &Notice) -> Vec<Sent> {
        let wants = |channel: &&(usize, &Channel)| {
            let event = notice.event;
            event.is_none_or(|event| channel.1.on.contains(&event))
        };
        let channels: Vec<_> = (1..).zip(&self.channels).collect();
        let sending = channels
            .iter()
            .filter(wants)
            .map(async |(number, channel)| Sent {
                to: format!("{} {number}", channel.name()),
                sent: self.send_to(channel, notice).await,
            });
        join_all(sending).await
    }

    async fn send_to(&self, channel: &Channel, notice: &Notice) -> Result<(), String> {
        let body = match channel.kind {
            Kind::Slack => notice.slack(),
            Kind::Webhook | Kind::Sns => notice.document(),
        };
        let body = body.to_string();
        if let Some(topic) = &channel.topic {
            let title = notice.title();
            let publish = Box::pin(topic.publish(&title, &body));
            return match timeout(self.patience.total, publish).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(failure::chain(&error.into())),
                Err(_late) => Err("SNS did not answer in time".to_owned()),
            };
        }
        let url = channel.url(self.variable)?;
        let headers = channel.headers(self.variable)?;
        Box::pin(post(&url, &headers, body, self.patience)).await
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier")
            .field("channels", &self.channels.len())
            .finish_non_exhaustive()
    }
}
