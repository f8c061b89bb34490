//! Taking money, and writing down that it came.
//!
//! A charge is written down as `pending` before the gateway hears of it, and as `captured` after:
//! whoever calls again with the same key finishes what a crash interrupted, and the gateway, which
//! knows the key, too, takes the money once.

use jiff::civil::Date;
use mcp_runtime::prelude::*;
use serde_json::json;
use sqlx::FromRow;

use super::School;
use super::books::{Books, actor, refused, values};
use super::gateway::{Charge, ChargeError};
use super::invoices::{MOST, Owed};
use super::offers::PAYMENTS;
use super::people::word;
use crate::platform::db::instant;

/// How money is taken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnlineMethod {
    Stripe,
}

/// How money came.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PaymentMethod {
    Stripe,
    Cash,
    BankTransfer,
    Other,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PaymentProcessed {
    pub receipt: Receipt,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    pub receipt_number: String,
    pub transaction_id: String,
    pub student_id: String,
    /// In minor units (cents).
    pub amount: i64,
    pub currency: String,
    /// `captured`
    pub status: String,
    pub created_at: jiff::Timestamp,
}

/// A receipt as the tables know it.
#[derive(Clone, Debug, FromRow)]
struct Slip {
    id: String,
    student_id: String,
    invoice_id: Option<String>,
    amount: i64,
    currency: String,
    transaction_id: Option<String>,
    status: String,
    settled: i64,
    created_at: i64,
}

/// What a charge is for.
struct Order<'a> {
    student_id: &'a str,
    invoice_id: Option<&'a str>,
    amount: i64,
    currency: Option<&'a str>,
    key: &'a str,
}

/// Charge a student, up to what is open on their invoices. Takes real money, so agree on student
/// and amount (minor units, cents) first. Choose a new idempotency_key for every payment; after a
/// lost answer call again with the same one: nothing is charged twice. Then pass the receipt to
/// record_payment.
#[mcp_tool(
    title = "Process a payment",
    scope = "school:admin",
    role = "admin",
    destructive,
    idempotent,
    open_world
)]
#[expect(clippy::too_many_arguments, reason = "the parameters of the contract")]
pub async fn process_payment(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    /// Id of the student, as get_student_info names it.
    #[arg(len = 1..=64)]
    student_id: String,
    /// What to charge, in minor units (cents).
    #[arg(range = 1..=MOST)]
    amount: i64,
    /// The invoice it is for; without one, the oldest that is open.
    #[arg(len = 1..=64)]
    invoice_id: Option<String>,
    /// Currency of the amount (ISO 4217); it has to be that of the school.
    #[arg(pattern = "^[A-Z]{3}$")]
    currency: Option<String>,
    /// How the money is taken.
    #[arg(default = OnlineMethod::Stripe)]
    method: OnlineMethod,
    /// A name for this payment that was not used before, like a UUID.
    #[arg(len = 1..=255, pattern = "^[!-~]+$")]
    idempotency_key: String,
) -> ToolResult<PaymentProcessed> {
    let OnlineMethod::Stripe = method;
    let order = Order {
        student_id: &student_id,
        invoice_id: invoice_id.as_deref(),
        amount,
        currency: currency.as_deref(),
        key: &idempotency_key,
    };
    let slip = begin(school, tenant, caller, &order).await?;
    let receipt = match slip.status.as_str() {
        "captured" => slip,
        "declined" => return Err(declined()),
        _ => charge(school, tenant, caller, slip).await?,
    };
    Ok(PaymentProcessed {
        receipt: receipt.into(),
    })
}

/// The receipt of this key, pending when it is new.
async fn begin(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    order: &Order<'_>,
) -> ToolResult<Slip> {
    let mut books = school.write(tenant).await?;
    if let Some(slip) = books.slip_of_key(actor(caller), order.key).await? {
        let same = slip.student_id == order.student_id
            && slip.amount == order.amount
            && slip.invoice_id.as_deref() == order.invoice_id;
        if same {
            return Ok(slip);
        }
        return Err(refused(
            "idempotency_key_reused",
            "This idempotency_key belongs to another payment. Choose a new one.",
        ));
    }
    let currency = books.may_charge(order).await?;
    let slip = Slip {
        id: format!("R-{}", books.new_id()),
        student_id: order.student_id.to_owned(),
        invoice_id: order.invoice_id.map(str::to_owned),
        amount: order.amount,
        currency,
        transaction_id: None,
        status: "pending".to_owned(),
        settled: 0,
        created_at: books.millis(),
    };
    books
        .run(
            "INSERT INTO receipts (tenant_id, id, student_id, invoice_id, amount, currency, status,
                settled, idempotency_key, requested_by, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, 'pending', 0, $7, $8, $9, $9)",
            values![
                &slip.id,
                &slip.student_id,
                slip.invoice_id.clone(),
                slip.amount,
                &slip.currency,
                order.key,
                actor(caller),
                slip.created_at
            ],
        )
        .await?;
    books.keep().await?;
    Ok(slip)
}

/// Takes the money and writes down how that went.
async fn charge(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    mut slip: Slip,
) -> ToolResult<Slip> {
    let charge = Charge {
        key: format!("{tenant}:{}", slip.id),
        amount: slip.amount,
        currency: slip.currency.clone(),
    };
    let outcome = school.open()?.gateway.charge(&charge).await;
    (slip.status, slip.transaction_id) = match outcome {
        Ok(transaction) => ("captured".to_owned(), Some(transaction)),
        Err(ChargeError::Declined) => ("declined".to_owned(), None),
        Err(ChargeError::Unavailable(source)) => {
            return Err(refused(
                "payment_unavailable",
                "The payment service cannot be reached. Call again with the same \
                 idempotency_key: nothing is charged twice.",
            )
            .caused_by(source));
        }
    };
    let mut books = school.write(tenant).await?;
    let now = books.millis();
    // Somebody who called at the same time may have been quicker.
    books
        .run(
            "UPDATE receipts SET status = $3, transaction_id = $4, updated_at = $5
             WHERE tenant_id = $1 AND id = $2 AND status = 'pending'",
            values![&slip.id, &slip.status, slip.transaction_id.clone(), now],
        )
        .await?;
    let facts =
        json!({"student_id": slip.student_id, "amount": slip.amount, "status": slip.status});
    books
        .note(caller, "process_payment", ("receipt", &slip.id), &facts)
        .await?;
    books.keep().await?;
    if slip.status == "declined" {
        return Err(declined());
    }
    Ok(slip)
}

fn declined() -> ToolError {
    refused(
        "payment_declined",
        "The payment was declined, and nothing was charged. Ask the student for another way to \
         pay, and use a new idempotency_key.",
    )
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
    #[arg(len = 1..=200)]
    transaction_id: Option<String>,
    /// The day it came; today unless said otherwise.
    payment_date: Option<Date>,
    /// Anything worth remembering.
    #[arg(len = ..=1000)]
    notes: Option<String>,
) -> ToolResult<PaymentRecorded> {
    let mut books = school.write(tenant).await?;
    let day = payment_date.unwrap_or(books.today());
    let money = match (receipt, invoice_id, amount, payment_method) {
        (Some(receipt), None, None, None) => {
            books
                .money_of_receipt(student_id.as_deref(), &receipt)
                .await?
        }
        (None, Some(invoice), Some(amount), Some(method)) => {
            let invoice = books.invoice(&invoice).await?;
            if student_id.is_some_and(|student| student != invoice.student_id) {
                return Err(refused(
                    "wrong_student",
                    "The invoice is another student's.",
                ));
            }
            Money::by_hand(invoice, amount, word(method), transaction_id)?
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
    let first = allocations[0].clone();
    Ok(PaymentRecorded {
        payment_id: first.payment_id,
        invoice_id: first.invoice_id,
        invoice_status: first.invoice_status,
        amount: money.amount,
        balance: first.balance,
        allocations,
    })
}

/// Money that came, and the invoices it goes to.
struct Money {
    amount: i64,
    method: String,
    transaction_id: Option<String>,
    invoices: Vec<Owed>,
    receipt: Option<String>,
}

impl Money {
    fn by_hand(
        invoice: Owed,
        amount: i64,
        method: String,
        transaction_id: Option<String>,
    ) -> ToolResult<Self> {
        Ok(Self {
            amount,
            method,
            transaction_id,
            invoices: vec![payable(invoice)?],
            receipt: None,
        })
    }
}

fn payable(invoice: Owed) -> ToolResult<Owed> {
    if invoice.status == "cancelled" {
        return Err(refused(
            "invoice_cancelled",
            "The invoice is cancelled: nothing is owed.",
        ));
    }
    Ok(invoice)
}

impl Books<'_> {
    /// Whether this much is owed; returns the currency. What is charged and not yet recorded
    /// counts as paid.
    async fn may_charge(&mut self, order: &Order<'_>) -> ToolResult<String> {
        self.active(order.student_id, super::people::Role::Student)
            .await?;
        let currency = self.currency().await?.unwrap_or_default();
        if order.currency.is_some_and(|wanted| wanted != currency) {
            return Err(refused(
                "wrong_currency",
                format!("The school counts in {currency}: leave the currency out."),
            ));
        }
        let all = self.open_invoices(order.student_id).await?;
        let mut open = all.iter().map(|owed| owed.amount - owed.paid).sum::<i64>()
            - self.under_way(order.student_id, "").await?;
        if let Some(id) = order.invoice_id {
            let invoice = payable(self.invoice(id).await?)?;
            if invoice.student_id != order.student_id {
                return Err(refused(
                    "wrong_student",
                    "The invoice is another student's.",
                ));
            }
            let of_it = self.under_way(order.student_id, id).await?;
            open = open.min(invoice.amount - invoice.paid - of_it);
        }
        let open = open.max(0);
        if order.amount <= open {
            return Ok(currency);
        }
        Err(refused(
            "amount_too_high",
            format!("Only {open} is open (in minor units). Charge that or less."),
        )
        .data(json!({"open": open})))
    }

    /// What a student was charged that is not recorded yet, for one invoice or (empty) for all.
    async fn under_way(&mut self, student_id: &str, invoice_id: &str) -> ToolResult<i64> {
        self.number(
            "SELECT CAST(COALESCE(SUM(r.amount), 0) AS BIGINT) FROM receipts r
             WHERE r.tenant_id = $1 AND r.student_id = $2 AND r.settled = 0
                AND r.status <> 'declined' AND ($3 = '' OR r.invoice_id = $3)",
            values![student_id, invoice_id],
        )
        .await
    }

    async fn slip_of_key(&mut self, who: &str, key: &str) -> ToolResult<Option<Slip>> {
        self.one(
            "SELECT r.id, r.student_id, r.invoice_id, r.amount, r.currency, r.transaction_id,
                r.status, r.settled, r.created_at
             FROM receipts r
             WHERE r.tenant_id = $1 AND r.requested_by = $2 AND r.idempotency_key = $3",
            values![who, key],
        )
        .await
    }

    /// The money of a receipt. Only its number is believed; what else stands in it has to agree.
    async fn money_of_receipt(
        &mut self,
        student_id: Option<&str>,
        receipt: &ReceiptRef,
    ) -> ToolResult<Money> {
        let (number, said) = match receipt {
            ReceiptRef::Number(number) => (number, None),
            ReceiptRef::Whole(whole) => (&whole.receipt_number, Some(whole.amount)),
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
        let slip = slip.filter(|slip| said.is_none_or(|said| said == slip.amount));
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

    /// Spreads the money over its invoices, all of it.
    async fn settle(
        &mut self,
        caller: &Caller,
        money: &Money,
        day: Date,
        notes: Option<String>,
    ) -> ToolResult<Vec<Allocation>> {
        if let Some(transaction) = &money.transaction_id {
            let known = self
                .number(
                    "SELECT COUNT(*) FROM payments p
                     WHERE p.tenant_id = $1 AND p.transaction_id = $2",
                    values![transaction],
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

fn recorded_already() -> ToolError {
    refused(
        "already_recorded",
        "This transaction is recorded already. Nothing is left to do.",
    )
}

impl From<Slip> for Receipt {
    fn from(slip: Slip) -> Self {
        Self {
            receipt_number: slip.id,
            transaction_id: slip.transaction_id.unwrap_or_default(),
            student_id: slip.student_id,
            amount: slip.amount,
            currency: slip.currency,
            status: slip.status,
            created_at: instant(slip.created_at),
        }
    }
}
