//! Tools may be written by `macro_rules!`, from any kind of fragment.
#![deny(warnings)]
use mcp_runtime::prelude::*;

macro_rules! lookup {
    (
        $(#[$meta:meta])* $vis:vis $name:ident($arg:ident: $ty:ty, $limit:expr, $default:literal)
        by $scope:literal for $state:ty
    ) => {
        $(#[$meta])*
        #[doc = concat!("Look up a ", stringify!($ty), ".")]
        #[mcp_tool(scope = $scope, guard = $arg < $limit && state.allow(&hidden))]
        $vis async fn $name(
            state: &$state,
            #[doc = "Where"]
            #[arg(range = 0..$limit, default = $default)]
            $arg: $ty,
            hidden: Option<$ty>,
        ) -> $ty {
            state.one() + hidden.unwrap_or($arg)
        }
    };
}

pub struct App;

impl App {
    fn one(&self) -> u32 {
        1
    }

    fn allow(&self, at: &Option<u32>) -> bool {
        at.is_none()
    }
}

impl mcp_runtime::__private::LentBy<App> for App {
    fn lent<'call>(state: &'call App, _: &'call Call) -> &'call App {
        state
    }
}

lookup! {
    /// Page first.
    pub page(at: u32, 50, 3) by "pages:read" for App
}
lookup!(book(hidden_at: u32, LIMIT + 1, 3) by "books:read" for App);

const LIMIT: u32 = 50;

macro_rules! several {
    ($($name:ident)*) => {
        $(
            /// One of several.
            #[mcp_tool(public)]
            fn $name() -> &'static str { stringify!($name) }
        )*
    };
}
several!(one two);

fn main() {
    let tools: ToolSet<App> = tools![page, book, one, two];
    let about: Vec<_> = tools.iter().map(|tool| tool.about()).collect();
    assert_eq!(about[0], "Page first.\nLook up a u32.");
    assert_eq!(about[3], "One of several.");
}
