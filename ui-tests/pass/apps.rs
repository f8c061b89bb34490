//! Apps and icons: tools with a page, and the page.
#![deny(warnings)]

use mcp_runtime::prelude::*;
use mcp_runtime::{ResourceSet, Ui};

/// The forecast.
#[mcp_tool(public, ui = "ui://weather/chart", icon = "https://example.com/sun.png")]
fn forecast(place: String) -> String {
    place
}

/// Look again.
#[mcp_tool(public, ui = "ui://weather/chart", ui_visibility = "app")]
fn refresh() -> String {
    "rain".into()
}

/// Not for pages.
#[mcp_tool(public, ui_visibility = "model")]
fn think() -> String {
    "hm".into()
}

/// The chart.
#[mcp_resource("ui://weather/chart", public, ui = page(), icon = "data:image/svg+xml,%3Csvg/%3E")]
fn chart() -> &'static str {
    "<!doctype html>"
}

/// A chart for each place, with the media type written out.
#[mcp_resource("ui://weather/{place}/chart", public, mime = "text/html;profile=mcp-app")]
fn chart_of(place: String) -> String {
    place
}

fn page() -> Ui {
    Ui::new().connect("https://api.example.com").load("https://*.example.com").camera()
}

/// Ask for the weather.
#[mcp_prompt(public, icon = "https://example.com/sun.png")]
fn ask() -> &'static str {
    "What is the weather?"
}

fn main() {
    let tools: ToolSet = tools![forecast, refresh, think];
    let resources: ResourceSet = resources![chart, chart_of];
    let server = Server::new(tools).resources(resources).prompts(prompts![ask]);
    assert!(server.build().is_ok());
}
