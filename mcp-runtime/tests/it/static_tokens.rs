//! Tokens that are written down.

use mcp_runtime::{BootError, Caller, StaticTokens};

const TOKEN: &str = "CNRY-0123456789abcdef";

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

#[track_caller]
fn refused(outcome: Result<StaticTokens, BootError>, expected: &str) {
    let said = outcome.err().map(|error| error.to_string());
    let said = said.unwrap_or_else(|| panic!("was taken, expected: {expected}"));
    assert!(
        said.contains(expected),
        "expected {expected:?}, not {said:?}"
    );
    assert!(!said.contains("CNRY"), "shows a token: {said}");
}

#[test]
fn one_token_of_a_file() {
    let file = file(&format!("{TOKEN}\n"));
    let tokens = StaticTokens::new()
        .token_from_file(file.path(), Caller::user("batch").scope("mcp:read"))
        .unwrap();
    assert!(tokens.holder(TOKEN).unwrap().has_scope("mcp:read"));
    assert!(tokens.holder(&format!("{TOKEN}\n")).is_none());
    assert!(tokens.holder("").is_none());
}

#[test]
fn what_is_no_token() {
    let take = |text: &str| {
        let file = file(text);
        StaticTokens::new().token_from_file(file.path(), Caller::user("batch"))
    };
    for text in [
        "",
        "\n",
        "CNRY-short",
        "CNRY-0123456789 abcdef",
        "CNRY-0123456789\nCNRY-2",
    ] {
        refused(take(text), "does not hold an access token");
    }
    refused(take(&"CNRY".repeat(1 << 19)), "is larger than");
    let missing = std::path::Path::new("no/such/file");
    refused(
        StaticTokens::new().token_from_file(missing, Caller::user("batch")),
        "no/such/file cannot be read",
    );
    refused(
        StaticTokens::new().token_from_env("MCP_TEST_NO_SUCH_VARIABLE", Caller::user("batch")),
        "MCP_TEST_NO_SUCH_VARIABLE is not set",
    );
}

#[test]
fn many_tokens_of_a_file() {
    let text = format!(
        "{{\"{TOKEN}\": {{\"subject\": \"ada\", \"scopes\": [\"a\"], \"roles\": [\"chief\"], \"tenant\": \"acme\"}}}}"
    );
    let tokens = StaticTokens::from_file(file(&text).path()).unwrap();
    let ada = tokens.holder(TOKEN).unwrap();
    assert_eq!(
        (
            ada.subject(),
            ada.has_role("chief"),
            ada.principal().unwrap().tenant()
        ),
        (Some("ada"), true, Some("acme"))
    );
    for (text, expected) in [
        (
            "{\"CNRY-short\": {\"subject\": \"ada\"}}",
            "fewer than 16 characters",
        ),
        (
            "{\"CNRY-0123456789\": {\"subject\": \"ada\", \"admin\": true}}",
            "cannot be read",
        ),
        ("{\"CNRY-0123456789\": {}}", "cannot be read"),
        ("[]", "cannot be read"),
    ] {
        refused(StaticTokens::from_file(file(text).path()), expected);
    }
}

/// The environment of a process is its own, so this looks at one that was made for it.
#[test]
fn one_token_of_the_environment() {
    const VARIABLE: &str = "MCP_TEST_STATIC_TOKEN";
    if std::env::var_os(VARIABLE).is_some() {
        let tokens = StaticTokens::new().token_from_env(VARIABLE, Caller::user("batch"));
        assert!(tokens.unwrap().holder(TOKEN).is_some());
        return;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "static_tokens::one_token_of_the_environment"])
        .env(VARIABLE, TOKEN)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("1 passed"), "{said}");
}
