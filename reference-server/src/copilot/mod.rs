//! The admin copilot of the marketplace iNSTAiNSTRU: ten tools, each one call to its REST API.
//!
//! Eight read (`copilot:read`), two invite instructors by mail (`copilot:write`): a preview shows
//! what would happen and gives a token, a send carries out exactly what that token holds, once.
//!
//! A tool is a function: its parameters are checked before it runs, it asks the [`Backend`] in the
//! name of the caller, and its return type is what the model reads. What the API refuses comes
//! back as an error with the code of the API, so that the model can act on it.
//!
//! Twelve more, about bookings and figures, are a toolset of their own (`copilot-extended`), so that
//! the ten stay ten. Cancelling a booking and moving one are pairs like that of the invites.
//!
//! To add a tool: write the function in the room where it belongs, add it to the list below, and
//! give it a row in `tests/it/contracts/copilot.txt` and in `tests/it/copilot/reads.rs`.
//!
//! [`Backend`]: crate::backend::Backend

pub mod founding;
pub mod instructors;
pub mod search;
pub mod invites;
pub mod metrics;
pub mod bookings;
pub mod booking_changes;
pub mod figures;
pub mod reply;

use mcp_runtime::{ToolSet, tools};

use self::booking_changes::{
    instainstru_booking_force_cancel_execute, instainstru_booking_force_cancel_preview,
    instainstru_booking_reschedule_execute, instainstru_booking_reschedule_preview,
};
use self::bookings::{
    instainstru_booking_detail, instainstru_bookings_recent, instainstru_bookings_summary,
};
use self::figures::{
    instainstru_cohort_retention, instainstru_payments_pending_payouts,
    instainstru_payments_pipeline, instainstru_revenue_dashboard, instainstru_student_signups,
};
use self::founding::{instainstru_founding_funnel_summary, instainstru_founding_stuck_instructors};
use self::instructors::{
    instainstru_instructors_coverage, instainstru_instructors_detail, instainstru_instructors_list,
};
use self::invites::{instainstru_invites_preview, instainstru_invites_send};
use self::metrics::instainstru_metrics_describe;
use self::search::{instainstru_search_top_queries, instainstru_search_zero_results};
use crate::App;

/// The name under which clients show a server with these tools.
pub const TITLE: &str = "iNSTAiNSTRU Admin";

/// What a model should know before it uses the tools.
pub const INSTRUCTIONS: &str = "Admin tools for the lesson marketplace iNSTAiNSTRU. Ask \
    instainstru_metrics_describe what a number means. To invite instructors, call \
    instainstru_invites_preview, show the recipients and warnings to the user, and call \
    instainstru_invites_send with its confirm_token only after the user agreed; sent mail cannot \
    be called back. Dates are whole UTC days, both ends included.";

/// The ten tools.
pub fn tools() -> ToolSet<App> {
    tools![
        instainstru_founding_funnel_summary,
        instainstru_founding_stuck_instructors,
        instainstru_instructors_list,
        instainstru_instructors_coverage,
        instainstru_instructors_detail,
        instainstru_search_top_queries,
        instainstru_search_zero_results,
        instainstru_invites_preview,
        instainstru_invites_send,
        instainstru_metrics_describe,
    ]
}

/// What goes beyond the ten: bookings and figures.
pub fn extended_tools() -> ToolSet<App> {
    tools![
        instainstru_bookings_recent,
        instainstru_bookings_summary,
        instainstru_booking_detail,
        instainstru_booking_force_cancel_preview,
        instainstru_booking_force_cancel_execute,
        instainstru_booking_reschedule_preview,
        instainstru_booking_reschedule_execute,
        instainstru_revenue_dashboard,
        instainstru_payments_pipeline,
        instainstru_payments_pending_payouts,
        instainstru_cohort_retention,
        instainstru_student_signups,
    ]
}
