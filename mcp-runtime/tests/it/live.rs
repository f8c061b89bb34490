//! A server behind a real socket.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mcp_runtime::Service;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// No test waits longer than this for anything.
const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) struct Live {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<mcp_runtime::Result>,
    /// Connections that wait for their next request.
    crowd: Vec<TcpStream>,
}

/// More than keep their buffers while they wait.
const CROWD: usize = 70;

impl Live {
    pub(crate) async fn start(service: Service) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let served = tokio::spawn(service.serve_with(listener, async {
            let _ = stopped.await;
        }));
        Self {
            address,
            stop: Some(stop),
            served,
            crowd: Vec::new(),
        }
    }

    /// With many connections, of which those that wait are put by.
    pub(crate) async fn crowded(service: Service) -> Self {
        let mut live = Self::start(service).await;
        for _ in 0..CROWD {
            live.crowd.push(live.connect().await);
        }
        // Those before it have been taken, when the last one is answered.
        let last = live.crowd.last_mut().unwrap();
        let ask = b"GET /api/v1/ready HTTP/1.1\r\nHost: localhost\r\n\r\n";
        last.write_all(ask).await.unwrap();
        assert_eq!(status(&answer(last).await), 200);
        live
    }

    /// Two servers: with few connections, and with many.
    pub(crate) async fn both(service: impl Fn() -> Service) -> [Self; 2] {
        [Self::start(service()).await, Self::crowded(service()).await]
    }

    /// Tells the server to stop, and goes on at once.
    pub(crate) fn tell_to_stop(&mut self) {
        let _ = self.stop.take().map(|stop| stop.send(()));
    }

    /// Stops the server and says how long that took.
    pub(crate) async fn stop(mut self) -> Duration {
        let since = Instant::now();
        self.tell_to_stop();
        within(self.served).await.unwrap().unwrap();
        since.elapsed()
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends bytes on a connection of their own and gives back all that comes until it is closed.
    pub(crate) async fn exchange(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        // A server that has refused the head does not read the rest.
        let _ = stream.write_all(bytes).await;
        rest(&mut stream).await
    }
}

/// All that comes until the connection is closed.
pub(crate) async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset after the answer is as good an end as any.
    let _ = within(stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads one answer that says how long it is.
pub(crate) async fn answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head
                .lines()
                .find_map(|line| {
                    line.to_ascii_lowercase()
                        .strip_prefix("content-length: ")?
                        .parse()
                        .ok()
                })
                .unwrap_or(0);
            if body.len() >= length {
                return text.into_owned();
            }
        }
        let read = within(stream.read_buf(&mut bytes)).await.unwrap();
        assert_ne!(read, 0, "closed before the answer was whole: {bytes:?}");
    }
}

pub(crate) fn status(answer: &str) -> u16 {
    answer
        .strip_prefix("HTTP/1.1 ")
        .and_then(|rest| rest.get(..3)?.parse().ok())
        .unwrap_or(0)
}

pub(crate) async fn within<F: Future>(future: F) -> F::Output {
    tokio::time::timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("nothing happened within {PATIENCE:?}: look for a hang"))
}

/// Memory is that of the process, so a test that looks at it runs in a process of its own: `true`
/// in there. Elsewhere the test has been run when this returns, and went well.
pub(crate) fn alone(test: &str) -> bool {
    const ALONE: &str = "MCP_TEST_ALONE";
    if std::env::var_os(ALONE).is_some() {
        return true;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--test-threads=1"])
        .env(ALONE, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "alone in its process: {said}");
    assert!(
        said.contains("1 passed"),
        "`{test}` is not the name of the test: {said}"
    );
    false
}

/// The resident memory of this process, in KiB.
pub(crate) fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or(0)
}
