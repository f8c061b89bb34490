//! Who watches what is asked of a server: its limits and its audit.

use std::sync::Arc;

use crate::audit::{AuditLog, Audited};
use crate::limits::{Gate, Limits, Shared, Tally, kind_of};
use crate::store::Store;
use crate::wire::engine::Offers;

/// What of it concerns all of a server.
pub(crate) struct Watch {
    pub(crate) limits: Option<Arc<Shared>>,
    pub(crate) audit: Option<AuditLog>,
    /// Whether it matters where a request comes from.
    pub(crate) addresses: bool,
}

impl Watch {
    /// Puts a gate and an audit where there is something to limit and to record. Functions that
    /// nobody watches have neither, and are as fast as before.
    pub(crate) fn over(
        offers: &mut Offers,
        limits: &Limits,
        shared_limits: Option<Arc<dyn Store>>,
        audit: Option<AuditLog>,
        problems: &mut Vec<String>,
    ) -> Self {
        let tally = shared_limits.map(Tally::new);
        let limits = if limits.is_none() {
            None
        } else {
            limits
                .build(tally.as_ref())
                .map(Arc::new)
                .map_err(|found| problems.extend(found))
                .ok()
        };
        let all = offers
            .tools
            .offered()
            .chain(offers.resources.offered())
            .chain(offers.prompts.offered());
        let mut addresses = limits.is_some() || audit.is_some();
        for offered in all {
            let bound = offered.bound;
            addresses |= offered.share.rate.is_some();
            let kind = kind_of(offered.kind, &bound.name);
            let (writes, all) = (!offered.read_only, limits.as_ref());
            match Gate::new(offered.share, writes, all, &kind, tally.as_ref()) {
                Ok(gate) => bound.gate = gate,
                Err(problem) => problems.push(format!("{}: {problem}", offered.at)),
            }
            bound.audited = audit.as_ref().map(|log| {
                let read_only = offered.read_only;
                Box::new(Audited::new(log, offered.kind, &bound.policy, read_only))
            });
        }
        Self {
            limits,
            audit,
            addresses,
        }
    }
}
