//! The reference server from outside: the REST API, the tools over it, the client between them,
//! and the program itself.

mod databases;
mod platform;
mod copilot;
mod records;
mod proxy;
mod backend;
mod binary;
mod config;
mod school;
