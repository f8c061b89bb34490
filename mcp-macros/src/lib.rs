//! The attributes of [`mcp-runtime`](https://docs.rs/mcp-runtime), which re-exports them and shows
//! them at work. The rooms: `parse` (syntax) → `model` (what was said) → `check` (what makes
//! sense) → `expand` (glue).

mod check;
mod expand;
mod lend;
mod model;
mod parse;

mod errors;
mod literal;
mod types;
mod uri;

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use crate::errors::Errors;
use crate::model::Kind;

/// Makes a tool of a function, which stays the function it is.
///
/// **What the model sends arrives by value; what the server lends arrives by reference.** A
/// parameter by value is an input: its type has `Deserialize` and `JsonSchema`, an `Option` may be
/// left out, and its doc comment is its description. A parameter by reference is a piece of the
/// server's state (see [`Lend`](macro@Lend)), or `&Caller`, `&Call` or
/// `&Clock`, or the `&Tenant` that the caller acts for.
///
/// ```
/// use mcp_runtime::prelude::*;
///
/// # struct Ledger;
/// # impl Ledger { async fn refund(&self, id: String, cents: u32) -> ToolResult<Refund> { Ok(Refund { id, cents }) } }
/// # fn owns(_: &Caller, order: &str) -> bool { order.len() > 4 }
/// #[derive(Serialize, JsonSchema)]
/// struct Refund {
///     id: String,
///     cents: u32,
/// }
///
/// /// Refund an order.
/// #[mcp_tool(scope = "refunds:write", destructive, guard = owns(caller, &order))]
/// async fn refund(
///     ledger: &Ledger,
///     caller: &Caller,
///     /// Order id
///     #[arg(pattern = r"^ord_\w+$", example = "ord_1")]
///     order: String,
///     #[arg(range = 1..=50_000)] cents: u32,
/// ) -> ToolResult<Refund> {
///     ledger.refund(order, cents).await
/// }
/// ```
///
/// A marker of the same name stands beside the function; list it with `tools![refund]`. The
/// function may be plain or `async`, may borrow its result from what it is lent, and can be called
/// like any other: `refund(&ledger, &caller, "ord_1".into(), 500).await`.
///
/// # Who may call
///
/// Exactly one of these; there is no default.
///
/// * `public`: everybody.
/// * `authenticated`: whoever is known.
/// * `scope = "a"`, `scopes("a", "b")`: who holds all of these scopes. Others see the tool, and are
///   told which scopes to ask for.
///
/// And on top, if need be:
///
/// * `role = "r"`, `roles("r", "s")`: who has any of these roles. For others the tool does not exist.
/// * `guard = expr`: an expression over the parameters, run after the inputs are read and before
///   the body. It is a `bool`, a `ToolResult<bool>` or a `ToolResult<()>`, or a future of one.
///
/// # What it does, and how
///
/// * `read_only`, `destructive`, `idempotent`, `open_world`: the annotations of the tool.
/// * `confirm = "Delete {hostname}?"`: what a person is asked before the body runs, with inputs in
///   it. Who can be asked is asked; a client that cannot gets the question and a `confirm_token`,
///   with which the same call runs, once. `{{` and `}}` are braces.
/// * `cache = "5s"`: for how long an answer is kept, for the same caller and the same arguments. Only
///   of a `read_only` tool; policy, limits and audit see every call all the same.
/// * `family = "orders"`: what it reads or changes, in a word. A tool that is not `read_only` drops
///   the kept answers of its family, for all callers; without a family, all answers.
/// * `timeout = "60s"`: in `ms`, `s`, `m` or `h`; 30 seconds unless said otherwise.
/// * `task`: for a client that knows tasks, a call is answered at once and goes on by itself, for as
///   long as `timeout` says, or for an hour; all other clients wait. `task = "required"` refuses
///   them, `task = "detach"` leaves it to the function: it becomes a task at `call.detach().await`.
/// * `rate = "10/min"`, `rate = "10/min, burst 2"`: how often one caller may call; per `s`, `min`,
///   `hour` or `day`, and as many at once unless a burst says otherwise.
/// * `concurrency = 4`: how many calls may run at once, of all callers together.
/// * `blocking`: runs a plain `fn` on a thread where it may block.
/// * `name = "…"`, `title = "…"`: instead of the name of the function, and for people.
/// * `icon = "…"`: an `https://` URL or a `data:image/…` URI.
/// * `ui = "ui://…"`: the resource that shows its results as a page, where a host can;
///   `ui_visibility = "app"` or `"model"`: who alone calls it there.
/// * `crate = path`: where `mcp_runtime` is, if it goes by another name.
///
/// The doc comment of the function is the description by which a model chooses it, so there must be
/// one. `#[doc = include_str!("refund.md")]` works too.
///
/// # `#[arg(…)]` on an input
///
/// Each is published in the schema, checked before the call, and explained in the error.
///
/// * `range = 1..=50`: of a number; either end may be open, or a constant.
/// * `len = 1..=80`, `len = 3`: characters of a text, elements of a list, members of a map.
/// * `pattern = r"^ord_"`: a regular expression, checked while compiling.
/// * `format = "email"`: a format of JSON Schema.
/// * `default`, `default = value`: for when the model sends none; alone it is `Default::default()`.
/// * `example = value`: for the model.
/// * `rename = "orderId"`: the name on the wire.
/// * `secret`: is never logged, audited or echoed.
#[proc_macro_attribute]
pub fn mcp_tool(attribute: TokenStream, item: TokenStream) -> TokenStream {
    offer(Kind::Tool, attribute.into(), item.into()).into()
}

/// Makes a resource of a function: something a client reads under a URI, or under all URIs of a
/// template.
///
/// ```
/// use mcp_runtime::prelude::*;
///
/// # #[derive(Serialize, JsonSchema)]
/// # struct Note { text: String }
/// # struct Notes;
/// # impl Notes { async fn find(&self, id: u32) -> ToolResult<Note> { Ok(Note { text: id.to_string() }) } }
/// # #[derive(Lend)]
/// # struct App { notes: Notes }
/// /// How to write a note.
/// #[mcp_resource("notes://help", public, mime = "text/markdown")]
/// fn help() -> &'static str {
///     "# Notes"
/// }
///
/// /// A note.
/// #[mcp_resource("notes://{id}", scope = "notes:{id}:read", complete = suggest_ids)]
/// async fn note(notes: &Notes, id: u32) -> ToolResult<Note> {
///     notes.find(id).await
/// }
///
/// async fn suggest_ids(typed: Complete) -> Vec<String> {
///     typed.among(["1", "12", "2"])
/// }
///
/// let resources: ResourceSet<App> = resources![help, note];
/// # use mcp_runtime::ResourceSet;
/// ```
///
/// First stands the URI. `{name}` in it is one segment, `{+path}` any number of them; what is taken
/// by value is what stands there, percent-decoded, and every variable is taken. A string is text, a
/// [`Blob`](https://docs.rs/mcp-runtime) is bytes, any other value is JSON.
///
/// The keys, the parameters and the description are those of [`macro@mcp_tool`], without the annotations
/// (`read_only` and its like). And:
///
/// * `scope = "docs:{id}:read"`: a scope may have variables of the URI in it.
/// * `mime = "…"`: the media type; unless said otherwise it follows from the result.
/// * `ui = …`: of an app (`ui://…`), a `Ui` that says what its page needs beyond itself.
/// * `complete = path`: an `async fn(Complete) -> Vec<String>` that suggests values for the
///   variables.
#[proc_macro_attribute]
pub fn mcp_resource(attribute: TokenStream, item: TokenStream) -> TokenStream {
    offer(Kind::Resource, attribute.into(), item.into()).into()
}

/// Makes a prompt of a function: messages that a person picks to begin with.
///
/// ```
/// use mcp_runtime::prelude::*;
///
/// /// Review a piece of code.
/// #[mcp_prompt(public, title = "Review", complete = suggest)]
/// fn review(
///     /// The language it is written in
///     language: String,
///     focus: Option<String>,
/// ) -> Messages {
///     let focus = focus.unwrap_or_else(|| "correctness".into());
///     Messages::new()
///         .user(format!("Review this {language} with an eye on {focus}."))
///         .assistant("Paste it here.")
/// }
///
/// async fn suggest(typed: Complete) -> Vec<String> {
///     match &*typed.argument {
///         "language" => typed.among(["Rust", "Ruby", "Go"]),
///         _ => Vec::new(),
///     }
/// }
///
/// # fn main() -> mcp_runtime::Result {
/// let service = Server::new(tools![]).prompts(prompts![review]).build()?;
/// # Ok(())
/// # }
/// ```
///
/// What is taken by value is an argument; clients send text, which is read as a number or a truth
/// value where the parameter is one. A prompt returns `Messages`, or a string, which is one message
/// of the user.
///
/// The keys, the parameters and the description are those of [`macro@mcp_tool`], without the annotations
/// (`read_only` and its like), and with `complete = path`: an `async fn(Complete) -> Vec<String>`
/// that suggests values for the arguments.
#[proc_macro_attribute]
pub fn mcp_prompt(attribute: TokenStream, item: TokenStream) -> TokenStream {
    offer(Kind::Prompt, attribute.into(), item.into()).into()
}

/// Says what a server with this state can lend to its tools: each field, by its type.
///
/// ```
/// use std::sync::Arc;
///
/// use mcp_runtime::prelude::*;
///
/// struct Ledger(u32);
///
/// trait Mailer: Send + Sync {}
///
/// #[derive(Lend)]
/// struct App {
///     ledger: Ledger,
///     mailer: Arc<dyn Mailer>,
///     #[lend(skip)]
///     started: u64,
/// }
///
/// /// What is owed.
/// #[mcp_tool(public, read_only)]
/// fn balance(ledger: &Ledger, mailer: &dyn Mailer) -> u32 {
///     ledger.0
/// }
///
/// let tools: ToolSet<App> = tools![balance];
/// ```
///
/// A field that is an `Arc<T>` or a `Box<T>` lends the pointer and what it points to, and the whole
/// state lends itself. No two fields have the same type, because a tool asks by type: give one a
/// type of its own, or mark it `#[lend(skip)]`. `#[lend(crate = path)]` on the struct says where
/// `mcp_runtime` is, if it goes by another name.
#[proc_macro_derive(Lend, attributes(lend))]
pub fn lend(input: TokenStream) -> TokenStream {
    lend::derive(&parse_macro_input!(input as DeriveInput)).into()
}

fn offer(
    kind: Kind,
    attribute: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> proc_macro2::TokenStream {
    let mut errors = Errors::new();
    let Some(source) = parse::source(kind == Kind::Resource, attribute, item.clone(), &mut errors)
    else {
        return [errors.finish().err(), Some(item)]
            .into_iter()
            .flatten()
            .collect();
    };
    let model = model::Offer::new(kind, source, &mut errors);
    match check::offer(model, errors) {
        Ok(offer) => expand::offer(&offer),
        Err(refused) => {
            let (offer, compile_errors) = *refused;
            expand::broken(&offer, &compile_errors)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expansion of a tool, as rustfmt would write it, without the function itself.
    fn glue(kind: Kind, attribute: &str, item: &str) -> String {
        let parse = |text: &str| text.parse::<proc_macro2::TokenStream>().expect("tokens");
        let expansion = offer(kind, parse(attribute), parse(item));
        let mut file: syn2::File = syn2::parse2(expansion).expect("items");
        file.items.retain(|item| !matches!(item, syn2::Item::Fn(_)));
        prettyplease::unparse(&file)
    }

    #[test]
    fn the_glue_of_a_tool_fits_on_a_page() {
        let glue = glue(
            Kind::Tool,
            r#"scope = "refunds:write", destructive, guard = owns(caller, &order)"#,
            r#"
            /// Refund an order.
            pub async fn refund(
                ledger: &Ledger,
                caller: &Caller,
                /// Order id
                #[arg(pattern = r"^ord_\w+$")]
                order: String,
                #[arg(range = 1..=50_000)] cents: u32,
                #[arg(default = Reason::Late)] reason: Reason,
            ) -> ToolResult<Refund> {
                ledger.refund(&order, cents, reason).await
            }
            "#,
        );
        assert!(
            glue.lines().count() <= 70,
            "{} lines:\n{glue}",
            glue.lines().count()
        );
    }

    #[test]
    fn an_own_path_replaces_every_other() {
        for (kind, uri) in [
            (Kind::Tool, ""),
            (Kind::Resource, "\"x://{a}\","),
            (Kind::Prompt, ""),
        ] {
            let glue = glue(
                kind,
                &format!("{uri} public, blocking, guard = a > 1, crate = own::path"),
                "/// Do it.\nfn f(lent: &Lent, #[arg(default)] a: u32) {}",
            );
            assert!(!glue.contains("mcp_runtime"), "{glue}");
            assert!(!glue.contains("compile_error"), "{glue}");
            let marker = format!("The {0} `f`: list it in `{0}s![]`.", kind.word());
            assert!(glue.contains(&marker), "{glue}");
        }
    }

    #[test]
    fn every_mistake_in_a_uri_is_an_error() {
        for (attribute, parameters, errors) in [
            (r#""x://{a}", scope = "{a}:{b}""#, "a: u8", 1),
            (r#""x://{a}", scope = "{a}}""#, "a: u8", 1),
            (r#""x://{a}", scope = "{a""#, "a: u8", 1),
            (r#""x://{a}", scopes("{a}", "b")"#, "a: u8", 0),
            (r#""x://{a" public"#, "a: u8", 2),
            (
                r#""x://{a}", public, complete = a::b"#,
                "a: u8, b: u8, c: u8",
                2,
            ),
            (r#""{a}", public"#, "a: u8, lent: &Lent", 1),
            (r#""x://{a}", public"#, "#[arg(rename = \"a\")] _b: u8", 0),
            ("5, public", "", 1),
            ("", "", 1),
        ] {
            let item = format!("/// Read it.\nfn f({parameters}) {{}}");
            let glue = glue(Kind::Resource, attribute, &item);
            assert_eq!(
                glue.matches("compile_error!").count(),
                errors,
                "{attribute}: {glue}"
            );
        }
    }

    #[test]
    fn every_mistake_is_an_error_and_the_function_survives() {
        let glue = glue(
            Kind::Tool,
            "timeout = \"soon\", quota = 5",
            "fn f(#[arg(rnage = 1..)] a: u32, #[arg(len = 1)] b: bool) {}",
        );
        assert_eq!(glue.matches("compile_error!").count(), 5, "{glue}");
        assert!(glue.contains("for f\n"), "{glue}");
    }
}
