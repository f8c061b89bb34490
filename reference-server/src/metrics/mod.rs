//! Figures for operators: those of the runtime, of the systems in this process, and of the process.
//! Read at a listener of their own, which is off unless configured: they are nobody else's business.

mod process;

use mcp_runtime::{Metrics, Result, Service};
use tokio::net::TcpListener;

pub(crate) use self::process::count_in as count_process;
use crate::config::Config;

/// The figures of a server that is to count. Nothing where nobody may read them.
pub(crate) fn of(config: &Config) -> Option<Metrics> {
    config.metrics.listen.is_some().then(Metrics::new)
}

/// Serves on `listener`, and the figures where `figures` says, until the process is told to stop.
pub(crate) async fn serve_beside(
    service: Service,
    listener: TcpListener,
    figures: Option<TcpListener>,
    hosts: &[String],
) -> Result {
    let metrics = service.metrics().cloned();
    let served = service.serve_with(listener, mcp_runtime::told_to_stop());
    let (Some(metrics), Some(figures)) = (metrics, figures) else {
        return served.await;
    };
    // They are read to the end: while calls in flight finish, too.
    let beside = metrics.serve_with(figures, hosts, std::future::pending());
    tokio::select! {
        served = served => served,
        beside = beside => beside,
    }
}
