//! `GET /analytics/cohort-retention`: of those who came in one period, who was still there in the
//! periods after.

use axum::extract::State;
use axum::http::Uri;
use jiff::civil::Date;
use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use super::periods::{bucket, earlier, next};
use crate::platform::Platform;
use crate::platform::answer::{Answer, Data, Problem, reply};
use crate::platform::auth::Actor;
use crate::platform::funnel::{four_decimals, rate};
use crate::platform::query::{Query, Window, day};

pub(super) async fn cohorts(
    State(platform): State<Platform>,
    actor: Actor,
    uri: Uri,
) -> Answer<Data<Value>> {
    let now = platform.now();
    let mut query = Query::of(&uri);
    let role = query
        .one_of("user_type", &["student", "instructor"])
        .unwrap_or("student");
    let by = query
        .one_of("cohort_period", &["week", "month"])
        .unwrap_or("month");
    let back = query.int("periods_back", 6, 1..=24);
    let metric = query
        .one_of("metric", &["active", "booking", "revenue"])
        .unwrap_or("active");
    query.finish()?;
    let buckets = Buckets::until(by, day(now), back);
    let sizes = buckets.sizes(&platform, role).await?;
    let seen = buckets.seen(&platform, role, metric).await?;
    let cohorts = shown(&buckets, &sizes, &seen);
    let data = json!({
        "user_type": role,
        "cohort_period": by,
        "metric": metric,
        "avg_retention": average(&cohorts),
        "cohorts": cohorts,
    });
    Ok(reply(actor, now, Data { data }))
}

/// Weeks or months, oldest first; the last one is the current one.
struct Buckets {
    by: &'static str,
    starts: Vec<Date>,
}

impl Buckets {
    /// The current one, and so many before.
    fn until(by: &'static str, today: Date, back: i64) -> Self {
        let current = bucket(by, today);
        let starts = (0..=back).rev().map(|n| earlier(by, current, n)).collect();
        Self { by, starts }
    }

    /// Where each begins, and where the last one ends, in milliseconds.
    fn bounds(&self) -> Vec<i64> {
        let end = |last: &Date| next(self.by, *last).unwrap_or(Date::MAX);
        let ends = self.starts.last().map(end);
        let all = self.starts.iter().copied().chain(ends);
        all.map(|start| {
            Window {
                start: Some(start),
                end: None,
            }
            .millis()
            .0
        })
        .collect()
    }

    /// Which one an instant lies in, in SQL: the bounds are its first parameters.
    fn number(&self, column: &str) -> String {
        let cases: Vec<String> = (1..=self.starts.len())
            .map(|n| format!("WHEN {column} < ${} THEN {}", n + 1, n - 1))
            .collect();
        format!("CAST(CASE {} END AS BIGINT)", cases.join(" "))
    }

    /// How many came in each.
    async fn sizes(&self, platform: &Platform, role: &str) -> Result<Vec<i64>, Problem> {
        let bounds = self.bounds();
        let (last, role_at) = (bounds.len(), bounds.len() + 1);
        // Numbers and columns are put together here, never values.
        let sql = format!(
            "SELECT {} AS cohort, COUNT(*) AS people FROM users u
             WHERE u.created_at >= $1 AND u.created_at < ${last} AND u.role = ${role_at}
             GROUP BY 1",
            self.number("u.created_at")
        );
        let mut query = sqlx::query_as::<_, (i64, i64)>(AssertSqlSafe(sql));
        for bound in bounds {
            query = query.bind(bound);
        }
        let rows = query
            .bind(role.to_owned())
            .fetch_all(platform.0.db.pool())
            .await?;
        let mut sizes = vec![0; self.starts.len()];
        for (cohort, people) in rows {
            if let Some(size) = usize::try_from(cohort).ok().and_then(|n| sizes.get_mut(n)) {
                *size = people;
            }
        }
        Ok(sizes)
    }

    /// Cohort, bucket, and how many of the cohort did something in it.
    async fn seen(
        &self,
        platform: &Platform,
        role: &str,
        metric: &str,
    ) -> Result<Vec<(i64, i64, i64)>, Problem> {
        let bounds = self.bounds();
        let (last, role_at) = (bounds.len(), bounds.len() + 1);
        let sql = format!(
            "SELECT {} AS cohort, {} AS bucket, COUNT(DISTINCT u.id) AS people
             FROM users u JOIN ({}) a ON a.user_id = u.id
             WHERE u.created_at >= $1 AND u.created_at < ${last} AND u.role = ${role_at}
                AND a.happened_at >= $1 AND a.happened_at < ${last}
             GROUP BY 1, 2",
            self.number("u.created_at"),
            self.number("a.happened_at"),
            activity(role, metric),
        );
        let mut query = sqlx::query_as(AssertSqlSafe(sql));
        for bound in bounds {
            query = query.bind(bound);
        }
        let query = query.bind(role.to_owned());
        Ok(query.fetch_all(platform.0.db.pool()).await?)
    }
}

/// What counts: a booking that was made, a lesson that was paid for, or any sign of life.
fn activity(role: &str, metric: &str) -> &'static str {
    match (metric, role) {
        ("booking", "student") => {
            "SELECT student_id AS user_id, created_at AS happened_at FROM bookings"
        }
        ("booking", _) => {
            "SELECT instructor_id AS user_id, created_at AS happened_at FROM bookings"
        }
        ("revenue", "student") => {
            "SELECT student_id AS user_id, starts_at AS happened_at FROM bookings
             WHERE status = 'COMPLETED'"
        }
        ("revenue", _) => {
            "SELECT instructor_id AS user_id, starts_at AS happened_at FROM bookings
             WHERE status = 'COMPLETED'"
        }
        (_, "student") => {
            "SELECT student_id AS user_id, created_at AS happened_at FROM bookings
             UNION ALL
             SELECT user_id, created_at AS happened_at FROM search_queries
             WHERE user_id IS NOT NULL"
        }
        _ => {
            "SELECT instructor_id AS user_id, starts_at AS happened_at FROM bookings
             WHERE status <> 'CANCELLED'
             UNION ALL
             SELECT user_id, occurred_at AS happened_at FROM lifecycle_events"
        }
    }
}

fn shown(buckets: &Buckets, sizes: &[i64], seen: &[(i64, i64, i64)]) -> Vec<Value> {
    let count = |cohort: usize, bucket: usize| {
        let wanted = |row: &&(i64, i64, i64)| {
            usize::try_from(row.0) == Ok(cohort) && usize::try_from(row.1) == Ok(bucket)
        };
        seen.iter().find(wanted).map_or(0, |(_, _, people)| *people)
    };
    let cohorts = buckets.starts.iter().zip(sizes).enumerate();
    cohorts
        .filter(|(_, (_, size))| **size > 0)
        .map(|(cohort, (start, size))| {
            let retention: Vec<f64> = (cohort..buckets.starts.len())
                .map(|bucket| rate(count(cohort, bucket), *size))
                .collect();
            json!({
                "cohort_label": label(buckets.by, *start),
                "cohort_size": size,
                "retention": retention,
            })
        })
        .collect()
}

fn label(by: &str, start: Date) -> String {
    match by {
        "month" => start.strftime("%Y-%m").to_string(),
        _ => start.strftime("%G-W%V").to_string(),
    }
}

/// Over all cohorts and all periods after their first; none when there is no such period.
fn average(cohorts: &[Value]) -> Option<f64> {
    let later = cohorts.iter().flat_map(|cohort| {
        let retention = cohort["retention"].as_array().into_iter().flatten();
        retention.skip(1).filter_map(Value::as_f64)
    });
    let (sum, count) = later.fold((0.0, 0), |(sum, count), share| (sum + share, count + 1));
    (count > 0).then(|| four_decimals(sum / f64::from(count)))
}
