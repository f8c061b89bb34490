//! What several processes of this server share, by its URL.

use std::sync::Arc;

use mcp_runtime::store::Store;

/// Opens the store at a URL, with the feature of its kind: `sqlite:PATH`, `postgres://…`, `redis://…`.
pub(crate) async fn open(url: &str) -> std::io::Result<Arc<dyn Store>> {
    #[cfg_attr(
        not(feature = "sqlite"),
        expect(unused_variables, reason = "one kind has a place")
    )]
    let (scheme, place) = url.split_once(':').unwrap_or((url, ""));
    match scheme {
        #[cfg(feature = "sqlite")]
        "sqlite" => {
            let clock = mcp_runtime::Clock::system();
            let store = mcp_runtime::store::SqlStore::open(place, clock).await;
            Ok(Arc::new(store.map_err(std::io::Error::other)?))
        }
        #[cfg(feature = "postgres")]
        "postgres" | "postgresql" => {
            let clock = mcp_runtime::Clock::system();
            let store = mcp_runtime::store::SqlStore::connect(url, clock).await;
            Ok(Arc::new(store.map_err(std::io::Error::other)?))
        }
        #[cfg(feature = "redis")]
        "redis" | "rediss" => {
            let clock = mcp_runtime::Clock::system();
            let store = mcp_runtime::store::RedisStore::connect(url, clock).await;
            Ok(Arc::new(store.map_err(std::io::Error::other)?))
        }
        _ => Err(std::io::Error::other(format!(
            "this program has no store of the kind `{scheme}`, built as it is"
        ))),
    }
}
