//! The one way to the tables: a transaction of one tenant.
//!
//! [`Books`] binds the tenant as `$1` of every statement and takes statements only as constants, so
//! none is put together at run time. That each of them uses its `$1` on every table it names is
//! what `tests/it/school/sql.rs` reads in the source of this module.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use mcp_runtime::{Caller, Changes, Tenant, ToolError, ToolResult};
use serde_json::Value as Json;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, Column, FromRow, Row, Transaction, TypeInfo};

use super::School;
use crate::platform::db::{millis, new_id};

/// A transaction on the records of one tenant. Dropped without `close`, it changes nothing.
pub(super) struct Books<'a> {
    tx: Transaction<'static, Any>,
    tenant: &'a Tenant,
    /// What a tenant that has written nothing yet counts its money in.
    currency: String,
    pub(super) now: Timestamp,
}

/// What is bound to `$2` and on.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Int(Option<i64>),
    Text(Option<String>),
}

/// The values behind the tenant, in their order.
macro_rules! values {
    ($($value:expr),* $(,)?) => { [$($crate::school::books::Value::from($value)),*] };
}
pub(super) use values;

impl School {
    /// To look something up.
    pub(super) async fn read<'a>(&self, tenant: &'a Tenant) -> ToolResult<Books<'a>> {
        let inner = self.open()?;
        Ok(Books {
            tx: inner.db.begin_read().await?,
            tenant,
            currency: inner.settings.currency.clone(),
            now: inner.clock.now(),
        })
    }

    /// To change something. A tenant that comes for the first time gets its row; the row is locked,
    /// so that the changes of one school happen one after the other, and counts them.
    pub(super) async fn write<'a>(&self, tenant: &'a Tenant) -> ToolResult<Books<'a>> {
        let inner = self.open()?;
        let mut books = Books {
            tx: inner.db.begin_write().await?,
            tenant,
            currency: inner.settings.currency.clone(),
            now: inner.clock.now(),
        };
        let (currency, now) = (inner.settings.currency.as_str(), books.millis());
        books
            .run(
                "INSERT INTO tenants (tenant_id, name, currency, created_at)
                 VALUES ($1, $1, $2, $3)
                 ON CONFLICT (tenant_id) DO UPDATE SET revision = tenants.revision + 1",
                values![currency, now],
            )
            .await?;
        // Whoever had to wait comes after those it waited for.
        books.now = inner.clock.now();
        Ok(books)
    }
}

impl Books<'_> {
    /// All rows.
    pub(super) async fn all<T, const N: usize>(
        &mut self,
        sql: &'static str,
        values: [Value; N],
    ) -> ToolResult<Vec<T>>
    where
        T: for<'r> FromRow<'r, AnyRow>,
    {
        let rows = bound(sql, self.tenant, values)?
            .fetch_all(&mut *self.tx)
            .await?;
        let rows: sqlx::Result<Vec<T>> = rows.iter().map(T::from_row).collect();
        Ok(rows?)
    }

    /// The row, if there is one.
    pub(super) async fn one<T, const N: usize>(
        &mut self,
        sql: &'static str,
        values: [Value; N],
    ) -> ToolResult<Option<T>>
    where
        T: for<'r> FromRow<'r, AnyRow>,
    {
        let row = bound(sql, self.tenant, values)?
            .fetch_optional(&mut *self.tx)
            .await?;
        Ok(row.as_ref().map(T::from_row).transpose()?)
    }

    /// The number that a statement with one row and one column finds.
    pub(super) async fn number<const N: usize>(
        &mut self,
        sql: &'static str,
        values: [Value; N],
    ) -> ToolResult<i64> {
        let row: Option<(i64,)> = self.one(sql, values).await?;
        Ok(row.map_or(0, |(number,)| number))
    }

    /// Changes rows; returns how many.
    pub(super) async fn run<const N: usize>(
        &mut self,
        sql: &'static str,
        values: [Value; N],
    ) -> ToolResult<u64> {
        let done = bound(sql, self.tenant, values)?
            .execute(&mut *self.tx)
            .await?;
        Ok(done.rows_affected())
    }

    /// All rows as JSON, whatever columns they have.
    pub(super) async fn dump<const N: usize>(
        &mut self,
        sql: &'static str,
        values: [Value; N],
    ) -> ToolResult<Vec<Json>> {
        let rows = bound(sql, self.tenant, values)?
            .fetch_all(&mut *self.tx)
            .await?;
        rows.iter().map(as_json).collect()
    }

    /// Writes down who did what.
    pub(super) async fn note(
        &mut self,
        caller: &Caller,
        action: &'static str,
        what: (&'static str, &str),
        changes: &Json,
    ) -> ToolResult<()> {
        let (id, now) = (self.new_id(), self.millis());
        self.run(
            "INSERT INTO audit (tenant_id, id, user_id, action, resource_type, resource_id,
                changes, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
            values![
                id,
                actor(caller),
                action,
                what.0,
                what.1,
                changes.to_string(),
                now
            ],
        )
        .await?;
        Ok(())
    }

    /// Keeps what was changed, and tells those who watch these resources of this tenant.
    pub(super) async fn close(self, changes: &Changes, touched: &[&'static str]) -> ToolResult<()> {
        self.tx.commit().await?;
        for uri in touched {
            changes.resource_of(self.tenant, uri);
        }
        Ok(())
    }

    /// Keeps what was changed, of which no resource tells.
    pub(super) async fn keep(self) -> ToolResult<()> {
        Ok(self.tx.commit().await?)
    }

    /// What the tenant counts its money in.
    pub(super) async fn currency(&mut self) -> ToolResult<String> {
        let row: Option<(String,)> = self
            .one(
                "SELECT t.currency FROM tenants t WHERE t.tenant_id = $1",
                values![],
            )
            .await?;
        Ok(row.map_or_else(|| self.currency.clone(), |(currency,)| currency))
    }

    pub(super) fn tenant(&self) -> &Tenant {
        self.tenant
    }

    pub(super) fn millis(&self) -> i64 {
        millis(self.now)
    }

    pub(super) fn today(&self) -> Date {
        self.now.to_zoned(TimeZone::UTC).date()
    }

    pub(super) fn new_id(&self) -> String {
        new_id(self.now)
    }
}

/// Who acts, as the audit log knows them.
pub(super) fn actor(caller: &Caller) -> &str {
    caller.subject().unwrap_or_default()
}

/// A business refusal: what is wrong and what to do, with a code for programs.
pub(super) fn refused(code: &'static str, message: impl Into<String>) -> ToolError {
    ToolError::new(message.into()).code(code)
}

fn bound<const N: usize>(
    sql: &'static str,
    tenant: &Tenant,
    values: [Value; N],
) -> ToolResult<Query<'static, Any, AnyArguments>> {
    // PostgreSQL has no such texts; what can be kept does not depend on the database.
    let holds_nul = |value: &Value| matches!(value, Value::Text(Some(text)) if text.contains('\0'));
    if values.iter().any(holds_nul) {
        return Err(refused(
            "invalid_text",
            "A text has the character U+0000, which cannot be kept. Leave it out.",
        ));
    }
    let query = sqlx::query(sql).bind(tenant.as_str().to_owned());
    Ok(values.into_iter().fold(query, |query, value| match value {
        Value::Int(value) => query.bind(value),
        Value::Text(value) => query.bind(value),
    }))
}

fn as_json(row: &AnyRow) -> ToolResult<Json> {
    let mut object = serde_json::Map::new();
    for column in row.columns() {
        let at = column.ordinal();
        let value = match column.type_info().name() {
            "BIGINT" => row.try_get::<Option<i64>, _>(at)?.into(),
            _ => match row.try_get::<Option<String>, _>(at) {
                Ok(text) => text.into(),
                // A null has no type of its own in SQLite.
                Err(_) => row.try_get::<Option<i64>, _>(at)?.into(),
            },
        };
        object.insert(column.name().to_owned(), value);
    }
    Ok(Json::Object(object))
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<u32> for Value {
    fn from(value: u32) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Int(Some(value.into()))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(Some(value.to_owned()))
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(Some(value.clone()))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

impl From<Option<String>> for Value {
    fn from(value: Option<String>) -> Self {
        Self::Text(value)
    }
}

impl From<Option<&str>> for Value {
    fn from(value: Option<&str>) -> Self {
        Self::Text(value.map(str::to_owned))
    }
}

impl From<Date> for Value {
    fn from(value: Date) -> Self {
        Self::Text(Some(value.to_string()))
    }
}

impl From<Option<Date>> for Value {
    fn from(value: Option<Date>) -> Self {
        Self::Text(value.map(|date| date.to_string()))
    }
}
