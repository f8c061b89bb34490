//! The runtime.
pub mod confirm;
pub mod idempotency;
pub mod store;

mod clock;
mod digest;

pub use clock::Clock;
