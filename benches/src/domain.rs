//! What every contender computes, so that the difference between two of them is the framework.

use mcp_runtime::prelude::*;

/// Status filter of an item.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    Active,
    Pending,
    Archived,
}

/// One item found.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Item {
    /// Stable identifier
    pub(crate) id: u64,
    /// Display name
    pub(crate) name: String,
    pub(crate) status: Status,
    /// Relevance score, 0 to 1
    pub(crate) score: f64,
}

/// Result of a search.
#[derive(Serialize, JsonSchema)]
pub(crate) struct FindResult {
    pub(crate) items: Vec<Item>,
    /// Number of matches before the limit
    pub(crate) total: u64,
}

pub(crate) fn find(query: &str, limit: u32, status: Status) -> FindResult {
    let items = (0..u64::from(limit))
        .map(|i| Item {
            id: 1000 + i,
            name: format!("{query} #{i}"),
            status,
            #[expect(clippy::cast_precision_loss, reason = "at most 100")]
            score: 1.0 / (i as f64 + 1.5),
        })
        .collect();
    FindResult { items, total: 4217 }
}
