//! What compiles, and what the compiler says about what does not.

#[test]
fn what_compiles() {
    trybuild::TestCases::new().pass("pass/*.rs");
}

#[test]
fn what_does_not() {
    trybuild::TestCases::new().compile_fail("fail/*/*.rs");
}
