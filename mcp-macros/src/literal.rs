//! Literals inside expressions: what can be judged while compiling, and how it is written out.

use std::cmp::Ordering;

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Expr, ExprUnary, Lit, LitFloat, LitInt, UnOp};

use crate::parse::ungroup;

/// A literal, with the sign in front of it.
pub(crate) enum Literal {
    Text(String),
    Char,
    Bool,
    Number(Number),
}

/// A number whose value is known while compiling.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Integer(i128),
    Float(f64),
}

impl Literal {
    /// `None` when the expression is more than a literal.
    pub(crate) fn of(expr: &Expr) -> Option<Self> {
        match ungroup(expr) {
            Expr::Unary(ExprUnary {
                op: UnOp::Neg(_),
                expr,
                ..
            }) => match Self::of(expr)? {
                Self::Number(number) => Some(Self::Number(number.negated())),
                _ => None,
            },
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) => Some(Self::Text(text.value())),
                Lit::Char(_) => Some(Self::Char),
                Lit::Bool(_) => Some(Self::Bool),
                Lit::Int(int) => int
                    .base10_parse()
                    .ok()
                    .map(Number::Integer)
                    .map(Self::Number),
                Lit::Float(float) => float
                    .base10_parse()
                    .ok()
                    .map(Number::Float)
                    .map(Self::Number),
                _ => None,
            },
            _ => None,
        }
    }

    /// For a sentence: "a number".
    pub(crate) fn what(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Char => "a character",
            Self::Bool => "a truth value",
            Self::Number(Number::Integer(_)) => "a whole number",
            Self::Number(Number::Float(_)) => "a fraction",
        }
    }
}

impl Number {
    /// `None` when the expression is more than a number.
    pub(crate) fn of(expr: &Expr) -> Option<Self> {
        match Literal::of(expr) {
            Some(Literal::Number(number)) => Some(number),
            _ => None,
        }
    }

    fn negated(self) -> Self {
        match self {
            Self::Integer(n) => Self::Integer(-n),
            Self::Float(n) => Self::Float(-n),
        }
    }

    #[expect(
        clippy::cast_precision_loss,
        reason = "whole numbers beyond 2^53 in a range of fractions"
    )]
    fn as_float(self) -> f64 {
        match self {
            Self::Integer(n) => n as f64,
            Self::Float(n) => n,
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => a.partial_cmp(b),
            (a, b) => a.as_float().partial_cmp(&b.as_float()),
        }
    }
}

/// The expression with a type on its number, because `5_000_000_000` alone is an `i32` that
/// overflows wherever any number is welcome. Anything but a bare number stays as it is.
pub(crate) fn typed(expr: &Expr) -> TokenStream {
    match ungroup(expr) {
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(minus),
            expr,
            ..
        }) => {
            let number = typed(expr);
            quote!(#minus #number)
        }
        Expr::Lit(literal) => match &literal.lit {
            Lit::Int(int) if int.suffix().is_empty() => {
                let int = LitInt::new(&format!("{int}i128"), int.span());
                quote!(#int)
            }
            // A suffix needs a digit before it: `1.f64` is a field of `1`.
            Lit::Float(float) if float.suffix().is_empty() => {
                let digits = float.base10_digits();
                let float = LitFloat::new(
                    &format!("{}f64", digits.trim_end_matches('.')),
                    float.span(),
                );
                quote!(#float)
            }
            other => quote!(#other),
        },
        other => quote!(#other),
    }
}
