//! Only people whose e-mail address is listed.

use std::time::{Duration, Instant};

use mcp_runtime::auth::{Allowlist, Jwt};
use mcp_runtime::testing::{Endpoint, Fault, IdentityProvider, TestServer, User};
use serde_json::{Value, json};

use crate::identity::{
    RESOURCE, World, assert_denied, assert_invalid, assert_unavailable, bare, builder, local,
};

fn listed(idp: &IdentityProvider) -> Allowlist {
    Allowlist::new(Jwt::discover(idp.issuer()).egress(local()))
        .emails(["Admin@example.com", "reader@example.com"])
        .egress(local())
}

fn asking(idp: &IdentityProvider) -> Allowlist {
    listed(idp).userinfo(idp.url(Endpoint::Userinfo))
}

#[tokio::test]
async fn jw_47_jw_48_who_is_listed() {
    let world = World::with(listed).await;
    for email in [
        "admin@example.com",
        "Admin@Example.com",
        "READER@example.com",
    ] {
        let token = world.idp.token(json!({ "email": email }));
        let canonical = email.to_ascii_lowercase();
        assert_eq!(world.who(&token).await["email"], canonical, "JW-48");
    }
    for email in [
        "mallory@example.org",
        "admin@example.com.example.org",
        "xadmin@example.com",
        "admin@example.com ",
        "admin@example.co\u{217f}",
        "@example.com",
        "",
    ] {
        let token = world
            .idp
            .token(json!({ "email": email, "scope": "mcp:admin" }));
        assert_denied(
            &world.call("open", &token).await,
            &format!("JW-47 {email:?}"),
        );
    }
    assert_invalid(&world.call("open", "garbage").await, "still a bad token");
}

/// JW-50, JW-51: `true`, and an address; nothing that looks like them.
#[tokio::test]
async fn jw_50_jw_51_verified_means_verified() {
    let world = World::with(listed).await;
    let admin = || world.idp.mint().claim("email", "admin@example.com");
    assert_eq!(world.status("whoami", &admin().sign()).await, 200);
    let missing = admin().without("email_verified").sign();
    assert_denied(&world.call("whoami", &missing).await, "JW-50 missing");
    for verified in [
        json!(false),
        json!("true"),
        json!(1),
        json!([true]),
        Value::Null,
    ] {
        let token = admin().claim("email_verified", verified.clone()).sign();
        assert_denied(
            &world.call("whoami", &token).await,
            &format!("JW-50 {verified}"),
        );
    }
    for email in [
        json!(["admin@example.com"]),
        json!({ "0": "admin@example.com" }),
        json!(5),
    ] {
        let token = world.idp.token(json!({ "email": email }));
        assert_denied(
            &world.call("whoami", &token).await,
            &format!("JW-51 {email}"),
        );
    }
}

/// SE-11: who is taken off the list is out as soon as no decision is remembered; a list that cannot
/// be read lets nobody in.
#[tokio::test]
async fn se_11_a_list_in_a_file_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("allowed");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write("# admins\n\nAdmin@example.com\r\n  eve@example.com\n");
    let world = World::with(|idp| {
        Allowlist::new(Jwt::discover(idp.issuer()).egress(local()))
            .emails_from_file(&file)
            .egress(local())
    })
    .await;
    let token = |email: &str| world.idp.token(json!({ "email": email }));
    let (admin, eve) = (token("admin@example.com"), token("eve@example.com"));
    assert_eq!(world.status("whoami", &admin).await, 200);
    assert_eq!(world.status("whoami", &eve).await, 200);
    write("eve@example.com\n");
    world.wait(56);
    assert_denied(&world.call("whoami", &admin).await, "SE-11");
    assert_eq!(world.status("whoami", &eve).await, 200);
    std::fs::remove_file(&file).unwrap();
    world.wait(56);
    assert_unavailable(&world.call("whoami", &eve).await, "SE-11");
    write("not an address\n");
    assert_unavailable(&world.call("whoami", &eve).await, "SE-11");
}

#[tokio::test]
async fn an_empty_list_lets_nobody_in() {
    let world = World::with(|idp| {
        Allowlist::new(Jwt::discover(idp.issuer()).egress(local())).egress(local())
    })
    .await;
    let token = world.idp.token(json!({ "email": "admin@example.com" }));
    assert_denied(&world.call("open", &token).await, "empty");
    let blank = world.idp.token(json!({ "email": "" }));
    assert_denied(&world.call("open", &blank).await, "empty");
}

/// What the provider says now beats what it once wrote into a token.
#[tokio::test]
async fn userinfo_beats_the_token() {
    let world = World::with(asking).await;
    let mut admin = User::new("u_admin", ["mcp:read"]);
    admin.email = "ADMIN@example.com".to_owned();
    world.idp.add_user(admin.clone());
    let token = world
        .idp
        .token(json!({ "sub": "u_admin", "email": "x@example.org" }));
    assert_eq!(world.who(&token).await["email"], "admin@example.com");
    assert_eq!(world.idp.hits(Endpoint::Userinfo), 1, "remembered");

    admin.email_verified = false;
    world.idp.add_user(admin.clone());
    assert_eq!(world.status("whoami", &token).await, 200, "for 55 seconds");
    world.wait(56);
    assert_denied(&world.call("whoami", &token).await, "no longer verified");
    let claims = json!({ "sub": "ada", "email": "admin@example.com" });
    let liar = world.idp.token(claims);
    assert_denied(
        &world.call("whoami", &liar).await,
        "listed in the token alone",
    );
}

/// Told to remember nobody, it asks every time.
#[tokio::test]
async fn it_remembers_for_as_long_as_it_is_told() {
    let world = World::with(|idp| {
        let listed = asking(idp).emails(["ada@example.com"]);
        listed.remember(Duration::from_secs(5))
    })
    .await;
    let token = world.idp.token(json!({}));
    for (wait, asked) in [(0, 1), (4, 1), (1, 2), (5, 3)] {
        world.wait(wait);
        assert_eq!(world.status("whoami", &token).await, 200);
        assert_eq!(world.idp.hits(Endpoint::Userinfo), asked);
    }
}

/// JW-53: whatever happens to userinfo, nobody gets in, and nothing of it is remembered.
#[tokio::test]
async fn jw_53_faults_of_userinfo() {
    let world = World::with(asking).await;
    let mut admin = User::new("u_admin", ["mcp:read"]);
    admin.email = "admin@example.com".to_owned();
    world.idp.add_user(admin);
    let attacker = IdentityProvider::start(world.clock.clone(), RESOURCE)
        .await
        .unwrap();
    let token = world
        .idp
        .token(json!({ "sub": "u_admin", "email": "admin@example.com" }));
    let body = |body: Value| Fault::Json(body.to_string());
    for fault in [
        Fault::Status(500),
        Fault::Status(403),
        Fault::Status(204),
        Fault::Html,
        Fault::Huge,
        Fault::Redirect(attacker.url(Endpoint::Userinfo)),
        body(json!([])),
        Fault::Json("{".to_owned()),
        Fault::Json(r#"{"sub":"u_admin","sub":"u_admin"}"#.to_owned()),
    ] {
        let case = format!("JW-53 {:.60}", format!("{fault:?}"));
        world.idp.fail(Endpoint::Userinfo, fault);
        assert_unavailable(&world.call("whoami", &token).await, &case);
    }
    assert_eq!(attacker.hits(Endpoint::Userinfo), 0, "JW-53");
    world.idp.mend(Endpoint::Userinfo);
    assert_eq!(world.status("whoami", &token).await, 200, "it is over");

    let fresh = |n: u8| world.idp.token(json!({ "sub": "u_admin", "n": n }));
    let admin =
        |sub: Value| json!({ "sub": sub, "email": "admin@example.com", "email_verified": true });
    for (n, (sub, case)) in [
        (json!("bob"), "somebody else"),
        (json!(""), "nobody"),
        (Value::Null, "null"),
        (json!(5), "a number"),
    ]
    .into_iter()
    .enumerate()
    {
        world.idp.fail(Endpoint::Userinfo, body(admin(sub)));
        let token = fresh(u8::try_from(n).unwrap());
        assert_denied(&world.call("whoami", &token).await, case);
    }
    world.idp.fail(Endpoint::Userinfo, Fault::Status(401));
    assert_invalid(&world.call("whoami", &fresh(9)).await, "JW-53 401");
}

#[tokio::test]
async fn jw_53_userinfo_that_hangs() {
    let world = World::with(asking).await;
    world.idp.fail(Endpoint::Userinfo, Fault::Hang);
    let token = world.idp.token(json!({ "email": "admin@example.com" }));
    let since = Instant::now();
    let ask = bare("whoami").header("authorization", &format!("Bearer {token}"));
    assert_unavailable(&ask.send(&world.server).await, "JW-53");
    assert!(
        since.elapsed() < Duration::from_secs(6),
        "{:?}",
        since.elapsed()
    );
}

/// JW-39: a token that is not good is not shown to userinfo.
#[tokio::test]
async fn jw_39_bad_tokens_go_nowhere() {
    let world = World::with(asking).await;
    for n in 0..200 {
        assert_invalid(&world.call("whoami", &format!("bad-{n}")).await, "JW-39");
    }
    let expired = world.idp.token(json!({ "exp": 5 }));
    assert_invalid(&world.call("whoami", &expired).await, "JW-39");
    assert_eq!(world.idp.hits(Endpoint::Userinfo), 0, "JW-39");
}

#[test]
fn unsafe_settings_are_not_built() {
    let inner = || Jwt::discover("https://as.example.com");
    let rows = [
        (
            Allowlist::new(inner()).emails(["example.com"]),
            "is not an e-mail address",
        ),
        (
            Allowlist::new(inner()).emails(["ada @example.com"]),
            "is not an e-mail address",
        ),
        (
            Allowlist::new(inner()).userinfo("http://as.example.com"),
            "the userinfo URL",
        ),
        (
            Allowlist::new(Jwt::discover("http://as.example.com")),
            "does not start with",
        ),
    ];
    for (auth, expected) in rows {
        let said = TestServer::new(builder().auth(auth)).err();
        let said = said.map(|error| error.to_string()).unwrap_or_default();
        assert!(said.contains(expected), "{expected}: {said}");
    }
}
