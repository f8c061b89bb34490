//! A store that counts what is asked of it.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Counter, Histogram, Metrics};
use crate::limits::Rate;
use crate::store::{Store, StoreErrorKind, StoreFuture, Subscription};

const OPERATIONS: [&str; 8] = [
    "get",
    "put",
    "put_if_absent",
    "replace",
    "remove",
    "take",
    "publish",
    "subscribe",
];
const OUTCOMES: [&str; 5] = ["ok", "full", "too_large", "unavailable", "cancelled"];

pub(super) struct Measured {
    store: Arc<dyn Store>,
    operations: [Figures; OPERATIONS.len()],
}

struct Figures {
    outcomes: [Counter; OUTCOMES.len()],
    duration: Histogram,
}

impl Measured {
    pub(super) fn new(store: Arc<dyn Store>, metrics: &Metrics) -> Self {
        let figures = |operation| Figures {
            outcomes: OUTCOMES.map(|outcome| {
                metrics.quiet_counter(
                    "mcp_store_operations_total",
                    "Operations of the store by how they ended.",
                    &[("operation", operation), ("outcome", outcome)],
                )
            }),
            duration: metrics.durations(
                "mcp_store_duration_seconds",
                "How long operations of the store took.",
                &[("operation", operation)],
            ),
        };
        Self {
            store,
            operations: OPERATIONS.map(figures),
        }
    }

    fn measured<'a, T: 'a>(
        &'a self,
        operation: usize,
        mut work: StoreFuture<'a, T>,
    ) -> StoreFuture<'a, T> {
        Box::pin(async move {
            let mut open = Open {
                figures: &self.operations[operation],
                since: Instant::now(),
                // Until it has ended, whoever asked may go away.
                outcome: 4,
            };
            let result = poll_fn(|context| work.as_mut().poll(context)).await;
            open.outcome = match result.as_ref().err().map(|error| error.kind()) {
                None => 0,
                Some(StoreErrorKind::Full) => 1,
                Some(StoreErrorKind::TooLarge) => 2,
                Some(_) => 3,
            };
            result
        })
    }
}

struct Open<'a> {
    figures: &'a Figures,
    since: Instant,
    outcome: usize,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.figures.outcomes[self.outcome].count();
        self.figures.duration.took(self.since.elapsed());
    }
}

impl Store for Measured {
    fn get<'a>(&'a self, key: &'a str) -> StoreFuture<'a, Option<Vec<u8>>> {
        self.measured(0, self.store.get(key))
    }

    fn put<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        expires_at: Timestamp,
    ) -> StoreFuture<'a, ()> {
        self.measured(1, self.store.put(key, value, expires_at))
    }

    fn put_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a [u8],
        expires_at: Timestamp,
    ) -> StoreFuture<'a, bool> {
        self.measured(2, self.store.put_if_absent(key, value, expires_at))
    }

    fn replace<'a>(
        &'a self,
        key: &'a str,
        expected: &'a [u8],
        value: &'a [u8],
        expires_at: Timestamp,
    ) -> StoreFuture<'a, bool> {
        self.measured(3, self.store.replace(key, expected, value, expires_at))
    }

    fn remove<'a>(&'a self, key: &'a str) -> StoreFuture<'a, bool> {
        self.measured(4, self.store.remove(key))
    }

    fn take<'a>(&'a self, key: &'a str, rate: Rate) -> StoreFuture<'a, Result<(), Duration>> {
        self.measured(5, self.store.take(key, rate))
    }

    fn publish<'a>(&'a self, message: &'a [u8]) -> StoreFuture<'a, ()> {
        self.measured(6, self.store.publish(message))
    }

    fn subscribe(&self) -> StoreFuture<'_, Subscription> {
        self.measured(7, self.store.subscribe())
    }
}
