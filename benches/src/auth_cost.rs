//! What it costs to know who calls.
//!
//! `auth-cost SERVER` starts that bench-server twice, once without authentication and once with a
//! `Jwt` of an identity provider in this process, and asks both in turns; then it hands tokens to a
//! `Jwt` of its own. Every figure is checked against its aim; the program fails when one is missed.
//! Meant to be run alone on its machine, on one core, with the servers on another (`taskset`).
#![expect(clippy::print_stdout, reason = "it prints a table")]

#[expect(dead_code, reason = "streams are for the other measurement")]
mod wire;

use std::process::Stdio;
use std::time::{Duration, Instant};

use mcp_runtime::Clock;
use mcp_runtime::auth::{Authenticate, Egress, Jwt, Setup};
use mcp_runtime::testing::{IdentityProvider, Signer};
use serde_json::{Value, json};
use tokio::process::{Child, Command};
use tokio::task::JoinSet;

use crate::wire::{Connection, Request};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// What tokens are for, here and in the bench-server.
const AUDIENCE: &str = "bench";
const CONNECTIONS: usize = 32;
const ROUNDS: usize = 25;
const ROUND: Duration = Duration::from_secs(1);
/// Before a round counts.
const WARM_UP: Duration = Duration::from_millis(300);
/// Tokens that a `Jwt` has never seen, in each pass; each pass has a new one.
const TOKENS: usize = 4_000;
const PASSES: usize = 5;
const HITS: u32 = 200_000;

const MOST_LOST: f64 = 0.08;
const LEAST_RATE: f64 = 15_000.0;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result {
    let program = std::env::args().nth(1).ok_or("auth-cost SERVER")?;
    let provider = IdentityProvider::start(Clock::system(), AUDIENCE).await?;
    println!("| what | measured | aim |\n|---|---:|---:|");
    let mut missed = 0;
    let mut say = |what: &str, measured: String, aim: &str, reached: bool| {
        println!("| {what} | {measured} | {aim} |");
        missed += u32::from(!reached);
    };
    let (plain, guarded) = throughput(&program, &provider).await?;
    let lost = 1.0 - guarded / plain;
    say(
        "calls a second without authentication",
        format!("{plain:.0}"),
        "-",
        true,
    );
    say(
        "calls a second with a token that is known",
        format!("{guarded:.0}"),
        "-",
        true,
    );
    say(
        "throughput that a known token costs",
        format!("{:.1} %", lost * 100.0),
        "at most 8 %",
        lost <= MOST_LOST,
    );
    let unseen = unseen(&provider).await?;
    let rate = 1e6 / unseen.whole;
    say(
        "tokens never seen before, a second on one core",
        format!("{rate:.0}"),
        "at least 15,000",
        rate >= LEAST_RATE,
    );
    say(
        "CPU time of one",
        format!("{:.1} µs", unseen.whole),
        "-",
        true,
    );
    say(
        "of which its signature",
        format!("{:.1} µs", unseen.signature),
        "-",
        true,
    );
    say(
        "CPU time of a token that is known",
        format!("{:.2} µs", known(&provider).await?),
        "-",
        true,
    );
    match missed {
        0 => Ok(()),
        missed => Err(format!("{missed} aims missed").into()),
    }
}

/// Calls a second, without authentication and with: medians of rounds that take turns.
async fn throughput(program: &str, provider: &IdentityProvider) -> Result<(f64, f64)> {
    let token = provider.token(json!({ "sub": "bench" }));
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let contenders = [
        (Server::start(program, None).await?, String::new()),
        (
            Server::start(program, Some(provider.issuer())).await?,
            bearer,
        ),
    ];
    let mut rounds = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for ((server, bearer), rounds) in contenders.iter().zip(&mut rounds) {
            load(&server.address, bearer, WARM_UP).await?;
            rounds.push(load(&server.address, bearer, ROUND).await?);
        }
    }
    let [plain, guarded] = rounds.map(median);
    Ok((plain, guarded))
}

/// Calls a second of `add` over all connections, each with one call at a time.
async fn load(address: &str, bearer: &str, time: Duration) -> Result<f64> {
    let until = Instant::now() + time;
    let mut clients = JoinSet::new();
    for client in 0..CONNECTIONS {
        let (address, request) = (address.to_owned(), request(bearer, client));
        clients.spawn(async move {
            let mut connection = Connection::open(&address).await?;
            let mut calls = 0_u32;
            while Instant::now() < until {
                let answer = connection.post(&request).await?;
                if calls == 0 && !answer.text.contains("\"result\":42") {
                    return Err(format!("not the sum: {}", answer.text).into());
                }
                calls += 1;
            }
            Ok::<u32, Box<dyn std::error::Error + Send + Sync>>(calls)
        });
    }
    let mut calls = 0;
    while let Some(client) = clients.join_next().await {
        calls += client??;
    }
    Ok(f64::from(calls) / time.as_secs_f64())
}

fn request(bearer: &str, client: usize) -> Request {
    let params = json!({ "name": "add", "arguments": { "a": 40, "b": 2 } });
    let body = json!({ "jsonrpc": "2.0", "id": client, "method": "tools/call", "params": params });
    Request {
        headers: format!("MCP-Protocol-Version: 2025-06-18\r\n{bearer}"),
        body: body.to_string(),
    }
}

/// In microseconds of CPU time for one token.
struct Unseen {
    whole: f64,
    signature: f64,
}

async fn unseen(provider: &IdentityProvider) -> Result<Unseen> {
    let mint = |n: usize| {
        let claims = json!({ "sub": format!("user-{n}"), "scope": "mcp:read mcp:write", "jti": n });
        provider.token(claims)
    };
    let tokens: Vec<String> = (0..TOKENS).map(mint).collect();
    let first = mint(TOKENS);
    let key = PublicKey::of(&provider.jwk(Signer::First))?;
    let (mut whole, mut signature) = (Vec::new(), Vec::new());
    for _ in 0..PASSES {
        let jwt = jwt(provider)?;
        // Fetches the keys.
        jwt.authenticate(&first).await?;
        let before = cpu_time()?;
        for token in &tokens {
            jwt.authenticate(token).await?;
        }
        whole.push(micros(cpu_time()? - before, TOKENS));
        let before = cpu_time()?;
        for token in &tokens {
            key.verify(token)?;
        }
        signature.push(micros(cpu_time()? - before, TOKENS));
    }
    Ok(Unseen {
        whole: median(whole),
        signature: median(signature),
    })
}

async fn known(provider: &IdentityProvider) -> Result<f64> {
    let token = provider.token(json!({ "sub": "bench" }));
    let jwt = jwt(provider)?;
    jwt.authenticate(&token).await?;
    let mut passes = Vec::new();
    for _ in 0..PASSES {
        let before = cpu_time()?;
        for _ in 0..HITS {
            jwt.authenticate(&token).await?;
        }
        passes.push(micros(cpu_time()? - before, HITS as usize));
    }
    Ok(median(passes))
}

fn jwt(provider: &IdentityProvider) -> Result<Jwt> {
    let mut jwt = Jwt::discover(provider.issuer())
        .audience(AUDIENCE)
        .egress(Egress::new().allow_loopback());
    let clock = Clock::system();
    jwt.prepare(&Setup::new(None, &clock))?;
    Ok(jwt)
}

/// The key of the provider, to see what the signature alone costs.
struct PublicKey(aws_lc_rs::signature::RsaPublicKeyComponents<Vec<u8>>);

impl PublicKey {
    fn of(jwk: &Value) -> Result<Self> {
        let part = |name: &str| decoded(jwk[name].as_str().unwrap_or_default());
        Ok(Self(aws_lc_rs::signature::RsaPublicKeyComponents {
            n: part("n")?,
            e: part("e")?,
        }))
    }

    fn verify(&self, token: &str) -> Result {
        let (message, signature) = token.rsplit_once('.').ok_or("no token")?;
        let algorithm = &aws_lc_rs::signature::RSA_PKCS1_2048_8192_SHA256;
        self.0
            .verify(algorithm, message.as_bytes(), &decoded(signature)?)
            .map_err(|_| "the signature is not good".into())
    }
}

fn decoded(text: &str) -> Result<Vec<u8>> {
    use base64::Engine as _;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(text)?)
}

/// Nanoseconds that this thread has run: what others do on the machine does not count.
fn cpu_time() -> Result<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let first = text.split_whitespace().next();
    Ok(first.ok_or("an empty schedstat")?.parse()?)
}

fn micros(nanos: u64, times: usize) -> f64 {
    nanos as f64 / 1e3 / times as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// A bench-server, ended with its value.
struct Server {
    address: String,
    _process: Child,
}

impl Server {
    async fn start(program: &str, issuer: Option<&str>) -> Result<Self> {
        let port = std::net::TcpListener::bind(("127.0.0.1", 0))?
            .local_addr()?
            .port();
        let mut command = match on_core_zero().await {
            true => {
                let mut pinned = Command::new("taskset");
                pinned.args(["-c", "0", program]);
                pinned
            }
            false => Command::new(program),
        };
        let process = command
            .arg(port.to_string())
            .args(issuer)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let server = Self {
            address: format!("127.0.0.1:{port}"),
            _process: process,
        };
        let since = Instant::now();
        while tokio::net::TcpStream::connect(&server.address)
            .await
            .is_err()
        {
            if since.elapsed() > Duration::from_secs(10) {
                return Err(format!("{program} does not serve").into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(server)
    }
}

/// Whether there is something to pin with.
async fn on_core_zero() -> bool {
    let tried = Command::new("taskset").args(["-c", "0", "true"]).status();
    tried.await.is_ok_and(|status| status.success())
}
