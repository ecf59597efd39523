//! The stores from outside.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod classes;
mod conforming;
mod faults;
mod options;
mod policies;
mod posture;
mod server_side;
mod uploads;
