//! Random histories, policies and locks over years: what is kept can be restored, killed at any step.

use std::{
    collections::{BTreeMap, BTreeSet},
    env,
    time::{Duration, UNIX_EPOCH},
};

use rand::{RngExt as _, SeedableRng as _, seq::IndexedRandom as _};
use rand_chacha::ChaCha8Rng;
use rdump::{
    OpTime, Prune, PruneReport, Repository, RestoreOptions, RestorePoint, RetentionPolicy,
    SnapshotId, storage::Retention,
};

use super::super::{
    objects,
    watched::Watched,
    years::{Of, Years, at},
};

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// How many seeds are tried: by RDUMP_SEEDS, else a few.
fn seeds() -> u64 {
    env::var("RDUMP_SEEDS").map_or(6, |seeds| seeds.parse().unwrap())
}

/// What the model knows of a snapshot.
#[derive(Clone, Debug)]
struct Known {
    id: SnapshotId,
    at: i64,
    of: Of,
    is_marked: bool,
    /// How often it was verified, and whether it was whole the last time.
    looks: u32,
    is_good: Option<bool>,
    locked_until: i64,
}

/// The rules, told in another way than the engine tells them.
#[derive(Clone, Debug)]
struct Rules {
    last: u32,
    daily: u32,
    weekly: u32,
    within_days: Option<i64>,
    tag: bool,
    window_days: Option<i64>,
}

impl Rules {
    fn random(rng: &mut ChaCha8Rng) -> Self {
        Self {
            last: rng.random_range(0..4),
            daily: rng.random_range(1..10),
            weekly: rng.random_range(0..6),
            within_days: rng.random_bool(0.3).then(|| rng.random_range(1..20)),
            tag: rng.random_bool(0.5),
            window_days: rng.random_bool(0.6).then(|| rng.random_range(1..30)),
        }
    }

    fn policy(&self) -> RetentionPolicy {
        let days = |days: i64| Duration::from_secs(u64::try_from(days * DAY).unwrap());
        let mut policy = RetentionPolicy::default()
            .keep_last(self.last)
            .keep_daily(self.daily)
            .keep_weekly(self.weekly);
        policy.keep_within = self.within_days.map(days);
        policy.pitr_window = self.window_days.map(days);
        if self.tag {
            policy = policy.keep_tag("kept");
        }
        policy
    }

    /// The snapshots that have to stay, but for those that moments need.
    fn kept(&self, known: &[Known], now: i64) -> BTreeSet<SnapshotId> {
        let mut kept = BTreeSet::new();
        for part in [false, true] {
            let of = known.iter().filter(|it| (it.of == Of::Part) == part);
            let mut all: Vec<&Known> = of.collect();
            all.sort_by_key(|it| (it.at, it.id.clone()));
            let sound: Vec<&Known> = all
                .iter()
                .copied()
                .filter(|it| it.is_good != Some(false))
                .collect();
            for some in [&all, &sound] {
                kept.extend(
                    some.iter()
                        .rev()
                        .take(self.last.max(1) as usize)
                        .map(|it| it.id.clone()),
                );
                for (most, length, offset) in
                    [(self.daily, DAY, 0), (self.weekly, 7 * DAY, 3 * DAY)]
                {
                    let mut periods = BTreeMap::new();
                    for it in some {
                        periods.insert((it.at + offset).div_euclid(length), it.id.clone());
                    }
                    kept.extend(periods.into_values().rev().take(most as usize));
                }
                if let (Some(days), Some(newest)) = (self.within_days, some.last()) {
                    let is_within = |it: &&&Known| newest.at - it.at <= days * DAY;
                    kept.extend(some.iter().filter(is_within).map(|it| it.id.clone()));
                }
            }
            let good = sound.iter().rev().find(|it| it.is_good == Some(true));
            kept.extend(good.map(|it| it.id.clone()));
            let stays = all
                .iter()
                .filter(|it| self.tag && it.is_marked || it.locked_until > now);
            kept.extend(stays.map(|it| it.id.clone()));
        }
        kept
    }
}

struct Model {
    seed: u64,
    rng: ChaCha8Rng,
    years: Years,
    rules: Rules,
    known: Vec<Known>,
    /// Begun and never finished, and when.
    unfinished: BTreeMap<SnapshotId, i64>,
    /// Snapshots that are deleted, perhaps not all of them, and when they were made.
    left: BTreeMap<SnapshotId, i64>,
    locked_slices: Vec<(String, i64)>,
    /// A transaction that is open.
    open_since: Option<OpTime>,
}

impl Model {
    async fn new(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let rules = Rules::random(&mut rng);
        Self {
            seed,
            rng,
            years: Years::new().await,
            rules,
            known: Vec::new(),
            unfinished: BTreeMap::new(),
            left: BTreeMap::new(),
            locked_slices: Vec::new(),
            open_since: None,
        }
    }

    /// Lets time pass, in which things happen.
    async fn pass(&mut self) {
        let before = self.years.now;
        self.years.now += self.rng.random_range(HOUR..36 * HOUR);
        self.capture(before).await;
        let now = self.years.now;
        match self.rng.random_range(0..20) {
            0 => {
                let stored = self.rng.random_range(0..5);
                let id = self.years.begin(stored).await;
                self.unfinished.insert(id, now);
            }
            1 => self.snapshot(Of::Part).await,
            2 => self.snapshot(Of::NoMoment).await,
            3..17 => self.snapshot(Of::All).await,
            _ => {}
        }
        // The end of what is captured is beyond the snapshot, as it will be soon.
        if self.years.captured_until().is_some() && self.rng.random_bool(0.8) {
            self.years.now += 60;
            let end = self.years.now;
            self.years.capture(now, end, self.open_since).await;
        }
        self.look().await;
        self.lock();
    }

    async fn capture(&mut self, before: i64) {
        let now = self.years.now;
        match (self.years.captured_until(), self.rng.random_range(0..30)) {
            (Some(_), 0) => return self.years.gap(now - 60).await,
            (None, 0..20) => return,
            _ => {}
        }
        let mut start = self
            .years
            .captured_until()
            .map_or(before, |at| i64::from(at.seconds));
        let slices = self.rng.random_range(1..5);
        for number in 1..=slices {
            let end = before + (now - before) * number / slices;
            if end <= start {
                continue;
            }
            match self.rng.random_range(0..4) {
                0 => self.open_since = self.open_since.or(Some(at(start + 1))),
                1 | 2 => self.open_since = None,
                _ => {}
            }
            self.years.capture(start, end, self.open_since).await;
            start = end;
        }
    }

    async fn snapshot(&mut self, of: Of) {
        let is_marked = self.rng.random_bool(0.05);
        let tags: &[_] = if is_marked { &[("kept", "")] } else { &[] };
        let id = self.years.snapshot(of, tags).await;
        self.known.push(Known {
            id,
            at: self.years.now,
            of,
            is_marked,
            looks: 0,
            is_good: None,
            locked_until: 0,
        });
    }

    async fn look(&mut self) {
        if self.rng.random_bool(0.3)
            && let Some(known) = self.known.iter_mut().next_back()
        {
            let is_good = self.rng.random_bool(0.8);
            (known.looks, known.is_good) = (known.looks + 1, Some(is_good));
            let (id, looks) = (known.id.clone(), known.looks);
            self.years.look(&id, looks, u64::from(!is_good)).await;
        }
    }

    /// Locks something now and then, and lets go of what has been locked for long enough.
    fn lock(&mut self) {
        let now = self.years.now;
        let until = now + self.rng.random_range(DAY..60 * DAY);
        let retention = |until: i64| {
            let until = Duration::from_secs(u64::try_from(until).unwrap());
            Some(Retention::until(UNIX_EPOCH + until))
        };
        if self.rng.random_bool(0.1)
            && let Some(known) = self.known.last_mut()
        {
            known.locked_until = until;
            let all = self.years.objects_of(&known.id).into_keys();
            for path in all.chain([known.id.manifest(), known.id.manifest_copy()]) {
                self.years.store.retain(&path, retention(until));
            }
        }
        for known in self.known.iter_mut().filter(|it| it.locked_until <= now) {
            known.locked_until = 0;
            let all = self.years.objects_of(&known.id).into_keys();
            for path in all.chain([known.id.manifest(), known.id.manifest_copy()]) {
                self.years.store.retain(&path, None);
            }
        }
        let store = &self.years.store;
        self.locked_slices.retain(|(path, until)| {
            let stays = *until > now;
            if !stays {
                store.retain(path, None);
            }
            stays
        });
    }

    /// Moments to look at: of snapshots, ends of slices, and between.
    async fn moments(&mut self) -> Vec<OpTime> {
        let timeline = self.years.repository.timeline().await.unwrap();
        let slices: Vec<_> = timeline.slices().collect();
        let mut moments: Vec<_> = self.known.iter().map(|it| at(it.at)).collect();
        moments.extend(slices.iter().map(|slice| slice.end));
        let seconds = |at: OpTime| i64::from(at.seconds);
        for slice in &slices {
            moments.push(at(self
                .rng
                .random_range(seconds(slice.start)..=seconds(slice.end))));
        }
        moments.sample(&mut self.rng, 12).copied().collect()
    }

    async fn prune(&self, dies_after: Option<usize>) -> Result<PruneReport, rdump::Error> {
        let store = Watched::new(self.years.store());
        if let Some(operations) = dies_after {
            store.die_after(operations);
        }
        let repository = Repository::open_in(store).await.unwrap();
        let prune = Prune::new(&repository, self.rules.policy())
            .lease(None)
            .now(self.years.now);
        let plan = prune.plan().await.unwrap();
        prune.run(plan).await
    }

    /// Prunes, dies at some step if the dice say so, and looks what is left.
    async fn prune_and_look(&mut self) {
        let moments = self.moments().await;
        let mut restorable = Vec::new();
        for moment in moments {
            let is_restorable = is_restorable(&self.years.repository, moment, None).await;
            restorable.extend(is_restorable.then_some(moment));
        }
        let kept = self.rules.kept(&self.known, self.years.now);
        let by_kept = match self.rules.window_days {
            None => self.led_to(restorable, &kept).await,
            Some(days) => self.in_window(restorable, days).await,
        };
        for _ in 0..self.rng.random_range(0..4) {
            let operations = self.rng.random_range(0..40);
            let died = self.prune(Some(operations)).await;
            self.check(&kept, &by_kept).await;
            if died.is_ok() {
                break;
            }
        }
        let report = self.prune(None).await.unwrap();
        assert_eq!(report.problems, [] as [String; 0], "seed {}", self.seed);
        self.check(&kept, &by_kept).await;
        self.check_gone(&kept).await;
    }

    /// The moments that snapshots lead to that are kept.
    async fn led_to(&self, moments: Vec<OpTime>, kept: &BTreeSet<SnapshotId>) -> Vec<OpTime> {
        let repository = &self.years.repository;
        let mut led_to = Vec::new();
        for moment in moments {
            for known in self.known.iter().filter(|it| kept.contains(&it.id)) {
                if known.of == Of::All && is_restorable(repository, moment, Some(&known.id)).await {
                    led_to.push(moment);
                    break;
                }
            }
        }
        led_to
    }

    /// The moments that are so near to the last one that can be restored.
    async fn in_window(&self, mut moments: Vec<OpTime>, days: i64) -> Vec<OpTime> {
        let repository = &self.years.repository;
        let snapshots = repository.snapshots().await.unwrap();
        let timeline = repository.timeline().await.unwrap();
        let spans = repository.restorable(&snapshots, &timeline).await.unwrap();
        let last = spans.iter().map(|span| span.until.seconds).max();
        let window = u32::try_from(days * DAY).unwrap();
        let since = last.unwrap_or_default().saturating_sub(window);
        moments.retain(|at| at.seconds >= since);
        moments
    }

    /// That everything is there that has to be.
    async fn check(&mut self, kept: &BTreeSet<SnapshotId>, moments: &[OpTime]) {
        let seed = self.seed;
        let snapshots = self.years.repository.snapshots().await.unwrap();
        assert!(
            snapshots.damaged.is_empty(),
            "seed {seed}: {:?}",
            snapshots.damaged
        );
        let whole: BTreeSet<_> = snapshots.whole.iter().map(|it| it.id().clone()).collect();
        for id in kept {
            assert!(whole.contains(id), "seed {seed}: {id} is gone");
        }
        let found = objects(&*self.years.store).await;
        for id in &whole {
            for (path, bytes) in self.years.objects_of(id) {
                let found = found.get(&path).map(|bytes| bytes.len() as u64);
                assert_eq!(found, Some(bytes), "seed {seed}: {path}");
            }
        }
        for moment in moments {
            let is_restorable = is_restorable(&self.years.repository, *moment, None).await;
            assert!(is_restorable, "seed {seed}: {moment} cannot be restored");
            let point = self
                .years
                .repository
                .point_in_time(RestorePoint::At(*moment), None);
            let point = point.await.unwrap();
            if point.slices() == 0 {
                continue;
            }
            for path in self.years.needed_before(point.base()) {
                assert!(found.contains_key(&path), "seed {seed}: {path} is gone");
            }
        }
    }

    /// That everything is gone that has to be.
    async fn check_gone(&mut self, kept: &BTreeSet<SnapshotId>) {
        let (seed, now) = (self.seed, self.years.now);
        let snapshots = self.years.repository.snapshots().await.unwrap();
        let whole: BTreeSet<_> = snapshots.whole.iter().map(|it| it.id().clone()).collect();
        // What a run left that died is young for a day.
        let gone = self.known.extract_if(.., |it| !whole.contains(&it.id));
        self.left.extend(gone.map(|it| (it.id, it.at)));
        self.left.retain(|_, at| now - *at <= DAY);
        if self.rules.window_days.is_none() {
            assert_eq!(whole, *kept, "seed {seed}");
        }
        self.unfinished.retain(|_, begun| now - *begun <= DAY);
        let unfinished: BTreeSet<_> = self.unfinished.keys().cloned().collect();
        let found: BTreeSet<_> = snapshots.unfinished.into_iter().collect();
        let found: BTreeSet<_> = found
            .into_iter()
            .filter(|id| !self.left.contains_key(id))
            .collect();
        assert_eq!(found, unfinished, "seed {seed}");
        for path in objects(&*self.years.store).await.into_keys() {
            let mut ids = whole.iter().chain(&unfinished).chain(self.left.keys());
            let is_known = ["timeline/", "repository.json"]
                .iter()
                .any(|it| path.starts_with(it))
                || ids.any(|id| path.contains(id.as_str()));
            assert!(is_known, "seed {seed}: {path} is of nothing");
        }
        // What is captured does not grow for ever.
        let timeline = self.years.repository.timeline().await.unwrap();
        let oldest = self
            .known
            .iter()
            .filter(|it| it.of != Of::NoMoment)
            .map(|it| it.at)
            .min();
        let locked: BTreeSet<_> = self
            .locked_slices
            .iter()
            .map(|(path, _)| path.clone())
            .collect();
        let ends = timeline.ends();
        for slice in timeline.slices() {
            let is_needed = locked.contains(&slice.path())
                || ends.contains(&slice)
                || self.open_since.is_some()
                || oldest.is_none_or(|oldest| i64::from(slice.end.seconds) > oldest - 60 * DAY);
            assert!(is_needed, "seed {seed}: {} is there still", slice.path());
        }
        let verified = self
            .years
            .repository
            .verify_timeline(std::sync::Arc::new(()), rdump::CancellationToken::new())
            .await;
        let verified = verified.unwrap();
        assert!(verified.is_whole(), "seed {seed}: {verified:?}");
        // Some of what is left is locked from now on.
        if self.rng.random_bool(0.2) {
            let until = now + 20 * DAY;
            for slice in timeline.slices().take(3) {
                let long = Duration::from_secs(u64::try_from(until).unwrap());
                let retention = Retention::until(UNIX_EPOCH + long);
                self.years.store.retain(&slice.path(), Some(retention));
                self.locked_slices.push((slice.path(), until));
            }
        }
    }
}

/// Whether a restore could begin.
async fn is_restorable(repository: &Repository, at: OpTime, from: Option<&SnapshotId>) -> bool {
    let Ok(point) = repository.point_in_time(RestorePoint::At(at), from).await else {
        return false;
    };
    Box::pin(point.reader(&RestoreOptions::default()))
        .await
        .is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_happens_in_years_what_is_kept_can_be_restored_and_the_rest_goes() {
    for seed in 0..seeds() {
        let mut model = Model::new(seed).await;
        let steps = if seeds() > 20 { 600 } else { 150 };
        for _ in 0..steps {
            model.pass().await;
            if model.rng.random_bool(0.15) {
                model.prune_and_look().await;
            }
            if model.rng.random_bool(0.005) {
                model.rules = Rules::random(&mut model.rng);
            }
        }
    }
}
