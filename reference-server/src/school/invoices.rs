//! What students owe. Money is whole minor units (cents) everywhere.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::civil::Date;
use mcp_runtime::prelude::*;
use serde_json::json;
use sqlx::FromRow;

use super::School;
use super::books::{Books, refused, values};
use super::offers::PAYMENTS;
use super::people::{Role, word};

/// The largest amount of money that a tool takes, in minor units.
pub(super) const MOST: i64 = 100_000_000_000;

/// An invoice as the tables know it.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Owed {
    pub(super) id: String,
    pub(super) number: String,
    pub(super) student_id: String,
    pub(super) amount: i64,
    pub(super) paid: i64,
    pub(super) currency: String,
    pub(super) description: String,
    pub(super) due_date: String,
    pub(super) status: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceStatus {
    Pending,
    Paid,
    Overdue,
    Cancelled,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Invoice {
    pub invoice_id: String,
    pub number: String,
    pub student_id: String,
    /// In minor units, like cents.
    pub amount: i64,
    /// In minor units.
    pub paid: i64,
    pub currency: String,
    pub description: String,
    pub due_date: String,
    /// `pending`, `paid`, `overdue` or `cancelled`.
    pub status: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct InvoiceList {
    /// Due first comes first.
    pub invoices: Vec<Invoice>,
    /// Pass it as `cursor` to get the next page; null on the last one.
    pub next_cursor: Option<String>,
    pub limit: u32,
}

/// Invoices page by page, those due first at the beginning, filtered by student, status or due
/// date. Amounts are in minor units (cents). For all about one student call get_student_info.
#[mcp_tool(
    title = "List invoices",
    scope = "school:admin",
    role = "admin",
    read_only
)]
pub async fn list_invoices(
    school: &School,
    tenant: &Tenant,
    /// Only invoices of this student.
    #[arg(len = 1..=64)]
    student_id: Option<String>,
    /// Only invoices with this status.
    status: Option<InvoiceStatus>,
    /// Only invoices due before this day (2026-01-31).
    due_before: Option<Date>,
    /// How many to return on a page.
    #[arg(range = 1..=200, default = 50)]
    limit: u32,
    /// `next_cursor` of the page before, unchanged.
    #[arg(len = 1..=200)]
    cursor: Option<String>,
) -> ToolResult<InvoiceList> {
    let (after_day, after_id) = cursor
        .as_deref()
        .map_or(Ok(Default::default()), read_cursor)?;
    let wanted = Wanted {
        student_id,
        status,
        due_before,
        after: (after_day, after_id),
        most: limit + 1,
    };
    let mut rows = school.read(tenant).await?.invoices(wanted).await?;
    let more = rows.len() > limit as usize;
    rows.truncate(limit as usize);
    let next_cursor = rows
        .last()
        .filter(|_| more)
        .map(|last| URL_SAFE_NO_PAD.encode(format!("{} {}", last.due_date, last.id)));
    Ok(InvoiceList {
        invoices: rows.into_iter().map(Invoice::from).collect(),
        next_cursor,
        limit,
    })
}

/// Which invoices, in the order in which they are due.
struct Wanted {
    student_id: Option<String>,
    status: Option<InvoiceStatus>,
    due_before: Option<Date>,
    /// The day and the id of the last one of the page before.
    after: (String, String),
    most: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LineItem {
    /// What it is.
    #[schemars(length(min = 1, max = 200))]
    pub description: String,
    /// How many.
    #[schemars(range(min = 1, max = 10_000))]
    pub quantity: i64,
    /// Price of one, in minor units.
    #[schemars(range(min = 0, max = 10_000_000))]
    pub unit_price: i64,
}

/// Bill a student. The amount is in minor units (cents); where items are given, they have to add
/// up to it. The result names the invoice_id and the number of the invoice.
#[mcp_tool(title = "Create an invoice", scope = "school:admin", role = "admin")]
#[expect(clippy::too_many_arguments, reason = "the parameters of the contract")]
pub async fn create_invoice(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    changes: &Changes,
    /// Id of the student.
    #[arg(len = 1..=64)]
    student_id: String,
    /// What is owed, in minor units (cents).
    #[arg(range = 0..=MOST)]
    amount: i64,
    /// What for.
    #[arg(len = 1..=500, pattern = r"\S")]
    description: String,
    /// The last day to pay (2026-01-31).
    due_date: Date,
    /// What the amount is made of.
    #[arg(len = 1..=100)]
    items: Option<Vec<LineItem>>,
) -> ToolResult<Invoice> {
    let items = items.unwrap_or_default();
    adds_up(amount, &items)?;
    let mut books = school.write(tenant).await?;
    books.active(&student_id, Role::Student).await?;
    let mut invoice = Owed {
        id: books.new_id(),
        number: books.next_number().await?,
        student_id,
        amount,
        paid: 0,
        currency: books.currency().await?,
        description: description.trim().to_owned(),
        due_date: due_date.to_string(),
        status: if amount == 0 { "paid" } else { "pending" }.to_owned(),
    };
    books.add_invoice(&invoice, &items).await?;
    let facts =
        json!({"number": invoice.number, "student_id": invoice.student_id, "amount": amount});
    books
        .note(caller, "create_invoice", ("invoice", &invoice.id), &facts)
        .await?;
    if amount > 0 && due_date < books.today() {
        invoice.status = "overdue".to_owned();
    }
    books.close(changes, &[PAYMENTS]).await?;
    Ok(invoice.into())
}

impl Books<'_> {
    async fn invoices(&mut self, wanted: Wanted) -> ToolResult<Vec<Owed>> {
        let (today, due_before) = (self.today(), wanted.due_before);
        let (after_day, after_id) = wanted.after;
        // An empty text stands for "any".
        self.all(
            "SELECT i.id, i.number, i.student_id, i.amount, i.paid, i.currency, i.description,
                i.due_date, CASE WHEN i.status = 'pending' AND i.due_date < $2 THEN 'overdue'
                    ELSE i.status END AS status
             FROM invoices i
             WHERE i.tenant_id = $1 AND ($3 = '' OR i.student_id = $3)
                AND ($4 = '' OR i.status = $4 AND ($4 <> 'pending' OR i.due_date >= $2)
                    OR $4 = 'overdue' AND i.status = 'pending' AND i.due_date < $2)
                AND ($5 = '' OR i.due_date < $5)
                AND (i.due_date > $6 OR i.due_date = $6 AND i.id > $7)
             ORDER BY i.due_date, i.id LIMIT $8",
            values![
                today,
                wanted.student_id.unwrap_or_default(),
                wanted.status.map(word).unwrap_or_default(),
                due_before.map(|day| day.to_string()).unwrap_or_default(),
                after_day,
                after_id,
                wanted.most
            ],
        )
        .await
    }

    async fn next_number(&mut self) -> ToolResult<String> {
        let count = self
            .number(
                "SELECT COUNT(*) FROM invoices i WHERE i.tenant_id = $1",
                values![],
            )
            .await?;
        Ok(format!("INV-{}-{:05}", self.today().year(), count + 1))
    }

    async fn add_invoice(&mut self, invoice: &Owed, items: &[LineItem]) -> ToolResult<()> {
        let (now, today) = (self.millis(), self.today());
        self.run(
            "INSERT INTO invoices (tenant_id, id, number, student_id, amount, paid, currency,
                description, line_items, issue_date, due_date, status, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, 0, $6, $7, $8, $9, $10, $11, $12, $12)",
            values![
                &invoice.id,
                &invoice.number,
                &invoice.student_id,
                invoice.amount,
                &invoice.currency,
                &invoice.description,
                json!(items).to_string(),
                today,
                &invoice.due_date,
                &invoice.status,
                now
            ],
        )
        .await?;
        Ok(())
    }

    /// What a student has yet to pay, the oldest first.
    pub(super) async fn open_invoices(&mut self, student_id: &str) -> ToolResult<Vec<Owed>> {
        let today = self.today();
        self.all(
            "SELECT i.id, i.number, i.student_id, i.amount, i.paid, i.currency, i.description,
                i.due_date, CASE WHEN i.due_date < $3 THEN 'overdue' ELSE i.status END AS status
             FROM invoices i
             WHERE i.tenant_id = $1 AND i.student_id = $2 AND i.status = 'pending'
             ORDER BY i.due_date, i.id",
            values![student_id, today],
        )
        .await
    }

    pub(super) async fn invoice(&mut self, id: &str) -> ToolResult<Owed> {
        let found = self
            .one(
                "SELECT i.id, i.number, i.student_id, i.amount, i.paid, i.currency, i.description,
                    i.due_date, i.status
                 FROM invoices i WHERE i.tenant_id = $1 AND i.id = $2",
                values![id],
            )
            .await?;
        found.ok_or_else(|| {
            refused(
                "invoice_not_found",
                "There is no invoice with this id. Look with list_invoices.",
            )
        })
    }
}

impl From<Owed> for Invoice {
    fn from(row: Owed) -> Self {
        Self {
            invoice_id: row.id,
            number: row.number,
            student_id: row.student_id,
            amount: row.amount,
            paid: row.paid,
            currency: row.currency,
            description: row.description,
            due_date: row.due_date,
            status: row.status,
        }
    }
}

/// Whether the invoice is this student's, where one is named.
pub(super) fn is_of(invoice: &Owed, student_id: Option<&str>) -> ToolResult<()> {
    if student_id.is_none_or(|student| student == invoice.student_id) {
        return Ok(());
    }
    Err(refused(
        "wrong_student",
        "The invoice is another student's.",
    ))
}

pub(super) fn payable(invoice: Owed) -> ToolResult<Owed> {
    if invoice.status == "cancelled" {
        return Err(refused(
            "invoice_cancelled",
            "The invoice is cancelled: nothing is owed.",
        ));
    }
    Ok(invoice)
}

fn adds_up(amount: i64, items: &[LineItem]) -> ToolResult<()> {
    let sum: i64 = items
        .iter()
        .map(|item| item.quantity * item.unit_price)
        .sum();
    if items.is_empty() || sum == amount {
        return Ok(());
    }
    Err(refused(
        "items_do_not_add_up",
        format!("The items come to {sum}, and the amount is {amount}. Mend one of them."),
    ))
}

fn read_cursor(text: &str) -> ToolResult<(String, String)> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let place = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    let place = place.as_deref().and_then(|text| text.split_once(' '));
    place
        .map(|(day, id)| (day.to_owned(), id.to_owned()))
        .ok_or_else(|| {
            refused(
                "invalid_cursor",
                "This is no cursor. Pass the next_cursor of the page before, unchanged.",
            )
        })
}
