//! What several processes of this server share, by its URL.

use std::sync::Arc;

use mcp_runtime::store::Store;

/// Opens the store at a URL: `sqlite:PATH`, with the feature of that name.
pub(crate) async fn open(url: &str) -> std::io::Result<Arc<dyn Store>> {
    let (scheme, place) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        #[cfg(feature = "sqlite")]
        "sqlite" => {
            let clock = mcp_runtime::Clock::system();
            let store = mcp_runtime::store::SqlStore::open(place, clock).await;
            Ok(Arc::new(store.map_err(std::io::Error::other)?))
        }
        _ => Err(std::io::Error::other(format!(
            "there is no store `{scheme}` in this program for `{place}`: build it with the feature"
        ))),
    }
}
