//! What somebody is told who asks too much, and when the audit log is out of order.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use crate::call::{BackChannel, Call};
use crate::limits::{Shared, TooMany};
use crate::policy;
use crate::wire::engine::{Engine, Link, Request};
use crate::wire::message::Id;
use crate::wire::reply::{Reply, Results, code};

const RATE_LIMITED: &str = "rate_limited";

impl Engine {
    /// Counts a request against what its caller may ask. Here and not in the call: a list counts,
    /// too, and so does a call of what does not exist or is hidden.
    pub(crate) async fn admit(&self, request: &Request<'_>, link: &Link) -> Result<(), Reply> {
        let own = self.own_limits.then(|| self.own_limits_of(request, link));
        let Some(limits) = own.flatten().or(self.limits.as_ref()) else {
            return Ok(());
        };
        if is_free(request.method) {
            return Ok(());
        }
        limits
            .request(&link.caller, link.address)
            .await
            .map_err(|too_many| self.refuse(request, link, &too_many))
    }

    /// Those of the tool that is called, where it has its own and the caller may call it. Else they
    /// would tell that there is such a tool.
    fn own_limits_of(&self, request: &Request<'_>, link: &Link) -> Option<&Arc<Shared>> {
        if request.method != "tools/call" {
            return None;
        }
        let bound = &self
            .tools
            .find(request.params.get("name")?.as_str()?)?
            .bound;
        let limits = bound.limits.as_ref()?;
        let may = policy::authorize(&bound.policy, &link.caller, &|_| None).is_ok();
        may.then_some(limits)
    }

    #[cold]
    fn refuse(&self, request: &Request<'_>, link: &Link, too_many: &TooMany) -> Reply {
        if let Some(figures) = &self.figures {
            figures.limited(too_many);
        }
        tracing::info!(target: "mcp::call", method = request.method, caller = %link.caller, outcome = RATE_LIMITED, "request refused");
        let call = Call::new(
            link.caller.clone(),
            self.clock.clone(),
            Bytes::new(),
            self.reach(request, link),
            link.outbox.clone(),
            BackChannel::None,
            self.changes.clone(),
        );
        let results = Results {
            modern: request.revision.is_modern(),
            meta: &self.meta,
            call: &call,
        };
        if request.method == "tools/call" {
            results.too_many(&request.id, too_many)
        } else {
            results.plain_too_many(&request.id, too_many)
        }
    }
}

/// What costs nothing, and what a client has to be able to say at any time.
fn is_free(method: &str) -> bool {
    matches!(method, "initialize" | "ping" | "server/discover")
}

impl Results<'_> {
    /// Over a limit: by the status where there is one to see, else as an error that the model
    /// reads.
    pub(crate) fn too_many(&self, id: &Id<'_>, too_many: &TooMany) -> Reply {
        if self.call.inner().reach.has_status {
            return self.plain_too_many(id, too_many);
        }
        let text = too_many.text();
        self.failed(
            id,
            &text,
            &json!({ "code": RATE_LIMITED, "message": text, "retry_after_s": too_many.retry_after_s }),
        )
    }

    /// The same as an error of JSON-RPC.
    pub(crate) fn plain_too_many(&self, id: &Id<'_>, too_many: &TooMany) -> Reply {
        let has_status = self.call.inner().reach.has_status;
        let mut reply = Reply::error_with(
            id,
            if has_status { 429 } else { 200 },
            code::TOO_MANY,
            &too_many.text(),
            Some(json!({ "code": RATE_LIMITED, "retry_after_s": too_many.retry_after_s })),
        );
        reply.retry_after_s = Some(too_many.retry_after_s);
        reply
    }

    /// A call that did not run, because there would have been no record of it.
    pub(crate) fn unrecorded(&self, id: &Id<'_>) -> Reply {
        let (text, request_id) = self.unrecorded_text();
        self.failed(
            id,
            &text,
            &json!({ "code": "audit_unavailable", "message": text, "requestId": request_id }),
        )
    }

    /// The same as an error of JSON-RPC.
    pub(crate) fn plain_unrecorded(&self, id: &Id<'_>) -> Reply {
        let (text, request_id) = self.unrecorded_text();
        Reply::error_with(
            id,
            200,
            code::INTERNAL,
            &text,
            Some(json!({ "code": "audit_unavailable", "requestId": request_id })),
        )
    }

    fn unrecorded_text(&self) -> (String, &str) {
        let request_id = self.call.request_id();
        let text = format!(
            "This did not run, because it could not be recorded. Try again later, request {request_id}"
        );
        (text, request_id)
    }
}
