#![allow(unused)]
use mcp_runtime::prelude::*;

#[derive(Lend)]
struct App {
    #[lend(skpi)] //~
    sales: u32,
}

fn main() {}
