//! What is deleted, and what never is.

mod faults;
mod meanwhile;
mod model;
