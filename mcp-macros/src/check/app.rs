//! Rules for apps and icons.

use crate::errors::Errors;
use crate::model::Offer;

/// The one media type of an app, as the runtime knows it.
const MIME: &str = "text/html;profile=mcp-app";
const SCHEME: &str = "ui://";

pub(super) fn app_of_tool_is_an_app(offer: &Offer, errors: &mut Errors) {
    let Some(literal) = &offer.ui_uri else { return };
    let uri = literal.value();
    if !is_app(&uri) {
        errors.at(
            literal,
            "the URI of an app begins with `ui://`: write it like `ui://weather/chart`",
        );
    } else if uri.contains(['{', '}']) {
        errors.at(
            literal,
            "a tool has one app, and a template is many: write out the URI",
        );
    }
}

pub(super) fn visibility_is_known(offer: &Offer, errors: &mut Errors) {
    if let Some(literal) = &offer.ui_visibility
        && !["model", "app"].contains(&literal.value().as_str())
    {
        errors.at(
            literal,
            "only `\"model\"` or only `\"app\"` calls it: for both, leave `ui_visibility` out",
        );
    }
}

pub(super) fn apps_look_like_apps(offer: &Offer, errors: &mut Errors) {
    let Some(uri) = &offer.uri else { return };
    let mime = offer.mime.as_ref().map(|mime| (mime, mime.value() == MIME));
    match (is_app(&uri.value()), mime) {
        (true, Some((mime, false))) => errors.at(
            mime,
            format!("the media type of an app is `{MIME}`: leave `mime` out"),
        ),
        (false, Some((_, true))) => errors.at(uri, "the URI of an app begins with `ui://`"),
        (false, _) => {
            if let Some(ui) = &offer.ui {
                errors.at(
                    ui,
                    "only an app has a page, and its URI begins with `ui://`",
                );
            }
        }
        _ => {}
    }
}

pub(super) fn icon_can_be_shown(offer: &Offer, errors: &mut Errors) {
    let Some(literal) = &offer.icon else { return };
    let src = literal.value();
    let fetched = src
        .strip_prefix("https://")
        .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '['));
    let embedded = src
        .strip_prefix("data:image/")
        .is_some_and(|rest| rest.contains(','));
    if !fetched && !embedded {
        errors.at(
            literal,
            "an icon is an `https://` URL or a `data:image/…` URI: clients show no other",
        );
    }
}

fn is_app(uri: &str) -> bool {
    uri.strip_prefix(SCHEME)
        .is_some_and(|rest| !rest.is_empty())
}
