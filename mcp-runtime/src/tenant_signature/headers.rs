//! The headers, and what only looks like them.

use http::{HeaderMap, HeaderName, header};

use super::verify::Refused;
use crate::wire::headers::Once;

pub(super) const TENANT: HeaderName = HeaderName::from_static("x-tb-tenant-id");
pub(super) const TIMESTAMP: HeaderName = HeaderName::from_static("x-tb-timestamp");
pub(super) const SIGNATURE: HeaderName = HeaderName::from_static("x-tb-signature");
pub(super) const NONCE: HeaderName = HeaderName::from_static("x-tb-nonce");

const ALL: [HeaderName; 4] = [TENANT, TIMESTAMP, SIGNATURE, NONCE];

/// Takes off the headers, their look-alikes, and a `Connection` that has the next proxy drop them.
pub(super) fn strip(headers: &mut HeaderMap) {
    let looks: Vec<HeaderName> = headers
        .keys()
        .filter(|name| folds_to_ours(name.as_str()))
        .cloned()
        .collect();
    for name in looks {
        headers.remove(name);
    }
    if hop_by_hop(headers) {
        headers.remove(header::CONNECTION);
    }
}

/// Refuses what another reader of this request could take for one of the headers: `X_TB_Tenant_ID`
/// is the same variable to CGI and its heirs, and what `Connection` names, a proxy drops.
pub(super) fn refuse_look_alikes(headers: &HeaderMap) -> Result<(), Refused> {
    let look_alike = |name: &HeaderName| folds_to_ours(name.as_str()) && !ALL.contains(name);
    if headers.keys().any(look_alike) || hop_by_hop(headers) {
        return Err(Refused::LookAlike);
    }
    Ok(())
}

/// The one value of a header.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<&'a str, Refused> {
    match Once::of(headers, name) {
        Once::Never => Err(Refused::Missing),
        Once::Again => Err(Refused::Repeated),
        Once::Is(value) => value.to_str().map_err(|_| Refused::Unreadable),
    }
}

fn hop_by_hop(headers: &HeaderMap) -> bool {
    let listed = headers.get_all(header::CONNECTION);
    listed
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .any(|name| std::str::from_utf8(name).is_ok_and(folds_to_ours))
}

/// Whether it is one of the names once only letters and digits count.
fn folds_to_ours(name: &str) -> bool {
    fn folded(name: &str) -> impl Iterator<Item = u8> {
        let counts = name.bytes().filter(u8::is_ascii_alphanumeric);
        counts.map(|byte| byte.to_ascii_lowercase())
    }
    ALL.iter()
        .any(|ours| folded(ours.as_str()).eq(folded(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_alikes_are_told_from_other_names() {
        for name in [
            "X-TB-Tenant-ID",
            "x_tb_tenant_id",
            "X-TB_Signature",
            " xtbnonce ",
            "x.tb.timestamp",
        ] {
            assert!(folds_to_ours(name), "{name}");
        }
        for name in [
            "x-tenant-id",
            "x-tb-tenant",
            "x-tb-tenant-id-2",
            "authorization",
            "",
        ] {
            assert!(!folds_to_ours(name), "{name}");
        }
    }
}
