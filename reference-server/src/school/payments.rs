//! Writing down that money came.

use jiff::civil::Date;
use mcp_runtime::prelude::*;
use serde_json::json;

use super::School;
use super::books::{Books, actor, refused, values};
use super::charges::{Receipt, Slip};
use super::invoices::{MOST, Owed, is_of, payable};
use super::offers::PAYMENTS;
use super::people::word;

/// How money came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentMethod {
    Stripe,
    Cash,
    BankTransfer,
    Other,
}

/// A receipt, as process_payment returned it, or its number.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum ReceiptRef {
    Number(String),
    Whole(Receipt),
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PaymentRecorded {
    pub payment_id: String,
    pub invoice_id: String,
    /// `paid`, or `pending` while something is left.
    pub invoice_status: String,
    /// All that was recorded, in minor units.
    pub amount: i64,
    /// What is left of this invoice, in minor units.
    pub balance: i64,
    /// Every invoice the money went to, this one first.
    pub allocations: Vec<Allocation>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Allocation {
    pub payment_id: String,
    pub invoice_id: String,
    pub invoice_status: String,
    /// In minor units.
    pub amount: i64,
    /// In minor units.
    pub balance: i64,
}

/// Write down that money came. Either send student_id and the receipt of process_payment: it
/// settles its invoice, or the oldest that are open. Or send invoice_id, amount (minor units,
/// cents) and payment_method for money that came another way. No transaction counts twice.
#[mcp_tool(title = "Record a payment", scope = "school:admin", role = "admin")]
#[expect(clippy::too_many_arguments, reason = "the parameters of the contract")]
pub async fn record_payment(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    changes: &Changes,
    /// Id of the student whose receipt it is.
    #[arg(len = 1..=64)]
    student_id: Option<String>,
    /// The receipt of process_payment, or its receipt_number.
    receipt: Option<ReceiptRef>,
    /// The invoice that is paid.
    #[arg(len = 1..=64)]
    invoice_id: Option<String>,
    /// How much came, in minor units (cents).
    #[arg(range = 1..=MOST)]
    amount: Option<i64>,
    /// How it came.
    payment_method: Option<PaymentMethod>,
    /// What the bank or the gateway calls it.
    #[arg(len = 1..=200, pattern = r"\S")]
    transaction_id: Option<String>,
    /// The day it came; today unless said otherwise.
    payment_date: Option<Date>,
    /// Anything worth remembering.
    #[arg(len = ..=1000)]
    notes: Option<String>,
) -> ToolResult<PaymentRecorded> {
    let mut books = school.write(tenant).await?;
    let (student, day) = (student_id.as_deref(), payment_date.unwrap_or(books.today()));
    let money = match (receipt, invoice_id, amount, payment_method) {
        (Some(receipt), None, None, None) => books.money_of_receipt(student, &receipt).await?,
        (None, Some(invoice), Some(amount), Some(method)) => {
            let invoice = books.invoice(&invoice).await?;
            is_of(&invoice, student)?;
            let transaction = transaction_id.map(|name| name.trim().to_owned());
            let said = (amount, word(method), transaction);
            books.money_by_hand(invoice, said).await?
        }
        _ => {
            return Err(refused(
                "payment_incomplete",
                "Send student_id and receipt, or invoice_id, amount and payment_method; not both.",
            ));
        }
    };
    let allocations = books.settle(caller, &money, day, notes).await?;
    books.close(changes, &[PAYMENTS]).await?;
    Ok(PaymentRecorded::of(money.amount, allocations))
}

impl PaymentRecorded {
    /// Money always goes to one invoice at least.
    fn of(amount: i64, allocations: Vec<Allocation>) -> Self {
        let first = allocations[0].clone();
        Self {
            payment_id: first.payment_id,
            invoice_id: first.invoice_id,
            invoice_status: first.invoice_status,
            amount,
            balance: first.balance,
            allocations,
        }
    }
}

/// Money that came, and the invoices it goes to.
struct Money {
    amount: i64,
    method: String,
    transaction_id: Option<String>,
    invoices: Vec<Owed>,
    receipt: Option<String>,
}

impl Books<'_> {
    /// The money that somebody says came for an invoice. Where its transaction is that of a charge,
    /// it is the money of that receipt.
    async fn money_by_hand(
        &mut self,
        invoice: Owed,
        (amount, method, transaction_id): (i64, String, Option<String>),
    ) -> ToolResult<Money> {
        let invoice = payable(invoice)?;
        let slip = match &transaction_id {
            Some(transaction) => self.slip_of_transaction(transaction).await?,
            None => None,
        };
        if let Some(slip) = &slip {
            is_its_money(slip, &invoice, amount)?;
        }
        Ok(Money {
            amount,
            method,
            transaction_id,
            invoices: vec![invoice],
            receipt: slip.map(|slip| slip.id),
        })
    }

    /// The money of a receipt. Only its number is believed; what else stands in it has to agree.
    async fn money_of_receipt(
        &mut self,
        student_id: Option<&str>,
        receipt: &ReceiptRef,
    ) -> ToolResult<Money> {
        let (number, said) = match receipt {
            ReceiptRef::Number(number) => (number, None),
            ReceiptRef::Whole(whole) => (&whole.receipt_number, Some(whole)),
        };
        let Some(student_id) = student_id else {
            return Err(refused(
                "student_missing",
                "Say whose receipt it is: send student_id.",
            ));
        };
        let slip: Option<Slip> = self
            .one(
                "SELECT r.id, r.student_id, r.invoice_id, r.amount, r.currency, r.transaction_id,
                    r.status, r.settled, r.created_at
                 FROM receipts r
                 WHERE r.tenant_id = $1 AND r.id = $2 AND r.student_id = $3
                    AND r.status = 'captured'",
                values![number, student_id],
            )
            .await?;
        let slip = slip.filter(|slip| said.is_none_or(|said| agrees(said, slip)));
        let Some(slip) = slip else {
            return Err(refused(
                "receipt_not_found",
                "There is no such receipt of this student. Send it as process_payment returned it.",
            ));
        };
        if slip.settled == 1 {
            return Err(recorded_already());
        }
        // Its own invoice first; what that no longer needs goes to the oldest of the others.
        let mut invoices = self.open_invoices(student_id).await?;
        if let Some(id) = &slip.invoice_id {
            invoices.sort_by_key(|owed| owed.id != *id);
        }
        Ok(Money {
            amount: slip.amount,
            method: "stripe".to_owned(),
            transaction_id: slip.transaction_id,
            invoices,
            receipt: Some(slip.id),
        })
    }

    /// Whether the money was not recorded before, and there is something to pay with it.
    async fn may_settle(&mut self, money: &Money) -> ToolResult<()> {
        if let Some(transaction) = &money.transaction_id {
            let known = self
                .number(
                    "SELECT COUNT(*) FROM payments p
                     WHERE p.tenant_id = $1 AND LOWER(TRIM(p.transaction_id)) = LOWER($2)",
                    values![transaction.trim()],
                )
                .await?;
            if known > 0 {
                return Err(recorded_already());
            }
        }
        let open: i64 = money
            .invoices
            .iter()
            .map(|owed| owed.amount - owed.paid)
            .sum();
        if money.amount > open {
            return Err(refused(
                "overpayment",
                format!("Only {open} is open there (in minor units). Record that or less."),
            )
            .data(json!({"open": open})));
        }
        // Charged money was given its room before it was taken.
        match (&money.receipt, money.invoices.as_slice()) {
            (None, [invoice]) => self.leaves_room(invoice, money.amount).await,
            _ => Ok(()),
        }
    }

    /// Spreads the money over its invoices, all of it.
    async fn settle(
        &mut self,
        caller: &Caller,
        money: &Money,
        day: Date,
        notes: Option<String>,
    ) -> ToolResult<Vec<Allocation>> {
        self.may_settle(money).await?;
        let mut left = money.amount;
        let mut allocations = Vec::new();
        for invoice in &money.invoices {
            let part = left.min(invoice.amount - invoice.paid);
            if part > 0 {
                allocations.push(
                    self.pay(caller, money, (invoice, part), day, &notes)
                        .await?,
                );
                left -= part;
            }
        }
        if let Some(receipt) = &money.receipt {
            let now = self.millis();
            self.run(
                "UPDATE receipts SET settled = 1, updated_at = $3
                 WHERE tenant_id = $1 AND id = $2 AND settled = 0",
                values![receipt, now],
            )
            .await?;
        }
        Ok(allocations)
    }

    async fn pay(
        &mut self,
        caller: &Caller,
        money: &Money,
        (invoice, part): (&Owed, i64),
        day: Date,
        notes: &Option<String>,
    ) -> ToolResult<Allocation> {
        let (id, now) = (self.new_id(), self.millis());
        self.run(
            "INSERT INTO payments (tenant_id, id, invoice_id, student_id, amount, currency, method,
                transaction_id, payment_date, notes, recorded_by, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
            values![
                &id,
                &invoice.id,
                &invoice.student_id,
                part,
                &invoice.currency,
                &money.method,
                money.transaction_id.clone(),
                day,
                notes.clone(),
                actor(caller),
                now
            ],
        )
        .await?;
        let balance = invoice.amount - invoice.paid - part;
        let status = if balance == 0 { "paid" } else { "pending" };
        self.run(
            "UPDATE invoices SET paid = paid + $3, status = $4, updated_at = $5
             WHERE tenant_id = $1 AND id = $2",
            values![&invoice.id, part, status, now],
        )
        .await?;
        let facts = json!({"invoice_id": invoice.id, "amount": part, "method": money.method});
        self.note(caller, "record_payment", ("payment", &id), &facts)
            .await?;
        Ok(Allocation {
            payment_id: id,
            invoice_id: invoice.id.clone(),
            invoice_status: status.to_owned(),
            amount: part,
            balance,
        })
    }
}

/// Whether a receipt that somebody sent says what was written down.
fn agrees(said: &Receipt, slip: &Slip) -> bool {
    let known = Receipt::from(slip.clone());
    let transaction = said.transaction_id.trim();
    transaction.eq_ignore_ascii_case(known.transaction_id.trim())
        && said.student_id == known.student_id
        && said.amount == known.amount
        && said.currency == known.currency
        && said.status == known.status
        && said.created_at == known.created_at
}

/// Whether this much for this invoice is what the receipt says.
fn is_its_money(slip: &Slip, invoice: &Owed, amount: i64) -> ToolResult<()> {
    if slip.settled == 1 {
        return Err(recorded_already());
    }
    let same = slip.student_id == invoice.student_id && slip.amount == amount;
    if same && amount <= invoice.amount - invoice.paid {
        return Ok(());
    }
    let (number, student, charged) = (&slip.id, &slip.student_id, slip.amount);
    Err(refused(
        "receipt_mismatch",
        format!(
            "The transaction is that of the receipt {number}: {charged} (in minor units) of the \
             student {student}. Send that student_id and this receipt instead of an invoice."
        ),
    )
    .data(json!({"receipt_number": number, "student_id": student, "amount": charged})))
}

fn recorded_already() -> ToolError {
    refused(
        "already_recorded",
        "This transaction is recorded already. Nothing is left to do.",
    )
}
