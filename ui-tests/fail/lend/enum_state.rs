#![allow(unused)]
use mcp_runtime::prelude::*;

#[derive(Lend)]
enum App { //~
    Open,
    Closed,
}

fn main() {}
