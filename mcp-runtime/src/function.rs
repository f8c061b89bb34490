//! A function behind an attribute: what it takes, what it is lent, and how it runs. The same for
//! tools, resources and prompts.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;

use crate::call::Call;
use crate::input::{InputSpec, Inputs, Problem};
use crate::json::Object;
use crate::lend::Lender;
use crate::output::{Done, DoneKind, Outcome, OutputType, Reply, ToolOutput};
use crate::policy::Allowed;

/// What the attributes implement for the marker of a function.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a tool, a resource or a prompt",
    label = "not part of a server",
    note = "put `#[mcp_tool(…)]`, `#[mcp_resource(…)]` or `#[mcp_prompt(…)]` on the function"
)]
pub trait Function<S: Send + Sync + 'static>: 'static {
    /// What it is: a [`Tool`](crate::Tool), a [`Resource`](crate::Resource) or a
    /// [`Prompt`](crate::Prompt).
    type About;
    /// The inputs, in the order of the parameters.
    type Inputs: Inputs;
    /// What it says about itself.
    fn about() -> Self::About;
    /// What it takes.
    fn inputs() -> Self::Inputs;
    /// Lend, guard, function.
    fn run<'call>(run: Run<'call, S, Self::Inputs>) -> impl Future<Output = Done> + Send + 'call;
}

/// One run of a function: either a call with its inputs, or the question what the result looks like.
pub struct Run<'call, S, I: Inputs>(Option<(Lender<'call, S>, I::Values)>);

impl<'call, S, I: Inputs> Run<'call, S, I> {
    /// The lender and the inputs of a call; `None` when only the result is asked about.
    pub fn enter(self) -> Option<(Lender<'call, S>, I::Values)> {
        self.0
    }
}

/// A function bound to the state of its server: what the engine runs.
pub(crate) trait Runnable: Send + Sync {
    /// Reads the inputs; with them, the call that waits to be awaited.
    fn start<'call>(
        &'call self,
        allowed: Allowed<'call>,
        arguments: &Object<'_>,
        call: &'call Call,
    ) -> Result<Running<'call>, Vec<Problem>>;

    /// What it takes.
    fn inputs(&self) -> Vec<&InputSpec>;

    fn output(&self) -> OutputType;
}

pub(crate) type Running<'call> = Pin<Box<dyn Future<Output = Outcome> + Send + 'call>>;

/// A [`Function`] with its state.
pub(crate) struct WithState<S, T: Function<S>>
where
    S: Send + Sync + 'static,
{
    state: Arc<S>,
    inputs: T::Inputs,
    function: PhantomData<fn() -> T>,
}

impl<S: Send + Sync + 'static, T: Function<S>> WithState<S, T> {
    pub(crate) fn new(state: Arc<S>) -> Self {
        Self {
            state,
            inputs: T::inputs(),
            function: PhantomData,
        }
    }
}

impl<S: Send + Sync + 'static, T: Function<S>> Runnable for WithState<S, T> {
    fn start<'call>(
        &'call self,
        _allowed: Allowed<'call>,
        arguments: &Object<'_>,
        call: &'call Call,
    ) -> Result<Running<'call>, Vec<Problem>> {
        let values = self.inputs.read(arguments)?;
        let run = T::run(Run(Some((Lender::new(&self.state, call), values))));
        Ok(Box::pin(async move {
            match run.await.0 {
                DoneKind::Finished(outcome) => outcome,
                DoneKind::Described(_) => ToolOutput::finish(Reply::new()),
            }
        }))
    }

    fn inputs(&self) -> Vec<&InputSpec> {
        self.inputs.specs()
    }

    fn output(&self) -> OutputType {
        let mut describe = std::pin::pin!(T::run(Run(None)));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        // An expansion answers the question before its first await.
        match describe.as_mut().poll(&mut context) {
            std::task::Poll::Ready(Done(DoneKind::Described(output))) => output,
            _ => OutputType::Free,
        }
    }
}

/// One entry of a set: what it says about itself, and how it is bound to a state.
pub struct Entry<A, S> {
    pub(crate) about: A,
    pub(crate) bind: Box<dyn FnOnce(Arc<S>) -> Box<dyn Runnable> + Send>,
}

/// The entry of a function with an attribute. Called by `tools!`, `resources!` and `prompts!`.
pub fn entry<T: Function<S, About = A>, S: Send + Sync + 'static, A>() -> Entry<A, S> {
    Entry {
        about: T::about(),
        bind: Box::new(|state| Box::new(WithState::<S, T>::new(state))),
    }
}
