//! TLS in front of the listener, with certificates that can be exchanged while it serves.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use tokio::net::TcpStream;
use tokio_rustls::rustls::crypto::{CryptoProvider, aws_lc_rs};
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::http::listener::Door;

/// How often the files are looked at, unless said otherwise.
const CHECK_EVERY: Duration = Duration::from_secs(30);

/// TLS 1.2 and 1.3 with the certificate in these files, for [`Server::tls`](crate::Server::tls).
///
/// The files are looked at every 30 seconds, and on SIGHUP. New ones hold for new connections;
/// open ones stay as they are. Files that do not work are an error in the log, and the certificate
/// before stays.
#[derive(Clone, Debug)]
pub struct Tls {
    cert: PathBuf,
    key: PathBuf,
    client_ca: Option<PathBuf>,
    check_every: Duration,
}

impl Tls {
    /// A certificate with those between it and its root, and its private key, both as PEM.
    pub fn files(cert: impl Into<PathBuf>, key: impl Into<PathBuf>) -> Self {
        Self {
            cert: cert.into(),
            key: key.into(),
            client_ca: None,
            check_every: CHECK_EVERY,
        }
    }

    /// Takes connections only from clients with a certificate of one of the authorities in this
    /// file (PEM). Who calls is still what the access token says.
    #[must_use]
    pub fn client_ca(mut self, path: impl Into<PathBuf>) -> Self {
        self.client_ca = Some(path.into());
        self
    }

    /// How often the files are looked at.
    #[must_use]
    pub fn check_every(mut self, interval: Duration) -> Self {
        self.check_every = interval.max(Duration::from_millis(1));
        self
    }

    /// Reads the files.
    pub(crate) fn load(self) -> Result<Loaded, String> {
        let stamps = self.stamps();
        let config = self.config()?;
        self.warn_of_open_key();
        Ok(Loaded {
            tls: self,
            config,
            stamps,
        })
    }

    fn config(&self) -> Result<Arc<ServerConfig>, String> {
        let chain = certificates(&self.cert, "the TLS certificate")?;
        let key = PrivateKeyDer::from_pem_file(&self.key)
            .map_err(|error| problem("the TLS key", &self.key, error))?;
        let provider = Arc::new(aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| format!("TLS cannot be set up: {error}"))?;
        let config = match &self.client_ca {
            None => config.with_no_client_auth(),
            Some(path) => config.with_client_cert_verifier(verifier(path, provider)?),
        };
        let mut config = config
            .with_single_cert(chain, key)
            .map_err(|error| problem("the TLS certificate", &self.cert, error))?;
        // The listener speaks nothing else.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }

    fn stamps(&self) -> Vec<Option<(SystemTime, u64)>> {
        let files = [Some(&self.cert), Some(&self.key), self.client_ca.as_ref()];
        files
            .into_iter()
            .flatten()
            .map(|path| stamp(path))
            .collect()
    }

    #[cfg(unix)]
    fn warn_of_open_key(&self) {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&self.key).map_or(0, |file| file.permissions().mode());
        if mode & 0o007 != 0 {
            let path = self.key.display();
            tracing::warn!(target: "mcp::tls", %path, mode = format!("{:o}", mode & 0o777), "every user of this machine can reach the TLS key: chmod o= it");
        }
    }

    #[cfg(not(unix))]
    fn warn_of_open_key(&self) {}
}

/// Changes with the file. `None` for one that is not there.
fn stamp(path: &Path) -> Option<(SystemTime, u64)> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.modified().ok()?, file.len()))
}

fn certificates(path: &Path, what: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let certificates: Vec<_> = read.map_err(|error| problem(what, path, error))?;
    if certificates.is_empty() {
        return Err(problem(what, path, "no certificate in it"));
    }
    Ok(certificates)
}

fn verifier(
    path: &Path,
    provider: Arc<CryptoProvider>,
) -> Result<Arc<dyn tokio_rustls::rustls::server::danger::ClientCertVerifier>, String> {
    let what = "the authority of TLS clients";
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path, what)? {
        roots
            .add(certificate)
            .map_err(|error| problem(what, path, error))?;
    }
    WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .map_err(|error| problem(what, path, error))
}

/// No error of these names more than kinds and numbers of what is in a file.
fn problem(what: &str, path: &Path, why: impl fmt::Display) -> String {
    format!("{what} cannot be used ({}): {why}", path.display())
}

/// Files that work.
#[derive(Clone)]
pub(crate) struct Loaded {
    tls: Tls,
    config: Arc<ServerConfig>,
    stamps: Vec<Option<(SystemTime, u64)>>,
}

impl Loaded {
    /// The files again, when they have changed.
    fn reload(&mut self, current: &RwLock<Arc<ServerConfig>>, forced: bool) {
        let stamps = self.tls.stamps();
        if stamps == self.stamps && !forced {
            return;
        }
        self.stamps = stamps;
        match self.tls.config() {
            Ok(config) => {
                *current.write().unwrap_or_else(PoisonError::into_inner) = config;
                self.tls.warn_of_open_key();
                tracing::info!(target: "mcp::tls", cert = %self.tls.cert.display(), "new TLS certificate");
            }
            Err(error) => {
                tracing::error!(target: "mcp::tls", %error, "the TLS certificate before stays in use");
            }
        }
    }
}

/// Lets those in who shake hands in time.
#[derive(Clone)]
pub(crate) struct TlsDoor {
    current: Arc<RwLock<Arc<ServerConfig>>>,
    handshake: Duration,
    /// Ends what is half open, and the look at the files.
    closed: CancellationToken,
}

impl TlsDoor {
    pub(crate) fn open(loaded: Loaded, handshake: Duration) -> Self {
        let door = Self {
            current: Arc::new(RwLock::new(Arc::clone(&loaded.config))),
            handshake,
            closed: CancellationToken::new(),
        };
        let (current, closed) = (Arc::clone(&door.current), door.closed.clone());
        tokio::spawn(closed.run_until_cancelled_owned(watch(loaded, current)));
        door
    }

    /// Whoever serves may be dropped at any moment.
    pub(crate) fn closes_on_drop(&self) -> DropGuard {
        self.closed.clone().drop_guard()
    }
}

/// Keeps up with the files.
async fn watch(mut loaded: Loaded, current: Arc<RwLock<Arc<ServerConfig>>>) {
    let mut told = Told::new();
    loop {
        let forced = tokio::select! {
            () = tokio::time::sleep(loaded.tls.check_every) => false,
            () = told.reload() => true,
        };
        let into = Arc::clone(&current);
        let read = tokio::task::spawn_blocking(move || {
            loaded.reload(&into, forced);
            loaded
        });
        // Neither panics, nor is anything left to keep up with when the runtime goes.
        let Ok(read) = read.await else { return };
        loaded = read;
    }
}

/// SIGHUP, where there is one.
struct Told(#[cfg(unix)] Option<tokio::signal::unix::Signal>);

impl Told {
    #[cfg(unix)]
    fn new() -> Self {
        use tokio::signal::unix::{SignalKind, signal};
        Self(signal(SignalKind::hangup()).ok())
    }

    #[cfg(not(unix))]
    fn new() -> Self {
        Self()
    }

    async fn reload(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.0
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending().await
    }
}

impl Door for TlsDoor {
    type Stream = TlsStream<TcpStream>;

    async fn enter(&self, stream: TcpStream) -> Option<Self::Stream> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner));
        let handshake = tokio_rustls::TlsAcceptor::from(config).accept(stream);
        let handshake = tokio::time::timeout(self.handshake, handshake);
        // Anybody can cause these: they are not worth more than a word to who looks for them.
        match self.closed.run_until_cancelled(handshake).await? {
            Ok(Ok(stream)) => Some(stream),
            Ok(Err(error)) => {
                tracing::debug!(target: "mcp::tls", %error, "no TLS handshake");
                None
            }
            Err(_) => {
                tracing::debug!(target: "mcp::tls", "a TLS handshake took too long");
                None
            }
        }
    }

    fn close(&self) {
        self.closed.cancel();
    }
}
