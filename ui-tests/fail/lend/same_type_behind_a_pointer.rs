#![allow(unused)]
use mcp_runtime::prelude::*;
use std::sync::Arc;

struct Ledger;

#[derive(Lend)]
struct App {
    ledger: Ledger,
    archive: Arc<Ledger>, //~
}

fn main() {}
