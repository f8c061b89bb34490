//! What a type says about itself by its syntax alone. An alias says nothing, and then neither do we.

use syn::{GenericArgument, PathArguments, PathSegment, Type};

/// What a value of the type looks like in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Known {
    Integer,
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
            "u8" | "u16" | "u32" | "u64" | "u128" | "usize" | "i8" | "i16" | "i32" | "i64"
            | "i128" | "isize" => Self::Integer,
            "f32" | "f64" => Self::Float,
            "bool" => Self::Bool,
            "char" => Self::Char,
            "String" => Self::Text,
            "Vec" | "VecDeque" | "HashSet" | "BTreeSet" => Self::List,
            "HashMap" | "BTreeMap" => Self::Map,
            _ => Self::Nothing,
        }
    }

    pub(crate) fn is_number(self) -> bool {
        matches!(self, Self::Integer | Self::Float)
    }
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
            ("u32", Known::Integer),
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
}
