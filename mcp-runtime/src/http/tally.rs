//! What a stream of events has sent, and why it ended.

use std::sync::Arc;

use tokio::time::Instant;

use crate::changes::Changes;
use crate::http::stream::KEEP_ALIVE;
use crate::metrics::{Figures, StreamEnd};

/// The tally of one stream: counted and logged when it is dropped, however that comes.
pub(crate) struct Tally {
    /// For the log alone: nothing can be resumed with it.
    id: u32,
    since: Instant,
    /// When somebody last asked for more.
    polled: Instant,
    bytes: u64,
    chunks: u64,
    end: Option<StreamEnd>,
    changes: Changes,
    figures: Option<Arc<Figures>>,
}

impl Tally {
    pub(crate) fn begin(changes: &Changes, figures: Option<&Arc<Figures>>) -> Self {
        if let Some(figures) = figures {
            figures.stream_opened();
        }
        let now = Instant::now();
        let id = rand::random();
        tracing::debug!(target: "mcp::stream", stream_id = %format_args!("sse_{id:08x}"), "stream began");
        Self {
            id,
            since: now,
            polled: now,
            bytes: 0,
            chunks: 0,
            end: None,
            changes: changes.clone(),
            figures: figures.cloned(),
        }
    }

    /// Somebody asks for more.
    pub(crate) fn polled(&mut self) {
        self.polled = Instant::now();
    }

    pub(crate) fn sent(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        self.chunks += 1;
    }

    /// Nothing more comes, for this reason.
    pub(crate) fn ends(&mut self, why: StreamEnd) {
        self.end.get_or_insert(why);
    }

    /// Nothing more comes: the server stops, or the session has ended.
    pub(crate) fn is_over(&mut self) {
        let why = match self.changes.is_closed() {
            true => StreamEnd::Shutdown,
            false => StreamEnd::SessionExpired,
        };
        self.ends(why);
    }

    /// Why the connection went before the stream had ended.
    fn cut(&self) -> StreamEnd {
        if self.changes.is_closed() {
            StreamEnd::Shutdown
        } else if self.polled.elapsed() > 2 * KEEP_ALIVE {
            // A stream that is read is asked for more with every keep-alive.
            StreamEnd::WriteTimeout
        } else {
            StreamEnd::ClientClosed
        }
    }
}

impl Drop for Tally {
    fn drop(&mut self) {
        let why = self.end.unwrap_or_else(|| self.cut());
        let lasted = self.since.elapsed();
        if let Some(figures) = &self.figures {
            figures.stream_ended(why, lasted, self.bytes, self.chunks);
        }
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    target: "mcp::stream",
                    stream_id = %format_args!("sse_{:08x}", self.id),
                    bytes_sent = self.bytes,
                    chunks_sent = self.chunks,
                    duration_ms = u64::try_from(lasted.as_millis()).unwrap_or(u64::MAX),
                    disconnect_reason = why.as_str(),
                    "stream ended"
                )
            };
        }
        match why {
            StreamEnd::Error | StreamEnd::WriteTimeout => log!(warn),
            _ => log!(info),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::metrics::Metrics;

    #[tokio::test(start_paused = true)]
    async fn a_stream_that_nobody_reads_ends_for_another_reason_than_one_that_is_left() {
        for (silent_s, closed, expected) in [
            (0, false, "client_closed"),
            // As long as there is a keep-alive now and then, its client was there.
            (29, false, "client_closed"),
            (31, false, "write_timeout"),
            (31, true, "server_shutdown"),
        ] {
            let (metrics, changes) = (Metrics::new(), Changes::default());
            let figures = Arc::new(Figures::new(&metrics));
            let mut tally = Tally::begin(&changes, Some(&figures));
            tally.polled();
            tokio::time::advance(Duration::from_secs(silent_s)).await;
            if closed {
                changes.close();
            }
            drop(tally);
            let series = format!("mcp_streams_ended_total{{reason=\"{expected}\"}} 1\n");
            let text = metrics.render();
            assert!(text.contains(&series), "{silent_s} s, {closed}: {text}");
        }
    }
}
