//! The process that follows a plan.

use std::{
    collections::HashMap,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context;
use jiff::Timestamp;
use rdump::CancellationToken;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
    task::{Id, JoinError, JoinSet},
    time::timeout,
};

use super::{
    job::Job,
    memory::Memory,
    plan::{Lookup, Plan},
    timetable::{Ended, Step, Timetable},
};
use crate::{
    exit::Exit,
    failure,
    metrics::{self, Registry},
    monitor::{Monitor, tell_of_failures},
    notify::{Event, Notice, Notifier},
    session::Session,
};

/// The longest it sleeps: clocks are set, and machines suspended.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// The first pause before what never ends is begun again, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// How long it has to be up for the pauses to begin from the first again, and for its next failure to be told.
const STEADY: Duration = Duration::from_secs(600);
/// How often people are told of what never ends and fails again and again.
const REMINDER: Duration = Duration::from_secs(3600);
/// How long it waits at its end for people to be told.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Follows a plan until a signal ends it; SIGHUP has the plan read again.
pub(crate) async fn run(
    session: &Session,
    file: &Path,
    lookup: Lookup<'_>,
) -> anyhow::Result<Exit> {
    let plan = Plan::read(file, lookup)?;
    let (memory, damage) = Memory::open(&plan.state)?;
    if let Some(damage) = damage {
        session.console.always(format_args!("WARNING: {damage}"));
    }
    let mut hang_ups = signal(SignalKind::hangup()).context("cannot listen for signals")?;
    let listener = match &plan.metrics_listen {
        Some(address) => {
            let listener = TcpListener::bind(address).await;
            let listener = listener
                .with_context(|| format!("cannot listen on {address}, as `metrics-listen` says"))?;
            let address = listener.local_addr()?;
            session
                .console
                .log(format_args!("metrics are at http://{address}/metrics"));
            Some(listener)
        }
        None => None,
    };
    let mut following = Following::new(session, plan, memory);
    if let Some(listener) = listener {
        let registry = Arc::clone(&following.registry);
        let cancel = following.cancel.clone();
        following
            .aside
            .spawn(metrics::serve(listener, registry, cancel));
    }
    session
        .console
        .log(format_args!("following {}", file.display()));
    loop {
        following.step();
        let sleep = following.sleep();
        tokio::select! {
            () = session.cancel.cancelled() => break,
            Some(over) = following.tasks.join_next_with_id() => following.over(over),
            _ = hang_ups.recv() => match Plan::read(file, lookup) {
                Ok(plan) => following.reload(plan),
                Err(error) => session.console.always(format_args!(
                    "the plan stays what it was: {}",
                    failure::chain(&error)
                )),
            },
            () = tokio::time::sleep(sleep) => {}
        }
    }
    session.console.log("waiting for what is under way to stop");
    following.cancel.cancel();
    while let Some(over) = following.tasks.join_next_with_id().await {
        following.over(over);
    }
    let last_words = async { while following.aside.join_next().await.is_some() {} };
    if timeout(LAST_WORDS, last_words).await.is_err() {
        session
            .console
            .always("WARNING: somebody could not be told in time");
    }
    Ok(Exit::Done)
}

/// What is under way.
struct Running {
    job: Arc<Job>,
    /// When it was due; `None` for what never ends.
    due: Option<Timestamp>,
    since: Instant,
    /// Whether nobody is told if it fails soon.
    is_quiet: bool,
    cancel: CancellationToken,
}

/// What a task leaves behind: how it ended, and what there is to tell.
type Left = (Exit, Session);

/// When something is begun again that should not have ended.
struct Again {
    at: Instant,
    pause: Duration,
    /// When people were told of it last.
    told: Instant,
    /// What it is about, as metrics name it.
    repository: Option<String>,
}

/// A plan that is followed.
struct Following<'a> {
    session: &'a Session,
    plan: Plan,
    table: Timetable,
    memory: Memory,
    /// Stops everything that is under way.
    cancel: CancellationToken,
    tasks: JoinSet<Left>,
    /// What goes on beside them: metrics are served, and people told.
    aside: JoinSet<()>,
    registry: Arc<Registry>,
    notifier: Option<Arc<Notifier>>,
    running: HashMap<Id, Running>,
    again: HashMap<String, Again>,
    /// Whether it was said that what was done cannot be noted.
    is_unnoted: bool,
}

impl<'a> Following<'a> {
    fn new(session: &'a Session, plan: Plan, memory: Memory) -> Self {
        let table = timetable(&plan, &memory);
        Self {
            aside: JoinSet::new(),
            registry: Arc::new(Registry::new()),
            notifier: notifier(&plan),
            session,
            plan,
            table,
            memory,
            cancel: CancellationToken::new(),
            tasks: JoinSet::new(),
            running: HashMap::new(),
            again: HashMap::new(),
            is_unnoted: false,
        }
    }

    /// Begins what is due, and what never ends.
    fn step(&mut self) {
        while self.aside.try_join_next().is_some() {}
        for step in self.table.steps(Timestamp::now()) {
            match step {
                Step::Begin {
                    job,
                    due,
                    attempt,
                    is_quiet,
                } => {
                    let Some(job) = self.timed(job) else { continue };
                    let again = match attempt {
                        1 => String::new(),
                        attempt => format!(", attempt {attempt}"),
                    };
                    let due_at = job.shown_time(due);
                    self.session
                        .console
                        .log(format_args!("{}: begins, due at {due_at}{again}", job.name));
                    self.begin(job, Some(due), is_quiet);
                }
                Step::Skip { job, due } => self.announce(
                    job,
                    due,
                    Event::Problems,
                    "left out, since it could not begin within its start window",
                ),
                Step::Late { job, due } => self.announce(
                    job,
                    due,
                    Event::Problems,
                    "late, since others or the one before it are still under way; it begins when it can",
                ),
                Step::GiveUp { job, due } => self.announce(
                    job,
                    due,
                    Event::Failure,
                    "given up, since the process was killed each time that it was under way",
                ),
            }
        }
        // What was begun is noted before the process can be killed by it.
        self.note();
        let endless = self.plan.jobs.iter().filter(|job| job.timing.is_none());
        for job in endless.cloned().collect::<Vec<_>>() {
            let again = self.again.get(&job.name);
            let waits = again.is_some_and(|again| again.at > Instant::now());
            match self.running.values().find(|it| it.job.name == job.name) {
                Some(running) => {
                    if running.since.elapsed() >= STEADY {
                        self.recovered(&job);
                    }
                }
                None if waits => {}
                None => {
                    let is_quiet = again.is_some_and(|again| again.told.elapsed() < REMINDER);
                    self.session
                        .console
                        .log(format_args!("{}: begins", job.name));
                    self.begin(job, None, is_quiet);
                }
            }
        }
    }

    /// That what failed before is up for long enough.
    fn recovered(&mut self, job: &Job) {
        let again = self.again.remove(&job.name);
        if let Some(repository) = again.and_then(|again| again.repository) {
            let labels = [repository.as_str(), job.kind.as_str()];
            self.registry.forget(&metrics::LAST_RUN_SUCCESS, &labels);
            self.registry.forget(&metrics::LAST_RUN_ERROR, &labels);
        }
    }

    /// The job at this place of the timetable.
    fn timed(&self, at: usize) -> Option<Arc<Job>> {
        let mut timed = self.plan.jobs.iter().filter(|job| job.timing.is_some());
        timed.nth(at).cloned()
    }

    /// The place of a job in the timetable.
    fn place(&self, name: &str) -> Option<usize> {
        let mut timed = self.plan.jobs.iter().filter(|job| job.timing.is_some());
        timed.position(|job| job.name == name)
    }

    /// Tells what became of a job that was due.
    fn announce(&mut self, place: usize, due: Timestamp, event: Event, what: &str) {
        let Some(job) = self.timed(place) else { return };
        let due = job.shown_time(due);
        self.announce_of(&job, event, &format!("{what}; it was due at {due}"));
    }

    /// Tells of a job what no run of it tells.
    fn announce_of(&mut self, job: &Job, event: Event, what: &str) {
        let message = format!("{}: {what}", job.name);
        let console = self.session.console.clone();
        console.always(&message);
        if let Some(notifier) = self.notifier.clone() {
            let notice = Notice::of_no_run(job.kind.as_str(), event, &message);
            let notice = notice.of_job(Some(&job.name));
            self.aside.spawn(async move {
                tell_of_failures(&console, &notifier.send(&notice).await);
            });
        }
    }

    /// Begins a job.
    fn begin(&mut self, job: Arc<Job>, due: Option<Timestamp>, is_quiet: bool) {
        let cancel = self.cancel.child_token();
        let (notifier, registry) = (self.notifier.clone(), Arc::clone(&self.registry));
        let monitor = Monitor::of_job(job.kind.as_str(), &job.name, notifier, registry);
        let session = self.session.of_job(&job.name, cancel.clone(), monitor);
        let running = Running {
            job: Arc::clone(&job),
            due,
            since: Instant::now(),
            is_quiet,
            cancel,
        };
        let task = self.tasks.spawn(async move {
            let exit = job.run(&session).await.unwrap_or_else(|error| {
                session.outcome.failed(&error);
                failure::tell(&session.console, &error);
                Exit::of(&error, session.strict)
            });
            (exit, session)
        });
        self.running.insert(task.id(), running);
    }

    /// How long nothing is to be done, if nothing ends.
    fn sleep(&self) -> Duration {
        let now = Timestamp::now();
        let next = self.table.next(now);
        let next = next.and_then(|next| Duration::try_from(next.duration_since(now)).ok());
        let again = self.again.values();
        let again = again.filter_map(|again| again.at.checked_duration_since(Instant::now()));
        let soonest = again.chain(next).min().unwrap_or(LONGEST_SLEEP);
        soonest.clamp(Duration::from_millis(10), LONGEST_SLEEP)
    }

    /// Takes note of what ended, and tells of it.
    fn over(&mut self, over: Result<(Id, Left), JoinError>) {
        let id = match &over {
            Ok((id, _)) => *id,
            Err(error) => error.id(),
        };
        let Some(running) = self.running.remove(&id) else {
            return;
        };
        let is_cancelled = running.cancel.is_cancelled();
        let is_soon = running.since.elapsed() < STEADY;
        let (mut is_told, mut repository) = (false, None);
        let exit = match over {
            Ok((_, (exit, session))) => {
                repository = session.outcome.so_far().repository;
                let is_quiet = running.is_quiet && is_soon && exit == Exit::Failed;
                is_told = !(is_cancelled || is_quiet);
                if let Some(monitor) = session.monitor().filter(|_| !is_cancelled) {
                    monitor.record(&session, exit);
                }
                if is_told {
                    self.aside.spawn(async move {
                        if let Some(monitor) = session.monitor() {
                            monitor.notify(&session, exit).await;
                        }
                    });
                }
                exit
            }
            Err(error) => {
                let what = format!("a bug of rdump ended it: {error}");
                self.announce_of(&running.job, Event::Failure, &what);
                Exit::Failed
            }
        };
        let console = &self.session.console;
        let name = &running.job.name;
        let seconds = running.since.elapsed().as_secs();
        console.log(format_args!(
            "{name}: ended with {} after {seconds} seconds",
            exit.code()
        ));
        if running.due.is_none() {
            self.endless_ended(&running, is_cancelled, is_told, repository);
            return;
        }
        let Some(place) = self.place(name) else {
            return;
        };
        let how = match exit {
            Exit::Done | Exit::Problems => Ended::Done,
            Exit::Failed => Ended::Failed,
            _ => Ended::Bad,
        };
        if is_cancelled && how != Ended::Done {
            self.table.stopped(place);
        } else if self.table.ended(place, Timestamp::now(), exit.code(), how) {
            console.log(format_args!("{name}: will be tried again"));
        }
        self.note();
    }

    fn endless_ended(
        &mut self,
        running: &Running,
        is_cancelled: bool,
        is_told: bool,
        repository: Option<String>,
    ) {
        let name = running.job.name.clone();
        if is_cancelled {
            self.again.remove(&name);
            return;
        }
        let now = Instant::now();
        let before = self.again.get(&name);
        let pause = match before {
            Some(before) if running.since.elapsed() < STEADY => (before.pause * 2).min(AGAIN.1),
            _ => AGAIN.0,
        };
        let again = Again {
            at: now + pause,
            pause,
            told: before
                .filter(|_| !is_told)
                .map_or(now, |before| before.told),
            repository,
        };
        self.again.insert(name, again);
    }

    /// Follows another plan from now on. What is under way goes on, but what never ends and is not in it as it was.
    fn reload(&mut self, plan: Plan) {
        let is_moved = plan.metrics_listen != self.plan.metrics_listen;
        if is_moved || plan.state != self.plan.state {
            self.session.console.always(
                "the plan stays what it was: to change `state` or `metrics-listen`, end this process and begin another",
            );
            return;
        }
        self.plan = plan;
        self.notifier = notifier(&self.plan);
        self.table = timetable(&self.plan, &self.memory);
        for running in self.running.values() {
            let name = &running.job.name;
            let place = self.place(name);
            let now = self.plan.jobs.iter().find(|job| job.name == *name);
            match (running.due, now) {
                (Some(due), Some(_)) => {
                    if let Some(place) = place {
                        self.table.goes_on(place, due);
                    }
                }
                (None, Some(now)) if now.is_same(&running.job) => {}
                (None, _) => running.cancel.cancel(),
                (Some(_), None) => {}
            }
        }
        // What failed may be mended now.
        for again in self.again.values_mut() {
            again.at = Instant::now();
        }
        let jobs = &self.plan.jobs;
        self.again
            .retain(|name, _| jobs.iter().any(|job| job.name == *name));
        self.session.console.log("the plan was read again");
        self.note();
    }

    /// Keeps what is known of each job. If that cannot be, it goes on: jobs that are done matter more than notes of them.
    fn note(&mut self) {
        let timed = self.plan.jobs.iter().filter(|job| job.timing.is_some());
        for (place, job) in timed.enumerate() {
            if let Some(past) = self.table.past(place) {
                self.memory.note(&job.name, past);
            }
        }
        match self.memory.keep() {
            Ok(()) => self.is_unnoted = false,
            Err(error) if !self.is_unnoted => {
                self.is_unnoted = true;
                self.session.console.always(format_args!(
                    "WARNING: what was done cannot be noted, so that a restart may do it again: {}",
                    failure::chain(&error)
                ));
            }
            Err(_) => {}
        }
    }
}

fn notifier(plan: &Plan) -> Option<Arc<Notifier>> {
    let channels = plan.notify.clone();
    (!channels.is_empty()).then(|| Arc::new(Notifier::new(channels, crate::variable)))
}

fn timetable(plan: &Plan, memory: &Memory) -> Timetable {
    let timed = plan.jobs.iter().filter_map(|job| {
        let timing = job.timing.clone()?;
        Some((timing, memory.past(&job.name)))
    });
    Timetable::new(timed, plan.at_once, Timestamp::now())
}
