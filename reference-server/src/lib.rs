//! The reference server: admin tools on real systems, and the systems themselves.
//!
//! A call comes in through `mcp-runtime`, runs one function of a toolset ([`copilot`], [`records`]),
//! which asks its system through the [`backend`] client; [`proxy`] is a reverse proxy with tools of
//! its own. The system itself, [`platform`], runs in the same
//! process unless the [`config`] names another. [`identity`] says who may call, [`commands`] puts
//! it all together.

pub mod copilot;
pub mod records;
pub mod proxy;
pub mod school;
pub mod toolsets;
pub mod backend;
pub mod platform;
pub mod identity;
pub mod config;
pub mod commands;
mod metrics;
mod traces;
mod app;
mod data;
mod database;
mod random;
mod secret;

pub use app::App;
pub use secret::Secret;
