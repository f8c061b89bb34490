//! Who watches what is asked of a server: its limits, its audit, its figures, and the answers it keeps.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use crate::audit::{AuditLog, Audited};
use crate::limits::{Gate, Limits, Shared, Tally, kind_of};
use crate::metrics::{Figures, FunctionFigures, Metrics};
use crate::result_cache::{Cached, ResultCache};
use crate::wire::engine::Offers;

/// What of it concerns all of a server.
pub(crate) struct Watch {
    pub(crate) limits: Option<Arc<Shared>>,
    /// Whether some tools have others.
    pub(crate) own_limits: bool,
    pub(crate) audit: Option<AuditLog>,
    pub(crate) figures: Option<Arc<Figures>>,
    /// There when answers of a tool are kept.
    pub(crate) cache: Option<Arc<ResultCache>>,
    /// Whether it matters where a request comes from.
    pub(crate) addresses: bool,
}

impl Watch {
    /// The limits of a server, where it has any.
    pub(crate) fn limits(
        limits: &Limits,
        tally: Option<&Arc<Tally>>,
        problems: &mut Vec<String>,
    ) -> Option<Arc<Shared>> {
        if limits.is_none() {
            return None;
        }
        let built = limits.build(tally).map(Arc::new);
        built.map_err(|found| problems.extend(found)).ok()
    }

    /// Puts a gate and an audit where there is something to limit and to record. Functions that
    /// nobody watches have neither, and are as fast as before.
    pub(crate) fn over(
        offers: &mut Offers,
        limits: Option<Arc<Shared>>,
        tally: Option<&Arc<Tally>>,
        audit: Option<AuditLog>,
        metrics: Option<&Metrics>,
        cache: ResultCache,
        problems: &mut Vec<String>,
    ) -> Self {
        let cache = offers
            .tools
            .iter()
            .any(|tool| tool.keeps_answers())
            .then(|| Arc::new(cache));
        let all = offers
            .tools
            .offered()
            .chain(offers.resources.offered())
            .chain(offers.prompts.offered());
        let mut addresses = limits.is_some() || audit.is_some();
        let mut own = Own::default();
        for offered in all {
            let bound = offered.bound;
            addresses |= offered.share.rate.is_some();
            let kind = kind_of(offered.kind, &bound.name);
            if let Some(of) = &offered.limits {
                bound.limits = own.get(of, tally, problems);
                addresses = true;
            }
            let all = limits.as_ref();
            let counts = match offered.limits {
                Some(_) => bound.limits.as_ref(),
                None => all,
            };
            let writes = counts.filter(|_| !offered.read_only);
            match Gate::new(offered.share, writes, all, &kind, tally) {
                Ok(gate) => bound.gate = gate,
                Err(problem) => problems.push(format!("{}: {problem}", offered.at)),
            }
            bound.figures = metrics
                .map(|metrics| FunctionFigures::new(metrics, offered.kind, &bound.name))
                .map(Box::new);
            bound.cached = cache
                .as_ref()
                .filter(|_| !offered.read_only || offered.cache.is_some())
                .map(|cache| {
                    let keeps = offered.cache.filter(|_| offered.read_only);
                    Box::new(Cached::new(cache, offered.family.as_deref(), keeps))
                });
            bound.audited = audit.as_ref().map(|log| {
                let read_only = offered.read_only;
                Box::new(Audited::new(log, offered.kind, &bound.policy, read_only))
            });
        }
        Self {
            own_limits: !own.built.is_empty(),
            limits,
            audit,
            figures: metrics.map(Figures::new).map(Arc::new),
            cache,
            addresses,
        }
    }
}

/// Limits of sets of tools that are not counted with the others, by their names.
#[derive(Default)]
struct Own {
    built: HashMap<Cow<'static, str>, (Limits, Option<Arc<Shared>>)>,
}

impl Own {
    fn get(
        &mut self,
        (name, limits): &(Cow<'static, str>, Limits),
        tally: Option<&Arc<Tally>>,
        problems: &mut Vec<String>,
    ) -> Option<Arc<Shared>> {
        if let Some((known, built)) = self.built.get(name) {
            if known != limits {
                problems.push(format!(
                    "limits of `{name}`: there are two of this name, which are not the same"
                ));
            }
            return built.clone();
        }
        let built = limits.build_for(name, tally).map(Arc::new);
        let built = built.map_err(|found| problems.extend(found)).ok();
        self.built
            .insert(name.clone(), (limits.clone(), built.clone()));
        built
    }
}
