use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD as BASE64;
use mcp_runtime::confirm::{Confirm, ConfirmError, KeyError, Keys, MAX_TOKEN};
use mcp_runtime::store::{
    MemoryStore, Store, StoreError, StoreErrorKind, StoreFuture, Subscription,
};
use mcp_runtime::{Clock, Rate};
use serde_json::{Value, json};

use crate::clock;

const OWNER: &str = "https://idp.example|admin|org_a";
const SEND: &str = "invites_send";
const TTL: Duration = Duration::from_secs(1800);
const OLD: &[u8] = b"an old secret of at least 32 bytes";
const NEW: &[u8] = b"a new secret, also of at least 32 bytes";

#[tokio::test]
async fn what_was_previewed_is_what_gets_executed() {
    let (confirm, clock) = confirm();
    let issued = confirm.issue(OWNER, SEND, &payload(), TTL).unwrap();
    assert_eq!(issued.expires_at, clock.now() + TTL);

    let opened = confirm.open(OWNER, SEND, &issued.token).unwrap();
    assert_eq!(opened.payload(), &payload());
    assert_eq!(opened.expires_at(), issued.expires_at);
    confirm.redeem(&opened, "call 1").await.unwrap();
}

/// The digest and the signature were computed by another program, following the contract.
#[test]
fn a_token_has_the_shape_of_the_contract() {
    let clock = clock();
    let confirm = confirm_with(Keys::new("k1", NEW).unwrap(), &clock);
    let payload = json!({"b": [1.5, null, {"z": "é", "a": true}], "a": "x"});
    let issued = confirm.issue("admin", SEND, &payload, TTL).unwrap();

    let json = String::from_utf8(BASE64.decode(&issued.token).unwrap()).unwrap();
    assert_eq!(
        json,
        concat!(
            r#"{"actor_id":"admin","expires_at":"2026-01-01T00:30:00Z","kid":"k1","#,
            r#""operation":"invites_send","#,
            r#""payload":{"a":"x","b":[1.5,null,{"a":true,"z":"é"}]},"#,
            r#""payload_hash":"5f9493798da070238c16df9902880ba225cbaacba0b02b6850a25ad7d2794ee2","#,
            r#""signature":"ac6e7182507d415a00c9e11f52ff467c972c192f3d37a95b87ed2b41c97f0669","v":1}"#
        )
    );
}

#[test]
fn a_well_signed_token_of_another_version_is_refused() {
    use hmac::{Hmac, KeyInit, Mac};
    let confirm = confirm_with(Keys::new("k1", NEW).unwrap(), &clock());
    let token = confirm.issue("admin", SEND, &payload(), TTL).unwrap().token;
    for (version, accepted) in [(1, true), (0, false), (2, false)] {
        let mut fields = fields(&token);
        let hash = fields["payload_hash"].as_str().unwrap();
        let message = format!("{hash}|admin|2026-01-01T00:30:00Z|{SEND}|k1|{version}");
        let mac = Hmac::<sha2::Sha256>::new_from_slice(NEW)
            .unwrap()
            .chain_update(message);
        let mac = mac.finalize().into_bytes();
        let signature: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        fields["signature"] = json!(signature);
        fields["v"] = json!(version);
        let result = confirm.open("admin", SEND, &BASE64.encode(fields.to_string()));
        let result = result.map(drop).map_err(|error| error.reason());
        assert_eq!(
            result,
            if accepted {
                Ok(())
            } else {
                Err("invalid_signature")
            },
            "{version}"
        );
    }
}

#[test]
fn the_prefix_is_tolerated() {
    let (confirm, _) = confirm();
    let token = confirm.issue(OWNER, SEND, &payload(), TTL).unwrap().token;
    confirm.open(OWNER, SEND, &format!("ctok_{token}")).unwrap();
    let twice = confirm.open(OWNER, SEND, &format!("ctok_ctok_{token}"));
    assert_eq!(twice.unwrap_err().reason(), "invalid_format");
}

#[test]
fn no_payload_is_changed_on_the_way() {
    let (confirm, _) = confirm();
    let payloads = [
        json!(null),
        json!(""),
        json!([
            0.1,
            1e300,
            5e-324,
            1.0,
            -0.0,
            123456789.12345679,
            0.30000000000000004
        ]),
        json!({"min": i64::MIN, "max": u64::MAX}),
        json!({"": {"\"\\\u{0}\u{2028}🦀": []}}),
    ];
    for payload in payloads {
        let token = confirm.issue(OWNER, SEND, &payload, TTL).unwrap().token;
        assert_eq!(
            confirm.open(OWNER, SEND, &token).unwrap().payload(),
            &payload
        );
    }
}

#[test]
fn a_token_changed_in_any_byte_is_refused() {
    let (confirm, _) = confirm();
    let token = confirm.issue(OWNER, SEND, &payload(), TTL).unwrap().token;
    let json = BASE64.decode(&token).unwrap();

    for position in 0..token.len() {
        for bit in 0..7 {
            let mut changed = token.clone().into_bytes();
            changed[position] ^= 1 << bit;
            let changed = String::from_utf8(changed).unwrap();
            assert!(
                confirm.open(OWNER, SEND, &changed).is_err(),
                "{position}/{bit}: {changed}"
            );
        }
    }
    for position in 0..json.len() {
        for bit in 0..8 {
            let mut changed = json.clone();
            changed[position] ^= 1 << bit;
            let changed = BASE64.encode(changed);
            assert!(
                confirm.open(OWNER, SEND, &changed).is_err(),
                "{position}/{bit}: {changed}"
            );
        }
    }
    for length in 0..token.len() {
        let error = confirm.open(OWNER, SEND, &token[..length]).unwrap_err();
        assert_eq!(error.reason(), "invalid_format", "cut to {length} bytes");
    }
}

#[test]
fn an_edited_field_is_told_apart() {
    let (confirm, _) = confirm();
    let token = confirm.issue(OWNER, SEND, &payload(), TTL).unwrap().token;
    let hash = |text: &str| {
        use sha2::Digest;
        Value::from(
            sha2::Sha256::digest(text)
                .iter()
                .map(|b| format!("{b:02x}"))
                .collect::<String>(),
        )
    };
    let upper = |field: &str| Value::from(fields(&token)[field].as_str().unwrap().to_uppercase());

    #[rustfmt::skip]
    let cases: &[(&[(&str, Value)], &str)] = &[
        (&[("payload", json!({"emails": ["evil@example.test"]}))], "MCP_TOKEN_PAYLOAD_MISMATCH"),
        (&[("payload", json!({})), ("payload_hash", hash("{}"))], "MCP_TOKEN_INVALID_SIGNATURE"),
        (&[("payload_hash", hash("{}"))], "MCP_TOKEN_PAYLOAD_MISMATCH"),
        (&[("payload_hash", upper("payload_hash"))], "MCP_TOKEN_PAYLOAD_MISMATCH"),
        (&[("payload_hash", json!(""))], "MCP_TOKEN_PAYLOAD_MISMATCH"),
        (&[("payload_hash", json!(7))], "MCP_TOKEN_INVALID_FORMAT"),
        (&[("actor_id", json!("mallory"))], "MCP_TOKEN_INVALID_SIGNATURE"),
        (&[("expires_at", json!("2099-01-01T00:00:00Z"))], "MCP_TOKEN_INVALID_SIGNATURE"),
        (&[("expires_at", json!("never"))], "MCP_TOKEN_INVALID_SIGNATURE"),
        (&[("operation", json!("delete_proxy"))], "MCP_TOKEN_INVALID_SIGNATURE"),
        (&[("kid", json!("k9"))], "MCP_TOKEN_INVALID_SIGNATURE"),
        (&[("v", json!(2))], "MCP_TOKEN_INVALID_SIGNATURE"),
        (&[("v", json!("1"))], "MCP_TOKEN_INVALID_FORMAT"),
        (&[("signature", hash("{}"))], "MCP_TOKEN_INVALID_SIGNATURE"),
        (&[("signature", upper("signature"))], "MCP_TOKEN_INVALID_SIGNATURE"),
        (&[("signature", json!(""))], "MCP_TOKEN_INVALID_SIGNATURE"),
        (&[("extra", json!(1))], "MCP_TOKEN_INVALID_FORMAT"),
    ];
    for (edits, code) in cases {
        let mut fields = fields(&token);
        for (field, value) in *edits {
            fields[*field] = value.clone();
        }
        let edited = BASE64.encode(fields.to_string());
        let error = confirm.open(OWNER, SEND, &edited).unwrap_err();
        assert_eq!(error.code(), *code, "{edits:?}");
    }
}

#[test]
fn what_is_no_token_is_an_invalid_format() {
    let (confirm, _) = confirm();
    let token = confirm.issue(OWNER, SEND, &payload(), TTL).unwrap().token;
    let json = fields(&token);
    let spelled = |json: String| BASE64.encode(json);
    let cases = [
        ("nothing", String::new()),
        ("only the prefix", "ctok_".to_owned()),
        ("words", "hello, world".to_owned()),
        ("not JSON", spelled("hello".to_owned())),
        ("not UTF-8", BASE64.encode([0xff, 0xfe])),
        ("no object", spelled("[]".to_owned())),
        ("no fields", spelled("{}".to_owned())),
        ("padded", format!("{token}=")),
        ("white space around", format!(" {token}")),
        (
            "spaces inside",
            spelled(serde_json::to_string_pretty(&json).unwrap()),
        ),
        ("something behind", spelled(format!("{json} "))),
        (
            "a field twice",
            spelled(json.to_string().replacen('{', r#"{"v":1,"#, 1)),
        ),
        ("nested deeply", spelled("[".repeat(40_000))),
        ("too large", "A".repeat(MAX_TOKEN + 1)),
    ];
    for (case, token) in cases {
        let error = confirm.open(OWNER, SEND, &token).unwrap_err();
        assert_eq!(error.code(), "MCP_TOKEN_INVALID_FORMAT", "{case}");
    }
}

#[tokio::test]
async fn a_token_is_good_for_its_owner_and_operation_only() {
    let (confirm, _) = confirm();
    let token = confirm.issue(OWNER, SEND, &payload(), TTL).unwrap().token;
    for other in [
        "",
        "bob",
        "https://idp.example|admin|org_b",
        "https://idp.example|admin|org_a ",
    ] {
        let error = confirm.open(other, SEND, &token).unwrap_err();
        assert_eq!(error.code(), "MCP_TOKEN_ACTOR_MISMATCH", "{other:?}");
    }
    for other in ["", "delete_proxy", "invites_send "] {
        let error = confirm.open(OWNER, other, &token).unwrap_err();
        assert_eq!(error.code(), "MCP_TOKEN_INVALID_SIGNATURE", "{other:?}");
    }
    let opened = confirm
        .open(OWNER, SEND, &token)
        .expect("the failed attempts used nothing up");
    confirm.redeem(&opened, "call 1").await.unwrap();
}

/// What is signed is the fields joined with `|`.
#[test]
fn no_two_owners_and_operations_are_signed_alike() {
    let (confirm, clock) = confirm();
    let until = clock.now() + TTL;
    let owner = format!("a|{until}|b");
    let token = confirm.issue(&owner, "c", &payload(), TTL).unwrap().token;
    let mut fields = fields(&token);
    fields["actor_id"] = json!("a");
    fields["operation"] = json!(format!("b|{until}|c"));
    let shifted = BASE64.encode(fields.to_string());
    let error = confirm
        .open("a", &format!("b|{until}|c"), &shifted)
        .unwrap_err();
    assert_eq!(error.code(), "MCP_TOKEN_INVALID_SIGNATURE");

    let error = confirm.issue("a", "b|c", &payload(), TTL).unwrap_err();
    assert_eq!(error.reason(), "operation_name");
}

/// The first thing wrong is what is reported, so that an error reveals no more than it has to.
#[test]
fn the_checks_come_in_order() {
    let (confirm, clock) = confirm();
    let issued = confirm.issue(OWNER, SEND, &payload(), TTL).unwrap();
    clock.set(issued.expires_at);
    let edited = |field: &str, value: Value| {
        let mut fields = fields(&issued.token);
        fields[field] = value;
        BASE64.encode(fields.to_string())
    };
    let resigned = BASE64.decode(edited("signature", json!("00"))).unwrap();
    let mut both: Value = serde_json::from_slice(&resigned).unwrap();
    both["payload"] = json!({});

    let cases = [
        (
            "bob",
            "other",
            BASE64.encode(both.to_string()),
            "payload_mismatch",
        ),
        (
            "bob",
            "other",
            edited("signature", json!("00")),
            "invalid_signature",
        ),
        ("bob", "other", issued.token.clone(), "invalid_signature"),
        ("bob", SEND, issued.token.clone(), "actor_mismatch"),
        (OWNER, SEND, issued.token.clone(), "expired"),
    ];
    for (owner, operation, token, reason) in cases {
        let error = confirm.open(owner, operation, &token).unwrap_err();
        assert_eq!(error.reason(), reason, "{owner} {operation}");
    }
}

#[tokio::test]
async fn a_token_is_refused_from_its_expiry_on() {
    let (confirm, clock) = confirm();
    let issued = confirm.issue(OWNER, SEND, &payload(), TTL).unwrap();
    clock.set(issued.expires_at - jiff::SignedDuration::from_nanos(1));
    let opened = confirm.open(OWNER, SEND, &issued.token).unwrap();

    clock.set(issued.expires_at);
    let late = confirm.open(OWNER, SEND, &issued.token).unwrap_err();
    assert_eq!(late.code(), "MCP_TOKEN_EXPIRED");
    let late = confirm.redeem(&opened, "call 1").await.unwrap_err();
    assert_eq!(
        late.code(),
        "MCP_TOKEN_EXPIRED",
        "opened in time, redeemed too late"
    );
}

#[tokio::test]
async fn a_used_token_stays_used() {
    let (confirm, clock) = confirm();
    let issued = confirm.issue(OWNER, SEND, &payload(), TTL).unwrap();
    let opened = confirm.open(OWNER, SEND, &issued.token).unwrap();
    confirm.redeem(&opened, "call 1").await.unwrap();

    let again = confirm
        .open(OWNER, SEND, &format!("ctok_{}", issued.token))
        .unwrap();
    confirm
        .redeem(&again, "call 1")
        .await
        .expect("the same call resumes");
    for other in ["call 2", "call 1 ", ""] {
        let error = confirm.redeem(&again, other).await.unwrap_err();
        assert_eq!(error.code(), "MCP_TOKEN_ALREADY_USED", "{other:?}");
    }

    clock.set(issued.expires_at);
    confirm
        .redeem(&again, "call 1")
        .await
        .expect("used in time, so it may still resume");
    clock.advance(Duration::from_secs(24 * 3600));
    for by in ["call 1", "call 2"] {
        let error = confirm.redeem(&again, by).await.unwrap_err();
        assert_eq!(
            error.code(),
            "MCP_TOKEN_EXPIRED",
            "the record of its use is gone"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_50_parallel_calls_one_redeems_the_token() {
    let (confirm, _) = confirm();
    let token = confirm.issue(OWNER, SEND, &payload(), TTL).unwrap().token;
    // Ten calls, each of them sent five times.
    let tasks: Vec<_> = (0..50)
        .map(|number| {
            let (confirm, token, by) = (confirm.clone(), token.clone(), format!("{}", number % 10));
            tokio::spawn(async move {
                let opened = confirm.open(OWNER, SEND, &token).unwrap();
                (confirm.redeem(&opened, &by).await.map_err(|e| e.code()), by)
            })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (Ok(()), by) => winners.push(by),
            (Err(code), _) => assert_eq!(code, "MCP_TOKEN_ALREADY_USED"),
        }
    }
    assert_eq!(winners.len(), 5, "{winners:?}");
    winners.dedup();
    assert_eq!(winners.len(), 1, "{winners:?}");
}

#[test]
fn keys_are_rotated_without_a_gap() {
    let clock = clock();
    let keys = |id, secret| Keys::new(id, secret).unwrap();
    let before = confirm_with(keys("old", OLD), &clock);
    let during = confirm_with(keys("new", NEW).with_previous("old", OLD).unwrap(), &clock);
    let after = confirm_with(keys("new", NEW), &clock);
    let same_name = confirm_with(keys("old", NEW), &clock);
    let open =
        |confirm: &Confirm, token: &str| confirm.open(OWNER, SEND, token).map_err(|e| e.code());

    let old = before.issue(OWNER, SEND, &payload(), TTL).unwrap().token;
    let new = during.issue(OWNER, SEND, &payload(), TTL).unwrap().token;
    assert!(open(&during, &old).is_ok());
    assert!(
        open(&after, &new).is_ok(),
        "the current key signs, not the previous one"
    );
    for refusing in [&after, &same_name] {
        assert_eq!(
            open(refusing, &old).unwrap_err(),
            "MCP_TOKEN_INVALID_SIGNATURE"
        );
    }
    assert_eq!(
        open(&before, &new).unwrap_err(),
        "MCP_TOKEN_INVALID_SIGNATURE"
    );
    let stranger = confirm_with(Keys::random(), &clock);
    assert_eq!(
        open(&stranger, &new).unwrap_err(),
        "MCP_TOKEN_INVALID_SIGNATURE"
    );
}

#[test]
fn weak_and_ambiguous_keys_are_refused() {
    let long = "k".repeat(33);
    let cases = [
        ("k", &NEW[..31], KeyError::ShortSecret),
        ("k", b"", KeyError::ShortSecret),
        ("", NEW, KeyError::InvalidId),
        ("a|b", NEW, KeyError::InvalidId),
        ("é", NEW, KeyError::InvalidId),
        (&long, NEW, KeyError::InvalidId),
    ];
    for (id, secret, error) in cases {
        assert_eq!(Keys::new(id, secret).err(), Some(error), "{id:?}");
        let keys = Keys::new("current", NEW).unwrap();
        assert_eq!(keys.with_previous(id, secret).err(), Some(error), "{id:?}");
    }
    let twice = Keys::new("k", NEW).unwrap().with_previous("k", OLD);
    assert_eq!(twice.err(), Some(KeyError::DuplicateId));
    Keys::new("Key_1-a", &NEW[..32]).unwrap();
}

#[test]
fn a_payload_too_large_for_a_token_is_refused_at_once() {
    let (confirm, _) = confirm();
    let fits = confirm
        .issue(OWNER, SEND, &"x".repeat(40_000), TTL)
        .unwrap()
        .token;
    confirm.open(OWNER, SEND, &fits).unwrap();
    let error = confirm
        .issue(OWNER, SEND, &"x".repeat(60_000), TTL)
        .unwrap_err();
    assert_eq!(error.code(), "MCP_TOKEN_TOO_LARGE");
    let error = confirm
        .issue(OWNER, SEND, &payload(), Duration::MAX)
        .unwrap_err();
    assert_eq!(error.code(), "MCP_TOKEN_NOT_ISSUED");
}

#[tokio::test]
async fn without_its_store_nothing_is_redeemed() {
    let clock = clock();
    let confirm = Confirm::new(Keys::random(), clock, Arc::new(Broken));
    let token = confirm.issue(OWNER, SEND, &payload(), TTL).unwrap().token;
    let opened = confirm.open(OWNER, SEND, &token).unwrap();
    let error = confirm.redeem(&opened, "call 1").await.unwrap_err();
    assert_eq!(error.code(), "MCP_TOKEN_STORE_UNAVAILABLE");
    assert!(matches!(error, ConfirmError::Store(e) if e.kind() == StoreErrorKind::Unavailable));
}

#[test]
fn secrets_tokens_and_payloads_are_not_printed() {
    let clock = clock();
    let keys = Keys::new("new", NEW)
        .unwrap()
        .with_previous("old", OLD)
        .unwrap();
    let mut printed = format!("{keys:?}");
    assert_eq!(printed, r#"Keys { current: "new", previous: ["old"], .. }"#);

    let confirm = confirm_with(keys, &clock);
    let issued = confirm.issue(OWNER, SEND, &payload(), TTL).unwrap();
    let opened = confirm.open(OWNER, SEND, &issued.token).unwrap();
    let refused = confirm.open("bob", SEND, &issued.token).unwrap_err();
    printed += &format!("{confirm:?} {issued:?} {opened:?} {refused:?} {refused}");
    for secret in [&issued.token, "secret", "example.test", "admin", "bob"] {
        assert!(!printed.contains(secret), "{secret} is in {printed}");
    }
    let bytes = format!("{NEW:?}");
    assert!(!printed.contains(bytes.trim_matches(['[', ']'])));
}

fn payload() -> Value {
    json!({
        "recipient_emails": ["ann@example.test", "zoë@example.test"],
        "grant_founding_status": true,
        "expires_in_days": 14,
        "message_note": null,
    })
}

fn confirm() -> (Confirm, Clock) {
    let clock = clock();
    (confirm_with(Keys::random(), &clock), clock)
}

fn confirm_with(keys: Keys, clock: &Clock) -> Confirm {
    Confirm::new(
        keys,
        clock.clone(),
        Arc::new(MemoryStore::new(clock.clone(), 100)),
    )
}

fn fields(token: &str) -> Value {
    serde_json::from_slice(&BASE64.decode(token).unwrap()).unwrap()
}

/// A database that is down.
pub(crate) struct Broken;

#[rustfmt::skip]
impl Store for Broken {
    fn get<'a>(&'a self, _: &'a str) -> StoreFuture<'a, Option<Vec<u8>>> { down() }
    fn put<'a>(&'a self, _: &'a str, _: &'a [u8], _: jiff::Timestamp) -> StoreFuture<'a, ()> { down() }
    fn put_if_absent<'a>(&'a self, _: &'a str, _: &'a [u8], _: jiff::Timestamp) -> StoreFuture<'a, bool> { down() }
    fn replace<'a>(&'a self, _: &'a str, _: &'a [u8], _: &'a [u8], _: jiff::Timestamp) -> StoreFuture<'a, bool> { down() }
    fn remove<'a>(&'a self, _: &'a str) -> StoreFuture<'a, bool> { down() }
    fn take<'a>(&'a self, _: &'a str, _: Rate) -> StoreFuture<'a, Result<(), Duration>> { down() }
    fn publish<'a>(&'a self, _: &'a [u8]) -> StoreFuture<'a, ()> { down() }
    fn subscribe(&self) -> StoreFuture<'_, Subscription> { down() }
}

fn down<'a, T: Send + 'a>() -> StoreFuture<'a, T> {
    Box::pin(async { Err(StoreError::unavailable("connection refused")) })
}
