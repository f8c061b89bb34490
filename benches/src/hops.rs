//! `hops REFERENCE_SERVER`: what lies between a tool of the records and the API behind it, for one
//! user alone. Every figure is checked against its aim; the program fails when one is missed.
#![expect(clippy::print_stdout, reason = "it prints a table")]

#[expect(dead_code, reason = "memory and CPU are for `load`")]
mod reference;
#[expect(dead_code, reason = "streams are for `held`")]
mod wire;

use std::convert::Infallible;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request as HttpRequest, Response};
use mcp_runtime::tenant_signature::{Signer, SigningKey, VerifyTenant};
use mcp_runtime::{Clock, Tenant};
use serde_json::{Value, json};
use tower::{Layer, ServiceExt, service_fn};

use crate::reference::{Folder, Server, UNLIMITED};
use crate::wire::{Connection, Request};

type Result<T = (), E = Box<dyn std::error::Error + Send + Sync>> = std::result::Result<T, E>;

const CALLS: usize = 1_000;
const CHECKS: usize = 20_000;
const TOKEN: &str = "hops-user-with-a-token-of-its-own";
const SERVICE_TOKEN: &str = "hops-service-token-of-its-own";
/// A call of a tool opens a sync session, asks, and closes it.
const REQUESTS: f64 = 3.0;

#[tokio::main]
async fn main() -> Result {
    let program = std::env::args().nth(1).ok_or("which reference-server?")?;
    let aims = [
        (
            "MCP to API in one process, at most",
            here(&program).await?,
            1.0,
        ),
        ("MCP to API over HTTP, at most", there(&program).await?, 5.0),
        (
            "a sync session opened over HTTP",
            session(&program).await?,
            5.0,
        ),
        ("a tenant signature checked", signature().await?, 0.05),
    ];
    println!("| medians of one user alone, ms | measured | aim |\n|---|---:|---:|");
    for (what, measured, aim) in aims {
        println!("| {what} | {measured:.3} | {aim} |");
    }
    match aims
        .iter()
        .filter(|(_, measured, aim)| measured > aim)
        .count()
    {
        0 => Ok(()),
        missed => Err(format!("{missed} aims missed").into()),
    }
}

/// A third of a whole call of `get_note`, with the API in the process of the tool.
async fn here(program: &str) -> Result<f64> {
    let folder = Folder::new(&settings())?;
    let server = Server::start(program, "serve", &folder, &variables()).await?;
    Ok(get_note(&server).await? / REQUESTS)
}

/// The same, with the API in a process of its own.
async fn there(program: &str) -> Result<f64> {
    let folder = Folder::new(&settings())?;
    let platform = Server::start(program, "platform", &folder, &variables()).await?;
    let mut variables = variables().to_vec();
    let url = format!("http://{}", platform.address);
    variables.push(("MCP_BACKEND__MODE".to_owned(), "url".to_owned()));
    variables.push(("MCP_BACKEND__URL".to_owned(), url));
    let server = Server::start(program, "serve", &folder, &variables).await?;
    Ok(get_note(&server).await? / REQUESTS)
}

async fn get_note(server: &Server) -> Result<f64> {
    let mut connection = Connection::open(&server.address).await?;
    let note = json!({ "title": "One", "content": "Two." });
    let created = connection.post(&call("create_note", &note)).await?;
    let created: Value = serde_json::from_str(&created.text)?;
    let uid = &created["result"]["structuredContent"]["uid"];
    let request = call("get_note", &json!({ "uid": uid }));
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let begin = Instant::now();
        let answer = connection.post(&request).await?;
        times.push(begin.elapsed());
        if !answer.text.contains("\"isError\":false") {
            return Err(answer.text.into());
        }
    }
    Ok(median(times))
}

fn call(tool: &str, arguments: &Value) -> Request {
    let params = json!({ "name": tool, "arguments": arguments });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
    Request {
        headers: format!("Authorization: Bearer {TOKEN}\r\nMCP-Protocol-Version: 2025-11-25\r\n"),
        body: body.to_string(),
    }
}

async fn session(program: &str) -> Result<f64> {
    let folder = Folder::new(&settings())?;
    let platform = Server::start(program, "platform", &folder, &variables()).await?;
    let key = std::fs::read_to_string(folder.data().join("tenant.key"))?;
    let signer = Signer::new(SigningKey::new(key.trim())?, Clock::system());
    let tenant = Tenant::new("org_a")?;
    let client = reqwest::Client::builder().no_proxy().build()?;
    let url = format!("http://{}/v1/sync/sessions", platform.address);
    let mut times = Vec::with_capacity(CALLS);
    for _ in 0..CALLS {
        let mut signed = HttpRequest::post(&url).body(())?;
        signer.sign(&tenant, &mut signed, b"");
        let request = client
            .post(&url)
            .bearer_auth(SERVICE_TOKEN)
            .header("x-acting-user", "ada@example.com")
            .headers(std::mem::take(signed.headers_mut()));
        let begin = Instant::now();
        let answer = request.send().await?.error_for_status()?;
        let opened: Value = serde_json::from_slice(&answer.bytes().await?)?;
        times.push(begin.elapsed());
        let mut signed = HttpRequest::delete(&url).body(())?;
        signer.sign(&tenant, &mut signed, b"");
        let id = opened["id"].as_str().ok_or("a session without an id")?;
        client
            .delete(format!("{url}/{id}"))
            .bearer_auth(SERVICE_TOKEN)
            .header("x-acting-user", "ada@example.com")
            .headers(std::mem::take(signed.headers_mut()))
            .send()
            .await?
            .error_for_status()?;
    }
    Ok(median(times))
}

/// What the layer costs that checks them, in front of something that answers at once.
async fn signature() -> Result<f64> {
    let key = SigningKey::new([7; 32])?;
    let signer = Signer::new(key.clone(), Clock::system());
    let tenant = Tenant::new("org_a")?;
    let at_once = service_fn(|_: HttpRequest<Body>| async {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    });
    let checked = VerifyTenant::new(key, Clock::system()).layer(at_once);
    let mut times = Vec::with_capacity(CHECKS);
    for _ in 0..CHECKS {
        let mut request = HttpRequest::get("/v1/notes").body(Body::empty())?;
        signer.sign(&tenant, &mut request, b"");
        let begin = Instant::now();
        let answer = checked.clone().oneshot(request).await?;
        times.push(begin.elapsed());
        if !answer.status().is_success() {
            return Err(format!("a good signature is answered {}", answer.status()).into());
        }
    }
    Ok(median(times))
}

fn settings() -> String {
    format!(
        "{UNLIMITED}[backend]\nservice_token = {SERVICE_TOKEN:?}\n[identity]\ndemo = false\n\
         [[auth.static_token]]\nname = \"user\"\ntoken_env = \"HOPS_TOKEN\"\n\
         scopes = [\"records:read\", \"records:write\"]\ntenant = \"org_a\"\n"
    )
}

fn variables() -> [(String, String); 1] {
    [("HOPS_TOKEN".to_owned(), TOKEN.to_owned())]
}

/// In milliseconds.
fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times
        .get(times.len() / 2)
        .map_or(0.0, |time| time.as_secs_f64() * 1e3)
}
