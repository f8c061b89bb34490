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

use proc_macro::TokenStream;
use syn::{DeriveInput, parse_macro_input};

use crate::errors::Errors;

#[proc_macro_attribute]
pub fn mcp_tool(attribute: TokenStream, item: TokenStream) -> TokenStream {
    tool(attribute.into(), item.into()).into()
}

#[proc_macro_derive(Lend, attributes(lend))]
pub fn lend(input: TokenStream) -> TokenStream {
    lend::derive(&parse_macro_input!(input as DeriveInput)).into()
}

fn tool(
    attribute: proc_macro2::TokenStream,
    item: proc_macro2::TokenStream,
) -> proc_macro2::TokenStream {
    let mut errors = Errors::new();
    let Some(source) = parse::tool(attribute, item.clone(), &mut errors) else {
        return [errors.finish().err(), Some(item)]
            .into_iter()
            .flatten()
            .collect();
    };
    let model = model::Tool::new(source, &mut errors);
    match check::tool(model, errors) {
        Ok(tool) => expand::tool(&tool),
        Err(refused) => {
            let (tool, compile_errors) = *refused;
            expand::broken(&tool, &compile_errors)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expansion of a tool, as rustfmt would write it, without the function itself.
    fn glue(attribute: &str, item: &str) -> String {
        let parse = |text: &str| text.parse::<proc_macro2::TokenStream>().expect("tokens");
        let expansion = tool(parse(attribute), parse(item));
        let mut file: syn2::File = syn2::parse2(expansion).expect("items");
        file.items.retain(|item| !matches!(item, syn2::Item::Fn(_)));
        prettyplease::unparse(&file)
    }

    #[test]
    fn the_glue_of_a_tool_fits_on_a_page() {
        let glue = glue(
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
            glue.lines().count() <= 60,
            "{} lines:\n{glue}",
            glue.lines().count()
        );
    }

    #[test]
    fn an_own_path_replaces_every_other() {
        let glue = glue(
            "public, blocking, guard = a > 1, crate = own::path",
            "/// Do it.\nfn f(lent: &Lent, #[arg(default)] a: u32) {}",
        );
        assert!(!glue.contains("mcp_runtime"), "{glue}");
    }

    #[test]
    fn every_mistake_is_an_error_and_the_function_survives() {
        let glue = glue(
            "timeout = \"soon\", rate = 5",
            "fn f(#[arg(rnage = 1..)] a: u32, #[arg(len = 1)] b: bool) {}",
        );
        assert_eq!(glue.matches("compile_error!").count(), 5, "{glue}");
        assert!(glue.contains("for f\n"), "{glue}");
    }
}
