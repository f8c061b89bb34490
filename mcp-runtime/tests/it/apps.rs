//! Apps and icons, as clients meet them.

use std::fmt::Write as _;

use mcp_runtime::prelude::*;
use mcp_runtime::testing::TestServer;
use mcp_runtime::{Policy, ResourceSet, Tool, Ui, Visibility};
use serde_json::{Value, json};

use crate::ask::{LEGACY, MODERN};

const UI: &str = "io.modelcontextprotocol/ui";
const PAGE: &str = "<!doctype html><title>Forecast</title>";
const ICON: &str = "https://example.com/sun.png";

/// The forecast.
#[mcp_tool(
    public,
    read_only,
    ui = "ui://weather/chart",
    icon = "https://example.com/sun.png"
)]
fn forecast(place: String) -> String {
    format!("Sunny in {place}.")
}

/// Look again.
#[mcp_tool(public, ui = "ui://weather/chart", ui_visibility = "app")]
fn refresh() -> String {
    "Rain.".into()
}

/// Without an app.
#[mcp_tool(public)]
fn plain() -> String {
    "plain".into()
}

/// The chart.
#[mcp_resource(
    "ui://weather/chart",
    public,
    icon = "https://example.com/sun.png",
    ui = Ui::new()
        .connect("https://api.example.com")
        .load("https://*.example.com")
        .frame("https://video.example.com")
        .base_uri("https://cdn.example.com")
        .camera().microphone().geolocation().clipboard_write()
        .domain("weather.example.com")
        .border(true)
)]
fn chart() -> &'static str {
    PAGE
}

/// A page that needs nothing, as bytes.
#[mcp_resource("ui://weather/map", public)]
fn map() -> Blob {
    Blob(PAGE.into())
}

/// Not a page.
#[mcp_resource("ui://weather/numbers", public)]
fn numbers() -> Vec<u8> {
    vec![1]
}

/// No app.
#[mcp_resource("notes://today", public)]
fn today() -> &'static str {
    "milk"
}

/// Ask for the weather.
#[mcp_prompt(public, icon = "https://example.com/sun.png")]
fn ask() -> &'static str {
    "What is the weather?"
}

fn server() -> TestServer {
    let server = Server::new(tools![forecast, refresh, plain])
        .resources(resources![chart, map])
        .prompts(prompts![ask])
        .identity("weather", "1.0.0")
        .description("Weather for everybody")
        .website("https://example.com/weather")
        .icon(ICON);
    TestServer::new(server).unwrap()
}

fn revisions() -> impl Iterator<Item = &'static str> {
    LEGACY.into_iter().chain([MODERN])
}

async fn hello(server: &TestServer, revision: &'static str) -> Value {
    let method = if revision == MODERN {
        "server/discover"
    } else {
        "initialize"
    };
    let client = server.anonymous().revision(revision);
    let reply = client.request(method, json!({ "protocolVersion": revision }));
    reply.await.result().clone()
}

#[tokio::test]
async fn the_extension_is_there_when_there_is_an_app() {
    let app_alone = TestServer::new(Server::new(tools![]).resources(resources![map])).unwrap();
    let nothing = Server::new(tools![plain]).resources(resources![today]);
    let nothing = TestServer::new(nothing).unwrap();
    for revision in revisions() {
        for server in [&server(), &app_alone] {
            let said = hello(server, revision).await;
            assert_eq!(
                said["capabilities"]["extensions"],
                json!({ UI: {} }),
                "{revision}"
            );
        }
        let said = hello(&nothing, revision).await;
        assert_eq!(said["capabilities"].get("extensions"), None, "{revision}");
    }
}

#[tokio::test]
async fn messages_of_apps_as_they_are_on_the_wire() {
    let server = server();
    for revision in ["2025-11-25", MODERN] {
        let client = server.anonymous().revision(revision);
        let mut text = format!("== hello\n{:#}\n", hello(&server, revision).await);
        for (method, params) in [
            ("tools/list", json!({})),
            ("resources/list", json!({})),
            ("prompts/list", json!({})),
            ("resources/read", json!({ "uri": "ui://weather/chart" })),
            ("resources/read", json!({ "uri": "ui://weather/map" })),
            (
                "tools/call",
                json!({ "name": "forecast", "arguments": { "place": "Ulm" } }),
            ),
        ] {
            let reply = client.request(method, params).await;
            let _ = writeln!(text, "== {method}\n{:#}", reply.result());
        }
        insta::assert_snapshot!(format!("apps_{revision}"), text);
    }
}

#[tokio::test]
async fn a_tool_says_who_calls_it() {
    let think = Tool::dynamic("think", "Not for pages.", Policy::public())
        .map(|tool| tool.ui_visibility(Visibility::Model))
        .handler(|_, _| async { Ok(1) });
    let show = Tool::dynamic("show", "With a page.", Policy::public())
        .map(|tool| tool.ui("ui://weather/map"))
        .handler(|_, _| async { Ok(1) });
    let tools = tools![refresh, plain].with(think).with(show);
    let server = Server::new(tools).resources(resources![chart, map]);
    let server = TestServer::new(server).unwrap();
    let listed = server.anonymous().request("tools/list", json!({})).await;
    let metas = [
        json!({ "ui": { "resourceUri": "ui://weather/chart", "visibility": ["app"] } }),
        Value::Null,
        json!({ "ui": { "visibility": ["model"] } }),
        json!({ "ui": { "resourceUri": "ui://weather/map" } }),
    ];
    for (at, meta) in metas.into_iter().enumerate() {
        let tool = &listed.result()["tools"][at];
        assert_eq!(tool["_meta"], meta, "{}", tool["name"]);
    }
}

/// What is wrong with a server, one problem each.
#[test]
fn apps_are_checked_when_the_server_is_built() {
    let tool = |uri: &'static str| {
        Tool::dynamic("show", "Shows.", Policy::public())
            .map(|tool| tool.ui(uri))
            .handler(|_, _| async { Ok(1) })
    };
    let with_icon = |src: &'static str| {
        Tool::dynamic("show", "Shows.", Policy::public())
            .map(|tool| tool.icon(src))
            .handler(|_, _| async { Ok(1) })
    };
    /// A page that asks for too much.
    #[mcp_resource("ui://weather/greedy", public, ui = Ui::new().connect("https://a.example.com; script-src *"))]
    fn greedy() -> &'static str {
        PAGE
    }
    /// A page with a strange domain.
    #[mcp_resource("ui://weather/strange", public, ui = Ui::new().domain("a b"))]
    fn strange() -> &'static str {
        PAGE
    }
    let set = |tools: ToolSet, resources: ResourceSet| Server::new(tools).resources(resources);
    let maps = || resources![map];
    for (server, words) in [
        (
            set(tools![forecast], maps()),
            &["`ui://weather/chart`", "not among", "apps.rs:"][..],
        ),
        (
            set(tools![].with(tool("ui://weather/maps")), maps()),
            &["`ui://weather/maps`", "not among"],
        ),
        (
            set(tools![].with(tool("notes://today")), resources![today]),
            &["begins with `ui://`"],
        ),
        (set(tools![].with(tool("ui://")), maps()), &["begins with"]),
        (set(tools![], resources![numbers]), &["HTML"]),
        (set(tools![], resources![greedy]), &["script-src", "origin"]),
        (set(tools![], resources![strange]), &["a b", "host name"]),
        (
            set(tools![].with(with_icon("http://example.com/x.png")), maps()),
            &["`http://example.com/x.png`", "https://"],
        ),
        (Server::new(tools![plain]).icon("x.png"), &["x.png"]),
        (
            Server::new(tools![plain]).website("http://example.com"),
            &["website"],
        ),
    ] {
        let error = server.build().map(|_| ()).expect_err("must not be built");
        assert_eq!(error.problems().len(), 1, "one mistake: {error}");
        for word in words {
            assert!(error.problems()[0].contains(word), "`{word}` in {error}");
        }
    }
}
