//! What is left behind: the function, a marker of the same name, and glue. Whatever could be a
//! function of the runtime is one.
//!
//! Two kinds of names appear. What the author wrote keeps its span. What we bring along is either
//! a path from the root or a local that only we can see, so a parameter may well be called `lend`.

use proc_macro2::{Ident, Span, TokenStream};
use quote::{ToTokens, quote, quote_spanned};
use syn::ext::IdentExt as _;
use syn::spanned::Spanned as _;
use syn::{Attribute, Expr, FnArg, ItemFn, Path, ReturnType, Type};

use crate::check::Checked;
use crate::literal::typed;
use crate::model::{Bounds, Doc, DocPiece, Kind, Offer, Parameter, Preset, When, Who};
use crate::types::{bare, is_name};

pub(crate) fn offer(offer: &Checked) -> TokenStream {
    let function = &offer.function;
    let private = private(offer);
    let types = offer.inputs().map(|parameter| &parameter.ty);
    // A type that fewer may see than the function is reported here: at the name of the function.
    let types = quote_spanned! {function.sig.ident.span()=>
        type Inputs = (#(#private::Input<#types>,)*);
    };
    let (marker, descriptor) = (marker(offer), descriptor(offer));
    let (inputs, run) = (inputs(offer), run(offer));
    let about = about(offer);
    let body = quote! {
        #types
        type About = #about;
        fn about() -> #descriptor
        fn inputs() -> Self::Inputs { #inputs }
        #run
    };
    let implementation = implementation(offer, &bounds(offer), &body);
    quote!(#function #marker #implementation)
}

/// What stands in for an offer with errors: enough that nothing else complains.
pub(crate) fn broken(offer: &Offer, compile_errors: &TokenStream) -> TokenStream {
    let function = sized(offer.function.clone());
    if function.sig.receiver().is_some() {
        // Inside of an `impl`, where a marker would be one more error.
        return quote!(#compile_errors #function);
    }
    let (about, private, state) = (about(offer), private(offer), state());
    let nothing = match offer.kind {
        Kind::Tool => quote!(tool("", "", 0)),
        Kind::Resource => quote!(resource("", "", "", 0)),
        Kind::Prompt => quote!(prompt("", "", 0)),
    };
    let body = quote! {
        type Inputs = ();
        type About = #about;
        fn about() -> #about {
            #private::#nothing
        }
        fn inputs() {}
        fn run<'call>(
            _: #private::Run<'call, #state, ()>,
        ) -> impl ::core::future::Future<Output = #private::Done> + ::core::marker::Send + 'call {
            ::core::future::pending()
        }
    };
    let (marker, implementation) = (marker(offer), implementation(offer, &[], &body));
    quote!(#compile_errors #function #marker #implementation)
}

/// Where rustc shows the implementation, it shows the name of the function.
fn implementation(offer: &Offer, bounds: &[TokenStream], body: &TokenStream) -> TokenStream {
    let (name, state, cfg) = (&offer.function.sig.ident, state(), attributes(offer, "cfg"));
    let function_trait = private_at(offer, "Function", name);
    let header = quote_spanned!(name.span()=> impl<#state> #function_trait<#state> for #name);
    // The one lint that looks into foreign code: our call of the function is no new use of it.
    let deprecated = attributes(offer, "deprecated").map(|_| quote!(#[allow(deprecated)]));
    quote! {
        #(#cfg)*
        #(#deprecated)*
        #[automatically_derived]
        #header
        where
            #state: ::core::marker::Send + ::core::marker::Sync + 'static,
            #(#bounds,)*
        {
            #body
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
fn marker(offer: &Offer) -> TokenStream {
    let (visibility, name, cfg) = (
        &offer.function.vis,
        our_name(offer),
        attributes(offer, "cfg"),
    );
    let word = offer.kind.word();
    let doc = format!(
        "The {word} `{}`: list it in `{word}s![]`.",
        offer.function.sig.ident.unraw()
    );
    quote! {
        #(#cfg)*
        #[doc = #doc]
        #visibility struct #name { _never: ::core::convert::Infallible }
    }
}

/// The name of the function, marked as ours. Lints keep quiet about foreign code: nobody is told
/// about the case of the marker, and one that nobody lists is one `dead_code` warning, at the
/// function, instead of two.
fn our_name(offer: &Offer) -> Ident {
    let mut name = offer.function.sig.ident.clone();
    name.set_span(Span::call_site().located_at(name.span()));
    name
}

/// The attributes of the function by that name. One that is configured out with `#[cfg]` takes
/// along what we leave behind.
fn attributes<'a>(offer: &'a Offer, name: &'static str) -> impl Iterator<Item = &'a Attribute> {
    offer
        .function
        .attrs
        .iter()
        .filter(move |attribute| attribute.path().is_ident(name))
}

fn private(offer: &Offer) -> TokenStream {
    let krate = &offer.krate;
    quote!(#krate::__private)
}

/// A name of the runtime that covers `place`, which is where rustc reports its bounds.
///
/// Spans cannot be joined, but a path reaches from its first token to its last.
fn private_at(offer: &Offer, name: &str, place: &impl ToTokens) -> TokenStream {
    let krate = &offer.krate;
    let name = Ident::new(name, krate.span());
    let path = quote_spanned!(krate.span()=> #krate::__private::#name);
    let (first, last) = ends(place);
    let moved = path.into_iter().enumerate().map(|(index, mut token)| {
        let span = if index == 0 { first } else { last };
        // The author's path sees what the author sees: `$crate` would be another one elsewhere.
        let seen = if offer.krate_given {
            token.span()
        } else {
            span
        };
        token.set_span(span.resolved_at(seen));
        token
    });
    moved.collect()
}

/// Where the tokens begin and where they end.
fn ends(place: &impl ToTokens) -> (Span, Span) {
    let spans: Vec<_> = place
        .to_token_stream()
        .into_iter()
        .map(|token| token.span())
        .collect();
    match spans.as_slice() {
        [first, .., last] => (*first, *last),
        [only] => (*only, *only),
        [] => (Span::call_site(), Span::call_site()),
    }
}

/// The state of the server. Not a name that a type of the author's could have.
fn state() -> Ident {
    Ident::new("__State", Span::mixed_site())
}

/// One bound per lent type; two parameters of one type share it.
fn bounds(offer: &Offer) -> Vec<TokenStream> {
    let state = state();
    let bound = |lent| {
        let lends = private_at(offer, "Lends", lent);
        quote_spanned!(ends(lent).1=> #state: #lends<#lent>)
    };
    lent_types(offer).into_iter().map(bound).collect()
}

/// The types of what is lent, each once.
fn lent_types(offer: &Offer) -> Vec<&Type> {
    let mut seen = Vec::new();
    for lent in offer.parameters.iter().filter_map(Parameter::lent) {
        if !seen.contains(&lent) {
            seen.push(lent);
        }
    }
    seen
}

// What it says about itself.

/// The type of what it says.
fn about(offer: &Offer) -> TokenStream {
    let krate = &offer.krate;
    match offer.kind {
        Kind::Tool => quote!(#krate::Tool),
        Kind::Resource => quote!(#krate::Resource),
        Kind::Prompt => quote!(#krate::Prompt),
    }
}

fn descriptor(offer: &Checked) -> TokenStream {
    let about = about(offer);
    let (private, description, policy) = (private(offer), doc(&offer.description), policy(offer));
    let begin = begin(offer);
    let (title, mime) = (offer.title.iter(), offer.mime.iter());
    let (icon, ui_uri) = (offer.icon.iter(), offer.ui_uri.iter());
    let (ui, visibility) = (offer.ui.as_ref().map(ui), visibility(offer));
    let complete = offer.complete.as_ref().map(complete);
    let effects = &offer.effects;
    let timeout = offer.timeout.iter().map(|timeout| timeout.milliseconds);
    let confirm = offer.confirm.iter();
    let cache = offer.cache.iter().map(|cache| cache.milliseconds);
    let family = offer.family.iter();
    let task = offer.task.as_ref().map(|task| task_method(task.when));
    let task = task.iter();
    let rate = offer.rate.as_ref().map(|rate| {
        let (count, seconds, burst) = (rate.count, rate.seconds, rate.burst);
        quote!(.rate(#private::rate(#count, #seconds, #burst)))
    });
    let concurrency = offer.concurrency.iter();
    quote! {
        #about {
            #private::#begin
                .description(#description)
                .policy(#policy)
                #(.title(#title))*
                #(.mime(#mime))*
                #(.icon(#icon))*
                #(.ui(#ui_uri))*
                #visibility
                #ui
                #(.#effects())*
                #(.timeout_ms(#timeout))*
                #(.confirm(#confirm))*
                #(.cache_ms(#cache))*
                #(.family(#family))*
                #(.#task())*
                #rate
                #(.concurrency(#concurrency))*
                #complete
        }
    }
}

/// What is no `Ui` is reported where it is written.
fn ui(expr: &Expr) -> TokenStream {
    let method = Ident::new("ui", ends(expr).1);
    quote!(.#method(#expr))
}

fn visibility(offer: &Checked) -> Option<TokenStream> {
    let krate = &offer.krate;
    let to = match offer.ui_visibility.as_ref()?.value().as_str() {
        "model" => quote!(Model),
        _ => quote!(App),
    };
    Some(quote!(.ui_visibility(#krate::Visibility::#to)))
}

fn task_method(when: When) -> Ident {
    let name = match when {
        When::AtOnce => "task",
        When::Required => "task_required",
        When::OnDetach => "task_on_detach",
    };
    Ident::new(name, Span::call_site())
}

/// A function that does not suggest is reported where it is named.
fn complete(path: &Path) -> TokenStream {
    let method = Ident::new("complete", ends(path).1);
    quote!(.#method(#path))
}

/// The call that starts the description.
fn begin(offer: &Checked) -> TokenStream {
    let name = offer.wire_name();
    // `line!()` reports where its own tokens stand: at the name of the function.
    let place = quote_spanned! {offer.function.sig.ident.span()=>
        #name, ::core::file!(), ::core::line!()
    };
    let uri = offer.uri.iter();
    match offer.kind {
        Kind::Tool => quote!(tool(#place)),
        Kind::Resource => quote!(resource(#(#uri,)* #place)),
        Kind::Prompt => quote!(prompt(#place)),
    }
}

fn policy(offer: &Checked) -> TokenStream {
    let krate = &offer.krate;
    let access = match offer.who() {
        Who::Public => quote!(public()),
        Who::Authenticated => quote!(authenticated()),
        Who::Scopes(scopes) => quote!(scopes([#(#scopes),*])),
    };
    let roles = offer
        .roles
        .iter()
        .map(|roles| &roles.names)
        .map(|names| quote!(.roles([#(#names),*])));
    lending(offer, quote!(#krate::Policy::#access #(#roles)*))
}

/// What is lent only to some callers narrows the policy to them. Which types are of that kind only
/// the runtime knows: here, `&Tenant` and the author's own `Tenant` look the same.
fn lending(offer: &Offer, policy: TokenStream) -> TokenStream {
    let (private, state) = (private(offer), state());
    lent_types(offer).into_iter().fold(
        policy,
        |policy, lent| quote!(#private::lending::<#state, #lent>(#policy)),
    )
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

fn inputs(offer: &Offer) -> TokenStream {
    let inputs = offer.inputs().map(|parameter| input(offer, parameter));
    // Of nothing, nothing: clippy looks into expansions for a `()` that says no more.
    if offer.inputs().next().is_none() {
        TokenStream::new()
    } else {
        quote!((#(#inputs,)*))
    }
}

fn input(offer: &Offer, parameter: &Parameter) -> TokenStream {
    let (ty, name, input) = (&parameter.ty, parameter.wire_name(), &parameter.input);
    let declare = private_at(offer, "input", ty);
    let declared = quote_spanned!(ty.span()=> #declare::<#ty>(#name));
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

fn run(offer: &Checked) -> TokenStream {
    let (state, private, locals) = (state(), private(offer), Locals::new());
    let Locals {
        run, outlet, lend, ..
    } = &locals;
    let new_outlet = new_outlet(offer, outlet);
    let names = offer.inputs().map(|parameter| &parameter.ident);
    let values = quote!((#(#names,)*));
    let callee = callee(offer, &locals);
    let borrow = borrow(offer, &locals);
    let guard = offer.guard.as_ref().map(|expr| guard(offer, expr, &locals));
    let confirm = offer.confirm.as_ref().map(|_| confirm(&locals));
    let detach = detach(offer, &locals);
    let call = call(offer, &locals);
    // A future that is not `Send` is reported where it begins: at the name of the function.
    let span = offer.function.sig.ident.span();
    let body = quote! {
        #callee
        #new_outlet
        let ::core::option::Option::Some((#lend, #values)) = #run.enter() else {
            return #outlet.describe();
        };
        #borrow
        #guard
        #confirm
        #detach
        #outlet.finish(#call)
    };
    let body = quote_spanned!(span=> async move { #body });
    let future = quote_spanned! {span=>
        impl ::core::future::Future<Output = #private::Done> + ::core::marker::Send + 'call
    };
    quote! {
        fn run<'call>(#run: #private::Run<'call, #state, Self::Inputs>) -> #future {
            #body
        }
    }
}

/// The bound on the result hangs here, so here is where the return type is reported.
fn new_outlet(offer: &Offer, outlet: &Ident) -> TokenStream {
    let signature = &offer.function.sig;
    let (make, (_, end)) = match &signature.output {
        ReturnType::Type(_, ty) => (private_at(offer, "outlet", ty), ends(ty)),
        ReturnType::Default => (
            private_at(offer, "outlet", &signature.ident),
            ends(&signature.ident),
        ),
    };
    let make = quote_spanned!(end=> #make());
    quote!(let #outlet = #make;)
}

/// A parameter with the name of the function hides it, so the function is taken aside first.
fn callee(offer: &Offer, locals: &Locals) -> Option<TokenStream> {
    let (name, function) = (our_name(offer), &locals.function);
    hidden(offer).then(|| quote!(let #function = #name;))
}

fn hidden(offer: &Offer) -> bool {
    offer
        .parameters
        .iter()
        .any(|parameter| parameter.ident == offer.function.sig.ident)
}

/// What is lent, by the names of the parameters. Blocking work outlives the call and borrows for
/// itself, on its own thread; only its guard needs this.
fn borrow(offer: &Offer, locals: &Locals) -> Option<TokenStream> {
    let lend = &locals.lend;
    let lent = offer
        .parameters
        .iter()
        .filter_map(|parameter| Some((&parameter.ident, parameter.lent()?)));
    let (names, types): (Vec<_>, Vec<_>) = lent.unzip();
    (offer.blocking.is_none() || offer.guard.is_some())
        .then(|| quote!(#(let #names = #lend.get::<#types>();)*))
}

fn guard(offer: &Offer, expr: &Expr, locals: &Locals) -> TokenStream {
    let Locals {
        outlet, refusal, ..
    } = locals;
    let guard = private_at(offer, "guard", expr);
    let guard = quote_spanned!(ends(expr).1=> #guard(#expr).await);
    quote! {
        if let ::core::result::Result::Err(#refusal) = #guard {
            return #outlet.refuse(#refusal);
        }
    }
}

/// Nobody is asked about a call that the guard refuses, and nothing runs that nobody confirmed.
fn confirm(locals: &Locals) -> TokenStream {
    let Locals {
        outlet,
        lend,
        refusal,
        ..
    } = locals;
    quote! {
        if let ::core::result::Result::Err(#refusal) = #lend.confirmed().await {
            return #outlet.refuse(#refusal);
        }
    }
}

/// Whoever is refused is refused before there is a task.
fn detach(offer: &Offer, locals: &Locals) -> Option<TokenStream> {
    let Locals {
        outlet,
        lend,
        refusal,
        ..
    } = locals;
    let task = offer.task.as_ref()?;
    (task.when != When::OnDetach).then(|| {
        quote! {
            if let ::core::result::Result::Err(#refusal) = #lend.detach().await {
                return #outlet.refuse(#refusal);
            }
        }
    })
}

fn call(offer: &Offer, locals: &Locals) -> TokenStream {
    let lend = &locals.lend;
    let name = if hidden(offer) {
        locals.function.clone()
    } else {
        our_name(offer)
    };
    let arguments = offer
        .parameters
        .iter()
        .map(|parameter| match parameter.lent() {
            Some(ty) if offer.blocking.is_some() => quote!(#lend.get::<#ty>()),
            _ => parameter.ident.to_token_stream(),
        });
    let call = quote!(#name(#(#arguments),*));
    match (&offer.blocking, &offer.function.sig.asyncness) {
        (Some(_), _) => quote!(#lend.blocking(move |#lend| #call).await),
        (None, Some(_)) => quote!(#call.await),
        (None, None) => call,
    }
}
