//! Invites by way of a mail server, which refuses some recipients.

use reference_server::platform::Mail;
use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Stage;

#[tokio::test]
async fn one_refused_recipient_does_not_stop_the_others() {
    let (url, mut letters) = mail_server().await;
    let stage = Stage::with(|settings| {
        settings.mail = Mail::Smtp {
            url: url.into(),
            from: "Invites <hello@example.org>".to_owned(),
        };
    })
    .await;
    let recipients = ["ann@example.com", "refused@example.com", "bob@example.com"];
    let preview = stage
        .preview(json!({"recipient_emails": recipients}))
        .await
        .ok();
    let token = preview["data"]["confirm_token"].as_str().expect("a token");
    let body = stage.send(token, "key").await.ok();
    let data = &body["data"];
    assert_eq!(
        (&data["sent_count"], &data["failed_count"]),
        (&json!(2), &json!(1))
    );
    assert_eq!(data["invites"][0]["status"], "sent");
    assert_eq!(
        data["invites"][1],
        json!({"email": "refused@example.com", "code": "", "status": "failed"})
    );
    let mut received = [letters.recv().await, letters.recv().await];
    received.sort();
    for (letter, recipient) in received.iter().zip(["ann", "bob"]) {
        let letter = letter.as_deref().unwrap_or_default();
        assert!(
            letter.starts_with(&format!("RCPT TO:<{recipient}@example.com>")),
            "{letter}"
        );
        assert!(
            letter.contains("From: Invites <hello@example.org>"),
            "{letter}"
        );
    }
    // The code of the failed invite is void, and its founding slot free again.
    let cap = stage.get("/founding/funnel").await.ok()["founding_cap"].clone();
    assert_eq!(cap["reserved"], 2);
    // A replay tells the same and sends nothing.
    let again = stage.send(token, "key").await.ok();
    assert_eq!(again["data"], *data);
    assert!(letters.try_recv().is_err());
}

/// Takes letters, except to addresses that begin with `refused`.
async fn mail_server() -> (String, UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (sender, receiver) = unbounded_channel();
    tokio::spawn(async move {
        while let Ok((connection, _)) = listener.accept().await {
            tokio::spawn(talk(connection, sender.clone()));
        }
    });
    (format!("smtp://{address}"), receiver)
}

async fn talk(connection: TcpStream, letters: UnboundedSender<String>) -> std::io::Result<()> {
    let (reader, mut writer) = connection.into_split();
    let mut lines = BufReader::new(reader).lines();
    let mut letter = String::new();
    let mut in_data = false;
    writer.write_all(b"220 mail.example.com\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let answer = match line.as_str() {
            "." if in_data => {
                in_data = false;
                let _ = letters.send(std::mem::take(&mut letter));
                "250 taken"
            }
            _ if in_data => {
                letter.push_str(&line);
                letter.push('\n');
                continue;
            }
            "DATA" => {
                in_data = true;
                "354 go on"
            }
            "QUIT" => "221 bye",
            line if line.starts_with("RCPT TO:<refused") => "550 no such mailbox",
            line if line.starts_with("RCPT TO") => {
                letter = format!("{line}\n");
                "250 ok"
            }
            _ => "250 ok",
        };
        writer.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}
