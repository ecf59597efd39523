//! The stores from outside.

mod conforming;
