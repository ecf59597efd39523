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
    notify::{Notice, Notifier},
    session::Session,
};

/// The longest it sleeps: clocks are set, and machines suspended.
const LONGEST_SLEEP: Duration = Duration::from_secs(30);
/// The first pause before what never ends is begun again, and the longest.
const AGAIN: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(300));
/// How long it has to be up for the pauses to begin from the first again, and for its next failure to be told.
const STEADY: Duration = Duration::from_secs(600);

/// Follows a plan until a signal ends it; SIGHUP has the plan read again.
pub(crate) async fn run(
    session: &Session,
    file: &Path,
    lookup: Lookup<'_>,
) -> anyhow::Result<Exit> {
    let plan = Plan::read(file, lookup)?;
    let memory = Memory::open(&plan.state)?;
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
        following.step()?;
        let sleep = following.sleep();
        tokio::select! {
            () = session.cancel.cancelled() => break,
            Some(over) = following.tasks.join_next_with_id() => following.over(over)?,
            _ = hang_ups.recv() => match Plan::read(file, lookup) {
                Ok(plan) => following.reload(plan)?,
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
        following.over(over)?;
    }
    while following.aside.join_next().await.is_some() {}
    Ok(Exit::Done)
}

/// What is under way.
struct Running {
    job: Arc<Job>,
    /// When it was due; `None` for what never ends.
    due: Option<Timestamp>,
    since: Instant,
    cancel: CancellationToken,
}

/// When something is begun again that should not have ended.
struct Again {
    at: Instant,
    pause: Duration,
}

/// A plan that is followed.
struct Following<'a> {
    session: &'a Session,
    plan: Plan,
    table: Timetable,
    memory: Memory,
    /// Stops everything that is under way.
    cancel: CancellationToken,
    tasks: JoinSet<Exit>,
    /// What goes on beside them: metrics are served, and people told.
    aside: JoinSet<()>,
    registry: Arc<Registry>,
    notifier: Option<Arc<Notifier>>,
    running: HashMap<Id, Running>,
    again: HashMap<String, Again>,
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
        }
    }

    /// Begins what is due, and what never ends.
    fn step(&mut self) -> anyhow::Result<()> {
        for step in self.table.steps(Timestamp::now()) {
            match step {
                Step::Begin { job, due, attempt } => {
                    let Some(job) = self.timed(job) else { continue };
                    let again = match attempt {
                        1 => String::new(),
                        attempt => format!(", attempt {attempt}"),
                    };
                    self.session
                        .console
                        .log(format_args!("{}: begins, due at {due}{again}", job.name));
                    let is_last = job.timing.as_ref().is_none_or(|it| attempt > it.retries);
                    self.begin(job, Some(due), !is_last);
                }
                Step::Skip { job, due } => {
                    let Some(job) = self.timed(job) else { continue };
                    self.missed(&job, due);
                }
            }
        }
        let endless: Vec<_> = self
            .plan
            .jobs
            .iter()
            .filter(|job| job.timing.is_none())
            .cloned()
            .collect();
        for job in endless {
            let waits = self
                .again
                .get(&job.name)
                .is_some_and(|again| again.at > Instant::now());
            if !waits && !self.is_running(&job.name) {
                self.session
                    .console
                    .log(format_args!("{}: begins", job.name));
                let has_failed = self.again.contains_key(&job.name);
                self.begin(job, None, has_failed);
            }
        }
        self.note()
    }

    fn is_running(&self, name: &str) -> bool {
        self.running
            .values()
            .any(|running| running.job.name == name)
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

    /// Tells that a job was left out.
    fn missed(&mut self, job: &Job, due: Timestamp) {
        let message = format!(
            "{}: left out, since it could not begin within its start window; it was due at {due}",
            job.name
        );
        let console = self.session.console.clone();
        console.always(&message);
        if let Some(notifier) = self.notifier.clone() {
            let notice = Notice::of_missed(job.kind.as_str(), &message);
            self.aside.spawn(async move {
                tell_of_failures(&console, &notifier.send(&notice).await);
            });
        }
        while self.aside.try_join_next().is_some() {}
    }

    /// Begins a job. `is_quiet` if nobody is told when it fails soon, since it will be tried again.
    fn begin(&mut self, job: Arc<Job>, due: Option<Timestamp>, is_quiet: bool) {
        let cancel = self.cancel.child_token();
        let (operation, registry) = (job.kind.as_str(), Arc::clone(&self.registry));
        let monitor = Monitor::of_job(operation, self.notifier.clone(), Arc::clone(&registry));
        let quiet = is_quiet.then(|| Monitor::of_job(operation, None, registry));
        let session = self.session.of_job(&job.name, cancel.clone(), monitor);
        let running = Running {
            job: Arc::clone(&job),
            due,
            since: Instant::now(),
            cancel,
        };
        let begun = running.since;
        let task = self.tasks.spawn(async move {
            let exit = job.run(&session).await.unwrap_or_else(|error| {
                session.outcome.failed(&error);
                failure::tell(&session.console, &error);
                Exit::of(&error, session.strict)
            });
            let is_soon = exit == Exit::Failed && begun.elapsed() < STEADY;
            match quiet.as_ref().filter(|_| is_soon).or(session.monitor()) {
                Some(monitor) if !session.cancel.is_cancelled() => {
                    monitor.tell(&session, exit).await
                }
                _ => exit,
            }
        });
        self.running.insert(task.id(), running);
    }

    /// How long nothing is to be done, if nothing ends.
    fn sleep(&self) -> Duration {
        let now = Timestamp::now();
        let next = self.table.next(now);
        let next = next.and_then(|next| Duration::try_from(next.duration_since(now)).ok());
        let again = self.again.values();
        let again = again.map(|again| again.at.saturating_duration_since(Instant::now()));
        let soonest = again.chain(next).min().unwrap_or(LONGEST_SLEEP);
        soonest.clamp(Duration::from_millis(10), LONGEST_SLEEP)
    }

    /// Takes note of what ended.
    fn over(&mut self, over: Result<(Id, Exit), JoinError>) -> anyhow::Result<()> {
        let console = &self.session.console;
        let (id, exit) = match over {
            Ok(over) => over,
            Err(error) => {
                console.always(format_args!("a bug ended a job: {error}"));
                (error.id(), Exit::Failed)
            }
        };
        let Some(running) = self.running.remove(&id) else {
            return Ok(());
        };
        let name = &running.job.name;
        let seconds = running.since.elapsed().as_secs();
        console.log(format_args!(
            "{name}: ended with {} after {seconds} seconds",
            exit.code()
        ));
        let is_cancelled = running.cancel.is_cancelled();
        if running.due.is_none() {
            self.endless_ended(&running, is_cancelled);
            return Ok(());
        }
        let Some(place) = self.place(name) else {
            return Ok(());
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
        self.note()
    }

    fn endless_ended(&mut self, running: &Running, is_cancelled: bool) {
        let name = running.job.name.clone();
        if is_cancelled {
            self.again.remove(&name);
            return;
        }
        let before = self.again.get(&name).map(|again| again.pause);
        let pause = match before {
            Some(pause) if running.since.elapsed() < STEADY => (pause * 2).min(AGAIN.1),
            _ => AGAIN.0,
        };
        let at = Instant::now() + pause;
        self.again.insert(name, Again { at, pause });
    }

    /// Follows another plan from now on. What is under way goes on, but what never ends and is not in it as it was.
    fn reload(&mut self, plan: Plan) -> anyhow::Result<()> {
        let is_moved = plan.metrics_listen != self.plan.metrics_listen;
        if is_moved || plan.state != self.plan.state {
            self.session.console.always(
                "the plan stays what it was: to change `state` or `metrics-listen`, end this process and begin another",
            );
            return Ok(());
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
        let jobs = &self.plan.jobs;
        self.again
            .retain(|name, _| jobs.iter().any(|job| job.name == *name));
        self.session.console.log("the plan was read again");
        self.note()
    }

    /// Keeps what is known of each job.
    fn note(&mut self) -> anyhow::Result<()> {
        let timed = self.plan.jobs.iter().filter(|job| job.timing.is_some());
        for (place, job) in timed.enumerate() {
            if let Some(past) = self.table.past(place) {
                self.memory.note(&job.name, past)?;
            }
        }
        Ok(())
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
