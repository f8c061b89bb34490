//! What an operator writes, and what is said when it is wrong.

use std::path::Path;

use reference_server::config::{Config, Format, Mode, keys_of_entries, known_keys};
use tempfile::TempDir;

const EXAMPLE: &str = include_str!("../../config.example.toml");

fn load(file: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("config.toml");
    std::fs::write(&path, file).expect("written");
    let environment = environment
        .iter()
        .map(|(name, value)| ((*name).into(), (*value).into()));
    Config::load(Some(&path), environment).map_err(|error| error.to_string())
}

/// The example with every `#key = value` line switched on.
fn switched_on() -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with([' ', '#']) => setting.to_owned(),
        _ => line.to_owned(),
    };
    EXAMPLE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_example_is_what_holds_without_a_file() {
    let (example, none) = (load(EXAMPLE, &[]), Config::load(None, []));
    assert_eq!(
        format!("{:?}", example.expect("fine")),
        format!("{:?}", none.expect("fine"))
    );
}

#[test]
fn the_example_documents_every_key() {
    let text = switched_on();
    let table: toml::Table = text.parse().expect("TOML");
    for key in known_keys().keys() {
        let path: Vec<&str> = key.split('.').collect();
        let first = table.get(path[0]);
        let found = path[1..].iter().fold(first, |value, name| value?.get(name));
        assert!(
            found.is_some(),
            "config.example.toml says nothing of `{key}`"
        );
    }
    for list in ["auth.issuer", "auth.static_token", "mount"] {
        let keys = keys_of_entries(list);
        let entries = match list.split_once('.') {
            Some((section, name)) => &table[section][name],
            None => &table[list],
        };
        assert!(keys.len() > 4, "{list} has keys");
        for key in keys {
            assert!(
                entries[0].get(&key).is_some(),
                "config.example.toml says nothing of `{key}` of [[{list}]]"
            );
        }
    }
    // Nothing else stands in it either. Mail goes one way, which only a start would find.
    load(&text, &[]).expect("every key is known and every value fits");
}

#[test]
fn s0_066_067_the_environment_wins_over_the_file() {
    let file = "listen = \"127.0.0.1:1\"\n[platform]\nfounding_cap = 1\n";
    let environment = [
        ("MCP_LISTEN", "127.0.0.1:2"),
        ("MCP_PLATFORM__FOUNDING_CAP", "2"),
        ("MCP_PLATFORM__DEMO_DATA", "false"),
        ("MCP_ALLOWED_HOSTS", "a.example.com, b.example.com"),
        ("MCP_BACKEND__MODE", "url"),
        ("MCP_BACKEND__URL", "https://api.example.com"),
        ("MCP_BACKEND__SERVICE_TOKEN", "12345678901234567890"),
        ("MCP_BACKEND__TIMEOUTS__CALL", "300ms"),
        ("MCP_LOG__FORMAT", "json"),
        ("UNRELATED", "x"),
    ];
    let config = load(file, &environment).expect("fine");
    assert_eq!(config.listen, "127.0.0.1:2");
    assert_eq!(config.platform.founding_cap, 2);
    assert!(!config.platform.demo_data);
    assert_eq!(config.allowed_hosts, ["a.example.com", "b.example.com"]);
    assert_eq!(
        (config.backend.mode, config.log.format),
        (Mode::Url, Format::Json)
    );
    assert_eq!(config.backend_limits().call.as_millis(), 300);
    assert!(!format!("{config:?}").contains("12345678901234567890"));
}

/// `(file, variable and value, what the error says)`
const WRONG: &[(&str, (&str, &str), &[&str])] = &[
    (
        "lisen = \"x\"",
        ("X", ""),
        &["`lisen`", "did you mean `listen`?"],
    ),
    (
        "[platform]\nfounding_kap = 1",
        ("X", ""),
        &[
            "`platform.founding_kap`",
            "did you mean `platform.founding_cap`?",
        ],
    ),
    ("[platfrom]\nfounding_cap = 1", ("X", ""), &["`platfrom`"]),
    (
        "[platform.mail.smtp]\nurl = \"x\"",
        ("X", ""),
        &["`platform.mail.smtp`"],
    ),
    (
        "",
        ("MCP_LISEN", "x"),
        &["`MCP_LISEN`", "did you mean `MCP_LISTEN`?"],
    ),
    (
        "",
        ("MCP_PLATFORM_FOUNDING_CAP", "1"),
        &[
            "`MCP_PLATFORM_FOUNDING_CAP`",
            "`MCP_PLATFORM__FOUNDING_CAP`",
        ],
    ),
    ("", ("MCP_PLATFORM", "1"), &["`MCP_PLATFORM`"]),
    (
        "",
        ("MCP_PLATFORM__FOUNDING_CAP", "many"),
        &["MCP_PLATFORM__FOUNDING_CAP", "whole number"],
    ),
    (
        "",
        ("MCP_IDENTITY__DEMO", "perhaps"),
        &["MCP_IDENTITY__DEMO", "true or false"],
    ),
    ("listen = 5", ("X", ""), &["listen"]),
    (
        "[backend]\nmode = \"remote\"",
        ("X", ""),
        &["mode", "in-process"],
    ),
    (
        "[backend.timeouts]\ncall = \"soon\"",
        ("X", ""),
        &["call", "like 30s"],
    ),
    (
        "[platform]\nfounding_cap = -1",
        ("X", ""),
        &["founding_cap"],
    ),
    ("listen = ", ("X", ""), &["config.toml, line 1"]),
    (
        "[[auth.issuer]]\nissuer = \"https://as.example.com\"\njwks_ulr = \"x\"",
        ("X", ""),
        &["jwks_ulr", "jwks_url"],
    ),
    (
        "[[auth.static_token]]\nname = \"x\"\ntoken = \"hunter2\"",
        ("X", ""),
        &["`token`", "token_env"],
    ),
    ("[auth]\nmode = \"off\"", ("X", ""), &["mode", "required"]),
    (
        "",
        ("MCP_AUTH__ISSUER", "https://as.example.com"),
        &["MCP_AUTH__ISSUER", "TOML on one line"],
    ),
];

#[test]
fn a_wrong_setting_is_named_with_what_to_write() {
    for (file, variable, expected) in WRONG {
        let error = load(file, &[*variable]).expect_err(file);
        for text in *expected {
            assert!(error.contains(text), "{file} {variable:?}: {error}");
        }
    }
}

#[test]
fn secrets_do_not_show_in_errors() {
    for file in [
        "[backend]\nservice_token = 987654321987654321",
        "[backend]\nservice_token = \"hunter2",
        "[platform]\nconfirm_keys = [987654321987654321]",
        "[platform.mail]\nsmtp_url = {password = \"hunter2\"}",
        "[[auth.static_token]]\nname = \"x\"\ntoken = \"hunter2\"",
        "[auth.introspection]\nclient_secret = \"hunter2\"",
    ] {
        let error = load(file, &[]).expect_err(file);
        assert!(
            !error.contains("hunter2") && !error.contains("987654321"),
            "{error}"
        );
    }
}

#[test]
fn the_server_has_the_keys_it_is_given_or_makes_some_that_last() {
    const ONE: &str = "vT8qLm3ZxN5pRw7yBc2dFg4hJk6s9AeUiO1r";
    const TWO: &str = "Qm4nVb7xCz2LkJh9GfDs3ApOi8UyTr5EwKj0";
    let folder = TempDir::new().expect("a temporary folder");
    let (data, file) = (folder.path().join("data"), folder.path().join("keys"));
    std::fs::write(&file, format!("{TWO}\n{ONE}\n")).expect("written");
    let (data, file) = (data.to_str().expect("UTF-8"), file.to_str().expect("UTF-8"));
    let both = format!("{ONE},{TWO}");
    for (variable, said) in [
        (("MCP_LISTEN", "127.0.0.1:1"), Ok(1)),
        (("MCP_KEYS", ONE), Ok(1)),
        (("MCP_KEYS", both.as_str()), Ok(2)),
        (("MCP_KEYS_FILE", file), Ok(2)),
        (("MCP_KEYS", "short"), Err("5 bytes")),
        (
            ("MCP_KEYS", "changeme-changeme-changeme-changeme-now"),
            Err("placeholder"),
        ),
        (("MCP_KEYS_FILE", "nowhere/keys"), Err("nowhere/keys")),
    ] {
        let config = load("", &[("MCP_DATA", data), variable]).expect("settings");
        let keys = config.server_keys().map_err(|error| error.to_string());
        match said {
            Ok(count) => {
                let shown = format!("{:?} {config:?}", keys.expect(variable.0));
                assert!(shown.contains(&format!("secrets: {count}")), "{shown}");
                assert!(!shown.contains(ONE) && !shown.contains(TWO), "{shown}");
            }
            Err(why) => {
                let error = keys.expect_err(variable.1);
                assert!(error.contains(why), "{error}");
            }
        }
    }
    let made = std::fs::read_to_string(format!("{data}/server.key")).expect("made");
    assert!(made.trim().len() >= 32);
    let config = load(&format!("keys = [\"{ONE}\"]"), &[("MCP_KEYS_FILE", file)]);
    let error = config.expect("settings").server_keys().expect_err("both");
    assert!(error.to_string().contains("keys_file"), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_said_to_be_missing() {
    let error = Config::load(Some(Path::new("nowhere.toml")), []).expect_err("missing");
    assert!(error.to_string().contains("nowhere.toml"));
}
