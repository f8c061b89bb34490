//! Sending a letter, into a folder or to a mail server.
//!
//! A letter has an id that follows from what caused it, and nothing in it depends on when it is
//! sent. Delivering it again is therefore harmless: the same file in a folder, the same
//! Message-ID on a mail server, which recipients' mail systems show once.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lettre::message::Mailbox;
use lettre::message::header::ContentType;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};

use super::OpenError;
use super::settings::{Mail, default_sender};

pub(crate) struct Mailer {
    from: Mailbox,
    way: Way,
}

enum Way {
    Folder(PathBuf),
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
}

pub(crate) struct Letter {
    /// Part of the file name and of the Message-ID: letters, digits, `.` and `-`.
    pub(crate) id: String,
    pub(crate) to: String,
    pub(crate) subject: String,
    pub(crate) body: String,
    pub(crate) written_at: Timestamp,
}

/// Why a letter is not out. For the log: a mail server's answer may repeat addresses.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MailError {
    #[error("the recipient's address cannot be written into a letter")]
    Address(#[from] lettre::address::AddressError),
    #[error("the letter cannot be written")]
    Letter(#[from] lettre::error::Error),
    #[error("the mail server refused the letter")]
    Smtp(#[from] lettre::transport::smtp::Error),
    #[error("the letter cannot be put into the folder")]
    Folder(#[from] std::io::Error),
    #[error("the task that writes the letter died")]
    Task(#[from] tokio::task::JoinError),
}

impl Mailer {
    pub(crate) fn new(mail: &Mail) -> Result<Self, OpenError> {
        let wrong = |problem: String| OpenError::Setting {
            setting: "mail",
            problem,
        };
        let (from, way) = match mail {
            Mail::Folder(folder) => (default_sender(), Way::Folder(folder.clone())),
            Mail::Smtp { url, from } => {
                // The error would repeat the URL, and with it the password.
                let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.reveal())
                    .map_err(|_| wrong("has a url that is no smtp:// or smtps:// URL".to_owned()))?
                    .timeout(Some(Duration::from_secs(20)))
                    .build();
                (from.clone(), Way::Smtp(transport))
            }
        };
        let from = from
            .parse()
            .map_err(|_| wrong("has a sender that is no address".to_owned()))?;
        Ok(Self { from, way })
    }

    /// Letters are signed by somebody else, where no sender was configured.
    pub(crate) fn sender(mut self, from: &str) -> Result<Self, OpenError> {
        if self.from.to_string() == default_sender() {
            self.from = from.parse().map_err(|_| OpenError::Setting {
                setting: "mail",
                problem: "has a sender that is no address".to_owned(),
            })?;
        }
        Ok(self)
    }

    pub(crate) async fn deliver(&self, letter: &Letter) -> Result<(), MailError> {
        let message = self.compose(letter)?;
        match &self.way {
            Way::Smtp(transport) => {
                transport.send(message).await?;
            }
            Way::Folder(folder) => {
                let (folder, name) = (folder.clone(), format!("{}.eml", letter.id));
                let bytes = message.formatted();
                tokio::task::spawn_blocking(move || put(&folder, &name, &bytes)).await??;
            }
        }
        Ok(())
    }

    fn compose(&self, letter: &Letter) -> Result<Message, MailError> {
        let to: Address = letter.to.parse()?;
        let domain = self.from.email.domain();
        let message = Message::builder()
            .message_id(Some(format!("<{}@{domain}>", letter.id)))
            .date(SystemTime::from(letter.written_at))
            .from(self.from.clone())
            .to(Mailbox::new(None, to))
            .subject(letter.subject.clone())
            .header(ContentType::TEXT_PLAIN)
            .body(letter.body.clone())?;
        Ok(message)
    }
}

/// Whether a mail could be addressed to this text.
pub(crate) fn is_address(text: &str) -> bool {
    text.len() <= 254 && text.is_ascii() && text.parse::<Address>().is_ok()
}

/// All of it or nothing, and still there after a power cut.
fn put(folder: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let unfinished = folder.join(format!(".{name}.part"));
    let mut file = File::create(&unfinished)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&unfinished, folder.join(name))?;
    File::open(folder)?.sync_all()
}
