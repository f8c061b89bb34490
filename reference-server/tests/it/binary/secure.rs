//! What would not be safe does not start; what is, works over the wire.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;

use super::calls;
use super::program::{Place, Running};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// A byte too short.
const SHORT: &str = "0123456789abcdef0123456789abcde";
const METRIC: &str = "instainstru_metrics_describe";

/// `(variables, what the error says)`; beside them there is an `S` with a secret that is too short,
/// and one in `L` that is not.
type Row = (&'static [(&'static str, &'static str)], &'static str);

const UNSAFE: &[Row] = &[
    (
        &[("MCP_AUTH__TENANT_SIGNATURE__SECRET_ENV", "S")],
        "variable S) has fewer than 32 bytes",
    ),
    (
        &[("MCP_AUTH__TENANT_SIGNATURE__SECRET_ENV", "NOWHERE")],
        "NOWHERE) is not set",
    ),
    (
        &[("MCP_AUTH__TENANT_SIGNATURE__SECRET_FILE", "short")],
        "file short) has fewer than 32 bytes",
    ),
    (
        &[("MCP_AUTH__TENANT_SIGNATURE__SECRET_FILE", "nowhere")],
        "file nowhere) cannot be read",
    ),
    (
        &[
            ("MCP_AUTH__TENANT_SIGNATURE__SECRET_ENV", "L"),
            ("MCP_AUTH__TENANT_SIGNATURE__SECRET_FILE", "short"),
        ],
        "keep one",
    ),
    (
        &[
            ("MCP_AUTH__TENANT_SIGNATURE__SECRET_ENV", "L"),
            ("MCP_AUTH__TENANT_SIGNATURE__PREVIOUS_SECRET_ENV", "S"),
        ],
        "variable S) has fewer than 32 bytes",
    ),
    (
        &[("MCP_AUTH__TENANT_SIGNATURE__PREVIOUS_SECRET_ENV", "L")],
        "has no secret",
    ),
    (
        &[("MCP_AUTH__TENANT_SIGNATURE__VERSION", "2")],
        "has no secret",
    ),
    (
        &[("MCP_AUTH__TENANT_SIGNATURE__WINDOW", "10s")],
        "has no secret",
    ),
    (
        &[
            ("MCP_AUTH__TENANT_SIGNATURE__SECRET_ENV", "L"),
            ("MCP_AUTH__TENANT_SIGNATURE__VERSION", "3"),
        ],
        "version is 1 or 2",
    ),
    (
        &[
            ("MCP_AUTH__TENANT_SIGNATURE__SECRET_ENV", "L"),
            ("MCP_AUTH__TENANT_SIGNATURE__WINDOW", "16m"),
        ],
        "15 minutes",
    ),
    (
        &[("MCP_AUTH__TENANT_SIGNATURE__SECRET", SECRET)],
        "no setting",
    ),
    (&[("MCP_TLS__CERT", "tls.crt")], "tls.key"),
    (&[("MCP_TLS__KEY", "tls.key")], "tls.cert"),
    (&[("MCP_TLS__CLIENT_CA", "ca.crt")], "tls.cert and tls.key"),
    (
        &[("MCP_TLS__CERT", "nowhere.crt"), ("MCP_TLS__KEY", "short")],
        "nowhere.crt",
    ),
    (
        &[("MCP_LISTEN", "0.0.0.0:0")],
        "can be reached from other machines",
    ),
    (
        &[("MCP_LISTEN", "0.0.0.0:0"), ("MCP_ALLOWED_HOSTS", "")],
        "can be reached from other machines",
    ),
    (&[("MCP_ALLOWED_ORIGINS", "*")], "`*` is not an origin"),
    (&[("MCP_ALLOWED_HOSTS", "*")], "`*` is not a host name"),
    (
        &[("MCP_PUBLIC_URL", "http://mcp.example.com/mcp")],
        "https://",
    ),
    (
        &[("MCP_PLATFORM__CONFIRM_KEYS", SHORT)],
        "at least 32 bytes",
    ),
    // No audience: whose tokens are they?
    (
        &[("MCP_AUTH__ISSUER", "[{issuer='https://as.example.com'}]")],
        "audience",
    ),
    (
        &[("MCP_AUTH__ISSUER", "[{audiences=['a']}]")],
        "has no `issuer`",
    ),
    (
        &[(
            "MCP_AUTH__ISSUER",
            "[{issuer='http://as.example.com',audiences=['a']}]",
        )],
        "does not start with https://",
    ),
    (
        &[(
            "MCP_AUTH__ISSUER",
            "[{issuer='http://127.0.0.1:9',audiences=['a']}]",
        )],
        "allow_loopback = true",
    ),
    (
        &[(
            "MCP_AUTH__ISSUER",
            "[{issuer='https://u:hunter2@as.example.com',audiences=['a']}]",
        )],
        "leave them out",
    ),
    (
        &[(
            "MCP_AUTH__ISSUER",
            "[{issuer='https://as.example.com',audiences=['a'],jwks_url='http://as.example.com/jwks'}]",
        )],
        "jwks_url `http://as.example.com/jwks` does not start with https://",
    ),
    (
        &[(
            "MCP_AUTH__ISSUER",
            "[{issuer='https://as.example.com',audiences=['a'],algorithms=[]}]",
        )],
        "algorithms is empty",
    ),
    (
        &[(
            "MCP_AUTH__ISSUER",
            "[{issuer='https://as.example.com',audiences=['a'],algorithms=['RS256','HS256']}]",
        )],
        "`HS256` is not to be had",
    ),
    (
        &[(
            "MCP_AUTH__ISSUER",
            "[{issuer='https://as.example.com',audiences=['a'],algorithms=['none']}]",
        )],
        "`none` is not to be had",
    ),
    (
        &[(
            "MCP_AUTH__ISSUER",
            "[{issuer='https://as.example.com',audiences=['a'],userinfo_url='https://as.example.com/u'}]",
        )],
        "auth.allow_emails",
    ),
    (
        &[(
            "MCP_AUTH__ISSUER",
            "[{issuer='https://as.example.com',audiences=['a']},{issuer='https://as.example.com',audiences=['b']}]",
        )],
        "twice",
    ),
    (
        &[("MCP_AUTH__ALLOW_EMAILS", "ada@example.com")],
        "no [[auth.issuer]]",
    ),
    (
        &[("MCP_AUTH__ALLOW_EMAILS_FILE", "people")],
        "no [[auth.issuer]]",
    ),
    (
        &[
            (
                "MCP_AUTH__ISSUER",
                "[{issuer='https://as.example.com',audiences=['a']}]",
            ),
            ("MCP_AUTH__ALLOW_EMAILS_FILE", "no-such-file"),
        ],
        "no-such-file cannot be read",
    ),
    (
        &[
            ("MCP_AUTH__ALLOW_EMAILS", "ada"),
            (
                "MCP_AUTH__ISSUER",
                "[{issuer='https://as.example.com',audiences=['a']}]",
            ),
        ],
        "`ada` on the allowlist is not an e-mail address",
    ),
    (
        &[("MCP_AUTH__BASELINE_SCOPES", "two words")],
        "is not a scope",
    ),
    (
        &[("MCP_AUTH__STATIC_TOKEN", "[{name='batch'}]")],
        "token_env or token_file",
    ),
    (
        &[(
            "MCP_AUTH__STATIC_TOKEN",
            "[{name='batch',token_env='NOWHERE'}]",
        )],
        "NOWHERE is not set",
    ),
    (
        &[(
            "MCP_AUTH__STATIC_TOKEN",
            "[{name='batch',token_env='TINY'}]",
        )],
        "at least 16 characters",
    ),
    (
        &[(
            "MCP_AUTH__STATIC_TOKEN",
            "[{name='batch',token_env='L',token_file='short'}]",
        )],
        "keep one",
    ),
    (
        &[("MCP_AUTH__STATIC_TOKEN", "[{token_env='L'}]")],
        "has no `name`",
    ),
    (
        &[("MCP_AUTH__INTROSPECTION__URL", "https://as.example.com/i")],
        "has no `issuer`",
    ),
    (
        &[
            ("MCP_AUTH__INTROSPECTION__ISSUER", "https://as.example.com"),
            ("MCP_AUTH__INTROSPECTION__URL", "https://as.example.com/i"),
            ("MCP_AUTH__INTROSPECTION__CLIENT_ID", "mcp"),
        ],
        "client_secret_env or client_secret_file",
    ),
    (
        &[
            ("MCP_AUTH__INTROSPECTION__ISSUER", "https://as.example.com"),
            ("MCP_AUTH__INTROSPECTION__URL", "http://as.example.com/i"),
            ("MCP_AUTH__INTROSPECTION__CLIENT_ID", "mcp"),
            ("MCP_AUTH__INTROSPECTION__CLIENT_SECRET_ENV", "L"),
        ],
        "does not start with https://",
    ),
    (
        &[
            ("MCP_AUTH__MODE", "open"),
            ("MCP_PUBLIC_URL", "https://mcp.example.com/mcp"),
        ],
        "auth.mode is \"open\"",
    ),
    (
        &[
            ("MCP_AUTH__MODE", "open"),
            ("MCP_LISTEN", "0.0.0.0:0"),
            ("MCP_ALLOWED_HOSTS", "mcp.example.com"),
        ],
        "auth.mode is \"open\"",
    ),
    (
        &[
            ("MCP_IDENTITY__DEMO", "false"),
            ("MCP_PUBLIC_URL", "https://mcp.example.com/mcp"),
        ],
        "takes nobody's tokens",
    ),
    (
        &[
            ("MCP_IDENTITY__DEMO", "false"),
            ("MCP_AUTH__MODE", "required"),
        ],
        "nobody can check one",
    ),
    (&[("MCP_LIMITS__TRUSTED_PROXIES", "0.0.0.0/0")], "0.0.0.0/0"),
];

#[test]
fn hi_04_what_would_not_be_safe_does_not_start() {
    for (variables, expected) in UNSAFE {
        let place = Place::new()
            .env("S", SHORT)
            .env("L", SECRET)
            .env("TINY", "tiny-hunter2");
        let place = place
            .env("MCP_LISTEN", "127.0.0.1:0")
            .env("MCP_PLATFORM__DEMO_DATA", "false");
        std::fs::write(place.path().join("short"), SHORT).expect("written");
        let place = variables.iter().fold(place, |place, (name, value)| {
            place.without(name).env(name, value)
        });
        let since = Instant::now();
        let output = place.run(&["serve"]);
        // Two seconds of a machine that does nothing else.
        assert!(since.elapsed() < Duration::from_secs(10), "{variables:?}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{variables:?} starts: {said}");
        let errors: Vec<&str> = said
            .lines()
            .filter(|line| line.contains(expected))
            .collect();
        assert_eq!(errors.len(), 1, "{variables:?}: {said}");
        for secret in [SECRET, SHORT] {
            assert!(!said.contains(secret), "{variables:?}: {said}");
        }
    }
}

fn signing(place: Place, version: &str) -> Place {
    place
        .env("TENANT_SECRET", SECRET)
        .env("MCP_AUTH__TENANT_SIGNATURE__SECRET_ENV", "TENANT_SECRET")
        .env("MCP_AUTH__TENANT_SIGNATURE__VERSION", version)
}

#[tokio::test]
async fn tn_01_02_a_server_and_a_platform_that_share_a_secret_work_together() {
    for version in ["1", "2"] {
        let place = signing(Place::new(), version);
        let platform = place.start(&["platform", "--listen", "127.0.0.1:0"]).await;
        let place = place
            .env("MCP_BACKEND__MODE", "url")
            .env("MCP_BACKEND__URL", &platform.url);
        let server = place.serve(&[]).await;
        let admin = place.token(&["--as", "admin"]);
        for (tool, arguments, pointer) in calls() {
            let reply = server.call(&admin, tool, arguments).await;
            assert!(
                reply.structured().pointer(pointer).is_some(),
                "{tool}: {}",
                reply.body
            );
        }
        // One that does not sign, and one that signs otherwise.
        let other = if version == "1" { "2" } else { "1" };
        let unsigned = place
            .without("MCP_AUTH__TENANT_SIGNATURE__SECRET_ENV")
            .without("MCP_AUTH__TENANT_SIGNATURE__VERSION");
        let server = unsigned.serve(&[]).await;
        let arguments = json!({"metric_name": "founding.cap"});
        let reply = server.call(&admin, METRIC, arguments.clone()).await;
        assert_eq!(reply.code(), "backend_auth_failed");
        let otherwise = signing(unsigned, other);
        let server = otherwise.serve(&[]).await;
        assert_eq!(
            server.call(&admin, METRIC, arguments).await.code(),
            "backend_auth_failed"
        );
        assert!(!server.log().contains(SECRET) && !platform.log().contains(SECRET));
        assert!(
            platform.log().contains("tenant_header_missing"),
            "{}",
            platform.log()
        );
    }
}

/// Writes a certificate of localhost, and gives back a client that trusts it alone.
fn certificate(place: &Place) -> impl Fn(SocketAddr) -> reqwest::Client + use<> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let (pem, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    std::fs::write(place.path().join("tls.crt"), &pem).expect("written");
    std::fs::write(place.path().join("tls.key"), key).expect("written");
    move |address| {
        let root = reqwest::Certificate::from_pem(pem.as_bytes()).expect("a root");
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([root])
            .resolve("localhost", address);
        client.build().expect("a client")
    }
}

#[tokio::test]
async fn the_server_speaks_tls_with_the_configured_files() {
    let place = Place::alone();
    let first = certificate(&place);
    let place = place
        .env("MCP_TLS__CERT", "tls.crt")
        .env("MCP_TLS__KEY", "tls.key");
    let server: Running = place.serve(&[]).await;
    let address = server.url.strip_prefix("http://");
    let address: SocketAddr = address
        .and_then(|url| url.parse().ok())
        .expect("an address");
    let health = format!("https://localhost:{}/api/v1/health", address.port());
    let answer = first(address).get(&health).send().await;
    assert_eq!(answer.expect("an answer").status(), 200);
    let url = format!("https://{address}/mcp");
    assert!(server.log().contains(&url), "{}", server.log());
    let plain = reqwest::get(format!("http://{address}/api/v1/health")).await;
    assert!(plain.is_err(), "{plain:?}");

    // Told to, the program takes a new certificate up at once.
    #[cfg(unix)]
    {
        let second = certificate(&place);
        let told = std::process::Command::new("kill")
            .args(["-HUP", &server.id().to_string()])
            .status();
        assert!(told.is_ok_and(|status| status.success()));
        let since = Instant::now();
        while second(address).get(&health).send().await.is_err() {
            // The files are looked at every thirty seconds, too.
            assert!(
                since.elapsed() < Duration::from_secs(15),
                "{}",
                server.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(first(address).get(&health).send().await.is_err());
    }
}
