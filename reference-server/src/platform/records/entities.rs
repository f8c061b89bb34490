//! The eight operations on one kind of record.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, FromRequestParts, Path, Query as Pairs, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::super::Platform;
use super::super::answer::Problem;
use super::super::query::Query;
use super::entity::{Entity, MAX_DEPTH, Payload, uid};
use super::rows::{After, Item, Row, Write, find, page};
use super::sessions::Synced;
use super::trouble::Trouble;
use crate::random::uuid4;

/// The largest page.
pub(super) const MAX_LIMIT: i64 = 1_000;
const DEFAULT_LIMIT: i64 = 500;

type Kind = Extension<&'static Entity>;
type Body = Result<Bytes, BytesRejection>;
type Answer = Result<Json<Item>, Trouble>;

pub(super) async fn list(
    State(platform): State<Platform>,
    synced: Synced,
    Extension(entity): Kind,
    uri: Uri,
) -> Result<Json<Value>, Trouble> {
    let mut query = page_query(&uri);
    let (limit, after) = paging(&mut query);
    let with_deleted = query.flag("includeDeleted").unwrap_or(false);
    finish(query)?;
    let mut connection = platform.0.db.pool().acquire().await?;
    let rows = page(
        &mut connection,
        &synced.whose,
        entity,
        after,
        limit,
        with_deleted,
    )
    .await?;
    let next = rows.last().map(cursor);
    let items: Vec<Item> = rows.into_iter().map(Row::item).collect();
    let mut body = json!({ "items": items });
    if let Some(next) = next {
        body["nextCursor"] = next.into();
    }
    Ok(Json(body))
}

pub(super) async fn get(
    State(platform): State<Platform>,
    synced: Synced,
    Extension(entity): Kind,
    Path(uid): Path<String>,
    uri: Uri,
) -> Answer {
    let mut query = Query::of(&uri);
    let with_deleted = query.flag("includeDeleted").unwrap_or(false);
    finish(query)?;
    let uid = checked(&uid)?;
    let mut connection = platform.0.db.pool().acquire().await?;
    let row = find(&mut connection, &synced.whose, entity.plural, &uid).await?;
    let row = row.ok_or_else(Trouble::not_found)?;
    let row = if with_deleted { row } else { row.alive()? };
    Ok(Json(row.item()))
}

pub(super) async fn create(
    State(platform): State<Platform>,
    synced: Synced,
    Extension(entity): Kind,
    body: Body,
) -> Result<(StatusCode, Json<Item>), Trouble> {
    let mut payload = object(body)?;
    let parent = entity.settle(&mut payload)?;
    let mut write = Write::begin(&platform, &synced).await?;
    write.check_parent(&parent).await?;
    let row = write.insert(entity, uuid4(), payload, None).await?;
    write.commit().await?;
    Ok((StatusCode::CREATED, Json(row.item())))
}

pub(super) async fn replace(this: This, body: Body) -> Answer {
    let (entity, mut payload) = (this.entity, object(body)?);
    this.change(move |before| {
        entity.carry_over(before, &mut payload);
        Ok(payload)
    })
    .await
}

pub(super) async fn patch(this: This, body: Body) -> Answer {
    let updates = object(body)?;
    this.change(move |before| {
        let mut payload = before.clone();
        payload.extend(updates);
        Ok(payload)
    })
    .await
}

pub(super) async fn delete(this: This) -> Answer {
    let (mut write, row) = this.begin().await?;
    let row = write.delete(this.entity, row).await?;
    write.commit().await?;
    Ok(Json(row.tombstone()))
}

pub(super) async fn archive(this: This) -> Answer {
    let entity = this.entity;
    this.change(|before| {
        let mut payload = before.clone();
        entity.archive(&mut payload);
        Ok(payload)
    })
    .await
}

pub(super) async fn process(this: This, body: Body) -> Answer {
    // Metadata is taken, and of no effect.
    let asked = object(body)?;
    let action = asked
        .get("action")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let entity = this.entity;
    this.change(|before| {
        let mut payload = before.clone();
        entity.process(action, &mut payload)?;
        Ok(payload)
    })
    .await
}

/// A request that changes one record.
pub(super) struct This {
    platform: Platform,
    synced: Synced,
    entity: &'static Entity,
    uid: String,
    headers: HeaderMap,
}

impl FromRequestParts<Platform> for This {
    type Rejection = Response;

    async fn from_request_parts(
        parts: &mut Parts,
        platform: &Platform,
    ) -> Result<Self, Self::Rejection> {
        let synced = Synced::from_request_parts(parts, platform).await;
        let kind = Kind::from_request_parts(parts, platform).await;
        let uid = Path::from_request_parts(parts, platform).await;
        Ok(Self {
            platform: platform.clone(),
            synced: synced.map_err(IntoResponse::into_response)?,
            entity: kind.map_err(IntoResponse::into_response)?.0,
            uid: uid
                .map(|Path(uid)| uid)
                .map_err(IntoResponse::into_response)?,
            headers: std::mem::take(&mut parts.headers),
        })
    }
}

impl This {
    /// The record as it is, in a transaction, if it is what the caller expects.
    async fn begin(&self) -> Result<(Write, Row), Trouble> {
        let uid = checked(&self.uid)?;
        let expected = expected(&self.headers)?;
        let mut write = Write::begin(&self.platform, &self.synced).await?;
        let row = write.existing(self.entity, &uid).await?;
        compare(expected, &row)?;
        Ok((write, row))
    }

    /// The record becomes what `changed` makes of it.
    async fn change(self, changed: impl FnOnce(&Payload) -> Result<Payload, Trouble>) -> Answer {
        let (mut write, row) = self.begin().await?;
        let row = apply(&mut write, self.entity, row, changed).await?;
        write.commit().await?;
        Ok(Json(row.item()))
    }
}

/// The next version of `row`. What it belongs to has to be there when that changes.
pub(super) async fn apply(
    write: &mut Write,
    entity: &Entity,
    row: Row,
    changed: impl FnOnce(&Payload) -> Result<Payload, Trouble>,
) -> Result<Row, Trouble> {
    let mut payload = changed(&row.payload)?;
    let parent = entity.settle(&mut payload)?;
    // What the record was is not judged: it may be this change that mends it.
    let before = entity.reference(&row.payload).ok().flatten();
    if parent != before {
        write.check_parent(&parent).await?;
    }
    write.update(entity, row, payload, None).await
}

/// The version that the caller expects: `If-Match: 3`, in quotes or bare.
fn expected(headers: &HeaderMap) -> Result<Option<i64>, Trouble> {
    let mut values = headers.get_all(header::IF_MATCH).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = value.to_str().unwrap_or_default().trim();
    let bare = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'));
    match bare.unwrap_or(text).parse() {
        Ok(version) if values.next().is_none() => Ok(Some(version)),
        _ => {
            let message = "If-Match must be the version of the record, a whole number";
            Err(Trouble::bad_request("invalid_if_match", message))
        }
    }
}

pub(super) fn compare(expected: Option<i64>, row: &Row) -> Result<(), Trouble> {
    match expected {
        Some(expected) if expected != row.version => {
            let message = format!(
                "the record has version {}, not {expected}: read it again",
                row.version
            );
            let trouble =
                Trouble::new(StatusCode::PRECONDITION_FAILED, "version_mismatch", message);
            Err(trouble.with("version", row.version))
        }
        _ => Ok(()),
    }
}

/// The parameters of a request for a page. Control characters are refused everywhere but in a
/// cursor, which then is a bad one like any other.
pub(super) fn page_query(uri: &Uri) -> Query {
    let is_bad =
        |(name, value): &(String, String)| name == "cursor" && value.chars().any(char::is_control);
    let pairs = Pairs::<Vec<(String, String)>>::try_from_uri(uri);
    if !pairs.is_ok_and(|Pairs(pairs)| pairs.iter().any(is_bad)) {
        return Query::of(uri);
    }
    let parts = uri.query().unwrap_or_default().split('&');
    let kept: Vec<&str> = parts.filter(|part| !part.starts_with("cursor=")).collect();
    let rest = format!("/?{}", kept.join("&")).parse::<Uri>();
    Query::of(rest.as_ref().unwrap_or(uri))
}

/// `limit` and `cursor`. Too large a limit is taken for the largest, a bad cursor for none.
pub(super) fn paging(query: &mut Query) -> (i64, After) {
    let limit = query
        .int("limit", DEFAULT_LIMIT, 1..=i64::MAX)
        .min(MAX_LIMIT);
    let after = query.text("cursor").as_deref().and_then(position);
    let start = After {
        changed_at: i64::MIN,
        uid: String::new(),
    };
    (limit, after.unwrap_or(start))
}

/// After this record: milliseconds, bar, uid, in unpadded base64url.
pub(super) fn cursor(row: &Row) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}|{}", row.changed_at, row.uid))
}

fn position(cursor: &str) -> Option<After> {
    let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (at, id) = text.split_once('|')?;
    Some(After {
        changed_at: at.parse().ok()?,
        uid: uid(id)?,
    })
}

pub(super) fn checked(text: &str) -> Result<String, Trouble> {
    uid(text).ok_or_else(|| Trouble::bad_request("invalid_uid", "a uid is a UUID"))
}

pub(super) fn finish(query: Query) -> Result<(), Trouble> {
    let refused = query.finish().map_err(Problem::logged);
    refused.map_err(|(_, error, message, _)| Trouble::bad_request(error, message))
}

pub(super) fn object(body: Body) -> Result<Payload, Trouble> {
    let bytes = body.map_err(|rejection| {
        let message = "the body did not arrive whole, or is too large";
        Trouble::new(rejection.status(), "invalid_body", message)
    })?;
    let object = serde_json::from_slice(&bytes);
    object.map_err(|_| {
        let message = format!(
            "the body must be a JSON object, and a record in it have at most {MAX_DEPTH} lists and \
             objects within each other"
        );
        Trouble::bad_request("invalid_body", message)
    })
}
