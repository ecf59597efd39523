//! The plan of what is done when, and who does it.
//!
//! | module | what it does |
//! |---|---|
//! | `plan` | the file, as people write it |
//! | `job` | one job of it: the command line that does the same by itself |
//! | `occurrences` | when a cron expression is due |
//! | `timetable` | which job begins when: pure, by a clock that it is told |
//! | `memory` | what was done, kept in a file over restarts |
//! | `explain` | a plan in words |
//! | `run` | the process that follows a plan |

mod explain;
mod job;
mod memory;
mod occurrences;
mod plan;
mod run;
mod timetable;

pub(crate) use explain::explain;
pub(crate) use plan::Plan;
pub(crate) use run::run;
