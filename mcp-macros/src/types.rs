//! What a type says about itself by its syntax alone. An alias says nothing, and then neither do we.

use quote::ToTokens as _;
use syn::{GenericArgument, PathArguments, PathSegment, Type};

/// What a value of the type looks like in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    /// With the smallest and the largest.
    Integer(i128, i128),
    Float,
    Bool,
    Char,
    Text,
    List,
    Map,
    /// Somebody's own type, or an alias.
    Nothing,
}

impl Known {
    pub(crate) fn of(ty: &Type) -> Self {
        match bare(ty) {
            Type::Array(_) => Self::List,
            ty => last_segment(ty).map_or(Self::Nothing, Self::of_segment),
        }
    }

    fn of_segment(segment: &PathSegment) -> Self {
        match segment.ident.to_string().as_str() {
            "Option" => first_argument(segment).map_or(Self::Nothing, Self::of),
            "f32" | "f64" => Self::Float,
            "bool" => Self::Bool,
            "char" => Self::Char,
            "String" => Self::Text,
            "Vec" | "VecDeque" | "HashSet" | "BTreeSet" => Self::List,
            "HashMap" | "BTreeMap" => Self::Map,
            name => integer(name).unwrap_or(Self::Nothing),
        }
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Integer(..) | Self::Float)
    }
}

/// `u8` to `i128`. A size is at most 64 bits wide, and what `u128` holds beyond `i128` is left to
/// rustc.
fn integer(name: &str) -> Option<Known> {
    let (unsigned, bits) = match name.split_at_checked(1)? {
        ("u", bits) => (true, bits),
        ("i", bits) => (false, bits),
        _ => return None,
    };
    let bits = match bits {
        "size" => 64,
        "8" | "16" | "32" | "64" | "128" => bits.parse().ok()?,
        _ => return None,
    };
    Some(match (unsigned, bits) {
        (true, 128) => Known::Integer(0, i128::MAX),
        (true, bits) => Known::Integer(0, (1 << bits) - 1),
        (false, bits) => Known::Integer(i128::MIN >> (128 - bits), i128::MAX >> (128 - bits)),
    })
}

/// Without parentheses and the invisible group of a macro variable.
pub(crate) fn bare(mut ty: &Type) -> &Type {
    loop {
        ty = match ty {
            Type::Group(group) => &group.elem,
            Type::Paren(paren) => &paren.elem,
            other => return other,
        };
    }
}

/// The `Vec<T>` of `std::vec::Vec<T>`.
pub(crate) fn last_segment(ty: &Type) -> Option<&PathSegment> {
    match bare(ty) {
        Type::Path(path) => path.path.segments.last(),
        _ => None,
    }
}

/// The `T` of `Vec<T>`.
pub(crate) fn first_argument(segment: &PathSegment) -> Option<&Type> {
    arguments(segment).next()
}

/// The types between the angle brackets.
pub(crate) fn arguments(segment: &PathSegment) -> impl Iterator<Item = &Type> {
    let arguments = match &segment.arguments {
        PathArguments::AngleBracketed(arguments) => Some(&arguments.args),
        _ => None,
    };
    arguments
        .into_iter()
        .flatten()
        .filter_map(|argument| match argument {
            GenericArgument::Type(ty) => Some(ty),
            _ => None,
        })
}

/// The type as people write it.
pub(crate) fn shown(ty: &Type) -> String {
    let spaced = bare(ty).to_token_stream().to_string();
    let marks = [
        (" < ", "<"),
        (" >", ">"),
        ("< ", "<"),
        (" ,", ","),
        (" :: ", "::"),
        ("& ", "&"),
    ];
    marks
        .iter()
        .fold(spaced, |text, (spaced, tight)| text.replace(spaced, tight))
}

/// Whether the type is the single name `name`.
pub(crate) fn is_name(ty: &Type, name: &str) -> bool {
    matches!(bare(ty), Type::Path(path) if path.qself.is_none() && path.path.is_ident(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_obvious_is_known() {
        for (ty, known) in [
            ("u32", Known::Integer(0, 4_294_967_295)),
            ("i8", Known::Integer(-128, 127)),
            ("usize", Known::Integer(0, 18_446_744_073_709_551_615)),
            ("i128", Known::Integer(i128::MIN, i128::MAX)),
            ("u7", Known::Nothing),
            ("Option<f64>", Known::Float),
            ("std::option::Option<Vec<Item>>", Known::List),
            ("std::string::String", Known::Text),
            ("[u8; 4]", Known::List),
            ("HashMap<String, u8>", Known::Map),
            ("Cents", Known::Nothing),
            ("(u8, u8)", Known::Nothing),
        ] {
            assert_eq!(Known::of(&syn::parse_str(ty).expect(ty)), known, "{ty}");
        }
    }

    #[test]
    fn a_type_is_shown_as_it_is_written() {
        for ty in ["Option<Vec<u8>>", "std::vec::Vec<(u8, &str)>", "dyn Mailer"] {
            assert_eq!(shown(&syn::parse_str(ty).expect(ty)), ty);
        }
    }
}
