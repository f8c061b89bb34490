//! What the numbers mean.

use mcp_runtime::prelude::*;

use super::reply::Meta;
use crate::backend::Backend;

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct MetricsDescribe {
    pub meta: Meta,
    pub data: Metric,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    pub metric: String,
    pub definition: String,
    /// What has to hold for something to count.
    pub requirements: Vec<String>,
    /// Where the number comes from.
    pub source_fields: Vec<String>,
    pub related_metrics: Vec<String>,
}

/// The definition of one metric: what counts, where the number comes from, and what is related.
/// Use it before explaining a number. The metrics: instructor.registered, instructor.onboarding,
/// instructor.live, instructor.paused, founding.cap, founding.used, search.zero_result,
/// search.conversion, booking.completed, booking.cancelled, booking.no_show.
#[mcp_tool(title = "Describe a metric", scope = "copilot:read", read_only)]
pub async fn instainstru_metrics_describe(
    backend: &Backend,
    caller: &Caller,
    /// Name of the metric, like `search.conversion`.
    #[arg(len = 1..=100, pattern = r"[^.\s]")]
    metric_name: String,
) -> ToolResult<MetricsDescribe> {
    backend
        .get(caller, "/metrics/{metric_name}")
        .segment("{metric_name}", &metric_name)
        .answer()
        .await
}
