//! Skills, as clients meet them, and what is refused when they are read.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcp_runtime::prelude::*;
use mcp_runtime::testing::{TestClient, TestReply, TestServer};
use mcp_runtime::{Policy, Skills};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use crate::ask::{LEGACY, MODERN};

const SKILLS: &str = "io.modelcontextprotocol/skills";
const REFUNDS: &str =
    "---\nname: refunds\ndescription: Give money back.\nlicense: MIT\n---\n\n# Refunds\n";
const NESTED: &str = "---\nname: partial\ndescription: Give a part back.\n---\n";
const LOGO: &[u8] = b"\x89PNG\r\n\x1a\n\xff";

/// Paths and what is in them.
type Files<'a> = Vec<(&'a str, &'a [u8])>;

/// Writes files into a new folder.
fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, bytes) in files {
        write(folder.path(), path, bytes);
    }
    folder
}

fn write(folder: &Path, path: &str, bytes: &[u8]) {
    let path = folder.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

fn skill(name: &str) -> String {
    format!("---\nname: {name}\ndescription: Does something.\n---\n")
}

fn billing() -> TempDir {
    folder(&[
        ("README.md", b"not part of any skill"),
        ("acme/NOTES.md", b"neither"),
        ("acme/refunds/SKILL.md", REFUNDS.as_bytes()),
        ("acme/refunds/.env", b"SECRET=1"),
        ("acme/refunds/.git/config", b"hidden"),
        ("acme/refunds/logo.png", LOGO),
        ("acme/refunds/templates/letter to all.md", b"Dear customer"),
        ("acme/refunds/templates/eu/letter.md", b"Dear EU customer"),
        ("acme/refunds/partial/SKILL.md", NESTED.as_bytes()),
        ("greet/SKILL.md", skill("greet").as_bytes()),
    ])
}

fn server(skills: &TempDir) -> TestServer {
    let server = Server::new(tools![]).skills_dir(skills.path());
    TestServer::new(server).unwrap()
}

async fn read(client: &TestClient, uri: &str) -> TestReply {
    client
        .request("resources/read", json!({ "uri": uri }))
        .await
}

async fn directory(client: &TestClient, uri: &str) -> TestReply {
    client
        .request("resources/directory/read", json!({ "uri": uri }))
        .await
}

/// The whole of a list.
async fn all(client: &TestClient, method: &str, field: &str, mut params: Value) -> Vec<Value> {
    let mut items = Vec::new();
    loop {
        let reply = client.request(method, params.clone()).await;
        items.extend(reply.result()[field].as_array().unwrap().iter().cloned());
        match reply.result().get("nextCursor") {
            Some(cursor) => params["cursor"] = cursor.clone(),
            None => return items,
        }
    }
}

fn member<'a>(items: &'a [Value], name: &str) -> Vec<&'a str> {
    items
        .iter()
        .map(|item| item[name].as_str().unwrap())
        .collect()
}

#[tokio::test]
async fn messages_of_skills_as_they_are_on_the_wire() {
    let folder = billing();
    let server = server(&folder);
    let client = server.anonymous();
    let mut text = String::new();
    for (method, params) in [
        ("server/discover", json!({})),
        ("skills/list", json!({})),
        (
            "skills/get",
            json!({ "uri": "skill://acme/refunds/SKILL.md" }),
        ),
        (
            "skills/get",
            json!({ "uri": "skill://acme/other/SKILL.md" }),
        ),
        ("resources/list", json!({})),
        (
            "resources/read",
            json!({ "uri": "skill://acme/refunds/SKILL.md" }),
        ),
        (
            "resources/read",
            json!({ "uri": "skill://acme/refunds/logo.png" }),
        ),
        (
            "resources/directory/read",
            json!({ "uri": "skill://acme/refunds" }),
        ),
        (
            "resources/directory/read",
            json!({ "uri": "skill://acme/refunds/SKILL.md" }),
        ),
    ] {
        let reply = client.request(method, params).await;
        let _ = writeln!(text, "== {method}: {}\n{:#}", reply.status, reply.body);
    }
    insta::assert_snapshot!("skills", text);
}

/// Every file of every manifest is served with exactly the bytes that the manifest promises.
#[tokio::test]
async fn what_is_served_is_what_was_published() {
    let folder = billing();
    let server = server(&folder);
    let client = server.anonymous();
    // What happens to the folder afterwards changes nothing.
    write(folder.path(), "acme/refunds/SKILL.md", b"changed");
    fs::remove_file(folder.path().join("greet/SKILL.md")).unwrap();
    let mut files = 0;
    for skill in all(&client, "skills/list", "skills", json!({})).await {
        for file in skill["resources"].as_array().unwrap() {
            files += 1;
            let uri = file["uri"].as_str().unwrap();
            let reply = read(&client, uri).await;
            let contents = &reply.result()["contents"][0];
            let bytes = match contents["text"].as_str() {
                Some(text) => text.as_bytes().to_vec(),
                None => STANDARD.decode(contents["blob"].as_str().unwrap()).unwrap(),
            };
            let digest: String = Sha256::digest(&bytes)
                .iter()
                .map(|byte| format!("{byte:02x}"))
                .collect();
            assert_eq!(file["digest"], format!("sha256:{digest}"), "{uri}");
            assert_eq!(file["size"], bytes.len(), "{uri}");
            assert_eq!(contents["uri"], uri);
        }
    }
    assert_eq!(files, 5 + 1 + 1, "of refunds, of partial, of greet");
}

#[tokio::test]
async fn folders_can_be_descended() {
    let folder = billing();
    let server =
        TestServer::new(Server::new(tools![]).skills_dir(folder.path()).page_size(2)).unwrap();
    let client = server.anonymous();
    let (mut open, mut files) = (vec!["skill://acme".to_owned()], Vec::new());
    while let Some(uri) = open.pop() {
        let params = json!({ "uri": uri });
        for child in all(&client, "resources/directory/read", "resources", params).await {
            let uri = child["uri"].as_str().unwrap().to_owned();
            match child["mimeType"] == "inode/directory" {
                true => open.push(uri),
                false => files.push(uri),
            }
        }
    }
    files.sort();
    assert_eq!(
        files,
        [
            "skill://acme/refunds/SKILL.md",
            "skill://acme/refunds/logo.png",
            "skill://acme/refunds/partial/SKILL.md",
            "skill://acme/refunds/templates/eu/letter.md",
            "skill://acme/refunds/templates/letter%20to%20all.md",
        ]
    );
}

#[tokio::test]
async fn tm_12_nothing_else_can_be_reached() {
    let folder = billing();
    let server = server(&folder);
    let client = server.anonymous();
    for uri in [
        "",
        "skill://",
        "skill:///etc/passwd",
        "skill://README.md",
        "skill://acme/NOTES.md",
        "skill://acme/refunds",
        "skill://acme/refunds/",
        "skill://acme/refunds/.env",
        "skill://acme/refunds/.git/config",
        "skill://acme/refunds/../../README.md",
        "skill://acme/refunds/%2e%2e/%2e%2e/README.md",
        "skill://acme/refunds/templates/../SKILL.md",
        "skill://acme/refunds//SKILL.md",
        "skill://acme/refunds/SKILL.md?x",
        "skill://acme/refunds/skill.md",
        "file:///etc/passwd",
    ] {
        let reply = read(&client, uri).await;
        assert_eq!(reply.error()["code"], -32602, "read {uri}");
        let reply = client.request("skills/get", json!({ "uri": uri })).await;
        assert_eq!(reply.error()["code"], -32602, "get {uri}");
        if uri != "skill://acme/refunds" {
            let reply = directory(&client, uri).await;
            assert_eq!(reply.error()["code"], -32602, "directory {uri}");
        }
    }
    for method in ["skills/get", "resources/directory/read"] {
        for params in [json!({}), json!({ "uri": 7 }), json!({ "uri": null })] {
            let reply = client.request(method, params.clone()).await;
            assert_eq!(reply.error()["code"], -32602, "{method} {params}");
        }
    }
    let strange = json!({ "cursor": "9-0" });
    let reply = client.request("skills/list", strange).await;
    assert_eq!(reply.error()["code"], -32602);
}

#[tokio::test]
async fn earlier_revisions_have_the_files_and_not_the_methods() {
    let folder = billing();
    let server = server(&folder);
    let uri = "skill://acme/refunds/SKILL.md";
    for revision in LEGACY {
        let client = server.anonymous().revision(revision);
        let hello = json!({ "protocolVersion": revision });
        let hello = client.request("initialize", hello).await;
        let capabilities = &hello.result()["capabilities"];
        assert!(capabilities["resources"].is_object(), "{revision}");
        assert_eq!(capabilities.get("extensions"), None, "{revision}");
        for (method, params) in [
            ("skills/list", json!({})),
            ("skills/get", json!({ "uri": uri })),
            ("resources/directory/read", json!({ "uri": "skill://acme" })),
        ] {
            let reply = client.request(method, params).await;
            assert_eq!(reply.error()["code"], -32601, "{revision} {method}");
        }
        let listed = all(&client, "resources/list", "resources", json!({})).await;
        assert!(member(&listed, "uri").contains(&uri), "{revision}");
        let reply = read(&client, uri).await;
        assert_eq!(reply.result()["contents"][0]["text"], REFUNDS, "{revision}");
        assert_eq!(reply.result().get("ttlMs"), None, "{revision}");
        let reply = client
            .request("resources/subscribe", json!({ "uri": uri }))
            .await;
        assert_eq!(reply.result(), &json!({}), "{revision}");
    }
}

#[tokio::test]
async fn without_skills_there_are_no_methods() {
    let server = TestServer::new(Server::new(tools![])).unwrap();
    for method in ["skills/list", "skills/get", "resources/directory/read"] {
        let reply = server.anonymous().request(method, json!({})).await;
        assert_eq!(reply.error()["code"], -32601, "{method}");
    }
}

/// A missing scope is named; a missing role hides, and hidden is answered like unknown.
#[tokio::test]
async fn a_policy_says_who_reads() {
    let public = folder(&[("open/SKILL.md", skill("open").as_bytes())]);
    let scoped = folder(&[("scoped/SKILL.md", skill("scoped").as_bytes())]);
    let hidden = folder(&[("hidden/SKILL.md", skill("hidden").as_bytes())]);
    let server = Server::new(tools![])
        .skills_dir(public.path())
        .skills(Skills::dir(scoped.path()).policy(Policy::scope("skills:read")))
        .skills(Skills::dir(hidden.path()).policy(Policy::authenticated().roles(["chief"])));
    let server = TestServer::new(server).unwrap();
    let chief = server
        .as_user("ada")
        .roles(["chief"])
        .scopes(["skills:read"]);
    let ben = server.as_user("ben");
    for (client, names) in [
        (server.anonymous(), &["open", "scoped"][..]),
        (ben.clone(), &["open", "scoped"]),
        (chief.clone(), &["open", "scoped", "hidden"]),
    ] {
        let skills = all(&client, "skills/list", "skills", json!({})).await;
        let uris: Vec<String> = names
            .iter()
            .map(|name| format!("skill://{name}/SKILL.md"))
            .collect();
        assert_eq!(member(&skills, "uri"), uris);
        let files = all(&client, "resources/list", "resources", json!({})).await;
        assert_eq!(member(&files, "uri"), uris);
    }
    let listed = ben.request("skills/list", json!({})).await;
    assert_eq!(listed.result()["cacheScope"], "private");

    let methods = ["skills/get", "resources/read", "resources/directory/read"];
    let uri = |method: &str, name: &str| match method {
        "resources/directory/read" => json!({ "uri": format!("skill://{name}") }),
        _ => json!({ "uri": format!("skill://{name}/SKILL.md") }),
    };
    for method in methods {
        for (name, scope) in [
            ("open", "public"),
            ("scoped", "private"),
            ("hidden", "private"),
        ] {
            let reply = chief.request(method, uri(method, name)).await;
            assert_eq!(reply.result()["cacheScope"], scope, "{method} {name}");
        }
        let reply = ben.request(method, uri(method, "scoped")).await;
        assert_eq!(reply.status, 403, "{method}");
        assert_eq!(reply.error()["data"]["scopes"], json!(["skills:read"]));
        let reply = server
            .anonymous()
            .request(method, uri(method, "scoped"))
            .await;
        assert_eq!(reply.status, 401, "{method}");

        let hidden = ben.request(method, uri(method, "hidden")).await;
        let unknown = ben.request(method, uri(method, "hiddem")).await;
        let plain = |reply: &TestReply| {
            let text = reply.error().to_string().replace("hiddem", "hidden");
            (reply.status, text)
        };
        assert_eq!(plain(&hidden), plain(&unknown), "{method}");
    }
}

#[tokio::test]
async fn files_and_other_resources_share_one_list() {
    /// Taken.
    #[mcp_resource("skill://greet/SKILL.md", public)]
    fn taken() -> &'static str {
        "x"
    }
    /// Any note.
    #[mcp_resource("skill://{+path}", public)]
    fn rest(path: String) -> String {
        path
    }
    let skills = folder(&[("greet/SKILL.md", skill("greet").as_bytes())]);
    let server = Server::new(tools![])
        .skills_dir(skills.path())
        .resources(resources![taken]);
    let error = server.build().map(|_| ()).expect_err("must not be built");
    assert!(error.to_string().contains("taken by a skill"), "{error}");

    let server = Server::new(tools![])
        .skills_dir(skills.path())
        .resources(resources![rest]);
    let server = TestServer::new(server).unwrap();
    let client = server.anonymous();
    let reply = read(&client, "skill://greet/SKILL.md").await;
    assert_eq!(reply.result()["contents"][0]["text"], skill("greet"));
    let reply = read(&client, "skill://other").await;
    assert_eq!(reply.result()["contents"][0]["text"], "other");
}

/// One mistake, one problem, at its place.
#[test]
fn folders_are_checked_when_the_server_is_built() {
    let greet = skill("greet");
    let many: Vec<(String, Vec<u8>)> = (0..512)
        .map(|n| (format!("greet/{n}.txt"), Vec::new()))
        .collect();
    let mut many: Files<'_> = many.iter().map(|(n, b)| (&**n, &**b)).collect();
    many.push(("greet/SKILL.md", greet.as_bytes()));
    let big = vec![b'x'; 4 << 20];
    let bigger = [&big[..], b"x"].concat();
    let deep = format!("greet/{}x.md", "d/".repeat(17));
    let long = format!("---\nname: greet\ndescription: {}\n---\n", "x".repeat(1025));
    let one = |text: &'static str| vec![("greet/SKILL.md", text.as_bytes())];
    let rows: Vec<(Files<'_>, &[&str])> = vec![
        (vec![("README.md", b"x")], &["no skill"]),
        (vec![("SKILL.md", b"x")], &["a skill itself"]),
        (
            vec![("greet/skill.md", b"x")],
            &["greet/skill.md", "rename"],
        ),
        (one("# Greet"), &["greet/SKILL.md", "begin with"]),
        (one("---\nname: greet\n"), &["does not end"]),
        (one("---\ndescription: x\n---\n"), &["no `name`"]),
        (one("---\nname: greet\n---\n"), &["no `description`"]),
        (
            one("---\nname: greet\ndescription: ''\n---\n"),
            &["`description` is empty"],
        ),
        (
            one("---\nname: greet\ndescription: 7\n---\n"),
            &["not a string"],
        ),
        (
            one("---\nname: hello\ndescription: x\n---\n"),
            &["`hello`", "`greet`", "same name"],
        ),
        (
            one("---\nname: greet\ndescription: x\nname: greet\n---\n"),
            &["twice"],
        ),
        (
            vec![("Greet/SKILL.md", b"---\nname: Greet\ndescription: x\n---\n")],
            &["lower-case"],
        ),
        (
            vec![("a--b/SKILL.md", b"---\nname: a--b\ndescription: x\n---\n")],
            &["hyphens"],
        ),
        (vec![("greet/SKILL.md", long.as_bytes())], &["1024"]),
        (
            vec![("greet/SKILL.md", b"---\nname: greet\xff\n---\n")],
            &["not UTF-8"],
        ),
        (many, &["513 files", "512"]),
        (
            vec![("greet/SKILL.md", greet.as_bytes()), ("greet/big", &bigger)],
            &["greet/big", "4194304"],
        ),
        (
            vec![
                ("greet/SKILL.md", greet.as_bytes()),
                ("greet/1", &big),
                ("greet/2", &big),
                ("greet/3", &big),
                ("greet/4", &big),
            ],
            &["16777216"],
        ),
        (
            vec![("greet/SKILL.md", greet.as_bytes()), (&deep, b"x")],
            &["deeper"],
        ),
    ];
    for (files, words) in rows {
        let skills = folder(&files);
        let server = Server::new(tools![]).skills_dir(skills.path());
        let error = server.build().map(|_| ()).expect_err("must not be built");
        assert_eq!(error.problems().len(), 1, "one mistake: {error}");
        for word in words {
            assert!(error.problems()[0].contains(word), "`{word}` in {error}");
        }
    }
}

#[test]
fn all_problems_of_skills_come_at_once() {
    let skills = folder(&[
        ("a/SKILL.md", b"---\nname: b\n---\n"),
        ("c/SKILL.md", b"nothing"),
        ("d/SKILL.md", skill("d").as_bytes()),
    ]);
    let server = Server::new(tools![])
        .skills_dir(skills.path())
        .skills_dir(skills.path().join("nowhere"))
        .skills(Skills::dir(skills.path().join("d/SKILL.md")))
        .skills(Skills::dir(skills.path().join("d")).policy(Policy::scope("skills:{id}")));
    let error = server.build().map(|_| ()).expect_err("must not be built");
    let words = [
        "the same name",
        "no `description`",
        "begin with",
        "nowhere",
        "not a folder",
        "no variable",
        "a skill itself",
    ];
    for word in words {
        assert!(error.to_string().contains(word), "`{word}` in {error}");
    }
    assert_eq!(error.problems().len(), words.len(), "{error}");
}

#[test]
fn one_place_is_served_once() {
    let (one, two) = (
        folder(&[("acme/a/SKILL.md", skill("a").as_bytes())]),
        folder(&[("acme/b/SKILL.md", skill("b").as_bytes())]),
    );
    let server = Server::new(tools![])
        .skills_dir(one.path())
        .skills(Skills::dir(two.path()).policy(Policy::authenticated()));
    let error = server.build().map(|_| ()).expect_err("must not be built");
    assert_eq!(error.problems().len(), 1, "{error}");
    assert!(error.to_string().contains("skill://acme"), "{error}");
}

#[cfg(unix)]
#[tokio::test]
async fn tm_12_links_stay_in_the_folder() {
    use std::os::unix::fs::symlink;

    let outside = folder(&[("secret.txt", b"secret")]);
    let build = |target: &Path, link: &str| {
        let skills = folder(&[
            ("greet/SKILL.md", skill("greet").as_bytes()),
            ("greet/real/x.md", b"x"),
        ]);
        symlink(target, skills.path().join(link)).unwrap();
        let built = TestServer::new(Server::new(tools![]).skills_dir(skills.path()));
        (built.map_err(|error| error.to_string()), skills)
    };
    for (target, link, word) in [
        (
            outside.path().join("secret.txt"),
            "greet/x.txt",
            "leads out",
        ),
        (outside.path().to_owned(), "greet/more", "leads out"),
        (outside.path().to_owned(), "more", "leads out"),
        ("/etc/passwd".into(), "greet/x.txt", "leads out"),
        ("../greet".into(), "greet/again", "lies in"),
        ("nowhere".into(), "greet/x.txt", "greet/x.txt"),
    ] {
        let Err(error) = build(&target, link).0 else {
            panic!("{link} -> {} was served", target.display());
        };
        assert!(error.contains(word), "`{word}` in {error}");
    }
    let (built, _skills) = build(Path::new("real/x.md"), "greet/alias.md");
    let server = built.unwrap();
    let reply = read(&server.anonymous(), "skill://greet/alias.md").await;
    assert_eq!(reply.result()["contents"][0]["text"], "x");
}

#[tokio::test]
async fn the_extension_is_declared_with_its_setting() {
    let folder = billing();
    let reply = server(&folder)
        .anonymous()
        .revision(MODERN)
        .request("server/discover", json!({}))
        .await;
    let capabilities = &reply.result()["capabilities"];
    assert_eq!(
        capabilities["extensions"],
        json!({ SKILLS: { "directoryRead": true } })
    );
    assert!(capabilities["resources"].is_object());
}
