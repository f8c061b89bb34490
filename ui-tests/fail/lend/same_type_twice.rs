#![allow(unused)]
use mcp_runtime::prelude::*;

#[derive(Lend)]
struct App {
    sales: u32,
    refunds: u32, //~
}

fn main() {}
