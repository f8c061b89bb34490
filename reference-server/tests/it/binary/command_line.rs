//! What is said to people on the command line.

use super::program::Place;

/// `(arguments, what the error says)`
const REFUSED: &[(&[&str], &[&str])] = &[
    (&["token", "--as", "eve"], &["`eve`", "admin, reader, bob"]),
    (
        &["token", "--as", "reader", "--scope", "copilot:write"],
        &["`copilot:write`", "copilot:read"],
    ),
    (&["token"], &["--as"]),
    (
        &["tools", "--toolset", "cockpit"],
        &["`cockpit`", "copilot"],
    ),
    (
        &["serve", "--toolset", "cockpit"],
        &["`cockpit`", "copilot"],
    ),
    (&["stdio", "--as", "eve"], &["`eve`", "admin, reader, bob"]),
    (&["serve", "--config", "nowhere.toml"], &["nowhere.toml"]),
    (&["serve", "--listen", "nonsense"], &["nonsense"]),
    (&["serve", "--listen", "0.0.0.0:0"], &["public_url"]),
    (&["sevre"], &["sevre"]),
];

#[test]
fn a_mistake_is_named_with_what_would_be_right() {
    for (arguments, expected) in REFUSED {
        let place = Place::new();
        let output = place.run(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        let error = String::from_utf8_lossy(&output.stderr);
        for text in *expected {
            assert!(error.contains(text), "{arguments:?}: {error}");
        }
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn an_unknown_setting_stops_the_start() {
    for command in ["serve", "stdio", "platform", "token"] {
        let place = Place::new().env("MCP_PLATFORM__FOUNDING_KAP", "5");
        let mut arguments = vec![command];
        if command == "token" {
            arguments.extend(["--as", "admin"]);
        }
        let output = place.run(&arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && error.contains("MCP_PLATFORM__FOUNDING_KAP"),
            "{error}"
        );
        assert!(
            error.contains("did you mean `MCP_PLATFORM__FOUNDING_CAP`?"),
            "{error}"
        );
    }
    let place = Place::new();
    std::fs::write(
        place.path().join("c.toml"),
        "[platform]\nfounding_kap = 5\n",
    )
    .expect("written");
    let output = place.run(&["serve", "--config", "c.toml"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(
        error.contains("`platform.founding_kap`") && error.contains("c.toml"),
        "{error}"
    );
}

#[test]
fn a_variable_that_clients_hand_on_is_not_a_setting() {
    let place = Place::new().env("MCP_TIMEOUT", "30000");
    let output = place.run(&["token", "--as", "admin"]);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
}

#[test]
fn settings_that_contradict_each_other_stop_the_start() {
    for (variables, expected) in [
        (vec![("MCP_BACKEND__MODE", "url")], "backend.url"),
        (
            vec![("MCP_BACKEND__URL", "http://127.0.0.1:1")],
            "backend.mode",
        ),
        (
            vec![
                ("MCP_BACKEND__MODE", "url"),
                ("MCP_BACKEND__URL", "https://api.example.com"),
            ],
            "backend.service_token",
        ),
        (
            vec![
                ("MCP_PLATFORM__MAIL__FOLDER", "x"),
                ("MCP_PLATFORM__MAIL__SMTP_URL", "smtp://x"),
            ],
            "platform.mail",
        ),
        (
            vec![("MCP_PUBLIC_URL", "http://mcp.example.com")],
            "https://",
        ),
        (
            vec![("MCP_BACKEND__SERVICE_TOKEN", "short")],
            "service_token",
        ),
    ] {
        let place = variables
            .iter()
            .fold(Place::new(), |place, (name, value)| place.env(name, value));
        let output = place.run(&["serve", "--listen", "127.0.0.1:0"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && error.contains(expected),
            "{variables:?}: {error}"
        );
    }
}

#[test]
fn the_tools_are_shown_with_policy_and_effects() {
    let place = Place::new();
    for (format, expected) in [
        ("table", "instainstru_invites_send"),
        ("markdown", "| `instainstru_invites_send` | copilot:write |"),
        ("json", "\"destructiveHint\": true"),
    ] {
        let output = place.run(&["tools", "--format", format]);
        let text = String::from_utf8(output.stdout).expect("text");
        assert!(text.contains(expected), "{text}");
    }
    for (toolset, count) in [
        ("copilot", 10),
        ("copilot-extended", 12),
        ("records", 40),
        ("proxy", 10),
        ("proxy-extended", 3),
        ("school", 20),
    ] {
        let output = place.run(&["tools", "--format", "json", "--toolset", toolset]);
        let tools: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(tools.as_array().map(Vec::len), Some(count), "{toolset}");
    }
    assert!(
        !place.data().exists(),
        "looking at the tools touches no data"
    );
}

#[test]
fn help_says_how_to_begin() {
    let place = Place::new();
    let text = String::from_utf8(place.run(&["--help"]).stdout).expect("text");
    for expected in [
        "serve",
        "stdio",
        "platform",
        "tools",
        "token --as admin",
        "MCP_PLATFORM__FOUNDING_CAP",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
