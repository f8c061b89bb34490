//! Skills and their folders: `skills/list`, `skills/get` and `resources/directory/read`.

use bytes::Bytes;

use crate::error::Refusal;
use crate::json::{Node, Object};
use crate::skills::Kept;
use crate::wire::engine::{Engine, Link, Request, invalid_params};
use crate::wire::list::TTL_MS;
use crate::wire::offers::log_refused;
use crate::wire::reply::Reply;

impl Engine {
    pub(crate) fn get_skill(&self, request: &mut Request<'_>, bytes: &Bytes, link: &Link) -> Reply {
        let Some(uri) = uri(request) else {
            return invalid_params(&request.id, 200, "`uri` must be a string");
        };
        match self.skills.skill(&uri, &link.caller) {
            Ok(Some(skill)) => self.kept(request, skill),
            Ok(None) => invalid_params(
                &request.id,
                200,
                "no skill is served at this `uri`: `skills/list` has those that you can get",
            ),
            Err(refusal) => self.refuse_skill(request, &uri, bytes, link, &refusal),
        }
    }

    pub(crate) fn read_directory(
        &self,
        request: &mut Request<'_>,
        bytes: &Bytes,
        link: &Link,
    ) -> Reply {
        let Some(uri) = uri(request) else {
            return invalid_params(&request.id, 200, "`uri` must be a string");
        };
        match self.skills.children(&uri, &link.caller) {
            Ok(Some(pages)) => self.list(request, &pages),
            Ok(None) => invalid_params(
                &request.id,
                200,
                "`uri` is not a directory that this server serves",
            ),
            Err(refusal) => self.refuse_skill(request, &uri, bytes, link, &refusal),
        }
    }

    /// A result that was written when the server was built.
    pub(crate) fn kept(&self, request: &Request<'_>, kept: &Kept) -> Reply {
        let json = &kept.json;
        if !request.revision.is_modern() {
            return Reply::result(&request.id, format!("{{{json}}}").as_bytes());
        }
        let scope = if self.skills.is_public(kept) {
            "public"
        } else {
            "private"
        };
        let tail = format!(",\"ttlMs\":{TTL_MS},\"cacheScope\":\"{scope}\",");
        let parts = [
            b"{\"resultType\":\"complete\",",
            json.as_bytes(),
            tail.as_bytes(),
            &self.meta,
            b"}",
        ];
        Reply::result(&request.id, &parts.concat())
    }

    /// The answer to a caller that knows of a skill and may not read it.
    fn refuse_skill(
        &self,
        request: &mut Request<'_>,
        uri: &str,
        bytes: &Bytes,
        link: &Link,
        refusal: &Refusal,
    ) -> Reply {
        match self.open(request, uri, &Object::default(), bytes, link, None) {
            Ok((call, _)) => {
                log_refused(&call, uri, refusal);
                self.results(request, &call)
                    .plain_refusal(&request.id, refusal, Some(uri))
            }
            Err(reply) => reply,
        }
    }
}

fn uri(request: &Request<'_>) -> Option<String> {
    request
        .params
        .get("uri")
        .and_then(Node::as_str)
        .map(str::to_owned)
}
