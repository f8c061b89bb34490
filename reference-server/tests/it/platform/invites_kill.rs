//! A real `kill -9`, again and again, while another process sends invites.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use mcp_runtime::Clock;
use reference_server::platform::{Mail, RateLimits, Settings};
use serde_json::{Value, json};

use super::{TOKEN, admin_request, open, send, send_request};
use crate::databases::Database;

const FOLDER: &str = "PLATFORM_KILL_TEST_FOLDER";
const DATABASE: &str = "PLATFORM_KILL_TEST_DATABASE";
const ROUNDS: u64 = 12;

#[tokio::test]
async fn what_was_acknowledged_is_there_and_nothing_twice() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let database = Database::file(&folder.path().join("platform.db"));
    for round in 0..ROUNDS {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "platform::invites_kill::victim", "--ignored"])
            .env(FOLDER, folder.path())
            .env(DATABASE, database.url())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a child");
        // Odd rounds end while it starts and recovers, even ones in the midst of its sends.
        let begun = lines(&folder.path().join("begun")).len();
        if round % 2 == 1 {
            tokio::time::sleep(Duration::from_millis(20 + round * 11)).await;
        } else {
            let mut waited = 0;
            while lines(&folder.path().join("begun")).len() < begun + 2 {
                tokio::time::sleep(Duration::from_millis(5)).await;
                waited += 5;
                assert!(waited < 30_000, "the child does not send");
            }
            tokio::time::sleep(Duration::from_millis(round * 3)).await;
        }
        child.kill().expect("killed");
        child.wait().expect("gone");
    }

    let platform = open(&settings(folder.path(), database.url()), &Clock::system()).await;
    let begun = lines(&folder.path().join("begun"));
    let acknowledged = lines(&folder.path().join("acknowledged"));
    assert!(!acknowledged.is_empty(), "no round got as far as a send");
    assert!(begun.len() > acknowledged.len(), "no round was cut off");
    for line in &begun {
        let (key, token) = (line["key"].as_str(), line["token"].as_str());
        let (key, token) = (key.expect("a key"), token.expect("a token"));
        let answer = send(&platform.router(), send_request(&[], token, key))
            .await
            .ok();
        assert_eq!(answer["data"]["sent_count"], 2, "{key}");
        for before in acknowledged.iter().filter(|line| line["key"] == key) {
            assert_eq!(
                answer["data"], before["data"],
                "{key} had another answer before"
            );
        }
    }
    let mail = std::fs::read_dir(folder.path().join("mail")).expect("the mail folder");
    let letters: Vec<String> = mail
        .map(|file| {
            file.expect("a file")
                .file_name()
                .to_string_lossy()
                .into_owned()
        })
        .filter(|name| name.ends_with(".eml"))
        .collect();
    assert_eq!(
        letters.len(),
        2 * begun.len(),
        "two letters per send, in {ROUNDS} rounds"
    );
}

/// Sends until it is killed. Writes down each send before it asks for it, and after the answer.
#[tokio::test]
#[ignore = "started by the test above"]
async fn victim() {
    let (Ok(folder), Ok(database)) = (std::env::var(FOLDER), std::env::var(DATABASE)) else {
        return;
    };
    let folder = Path::new(&folder);
    let router = open(&settings(folder, &database), &Clock::system())
        .await
        .router();
    let first = lines(&folder.join("begun")).len();
    for n in first.. {
        let people = [format!("a{n}@example.com"), format!("b{n}@example.com")];
        let body = json!({"recipient_emails": people, "grant_founding_status": false});
        let request = admin_request("POST", "/invites/preview", &[], body.to_string().into());
        let preview = send(&router, request).await.ok();
        let token = preview["data"]["confirm_token"].as_str().expect("a token");
        let key = format!("key-{n}");
        note(&folder.join("begun"), &json!({"key": key, "token": token}));
        let answer = send(&router, send_request(&[], token, &key)).await.ok();
        note(
            &folder.join("acknowledged"),
            &json!({"key": key, "data": answer["data"]}),
        );
    }
}

fn settings(folder: &Path, database: &str) -> Settings {
    let key = "a-confirm-key-of-at-least-32-bytes-for-tests";
    let mut settings = Settings::new(database, TOKEN, key);
    settings.rate_limits = RateLimits::Off;
    settings.mail = Mail::Folder(folder.join("mail"));
    settings
}

/// One write for the whole line: a kill leaves all of it or nothing.
fn note(file: &Path, line: &Value) {
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(file)
        .expect("a journal");
    file.write_all(format!("{line}\n").as_bytes())
        .expect("written");
}

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line of JSON"))
        .collect()
}
