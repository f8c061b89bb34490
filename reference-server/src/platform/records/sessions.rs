//! Sync sessions: a device says hello before it reads or writes, and learns the epoch. A session
//! lives for half an hour, in memory; an epoch lasts until its owner wipes everything.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;

use super::super::Platform;
use super::super::db::{Db, instant, millis};
use super::trouble::Trouble;
use super::who::Whose;
use crate::random::uuid4;

const SESSION: HeaderName = HeaderName::from_static("x-sync-session");
pub(super) const EPOCH: HeaderName = HeaderName::from_static("x-sync-epoch");

const LIFETIME: i64 = 30 * 60 * 1000;
/// Of one owner; the oldest makes room.
const PER_OWNER: usize = 256;
/// Of all owners together.
const IN_ALL: usize = 50_000;

/// The open sessions of this process.
#[derive(Default)]
pub(in super::super) struct Sessions(Mutex<Open>);

#[derive(Default)]
struct Open {
    by_id: HashMap<String, Session>,
    /// Oldest first.
    of: HashMap<Whose, VecDeque<String>>,
}

#[derive(Clone)]
struct Session {
    id: String,
    whose: Whose,
    epoch: i64,
    created: i64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Shown {
    id: String,
    user_id: String,
    created_at: Timestamp,
    expires_at: Timestamp,
    epoch: i64,
}

/// Whose records a request is about, inside of a session of theirs and of the current epoch.
#[derive(Clone)]
pub(super) struct Synced {
    pub(super) whose: Whose,
    pub(super) epoch: i64,
}

pub(super) async fn create(
    State(platform): State<Platform>,
    whose: Whose,
) -> Result<Response, Trouble> {
    let now = millis(platform.now());
    let epoch = epoch_or_first(&platform.0.db, &whose, now).await?;
    let session = platform.0.record_sessions.open(whose, epoch, now)?;
    Ok(shown(StatusCode::CREATED, &session))
}

pub(super) async fn read(
    State(platform): State<Platform>,
    whose: Whose,
    Path(id): Path<String>,
) -> Result<Response, Trouble> {
    let session = platform
        .0
        .record_sessions
        .find(&id, &whose, millis(platform.now()));
    match session? {
        Some(session) => Ok(shown(StatusCode::OK, &session)),
        None => Err(no_session()),
    }
}

pub(super) async fn delete(
    State(platform): State<Platform>,
    whose: Whose,
    Path(id): Path<String>,
) -> Result<StatusCode, Trouble> {
    let sessions = &platform.0.record_sessions;
    match sessions.find(&id, &whose, millis(platform.now()))? {
        Some(session) => sessions.close(&session),
        None => return Err(no_session()),
    }
    Ok(StatusCode::NO_CONTENT)
}

impl FromRequestParts<Platform> for Synced {
    type Rejection = Trouble;

    async fn from_request_parts(parts: &mut Parts, platform: &Platform) -> Result<Self, Trouble> {
        let whose = Whose::from_request_parts(parts, platform).await?;
        let (session, epoch) = (only(&parts.headers, &SESSION), only(&parts.headers, &EPOCH));
        let (Some(session), Some(epoch)) = (session, epoch.and_then(|epoch| epoch.parse().ok()))
        else {
            return Err(session_required());
        };
        // The epoch first: whoever comes with an old one has to start from nothing, and a new
        // session alone would not tell it so.
        let current = epoch_of(&platform.0.db, &whose).await?;
        if current.is_some_and(|current| current != epoch) {
            return Err(epoch_mismatch(current.unwrap_or_default()));
        }
        let found = platform
            .0
            .record_sessions
            .find(session, &whose, millis(platform.now()))?;
        match found.filter(|session| session.epoch == epoch) {
            Some(_) => Ok(Self { whose, epoch }),
            None => Err(session_required()),
        }
    }
}

pub(super) fn epoch_mismatch(current: i64) -> Trouble {
    let message = "everything was wiped since: open a new session, and start from nothing";
    Trouble::new(StatusCode::CONFLICT, "epoch_mismatch", message).with("epoch", current)
}

/// The epoch of an owner who was here before.
pub(super) async fn epoch_of(db: &Db, whose: &Whose) -> sqlx::Result<Option<i64>> {
    let row: Option<(i64,)> =
        sqlx::query_as("SELECT epoch FROM record_owners WHERE tenant_id = $1 AND owner_id = $2")
            .bind(whose.tenant.clone())
            .bind(whose.owner.clone())
            .fetch_optional(db.pool())
            .await?;
    Ok(row.map(|(epoch,)| epoch))
}

/// Owners come to be at first sight.
pub(super) async fn epoch_or_first(db: &Db, whose: &Whose, now: i64) -> sqlx::Result<i64> {
    if let Some(epoch) = epoch_of(db, whose).await? {
        return Ok(epoch);
    }
    sqlx::query(
        "INSERT INTO record_owners (tenant_id, owner_id, epoch, changed_at, created_at)
         VALUES ($1, $2, 1, 0, $3) ON CONFLICT (tenant_id, owner_id) DO NOTHING",
    )
    .bind(whose.tenant.clone())
    .bind(whose.owner.clone())
    .bind(now)
    .execute(db.pool())
    .await?;
    Ok(epoch_of(db, whose).await?.unwrap_or(1))
}

impl Sessions {
    fn open(&self, whose: Whose, epoch: i64, now: i64) -> Result<Session, Trouble> {
        let mut open = self.lock();
        if open.by_id.len() >= IN_ALL {
            open.forget(|session| !session.lives(now));
        }
        if open.by_id.len() >= IN_ALL {
            let message = "there are too many sessions; try again later";
            let trouble = Trouble::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "too_many_sessions",
                message,
            );
            return Err(trouble.retry_after(Duration::from_secs(5)));
        }
        let session = Session {
            id: uuid4(),
            whose: whose.clone(),
            epoch,
            created: now,
        };
        let own = open.of.entry(whose).or_default();
        own.push_back(session.id.clone());
        let oldest = if own.len() > PER_OWNER {
            own.pop_front()
        } else {
            None
        };
        if let Some(oldest) = oldest {
            open.by_id.remove(&oldest);
        }
        open.by_id.insert(session.id.clone(), session.clone());
        Ok(session)
    }

    /// A session that lives. One of a colleague is refused by name, as the contract has it; one of
    /// another tenant is none at all.
    fn find(&self, id: &str, whose: &Whose, now: i64) -> Result<Option<Session>, Trouble> {
        let open = self.lock();
        let found = open.by_id.get(id).filter(|session| session.lives(now));
        match found.filter(|session| session.whose.tenant == whose.tenant) {
            Some(session) if session.whose.owner != whose.owner => Err(Trouble::new(
                StatusCode::FORBIDDEN,
                "foreign_session",
                "this session is somebody else's",
            )),
            found => Ok(found.cloned()),
        }
    }

    fn close(&self, session: &Session) {
        let mut open = self.lock();
        open.by_id.remove(&session.id);
        if let Some(own) = open.of.get_mut(&session.whose) {
            own.retain(|id| *id != session.id);
            if own.is_empty() {
                open.of.remove(&session.whose);
            }
        }
    }

    pub(super) fn close_all(&self, whose: &Whose) {
        let mut open = self.lock();
        for id in open.of.remove(whose).unwrap_or_default() {
            open.by_id.remove(&id);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn forget(&mut self, gone: impl Fn(&Session) -> bool) {
        self.by_id.retain(|_, session| !gone(session));
        let known = &self.by_id;
        self.of.retain(|_, ids| {
            ids.retain(|id| known.contains_key(id));
            !ids.is_empty()
        });
    }
}

impl Session {
    fn lives(&self, now: i64) -> bool {
        now < self.created + LIFETIME
    }
}

fn shown(status: StatusCode, session: &Session) -> Response {
    let body = Shown {
        id: session.id.clone(),
        user_id: session.whose.owner.clone(),
        created_at: instant(session.created),
        expires_at: instant(session.created + LIFETIME),
        epoch: session.epoch,
    };
    let epoch = [(EPOCH, HeaderValue::from(session.epoch))];
    (status, epoch, Json(body)).into_response()
}

fn no_session() -> Trouble {
    Trouble::new(
        StatusCode::NOT_FOUND,
        "no_session",
        "there is no such session",
    )
}

fn session_required() -> Trouble {
    Trouble::new(
        StatusCode::PRECONDITION_REQUIRED,
        "session_required",
        "open a session with POST /v1/sync/sessions, and send X-Sync-Session and X-Sync-Epoch",
    )
}

fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?.to_str().ok()?;
    values.next().is_none().then_some(value)
}
