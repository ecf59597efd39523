//! What is deleted, and what never is.

mod faults;
mod model;
