//! What the tools borrow: the store of the school and everything it takes to run one.

use std::path::PathBuf;
use std::sync::Arc;

use mcp_runtime::{Clock, Secret as Shown, ToolError, ToolResult};

use super::demo;
use super::gateway::{Gateway, TestGateway};
use super::links::Links;
use super::pages::Pages;
use crate::database::Part;
use crate::platform::db::Db;
use crate::platform::mail::{Letter, Mailer};
use crate::platform::{Mail, OpenError};
use crate::secret::Secret;

/// A school for every tenant. Clones share everything.
#[derive(Clone, Default)]
pub struct School(Option<Arc<Office>>);

pub(super) struct Office {
    pub(super) db: Db,
    pub(super) clock: Clock,
    pub(super) settings: SchoolSettings,
    pub(super) gateway: Arc<dyn Gateway>,
    pub(super) links: Links,
    pub(super) pages: Pages,
    mailer: Mailer,
}

/// What an operator decides about the school.
#[derive(Clone, Debug)]
pub struct SchoolSettings {
    /// Where the data lives, as a URL: `sqlite://data/school.db`, `sqlite::memory:` or
    /// `postgres://user@host/name`.
    pub database: Secret,
    /// What a tenant that is new counts its money in (ISO 4217): a currency with two decimals.
    pub currency: String,
    /// Fills an empty database with two made-up schools.
    pub demo_data: bool,
    /// Where welcome mail goes.
    pub mail: Mail,
    /// Signs links to exports. Processes on one database need the same.
    pub link_key: Secret,
    /// What links to exports begin with, like `https://mcp.example.com`.
    pub link_base: String,
    /// Where backups go; each tenant has a folder of its own below.
    pub backups: PathBuf,
}

/// Currencies whose minor unit is no hundredth, or that have none. Amounts are shown with two
/// decimals.
const NOT_IN_HUNDREDTHS: [&str; 39] = [
    "BHD", "BIF", "CLF", "CLP", "DJF", "GNF", "IQD", "ISK", "JOD", "JPY", "KMF", "KRW", "KWD",
    "LYD", "OMR", "PYG", "RWF", "TND", "UGX", "UYI", "UYW", "VND", "VUV", "XAF", "XAG", "XAU",
    "XBA", "XBB", "XBC", "XBD", "XDR", "XOF", "XPD", "XPF", "XPT", "XSU", "XTS", "XUA", "XXX",
];

/// Who signs the letters of the school.
const SENDER: &str = "School office <school@example.com>";

impl School {
    /// Opens the database and brings its tables up to date. Charges go to the test gateway.
    ///
    /// # Errors
    /// When the database or the way of the mail cannot be used, or the currency has not two
    /// decimals.
    pub async fn open_with(settings: SchoolSettings, clock: Clock) -> Result<Self, OpenError> {
        Self::open_at(settings, clock, Arc::new(TestGateway)).await
    }

    /// As [`open_with`](Self::open_with), with charges going to this gateway.
    ///
    /// # Errors
    /// As [`open_with`](Self::open_with).
    pub async fn open_at(
        settings: SchoolSettings,
        clock: Clock,
        gateway: Arc<dyn Gateway>,
    ) -> Result<Self, OpenError> {
        let currency = settings.currency.as_str();
        if NOT_IN_HUNDREDTHS.contains(&currency) {
            return Err(OpenError::Setting {
                setting: "school.currency",
                problem: format!(
                    "is {currency}, which is not counted in hundredths: choose a currency with two \
                     decimals, like USD"
                ),
            });
        }
        let part = Part {
            name: "school",
            tables: sqlx::migrate!("./migrations/school"),
            durable: true,
        };
        let db = Db::open_with(settings.database.reveal(), &part).await?;
        let school = Self(Some(Arc::new(Office {
            db,
            gateway,
            links: Links::new(&settings.link_key, &settings.link_base),
            pages: Pages::default(),
            mailer: Mailer::new(&settings.mail)?.sender(SENDER)?,
            settings,
            clock,
        })));
        if school
            .0
            .as_deref()
            .is_some_and(|office| office.settings.demo_data)
        {
            let filled = demo::fill_if_empty(&school).await;
            filled.map_err(|error| OpenError::Setting {
                setting: "school.demo_data",
                problem: format!("cannot be written: {:?}", error.source()),
            })?;
        }
        Ok(school)
    }

    /// No school: for a server that has no tool of it.
    pub fn absent() -> Self {
        Self::default()
    }

    pub(super) fn open(&self) -> ToolResult<&Office> {
        let office = self.0.as_deref();
        office.ok_or_else(|| ToolError::internal("this server was started without a school"))
    }

    /// Tells a new user how to come in. Whoever sent the mail is told whether it went out; why not
    /// stands in the log.
    pub(super) async fn welcome(
        &self,
        id: &str,
        email: &str,
        name: &str,
        password: Option<Shown<String>>,
    ) -> ToolResult<bool> {
        let office = self.open()?;
        let password = match &password {
            Some(made) => format!(
                "\n\nYour first password is {}\nChange it soon.",
                made.expose()
            ),
            None => String::new(),
        };
        let letter = Letter {
            id: format!("welcome-{id}"),
            to: email.to_owned(),
            subject: "Welcome to the school".to_owned(),
            body: format!(
                "Hello {},\n\nyou have an account with us now.{password}\n",
                name.trim()
            ),
            written_at: office.clock.now(),
        };
        match office.mailer.deliver(&letter).await {
            Ok(()) => Ok(true),
            Err(error) => {
                tracing::warn!(
                    user = id,
                    error = &error as &dyn std::error::Error,
                    "no welcome mail"
                );
                Ok(false)
            }
        }
    }
}

impl std::fmt::Debug for School {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("School").finish_non_exhaustive()
    }
}
