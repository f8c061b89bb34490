//! What never shows: keys, tokens, files.

use reference_server::identity::Identity;
use serde_json::json;

use super::Site;

#[tokio::test]
async fn rp_07_certificates_show_neither_key_nor_path() {
    let site = Site::new().await;
    let folder = site.folder.path().join("proxy/certificates");
    let made =
        rcgen::generate_simple_self_signed(vec!["own.example.test".to_owned()]).expect("made");
    let key = format!("CNRY-comment\n{}", made.signing_key.serialize_pem());
    std::fs::write(folder.join("own.key"), key).expect("written");
    std::fs::write(folder.join("own.crt"), made.cert.pem()).expect("written");
    let reply = site.admin().call("list_certificates", json!({})).await;
    let text = reply.body.to_string();
    let listed = &reply.structured()["certificates"][0];
    assert_eq!(listed["name"], "own");
    assert_eq!(listed["domains"], json!(["own.example.test"]));
    assert_eq!(listed["status"], "active");
    for secret in ["CNRY", "PRIVATE", "BEGIN", &*folder.display().to_string()] {
        assert!(!text.contains(secret), "{secret}: {text}");
    }
    // The operator's certificate is used, and none is issued for its host.
    site.create(&site.bob(), "own.example.test")
        .await
        .structured();
    let reply = site.bob().call("list_certificates", json!({})).await;
    assert_eq!(reply.structured()["certificates"][0]["name"], "own");
    assert_eq!(reply.structured()["count"], 1);
}

#[tokio::test]
async fn rp_08_09_tokens_are_listed_without_anything_to_guess_them_from() {
    let site = Site::new().await;
    let mut secrets = Vec::new();
    for name in ["admin", "bob"] {
        let caller = Identity::named(name)
            .expect("one")
            .caller(&[])
            .expect("a caller");
        secrets.push(site.tokens.issue(&caller).expect("issued"));
    }
    site.create(&site.bob(), "b.example.test")
        .await
        .structured();
    let reply = site.admin().call("list_tokens", json!({})).await;
    let tokens = reply.structured()["tokens"].as_array().expect("tokens");
    assert_eq!(tokens.len(), 2);
    assert_eq!(
        (&tokens[0]["name"], &tokens[0]["is_admin"]),
        (&json!("admin"), &json!(true))
    );
    assert_eq!(
        (&tokens[1]["name"], &tokens[1]["is_admin"]),
        (&json!("bob"), &json!(false))
    );
    assert_eq!(
        (&tokens[1]["proxy_count"], &tokens[1]["certificate_count"]),
        (&json!(1), &json!(1))
    );
    let text = reply.body.to_string();
    let file = std::fs::read_to_string(site.folder.path().join("tokens.jsonl")).expect("a file");
    for line in file.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let digest = line["sha256"].as_str().expect("a digest");
        assert!(!text.contains(&digest[..8]), "a digest shows");
    }
    for secret in &secrets {
        assert!(!text.contains(&secret[..12]), "a token shows");
        for file in ["tokens.jsonl", "proxy.db", "proxy.db-wal"] {
            let bytes = std::fs::read(site.folder.path().join(file)).unwrap_or_default();
            let found = bytes
                .windows(secret.len())
                .any(|part| part == secret.as_bytes());
            assert!(!found, "a token stands in {file}");
        }
    }
}

#[tokio::test]
async fn rp_12_names_do_not_lead_out_of_the_certificate_folder() {
    let site = Site::new().await;
    let folder = site.folder.path().join("proxy/certificates");
    std::fs::write(site.folder.path().join("outside.crt"), "CNRY").expect("written");
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link.crt")).expect("linked");
    std::os::unix::fs::symlink("/etc/passwd", folder.join("link.key")).expect("linked");
    let names = [
        "..%2f..%2fetc%2fpasswd",
        "..%5cx",
        "a%2fb",
        "a%00",
        "%2fetc%2fpasswd",
        "..%2f..%2foutside",
        "link",
    ];
    for name in names {
        let params = json!({"uri": format!("proxy://certificates/{name}")});
        let reply = site.admin().request("resources/read", params).await;
        assert!(reply.body["error"].is_object(), "{name}: {}", reply.body);
        let text = reply.body.to_string();
        assert!(
            !text.contains("root:") && !text.contains("CNRY"),
            "{name}: {text}"
        );
    }
    let reply = site.admin().call("list_certificates", json!({})).await;
    assert_eq!(reply.structured()["count"], 0);
}
