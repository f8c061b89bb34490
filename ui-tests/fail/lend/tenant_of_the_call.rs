#![allow(unused)]
use mcp_runtime::prelude::*;

#[derive(Lend)]
struct App {
    tenant: Tenant, //~
}

fn main() {}
