//! What the numbers mean: the dictionary of the metrics that the other endpoints report.

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, State};
use axum::http::Uri;
use serde::Serialize;
use serde_json::json;

use super::Platform;
use super::answer::{Answer, Data, Problem, reply};
use super::auth::Actor;
use super::query::{Query, path_text};

#[derive(Clone, Serialize)]
pub(super) struct Metric {
    metric: &'static str,
    definition: &'static str,
    requirements: &'static [&'static str],
    source_fields: &'static [&'static str],
    related_metrics: &'static [&'static str],
}

/// `GET /metrics/{metric_name}`
pub(super) async fn describe(
    State(platform): State<Platform>,
    actor: Actor,
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
) -> Answer<Data<Metric>> {
    Query::of(&uri).finish()?;
    let name = path_text("metric_name", name)?;
    let Some(metric) = DICTIONARY.iter().find(|metric| metric.metric == name) else {
        let known: Vec<_> = DICTIONARY.iter().map(|metric| metric.metric).collect();
        return Err(
            Problem::not_found("metric_not_found", "There is no metric of this name.")
                .details(json!({ "known_metrics": known })),
        );
    };
    let data = metric.clone();
    Ok(reply(actor, platform.now(), Data { data }))
}

const DICTIONARY: [Metric; 11] = [
    Metric {
        metric: "instructor.registered",
        definition: "Instructors with an account who have begun neither skills nor a background check.",
        requirements: &[
            "has an instructor profile",
            "skills not configured",
            "no background check invited or uploaded",
            "onboarding not completed",
        ],
        source_fields: &[
            "instructor_profiles.skills_configured",
            "instructor_profiles.bgc_invited_at",
            "instructor_profiles.background_check_uploaded_at",
        ],
        related_metrics: &["instructor.onboarding", "instructor.live"],
    },
    Metric {
        metric: "instructor.onboarding",
        definition: "Instructors who have begun skills or a background check and have not completed onboarding.",
        requirements: &[
            "skills configured, or a background check invited or uploaded",
            "onboarding not completed",
        ],
        source_fields: &[
            "instructor_profiles.skills_configured",
            "instructor_profiles.bgc_invited_at",
            "instructor_profiles.background_check_uploaded_at",
            "instructor_profiles.onboarding_completed_at",
        ],
        related_metrics: &["instructor.registered", "instructor.live"],
    },
    Metric {
        metric: "instructor.live",
        definition: "Instructors who can be found and booked now.",
        requirements: &["is live"],
        source_fields: &["instructor_profiles.is_live"],
        related_metrics: &[
            "instructor.onboarding",
            "instructor.paused",
            "founding.used",
        ],
    },
    Metric {
        metric: "instructor.paused",
        definition: "Instructors who completed onboarding and are not live at the moment.",
        requirements: &["onboarding completed", "is not live"],
        source_fields: &[
            "instructor_profiles.is_live",
            "instructor_profiles.onboarding_completed_at",
        ],
        related_metrics: &["instructor.live"],
    },
    Metric {
        metric: "founding.cap",
        definition: "How many instructors may ever receive the founding status.",
        requirements: &["configured by the operator"],
        source_fields: &["settings.founding_cap"],
        related_metrics: &["founding.used"],
    },
    Metric {
        metric: "founding.used",
        definition: "Instructors who hold the founding status. Open invites that promise one are counted apart, as reserved.",
        requirements: &["founding status granted"],
        source_fields: &[
            "instructor_profiles.is_founding_instructor",
            "instructor_profiles.founding_granted_at",
        ],
        related_metrics: &["founding.cap", "instructor.live"],
    },
    Metric {
        metric: "search.zero_result",
        definition: "Searches that found nothing; as a rate, their share of all searches in the window.",
        requirements: &["result count is 0"],
        source_fields: &[
            "search_queries.result_count",
            "search_queries.normalized_query",
            "search_queries.created_at",
        ],
        related_metrics: &["search.conversion"],
    },
    Metric {
        metric: "search.conversion",
        definition: "Share of searches from which somebody booked, each search counted once.",
        requirements: &["at least one click with the action book"],
        source_fields: &[
            "search_queries.id",
            "search_clicks.search_query_id",
            "search_clicks.action",
        ],
        related_metrics: &["search.zero_result", "booking.completed"],
    },
    Metric {
        metric: "booking.completed",
        definition: "Lessons that took place.",
        requirements: &["status is COMPLETED"],
        source_fields: &["bookings.status"],
        related_metrics: &["booking.cancelled", "booking.no_show"],
    },
    Metric {
        metric: "booking.cancelled",
        definition: "Bookings that were called off before the lesson.",
        requirements: &["status is CANCELLED"],
        source_fields: &["bookings.status"],
        related_metrics: &["booking.completed", "booking.no_show"],
    },
    Metric {
        metric: "booking.no_show",
        definition: "Lessons to which one side did not come.",
        requirements: &["status is NO_SHOW"],
        source_fields: &["bookings.status"],
        related_metrics: &["booking.completed", "booking.cancelled"],
    },
];
