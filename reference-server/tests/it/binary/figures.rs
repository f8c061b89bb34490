//! What operators see of a program that runs: its figures, and the traces of its calls.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::program::{Place, Running};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";
const FUNNEL: &str = "instainstru_founding_funnel_summary";

fn lines(server: &Running) -> Vec<Value> {
    let log = server.log();
    log.lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect()
}

/// Where the figures of this program are.
async fn figures(server: &Running) -> String {
    let said = async {
        loop {
            let lines = lines(server);
            let found = lines
                .iter()
                .find(|line| line["message"] == "the figures are served");
            if let Some(line) = found {
                return format!("http://{}/metrics", line["listen"].as_str().expect("it"));
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(30), said).await;
    said.unwrap_or_else(|_| panic!("it does not say where: {}", server.log()))
}

async fn scrape(url: &str) -> (String, BTreeMap<String, f64>) {
    let client = reqwest::Client::builder().no_proxy().build();
    let answer = client.expect("a client").get(url).send().await;
    let text = answer.expect("an answer").text().await.expect("text");
    let series = text.lines().filter(|line| !line.starts_with('#'));
    let series = series.map(|line| {
        let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line}"));
        (
            name.to_owned(),
            value.parse().unwrap_or_else(|_| panic!("{line}")),
        )
    });
    let series = series.collect();
    (text, series)
}

#[tokio::test]
async fn s0_081_s2_047_050_figures_of_a_program_are_those_of_what_it_was_asked() {
    let place = Place::alone().env("MCP_METRICS__LISTEN", "127.0.0.1:0");
    let server = place.serve(&[]).await;
    let figures = figures(&server).await;
    let (admin, reader) = (
        place.token(&["--as", "admin"]),
        place.token(&["--as", "reader"]),
    );
    for _ in 0..3 {
        server.call(&admin, FUNNEL, json!({})).await.structured();
    }
    let unknown = json!({"metric_name": "no.such"});
    let reply = server
        .call(&admin, "instainstru_metrics_describe", unknown)
        .await;
    reply.code();
    let preview = json!({"recipient_emails": ["ann@example.com"]});
    let refused = server
        .call(&reader, "instainstru_invites_preview", preview)
        .await;
    assert_eq!(refused.status, 403);
    server.call(&admin, "list_notes", json!({})).await;
    server.call("not-a-token", FUNNEL, json!({})).await;
    server.ask(None, "tools/list", json!({})).await;
    let (text, found) = scrape(&figures).await;
    for (name, count) in [
        (
            "mcp_tool_calls_total{tool=\"instainstru_founding_funnel_summary\",outcome=\"ok\"}",
            3.0,
        ),
        (
            "mcp_tool_calls_total{tool=\"instainstru_metrics_describe\",outcome=\"failed\"}",
            1.0,
        ),
        (
            "mcp_tool_calls_total{tool=\"instainstru_invites_preview\",outcome=\"insufficient_scope\"}",
            1.0,
        ),
        (
            "mcp_tool_duration_seconds_count{tool=\"instainstru_founding_funnel_summary\"}",
            3.0,
        ),
        (
            "mcp_requests_total{method=\"tools/call\",revision=\"2025-06-18\"}",
            6.0,
        ),
        (
            "mcp_requests_total{method=\"tools/list\",revision=\"2025-06-18\"}",
            1.0,
        ),
        ("mcp_auth_total{kind=\"opaque\",outcome=\"ok\"}", 6.0),
        ("mcp_auth_total{kind=\"opaque\",outcome=\"invalid\"}", 1.0),
        ("mcp_auth_total{kind=\"none\",outcome=\"ok\"}", 1.0),
        ("platform_requests_total{api=\"admin\",class=\"2xx\"}", 3.0),
        ("platform_requests_total{api=\"admin\",class=\"4xx\"}", 1.0),
        ("proxy_hosts", 0.0),
        ("proxy_requests_total{outcome=\"2xx\"}", 0.0),
    ] {
        assert_eq!(found.get(name), Some(&count), "{name}\n{text}");
    }
    for name in [
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
        "process_open_fds",
        "platform_requests_total{api=\"records\",class=\"2xx\"}",
    ] {
        assert!(
            found.get(name).is_some_and(|value| *value > 0.0),
            "{name}\n{text}"
        );
    }
    // Who asked and with what is in no figure (AU-03).
    let service_token = std::fs::read_to_string(place.data().join("service.token"));
    for secret in [
        &admin,
        &reader,
        service_token.expect("made").trim(),
        "ann@",
        "admin@",
    ] {
        assert!(!text.contains(secret), "{secret} is in the figures");
    }
    // Two hundred names that nobody has are no series.
    let before = found.len();
    for at in 0..200 {
        server
            .call(&admin, &format!("made_up_{at}"), json!({}))
            .await;
    }
    let (text, found) = scrape(&figures).await;
    assert_eq!(found["mcp_unknown_names_total{kind=\"tool\"}"], 200.0);
    let new: Vec<_> = found.keys().filter(|name| name.contains("made")).collect();
    assert!(
        new.is_empty() && found.len() <= before + 3,
        "{new:?}\n{text}"
    );
    // And the endpoint for clients has none of it.
    let public = server.request(Method::GET, "/metrics").send().await;
    assert_eq!(public.expect("an answer").status(), 404);
}

#[tokio::test]
async fn figures_of_the_reverse_proxy_have_no_host_names() {
    let place = Place::alone()
        .env("MCP_METRICS__LISTEN", "127.0.0.1:0")
        .env("MCP_PROXY__PRIVATE_TARGETS", "http://127.0.0.1:9");
    let server = place.serve(&["--toolset", "proxy"]).await;
    let figures = figures(&server).await;
    let bob = place.token(&["--as", "bob"]);
    let create = json!({"hostname": "b.example.test", "target_url": "http://127.0.0.1:9"});
    server.call(&bob, "create_proxy", create).await.structured();
    let lines = lines(&server);
    let said = lines
        .iter()
        .find(|line| line["message"] == "the proxy listens");
    let address = said
        .and_then(|line| line["http"].as_str())
        .expect("an address");
    let client = reqwest::Client::builder()
        .no_proxy()
        .build()
        .expect("a client");
    for (host, expected) in [("b.example.test", 502), ("nobody.example.test", 404)] {
        let request = client
            .get(format!("http://{address}/"))
            .header("host", host);
        let answer = request.send().await.expect("an answer");
        assert_eq!(answer.status(), expected);
        answer.bytes().await.expect("a body");
    }
    let (text, found) = scrape(&figures).await;
    for (name, count) in [
        ("proxy_hosts", 1.0),
        ("proxy_certificates{status=\"active\"}", 1.0),
        ("proxy_certificates{status=\"expired\"}", 0.0),
        ("proxy_requests_total{outcome=\"target_failed\"}", 1.0),
        ("proxy_requests_total{outcome=\"not_served\"}", 1.0),
        ("proxy_request_duration_seconds_count", 2.0),
    ] {
        assert_eq!(found.get(name), Some(&count), "{name}\n{text}");
    }
    assert!(!text.contains("example.test"), "{text}");
}

#[test]
fn hi_04_figures_for_everybody_do_not_start() {
    for (name, value, said) in [
        ("MCP_METRICS__LISTEN", "0.0.0.0:0", "name the hosts"),
        ("MCP_METRICS__LISTEN", "nowhere", "metrics.listen"),
        (
            "MCP_TRACES__OTLP_ENDPOINT",
            "collector",
            "traces.otlp_endpoint",
        ),
        (
            "MCP_TRACES__OTLP_ENDPOINT",
            "http://user:CNRY-PASSWORD@127.0.0.1:4318",
            "traces.otlp_endpoint",
        ),
    ] {
        let place = Place::new().env(name, value);
        let output = place.run(&["serve", "--listen", "127.0.0.1:0"]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && error.contains(said),
            "{name}={value}: {error}"
        );
        assert!(!error.contains("CNRY"), "{error}");
    }
}

async fn traced(server: &Running, token: &str, tool: &str) -> Value {
    let params = json!({"name": tool, "arguments": {}});
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let request = server
        .request(Method::POST, "/mcp")
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .header("mcp-protocol-version", "2025-06-18")
        .header("traceparent", format!("00-{TRACE}-{SPAN}-01"))
        .header("tracestate", "vendor=CNRY-STATE")
        .bearer_auth(token)
        .body(message.to_string());
    super::program::Reply::of(request).await.body
}

/// The spans around the lines of a trace.
fn spans(server: &Running, name: &str) -> Vec<Value> {
    let lines = lines(server);
    let all = lines
        .iter()
        .filter_map(|line| line["spans"].as_array())
        .flatten()
        .filter(|span| span["name"] == name && span["trace_id"] == TRACE);
    all.cloned().collect()
}

#[tokio::test]
async fn s3_100_one_trace_goes_through_both_processes() {
    let place = Place::new().env("MCP_LOG__FILTER", "debug");
    let platform = place.start(&["platform", "--listen", "127.0.0.1:0"]).await;
    let place = place
        .env("MCP_BACKEND__MODE", "url")
        .env("MCP_BACKEND__URL", &platform.url);
    let server = place.serve(&[]).await;
    let admin = place.token(&["--as", "admin"]);
    for tool in [FUNNEL, "list_notes"] {
        let body = traced(&server, &admin, tool).await;
        assert_eq!(body["result"]["isError"], false, "{body}");
    }
    let lines = lines(&server);
    let called: Vec<_> = lines
        .iter()
        .filter(|line| line["event"] == "mcp_tool_called" && line["trace_id"] == TRACE)
        .collect();
    assert_eq!(called.len(), 2, "{}", server.log());
    let arrived = spans(&platform, "rest");
    // One for the funnel; for the records a session that is opened, the list, and its end.
    assert!(arrived.len() >= 4, "{}", platform.log());
    let parents: std::collections::BTreeSet<_> = arrived
        .iter()
        .map(|span| span["parent_span_id"].as_str().expect("one").to_owned())
        .collect();
    assert_eq!(
        parents.len(),
        4,
        "each request is a span of its own: {arrived:?}"
    );
    assert!(!parents.contains(SPAN), "and none of them is the client's");
    let all = [server.log(), platform.log()].concat();
    assert!(
        !all.contains("CNRY"),
        "what a client writes into tracestate goes nowhere"
    );
}

#[cfg(feature = "otlp")]
mod collector {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::body::Bytes;
    use axum::routing::post;
    use http::HeaderMap;

    use super::*;

    type Got = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

    /// A collector on loopback that keeps what it is sent.
    async fn collector() -> (String, Got) {
        let got = Got::default();
        let keep = Arc::clone(&got);
        let router = Router::new().route(
            "/v1/traces",
            post(move |headers: HeaderMap, body: Bytes| async move {
                let kind = headers["content-type"].to_str().expect("text").to_owned();
                keep.lock().expect("unpoisoned").push((kind, body.to_vec()));
            }),
        );
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a socket");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (url, got)
    }

    /// The fields of a protobuf message that have a length.
    fn fields(mut bytes: &[u8], wanted: u64) -> Vec<&[u8]> {
        fn number(bytes: &mut &[u8]) -> u64 {
            let mut all = 0;
            for at in 0.. {
                let (byte, rest) = bytes.split_first().expect("not the end");
                *bytes = rest;
                all |= u64::from(byte & 0x7f) << (7 * at);
                if byte & 0x80 == 0 {
                    break;
                }
            }
            all
        }
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let tag = number(&mut bytes);
            let skip = match tag & 7 {
                0 => {
                    number(&mut bytes);
                    continue;
                }
                1 => 8,
                2 => usize::try_from(number(&mut bytes)).expect("short"),
                5 => 4,
                other => panic!("{other} is no type of protobuf"),
            };
            let (field, rest) = bytes.split_at(skip);
            bytes = rest;
            if tag >> 3 == wanted && tag & 7 == 2 {
                found.push(field);
            }
        }
        found
    }

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    #[derive(Clone, Debug)]
    struct Span {
        name: String,
        trace: String,
        id: String,
        parent: String,
    }

    fn spans(got: &Got) -> Vec<Span> {
        let got = got.lock().expect("unpoisoned");
        let mut all = Vec::new();
        for (kind, request) in got.iter() {
            assert_eq!(kind, "application/x-protobuf");
            for of_resource in fields(request, 1) {
                for of_scope in fields(of_resource, 2) {
                    for span in fields(of_scope, 2) {
                        let field = |number| fields(span, number).first().copied().unwrap_or(&[]);
                        all.push(Span {
                            name: String::from_utf8_lossy(field(5)).into_owned(),
                            trace: hex(field(1)),
                            id: hex(field(2)),
                            parent: hex(field(4)),
                        });
                    }
                }
            }
        }
        all
    }

    #[tokio::test]
    async fn the_spans_of_a_call_arrive_as_one_trace() {
        let (url, got) = collector().await;
        let place = Place::new()
            .env("MCP_LOG__FILTER", "info")
            .env("MCP_TRACES__OTLP_ENDPOINT", &url);
        let server = place.serve(&[]).await;
        let admin = place.token(&["--as", "admin"]);
        traced(&server, &admin, FUNNEL).await;
        let arrived = async {
            loop {
                let spans = spans(&got);
                if spans.iter().filter(|span| span.trace == TRACE).count() >= 3 {
                    return spans;
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let spans = tokio::time::timeout(Duration::from_secs(30), arrived).await;
        let spans =
            spans.unwrap_or_else(|_| panic!("no spans: {:?}\n{}", self::spans(&got), server.log()));
        let one = |name: &str| {
            let mut all = spans
                .iter()
                .filter(|span| span.trace == TRACE && span.name == name);
            let span = all
                .next()
                .unwrap_or_else(|| panic!("no {name}: {spans:?}"))
                .clone();
            assert!(all.next().is_none(), "two of {name}: {spans:?}");
            span
        };
        let (call, backend, rest) = (one("call"), one("backend"), one("rest"));
        assert_eq!(call.parent, SPAN);
        assert_eq!(backend.parent, call.id);
        assert_eq!(rest.parent, backend.id);
        let got = got.lock().expect("unpoisoned");
        for (_, body) in got.iter() {
            let text = String::from_utf8_lossy(body);
            assert!(!text.contains(&admin) && !text.contains("CNRY"), "{text}");
        }
    }

    /// AU-09: what a client says of sampling decides nothing.
    #[tokio::test]
    async fn au_09_a_client_does_not_choose_what_is_recorded() {
        let (url, got) = collector().await;
        let place = Place::new()
            .env("MCP_TRACES__OTLP_ENDPOINT", &url)
            .env("MCP_TRACES__SAMPLE_PERCENT", "0");
        let server = place.serve(&[]).await;
        let admin = place.token(&["--as", "admin"]);
        for _ in 0..5 {
            traced(&server, &admin, FUNNEL).await;
        }
        // Longer than a batch waits.
        tokio::time::sleep(Duration::from_millis(2500)).await;
        assert!(got.lock().expect("unpoisoned").is_empty());
    }
}

/// `(filter, what is in the log, what is not)`, by the module that says it. By `mcp::http` a server says
/// where it listens.
const FILTERS: &[(&str, &str, &str)] = &[
    (
        "warn,mcp::http=info,mcp::auth=debug",
        "mcp::auth",
        "mcp::call",
    ),
    (
        "warn,mcp::http=info,mcp::call=info",
        "mcp::call",
        "mcp::auth",
    ),
];

#[tokio::test]
async fn s1_043_each_module_has_a_level_of_its_own() {
    for (filter, said, silent) in FILTERS {
        let place = Place::new().env("MCP_LOG__FILTER", filter);
        let server = place.serve(&[]).await;
        let admin = place.token(&["--as", "admin"]);
        // Refused first, so that it is in the log by the time that the call is.
        assert_eq!(
            server.call("not-a-token", FUNNEL, json!({})).await.status,
            401
        );
        server.call(&admin, FUNNEL, json!({})).await.structured();
        assert_eq!(
            server.call("not-a-token", FUNNEL, json!({})).await.status,
            401
        );
        let targets = async {
            loop {
                let lines = lines(&server);
                let targets = lines.iter().filter_map(|line| line["target"].as_str());
                let targets: Vec<String> = targets.map(str::to_owned).collect();
                if targets.iter().any(|target| target == said) {
                    return targets;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        let targets = tokio::time::timeout(Duration::from_secs(30), targets).await;
        let targets = targets.unwrap_or_else(|_| panic!("{filter}: {}", server.log()));
        assert!(
            !targets.iter().any(|target| target == silent),
            "{filter}: {targets:?}"
        );
    }
}
