//! What the runtime promises to the outside.

mod store;
