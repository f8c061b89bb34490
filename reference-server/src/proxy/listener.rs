//! The sockets: one for http, one for https with the certificate that SNI asks for.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use mcp_runtime::BootError;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::server::Acceptor;
use tokio_rustls::server::TlsStream;

use super::Inner;
use super::certificates::Certificates;
use super::forward::{self, Peer};
use super::unread::Unread;

/// Connections at the same time, on each socket.
const CONNECTIONS: usize = 1024;
/// For the head of a request, and between two requests.
const HEAD: Duration = Duration::from_secs(15);
const HANDSHAKE: Duration = Duration::from_secs(10);
/// While a client takes nothing of what waits to be sent to it.
const UNREAD: Duration = Duration::from_secs(60);

/// A socket that is served until this is dropped.
#[derive(Debug)]
pub(super) struct Listening {
    pub(super) address: SocketAddr,
    task: AbortHandle,
}

impl Listening {
    pub(super) fn is_alive(&self) -> bool {
        !self.task.is_finished()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(super) async fn bind(address: &str, key: &str) -> Result<TcpListener, BootError> {
    TcpListener::bind(address)
        .await
        .map_err(|error| BootError::new(format!("cannot listen on {address} ({key}): {error}")))
}

pub(super) fn tls(certificates: Arc<Certificates>) -> Result<Arc<ServerConfig>, BootError> {
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| BootError::new(format!("TLS cannot be set up: {error}")))?
        .with_no_client_auth()
        .with_cert_resolver(certificates);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

pub(super) fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    inner: &Arc<Inner>,
) -> Result<Listening, BootError> {
    let address = listener.local_addr()?;
    // The proxy ends its sockets, not the other way around.
    let inner = Arc::downgrade(inner);
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let task = tokio::spawn(async move {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else {
                return;
            };
            let (stream, peer) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "the proxy cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Some(inner) = inner.upgrade() else {
                return;
            };
            let tls = tls.clone();
            tokio::spawn(async move {
                connection(stream, peer, tls, inner).await;
                drop(place);
            });
        }
    });
    Ok(Listening {
        address,
        task: task.abort_handle(),
    })
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    inner: Arc<Inner>,
) {
    let _ = stream.set_nodelay(true);
    let stream = Unread::new(stream, UNREAD);
    let address = peer.ip().to_canonical();
    match tls {
        None => {
            let peer = Peer {
                address,
                secure: false,
            };
            requests(stream, peer, inner).await;
        }
        Some(tls) => {
            let peer = Peer {
                address,
                secure: true,
            };
            let shaken = tokio::time::timeout(HANDSHAKE, handshake(stream, tls, &inner)).await;
            match shaken {
                Ok(Ok(stream)) => requests(stream, peer, inner).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            }
        }
    }
}

/// Shakes hands once it is known whether another process has created the host in between, so that
/// its certificate is there.
async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    tls: Arc<ServerConfig>,
    inner: &Inner,
) -> io::Result<TlsStream<S>> {
    let started = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
    let name = started.client_hello().server_name().map(str::to_lowercase);
    if let Some(name) = name {
        inner.find_secured(&name).await;
    }
    started.into_stream(tls).await
}

async fn requests(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    peer: Peer,
    inner: Arc<Inner>,
) {
    let service = service_fn(move |request| {
        let inner = Arc::clone(&inner);
        async move { Ok::<_, std::convert::Infallible>(forward::answer(&inner, peer, request).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(64 << 10)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "a connection of the proxy ended early");
    }
}
