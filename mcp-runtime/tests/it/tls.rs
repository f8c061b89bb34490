//! TLS on real sockets, with a client that somebody else wrote.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use mcp_runtime::prelude::*;
use mcp_runtime::{Service, Tls};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::{Certificate, Client, ClientBuilder, Identity, StatusCode, tls::Version};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use crate::live::{Live, rest, within};

/// Say it again.
#[mcp_tool(public)]
fn echo(message: String) -> String {
    message
}

/// A call that waits.
#[derive(Default)]
struct Gate {
    entered: AtomicU32,
}

static OPEN: Semaphore = Semaphore::const_new(0);
static ENTERED: Semaphore = Semaphore::const_new(0);

/// Waits until it may go on.
#[mcp_tool(public)]
async fn wait(gate: &Gate) -> String {
    gate.entered.fetch_add(1, Ordering::Relaxed);
    ENTERED.add_permits(1);
    let _ = OPEN.acquire().await;
    "through".into()
}

#[derive(Lend)]
struct State {
    gate: Gate,
}

/// A folder with a certificate of localhost.
struct Files {
    folder: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Files {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("mcp-tls-{}-{test}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let files = Self {
            folder,
            authority: authority("example authority"),
        };
        files.renew();
        files
    }

    /// Writes another certificate.
    fn renew(&self) {
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let params = CertificateParams::new(names).unwrap();
        let cert = params.signed_by(&key, &self.authority).unwrap();
        self.write("tls.crt", &cert.pem());
        self.write("tls.key", &key.serialize_pem());
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn tls(&self) -> Tls {
        Tls::files(self.path("tls.crt"), self.path("tls.key"))
            .check_every(Duration::from_millis(20))
    }

    fn client(&self) -> ClientBuilder {
        knowing(&self.authority.pem())
    }
}

/// A client that trusts this authority, and no other.
fn knowing(authority: &str) -> ClientBuilder {
    let root = Certificate::from_pem(authority.as_bytes()).unwrap();
    Client::builder()
        .no_proxy()
        .timeout(Duration::from_secs(10))
        .tls_certs_only([root])
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn authority(name: &str) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A certificate of a client, with its key.
fn identity(authority: &CertifiedIssuer<'static, KeyPair>) -> Identity {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["client.example.com".to_owned()]).unwrap();
    params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let cert = params.signed_by(&key, authority).unwrap();
    let pem = format!("{}{}", cert.pem(), key.serialize_pem());
    Identity::from_pem(pem.as_bytes()).unwrap()
}

fn server(tls: Tls) -> Service {
    server_of(tls).build().unwrap()
}

fn server_of(tls: Tls) -> Server<State> {
    let state = State {
        gate: Gate::default(),
    };
    Server::with_state(state, tools![echo, wait])
        .request_deadlines(Duration::from_millis(500), Duration::from_secs(5))
        .tls(tls)
}

async fn call(
    client: &Client,
    live: &Live,
    tool: &str,
) -> Result<(StatusCode, Value), reqwest::Error> {
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": tool, "arguments": { "message": "hi" } } });
    let message = if tool == "wait" {
        json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool } })
    } else {
        message
    };
    let url = format!("https://localhost:{}/mcp", live.address.port());
    let answer = client
        .post(url)
        .header("content-type", "application/json")
        .header("accept", "application/json")
        .header("mcp-protocol-version", "2025-06-18")
        .body(message.to_string())
        .send()
        .await?;
    let status = answer.status();
    let text = answer.text().await?;
    Ok((status, serde_json::from_str(&text).unwrap_or_default()))
}

async fn served(client: &Client, live: &Live) -> bool {
    match call(client, live, "echo").await {
        Ok((status, body)) => status == 200 && body["result"]["content"][0]["text"] == "hi",
        Err(_) => false,
    }
}

/// Resolves `localhost` without a resolver: the certificate is for the name.
fn to(live: &Live, client: ClientBuilder) -> Client {
    client.resolve("localhost", live.address).build().unwrap()
}

#[tokio::test]
async fn both_versions_of_tls_are_spoken_and_nothing_else() {
    let files = Files::new("versions");
    let service = server(files.tls());
    assert!(
        service
            .url("127.0.0.1:1".parse().unwrap())
            .starts_with("https://")
    );
    let live = Live::start(service).await;
    for version in [Version::TLS_1_2, Version::TLS_1_3] {
        let client = files
            .client()
            .tls_version_min(version)
            .tls_version_max(version);
        assert!(served(&to(&live, client), &live).await, "{version:?}");
    }
    // A client that does not know the authority, and ones that speak no TLS.
    let stranger = to(&live, Client::builder().no_proxy().tls_certs_only([]));
    assert!(call(&stranger, &live, "echo").await.is_err());
    let plain = live
        .exchange(b"GET /api/v1/health HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .await;
    assert!(!plain.contains("HTTP/1.1"), "{plain}");
    assert!(served(&to(&live, files.client()), &live).await);
    live.stop().await;
}

#[tokio::test]
async fn re_35_half_a_handshake_has_a_deadline_and_does_not_hold_up_the_end() {
    let files = Files::new("half");
    let live = Live::start(server(files.tls())).await;
    let since = Instant::now();
    let mut half: Vec<TcpStream> = Vec::new();
    for _ in 0..100 {
        let mut stream = live.connect().await;
        // The head of a record that never comes.
        stream
            .write_all(&[0x16, 0x03, 0x01, 0x02, 0x00])
            .await
            .unwrap();
        half.push(stream);
    }
    assert!(
        served(&to(&live, files.client()), &live).await,
        "others are served meanwhile"
    );
    for stream in &mut half {
        rest(stream).await;
    }
    assert!(
        since.elapsed() >= Duration::from_millis(450),
        "the deadline is half a second"
    );
    let mut open = live.connect().await;
    open.write_all(&[0x16]).await.unwrap();
    assert!(live.stop().await < Duration::from_secs(5));
}

#[tokio::test]
async fn re_35_new_certificates_are_taken_up_and_bad_ones_are_not() {
    let mut files = Files::new("reload");
    let live = Live::start(server(files.tls())).await;
    let old = files.authority.pem();
    let client = to(&live, files.client());
    assert!(served(&client, &live).await);
    // A call that begins before and ends after.
    let waiting = {
        let (client, address) = (client.clone(), live.address);
        tokio::spawn(async move {
            let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "wait" } });
            let request = client
                .post(format!("https://localhost:{}/mcp", address.port()))
                .header("content-type", "application/json")
                .header("mcp-protocol-version", "2025-06-18")
                .body(message.to_string());
            request.send().await.unwrap().text().await.unwrap()
        })
    };
    within(ENTERED.acquire()).await.unwrap().forget();
    // Not a certificate, a key of another one, nothing: each leaves the one before in use.
    let fresh = || to(&live, knowing(&old));
    let (cert, key) = (
        std::fs::read_to_string(files.path("tls.crt")).unwrap(),
        std::fs::read_to_string(files.path("tls.key")).unwrap(),
    );
    let other = KeyPair::generate().unwrap().serialize_pem();
    for (name, text) in [
        ("tls.crt", "no certificate"),
        ("tls.key", other.as_str()),
        ("tls.crt", ""),
    ] {
        files.write("tls.crt", &cert);
        files.write("tls.key", &key);
        files.write(name, text);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert!(
            served(&fresh(), &live).await,
            "a bad {name} takes the server down"
        );
    }
    std::fs::remove_file(files.path("tls.key")).unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(
        served(&fresh(), &live).await,
        "a missing key takes the server down"
    );
    // Another authority, and only who knows it gets in.
    files.authority = authority("another authority");
    files.renew();
    let since = Instant::now();
    while !served(&to(&live, files.client()), &live).await {
        assert!(
            since.elapsed() < Duration::from_secs(10),
            "the new certificate is never taken up"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(
        call(&fresh(), &live, "echo").await.is_err(),
        "the old one is still shown"
    );
    // What was open goes on.
    OPEN.add_permits(1);
    assert!(within(waiting).await.unwrap().contains("through"));
    live.stop().await;
}

#[tokio::test]
async fn with_an_authority_of_clients_nobody_else_connects() {
    let files = Files::new("mutual");
    let clients = authority("clients");
    files.write("clients.crt", &clients.pem());
    let live = Live::start(server(files.tls().client_ca(files.path("clients.crt")))).await;
    for version in [Version::TLS_1_2, Version::TLS_1_3] {
        let base = || {
            files
                .client()
                .tls_version_min(version)
                .tls_version_max(version)
        };
        let known = to(&live, base().identity(identity(&clients)));
        assert!(served(&known, &live).await, "{version:?}");
        let nobody = to(&live, base());
        assert!(
            call(&nobody, &live, "echo").await.is_err(),
            "{version:?}: without one"
        );
        let other = to(&live, base().identity(identity(&authority("clients"))));
        assert!(
            call(&other, &live, "echo").await.is_err(),
            "{version:?}: of another of that name"
        );
        let of_server = to(&live, base().identity(identity(&files.authority)));
        assert!(
            call(&of_server, &live, "echo").await.is_err(),
            "{version:?}: of the server's own"
        );
    }
    live.stop().await;
}

#[test]
fn hi_04_files_that_do_not_work_stop_the_start_without_showing_what_is_in_them() {
    let files = Files::new("start");
    let key = std::fs::read_to_string(files.path("tls.key")).unwrap();
    files.write("empty.pem", "");
    files.write("other.key", &KeyPair::generate().unwrap().serialize_pem());
    let (crt, tls_key) = (files.path("tls.crt"), files.path("tls.key"));
    let good = || Tls::files(&crt, &tls_key);
    let rows = [
        (Tls::files("nowhere.crt", &tls_key), "nowhere.crt"),
        (Tls::files(&crt, "nowhere.key"), "nowhere.key"),
        (Tls::files(files.path("empty.pem"), &tls_key), "empty.pem"),
        (Tls::files(&tls_key, &tls_key), "no certificate in it"),
        (Tls::files(&crt, &crt), "tls.crt"),
        (Tls::files(&crt, files.path("other.key")), "tls.crt"),
        (good().client_ca("nowhere.ca"), "nowhere.ca"),
        (good().client_ca(files.path("empty.pem")), "empty.pem"),
    ];
    for (tls, expected) in rows {
        let shown = format!("{tls:?}");
        let error = server_of(tls).build().err().expect(&shown).to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
        assert!(!error.contains(&key[40..60]), "{error}");
    }
    server_of(good()).build().expect("the good ones work");
    assert!(Path::new(&crt).exists());
}
