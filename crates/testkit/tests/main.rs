//! The kit tests itself: one binary, because linking counts.

mod dataset;
mod deployment;
mod measure;
