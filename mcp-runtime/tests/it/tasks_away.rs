//! Tasks that one instance runs, asked about at another.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use mcp_runtime::prelude::*;
use mcp_runtime::store::Store;
use mcp_runtime::testing::{TestClient, TestReply, TestServer};
use serde_json::{Value, json};

use crate::clock;
use crate::instances::{Wire, stores, until};
use crate::live::Live;
use crate::tasks::{World, app, asked, cancel, get, is_ack, knows, named, said, update};

fn two(stores: [Arc<dyn Store>; 2], clock: &Clock) -> [(TestServer, Arc<World>); 2] {
    stores.map(|store| {
        let (server, world) = app();
        let server = server.store(store).clock(clock.clone());
        (TestServer::new(server).unwrap(), world)
    })
}

/// Asks until the answer is as it should be.
async fn settled(client: &TestClient, created: &TestReply, status: &str) -> TestReply {
    let mut last = None;
    until(status, async || {
        let reply = get(client, created).await;
        let is = reply.result()["status"] == status;
        last = Some(reply);
        is
    })
    .await;
    last.unwrap()
}

#[tokio::test]
async fn a_task_is_the_same_at_every_instance() {
    for (kind, stores, _corner) in stores().await {
        let [(one, world), (other, _)] = two(stores, &Clock::system());
        let (here, there) = (knows(&one, "ada"), knows(&other, "ada"));
        let created = here.call("wait", json!({})).await;
        let known = get(&there, &created).await;
        assert_eq!(said(&known), said(&get(&here, &created).await), "{kind}");
        assert_eq!(known.result()["status"], "working", "{kind}");

        // To everybody else there is no such task.
        let bob = knows(&other, "bob");
        for method in ["tasks/get", "tasks/update", "tasks/cancel"] {
            let about = async |id: &str| {
                let params = json!({ "taskId": id, "inputResponses": {} });
                said(&bob.request(method, params).await)
            };
            let foreign = about(created.task_id()).await;
            assert_eq!(foreign, about(&"0".repeat(64)).await, "{kind}: {method}");
            assert_eq!(foreign.1["error"]["code"], -32602, "{kind}: {method}");
        }

        world.go.notify_one();
        let done = settled(&there, &created, "completed").await;
        assert_eq!(
            done.result()["result"]["content"][0]["text"],
            "gone on",
            "{kind}"
        );
        assert_eq!(said(&done), said(&get(&here, &created).await), "{kind}");
        assert!(
            is_ack(&cancel(&there, &created).await),
            "{kind}: it has ended already"
        );
    }
}

/// Rights are those of now, and of whoever asks.
#[tokio::test]
async fn a_task_is_hidden_from_who_may_not_call_its_tool_any_more() {
    let wire = Wire::new(Clock::system());
    let [(one, _), (other, _)] = two([wire.clone(), wire], &Clock::system());
    let boss = |server: &TestServer| knows(server, "cleo").roles(["boss"]);
    let created = boss(&one).call("secret", json!({})).await;
    settled(&boss(&other), &created, "completed").await;
    let run = |server: &TestServer| knows(server, "cleo").scopes(["jobs:run"]);
    let guarded = run(&one).call("guarded", json!({ "n": 2 })).await;
    settled(&run(&other), &guarded, "completed").await;
    for created in [&created, &guarded] {
        let [here, there] = [&one, &other].map(|server| knows(server, "cleo"));
        let (here, there) = (get(&here, created).await, get(&there, created).await);
        assert!(here.body.get("error").is_some(), "{}", here.body);
        assert_eq!(said(&there), said(&here));
    }
}

#[tokio::test]
async fn answers_and_cancellations_find_the_instance_that_runs_the_task() {
    for (kind, stores, _corner) in stores().await {
        let [(one, world), (other, _)] = two(stores, &Clock::system());
        let (here, there) = (knows(&one, "ada"), knows(&other, "ada"));
        let created = here.call("both", json!({})).await;
        settled(&there, &created, "input_required").await;
        until("both are asked", async || {
            asked(&get(&there, &created).await).len() == 2
        })
        .await;
        let answered = update(&there, &created, json!({ "one": named("Ada") })).await;
        assert!(is_ack(&answered), "{kind}: {}", answered.body);
        assert_eq!(
            asked(&get(&here, &created).await),
            ["two"],
            "{kind}: it is done"
        );
        assert!(is_ack(
            &update(&here, &created, json!({ "two": named("Bob") })).await
        ));
        let done = settled(&there, &created, "completed").await;
        assert_eq!(
            done.result()["result"]["content"][0]["text"],
            "Ada and Bob",
            "{kind}"
        );

        let created = here.call("wait", json!({})).await;
        until("it runs", async || world.begun.load(Ordering::SeqCst) == 1).await;
        assert!(is_ack(&cancel(&there, &created).await), "{kind}");
        assert_eq!(
            get(&here, &created).await.result()["status"],
            "cancelled",
            "{kind}"
        );
        until("it is dropped", async || {
            world.dropped.load(Ordering::SeqCst) == 1
        })
        .await;
        settled(&there, &created, "cancelled").await;
    }
}

#[tokio::test]
async fn nothing_of_a_task_is_in_what_instances_tell_each_other() {
    let wire = Wire::new(Clock::system());
    let [(one, _), (other, _)] = two([wire.clone(), wire.clone()], &Clock::system());
    let (here, there) = (knows(&one, "ada"), knows(&other, "ada"));
    let created = here.call("both", json!({})).await;
    until("both are asked", async || {
        asked(&get(&there, &created).await).len() == 2
    })
    .await;
    let answers = json!({ "one": named("a secret"), "two": named("another secret") });
    update(&there, &created, answers).await;
    settled(&there, &created, "completed").await;
    let messages = wire.said.lock().unwrap();
    assert!(messages.len() >= 3, "{messages:?}");
    for said in &*messages {
        assert!(
            !said.contains("secret") && !said.contains(created.task_id()),
            "{said}"
        );
    }
}

#[tokio::test]
async fn who_listens_at_another_instance_hears_how_a_task_goes_on() {
    for (kind, stores, _corner) in stores().await {
        let [(one, _), (other, _)] = two(stores, &Clock::system());
        let (here, there) = (knows(&one, "ada"), knows(&other, "ada"));
        let created = here.call("both", json!({})).await;
        settled(&there, &created, "input_required").await;
        let mut stream = there
            .listen(json!({ "taskIds": [created.task_id(), "made-up"] }))
            .await;
        let first = stream.next().await.unwrap();
        let accepted = &first["params"]["notifications"]["taskIds"];
        assert_eq!(accepted, &json!([created.task_id()]), "{kind}: {first}");
        let at_first = stream.next().await.unwrap();
        assert_eq!(
            at_first["params"]["status"], "input_required",
            "{kind}: {at_first}"
        );
        let answers = json!({ "one": named("Ada"), "two": named("Bob") });
        update(&here, &created, answers).await;
        let mut heard: Vec<Value> = Vec::new();
        while heard
            .last()
            .is_none_or(|last| last["status"] != "completed")
        {
            let note = stream.next().await.unwrap();
            assert_eq!(note["method"], "notifications/tasks", "{kind}: {note}");
            assert_eq!(
                note["params"]["taskId"],
                created.task_id(),
                "{kind}: {note}"
            );
            heard.push(note["params"].clone());
        }
        let last = heard.pop().unwrap();
        assert_eq!(
            last["result"]["content"][0]["text"], "Ada and Bob",
            "{kind}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_tasks_of_an_instance_that_is_gone_have_failed() {
    let clock = clock();
    let wire = Wire::new(clock.clone());
    let [(one, _), (other, _)] = two([wire.clone(), wire], &clock);
    let there = knows(&other, "ada");
    let created = knows(&one, "ada").call("wait", json!({})).await;
    let asks = knows(&one, "ada").call("both", json!({})).await;
    settled(&there, &asks, "input_required").await;
    drop(one);
    // Nobody knows yet that it is gone.
    clock.advance(Duration::from_secs(29));
    assert_eq!(get(&there, &created).await.result()["status"], "working");
    let silent = cancel(&there, &created).await;
    assert_eq!((silent.status, &silent.error()["code"]), (503, &json!(503)));
    assert!(silent.headers.contains_key("retry-after"));

    clock.advance(Duration::from_secs(1));
    for created in [&created, &asks] {
        let failed = get(&there, created).await;
        let task = failed.result();
        assert_eq!(task["status"], "failed", "{task}");
        assert_eq!(task["error"]["code"], -32603, "{task}");
        assert_eq!(task["taskId"], created.task_id(), "{task}");
        assert!(task.get("inputRequests").is_none(), "{task}");
        for ack in [
            cancel(&there, created).await,
            update(&there, created, json!({})).await,
        ] {
            assert!(is_ack(&ack), "{}", ack.body);
        }
    }
    clock.advance(Duration::from_secs(3600));
    assert_eq!(
        get(&there, &created).await.error()["code"],
        -32602,
        "its time is over"
    );
}

#[tokio::test]
async fn the_tasks_of_an_instance_that_stops_are_known_to_have_ended() {
    let clock = clock();
    let wire = Wire::new(clock.clone());
    let (server, _) = app();
    let service = server
        .store(wire.clone())
        .clock(clock.clone())
        .build()
        .unwrap();
    let live = Live::start(service.clone()).await;
    let one = TestServer::over(service);
    let [(other, _), _] = two([wire.clone(), wire], &clock);
    let created = knows(&one, "ada").call("wait", json!({})).await;
    drop(one);
    live.stop().await;
    let failed = get(&knows(&other, "ada"), &created).await;
    let task = failed.result();
    assert_eq!(task["status"], "failed", "{task}");
    let why = task["error"]["message"].as_str().unwrap();
    assert!(why.contains("stopped"), "its own last word: {why}");
}

#[tokio::test]
async fn without_its_store_no_call_becomes_a_task() {
    let wire = Wire::new(Clock::system());
    let [(one, world), (other, _)] = two([wire.clone(), wire.clone()], &Clock::system());
    let (here, there) = (knows(&one, "ada"), knows(&other, "ada"));
    let created = here.call("slow", json!({})).await;
    get(&there, &created).await;
    wire.is(&wire.broken, true);
    let refused = here.call("wait", json!({})).await;
    assert_eq!(refused.code(), "tasks_unavailable");
    assert_eq!(world.begun.load(Ordering::SeqCst), 0, "nothing has run");
    assert_eq!(
        get(&here, &created).await.result()["status"],
        "working",
        "its own it knows"
    );
    for reply in [get(&there, &created).await, cancel(&there, &created).await] {
        assert_eq!(reply.status, 503, "{}", reply.body);
        assert!(!reply.body.to_string().contains("broken"), "{}", reply.body);
    }
    wire.is(&wire.broken, false);
    assert_eq!(get(&there, &created).await.result()["status"], "working");
}

#[tokio::test]
async fn a_result_that_other_instances_could_not_be_told_is_an_error_everywhere() {
    let wire = Wire::new(Clock::system());
    let [(one, _), (other, _)] = two([wire.clone(), wire], &Clock::system());
    let created = knows(&one, "ada")
        .call("fill", json!({ "bytes": 600_000 }))
        .await;
    for server in [&one, &other] {
        let done = settled(&knows(server, "ada"), &created, "completed").await;
        let result = &done.result()["result"];
        assert_eq!(result["isError"], true, "too large");
        assert_eq!(result["structuredContent"]["code"], "result_too_large");
    }
    let (alone, _) = app();
    let alone = TestServer::new(alone).unwrap();
    let ada = knows(&alone, "ada");
    let created = ada.call("fill", json!({ "bytes": 600_000 })).await;
    let done = ada.await_task(&created).await;
    assert_eq!(
        done.result()["result"]["isError"],
        false,
        "alone there is no such bound"
    );
}
