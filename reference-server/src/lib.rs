//! The reference server: admin tools on real systems, and the systems themselves.

pub mod platform;
