//! Rows on their way into a table.

use sqlx::{Any, AssertSqlSafe, Transaction};

pub(super) struct Table {
    name: &'static str,
    columns: &'static str,
    rows: Vec<Vec<Value>>,
}

/// PostgreSQL wants to know of what kind an absent value is.
pub(super) enum Value {
    Int(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
}

impl Table {
    pub(super) fn new(name: &'static str, columns: &'static str) -> Self {
        Self {
            name,
            columns,
            rows: Vec::new(),
        }
    }

    pub(super) fn row<const N: usize>(&mut self, values: [Value; N]) {
        self.rows.push(values.into());
    }

    /// Forty rows a statement: thousands of single inserts would make every start wait.
    pub(super) async fn write(self, tx: &mut Transaction<'static, Any>) -> sqlx::Result<()> {
        let width = self.columns.split(',').count();
        let mut rows = self.rows.into_iter();
        loop {
            let batch: Vec<_> = rows.by_ref().take(40).collect();
            if batch.is_empty() {
                return Ok(());
            }
            let places: Vec<String> = (0..batch.len())
                .map(|row| {
                    let row: Vec<_> = (1..=width)
                        .map(|n| format!("${}", row * width + n))
                        .collect();
                    format!("({})", row.join(", "))
                })
                .collect();
            let sql = format!(
                "INSERT INTO {} ({}) VALUES {}",
                self.name,
                self.columns,
                places.join(", ")
            );
            // Names come from this file, values are bound.
            let mut query = sqlx::query(AssertSqlSafe(sql));
            for value in batch.into_iter().flatten() {
                query = match value {
                    Value::Int(n) => query.bind(n),
                    Value::Real(x) => query.bind(x),
                    Value::Text(text) => query.bind(text),
                };
            }
            query.execute(&mut **tx).await?;
        }
    }
}

pub(super) fn text(text: &str) -> Value {
    Value::Text(Some(text.to_owned()))
}

pub(super) fn int(n: i64) -> Value {
    Value::Int(Some(n))
}

pub(super) fn maybe(n: Option<i64>) -> Value {
    Value::Int(n)
}
