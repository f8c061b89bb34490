//! What the proxy has to know before it starts.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::identity::TokenFile;
use crate::secret::Secret;

/// Everything an operator may decide about the proxy.
pub struct Settings {
    /// `sqlite://…`, `sqlite::memory:` or `postgres://…`.
    pub database: Secret,
    /// Where to listen for http and for https; nowhere, when it is `None`.
    pub listen: Option<String>,
    pub tls_listen: Option<String>,
    /// Folder with `name.crt` and `name.key` (PEM).
    pub certificates: PathBuf,
    /// Where each command gets an empty folder to run in.
    pub empty_folder: PathBuf,
    /// Host names that are never given away: those of the MCP server itself.
    pub reserved: Vec<String>,
    /// Origins that may lie at private addresses, like `http://127.0.0.1:8080`.
    pub private_targets: Vec<String>,
    /// Unix socket of a Docker-compatible engine.
    pub docker_socket: Option<PathBuf>,
    /// How many requests are remembered.
    pub log_limit: u32,
    /// To open a connection to a target.
    pub connect: Duration,
    /// Between two pieces of what a target answers. Time that a client needs to send does not count.
    pub answer: Duration,
    pub commands: CommandSettings,
    /// Above the folders of saved configurations, one for everybody who saves any.
    pub exports: PathBuf,
    /// The tokens that are listed, and that hosts with `auth_enabled` ask for.
    pub tokens: Option<Arc<TokenFile>>,
    /// What cursors are signed with, the same at all instances. Without one, a secret is made in
    /// `folder`, for the processes that share it.
    pub cursor_secret: Option<Secret>,
    /// Where the proxy keeps what is its own.
    pub folder: PathBuf,
}

/// Which commands may be run. None, unless some are listed.
pub struct CommandSettings {
    /// Like `docker logs [--tail <number>] <service>`.
    pub allow: Vec<String>,
    /// Folders in which their programs are.
    pub path: Vec<PathBuf>,
    pub timeout: Duration,
    /// How many run at the same time.
    pub at_once: usize,
}

impl Settings {
    /// Nothing is listened on, and nothing may be run.
    pub fn new(database: impl Into<Secret>, folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self {
            database: database.into(),
            listen: None,
            tls_listen: None,
            certificates: folder.join("certificates"),
            empty_folder: folder.join("empty"),
            reserved: Vec::new(),
            private_targets: Vec::new(),
            docker_socket: None,
            log_limit: 10_000,
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(30),
            commands: CommandSettings::default(),
            exports: folder.join("exports"),
            tokens: None,
            cursor_secret: None,
            folder,
        }
    }
}

impl Default for CommandSettings {
    fn default() -> Self {
        Self {
            allow: Vec::new(),
            path: ["/usr/local/bin", "/usr/bin", "/bin"]
                .map(PathBuf::from)
                .to_vec(),
            timeout: Duration::from_secs(60),
            at_once: 2,
        }
    }
}
