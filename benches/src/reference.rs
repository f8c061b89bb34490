//! A reference server of one's own, for as long as it is measured.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::Result;
use crate::wire::Connection;

/// The records alone, and as many requests as anybody likes.
pub(crate) const UNLIMITED: &str = "toolsets = [\"records\"]\n[log]\nfilter = \"warn\"\n\
     [limits]\nrequests = \"off\"\nwrites = \"off\"\nconcurrent = 100\n\
     [platform]\nrate_limits = \"off\"\ndemo_data = false\n";

/// Where a server has its configuration and its data.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new(settings: &str) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("mcp-measured-{}-{count}", std::process::id());
        let folder = Self(std::env::temp_dir().join(name));
        std::fs::create_dir_all(&folder.0)?;
        let data = format!("data = {:?}\n", folder.data());
        std::fs::write(folder.config(), data + settings)?;
        Ok(folder)
    }

    fn config(&self) -> PathBuf {
        self.0.join("config.toml")
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.0.join("data")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A process, which ends with this.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: Arc<str>,
}

impl Server {
    /// Starts `program command`, and waits until it listens.
    pub(crate) async fn start(
        program: impl AsRef<Path>,
        command: &str,
        folder: &Folder,
        variables: &[(String, String)],
    ) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let address = format!("127.0.0.1:{port}");
        let mut child = Command::new(program.as_ref());
        child
            .args([command, "--listen", &address, "--config"])
            .arg(folder.config())
            .envs(variables.iter().cloned())
            .stdout(Stdio::null());
        let mut server = Self {
            child: child.spawn()?,
            address: address.into(),
        };
        let end = Instant::now() + Duration::from_secs(60);
        while Connection::open(&server.address).await.is_err() {
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("the server has ended: {status}").into());
            }
            if Instant::now() > end {
                return Err("the server does not listen".into());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(server)
    }

    fn proc(&self, file: &str) -> Result<String> {
        Ok(std::fs::read_to_string(format!(
            "/proc/{}/{file}",
            self.child.id()
        ))?)
    }

    /// The most memory that was resident.
    pub(crate) fn peak_kib(&self) -> Result<u64> {
        let status = self.proc("status")?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let peak = line.ok_or("no peak")?.trim().trim_end_matches(" kB");
        Ok(peak.parse()?)
    }

    /// Seconds of CPU so far.
    pub(crate) fn cpu(&self) -> Result<f64> {
        let stat = self.proc("stat")?;
        let (_, after) = stat.rsplit_once(") ").ok_or("no times")?;
        let fields: Vec<&str> = after.split(' ').collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        Ok(ticks as f64 / 100.0)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
