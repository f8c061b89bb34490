//! What the server lends to a tool: pieces of its state and parts of the call.

use std::sync::Arc;

use crate::call::Call;
use crate::caller::Caller;
use crate::clock::Clock;

/// What a server with state `S` can lend to a tool that takes it by reference.
///
/// `#[derive(Lend)]` implements it for the fields of a state; every server lends [`Caller`],
/// [`Call`] and [`Clock`].
#[diagnostic::on_unimplemented(
    message = "a server with state `{S}` cannot lend `{Self}`",
    label = "needs `&{Self}`, which `{S}` does not have",
    note = "give the state a field of this type and derive `Lend` for it; what the model sends is taken by value"
)]
pub trait LentBy<S: ?Sized>: Send + Sync {
    /// Borrows it from the state or from the call.
    fn lent<'call>(state: &'call S, call: &'call Call) -> &'call Self;
}

/// A state that says what it can lend, by `#[derive(Lend)]`, lends itself.
///
/// The derive does not implement [`LentBy`] for the state directly: a field that is not `Sync`
/// would then be reported twice, at the field and at the state.
pub trait Lends {}

#[diagnostic::do_not_recommend]
impl<S: Lends + Send + Sync> LentBy<S> for S {
    fn lent<'call>(state: &'call S, _: &'call Call) -> &'call Self {
        state
    }
}

impl<S: ?Sized> LentBy<S> for Call {
    fn lent<'call>(_: &'call S, call: &'call Call) -> &'call Self {
        call
    }
}

impl<S: ?Sized> LentBy<S> for Caller {
    fn lent<'call>(_: &'call S, call: &'call Call) -> &'call Self {
        call.caller()
    }
}

impl<S: ?Sized> LentBy<S> for Clock {
    fn lent<'call>(_: &'call S, call: &'call Call) -> &'call Self {
        call.clock()
    }
}

/// Lends for the length of one call.
pub struct Lender<'call, S> {
    state: &'call Arc<S>,
    call: &'call Call,
}

impl<'call, S: Send + Sync + 'static> Lender<'call, S> {
    pub(crate) fn new(state: &'call Arc<S>, call: &'call Call) -> Self {
        Self { state, call }
    }

    /// Borrows one thing.
    pub fn get<T: LentBy<S> + ?Sized>(&self) -> &'call T {
        T::lent(self.state, self.call)
    }

    /// Runs `work` on a thread where blocking is allowed. It goes on after a deadline or a client
    /// that hung up, because a thread cannot be stopped from outside; long work asks
    /// [`Call::is_cancelled`].
    pub async fn blocking<R: Send + 'static>(
        &self,
        work: impl FnOnce(Lender<'_, S>) -> R + Send + 'static,
    ) -> R {
        let (state, call) = (Arc::clone(self.state), self.call.clone());
        let joined = tokio::task::spawn_blocking(move || work(Lender::new(&state, &call))).await;
        match joined.map_err(tokio::task::JoinError::try_into_panic) {
            Ok(result) => result,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime is shutting down and will drop this future.
            Err(Err(_)) => std::future::pending().await,
        }
    }
}

impl<S> Clone for Lender<'_, S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Lender<'_, S> {}
