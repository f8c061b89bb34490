//! The client of the REST API, against APIs that behave and APIs that do not.

pub(crate) mod fake;
mod remote;
mod tenants;
mod trouble;
