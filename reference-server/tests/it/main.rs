//! The reference server from the outside.

mod platform;
