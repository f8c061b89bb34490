//! Looking through the records of one user: by words, and by counting.

use std::collections::BTreeMap;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::Platform;
use super::super::db::{instant, millis};
use super::entities::object;
use super::entity::{ALL, Entity, uid};
use super::expression::Expression;
use super::rows::{After, MAX_PAGE, Row, length, page};
use super::sessions::Synced;
use super::trouble::Trouble;

/// So many records are looked at for one answer; the cursor leads on.
const LOOKED_AT: usize = 2_000;
/// For one sum, which has no cursor.
const SUMMED: usize = 20_000;
const MAX_GROUPS: usize = 200;
const AT_ONCE: i64 = 100;

type Body = Result<Bytes, BytesRejection>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    query: String,
    entities: Option<Vec<String>>,
    filter: Option<String>,
    limit: Option<usize>,
    cursor: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Aggregate {
    entity: String,
    group_by: String,
    metric: Metric,
    since: Option<Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Metric {
    Count,
    Min,
    Max,
}

pub(super) async fn search(
    State(platform): State<Platform>,
    synced: Synced,
    body: Body,
) -> Result<Json<Value>, Trouble> {
    let asked: Search = read(body)?;
    let query = Expression::read(&asked.query)?;
    let filter = asked.filter.as_deref().map(Expression::read).transpose()?;
    let limit = asked.limit.unwrap_or(20).clamp(1, 100);
    let kinds = kinds(asked.entities)?;
    let (mut nth, mut after) = asked
        .cursor
        .as_deref()
        .and_then(position)
        .unwrap_or((0, start()));
    let mut connection = platform.0.db.pool().acquire().await?;
    let (mut found, mut size, mut looked_at) = (Vec::new(), 0, 0);
    while let Some(entity) = ALL.get(nth) {
        if !kinds.iter().any(|kind| kind.plural == entity.plural) {
            (nth, after) = (nth + 1, start());
            continue;
        }
        let whose = &synced.whose;
        let rows = page(
            &mut connection,
            whose,
            entity,
            after.clone(),
            AT_ONCE,
            false,
        )
        .await?;
        if rows.is_empty() {
            (nth, after) = (nth + 1, start());
            continue;
        }
        for row in rows {
            let here = After {
                changed_at: row.changed_at,
                uid: row.uid.clone(),
            };
            looked_at += 1;
            let holds = |expression: &Expression| expression.holds(&row.payload);
            if holds(&query) && filter.as_ref().is_none_or(holds) {
                let mut item = json!(row.item());
                item["entity"] = json!(entity.plural);
                size = length(&item).saturating_add(size);
                if size > MAX_PAGE && !found.is_empty() {
                    // The next page begins with it.
                    return Ok(Json(
                        json!({ "items": found, "nextCursor": cursor(nth, &after) }),
                    ));
                }
                found.push(item);
            }
            after = here;
            if found.len() >= limit || looked_at >= LOOKED_AT {
                return Ok(Json(
                    json!({ "items": found, "nextCursor": cursor(nth, &after) }),
                ));
            }
        }
    }
    Ok(Json(json!({ "items": found })))
}

/// Counts the records of each value of a member, or tells when they were changed first or last.
pub(super) async fn aggregate(
    State(platform): State<Platform>,
    synced: Synced,
    body: Body,
) -> Result<Json<Value>, Trouble> {
    let asked: Aggregate = read(body)?;
    let kinds = kinds(Some(vec![asked.entity]))?;
    let since = asked.since.map_or(i64::MIN, millis);
    let mut groups: BTreeMap<String, i64> = BTreeMap::new();
    let (mut after, mut looked_at, mut complete) = (start(), 0, true);
    let mut connection = platform.0.db.pool().acquire().await?;
    for entity in kinds {
        loop {
            let whose = &synced.whose;
            let rows = page(
                &mut connection,
                whose,
                entity,
                after.clone(),
                AT_ONCE,
                false,
            )
            .await?;
            let Some(last) = rows.last() else { break };
            after = After {
                changed_at: last.changed_at,
                uid: last.uid.clone(),
            };
            looked_at += rows.len();
            for row in rows.iter().filter(|row| row.updated_at >= since) {
                for value in values(row, &asked.group_by) {
                    let known = groups.get(&value).copied();
                    if known.is_none() && groups.len() >= MAX_GROUPS {
                        complete = false;
                        continue;
                    }
                    let sum = match (&asked.metric, known) {
                        (Metric::Count, known) => known.unwrap_or(0) + 1,
                        (_, None) => row.updated_at,
                        (Metric::Min, Some(known)) => known.min(row.updated_at),
                        (Metric::Max, Some(known)) => known.max(row.updated_at),
                    };
                    groups.insert(value, sum);
                }
            }
            if looked_at >= SUMMED {
                complete = false;
                break;
            }
        }
    }
    let groups: Vec<Value> = groups
        .into_iter()
        .map(|(value, sum)| match asked.metric {
            Metric::Count => json!({ "value": value, "count": sum }),
            Metric::Min | Metric::Max => json!({ "value": value, "at": instant(sum) }),
        })
        .collect();
    Ok(Json(json!({ "groups": groups, "complete": complete })))
}

/// What a record counts for: each element of a list, a short text for everything else.
fn values(row: &Row, member: &str) -> Vec<String> {
    let short = |text: &str| text.chars().take(200).collect::<String>();
    let one = |value: &Value| match value {
        Value::String(text) => Some(short(text)),
        Value::Bool(_) | Value::Number(_) => Some(value.to_string()),
        _ => None,
    };
    match row.payload.get(member) {
        Some(Value::Array(values)) => {
            let mut values: Vec<String> = values.iter().filter_map(one).collect();
            values.sort();
            values.dedup();
            values
        }
        Some(value) => one(value).into_iter().collect(),
        None => Vec::new(),
    }
}

fn kinds(named: Option<Vec<String>>) -> Result<Vec<&'static Entity>, Trouble> {
    let Some(named) = named.filter(|named| !named.is_empty()) else {
        return Ok(ALL.iter().collect());
    };
    let found = named.iter().map(|name| Entity::named(name)).collect();
    let found: Option<Vec<&'static Entity>> = found;
    found.ok_or_else(|| {
        let known: Vec<_> = ALL.iter().map(|entity| entity.plural).collect();
        let message = format!("there are: {}", known.join(", "));
        Trouble::bad_request("unknown_entity", message)
    })
}

pub(super) fn read<T: serde::de::DeserializeOwned>(body: Body) -> Result<T, Trouble> {
    serde_json::from_value(Value::Object(object(body)?))
        .map_err(|_| Trouble::bad_request("invalid_body", "the body is not what it has to be"))
}

fn start() -> After {
    After {
        changed_at: i64::MIN,
        uid: String::new(),
    }
}

fn cursor(nth: usize, after: &After) -> String {
    URL_SAFE_NO_PAD.encode(format!("{nth}|{}|{}", after.changed_at, after.uid))
}

fn position(cursor: &str) -> Option<(usize, After)> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(cursor).ok()?).ok()?;
    let mut parts = text.splitn(3, '|');
    let nth = parts.next()?.parse().ok()?;
    let changed_at = parts.next()?.parse().ok()?;
    // Before the first record of a kind there is no uid.
    let uid = match parts.next()? {
        "" => String::new(),
        text => uid(text)?,
    };
    Some((nth, After { changed_at, uid }))
}
