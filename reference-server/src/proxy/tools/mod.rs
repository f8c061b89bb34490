//! The tools, by what they are about.

pub mod health;
pub mod hosts;
pub mod certificates;
pub mod tokens;
pub mod services;
pub mod logs;
pub mod commands;
pub mod exchange;
