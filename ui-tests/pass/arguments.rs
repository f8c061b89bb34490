//! Every key of `#[arg]`, in every shape.
#![deny(warnings)]
use mcp_runtime::prelude::*;
use std::collections::HashMap;

#[derive(Serialize, Deserialize, JsonSchema, Default)]
enum Reason {
    #[default]
    Damaged,
    Late,
}

#[derive(Clone, Copy)]
struct Limits;

impl Limits {
    const MOST: u32 = 50;
    const LONGEST: usize = 80;
}

fn today() -> String {
    "2026-01-01".into()
}

/// Numbers.
#[mcp_tool(public)]
fn numbers(
    #[arg(range = 1..=50_000)] cents: u32,
    #[arg(range = -5.., default = -5)] down: i64,
    #[arg(range = ..=-1)] below: i8,
    #[arg(range = 0.0..1.0, example = 0.5)] share: f64,
    #[arg(range = 0..1)] whole_ends: f32,
    #[arg(range = 1..=Limits::MOST, default = Limits::MOST / 2)] limited: u32,
    #[arg(range = 0..5_000_000_000)] large: u64,
    #[arg(range = 0x10..=0xff_u16)] hex: u16,
    #[arg(range = 1..=5)] maybe: Option<u8>,
) -> f64 {
    let _ = (cents, down, below, whole_ends, limited, large, hex, maybe);
    share
}

/// Texts and lists.
#[mcp_tool(public)]
fn texts(
    #[arg(len = 1..=Limits::LONGEST)] title: String,
    #[arg(len = 3)] code: String,
    #[arg(len = ..5)] short: Option<String>,
    #[arg(len = 1..)] list: Vec<u8>,
    #[arg(len = ..=9, default)] map: HashMap<String, u8>,
    #[arg(pattern = r"^ord_\w+$", example = "ord_1")] order: String,
    #[arg(format = "date", default = today())] day: String,
    #[arg(secret)] password: String,
    #[arg(rename = "orderId")] order_id: String,
    #[arg(default = 'x')] letter: char,
) -> String {
    let _ = (code, short, list, map, order, day, password, order_id, letter);
    title
}

/// Values of any type.
#[mcp_tool(public)]
fn values(
    #[arg(default)] first: Reason,
    #[arg(default = Reason::Late, example = Reason::Damaged)] second: Reason,
    #[arg(default = "Late", example = "Damaged")] third: Reason,
    #[arg(default = true)] yes: bool,
    #[arg(default = vec![1, 2])] list: Vec<u8>,
    /// Documented, twice constrained.
    #[arg(range = 1..)]
    #[arg(default = 2)]
    twice: u32,
) -> bool {
    let _ = (first, second, third, list, twice);
    yes
}

fn main() {
    let _: ToolSet = tools![numbers, texts, values];
}
