//! Where figures are read from: a path of a server, or a listener of their own.

use std::future::{Ready, ready};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use super::Metrics;
use crate::error::{BootError, Result};
use crate::http::guard::Guard;

/// Those who read figures are few.
const MAX_CONNECTIONS: usize = 32;
/// How long one may take to ask.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection may last: scrapes are far apart, and come back.
const LIFE: Duration = Duration::from_secs(300);
const MAX_HEAD: usize = 16 << 10;

impl Metrics {
    /// Answers `GET` at `path`, to be given to [`Server::routes`](crate::Server::routes). Figures
    /// are not for everybody: rather [serve](Self::serve_with) them where only operators are.
    pub fn router(&self, path: &str) -> Router {
        let metrics = self.clone();
        Router::new().route(
            path,
            get(move || {
                ready((
                    [(header::CONTENT_TYPE, Self::CONTENT_TYPE)],
                    metrics.render(),
                ))
            }),
        )
    }

    /// Serves `GET /metrics` on a listener of its own until `stop` is ready. It answers to loopback
    /// names and to `hosts`, so that no web page reads it by a name of its own; whoever reaches the
    /// listener may read.
    ///
    /// # Errors
    /// When the listener is not on loopback and no host is named, or a host is not one.
    pub async fn serve_with(
        &self,
        listener: TcpListener,
        hosts: &[String],
        stop: impl Future<Output = ()>,
    ) -> Result {
        let address = listener.local_addr()?;
        let mut guard = Guard::default();
        for host in hosts {
            guard.allow_host(host).map_err(BootError::new)?;
        }
        if !address.ip().is_loopback() && hosts.is_empty() {
            return Err(BootError::new(format!(
                "{address} can be reached from other machines: name the hosts by which the figures are read"
            )));
        }
        tracing::info!(target: "mcp::metrics", listen = %address, "the figures are served");
        let (metrics, guard) = (Arc::new(self.clone()), Arc::new(guard));
        let (slots, connections) = (
            Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            TaskTracker::new(),
        );
        let mut stop = std::pin::pin!(stop);
        loop {
            let stream = tokio::select! {
                () = &mut stop => return Ok(()),
                stream = next(&listener, &slots) => stream,
            };
            let Some((stream, slot)) = stream else {
                continue;
            };
            let (metrics, guard) = (Arc::clone(&metrics), Arc::clone(&guard));
            let service = service_fn(move |request| answer(&metrics, &guard, &request));
            connections.spawn(async move {
                let mut server = http1::Builder::new();
                server
                    .timer(TokioTimer::new())
                    .header_read_timeout(HEAD)
                    .max_buf_size(MAX_HEAD);
                let served = server.serve_connection(TokioIo::new(stream), service);
                let _ = tokio::time::timeout(LIFE, served).await;
                drop(slot);
            });
        }
    }
}

type Slot = tokio::sync::OwnedSemaphorePermit;

async fn next(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(tokio::net::TcpStream, Slot)> {
    let slot = Arc::clone(slots).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => Some((stream, slot)),
        Err(error) => {
            tracing::warn!(target: "mcp::metrics", %error, "cannot accept a connection");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

fn answer(
    metrics: &Metrics,
    guard: &Guard,
    request: &Request<Incoming>,
) -> Ready<io::Result<Response<Full<Bytes>>>> {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let (status, text) = match request.uri().path() {
        _ if guard.check(request.uri(), request.headers()).is_err() => {
            (StatusCode::FORBIDDEN, "Not by that name\n".to_owned())
        }
        "/metrics" if reads => (StatusCode::OK, metrics.render()),
        "/metrics" => (StatusCode::METHOD_NOT_ALLOWED, String::new()),
        _ => (StatusCode::NOT_FOUND, "Not found\n".to_owned()),
    };
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    let kind = match status {
        StatusCode::OK => Metrics::CONTENT_TYPE,
        _ => "text/plain; charset=utf-8",
    };
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    ready(Ok(response))
}
