//! Who is told, as a file says it.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use hyper::header::{HeaderName, HeaderValue};
use rdump::{Secret, storage::SnsTopic};
use serde::{Deserialize, Deserializer, de::Error};

use super::Event;
use crate::toml_file;

/// A file of `--notify`: `[[notify]]` again and again.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct NotifyFile {
    #[serde(default)]
    notify: Vec<Channel>,
}

/// One way to tell somebody.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Channel {
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    /// What it is told of.
    #[serde(default = "default_events")]
    pub(super) on: BTreeSet<Event>,
    #[serde(default, deserialize_with = "secret")]
    url: Option<Secret>,
    url_file: Option<PathBuf>,
    url_env: Option<String>,
    /// What is sent beside the document, by the names of the headers: of a webhook alone.
    #[serde(default)]
    headers: BTreeMap<String, Kept>,
    /// Of SNS alone.
    #[serde(default, deserialize_with = "topic")]
    pub(super) topic: Option<SnsTopic>,
}

/// How somebody is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// A document of JSON is posted.
    Webhook,
    /// A message of Slack is, or of what takes those.
    Slack,
    /// The document of JSON goes to a topic.
    Sns,
}

/// Where a secret is kept: in one of these.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Kept {
    file: Option<PathBuf>,
    env: Option<String>,
}

fn default_events() -> BTreeSet<Event> {
    [Event::Failure, Event::Problems, Event::Damage, Event::Gap].into()
}

fn secret<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Secret>, D::Error> {
    String::deserialize(from).map(|text| Some(Secret::from(text)))
}

fn topic<'de, D: Deserializer<'de>>(from: D) -> Result<Option<SnsTopic>, D::Error> {
    let topic = String::deserialize(from)?.parse();
    topic.map(Some).map_err(D::Error::custom)
}

/// The channels of a file.
///
/// # Errors
///
/// If it cannot be read, or makes no sense. Secrets that it names are not looked for.
pub(super) fn read(path: &Path) -> anyhow::Result<Vec<Channel>> {
    let file: NotifyFile = toml_file::read(path)?;
    check(&file.notify).map_err(|wrong| anyhow::anyhow!("{}, {wrong}", path.display()))?;
    Ok(file.notify)
}

/// What of channels makes no sense although each value does.
pub(crate) fn check(channels: &[Channel]) -> Result<(), String> {
    if channels.is_empty() {
        return Err("nobody is told: there is no [[notify]]".to_owned());
    }
    for (number, channel) in (1..).zip(channels) {
        let wrong = channel.check();
        wrong.map_err(|why| format!("{} {number}: {why}", channel.name()))?;
    }
    Ok(())
}

impl Channel {
    fn check(&self) -> Result<(), String> {
        let urls = [
            self.url.is_some(),
            self.url_file.is_some(),
            self.url_env.is_some(),
        ];
        let urls = urls.into_iter().filter(|it| *it).count();
        let has_topic = self.topic.is_some();
        let wrong = match self.kind {
            _ if self.on.is_empty() => "on is empty, so that it would never be told",
            Kind::Sns if !has_topic => "give its topic",
            Kind::Sns if urls > 0 => "a topic has no URL",
            Kind::Webhook | Kind::Slack if has_topic => "a topic goes with sns",
            Kind::Webhook | Kind::Slack if urls != 1 => "give one of url, url-file and url-env",
            Kind::Slack | Kind::Sns if !self.headers.is_empty() => "headers go with a webhook",
            _ => "",
        };
        if !wrong.is_empty() {
            return Err(wrong.to_owned());
        }
        for (name, kept) in &self.headers {
            if HeaderName::from_bytes(name.as_bytes()).is_err() {
                return Err("one of the headers has no name that HTTP takes".to_owned());
            }
            if kept.file.is_some() == kept.env.is_some() {
                return Err(format!("give one of file and env for the header {name}"));
            }
        }
        Ok(())
    }

    /// Its `type`.
    pub(super) fn name(&self) -> &'static str {
        match self.kind {
            Kind::Webhook => "webhook",
            Kind::Slack => "slack",
            Kind::Sns => "sns",
        }
    }

    /// Its URL, which is read now.
    pub(super) fn url(&self, variable: fn(&str) -> Option<Secret>) -> Result<Secret, String> {
        let (file, env) = (self.url_file.as_deref(), self.url_env.as_deref());
        match &self.url {
            Some(url) => Ok(url.clone()),
            None => read_kept(file, env, variable),
        }
    }

    /// Headers with their values, which are read now.
    pub(super) fn headers(
        &self,
        variable: fn(&str) -> Option<Secret>,
    ) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        let read = self.headers.iter().map(|(name, kept)| {
            let unfit = || format!("the header {name} has a value that HTTP does not take");
            let value = read_kept(kept.file.as_deref(), kept.env.as_deref(), variable)?;
            let value = HeaderValue::from_str(value.reveal()).ok();
            let mut value = value.ok_or_else(unfit)?;
            value.set_sensitive(true);
            let name = HeaderName::from_bytes(name.as_bytes()).ok();
            Ok((name.ok_or_else(unfit)?, value))
        });
        read.collect()
    }
}

/// What is in a file, or in the environment.
fn read_kept(
    file: Option<&Path>,
    env: Option<&str>,
    variable: fn(&str) -> Option<Secret>,
) -> Result<Secret, String> {
    let found = match (file, env) {
        (Some(file), _) => {
            let text = std::fs::read_to_string(file);
            let text = text.map_err(|error| format!("cannot read {}: {error}", file.display()));
            Secret::from(text?.trim())
        }
        (None, Some(name)) => variable(name)
            .ok_or_else(|| format!("the environment has no {name}, or it is no text"))?,
        (None, None) => Secret::default(),
    };
    match found.is_empty() {
        true => Err("what is read for it is empty".to_owned()),
        false => Ok(found),
    }
}
