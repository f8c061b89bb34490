//! Create, traffic, logs, delete: over real sockets.

use std::time::{Duration, Instant};

use mcp_runtime::Clock;
use reference_server::proxy::{Proxy, Settings};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{PATIENCE, Site, browser, confirmed, said};

const HOST: &str = "app.example.test";

#[tokio::test]
async fn s1_004_005_009_create_traffic_logs_delete() {
    let site = Site::new().await;
    let bob = site.bob();
    assert_eq!(site.get(HOST, "/").await.status(), 404, "nobody has it yet");

    let created = site.create(&bob, "APP.example.test").await;
    assert_eq!(created.structured()["status"], "created");
    assert_eq!(created.structured()["hostname"], HOST);

    let answer = site.get(HOST, "/orders?id=7").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["x-kept"], "1");
    assert!(
        answer.headers().get("x-hop").is_none(),
        "meant for the proxy alone"
    );
    let said: Value = said(answer).await;
    assert_eq!(said["uri"], "/orders?id=7");
    assert_eq!(said["headers"]["host"], HOST);
    assert_eq!(said["headers"]["x-forwarded-for"], "127.0.0.1");
    assert_eq!(said["headers"]["x-forwarded-proto"], "http");
    assert_eq!(site.get(HOST, "/broken").await.status(), 500);

    let logs = site
        .logs(&bob, json!({"level": "INFO", "hostname": HOST}), 2)
        .await;
    let entry = logs["logs"]
        .as_array()
        .expect("logs")
        .iter()
        .find(|one| one["path"] == "/orders");
    let entry = entry.expect("the first request");
    assert_eq!(entry["status_code"], 200);
    assert_eq!(entry["method"], "GET");
    assert_eq!(entry["client_ip"], "127.0.0.1");
    assert!(
        entry["bytes_sent"].as_u64().is_some_and(|bytes| bytes > 20),
        "{entry}"
    );
    assert_eq!(
        site.logs(&bob, json!({}), 1).await["logs"][0]["path"],
        "/broken"
    );
    site.logs(&bob, json!({"status_code": 200, "level": "INFO"}), 1)
        .await;

    let deleted = confirmed(&bob, "delete_proxy", json!({"hostname": HOST})).await;
    assert_eq!(deleted.structured()["status"], "deleted");
    let before = site.target.hits();
    assert_eq!(site.get(HOST, "/").await.status(), 404);
    assert_eq!(
        site.target.hits(),
        before,
        "nothing reaches the target any more"
    );
    let again = bob.call("delete_proxy", json!({"hostname": HOST})).await;
    assert_eq!(again.code(), "not_found");
}

#[tokio::test]
async fn hosts_are_there_after_a_restart() {
    let Site {
        folder,
        database,
        target,
        server,
        ..
    } = {
        let site = Site::new().await;
        site.create(&site.bob(), HOST).await.structured();
        site
    };
    drop(server);
    let site = Site::on((folder, database), target.clone(), |_| {}).await;
    assert_eq!(site.get(HOST, "/").await.status(), 200);
    // Stricter rules hold for what was created before them.
    let Site {
        folder, database, ..
    } = site;
    let site = Site::on((folder, database), target, |settings| {
        settings.private_targets.clear()
    })
    .await;
    assert_eq!(site.get(HOST, "/").await.status(), 502);
    let listed = site.bob().call("list_proxies", json!({})).await;
    assert_eq!(listed.structured()["proxies"][0]["hostname"], HOST);
}

#[tokio::test]
async fn processes_on_one_folder_learn_of_each_others_hosts() {
    let site = Site::new().await;
    let mut settings = Settings::new(site.database.url(), site.folder.path().join("proxy"));
    settings.listen = Some("127.0.0.1:0".to_owned());
    settings.private_targets = vec![site.target.url()];
    let other = Proxy::open(settings, Clock::system())
        .await
        .expect("a second proxy");
    let url = format!("http://{}/", other.addresses().0.expect("it listens"));
    let until = async |status: u16| {
        let since = Instant::now();
        let ask = || browser().get(&url).header("host", HOST).send();
        while ask().await.expect("an answer").status() != status {
            assert!(
                since.elapsed() < PATIENCE,
                "the other process does not learn of it"
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    site.create(&site.bob(), HOST).await.structured();
    until(200).await;
    confirmed(&site.bob(), "delete_proxy", json!({"hostname": HOST}))
        .await
        .structured();
    until(404).await;
}

#[tokio::test]
async fn https_is_served_with_the_certificate_that_the_name_asks_for() {
    let site = Site::new().await;
    for host in [HOST, "b.example.test"] {
        site.create(&site.bob(), host).await.structured();
    }
    let (_, https) = site.proxy.addresses();
    let https = https.expect("it listens");
    for host in [HOST, "b.example.test"] {
        let file = format!("proxy/certificates/{}.crt", host.replace('.', "_"));
        let pem = std::fs::read(site.folder.path().join(file)).expect("issued");
        let root = reqwest::Certificate::from_pem(&pem).expect("PEM");
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_certs_only([root])
            .resolve(host, https)
            .build()
            .expect("a client");
        let url = format!("https://{host}:{}/", https.port());
        let answer = client
            .get(url)
            .send()
            .await
            .expect("trusted for exactly this host");
        let said: Value = said(answer).await;
        assert_eq!(said["headers"]["x-forwarded-proto"], "https");
        let stranger = format!("https://{}:{}/", "c.example.test", https.port());
        let client = reqwest::Client::builder()
            .no_proxy()
            .resolve("c.example.test", https);
        let client = client.build().expect("a client");
        assert!(
            client.get(stranger).send().await.is_err(),
            "no certificate for it"
        );
    }
}

#[tokio::test]
async fn an_issued_certificate_goes_with_its_host_and_an_operators_stays() {
    let site = Site::new().await;
    let bob = site.bob();
    let folder = site.folder.path().join("proxy/certificates");
    let hosts = [HOST, "operators.example.test"];
    for host in hosts {
        site.create(&bob, host).await.structured();
        let file = folder.join(format!("{}.key", host.replace('.', "_")));
        assert!(file.exists(), "nothing was issued for {host}");
    }
    let theirs = rcgen::generate_simple_self_signed(vec![hosts[1].to_owned()]);
    let theirs = theirs.expect("a certificate");
    let place = folder.join("operators_example_test.crt");
    std::fs::write(&place, theirs.cert.pem()).expect("written");
    let key = theirs.signing_key.serialize_pem();
    std::fs::write(place.with_extension("key"), key).expect("written");

    for host in hosts {
        confirmed(&bob, "delete_proxy", json!({"hostname": host}))
            .await
            .structured();
    }
    let files = std::fs::read_dir(&folder).expect("a folder");
    let names = files.map(|file| file.expect("a file").file_name());
    let mut names: Vec<_> = names.collect();
    names.sort();
    assert_eq!(
        names,
        ["operators_example_test.crt", "operators_example_test.key"]
    );
    let listed = site.admin().call("list_certificates", json!({})).await;
    assert_eq!(listed.structured()["count"], 1, "{}", listed.body);
    // Whoever gets the name next gets a new one.
    site.create(&bob, HOST).await.structured();
    assert!(folder.join("app_example_test.crt").exists());
}

#[tokio::test]
async fn http_and_https_are_enabled_one_by_one() {
    let site = Site::new().await;
    let arguments =
        json!({"hostname": HOST, "target_url": site.target.url(), "enable_http": false});
    site.bob()
        .call("create_proxy", arguments)
        .await
        .structured();
    assert_eq!(site.get(HOST, "/").await.status(), 404);
    // Its owner sees why nobody gets there.
    let logs = site.logs(&site.bob(), json!({"level": "WARNING"}), 1).await;
    assert_eq!(logs["logs"][0]["status_code"], 404);
}

#[tokio::test]
async fn places_that_are_not_enabled_are_not_named() {
    let site = Site::new().await;
    let (http, https) = site.proxy.addresses();
    let places = [http, https].map(|one| one.expect("it listens").to_string());
    for (number, (enable_http, enable_https)) in [(true, true), (true, false), (false, true)]
        .into_iter()
        .enumerate()
    {
        let arguments = json!({
            "hostname": format!("h{number}.example.test"), "target_url": site.target.url(),
            "enable_http": enable_http, "enable_https": enable_https,
        });
        let reply = site.bob().call("create_proxy", arguments).await;
        let message = reply.structured()["message"].as_str().expect("text");
        for (place, enabled) in places.iter().zip([enable_http, enable_https]) {
            assert_eq!(message.contains(place), enabled, "{message}");
        }
    }
    let neither = json!({
        "hostname": HOST, "target_url": site.target.url(),
        "enable_http": false, "enable_https": false,
    });
    let refused = site.bob().call("create_proxy", neither).await;
    assert_eq!(refused.code(), "nothing_enabled", "{}", refused.body);
}

#[tokio::test]
async fn tunnels_and_upgrades_are_refused_and_http_1_0_stays_behind_the_proxy() {
    let switching = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
    let rows = [
        (switching, "GET / HTTP/1.1", "HTTP/1.1 502"),
        (
            "HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n",
            "GET / HTTP/1.1",
            "HTTP/1.1 200",
        ),
        ("", "CONNECT app.example.test:443 HTTP/1.1", "HTTP/1.1 405"),
    ];
    for (said, line, expected) in rows {
        let target = stalling(said).await;
        let site = Site::with(|settings| settings.private_targets.push(target.clone())).await;
        let arguments = json!({"hostname": HOST, "target_url": target});
        site.bob()
            .call("create_proxy", arguments)
            .await
            .structured();
        let (http, _) = site.proxy.addresses();
        let stream = TcpStream::connect(http.expect("it listens")).await;
        let mut stream = stream.expect("open");
        let request = format!("{line}\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
        let written = stream.write_all(request.as_bytes()).await;
        written.expect("written");
        let mut answer = String::new();
        let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
        read.expect("it ends").expect("read");
        assert!(answer.starts_with(expected), "{line}: {answer}");
    }
}

#[tokio::test]
async fn bodies_stream_and_what_belongs_to_a_hop_stays_there() {
    let site = Site::new().await;
    site.create(&site.bob(), HOST).await.structured();
    let (http, _) = site.proxy.addresses();
    let url = format!("http://{}/upload", http.expect("it listens"));
    let request = browser()
        .post(&url)
        .header("host", HOST)
        .header("connection", "x-secret-hop")
        .header("x-secret-hop", "1")
        .header("te", "trailers")
        .header("proxy-authorization", "Basic eDp5")
        .header("x-forwarded-for", "6.6.6.6")
        .header("x-auth-user", "root")
        .header("X_Auth_User", "root")
        .header("X-Auth-Groups", "root")
        .header("X_Forwarded-Host", "evil.example.test")
        .header("x-forwarded-prefix", "/admin")
        .header("X_Real_IP", "6.6.6.6")
        .header("x-mine", "1")
        .body(vec![7; 5 << 20]);
    let said: Value = said(request.send().await.expect("an answer")).await;
    assert_eq!(said["length"], 5 << 20);
    assert_eq!(said["headers"]["x-mine"], "1");
    assert_eq!(said["headers"]["x-forwarded-for"], "127.0.0.1");
    for gone in [
        "x-secret-hop",
        "te",
        "proxy-authorization",
        "x-auth-user",
        "x_auth_user",
        "x-auth-groups",
        "x_forwarded-host",
        "x-forwarded-prefix",
        "x_real_ip",
    ] {
        assert!(said["headers"].get(gone).is_none(), "{gone}: {said}");
    }
}

#[tokio::test]
async fn a_target_that_is_silent_or_gone_is_an_error_of_the_host() {
    let site = Site::with(|settings| {
        settings.answer = Duration::from_millis(300);
        settings
            .private_targets
            .push("http://127.0.0.1:1".to_owned());
    })
    .await;
    let bob = site.bob();
    site.create(&bob, HOST).await.structured();
    let gone = json!({"hostname": "gone.example.test", "target_url": "http://127.0.0.1:1"});
    bob.call("create_proxy", gone).await.structured();
    assert_eq!(site.get(HOST, "/never").await.status(), 504);
    assert_eq!(site.get("gone.example.test", "/").await.status(), 502);
    let logs = site.logs(&bob, json!({}), 2).await;
    assert!(
        logs["logs"]
            .as_array()
            .expect("logs")
            .iter()
            .all(|one| one["error"].is_string()),
        "{logs}"
    );
}

#[tokio::test]
async fn a_client_may_take_its_time_and_a_target_may_not() {
    let answer = Duration::from_secs(1);
    let stalled = stalling("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
    let site = Site::with(|settings| {
        settings.answer = answer;
        settings.private_targets.push(stalled.clone());
    })
    .await;
    let bob = site.bob();
    site.create(&bob, HOST).await.structured();
    let half = json!({"hostname": "half.example.test", "target_url": stalled});
    bob.call("create_proxy", half).await.structured();

    let pause = answer * 3 / 2;
    let (slow, silent, half) = tokio::join!(
        upload(&site, "/slow", pause),
        upload(&site, "/never", pause),
        async { site.get("half.example.test", "/").await.text().await },
    );
    assert!(slow.starts_with("HTTP/1.1 200"), "cut off: {slow}");
    assert!(slow.contains("\"length\":10"), "not all of it: {slow}");
    assert!(silent.starts_with("HTTP/1.1 504"), "waited for: {silent}");
    let broken = half.expect_err("the second half never comes");
    assert!(!broken.is_timeout(), "it was the browser that gave up");
    site.logs(&bob, json!({}), 2).await;
}

/// The answer to a request whose body pauses after its first half.
async fn upload(site: &Site, path: &str, pause: Duration) -> String {
    let (http, _) = site.proxy.addresses();
    let stream = TcpStream::connect(http.expect("it listens")).await;
    let mut stream = stream.expect("open");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\ncontent-length: 10\r\n\r\n"
    );
    let first = format!("{head}first");
    stream.write_all(first.as_bytes()).await.expect("written");
    tokio::time::sleep(pause).await;
    stream.write_all(b" last").await.expect("written");
    let mut answer = String::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_string(&mut answer)).await;
    read.expect("it ends").expect("read");
    answer
}

/// A target that says this to whoever asks, and then nothing more.
async fn stalling(said: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a socket");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        let mut open = Vec::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = [0; 1024];
            if let Ok(1..) = stream.read(&mut head).await {
                let _ = stream.write_all(said.as_bytes()).await;
                open.push(stream);
            }
        }
    });
    format!("http://{address}")
}

#[tokio::test]
async fn rp_06_a_circle_is_broken_at_its_first_turn() {
    // A free port, so that the proxy can be told of itself before it is there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = free.local_addr().expect("an address");
    drop(free);
    let own = format!("http://{address}");
    let site = Site::with(|settings| {
        settings.listen = Some(address.to_string());
        settings.private_targets.push(own.clone());
    })
    .await;
    let circle = json!({"hostname": HOST, "target_url": own});
    site.bob().call("create_proxy", circle).await.structured();
    let answer = tokio::time::timeout(PATIENCE, site.get(HOST, "/")).await;
    assert_eq!(answer.expect("it ends").status(), 508);
}

#[tokio::test]
async fn rp_03_a_path_does_not_climb_out_of_its_target() {
    let site = Site::new().await;
    let target_url = format!("{}/public/", site.target.url());
    let arguments = json!({"hostname": HOST, "target_url": target_url});
    site.bob()
        .call("create_proxy", arguments)
        .await
        .structured();
    let said: Value = said(site.get(HOST, "/a").await).await;
    assert_eq!(said["uri"], "/public/a");
    let (http, _) = site.proxy.addresses();
    for path in [
        "/../private",
        "/%2e%2e/private",
        "/a/%2E./../private",
        "/..%5cprivate/..",
        "/..%2f..%2fprivate",
        "/a/..%5Cprivate",
        "/..;/private",
        "/a/%2e%2e;x=1/private",
        "/..%3b/private",
    ] {
        // By hand: a client of a library would tidy the path up.
        let stream = TcpStream::connect(http.expect("it listens")).await;
        let mut stream = stream.expect("open");
        let request = format!("GET {path} HTTP/1.1\r\nhost: {HOST}\r\nconnection: close\r\n\r\n");
        let written = stream.write_all(request.as_bytes()).await;
        written.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        assert!(answer.starts_with("HTTP/1.1 400"), "{path}: {answer}");
    }
}
