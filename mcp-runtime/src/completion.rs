//! Suggestions for the arguments of prompts and the variables of resource templates.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use crate::caller::Caller;

/// Suggestions given at once.
pub(crate) const MAX_VALUES: usize = 100;

/// What somebody is typing.
#[derive(Clone, Debug)]
pub struct Complete {
    /// The argument, or the variable.
    pub argument: String,
    /// What stands there so far.
    pub value: String,
    /// The other arguments that are there already.
    pub others: BTreeMap<String, String>,
    /// Who types.
    pub caller: Arc<Caller>,
}

impl Complete {
    /// Those of `values` that begin with what stands there so far, in any capitals.
    pub fn among<T: AsRef<str>>(&self, values: impl IntoIterator<Item = T>) -> Vec<String> {
        let begun = self.value.to_lowercase();
        values
            .into_iter()
            .filter(|value| value.as_ref().to_lowercase().starts_with(&begun))
            .map(|value| value.as_ref().to_owned())
            .collect()
    }
}

type Suggestions = Pin<Box<dyn Future<Output = Vec<String>> + Send>>;

/// A function that suggests.
#[derive(Clone)]
pub(crate) struct Completer(Arc<dyn Fn(Complete) -> Suggestions + Send + Sync>);

impl Completer {
    pub(crate) fn new<F, Fut>(complete: F) -> Self
    where
        F: Fn(Complete) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Vec<String>> + Send + 'static,
    {
        Self(Arc::new(move |ask| Box::pin(complete(ask))))
    }

    pub(crate) fn suggest(&self, ask: Complete) -> Suggestions {
        (self.0)(ask)
    }
}
