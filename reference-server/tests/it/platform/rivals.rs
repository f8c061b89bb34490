//! Twenty clients at once, on two processes that share a database.

use mcp_runtime::Clock;
use reference_server::platform::Platform;
use serde_json::json;
use tokio::task::JoinSet;

use super::{Stage, open, send, send_request};

const CLIENTS: usize = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_founding_cap_holds_across_processes() {
    const CAP: usize = 7;
    let stage = Stage::with(|settings| settings.founding_cap = CAP as u32).await;
    let routers = [
        stage.router.clone(),
        open(&stage.settings, &stage.clock).await.router(),
    ];
    let mut sends = JoinSet::new();
    for n in 0..CLIENTS {
        let recipients = json!({"recipient_emails": [format!("a{n}@example.com")]});
        let preview = stage.preview(recipients).await.ok();
        let token = preview["data"]["confirm_token"].as_str().expect("a token");
        let request = send_request(&[], token, &format!("key-{n}"));
        let router = routers[n % 2].clone();
        sends.spawn(async move { send(&router, request).await });
    }
    let answers = sends.join_all().await;
    let (sent, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.status == 200);
    for answer in refused {
        answer.refused(409, "founding_slots_taken");
    }
    assert_eq!(sent.len(), CAP);
    let promised = "SELECT COUNT(*) FROM beta_invites WHERE grant_founding_status = 1";
    assert_eq!(stage.number(promised).await, CAP as i64);
    assert_eq!(stage.letters().len(), CAP);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_token_is_used_once_across_processes() {
    let stage = Stage::new().await;
    let routers = [
        stage.router.clone(),
        open(&stage.settings, &stage.clock).await.router(),
    ];
    let token = stage.token(&["ann@example.com", "bob@example.com"]).await;
    let mut sends = JoinSet::new();
    for n in 0..CLIENTS {
        let request = send_request(&[], &token, &format!("key-{n}"));
        let router = routers[n % 2].clone();
        sends.spawn(async move { send(&router, request).await });
    }
    let answers = sends.join_all().await;
    let (sent, refused): (Vec<_>, Vec<_>) = answers.into_iter().partition(|a| a.status == 200);
    for answer in refused {
        answer.refused(400, "MCP_TOKEN_ALREADY_USED");
    }
    assert_eq!((sent.len(), stage.letters().len()), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn processes_that_start_together_make_the_tables_and_the_demo_data_once() {
    let stage = Stage::with(|settings| settings.demo_data = false).await;
    let fresh = crate::databases::Database::file(&stage.folder.path().join("fresh.db"));
    let mut settings = stage.settings.clone();
    settings.database = fresh.url().into();
    settings.demo_data = true;
    let mut starts = JoinSet::new();
    for _ in 0..4 {
        starts.spawn(Platform::open(settings.clone(), Clock::system()));
    }
    for started in starts.join_all().await {
        started.expect("it opens");
    }
    let mut connection = fresh.connect().await;
    let count = sqlx::query_scalar("SELECT COUNT(*) FROM instructor_profiles");
    let profiles: i64 = count.fetch_one(&mut connection).await.expect("a number");
    assert_eq!(profiles, 129);
}
