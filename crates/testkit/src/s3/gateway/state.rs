//! What a gateway does to requests, and which ones there were.

use std::{sync::Arc, time::Instant};

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use super::{Asked, Fault};

pub(super) type Rule = Arc<dyn Fn(&Asked) -> Option<Fault> + Send + Sync>;

/// How many of all requests fail, between 0 and 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Odds {
    /// Those that are answered with 503.
    pub errors: f64,
    /// Those whose connection is reset before they are passed on.
    pub resets: f64,
    /// Those whose connection is reset when the store has answered.
    pub lost_answers: f64,
}

#[derive(Default)]
pub(super) struct State {
    rule: Option<Rule>,
    /// How many requests there had been when the rule was given.
    rule_start: usize,
    throttle: Option<Throttle>,
    odds: Option<(ChaCha8Rng, Odds)>,
    pub(super) asked: Vec<Asked>,
}

impl State {
    pub(super) fn set_rule(&mut self, rule: Option<Rule>) {
        self.rule = rule;
        self.rule_start = self.asked.len();
    }

    pub(super) fn throttle(&mut self, per_second: u32) {
        self.throttle = Some(Throttle::new(per_second));
    }

    pub(super) fn misbehave(&mut self, seed: u64, odds: Odds) {
        self.odds = Some((ChaCha8Rng::seed_from_u64(seed), odds));
    }

    pub(super) fn pass(&mut self) {
        self.set_rule(None);
        self.throttle = None;
        self.odds = None;
    }

    /// Remembers a request, counts those before it, and gives its place and the rule for it.
    pub(super) fn remember(&mut self, asked: &mut Asked) -> (usize, Option<Rule>) {
        let before = self.asked.iter().skip(self.rule_start);
        let before = before.filter(|before| before.operation == asked.operation);
        asked.before = before.count();
        self.asked.push(asked.clone());
        (self.asked.len() - 1, self.rule.clone())
    }

    /// What happens to a request that the rule says nothing about.
    pub(super) fn by_chance(&mut self) -> Option<Fault> {
        if self
            .throttle
            .as_mut()
            .is_some_and(|throttle| !throttle.admits())
        {
            return Some(Fault::slow_down());
        }
        let (rng, odds) = self.odds.as_mut()?;
        let drawn: f64 = rng.random();
        match drawn {
            _ if drawn < odds.errors => Some(Fault::error(503, "ServiceUnavailable")),
            _ if drawn < odds.errors + odds.resets => Some(Fault::ResetBefore),
            _ if drawn < odds.errors + odds.resets + odds.lost_answers => Some(Fault::LoseAnswer),
            _ => None,
        }
    }
}

/// A bucket of tokens, one for each request, that holds those of one second at most.
struct Throttle {
    per_second: f64,
    tokens: f64,
    filled: Instant,
}

impl Throttle {
    fn new(per_second: u32) -> Self {
        let per_second = f64::from(per_second);
        Self {
            per_second,
            tokens: per_second,
            filled: Instant::now(),
        }
    }

    fn admits(&mut self) -> bool {
        let now = Instant::now();
        let came = now.duration_since(self.filled).as_secs_f64() * self.per_second;
        self.tokens = (self.tokens + came).min(self.per_second);
        self.filled = now;
        let admits = self.tokens >= 1.0;
        if admits {
            self.tokens -= 1.0;
        }
        admits
    }
}
