//! Signed tokens. The ids are those of the list of security cases.

use std::time::{Duration, Instant};

use mcp_runtime::auth::{AuthError, Authenticate, Egress, Jwt, any_of};
use mcp_runtime::prelude::*;
use mcp_runtime::testing::{Endpoint, Fault, IdentityProvider, Mint, Signer, TestServer};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::ask::{Ask, MODERN, call, header};
use crate::identity::{
    RESOURCE, World, assert_invalid, assert_unavailable, bare, builder, local, prepared,
};
use crate::live::{Live, alone, resident_kib, status};

/// Every token of a table is refused, and the good one beside them is not.
async fn all_refused(world: &World, cases: impl IntoIterator<Item = (String, String)>) {
    for (case, token) in cases {
        assert_invalid(&world.call("whoami", &token).await, &case);
    }
    let good = world.idp.mint().sign();
    assert_eq!(
        world.status("whoami", &good).await,
        200,
        "the good one beside them"
    );
}

fn row(case: &str, mint: Mint) -> (String, String) {
    (case.to_owned(), mint.sign())
}

#[tokio::test]
async fn a_good_token_makes_a_caller() {
    let world = World::new().await;
    let token = world
        .idp
        .token(json!({ "sub": "u_reader", "scope": "mcp:read openid" }));
    let mut who = world.who(&token).await;
    who.as_object_mut().unwrap().remove("debug");
    assert_eq!(
        who,
        json!({
            "subject": "u_reader", "issuer": world.idp.issuer(), "tenant": null,
            "email": "ada@example.com", "scopes": ["mcp:read", "openid"], "roles": [],
            "expires": world.now() + 600,
        })
    );
    assert_eq!(world.status("echo", &token).await, 200);
}

/// JW-01: no token, and a challenge that says what to ask for, not that something was wrong.
#[tokio::test]
async fn jw_01_no_token() {
    let world = World::new().await;
    let ask = call(MODERN, "echo", json!({ "message": "hi" }));
    let reply = ask.send(&world.server).await;
    let challenge = header(&reply, "www-authenticate").unwrap();
    assert_eq!(reply.status, 401);
    assert!(challenge.contains("scope=\"mcp:read\""), "{challenge}");
    assert!(!challenge.contains("error="), "{challenge}");
}

/// JW-02 and JW-03: what is open is open without a token, and shut to a bad one.
#[tokio::test]
async fn jw_02_jw_03_a_bad_token_is_not_nobody() {
    let world = World::new().await;
    for method in ["tools/list", "server/discover"] {
        let ask = Ask::modern(method, json!({}));
        assert_eq!(ask.send(&world.server).await.status, 200, "JW-02 {method}");
        let bad = ask.header("authorization", "Bearer garbage");
        assert_invalid(&bad.send(&world.server).await, &format!("JW-03 {method}"));
    }
    assert_eq!(bare("open").send(&world.server).await.status, 200, "JW-02");
    let hello = json!({
        "protocolVersion": "2025-06-18", "capabilities": {},
        "clientInfo": { "name": "t", "version": "1" },
    });
    for (method, params) in [
        ("initialize", hello),
        ("ping", json!({})),
        ("tools/list", json!({})),
    ] {
        let ask = Ask::legacy("2025-06-18", method, params);
        assert_eq!(ask.send(&world.server).await.status, 200, "JW-02 {method}");
        let bad = ask.header("authorization", "Bearer garbage");
        assert_invalid(&bad.send(&world.server).await, &format!("JW-03 {method}"));
    }
    assert_invalid(&world.call("open", "garbage").await, "JW-03");
    assert_eq!(world.idp.hits(Endpoint::Metadata), 0, "nobody was asked");
}

/// JW-04: thirty seconds for clocks that are off, and not one more.
#[tokio::test]
async fn jw_04_leeway() {
    let world = World::new().await;
    let now = world.now();
    for (exp, status) in [(-10, 200), (-29, 200), (-30, 401), (-61, 401), (-3600, 401)] {
        let token = world.idp.mint().claim("iat", now - 4_000);
        let token = token.claim("exp", now + exp).sign();
        assert_eq!(
            world.status("whoami", &token).await,
            status,
            "JW-04 exp {exp}"
        );
    }
    for (name, offset, status) in [
        ("nbf", 30, 200),
        ("nbf", 31, 401),
        ("iat", 30, 200),
        ("iat", 31, 401),
    ] {
        let token = world.idp.mint().claim(name, now + offset).sign();
        assert_eq!(
            world.status("whoami", &token).await,
            status,
            "JW-04 {name} {offset}"
        );
    }
}

#[tokio::test]
async fn jw_05_jw_06_jw_08_jw_09_times() {
    let world = World::new().await;
    let now = world.now();
    let mint = || world.idp.mint();
    let mut cases = vec![
        row("JW-05", mint().without("exp")),
        row("JW-08", mint().claim("nbf", now + 3600)),
        row("JW-08", mint().claim("nbf", "99999999999")),
        row("JW-08", mint().claim("nbf", Value::Null)),
        row("JW-09", mint().claim("iat", now + 3600)),
        row("JW-09", mint().claim("iat", "yesterday")),
        row("lifetime", mint().claim("exp", now + 90_000)),
        row("lifetime", mint().without("iat").claim("exp", now + 90_000)),
    ];
    for exp in [
        json!("9999999999"),
        Value::Null,
        json!([]),
        json!(-1),
        json!(0),
        json!(1e300),
        json!({}),
        json!(true),
        json!(0.5),
    ] {
        cases.push(row(&format!("JW-06 {exp}"), mint().claim("exp", exp)));
    }
    let past_numbers = mint()
        .claims_text()
        .replace("\"exp\":", "\"exp\":1e999,\"x\":");
    cases.push(row("JW-06 1e999", mint().raw_claims(past_numbers)));
    all_refused(&world, cases).await;
}

/// JW-10, JW-12, JW-14: the algorithm is ours to choose.
#[tokio::test]
async fn jw_10_jw_12_algorithms() {
    let world = World::new().await;
    let mint = || world.idp.mint();
    let mut cases = Vec::new();
    for alg in ["none", "None", "NONE", "nOnE", "", "RS256 ", "rs256"] {
        let unsigned = mint().signed_by(Signer::Nobody).header("alg", alg);
        cases.push(row(&format!("JW-10 {alg:?}, no signature"), unsigned));
        cases.push(row(
            &format!("JW-10 {alg:?}, old signature"),
            mint().header("alg", alg),
        ));
    }
    for alg in ["RS512", "PS256", "RS384", "ES256", "EdDSA", "HS256"] {
        cases.push(row(&format!("JW-12 {alg}"), mint().header("alg", alg)));
    }
    cases.push(row("no alg", mint().without_header("alg")));
    cases.push(row("alg null", mint().header("alg", Value::Null)));
    cases.push(row("alg list", mint().header("alg", json!(["RS256"]))));
    cases.push(row("P-256", mint().signed_by(Signer::P256)));
    all_refused(&world, cases).await;
}

/// JW-11, JW-16: what is public is no secret to share.
#[tokio::test]
async fn jw_11_jw_16_shared_secrets() {
    let world = World::with(|idp| Jwt::discover(idp.issuer()).egress(local())).await;
    let jwk = world.idp.jwk(Signer::First);
    let modulus = jwk["n"].as_str().unwrap();
    let oct = Signer::Secret(b"a secret that is published by mistake".to_vec());
    world.idp.publish([Signer::First, oct.clone()]);
    let mint = || world.idp.mint();
    let secret = |secret: &str| mint().signed_by(Signer::Secret(secret.as_bytes().to_vec()));
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{modulus}\n-----END PUBLIC KEY-----\n");
    let cases = [
        row("JW-11 n", secret(modulus)),
        row("JW-11 pem", secret(&pem)),
        row("JW-11 jwk", secret(&jwk.to_string())),
        row("JW-11 as RS256", secret(modulus).header("alg", "RS256")),
        row("JW-16", mint().signed_by(oct.clone()).header("kid", "o1")),
        row(
            "JW-16 as RS256",
            mint()
                .signed_by(oct)
                .header("kid", "o1")
                .header("alg", "RS256"),
        ),
    ];
    all_refused(&world, cases).await;
}

/// Each algorithm with the key that is made for it, and with no other.
#[tokio::test]
async fn jw_13_jw_14_each_key_has_its_algorithm() {
    let world = World::with(|idp| Jwt::discover(idp.issuer()).egress(local())).await;
    let all = [Signer::First, Signer::P256, Signer::Ed25519];
    world.idp.publish(all.clone());
    for signer in all {
        let good = world.idp.mint().signed_by(signer.clone()).sign();
        assert_eq!(world.status("whoami", &good).await, 200, "{signer:?}");
        // Every signature of zeros, short, long and in another form.
        let (message, signature) = good.rsplit_once('.').unwrap();
        for bad in [
            "A".repeat(86),
            "A".repeat(342),
            "MEUCIQ".repeat(12),
            signature[4..].to_owned(),
        ] {
            let token = format!("{message}.{bad}");
            assert_invalid(&world.call("whoami", &token).await, "JW-13");
        }
    }
    let mint = || world.idp.mint();
    let cases = [
        row("ES256 of RSA", mint().header("alg", "ES256")),
        row(
            "RS256 of P-256",
            mint().signed_by(Signer::P256).header("alg", "RS256"),
        ),
        row(
            "kid of RSA",
            mint().signed_by(Signer::P256).header("kid", "k1"),
        ),
        // The key says that it is for RS256 alone.
        row("JW-14 PS256", mint().header("alg", "PS256")),
    ];
    all_refused(&world, cases).await;
}

/// JW-17: without a name of the key only where it cannot be another.
#[tokio::test]
async fn jw_17_no_kid() {
    let world = World::new().await;
    let unnamed = || world.idp.mint().without_header("kid");
    world.idp.rotate();
    assert_invalid(
        &world.call("whoami", &unnamed().sign()).await,
        "JW-17 two keys",
    );
    world.idp.publish([Signer::Second]);
    world.wait(3_601);
    assert_eq!(
        world.status("whoami", &unnamed().sign()).await,
        200,
        "JW-17 one key"
    );
}

/// JW-18, JW-40: a name that no key has costs the issuer one question a minute, whoever asks.
#[tokio::test]
async fn jw_18_jw_40_unknown_keys() {
    let world = World::new().await;
    let good = world.idp.token(json!({}));
    assert_eq!(world.status("whoami", &good).await, 200);
    assert_eq!(world.idp.hits(Endpoint::Jwks), 1);
    let long = "x".repeat(100 << 10);
    for kid in [
        "../../../../dev/null",
        "' OR 1=1--",
        "x\u{0}y",
        &long,
        "*",
        "",
    ] {
        let token = world.idp.mint().header("kid", kid).sign();
        assert_invalid(&world.call("whoami", &token).await, "JW-18");
    }
    for kid in [json!(1), Value::Null, json!(["k1"])] {
        let token = world.idp.mint().header("kid", kid).sign();
        assert_invalid(&world.call("whoami", &token).await, "JW-18 type");
    }
    for n in 0..500 {
        let token = world.idp.mint().header("kid", format!("random-{n}")).sign();
        assert_invalid(&world.call("whoami", &token).await, "JW-40");
    }
    assert_eq!(
        world.idp.hits(Endpoint::Jwks),
        2,
        "one look for unknown keys"
    );
    world.wait(61);
    let token = world.idp.mint().header("kid", "later").sign();
    assert_invalid(&world.call("whoami", &token).await, "JW-40");
    assert_eq!(world.idp.hits(Endpoint::Jwks), 3, "one more a minute later");
}

/// JW-19: a token does not bring its own key.
#[tokio::test]
async fn jw_19_keys_of_the_token() {
    let world = World::new().await;
    let attacker = IdentityProvider::start(world.clock.clone(), RESOURCE)
        .await
        .unwrap();
    let url = attacker.url(Endpoint::Jwks);
    let foreign = |kid: &str| {
        let mint = world.idp.mint().signed_by(Signer::Foreign);
        mint.header("kid", kid)
    };
    let jwk = world.idp.jwk(Signer::Foreign);
    let mut cases = Vec::new();
    for kid in ["k1", "x"] {
        cases.push(row("JW-19 jku", foreign(kid).header("jku", url.as_str())));
        cases.push(row("JW-19 x5u", foreign(kid).header("x5u", url.as_str())));
        cases.push(row("JW-19 jwk", foreign(kid).header("jwk", jwk.clone())));
        cases.push(row(
            "JW-19 x5c",
            foreign(kid).header("x5c", json!(["MIIB"])),
        ));
    }
    all_refused(&world, cases).await;
    assert_eq!(attacker.hits(Endpoint::Jwks), 0, "JW-19 nobody called");
}

#[tokio::test]
async fn jw_21_kinds_of_token() {
    let world = World::new().await;
    let mint = || world.idp.mint();
    for kind in ["at+jwt", "JWT", "jwt", "application/at+jwt", "AT+JWT"] {
        let token = mint().header("typ", kind).sign();
        assert_eq!(world.status("whoami", &token).await, 200, "{kind}");
    }
    let untyped = mint().without_header("typ").sign();
    assert_eq!(world.status("whoami", &untyped).await, 200);
    let id_token = mint().header("typ", "JWT").claim("nonce", "n");
    let mut cases = vec![row("JW-21 id", id_token.claim("aud", "client-1"))];
    for kind in [
        json!("secevent+jwt"),
        json!("logout+jwt"),
        json!("dpop+jwt"),
        json!(""),
        json!(5),
        Value::Null,
    ] {
        cases.push(row(&format!("JW-21 {kind}"), mint().header("typ", kind)));
    }
    for name in ["crit", "b64", "enc", "zip"] {
        cases.push(row(name, mint().header(name, json!(["exp"]))));
    }
    all_refused(&world, cases).await;
}

#[tokio::test]
async fn jw_22_jw_23_jw_25_audiences() {
    let world = World::new().await;
    let mint = || world.idp.mint();
    for aud in [
        json!(RESOURCE),
        json!([RESOURCE, "https://x"]),
        json!(format!("{RESOURCE}/")),
    ] {
        let token = mint().claim("aud", aud.clone()).sign();
        assert_eq!(world.status("whoami", &token).await, 200, "JW-23 {aud}");
    }
    let mut cases = vec![row("JW-22 missing", mint().without("aud"))];
    for aud in [
        json!(""),
        json!(5),
        json!({}),
        json!([]),
        Value::Null,
        json!("https://other.example.com/mcp"),
        json!([RESOURCE, 5]),
        json!([[RESOURCE]]),
        json!({ RESOURCE: true }),
        // JW-23: compared to the letter.
        json!("HTTPS://MCP.EXAMPLE.COM/mcp"),
        json!("https://mcp.example.com"),
        json!("https://mcp.example.com/mcp/x"),
        // JW-25: for the API behind this server.
        json!("http://127.0.0.1:8080"),
    ] {
        cases.push(row(&format!("JW-22 {aud}"), mint().claim("aud", aud)));
    }
    all_refused(&world, cases).await;
}

#[tokio::test]
async fn jw_26_jw_28_issuers_and_subjects() {
    let world = World::new().await;
    let mint = || world.idp.mint();
    let mut cases = vec![
        row("JW-26 missing", mint().without("iss")),
        row("JW-28 missing", mint().without("sub")),
    ];
    for iss in [
        json!("https://as.example.com"),
        json!(format!("{}/", world.idp.issuer())),
        json!(world.idp.issuer().to_uppercase()),
        json!(5),
        Value::Null,
        json!([world.idp.issuer()]),
    ] {
        cases.push(row(&format!("JW-26 {iss}"), mint().claim("iss", iss)));
    }
    for sub in [
        json!(""),
        json!(5),
        json!(" "),
        Value::Null,
        json!(["ada"]),
        json!("a\u{0}b"),
        json!("a\nb"),
        json!("x".repeat(256)),
    ] {
        cases.push(row(&format!("JW-28 {sub}"), mint().claim("sub", sub)));
    }
    all_refused(&world, cases).await;
}

/// A name that is there twice means whatever its reader likes.
#[tokio::test]
async fn names_that_are_there_twice() {
    let world = World::new().await;
    let mint = || world.idp.mint();
    let text = mint().claims_text();
    let twice = |member: &str| text.replacen('{', &format!("{{{member},"), 1);
    let kid = r#"{"alg":"RS256","kid":"k1","kid":"k1"}"#;
    let cases = [
        row("sub", mint().raw_claims(twice("\"sub\":\"root\""))),
        row("exp", mint().raw_claims(twice("\"exp\":9999999999"))),
        row("escaped", mint().raw_claims(twice(r#""s\u0075b":"root""#))),
        row("nested", mint().raw_claims(twice(r#""a":{"b":1,"b":2}"#))),
        row("header", mint().raw_header(kid)),
        row("no object", mint().raw_claims("[]")),
        row("rubbish behind", mint().raw_claims(format!("{text}{{}}"))),
        row("header no object", mint().raw_header("\"RS256\"")),
    ];
    all_refused(&world, cases).await;
}

#[tokio::test]
async fn jw_29_jw_30_jw_32_jw_33_forms() {
    let world = World::new().await;
    let good = world.idp.token(json!({ "sub": "form" }));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (head, claims) = message.split_once('.').unwrap();
    let first = if signature.starts_with('A') { "B" } else { "A" };
    // 256 bytes of signature leave spare bits in the last letter.
    let (body, last) = signature.split_at(signature.len() - 1);
    let twins: Vec<String> = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
        .chars()
        .map(|letter| letter.to_string())
        .filter(|letter| letter != last)
        .map(|letter| format!("{message}.{body}{letter}"))
        .collect();
    let foreign = world.idp.mint().signed_by(Signer::Foreign).sign();
    let big = "A".repeat(64 << 10);
    let mut cases = vec![
        ("JW-29 removed", format!("{message}.")),
        ("JW-29 truncated", format!("{message}.{body}")),
        (
            "JW-29 flipped",
            format!("{message}.{first}{}", &signature[1..]),
        ),
        ("JW-29 another key", foreign),
        ("JW-30 =", format!("{good}=")),
        ("JW-30 ==", format!("{message}.{signature}==")),
        ("JW-30 inner tab", format!("{message}\t.{signature}")),
        ("JW-30 std alphabet", good.replace(['-', '_'], "+")),
        (
            "JW-32 JWE",
            format!("{head}.{claims}.{signature}.{head}.{claims}"),
        ),
        (
            "JW-32 JSON",
            json!({ "payload": claims, "protected": head, "signature": signature }).to_string(),
        ),
        ("JW-32 two parts", "a.b".to_owned()),
        ("JW-32 four parts", "a.b.c.d".to_owned()),
        ("JW-32 dots", "...".to_owned()),
        ("JW-33 big", format!("{head}.{big}.{signature}")),
        ("JW-33 big header", format!("{big}.{claims}.{signature}")),
    ];
    cases.extend(twins.into_iter().map(|twin| ("JW-30 twin", twin)));
    let cases = cases
        .into_iter()
        .map(|(case, token)| (case.to_owned(), token));
    all_refused(&world, cases).await;
    assert_eq!(world.status("whoami", &good).await, 200);
}

/// JW-34, JW-35: one token, in one place, in one form.
#[tokio::test]
async fn jw_34_jw_35_places() {
    let world = World::new().await;
    let good = world.idp.token(json!({}));
    let evil = world.idp.mint().signed_by(Signer::Foreign).sign();
    let with = |value: &str| bare("whoami").header("authorization", value);
    for (case, ask) in [
        (
            "two headers",
            with(&format!("Bearer {evil}")).also("authorization", format!("Bearer {good}")),
        ),
        (
            "two good headers",
            with(&format!("Bearer {good}")).also("authorization", format!("Bearer {good}")),
        ),
        ("a list", with(&format!("Bearer {evil}, Bearer {good}"))),
        (
            "a good list",
            with(&format!("Bearer {good}, Bearer {good}")),
        ),
        ("basic", with("Basic YWRhOmFkYQ==")),
        ("a tab", with(&format!("Bearer\t{good}"))),
        ("no scheme", with(&good)),
        ("no token", with("Bearer ")),
    ] {
        assert_invalid(&ask.send(&world.server).await, &format!("JW-34 {case}"));
    }
    for scheme in ["bearer", "BEARER"] {
        let reply = with(&format!("{scheme} {good}")).send(&world.server).await;
        assert_eq!(reply.status, 200, "JW-34 {scheme}");
    }
    for (case, ask) in [
        (
            "query",
            bare("whoami").uri(&format!("/mcp?access_token={good}")),
        ),
        (
            "cookie",
            bare("whoami").header("cookie", &format!("access_token={good}")),
        ),
    ] {
        assert_eq!(ask.send(&world.server).await.status, 401, "JW-35 {case}");
    }
    let form = bare("whoami")
        .header("content-type", "application/x-www-form-urlencoded")
        .with_body(format!("access_token={good}"));
    assert_eq!(form.send(&world.server).await.status, 415, "JW-35 form");
}

/// JW-36: a remembered token vouches for itself, to its last letter.
#[tokio::test]
async fn jw_36_a_remembered_token_vouches_for_no_other() {
    let world = World::new().await;
    let good = world
        .idp
        .token(json!({ "sub": "u_admin", "scope": "mcp:admin" }));
    assert_eq!(world.status("wipe", &good).await, 200);
    let (message, signature) = good.rsplit_once('.').unwrap();
    let other = world
        .idp
        .token(json!({ "sub": "u_root", "scope": "mcp:admin" }));
    let (other_message, other_signature) = other.rsplit_once('.').unwrap();
    assert_eq!(
        good[..200],
        other[..200],
        "alike for as far as a lazy key reads"
    );
    for (case, token) in [
        ("the same beginning", format!("{other_message}.{signature}")),
        ("another signature", format!("{message}.{other_signature}")),
    ] {
        assert_invalid(&world.call("wipe", &token).await, &format!("JW-36 {case}"));
    }
}

/// JW-37: remembered for 55 seconds, but not beyond its end.
#[tokio::test]
async fn jw_37_a_remembered_token_ends() {
    let world = World::new().await;
    let brief = world.idp.mint().claim("exp", world.now() + 5).sign();
    assert_eq!(world.status("whoami", &brief).await, 200);
    world.wait(34);
    assert_eq!(
        world.status("whoami", &brief).await,
        200,
        "within the leeway"
    );
    world.wait(1);
    assert_invalid(&world.call("whoami", &brief).await, "JW-37");
}

/// JW-38 and JW-39: however many tokens come, those that are good stay good, and memory stays what
/// it was.
#[tokio::test]
async fn jw_38_jw_39_floods() {
    if !alone("jwt::jw_38_jw_39_floods") {
        return;
    }
    let world = World::with(|idp| Jwt::discover(idp.issuer()).egress(local())).await;
    world.idp.publish([Signer::First, Signer::Ed25519]);
    let good = world.idp.token(json!({}));
    assert_eq!(world.status("whoami", &good).await, 200);
    let send = async |token: &str| {
        let ask = bare("whoami").header("authorization", &format!("Bearer {token}"));
        ask.send(&world.server).await.status
    };
    let (message, _) = good.rsplit_once('.').unwrap();
    let mut chance = SmallRng::seed_from_u64(39);
    let before = resident_kib();
    for n in 0..50_000 {
        let noise: String = (0..43).map(|_| chance.random_range('a'..='z')).collect();
        let token = match n % 10 {
            0 => format!("{message}.{noise}"),
            1..5 => format!("{noise}.{noise}.{noise}"),
            _ => noise,
        };
        assert_eq!(send(&token).await, 401, "JW-39 {token}");
    }
    assert_eq!(world.idp.hits(Endpoint::Jwks), 1, "JW-39");
    world.idp.fail(Endpoint::Metadata, Fault::Status(500));
    assert_eq!(send(&good).await, 200, "JW-39 remembered");
    for n in 0..5_000 {
        let token = world.idp.mint().claim("n", n).signed_by(Signer::Ed25519);
        assert_eq!(send(&token.sign()).await, 200, "JW-38 {n}");
    }
    let grown = resident_kib().saturating_sub(before);
    assert!(grown < 10 << 10, "JW-38, JW-39: {grown} KiB more");
}

/// JW-41: however many come at once, the issuer is asked once.
#[tokio::test]
async fn jw_41_a_stampede() {
    let world = World::new().await;
    let mut calls = JoinSet::new();
    for n in 0..200 {
        let token = world.idp.token(json!({ "n": n }));
        let server = world.server.clone();
        calls.spawn(async move {
            let ask = bare("whoami").header("authorization", &format!("Bearer {token}"));
            ask.send(&server).await.status
        });
    }
    let answers = calls.join_all().await;
    assert!(answers.iter().all(|status| *status == 200), "{answers:?}");
    assert_eq!(world.idp.hits(Endpoint::Jwks), 1, "JW-41");
    assert_eq!(world.idp.hits(Endpoint::Metadata), 1, "JW-41");
}

/// JW-42 and JW-43: a key that appears is found at once, one that goes is gone when keys get old.
#[tokio::test]
async fn jw_42_jw_43_rotation() {
    let world = World::with(|idp| {
        Jwt::discover(idp.issuer())
            .egress(local())
            .keep_keys(Duration::from_secs(5), Duration::ZERO)
    })
    .await;
    let old = world.idp.token(json!({}));
    assert_eq!(world.status("whoami", &old).await, 200);
    world.idp.rotate();
    let new = world.idp.token(json!({}));
    assert_eq!(world.status("whoami", &new).await, 200, "JW-42");
    assert_eq!(world.status("whoami", &old).await, 200, "JW-42");
    world.idp.publish([Signer::Second]);
    world.wait(7);
    assert_invalid(&world.call("whoami", &old).await, "JW-43");
    assert_eq!(world.status("whoami", &new).await, 200, "JW-43");
}

/// JW-44, JW-46: whatever happens to the keys, nobody gets in; and when it is over, they do.
#[tokio::test]
async fn jw_44_jw_46_faults_of_the_issuer() {
    let world = World::new().await;
    let good = world.idp.token(json!({}));
    let attacker = IdentityProvider::start(world.clock.clone(), RESOURCE)
        .await
        .unwrap();
    let key = world.idp.jwk(Signer::First);
    let mut private = key.clone();
    private["d"] = json!("AQAB");
    let mut encrypts = key.clone();
    encrypts["use"] = json!("enc");
    let mut weak = key.clone();
    weak["n"] = json!("AQAB");
    let json = |body: Value| Fault::Json(body.to_string());
    let keys = |keys: Value| json(serde_json::json!({ "keys": keys }));
    let named =
        |issuer: &str, at: String| json(serde_json::json!({ "issuer": issuer, "jwks_uri": at }));
    let here = world.idp.issuer().to_owned();
    let faults = [
        (Endpoint::Jwks, Fault::Status(500)),
        (Endpoint::Jwks, Fault::Status(404)),
        (Endpoint::Jwks, Fault::Html),
        (Endpoint::Jwks, Fault::Huge),
        (
            Endpoint::Jwks,
            Fault::Redirect(attacker.url(Endpoint::Jwks)),
        ),
        (Endpoint::Jwks, keys(json!([]))),
        (Endpoint::Jwks, keys(json!([private]))),
        (Endpoint::Jwks, keys(json!([encrypts]))),
        (Endpoint::Jwks, keys(json!([weak]))),
        (Endpoint::Jwks, keys(json!(vec![key.clone(); 101]))),
        (Endpoint::Jwks, Fault::Json("{\"keys\":".to_owned())),
        (
            Endpoint::Jwks,
            Fault::Json(format!("{{\"keys\":[],\"keys\":[{key}]}}")),
        ),
        (Endpoint::Metadata, Fault::Status(500)),
        (Endpoint::Metadata, Fault::Status(404)),
        (
            Endpoint::Metadata,
            Fault::Redirect(attacker.url(Endpoint::Metadata)),
        ),
        (
            Endpoint::Metadata,
            named("https://as.example.com", world.idp.url(Endpoint::Jwks)),
        ),
        (
            Endpoint::Metadata,
            named(&here, "file:///etc/passwd".to_owned()),
        ),
        (
            Endpoint::Metadata,
            named(&here, "http://169.254.169.254/keys".to_owned()),
        ),
        (
            Endpoint::Metadata,
            named(&here, "https://10.0.0.1/keys".to_owned()),
        ),
        (
            Endpoint::Metadata,
            named(&here, "https://[fd00:ec2::254]/keys".to_owned()),
        ),
        (
            Endpoint::Metadata,
            json(serde_json::json!({ "issuer": here })),
        ),
    ];
    for (endpoint, fault) in faults {
        let case = format!("JW-44 {endpoint:?} {:.60}", format!("{fault:?}"));
        world.idp.fail(endpoint, fault);
        assert_unavailable(&world.call("whoami", &good).await, &case);
        world.idp.mend(endpoint);
        // Not tried again by every request.
        let asked = world.idp.hits(Endpoint::Metadata);
        assert_unavailable(&world.call("whoami", &good).await, &case);
        assert_eq!(world.idp.hits(Endpoint::Metadata), asked, "{case}");
        world.wait(6);
    }
    assert_eq!(world.status("whoami", &good).await, 200, "it is over");
    assert_eq!(
        attacker.hits(Endpoint::Jwks) + attacker.hits(Endpoint::Metadata),
        0
    );
}

/// JW-44: an issuer that does not answer holds nobody up for long, and nobody who hangs up takes
/// the fetch down for others.
#[tokio::test]
async fn jw_44_an_issuer_that_hangs() {
    let world = World::new().await;
    let good = world.idp.token(json!({}));
    world.idp.fail(Endpoint::Jwks, Fault::Hang);
    let since = Instant::now();
    let ask = bare("whoami").header("authorization", &format!("Bearer {good}"));
    let impatient = tokio::time::timeout(Duration::from_millis(100), ask.send(&world.server));
    assert!(impatient.await.is_err(), "JW-44 nothing to say yet");
    assert_unavailable(&ask.send(&world.server).await, "JW-44");
    assert!(
        since.elapsed() < Duration::from_secs(6),
        "JW-44 {:?}",
        since.elapsed()
    );
    assert_eq!(
        world.idp.hits(Endpoint::Jwks),
        1,
        "JW-44 one fetch for both"
    );
}

/// Keys are renewed before they are old, and serve no longer than was allowed.
#[tokio::test]
async fn keys_get_old() {
    for (stale, later) in [(0, 503), (600, 200)] {
        let world = World::with(|idp| {
            let (fresh, stale) = (Duration::from_secs(3_600), Duration::from_secs(stale));
            Jwt::discover(idp.issuer())
                .egress(local())
                .keep_keys(fresh, stale)
        })
        .await;
        let token = |n: i64| world.idp.token(json!({ "n": n }));
        assert_eq!(world.status("whoami", &token(1)).await, 200);
        world.idp.fail(Endpoint::Metadata, Fault::Status(500));
        world.wait(3_100);
        assert_eq!(world.status("whoami", &token(2)).await, 200, "still fresh");
        let patience = Instant::now() + Duration::from_secs(5);
        while world.idp.hits(Endpoint::Metadata) < 2 {
            assert!(Instant::now() < patience, "nobody renews the keys");
            tokio::task::yield_now().await;
        }
        world.wait(600);
        assert_eq!(
            world.status("whoami", &token(3)).await,
            later,
            "stale {stale}"
        );
        world.wait(3_600);
        assert_eq!(world.status("whoami", &token(4)).await, 503, "too old");
    }
}

/// A token outlives its key for as long as it is remembered, and no longer.
#[tokio::test]
async fn tokens_are_remembered_for_as_long_as_is_said() {
    for (remembered, status) in [(0, 401), (20, 200)] {
        let world = World::with(|idp| {
            Jwt::discover(idp.issuer())
                .egress(local())
                .remember(Duration::from_secs(remembered))
        })
        .await;
        let token = world.idp.token(json!({}));
        assert_eq!(world.status("whoami", &token).await, 200);
        world.idp.publish([Signer::Second]);
        let unknown = world.idp.mint().signed_by(Signer::Second).sign();
        assert_eq!(world.status("whoami", &unknown).await, 200, "a look for it");
        assert_eq!(world.status("whoami", &token).await, status, "{remembered}");
        world.wait(20);
        assert_invalid(&world.call("whoami", &token).await, "forgotten");
    }
}

/// JW-54, JW-56: a scope is a scope of the token, whatever else the request claims.
#[tokio::test]
async fn jw_54_jw_56_step_up() {
    let world = World::new().await;
    let reader = world
        .idp
        .token(json!({ "sub": "u_reader", "scope": "mcp:read" }));
    let bearer = format!("Bearer {reader}");
    let params = json!({
        "name": "wipe", "arguments": {},
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": {},
            "role": "admin", "scope": "mcp:admin",
        },
    });
    let asks = [
        call(MODERN, "wipe", json!({})),
        Ask::modern("tools/call", params),
        call(MODERN, "wipe", json!({}))
            .also("x-user-role", "admin")
            .also("x-forwarded-user", "admin@example.com")
            .also("x-scope", "mcp:admin"),
    ];
    for ask in asks {
        let reply = ask
            .header("authorization", &bearer)
            .send(&world.server)
            .await;
        let challenge = header(&reply, "www-authenticate").unwrap_or_default();
        assert_eq!(reply.status, 403, "JW-54");
        assert!(
            challenge.contains("error=\"insufficient_scope\""),
            "JW-54 {challenge}"
        );
        assert!(
            challenge.contains("scope=\"mcp:admin\""),
            "JW-54 {challenge}"
        );
    }
}

/// JW-55: what looks like a scope is none.
#[tokio::test]
async fn jw_55_scopes() {
    let world = World::new().await;
    for scope in [
        json!("mcp:admin2"),
        json!("MCP:ADMIN"),
        json!("xmcp:admin"),
        json!("mcp:admin\u{a0}"),
        json!("mcp:read\u{a0}mcp:admin"),
        json!("mcp:read,mcp:admin"),
        json!("mcp:read\tmcp:admin"),
        json!(["mcp:read mcp:admin"]),
        json!([["mcp:admin"]]),
        json!({ "mcp:admin": true }),
        json!(true),
        Value::Null,
    ] {
        for claim in ["scope", "scp", "scopes"] {
            let token = world.idp.token(json!({ claim: scope }));
            assert_eq!(
                world.status("wipe", &token).await,
                403,
                "JW-55 {claim} {scope}"
            );
        }
    }
    for claims in [
        json!({ "scope": "mcp:read mcp:admin" }),
        json!({ "scp": ["mcp:read", "mcp:admin"] }),
        json!({ "scp": "mcp:admin" }),
        json!({ "scopes": ["mcp:admin"] }),
        json!({ "scope": "openid", "scopes": "mcp:admin" }),
    ] {
        let token = world.idp.token(claims.clone());
        assert_eq!(world.status("wipe", &token).await, 200, "{claims}");
    }
}

/// JW-59: a tool never sees the token, so that it cannot pass it on.
#[tokio::test]
async fn jw_59_no_tool_sees_the_token() {
    let world = World::new().await;
    let token = world.idp.token(json!({ "secret": "CNRY" }));
    let who = world.who(&token).await.to_string();
    let (_, signature) = token.rsplit_once('.').unwrap();
    assert!(
        !who.contains(signature) && !who.contains("CNRY"),
        "JW-59 {who}"
    );
}

#[tokio::test]
async fn claims_are_read_as_configured() {
    let world = World::with(|idp| {
        Jwt::discover(idp.issuer())
            .egress(local())
            .audience("api://orders")
            .role_claim("/realm_access/roles")
            .tenant_claim("org_id")
            .scope_map("orders", ["orders:read", "orders:write"])
            .implies("orders:write", ["orders:list"])
            .implies("orders:list", ["mcp:read", "orders:write"])
    })
    .await;
    let token = world.idp.token(json!({
        "aud": "api://orders",
        "realm_access": { "roles": ["chief", 5, "deputy"] },
        "roles": ["root"],
        "org_id": "org_a",
        "scope": "orders other",
        "email_verified": "true",
    }));
    let who = world.who(&token).await;
    assert_eq!(who["roles"], json!(["chief", "deputy"]));
    assert_eq!(who["tenant"], "org_a");
    assert_eq!(
        who["scopes"],
        json!([
            "mcp:read",
            "orders:list",
            "orders:read",
            "orders:write",
            "other"
        ])
    );
    assert_eq!(who["email"], Value::Null, "only what is verified");
    assert_eq!(world.status("ranked", &token).await, 200);
    // Where an audience is named, the public URL is none.
    let cases = [
        row("public URL", world.idp.mint()),
        row(
            "tenant",
            world
                .idp
                .mint()
                .claim("aud", "api://orders")
                .claim("org_id", 5),
        ),
    ];
    for (case, token) in cases {
        assert_invalid(&world.call("whoami", &token).await, &case);
    }
}

/// What can be set, is: the longest life and the kinds of token.
#[tokio::test]
async fn settings_are_kept_to() {
    let world = World::with(|idp| {
        Jwt::discover(idp.issuer())
            .egress(local())
            .max_lifetime(Duration::from_secs(600))
            .token_types(["Service+JWT"])
    })
    .await;
    let mint = || world.idp.mint().header("typ", "service+jwt");
    let good = mint().sign();
    assert_eq!(world.status("whoami", &good).await, 200);
    let long = mint().claim("exp", world.now() + 631).sign();
    assert_invalid(&world.call("whoami", &long).await, "too long a life");
    assert_invalid(&world.call("whoami", &world.idp.mint().sign()).await, "typ");
}

/// Through a socket, with heads as clients write them.
#[tokio::test]
async fn jw_33_jw_34_over_a_socket() {
    let clock = crate::clock();
    let idp = IdentityProvider::start(clock.clone(), RESOURCE)
        .await
        .unwrap();
    let auth = Jwt::discover(idp.issuer()).egress(local());
    let live = Live::start(builder().clock(clock).auth(auth).build().unwrap()).await;
    let good = idp.token(json!({}));
    let with = |value: &str| bare("whoami").header("authorization", value);
    let bearer = format!("Bearer {good}");
    let rows = [
        ("good", with(&bearer), vec![200]),
        (
            "two",
            with(&bearer).also("authorization", &bearer),
            vec![401],
        ),
        ("tab", with(&format!("Bearer\t{good}")), vec![401]),
        (
            "JW-33",
            with(&format!("Bearer {}", "A".repeat(64 << 10))),
            vec![401, 431],
        ),
        ("none", bare("whoami"), vec![401]),
    ];
    for (case, ask, expected) in rows {
        let answer = live.exchange(&ask.bytes()).await;
        assert!(expected.contains(&status(&answer)), "{case}: {answer}");
        assert!(!answer.contains(&good), "{case}: shows the token");
    }
    live.stop().await;
}

/// Two issuers with the same names for their keys stay apart, and so do their users.
#[tokio::test]
async fn several_issuers() {
    let clock = crate::clock();
    let start = || IdentityProvider::start(clock.clone(), RESOURCE);
    let (first, second) = (start().await.unwrap(), start().await.unwrap());
    second.rotate();
    second.publish([Signer::Second]);
    let auth = Jwt::discover(first.issuer())
        .issuer(second.issuer())
        .jwks_url(second.url(Endpoint::Jwks))
        .tenant_claim("org")
        .egress(local());
    let server = TestServer::new(builder().clock(clock.clone()).auth(auth)).unwrap();
    let world = |idp| World {
        idp,
        clock: clock.clone(),
        server: server.clone(),
    };
    let (first, second) = (world(first), world(second));
    let claims = json!({ "sub": "ada", "org": "a" });
    let tokens = [first.idp.token(claims.clone()), second.idp.token(claims)];
    let who = [first.who(&tokens[0]).await, second.who(&tokens[1]).await];
    assert_eq!(who[0]["issuer"], first.idp.issuer());
    assert_eq!(who[1]["issuer"], second.idp.issuer());
    assert_eq!(
        (&who[0]["tenant"], &who[1]["tenant"]),
        (&Value::Null, &json!("a"))
    );
    assert_eq!(
        second.idp.hits(Endpoint::Metadata),
        0,
        "its keys have a URL"
    );
    // The one cannot speak for the other.
    let crossed = first.idp.mint().claim("iss", second.idp.issuer()).sign();
    assert_invalid(&first.call("whoami", &crossed).await, "crossed");
}

/// An issuer with a path, whose metadata is where RFC 8414 puts it and nowhere else.
#[tokio::test]
async fn metadata_of_an_issuer_with_a_path() {
    let clock = crate::clock();
    let idp = IdentityProvider::start(clock.clone(), RESOURCE)
        .await
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!("http://{}/tenant", listener.local_addr().unwrap());
    let metadata = json!({ "issuer": issuer, "jwks_uri": idp.url(Endpoint::Jwks) }).to_string();
    let place = axum::routing::get(|| async {
        (
            [("content-type", "application/json; charset=utf-8")],
            metadata,
        )
    });
    let site = axum::Router::new().route("/.well-known/oauth-authorization-server/tenant", place);
    let served = tokio::spawn(async { axum::serve(listener, site).await });
    let auth = prepared(Jwt::discover(&issuer).egress(local()), &clock);
    let token = idp.token(json!({ "iss": issuer }));
    let caller = auth.authenticate(&token).await.unwrap();
    assert_eq!(caller.principal().unwrap().issuer(), issuer);
    served.abort();
}

/// Static tokens beside those of an issuer: each is checked by what takes it.
#[tokio::test]
async fn any_of_asks_who_knows() {
    let world = World::with(|idp| {
        let service = StaticTokens::new().token("service-token-0123456789", Caller::user("batch"));
        any_of(service).or(Jwt::discover(idp.issuer()).egress(local()))
    })
    .await;
    assert_eq!(
        world.who("service-token-0123456789").await["subject"],
        "batch"
    );
    assert_eq!(
        world.who(&world.idp.token(json!({}))).await["subject"],
        "ada"
    );
    for bad in ["service-token-012345678", "garbage", "ey.ey.ey"] {
        assert_invalid(&world.call("open", bad).await, bad);
    }
    // Unavailable is not the same as unknown; and one way that fails takes nothing from another.
    world.wait(3_601);
    world.idp.fail(Endpoint::Metadata, Fault::Status(500));
    assert_unavailable(
        &world.call("open", &world.idp.token(json!({}))).await,
        "down",
    );
    assert_invalid(&world.call("open", "garbage").await, "not a JWT");
    assert_eq!(world.status("open", "service-token-0123456789").await, 200);
}

/// What would not be safe is not built; all of it is said at once.
#[test]
fn unsafe_settings_are_not_built() {
    let problems = |server: Server| server.build().err().map(|error| error.to_string());
    let rows = [
        (
            Jwt::discover("http://as.example.com"),
            "does not start with `https://`",
        ),
        (Jwt::discover("http://127.0.0.1:9000"), "allow_loopback()"),
        (Jwt::discover("https://127.0.0.1:9000"), "not public"),
        (Jwt::discover("https://10.0.0.1"), "allow_private()"),
        (
            Jwt::discover("https://169.254.169.254").egress(Egress::new().allow_private()),
            "not public",
        ),
        (
            Jwt::discover("http://10.0.0.1").egress(Egress::new().allow_private()),
            "does not start",
        ),
        (
            Jwt::discover("http://example.com").egress(local()),
            "does not start",
        ),
        (Jwt::discover("as.example.com"), "is not a URL"),
        (Jwt::discover("file:///etc/passwd"), "does not start"),
        (Jwt::discover("https://as.example.com?x=y"), "has a query"),
        (Jwt::discover("https://as.example.com#x"), "has a fragment"),
        (
            Jwt::discover("https://ada:CNRY@as.example.com").jwks_url("https://x:CNRY@y"),
            "leave them out",
        ),
        (
            Jwt::discover("https://as.example.com").algorithms([]),
            "has no algorithms",
        ),
        (
            Jwt::discover("https://as.example.com").audience(""),
            "empty audience",
        ),
        (
            Jwt::discover("https://as.example.com").issuer("https://as.example.com"),
            "named twice",
        ),
        (
            Jwt::discover("https://as.example.com").jwks_url("http://as.example.com/jwks"),
            "does not start",
        ),
    ];
    for (auth, expected) in rows {
        let said = problems(builder().auth(auth)).unwrap_or_default();
        assert!(
            said.contains(expected),
            "expected {expected:?}, not {said:?}"
        );
    }
    let both = any_of(Jwt::discover("http://a.example.com")).or(Jwt::discover("b.example.com"));
    let said = problems(builder().auth(both)).unwrap_or_default();
    for expected in [
        "`http://a.example.com` does not start",
        "`b.example.com` is not a URL",
    ] {
        assert!(said.contains(expected), "all of them: {said}");
    }
    let nobody = Server::new(tools![]).auth(Jwt::discover("https://as.example.com"));
    let said = problems(nobody).unwrap_or_default();
    assert!(said.contains("has no audience"), "{said}");
    assert!(problems(builder().auth(Jwt::discover("https://as.example.com"))).is_none());
}

/// A name is as good as the addresses behind it.
#[tokio::test]
async fn a_name_for_this_machine_is_not_a_way_in() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let issuer = format!(
        "https://localhost:{}",
        listener.local_addr().unwrap().port()
    );
    let clock = crate::clock();
    let auth = prepared(Jwt::discover(&issuer), &clock);
    let idp = IdentityProvider::start(clock.clone(), RESOURCE)
        .await
        .unwrap();
    let token = idp.token(json!({ "iss": issuer }));
    assert_eq!(auth.authenticate(&token).await, Err(AuthError::Unavailable));
    let visited = tokio::time::timeout(Duration::from_millis(50), listener.accept()).await;
    assert!(visited.is_err(), "a connection was made");
}

/// Nobody is let in by what was never told for whom it works.
#[tokio::test]
async fn unprepared_means_shut() {
    let clock = crate::clock();
    let idp = IdentityProvider::start(clock, RESOURCE).await.unwrap();
    let auth = Jwt::discover(idp.issuer()).egress(local());
    let outcome = auth.authenticate(&idp.token(json!({}))).await;
    assert_eq!(outcome, Err(AuthError::Unavailable));
}

/// Mutations of good tokens: none is accepted. A million of them with `MCP_MUTATIONS=1000000`.
#[tokio::test]
async fn no_mutation_of_a_good_token_is_accepted() {
    let mutations = std::env::var("MCP_MUTATIONS")
        .ok()
        .and_then(|n| n.parse().ok());
    let mutations: u32 = mutations.unwrap_or(100_000);
    let clock = crate::clock();
    let idp = IdentityProvider::start(clock.clone(), RESOURCE)
        .await
        .unwrap();
    idp.publish([Signer::First, Signer::Ed25519, Signer::P256]);
    let auth = prepared(Jwt::discover(idp.issuer()).egress(local()), &clock);
    let good: Vec<String> = [
        Signer::Ed25519,
        Signer::Ed25519,
        Signer::First,
        Signer::P256,
    ]
    .into_iter()
    .enumerate()
    .map(|(n, signer)| idp.mint().claim("n", n).signed_by(signer).sign())
    .collect();
    for token in &good {
        assert!(auth.authenticate(token).await.is_ok(), "good to begin with");
    }
    let mut chance = SmallRng::seed_from_u64(0x6a77_7473);
    let mut tried = 0;
    while tried < mutations {
        let token = mutated(&good, &mut chance);
        if good.contains(&token) {
            continue;
        }
        tried += 1;
        let outcome = auth.authenticate(&token).await;
        assert_eq!(
            outcome,
            Err(AuthError::Invalid),
            "mutation {tried}: {token}"
        );
    }
    assert_eq!(
        idp.hits(Endpoint::Jwks),
        2,
        "one fetch, and one look for an unknown key"
    );
}

/// One to three changes to one of the tokens.
fn mutated(good: &[String], chance: &mut SmallRng) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ";
    let pick = |chance: &mut SmallRng| good[chance.random_range(0..good.len())].clone();
    let mut token = pick(chance).into_bytes();
    for _ in 0..chance.random_range(1..=3) {
        let at = chance.random_range(0..token.len().max(1));
        let letter = LETTERS[chance.random_range(0..LETTERS.len())];
        match chance.random_range(0..9) {
            0 if at < token.len() => token[at] = letter,
            1 if at < token.len() => token[at] ^= 1 << chance.random_range(0..7),
            2 => token.insert(at, letter),
            3 if at < token.len() => _ = token.remove(at),
            4 => token.truncate(at),
            5 => {
                let other = pick(chance);
                token.truncate(at);
                token.extend(other.bytes().skip(at));
            }
            6 => swap_parts(&mut token, &pick(chance), chance.random_range(0..3)),
            7 => {
                let mut parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
                let (a, b) = (
                    chance.random_range(0..parts.len()),
                    chance.random_range(0..parts.len()),
                );
                parts.swap(a, b);
                token = parts.join(&b'.');
            }
            _ => token.extend_from_within(at..),
        }
    }
    // Only what a header can carry arrives at all.
    String::from_utf8_lossy(&token).into_owned()
}

/// Puts a part of another token into the place of this one's.
fn swap_parts(token: &mut Vec<u8>, other: &str, at: usize) {
    let mut parts: Vec<&[u8]> = token.split(|byte| *byte == b'.').collect();
    if let (Some(part), Some(other)) = (parts.get_mut(at), other.split('.').nth(at)) {
        *part = other.as_bytes();
    }
    *token = parts.join(&b'.');
}
