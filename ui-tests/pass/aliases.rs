//! An alias changes nothing: the rule is about the `&`.
#![deny(warnings)]
use mcp_runtime::prelude::*;
use std::sync::Arc;

struct Ledger;

type Book = Ledger;
type Cents = u32;
type MaybeCents = Option<Cents>;
type Who = Caller;

trait Mailer: Send + Sync {}
type AnyMailer = dyn Mailer;

struct Post;
impl Mailer for Post {}

#[derive(Lend)]
struct App {
    ledger: Ledger,
    mailer: Arc<AnyMailer>,
}

/// Refund.
#[mcp_tool(authenticated)]
async fn refund(
    book: &Book,
    ledger: &Ledger,
    who: &Who,
    mailer: &AnyMailer,
    same: &dyn Mailer,
    shared: &Arc<dyn Mailer>,
    app: &App,
    #[arg(range = 1..)] cents: Cents,
    more: MaybeCents,
) -> Cents {
    let _ = (book, ledger, who, mailer, same, shared, app);
    cents + more.unwrap_or(0)
}

fn main() {
    let _: ToolSet<App> = tools![refund];
    let app = App { ledger: Ledger, mailer: Arc::new(Post) };
    let _ = (app.ledger, app.mailer);
}
