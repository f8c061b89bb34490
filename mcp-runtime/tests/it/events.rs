//! A client that reads a stream of events from a socket, byte by byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ask::Ask;
use crate::live::{Live, within};

/// One answer of HTTP that arrives in pieces.
pub(crate) struct Events {
    stream: TcpStream,
    raw: Vec<u8>,
    pub(crate) head: String,
    seen: usize,
}

/// One block of a stream: its lines by name. A comment has the name "".
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Event(Vec<(String, String)>);

impl Event {
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.iter().filter(|(known, _)| known == name);
        let (_, value) = lines.next()?;
        assert!(
            lines.next().is_none(),
            "`{name}` twice in one event: {self:?}"
        );
        Some(value)
    }

    pub(crate) fn id(&self) -> String {
        self.get("id")
            .unwrap_or_else(|| panic!("an event without an id: {self:?}"))
            .to_owned()
    }

    /// The message that the event carries.
    pub(crate) fn message(&self) -> serde_json::Value {
        assert_eq!(self.get("event"), Some("message"), "{self:?}");
        serde_json::from_str(self.get("data").unwrap()).unwrap()
    }
}

impl Events {
    /// Sends a request and reads the head of its answer.
    pub(crate) async fn open(live: &Live, ask: &Ask) -> Self {
        let mut stream = live.connect().await;
        stream.write_all(&ask.bytes()).await.unwrap();
        let mut events = Self {
            stream,
            raw: Vec::new(),
            head: String::new(),
            seen: 0,
        };
        loop {
            let end = events.raw.windows(4).position(|bytes| bytes == b"\r\n\r\n");
            if let Some(end) = end {
                let body = events.raw.split_off(end + 4);
                events.head = String::from_utf8_lossy(&events.raw).to_ascii_lowercase();
                events.raw = body;
                return events;
            }
            assert!(events.read().await, "closed before the head was whole");
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    pub(crate) fn is_stream(&self) -> bool {
        self.header("content-type")
            .is_some_and(|kind| kind.starts_with("text/event-stream"))
    }

    /// The next block, a comment too; `None` at the end.
    pub(crate) async fn any(&mut self) -> Option<Event> {
        loop {
            let (text, ended) = self.text();
            if let Some((block, _)) = text[self.seen..].split_once("\n\n") {
                self.seen += block.len() + 2;
                let line = |line: &str| {
                    let (name, value) = line.split_once(':').unwrap_or((line, ""));
                    (name.to_owned(), value.trim_start_matches(' ').to_owned())
                };
                return Some(Event(block.split('\n').map(line).collect()));
            }
            if ended {
                assert_eq!(&text[self.seen..], "", "half an event at the end");
                return None;
            }
            if !self.read().await {
                return None;
            }
        }
    }

    /// The next block that is no comment; `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            let event = self.any().await?;
            if event.get("").is_none() {
                return Some(event);
            }
        }
    }

    /// The rest of the stream, without comments.
    pub(crate) async fn rest(&mut self) -> Vec<Event> {
        let mut all = Vec::new();
        while let Some(event) = self.next().await {
            all.push(event);
        }
        all
    }

    /// The body so far, without its chunks, and whether that is all of it.
    fn text(&self) -> (String, bool) {
        let mut body = Vec::new();
        let mut rest = &self.raw[..];
        while let Some(end) = rest.windows(2).position(|bytes| bytes == b"\r\n") {
            let size = std::str::from_utf8(&rest[..end]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            if size == 0 {
                return (String::from_utf8(body).unwrap(), true);
            }
            let Some(chunk) = rest.get(end + 2..end + 2 + size) else {
                break;
            };
            body.extend_from_slice(chunk);
            rest = rest.get(end + 4 + size..).unwrap_or_default();
        }
        (String::from_utf8_lossy(&body).into_owned(), false)
    }

    async fn read(&mut self) -> bool {
        within(self.stream.read_buf(&mut self.raw))
            .await
            .unwrap_or(0)
            > 0
    }
}
