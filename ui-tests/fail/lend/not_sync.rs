#![allow(unused)]
use mcp_runtime::prelude::*;
use std::cell::Cell;

#[derive(Lend)]
struct App {
    sales: Cell<u32>, //~
}

fn main() {}
