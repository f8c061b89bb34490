#![allow(unused)]
use mcp_runtime::prelude::*;

#[derive(Lend)]
struct App<M> {
    mailer: M, //~
}

fn main() {}
