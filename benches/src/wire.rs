//! As much of HTTP/1.1 as a measurement needs.

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::Result;

/// A message to be posted.
pub(crate) struct Request {
    /// Further lines of the head, each with its line break.
    pub(crate) headers: String,
    pub(crate) body: String,
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) session: Option<String>,
    pub(crate) text: String,
}

/// A connection that is used again, for answers of known length.
pub(crate) struct Connection {
    address: String,
    tcp: BufReader<TcpStream>,
}

/// A connection with an answer that goes on.
pub(crate) struct Stream(BufReader<TcpStream>);

impl Connection {
    pub(crate) async fn open(address: &str) -> Result<Self> {
        Ok(Self {
            address: address.to_owned(),
            tcp: BufReader::new(connect(address).await?),
        })
    }

    pub(crate) async fn post(&mut self, request: &Request) -> Result<Answer> {
        send(&mut self.tcp, &self.address, request).await?;
        let head = head(&mut self.tcp).await?;
        let length = head.length.ok_or("an answer of unknown length")?;
        let mut body = vec![0; length];
        self.tcp.read_exact(&mut body).await?;
        Ok(Answer {
            session: head.session,
            text: String::from_utf8(body)?,
        })
    }
}

impl Stream {
    /// Posts a request and reads the head of its answer.
    pub(crate) async fn open(address: &str, request: &Request) -> Result<Self> {
        // A small buffer: there may be ten thousand of these.
        let mut tcp = BufReader::with_capacity(1 << 10, connect(address).await?);
        send(&mut tcp, address, request).await?;
        head(&mut tcp).await?;
        Ok(Self(tcp))
    }

    /// Waits for the first byte of the body.
    pub(crate) async fn first_byte(&mut self) -> Result {
        if self.0.fill_buf().await?.is_empty() {
            return Err("the stream ended before its first byte".into());
        }
        Ok(())
    }

    /// Reads lines until one is wanted. Chunk sizes are lines of their own, and never wanted.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&str) -> bool) -> Result {
        let mut line = String::new();
        loop {
            line.clear();
            if self.0.read_line(&mut line).await? == 0 {
                return Err("the stream ended early".into());
            }
            if wanted(&line) {
                return Ok(());
            }
        }
    }
}

async fn connect(address: &str) -> Result<TcpStream> {
    let tcp = TcpStream::connect(address).await?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}

async fn send(tcp: &mut BufReader<TcpStream>, address: &str, request: &Request) -> Result {
    let Request { headers, body } = request;
    let message = format!(
        "POST /mcp HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nContent-Length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    Ok(tcp.write_all(message.as_bytes()).await?)
}

struct Head {
    length: Option<usize>,
    session: Option<String>,
}

async fn head(tcp: &mut BufReader<TcpStream>) -> Result<Head> {
    let mut head = Head {
        length: None,
        session: None,
    };
    let mut line = String::new();
    tcp.read_line(&mut line).await?;
    if !line.starts_with("HTTP/1.1 200") {
        return Err(format!("not 200: {}", line.trim()).into());
    }
    loop {
        line.clear();
        if tcp.read_line(&mut line).await? == 0 {
            return Err("the head ended early".into());
        }
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            return Ok(head);
        };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => head.length = Some(value.parse()?),
            "mcp-session-id" => head.session = Some(value.to_owned()),
            _ => {}
        }
    }
}
