//! What the compiler says about a type that cannot be derived.

#[test]
fn errors_say_what_to_do() {
    trybuild::TestCases::new().compile_fail("tests/errors/*.rs");
}
