//! Messages over a connection that may be lost: it is made again, and who listens is told of a gap.

use std::error::Error;
use std::time::Duration;

use super::{Publisher, StoreError, Subscription};

/// Messages that wait for one who listens.
pub(super) const WAITING: usize = 1024;

/// After so long without a message the connection is tried: one whose other end is gone without a
/// word would be listened to for ever.
pub(super) const BEAT: Duration = Duration::from_secs(10);

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

pub(super) type Lost = Box<dyn Error + Send + Sync>;

/// A connection on which messages come in.
pub(super) trait Listener: Sized + Send + 'static {
    /// Where they come from.
    type Source: Send + Sync + 'static;

    /// When this returns, it listens.
    fn connect(
        source: &Self::Source,
        publisher: &Publisher,
    ) -> impl Future<Output = Result<Self, Lost>> + Send;

    /// Passes messages on until the connection is lost, and says why.
    fn listen(self, publisher: &Publisher) -> impl Future<Output = Lost> + Send;
}

/// A subscription over a connection of its own, until nobody listens or the store is closed.
pub(super) async fn subscribe<L: Listener>(
    source: L::Source,
    closed: impl Future<Output = ()> + Send + 'static,
) -> Result<Subscription, StoreError> {
    let (publisher, subscription) = Subscription::channel(WAITING);
    let listener = L::connect(&source, &publisher)
        .await
        .map_err(StoreError::unavailable)?;
    tokio::spawn(async move {
        let listener = keep(listener, &source, &publisher);
        tokio::select! {
            () = publisher.closed() => {}
            () = closed => {}
            () = listener => {}
        }
    });
    Ok(subscription)
}

async fn keep<L: Listener>(mut listener: L, source: &L::Source, publisher: &Publisher) {
    loop {
        let error = listener.listen(publisher).await;
        tracing::warn!(
            error,
            "the connection for messages of other instances is lost"
        );
        listener = again(source, publisher).await;
        // Not before it listens again: who reads now misses nothing that is said from here on.
        publisher.gap();
        tracing::info!("messages of other instances are heard again");
    }
}

async fn again<L: Listener>(source: &L::Source, publisher: &Publisher) -> L {
    let mut pause = FIRST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        match L::connect(source, publisher).await {
            Ok(listener) => return listener,
            Err(error) => tracing::debug!(error, "no connection for messages yet"),
        }
        pause = LONGEST_PAUSE.min(pause * 2);
    }
}
