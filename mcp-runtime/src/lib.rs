//! The runtime.
mod clock;
pub use clock::Clock;
