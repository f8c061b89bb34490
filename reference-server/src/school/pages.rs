//! Pages of resources that were read a short while ago.
//!
//! Whoever writes, in whichever process, raises the revision of its tenant in the same transaction.
//! A page is that of a revision, so nobody who has heard of a change gets the page before it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use mcp_runtime::Tenant;
use serde_json::Value as Json;

/// How many are kept at most.
const MOST: usize = 1_000;

#[derive(Default)]
pub(super) struct Pages(Mutex<HashMap<(Tenant, &'static str), Page>>);

struct Page {
    revision: i64,
    until: Timestamp,
    json: Json,
}

impl Pages {
    /// The page of this revision, if it is kept.
    pub(super) fn find(
        &self,
        tenant: &Tenant,
        uri: &'static str,
        (revision, now): (i64, Timestamp),
    ) -> Option<Json> {
        let pages = self.lock();
        let page = pages.get(&(tenant.clone(), uri));
        let page = page.filter(|page| page.revision == revision && now < page.until);
        page.map(|page| page.json.clone())
    }

    pub(super) fn keep(
        &self,
        tenant: &Tenant,
        uri: &'static str,
        (revision, until): (i64, Timestamp),
        json: Json,
    ) {
        let mut pages = self.lock();
        if pages.len() >= MOST {
            pages.clear();
        }
        let page = Page {
            revision,
            until,
            json,
        };
        pages.insert((tenant.clone(), uri), page);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(Tenant, &'static str), Page>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
