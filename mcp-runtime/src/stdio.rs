//! MCP over a pipe: one message per line, and nothing else on it.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::mpsc;

use crate::caller::Caller;
use crate::connection::Connection;
use crate::wire::engine::Engine;
use crate::wire::reply::code;

/// The longest line, in bytes; the rest of a longer one is skipped.
const MAX_LINE: usize = 4 << 20;
/// Messages answered at the same time, and answers that wait to be written.
const MAX_CONCURRENT: usize = 64;
/// How long calls in flight may go on after the client has closed the pipe.
const GRACE: Duration = Duration::from_secs(1);

/// Answers lines from `input` on `output` until `input` ends.
pub(crate) async fn serve(
    engine: Arc<Engine>,
    caller: Arc<Caller>,
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin + Send + 'static,
) -> io::Result<()> {
    let (answers, mut lines) = mpsc::channel::<Vec<u8>>(MAX_CONCURRENT);
    let writer = tokio::spawn(async move {
        while let Some(mut line) = lines.recv().await {
            line.push(b'\n');
            output.write_all(&line).await?;
            output.flush().await?;
        }
        io::Result::Ok(())
    });
    let connection = Connection::open(engine, caller, "pipe", answers);
    let mut reader = Lines::default();
    let result = loop {
        let line = tokio::select! {
            line = reader.next(&mut input) => line,
            () = connection.unread() => break Ok(()),
            () = connection.over() => break Ok(()),
        };
        match line {
            Err(error) => break Err(error),
            Ok(None) => break Ok(()),
            Ok(Some(Line::Message(bytes))) => connection.receive(bytes).await,
            Ok(Some(Line::TooLong)) => {
                let why = format!("The line is longer than {MAX_LINE} bytes");
                connection.refuse(code::INVALID_REQUEST, &why).await;
            }
        }
    };
    connection.finish(GRACE).await;
    drop(connection);
    // The writer ends when the last call has dropped its sender, at the latest now.
    match tokio::time::timeout(GRACE, writer).await {
        Ok(Ok(written)) => result.and(written),
        _ => result,
    }
}

/// Standard input, read by a thread of its own. A read that never ends must not keep the process
/// from ending, and the threads of the runtime would: it waits for them.
pub(crate) struct Input {
    chunks: mpsc::Receiver<io::Result<Bytes>>,
    rest: Bytes,
}

impl Input {
    pub(crate) fn open() -> io::Result<Self> {
        let (sender, chunks) = mpsc::channel(1);
        let read = move || {
            let mut input = io::stdin().lock();
            let mut buffer = vec![0; 64 << 10];
            loop {
                let chunk = match input.read(&mut buffer) {
                    Ok(0) => return,
                    Ok(length) => Ok(Bytes::copy_from_slice(&buffer[..length])),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                    Err(error) => Err(error),
                };
                let broken = chunk.is_err();
                if sender.blocking_send(chunk).is_err() || broken {
                    return;
                }
            }
        };
        std::thread::Builder::new()
            .name("mcp-stdin".to_owned())
            .spawn(read)?;
        Ok(Self {
            chunks,
            rest: Bytes::new(),
        })
    }
}

impl AsyncRead for Input {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            match ready!(self.chunks.poll_recv(context)) {
                Some(chunk) => self.rest = chunk?,
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

enum Line {
    Message(Bytes),
    TooLong,
}

/// Splits a stream into lines without ever holding more than one and a bit.
#[derive(Default)]
struct Lines {
    buffer: BytesMut,
    /// How much of the buffer is known to have no line break.
    searched: usize,
    skipping: bool,
}

impl Lines {
    async fn next(&mut self, input: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Line>> {
        loop {
            if let Some(end) = self.buffer[self.searched..]
                .iter()
                .position(|byte| *byte == b'\n')
            {
                let line = self.buffer.split_to(self.searched + end + 1).freeze();
                self.searched = 0;
                if std::mem::take(&mut self.skipping) {
                    return Ok(Some(Line::TooLong));
                }
                let line = trim(line);
                if !line.is_empty() {
                    return Ok(Some(Line::Message(line)));
                }
                continue;
            }
            self.searched = self.buffer.len();
            if self.buffer.len() > MAX_LINE {
                self.buffer = BytesMut::new();
                self.searched = 0;
                self.skipping = true;
            }
            self.buffer.reserve(8 << 10);
            if input.read_buf(&mut self.buffer).await? == 0 {
                // A last message without a line break is a message all the same.
                let rest = trim(std::mem::take(&mut self.buffer).freeze());
                self.searched = 0;
                return Ok((!rest.is_empty() && !self.skipping).then_some(Line::Message(rest)));
            }
        }
    }
}

/// Drops white space around a line, and a byte order mark before it.
fn trim(line: Bytes) -> Bytes {
    let start = line
        .strip_prefix(b"\xef\xbb\xbf")
        .unwrap_or(&line)
        .trim_ascii();
    line.slice_ref(start)
}
