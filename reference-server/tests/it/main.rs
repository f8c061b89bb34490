//! The reference server from outside: the REST API, the tools over it, the client between them,
//! and the program itself.

mod acceptance;
mod databases;
mod platform;
mod copilot;
mod records;
mod prose;
mod proxy;
mod backend;
mod binary;
mod config;
mod dependencies;
mod school;
#[path = "../../../xtask/src/relay.rs"]
mod relay;
