//! Which host name goes where, in memory: every request looks here.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock};

use jiff::Timestamp;

use super::targets::Target;

/// A row of the database.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) hostname: String,
    pub(super) target_url: String,
    pub(super) owner: String,
    pub(super) tenant: Option<String>,
    pub(super) created_by: String,
    pub(super) created_at: Timestamp,
    pub(super) enable_http: bool,
    pub(super) enable_https: bool,
    pub(super) auth_enabled: bool,
}

/// A route, with a target that the rules know.
#[derive(Debug)]
pub(super) struct Live {
    pub(super) route: Route,
    /// Nothing, when the rules have become stricter since: then nothing is forwarded.
    pub(super) target: Option<Target>,
}

/// All routes, by host name.
#[derive(Default)]
pub(super) struct Routes(RwLock<BTreeMap<String, Arc<Live>>>);

impl Routes {
    pub(super) fn find(&self, hostname: &str) -> Option<Arc<Live>> {
        self.read().get(hostname).cloned()
    }

    /// What `owner` has; what there is, for `None`.
    pub(super) fn of(&self, hostname: &str, owner: Option<&str>) -> Option<Arc<Live>> {
        self.find(hostname).filter(|live| live.is_of(owner))
    }

    pub(super) fn put(&self, live: Live) {
        let mut routes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        routes.insert(live.route.hostname.clone(), Arc::new(live));
    }

    pub(super) fn remove(&self, hostname: &str) {
        let mut routes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        routes.remove(hostname);
    }

    /// Forgets every route that is not wanted, and tells which host names these had.
    pub(super) fn keep(&self, wanted: impl Fn(&Route) -> bool) -> Vec<String> {
        let mut routes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut gone = Vec::new();
        routes.retain(|hostname, live| {
            let stays = wanted(&live.route);
            if !stays {
                gone.push(hostname.clone());
            }
            stays
        });
        gone
    }

    pub(super) fn count(&self, owner: Option<&str>) -> usize {
        match owner {
            None => self.read().len(),
            Some(_) => self
                .read()
                .values()
                .filter(|live| live.is_of(owner))
                .count(),
        }
    }

    /// Up to `limit` routes after a host name.
    pub(super) fn page(
        &self,
        owner: Option<&str>,
        after: Option<&str>,
        limit: usize,
    ) -> Vec<Arc<Live>> {
        let from = after.map_or(Bound::Unbounded, Bound::Excluded);
        self.read()
            .range::<str, _>((from, Bound::Unbounded))
            .map(|(_, live)| live)
            .filter(|live| live.is_of(owner))
            .take(limit)
            .cloned()
            .collect()
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, BTreeMap<String, Arc<Live>>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Live {
    pub(super) fn is_of(&self, owner: Option<&str>) -> bool {
        owner.is_none_or(|owner| self.route.owner == owner)
    }
}
