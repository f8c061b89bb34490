//! What is left behind: the function, a marker of the same name, and glue. Whatever could be a
//! function of the runtime is one.
//!
//! Two kinds of names appear. What the author wrote keeps its span. What we bring along is either
//! a path from the root or a local that only we can see, so a parameter may well be called `lend`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Expr, FnArg, ItemFn, ReturnType, Type};

use crate::check::Checked;
use crate::literal::typed;
use crate::model::{Bounds, Doc, DocPiece, Parameter, Preset, Tool, Who};
use crate::types::{bare, is_name};

pub(crate) fn tool(tool: &Checked) -> TokenStream {
    let (function, marker) = (&tool.function, marker(tool));
    let (name, cfg, private) = (marker_name(tool), cfg(tool), private(tool));
    let state = state();
    let (bounds, inputs) = (bounds(tool), inputs(tool));
    let (descriptor, run) = (descriptor(tool), run(tool));
    let types = tool.inputs().map(|parameter| &parameter.ty);
    quote! {
        #function
        #marker

        #(#cfg)*
        #[automatically_derived]
        impl<#state> #private::ToolFn<#state> for #name
        where
            #state: ::core::marker::Send + ::core::marker::Sync + 'static,
            #(#bounds,)*
        {
            type Inputs = (#(#private::Input<#types>,)*);
            fn tool() -> #descriptor
            fn inputs() -> Self::Inputs { #inputs }
            #run
        }
    }
}

/// What stands in for a tool with errors: enough that nothing else complains.
pub(crate) fn broken(tool: &Tool, compile_errors: &TokenStream) -> TokenStream {
    let function = sized(tool.function.clone());
    if function.sig.receiver().is_some() {
        // Inside of an `impl`, where a marker would be one more error.
        return quote! { #compile_errors #function };
    }
    let (marker, name, cfg) = (marker(tool), marker_name(tool), cfg(tool));
    let (krate, private, state) = (&tool.krate, private(tool), state());
    quote! {
        #compile_errors
        #function
        #marker
        #(#cfg)*
        impl<#state> #private::ToolFn<#state> for #name
        where
            #state: ::core::marker::Send + ::core::marker::Sync + 'static,
        {
            type Inputs = ();
            fn tool() -> #krate::Tool {
                #private::tool("", "", 0)
            }
            fn inputs() {}
            fn run<'call>(
                _: #private::Run<'call, #state, ()>,
            ) -> impl ::core::future::Future<Output = #private::Done> + ::core::marker::Send + 'call {
                ::core::future::pending()
            }
        }
    }
}

/// The function with a reference to every parameter that has no size, about which rustc would
/// complain once more.
fn sized(mut function: ItemFn) -> ItemFn {
    for input in &mut function.sig.inputs {
        let FnArg::Typed(typed) = input else { continue };
        let ty = &typed.ty;
        if matches!(bare(ty), Type::TraitObject(_) | Type::Slice(_)) || is_name(ty, "str") {
            typed.ty = syn::parse_quote!(&(#ty));
        }
    }
    function
}

/// The type that `tools![]` finds under the name of the function.
fn marker(tool: &Tool) -> TokenStream {
    let (visibility, name, cfg) = (&tool.function.vis, marker_name(tool), cfg(tool));
    let doc = format!(
        "The tool `{}`: list it in `tools![]`.",
        tool.function.sig.ident.unraw()
    );
    quote! {
        #(#cfg)*
        #[doc = #doc]
        #[allow(non_camel_case_types)]
        #visibility struct #name { _never: ::core::convert::Infallible }
    }
}

/// The name of the function, marked as ours. Lints keep quiet about foreign code, so a tool that
/// nobody lists is one `dead_code` warning, at the function, instead of two.
fn marker_name(tool: &Tool) -> Ident {
    let mut name = tool.function.sig.ident.clone();
    name.set_span(Span::call_site().located_at(name.span()));
    name
}

/// A function that is configured out takes its marker along.
fn cfg(tool: &Tool) -> Vec<&Attribute> {
    tool.function
        .attrs
        .iter()
        .filter(|attribute| attribute.path().is_ident("cfg"))
        .collect()
}

fn private(tool: &Tool) -> TokenStream {
    let krate = &tool.krate;
    quote!(#krate::__private)
}

/// [`private`] at a place of the author's, which is where rustc reports a bound of ours. The path
/// of an author's own keeps what it can see: `$crate` would mean another crate elsewhere.
fn private_at(tool: &Tool, span: Span) -> TokenStream {
    let krate = tool.krate.to_token_stream().into_iter().map(|mut token| {
        let at = if tool.krate_given {
            span.resolved_at(token.span())
        } else {
            span
        };
        token.set_span(at);
        token
    });
    let krate: TokenStream = krate.collect();
    quote_spanned!(span=> #krate::__private)
}

/// The state of the server. Not a name that a type of the author's could have.
fn state() -> Ident {
    Ident::new("__State", Span::mixed_site())
}

/// One bound per lent type; two parameters of one type share it.
fn bounds(tool: &Tool) -> Vec<TokenStream> {
    let state = state();
    let mut seen = Vec::new();
    let mut bounds = Vec::new();
    for lent in tool.parameters.iter().filter_map(Parameter::lent) {
        if !seen.contains(&lent) {
            seen.push(lent);
            let private = private_at(tool, lent.span());
            bounds.push(quote_spanned!(lent.span()=> #lent: #private::LentBy<#state>));
        }
    }
    bounds
}

// What the tool says about itself.

fn descriptor(tool: &Checked) -> TokenStream {
    let krate = &tool.krate;
    let ident = &tool.function.sig.ident;
    let name = tool.wire_name();
    // `line!()` reports where its own tokens stand: at the name of the function.
    let place = quote_spanned!(ident.span()=> #name, ::core::file!(), ::core::line!());
    let (private, description, policy) = (private(tool), doc(&tool.description), policy(tool));
    let title = tool.title.iter();
    let effects = &tool.effects;
    let timeout = tool.timeout.iter().map(|timeout| timeout.milliseconds);
    quote! {
        #krate::Tool {
            #private::tool(#place)
                .description(#description)
                .policy(#policy)
                #(.title(#title))*
                #(.#effects())*
                #(.timeout_ms(#timeout))*
        }
    }
}

fn policy(tool: &Checked) -> TokenStream {
    let krate = &tool.krate;
    let access = match tool.who() {
        Who::Public => quote!(public()),
        Who::Authenticated => quote!(authenticated()),
        Who::Scopes(scopes) => quote!(scopes([#(#scopes),*])),
    };
    let roles = tool
        .roles
        .iter()
        .map(|roles| &roles.names)
        .map(|names| quote!(.roles([#(#names),*])));
    quote!(#krate::Policy::#access #(#roles)*)
}

/// The lines as one text. Pieces like `include_str!(…)` are left to `concat!`.
fn doc(doc: &Doc) -> TokenStream {
    let mut pieces: Vec<DocText<'_>> = Vec::new();
    for piece in &doc.0 {
        match (piece, pieces.last_mut()) {
            (DocPiece::Text(line), Some(DocText::Lines(lines))) => {
                lines.push('\n');
                lines.push_str(line);
            }
            (DocPiece::Text(line), last) => {
                let lines = if last.is_some() {
                    format!("\n{line}")
                } else {
                    line.clone()
                };
                pieces.push(DocText::Lines(lines));
            }
            (DocPiece::Expr(expr), last) => {
                match last {
                    Some(DocText::Lines(lines)) => lines.push('\n'),
                    Some(DocText::Expr(_)) => pieces.push(DocText::Lines("\n".into())),
                    None => {}
                }
                pieces.push(DocText::Expr(expr));
            }
        }
    }
    match pieces.as_slice() {
        [DocText::Lines(only)] => only.trim().to_token_stream(),
        pieces => quote!(::core::concat!(#(#pieces),*)),
    }
}

enum DocText<'a> {
    Lines(String),
    Expr(&'a Expr),
}

impl ToTokens for DocText<'_> {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        match self {
            Self::Lines(lines) => lines.to_tokens(tokens),
            Self::Expr(expr) => expr.to_tokens(tokens),
        }
    }
}

// What it takes.

fn inputs(tool: &Tool) -> TokenStream {
    let inputs = tool.inputs().map(|parameter| input(tool, parameter));
    quote!((#(#inputs,)*))
}

fn input(tool: &Tool, parameter: &Parameter) -> TokenStream {
    let (ty, name, input) = (&parameter.ty, parameter.wire_name(), &parameter.input);
    let private = private_at(tool, ty.span());
    let declared = quote_spanned!(ty.span()=> #private::input::<#ty>(#name));
    let describe = (!input.description.is_blank()).then(|| doc(&input.description));
    let describe = describe.iter();
    let (range, len) = (input.range.as_ref().map(range), input.len.as_ref().map(len));
    let (pattern, format) = (input.pattern.iter(), input.format.iter());
    let default = input
        .default
        .as_ref()
        .map(|preset| value("default", preset));
    let example = input
        .example
        .as_ref()
        .map(|preset| value("example", preset));
    let secret = input.secret.as_ref().map(|_| quote!(.secret()));
    quote! {
        #declared
            #(.describe(#describe))* #range #len #(.pattern(#pattern))* #(.format(#format))*
            #default #example #secret
    }
}

fn range(range: &Bounds) -> TokenStream {
    let low = range.low.as_ref().map(|low| (typed(low), low));
    let low = low.map(|(low, at)| quote_spanned!(at.span()=> .at_least(#low)));
    let high = range.high.as_ref().map(|high| {
        let (method, limit) = (if range.closed { "at_most" } else { "below" }, typed(high));
        let method = Ident::new(method, high.span());
        quote!(.#method(#limit))
    });
    quote!(#low #high)
}

fn len(len: &Bounds) -> TokenStream {
    let low = len.low.iter();
    let high = len.high.iter();
    let method = Ident::new(
        if len.closed {
            "max_len"
        } else {
            "shorter_than"
        },
        Span::call_site(),
    );
    quote!(#(.min_len(#low))* #(.#method(#high))*)
}

fn value(what: &str, preset: &Preset) -> TokenStream {
    let method = |how: &str, span| Ident::new(&format!("{what}_{how}"), span);
    match preset {
        Preset::OfType(key) => {
            let method = method("of_type", key.span());
            quote!(.#method())
        }
        Preset::Literal(literal) => {
            let (method, literal) = (method("literal", Span::call_site()), typed(literal));
            quote!(.#method(#literal))
        }
        Preset::Value(expr) => {
            let method = method("value", expr.span());
            quote!(.#method(#expr))
        }
    }
}

// How it runs.

/// The locals of the expansion, invisible to a guard.
struct Locals {
    run: Ident,
    outlet: Ident,
    lend: Ident,
    refusal: Ident,
    function: Ident,
}

impl Locals {
    fn new() -> Self {
        let local = |name| Ident::new(name, Span::mixed_site());
        Self {
            run: local("run"),
            outlet: local("outlet"),
            lend: local("lend"),
            refusal: local("refusal"),
            function: local("function"),
        }
    }
}

fn run(tool: &Checked) -> TokenStream {
    let (state, private, locals) = (state(), private(tool), Locals::new());
    let Locals {
        run, outlet, lend, ..
    } = &locals;
    let new_outlet = new_outlet(tool, outlet);
    let names = tool.inputs().map(|parameter| &parameter.ident);
    let values = if tool.inputs().next().is_some() {
        quote!((#(#names,)*))
    } else {
        quote!(())
    };
    let callee = callee(tool, &locals);
    let borrow = borrow(tool, &locals);
    let guard = tool.guard.as_ref().map(|expr| guard(tool, expr, &locals));
    let call = call(tool, &locals);
    // A future that is not `Send` is reported where it begins: at the name of the function.
    let span = Span::mixed_site().located_at(tool.function.sig.ident.span());
    let body = quote! {
        #callee
        #new_outlet
        let ::core::option::Option::Some((#lend, #values)) = #run.enter() else {
            return #outlet.describe();
        };
        #borrow
        #guard
        #outlet.finish(#call)
    };
    let body = quote_spanned!(span=> async move { #body });
    quote! {
        fn run<'call>(
            #run: #private::Run<'call, #state, Self::Inputs>,
        ) -> impl ::core::future::Future<Output = #private::Done> + ::core::marker::Send + 'call {
            #body
        }
    }
}

/// The bound on the result hangs here, so here is where the return type is reported.
fn new_outlet(tool: &Tool, outlet: &Ident) -> TokenStream {
    let signature = &tool.function.sig;
    let span = match &signature.output {
        ReturnType::Type(_, ty) => ty.span(),
        ReturnType::Default => signature.ident.span(),
    };
    let make = private_at(tool, span);
    let make = quote_spanned!(span=> #make::outlet());
    quote!(let #outlet = #make;)
}

/// A parameter with the name of the function hides it, so the function is taken aside first.
fn callee(tool: &Tool, locals: &Locals) -> Option<TokenStream> {
    let (name, function) = (&tool.function.sig.ident, &locals.function);
    hidden(tool).then(|| quote!(let #function = #name;))
}

fn hidden(tool: &Tool) -> bool {
    tool.parameters
        .iter()
        .any(|parameter| parameter.ident == tool.function.sig.ident)
}

/// What is lent, by the names of the parameters. Blocking work outlives the call and borrows for
/// itself, on its own thread; only its guard needs this.
fn borrow(tool: &Tool, locals: &Locals) -> Option<TokenStream> {
    let lend = &locals.lend;
    let lent = tool
        .parameters
        .iter()
        .filter_map(|parameter| Some((&parameter.ident, parameter.lent()?)));
    let (names, types): (Vec<_>, Vec<_>) = lent.unzip();
    (tool.blocking.is_none() || tool.guard.is_some())
        .then(|| quote!(#(let #names = #lend.get::<#types>();)*))
}

fn guard(tool: &Tool, expr: &Expr, locals: &Locals) -> TokenStream {
    let Locals {
        outlet, refusal, ..
    } = locals;
    let private = private_at(tool, expr.span());
    let guard = quote_spanned!(expr.span()=> #private::guard(#expr));
    quote! {
        if let ::core::result::Result::Err(#refusal) = #guard.await {
            return #outlet.refuse(#refusal);
        }
    }
}

fn call(tool: &Tool, locals: &Locals) -> TokenStream {
    let lend = &locals.lend;
    let name = if hidden(tool) {
        &locals.function
    } else {
        &tool.function.sig.ident
    };
    let arguments = tool
        .parameters
        .iter()
        .map(|parameter| match parameter.lent() {
            Some(ty) if tool.blocking.is_some() => quote!(#lend.get::<#ty>()),
            _ => parameter.ident.to_token_stream(),
        });
    let call = quote!(#name(#(#arguments),*));
    match (&tool.blocking, &tool.function.sig.asyncness) {
        (Some(_), _) => quote!(#lend.blocking(move |#lend| #call).await),
        (None, Some(_)) => quote!(#call.await),
        (None, None) => call,
    }
}
