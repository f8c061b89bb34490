//! What expansions may name. Nothing in here is for people, and all of it may change in a patch.

pub use crate::function::{Entry, Function, Run, entry};
pub use crate::input::{Input, Inputs, Publish, ToolInput, input};
pub use crate::lend::{Lender, Lends, LentBy, lending};
pub use crate::limits::rate;
pub use crate::output::{
    Done, Guard, GuardRefusal, IntoOutcome, Outlet, ToolOutput, Verdict, guard, outlet,
};
pub use crate::prompt::prompt;
pub use crate::resource::resource;
pub use crate::resource_set::{prompts, resources};
pub use crate::tool::tool;
pub use crate::tool_set::set;
