//! Users: whom the school knows, and who may do what.

use mcp_runtime::Secret;
use mcp_runtime::prelude::*;
use serde_json::{Value as Json, json};
use sqlx::FromRow;

use super::books::{Books, refused, values};
use super::offers::{CLASSES, ROSTER, STATUS};
use super::{School, password};
use crate::platform::mail::is_address;

/// What somebody is to the school.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    Admin,
    Teacher,
    Student,
}

/// Whether somebody can be enrolled, taught by and billed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UserStatus {
    Active,
    Suspended,
    Archived,
}

/// Somebody, as the tools look them up.
#[derive(Clone, Debug, FromRow)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) auth_id: Option<String>,
    pub(super) email: String,
    pub(super) name: String,
    pub(super) role: String,
    pub(super) status: String,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct UserAdded {
    pub user_id: String,
    pub email: String,
    pub role: String,
    /// False when none was wanted, or when the mail system did not take it.
    pub welcome_email_sent: bool,
}

/// Add a user to the school: a student, a teacher or another admin. The result names the new
/// user_id, which create_enrollment, create_class and create_invoice take. Sends a welcome mail
/// unless told otherwise; without a password a random one is made, which only that mail tells.
#[mcp_tool(
    title = "Add a user",
    scope = "school:admin",
    role = "admin",
    open_world,
    timeout = "30s"
)]
#[expect(clippy::too_many_arguments, reason = "the parameters of the contract")]
pub async fn add_user(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    changes: &Changes,
    /// E-mail address, of which the school has one user at most.
    #[arg(len = 3..=254, example = "ann@example.com")]
    email: String,
    /// Full name.
    #[arg(len = 1..=200, pattern = r"\S")]
    name: String,
    /// What the user may do.
    role: Role,
    /// First password. Leave it out to have a random one made.
    #[arg(len = 8..=200)]
    password: Option<Secret<String>>,
    /// Whether the user is told by mail.
    #[arg(default = true)]
    send_welcome_email: bool,
) -> ToolResult<UserAdded> {
    let email = address(&email)?;
    let (hash, letter) = password::chosen_or_made(password).await?;
    let mut books = school.write(tenant).await?;
    books.must_be_free(&email).await?;
    let id = books.add_person(&email, name.trim(), role, hash).await?;
    let facts = json!({"email": email, "name": name.trim(), "role": role});
    books
        .note(caller, "add_user", ("user", &id), &facts)
        .await?;
    books.close(changes, &[ROSTER, STATUS]).await?;
    let welcome_email_sent =
        send_welcome_email && school.welcome(&id, &email, &name, letter).await?;
    Ok(UserAdded {
        user_id: id,
        email,
        role: word(role),
        welcome_email_sent,
    })
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct UserModified {
    pub user_id: String,
    /// What is different now; empty when everything was so already.
    pub changes: Vec<Change>,
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    pub field: String,
    pub old: Option<String>,
    pub new: Option<String>,
}

/// Change a user's e-mail address, name, role or status. Only what is named changes; the result
/// lists old and new values. Nobody can take away their own admin role or that of the last admin.
/// To remove somebody, call delete_user.
#[mcp_tool(
    title = "Modify a user",
    scope = "school:admin",
    role = "admin",
    idempotent
)]
#[expect(clippy::too_many_arguments, reason = "the parameters of the contract")]
pub async fn modify_user(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    changes: &Changes,
    /// Id of the user, as add_user or the roster names it.
    #[arg(len = 1..=64)]
    user_id: String,
    /// New e-mail address.
    #[arg(len = 3..=254)]
    email: Option<String>,
    /// New full name.
    #[arg(len = 1..=200, pattern = r"\S")]
    name: Option<String>,
    /// New role.
    role: Option<Role>,
    /// New status.
    status: Option<UserStatus>,
) -> ToolResult<UserModified> {
    let email = email.as_deref().map(address).transpose()?;
    let mut books = school.write(tenant).await?;
    let before = books.person(&user_id).await?;
    let mut after = before.clone();
    if let Some(email) = email {
        if email != before.email {
            books.must_be_free(&email).await?;
        }
        after.email = email;
    }
    after.name = name.map_or(after.name, |name| name.trim().to_owned());
    after.role = role.map_or(after.role, word);
    after.status = status.map_or(after.status, word);
    if is_admin(&before) && !is_admin(&after) {
        books.may_go(&before, caller).await?;
    }
    books.change_person(&after).await?;
    let list = differences(&before, &after);
    let facts = json!(list);
    books
        .note(caller, "modify_user", ("user", &user_id), &facts)
        .await?;
    // The list of classes names their teachers.
    books.close(changes, &[ROSTER, STATUS, CLASSES]).await?;
    Ok(UserModified {
        user_id,
        changes: list,
    })
}

#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct UserDeleted {
    pub user_id: String,
    /// `archived`: what the user did stays on record.
    pub status: String,
    /// Active enrolments that were dropped with the user.
    pub enrollments_dropped: u64,
}

/// Remove a user from the school. The user is archived, their places in classes become free, and
/// their e-mail address can be used again; records of the past stay. Ask the person you work for
/// first, then set `confirm` to true. Nobody can delete themselves or the last admin.
#[mcp_tool(
    title = "Delete a user",
    scope = "school:admin",
    role = "admin",
    destructive,
    guard = agreed(confirm),
    confirm = "Delete the user {user_id}? They lose their places in classes."
)]
pub async fn delete_user(
    school: &School,
    tenant: &Tenant,
    caller: &Caller,
    changes: &Changes,
    /// Id of the user, as add_user or the roster names it.
    #[arg(len = 1..=64)]
    user_id: String,
    /// True once the person you work for agreed.
    confirm: bool,
) -> ToolResult<UserDeleted> {
    debug_assert!(confirm, "the guard has seen to it");
    let mut books = school.write(tenant).await?;
    let person = books.person(&user_id).await?;
    books.may_go(&person, caller).await?;
    let now = books.millis();
    books
        .run(
            "UPDATE people SET status = 'archived', deleted_at = $3, updated_at = $3
             WHERE tenant_id = $1 AND id = $2",
            values![&user_id, now],
        )
        .await?;
    let enrollments_dropped = books
        .run(
            "UPDATE enrollments SET status = 'dropped', updated_at = $3
             WHERE tenant_id = $1 AND student_id = $2 AND status = 'active'",
            values![&user_id, now],
        )
        .await?;
    let facts = json!({"enrollments_dropped": enrollments_dropped});
    books
        .note(caller, "delete_user", ("user", &user_id), &facts)
        .await?;
    books.close(changes, &[ROSTER, STATUS, CLASSES]).await?;
    Ok(UserDeleted {
        user_id,
        status: "archived".to_owned(),
        enrollments_dropped,
    })
}

fn agreed(confirm: bool) -> ToolResult<()> {
    if confirm {
        return Ok(());
    }
    Err(refused(
        "not_confirmed",
        "Nothing was deleted. Ask the person you work for, then call again with `confirm` true.",
    ))
}

impl Books<'_> {
    /// Somebody who is not deleted.
    pub(super) async fn person(&mut self, id: &str) -> ToolResult<Person> {
        let found = self
            .one(
                "SELECT p.id, p.auth_id, p.email, p.name, p.role, p.status FROM people p
                 WHERE p.tenant_id = $1 AND p.id = $2 AND p.deleted_at IS NULL",
                values![id],
            )
            .await?;
        found.ok_or_else(|| {
            refused(
                "user_not_found",
                "There is no user with this id. Look at admin://user_roster, or call \
                 get_student_info with a name.",
            )
        })
    }

    /// Somebody with this role who can act in it.
    pub(super) async fn active(&mut self, id: &str, role: Role) -> ToolResult<Person> {
        let person = self.person(id).await?;
        let wanted = word(role);
        if person.role != wanted {
            let (code, is) = (
                if role == Role::Student {
                    "not_a_student"
                } else {
                    "not_a_teacher"
                },
                &person.role,
            );
            return Err(refused(
                code,
                format!("The user is not a {wanted}, but a {is}. Name a {wanted}."),
            ));
        }
        if person.status != "active" {
            let is = &person.status;
            return Err(refused(
                "user_not_active",
                format!("The {wanted} is {is}. Make the user active with modify_user first."),
            ));
        }
        Ok(person)
    }

    /// Returns the id of the new user.
    async fn add_person(
        &mut self,
        email: &str,
        name: &str,
        role: Role,
        hash: String,
    ) -> ToolResult<String> {
        let (id, now) = (self.new_id(), self.millis());
        self.run(
            "INSERT INTO people (tenant_id, id, email, name, name_folded, role, status,
                password_hash, created_at, updated_at)
             VALUES ($1, $2, $3, $4, $5, $6, 'active', $7, $8, $8)",
            values![&id, email, name, folded(name), word(role), hash, now],
        )
        .await?;
        Ok(id)
    }

    async fn change_person(&mut self, person: &Person) -> ToolResult<()> {
        let now = self.millis();
        self.run(
            "UPDATE people SET email = $3, name = $4, name_folded = $5, role = $6, status = $7,
                updated_at = $8
             WHERE tenant_id = $1 AND id = $2",
            values![
                &person.id,
                &person.email,
                &person.name,
                folded(&person.name),
                &person.role,
                &person.status,
                now
            ],
        )
        .await?;
        Ok(())
    }

    async fn must_be_free(&mut self, email: &str) -> ToolResult<()> {
        let taken = self
            .number(
                "SELECT COUNT(*) FROM people p
                 WHERE p.tenant_id = $1 AND p.email = $2 AND p.deleted_at IS NULL",
                values![email],
            )
            .await?;
        if taken == 0 {
            return Ok(());
        }
        Err(refused(
            "email_taken",
            "Email already registered. Use another address, or change the user who has it with \
             modify_user.",
        ))
    }

    /// Whether the school can do without this person as they are.
    async fn may_go(&mut self, person: &Person, caller: &Caller) -> ToolResult<()> {
        if is_self(person, caller) {
            return Err(refused(
                "own_account",
                "Nobody deletes or demotes themselves. Let another admin do it.",
            ));
        }
        let others = self
            .number(
                "SELECT COUNT(*) FROM people p
                 WHERE p.tenant_id = $1 AND p.id <> $2 AND p.role = 'admin'
                    AND p.status = 'active' AND p.deleted_at IS NULL",
                values![&person.id],
            )
            .await?;
        if is_admin(person) && others == 0 {
            return Err(refused(
                "last_admin",
                "This is the last active admin. Make somebody else an admin first.",
            ));
        }
        Ok(())
    }
}

/// Whether this person is who calls. The tools do not learn how the identity provider calls those
/// they add, so the address that it has verified counts, too: a school has each address once.
pub(super) fn is_self(person: &Person, caller: &Caller) -> bool {
    let Some(who) = caller.principal() else {
        return false;
    };
    let known = [Some(person.id.as_str()), person.auth_id.as_deref()];
    let is_theirs = |email: &str| email.eq_ignore_ascii_case(&person.email);
    known.contains(&Some(who.subject())) || who.email().is_some_and(is_theirs)
}

fn is_admin(person: &Person) -> bool {
    person.role == "admin" && person.status == "active"
}

fn differences(before: &Person, after: &Person) -> Vec<Change> {
    let fields = [
        ("email", &before.email, &after.email),
        ("name", &before.name, &after.name),
        ("role", &before.role, &after.role),
        ("status", &before.status, &after.status),
    ];
    let changed = fields.into_iter().filter(|(_, old, new)| old != new);
    changed
        .map(|(field, old, new)| Change {
            field: field.to_owned(),
            old: Some(old.clone()),
            new: Some(new.clone()),
        })
        .collect()
}

/// The address in the form in which the school keeps it.
fn address(text: &str) -> ToolResult<String> {
    let text = text.trim();
    if is_address(text) {
        return Ok(text.to_ascii_lowercase());
    }
    Err(refused(
        "invalid_email",
        "This is no e-mail address. Write it like ann@example.com.",
    )
    .data(json!({"field": "email"})))
}

/// In small letters, to look names up by.
pub(super) fn folded(name: &str) -> String {
    name.trim().to_lowercase()
}

/// How an enum of ours is written, on the wire and in the tables.
pub(super) fn word(value: impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(Json::String(word)) => word,
        other => unreachable!("an enum without fields is a word, not {other:?}"),
    }
}
