//! What the server lends to a tool: pieces of its state and parts of the call.

use std::sync::Arc;

use crate::call::Call;
use crate::caller::Caller;
use crate::changes::Changes;
use crate::clock::Clock;
use crate::confirmation;
use crate::output::{GuardRefusal, Outcome};
use crate::policy::Policy;
use crate::switches::Switches;
use crate::tenant::Tenant;

/// What a server with state `S` can lend to a tool that takes it by reference.
///
/// `#[derive(Lend)]` implements it for the fields of a state; every server lends [`Caller`],
/// [`Call`], [`Clock`], and to whoever acts for one its [`Tenant`].
pub trait LentBy<S: ?Sized>: Send + Sync {
    /// Whether there is one only in calls of a caller that acts for a tenant.
    const OF_A_TENANT: bool = false;

    /// Borrows it from the state or from the call.
    fn lent<'call>(state: &'call S, call: &'call Call) -> &'call Self;
}

/// [`LentBy`], asked from the side of the state. Expansions ask this way: of a type that is lent,
/// rustc would guess the state, or give up before it can name it.
#[diagnostic::on_unimplemented(
    message = "a server with state `{Self}` cannot lend `{T}`",
    label = "needs `&{T}`, which `{Self}` does not have",
    note = "give the state a field of this type and derive `Lend` for it; what the model sends is taken by value"
)]
pub trait Lends<T: ?Sized> {
    /// Whether there is one only in calls of a caller that acts for a tenant.
    const OF_A_TENANT: bool;

    /// Borrows it from the state or from the call.
    fn lend<'call>(&'call self, call: &'call Call) -> &'call T;
}

#[diagnostic::do_not_recommend]
impl<S: ?Sized, T: LentBy<S> + ?Sized> Lends<T> for S {
    const OF_A_TENANT: bool = T::OF_A_TENANT;

    fn lend<'call>(&'call self, call: &'call Call) -> &'call T {
        T::lent(self, call)
    }
}

#[diagnostic::do_not_recommend]
impl<S: ?Sized> LentBy<S> for Call {
    fn lent<'call>(_: &'call S, call: &'call Call) -> &'call Self {
        call
    }
}

#[diagnostic::do_not_recommend]
impl<S: ?Sized> LentBy<S> for Caller {
    fn lent<'call>(_: &'call S, call: &'call Call) -> &'call Self {
        call.caller()
    }
}

#[diagnostic::do_not_recommend]
impl<S: ?Sized> LentBy<S> for Changes {
    fn lent<'call>(_: &'call S, call: &'call Call) -> &'call Self {
        call.changes()
    }
}

#[diagnostic::do_not_recommend]
impl<S: ?Sized> LentBy<S> for Switches {
    fn lent<'call>(_: &'call S, call: &'call Call) -> &'call Self {
        call.switches()
    }
}

#[diagnostic::do_not_recommend]
impl<S: ?Sized> LentBy<S> for Clock {
    fn lent<'call>(_: &'call S, call: &'call Call) -> &'call Self {
        call.clock()
    }
}

#[diagnostic::do_not_recommend]
impl<S: ?Sized> LentBy<S> for Tenant {
    const OF_A_TENANT: bool = true;

    fn lent<'call>(_: &'call S, call: &'call Call) -> &'call Self {
        call.caller()
            .acts_for()
            .expect("`lending` has put the tenant into the policy of whatever borrows it")
    }
}

/// The policy of a function that is lent a `T`: what is lent only in the calls of some is asked
/// for by only those. Called by expansions.
pub fn lending<S, T: ?Sized>(policy: Policy) -> Policy
where
    S: Lends<T> + ?Sized,
{
    if S::OF_A_TENANT {
        policy.tenant()
    } else {
        policy
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
    pub fn get<T: ?Sized>(&self) -> &'call T
    where
        S: Lends<T>,
    {
        self.state.as_ref().lend(self.call)
    }

    /// Waits until a person agreed to the call. Called by the expansion of `confirm`.
    ///
    /// # Errors
    /// When nobody did, or nobody could be asked: the body must not run.
    pub async fn confirmed(&self) -> Result<(), GuardRefusal> {
        confirmation::confirmed(self.call)
            .await
            .map_err(|error| GuardRefusal(Outcome::Error(error)))
    }

    /// Makes a task of the call, where its client knows tasks. Called by expansions.
    pub async fn detach(&self) -> Result<(), GuardRefusal> {
        let detached = self.call.detach_at_once().await;
        detached.map_err(|error| GuardRefusal(Outcome::Error(error)))
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
