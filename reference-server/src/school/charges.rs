//! Taking money.
//!
//! A charge is written down as `pending` before the gateway hears of it, and as `captured` after:
//! whoever calls again with the same key finishes what a crash interrupted, and the gateway, which
//! knows the key, too, takes the money once.

use mcp_runtime::prelude::*;
use serde_json::json;
use sqlx::FromRow;

use super::School;
use super::books::{Books, actor, refused, values};
use super::gateway::{Charge, ChargeError};
use super::invoices::{MOST, Owed, is_of, payable};
use crate::platform::db::instant;

/// How money is taken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnlineMethod {
    Stripe,
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
pub(super) struct Slip {
    pub(super) id: String,
    pub(super) student_id: String,
    pub(super) invoice_id: Option<String>,
    pub(super) amount: i64,
    pub(super) currency: String,
    pub(super) transaction_id: Option<String>,
    pub(super) status: String,
    pub(super) settled: i64,
    pub(super) created_at: i64,
}

/// A charge that is not recorded yet, with what it takes to finish it.
#[derive(Debug, FromRow, Serialize)]
struct UnderWay {
    receipt_number: String,
    invoice_id: Option<String>,
    amount: i64,
    /// `pending`, or `captured`.
    status: String,
    idempotency_key: String,
    requested_by: String,
}

/// What a charge is for.
struct Order<'a> {
    student_id: &'a str,
    invoice_id: Option<&'a str>,
    amount: i64,
    currency: Option<&'a str>,
    key: &'a str,
}

impl Order<'_> {
    /// Whether the receipt is for this. Without a currency, that of the school is meant.
    fn fits(&self, slip: &Slip) -> bool {
        slip.student_id == self.student_id
            && slip.amount == self.amount
            && slip.invoice_id.as_deref() == self.invoice_id
            && self.currency.is_none_or(|wanted| wanted == slip.currency)
    }
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

/// The receipt of this key, whoever used it first; pending when it is new.
async fn begin(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    order: &Order<'_>,
) -> ToolResult<Slip> {
    let mut books = school.write(tenant).await?;
    let slips = books.slips_of_key(actor(caller), order.key).await?;
    if !slips.is_empty() {
        let same = slips.into_iter().find(|slip| order.fits(slip));
        return same.ok_or_else(|| {
            refused(
                "idempotency_key_reused",
                "This idempotency_key belongs to another payment. Choose a new one.",
            )
        });
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
        Ok(transaction) => ("captured".to_owned(), Some(transaction.trim().to_owned())),
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

impl Books<'_> {
    /// Whether this much is owed; returns the currency.
    async fn may_charge(&mut self, order: &Order<'_>) -> ToolResult<String> {
        self.active(order.student_id, super::people::Role::Student)
            .await?;
        let currency = self.currency().await?;
        if order.currency.is_some_and(|wanted| wanted != currency) {
            return Err(refused(
                "wrong_currency",
                format!("The school counts in {currency}: leave the currency out."),
            ));
        }
        let mut invoice = None;
        if let Some(id) = order.invoice_id {
            let found = payable(self.invoice(id).await?)?;
            is_of(&found, Some(order.student_id))?;
            invoice = Some(found);
        }
        let charges = self.under_way(order.student_id).await?;
        let open = self
            .open(order.student_id, invoice.as_ref(), &charges)
            .await?;
        if order.amount <= open {
            return Ok(currency);
        }
        Err(refused(
            "amount_too_high",
            format!("Only {open} is open (in minor units). Charge that or less."),
        )
        .data(json!({"open": open})))
    }

    /// Whether so much can be recorded of an invoice beside the charges whose money is yet to be
    /// recorded: with less room than for both, the student would pay twice.
    pub(super) async fn leaves_room(&mut self, invoice: &Owed, amount: i64) -> ToolResult<()> {
        let charges = self.under_way(&invoice.student_id).await?;
        let open = self
            .open(&invoice.student_id, Some(invoice), &charges)
            .await?;
        if amount <= open {
            return Ok(());
        }
        Err(refused(
            "payment_under_way",
            format!(
                "The student was charged, and that is not recorded yet: beside it, only {open} is \
                 open (in minor units). Finish the charge first: call process_payment with the \
                 same idempotency_key as before, then record_payment with its receipt. Or record \
                 what is open."
            ),
        )
        .data(json!({"open": open, "charges": charges})))
    }

    /// What a student has yet to pay, of all invoices and of this one. What is charged and not yet
    /// recorded counts as paid.
    async fn open(
        &mut self,
        student_id: &str,
        invoice: Option<&Owed>,
        charges: &[UnderWay],
    ) -> ToolResult<i64> {
        let all = self.open_invoices(student_id).await?;
        let owed: i64 = all.iter().map(|owed| owed.amount - owed.paid).sum();
        let charged: i64 = charges.iter().map(|charge| charge.amount).sum();
        let mut open = owed - charged;
        if let Some(invoice) = invoice {
            let of_it = charges
                .iter()
                .filter(|charge| charge.invoice_id.as_ref() == Some(&invoice.id));
            let charged: i64 = of_it.map(|charge| charge.amount).sum();
            open = open.min(invoice.amount - invoice.paid - charged);
        }
        Ok(open.max(0))
    }

    /// What a student was charged that is not recorded yet, the oldest first. A charge that was
    /// recorded by its transaction before its own answer came is recorded, too.
    async fn under_way(&mut self, student_id: &str) -> ToolResult<Vec<UnderWay>> {
        self.all(
            "SELECT r.id AS receipt_number, r.invoice_id, r.amount, r.status, r.idempotency_key,
                r.requested_by
             FROM receipts r
             WHERE r.tenant_id = $1 AND r.student_id = $2 AND r.settled = 0
                AND r.status <> 'declined'
                AND r.amount > (SELECT COALESCE(SUM(p.amount), 0) FROM payments p
                    WHERE p.tenant_id = $1 AND p.student_id = $2
                        AND LOWER(TRIM(p.transaction_id)) = LOWER(TRIM(r.transaction_id)))
             ORDER BY r.created_at, r.id",
            values![student_id],
        )
        .await
    }

    /// The receipt of money that the gateway calls so.
    pub(super) async fn slip_of_transaction(
        &mut self,
        transaction: &str,
    ) -> ToolResult<Option<Slip>> {
        self.one(
            "SELECT r.id, r.student_id, r.invoice_id, r.amount, r.currency, r.transaction_id,
                r.status, r.settled, r.created_at
             FROM receipts r
             WHERE r.tenant_id = $1 AND LOWER(TRIM(r.transaction_id)) = LOWER($2)
                AND r.status = 'captured'
             ORDER BY r.settled, r.created_at, r.id LIMIT 1",
            values![transaction.trim()],
        )
        .await
    }

    /// The receipts of a key: one at most, unless several used it when everybody had keys of their
    /// own. Then the own one comes first.
    async fn slips_of_key(&mut self, who: &str, key: &str) -> ToolResult<Vec<Slip>> {
        self.all(
            "SELECT r.id, r.student_id, r.invoice_id, r.amount, r.currency, r.transaction_id,
                r.status, r.settled, r.created_at
             FROM receipts r
             WHERE r.tenant_id = $1 AND r.idempotency_key = $2
             ORDER BY CASE WHEN r.requested_by = $3 THEN 0 ELSE 1 END, r.older_namesakes",
            values![key, who],
        )
        .await
    }
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
