//! A state may have parameters of its own, and a tool works for every state that can lend.
#![deny(warnings)]
use mcp_runtime::prelude::*;
use std::sync::Arc;

struct Ledger;
struct Held<T>(T);

#[derive(Lend)]
struct App<T: Send + Sync + 'static, const N: usize>
where
    T: Clone,
{
    ledger: Ledger,
    held: Held<T>,
    shared: Arc<T>,
    pair: Box<(T, u8)>,
    #[lend(skip)]
    bare: T,
}

#[derive(Lend)]
struct Tuple(Ledger, #[lend(skip)] u32, Box<dyn Fn() -> u32 + Send + Sync>);

#[derive(Lend)]
struct Unit;

/// Works for every state with a ledger.
#[mcp_tool(public)]
fn look(ledger: &Ledger) {
    let _ = ledger;
}

/// Needs one kind of state.
#[mcp_tool(public)]
fn hold(held: &Held<String>, whole: &App<String, 3>) -> usize {
    held.0.len() + whole.bare.len()
}

/// Calls what it is lent.
#[mcp_tool(public)]
fn compute(number: &(dyn Fn() -> u32 + Send + Sync)) -> u32 {
    number()
}

type Check = dyn for<'a> Fn(&'a str) -> &'a str + Send + Sync;

#[derive(Lend)]
struct Checks {
    check: Box<Check>,
    parse: fn(&str) -> usize,
    forever: std::borrow::Cow<'static, str>,
}

/// Takes what takes references, and what lives forever.
#[mcp_tool(public)]
fn apply(
    check: &Check,
    parse: &fn(&str) -> usize,
    forever: &std::borrow::Cow<'static, str>,
) -> usize {
    parse(check(forever))
}

/// Takes the whole state.
#[mcp_tool(public)]
fn whole(unit: &Unit) {
    let _ = unit;
}

fn main() {
    let _: ToolSet<App<String, 3>> = tools![look, hold];
    let _: ToolSet<Tuple> = tools![look, compute];
    let _: ToolSet<Unit> = tools![whole];
    let _: ToolSet<Checks> = tools![apply];
    let checks = Checks { check: Box::new(|text| text), parse: str::len, forever: "x".into() };
    assert_eq!(apply(&checks.check, &checks.parse, &checks.forever), 1);
    let app = App::<u8, 0> { ledger: Ledger, held: Held(1), shared: Arc::new(1), pair: Box::new((1, 2)), bare: 1 };
    let _ = (app.ledger, app.held.0, app.shared, app.pair.0, app.bare);
    let tuple = Tuple(Ledger, 1, Box::new(|| 1));
    let _ = (tuple.0, tuple.1, tuple.2());
}
