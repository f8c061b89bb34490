//! The six operations that are the same for every kind of record.

use http::Method;
use mcp_runtime::prelude::*;
use mcp_runtime::{Caller, Tenant};
use serde_json::{Map, Value, json};

use super::client::{cursor_of_ours, records};
use super::reply::{Page, Record, Tombstone, Uid};
use crate::backend::Backend;

/// `list`, `get`, `patch`, `delete`, `archive` and `process` of one kind of record, and the actions
/// that `process` knows.
macro_rules! kind {
    (
        $one:literal, $many:literal, at $path:literal, archiving $archiving:literal;
        $list:ident $list_title:literal, $get:ident $get_title:literal,
        $patch:ident $patch_title:literal, $delete:ident $delete_title:literal,
        $archive:ident $archive_title:literal, $process:ident $process_title:literal;
        $Action:ident { $($(#[$meta:meta])* $action:ident),+ $(,)? }
    ) => {
        #[doc = concat!("What can be done to a ", $one, ".")]
        #[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $Action { $($(#[$meta])* $action),+ }

        #[doc = concat!("The ", $many, " of the user, those changed longest ago first. Every page that has any names the cursor of the next; deleted ones are left out unless asked for.")]
        #[mcp_tool(title = $list_title, scope = "records:read", read_only, timeout = "30s")]
        pub async fn $list(
            backend: &Backend,
            caller: &Caller,
            tenant: &Tenant,
            #[doc = concat!("How many ", $many, " to return at most.")]
            #[arg(range = 1..=1000, default = 100)]
            limit: u32,
            /// The nextCursor of the page before.
            #[arg(len = ..=100_000)]
            cursor: Option<String>,
            /// Whether to list deleted ones, too.
            #[arg(default = false)]
            include_deleted: bool,
        ) -> ToolResult<Page> {
            let records = records(backend, caller, tenant);
            let ask = records
                .ask(Method::GET, concat!("/v1/", $path))?
                .query("limit", limit)
                .query("cursor", cursor_of_ours(cursor))
                .query("includeDeleted", include_deleted);
            records.send(ask).await
        }

        #[doc = concat!("One ", $one, " by its uid. For a deleted one the error says when it was deleted, unless deleted ones are asked for.")]
        #[mcp_tool(title = $get_title, scope = "records:read", read_only, timeout = "30s")]
        pub async fn $get(
            backend: &Backend,
            caller: &Caller,
            tenant: &Tenant,
            #[doc = concat!("Which ", $one, ".")]
            uid: Uid,
            /// Whether a deleted one is returned, too.
            #[arg(default = false)]
            include_deleted: bool,
        ) -> ToolResult<Record> {
            let records = records(backend, caller, tenant);
            let ask = records
                .ask(Method::GET, concat!("/v1/", $path, "/{uid}"))?
                .segment("{uid}", &uid.0)
                .query("includeDeleted", include_deleted);
            records.send(ask).await
        }

        #[doc = concat!("Changes some members of a ", $one, " and leaves the others as they are. Returns it as it is now. To set most of it anew, replace it with the update tool.")]
        #[mcp_tool(title = $patch_title, scope = "records:write", timeout = "30s")]
        pub async fn $patch(
            backend: &Backend,
            caller: &Caller,
            tenant: &Tenant,
            #[doc = concat!("Which ", $one, ".")]
            uid: Uid,
            /// The members to set, by name; uid and sync are ignored.
            #[arg(len = 1..=100)]
            updates: Map<String, Value>,
        ) -> ToolResult<Record> {
            let records = records(backend, caller, tenant);
            let ask = records
                .ask(Method::PATCH, concat!("/v1/", $path, "/{uid}"))?
                .segment("{uid}", &uid.0)
                .body(updates);
            records.send(ask).await
        }

        #[doc = concat!("Deletes a ", $one, ". What is left is a tombstone, with which other devices learn of it; it cannot be brought back, so ask the user first.")]
        #[mcp_tool(title = $delete_title, scope = "records:write", destructive, timeout = "30s")]
        pub async fn $delete(
            backend: &Backend,
            caller: &Caller,
            tenant: &Tenant,
            #[doc = concat!("Which ", $one, ".")]
            uid: Uid,
        ) -> ToolResult<Tombstone> {
            let records = records(backend, caller, tenant);
            let ask = records
                .ask(Method::DELETE, concat!("/v1/", $path, "/{uid}"))?
                .segment("{uid}", &uid.0);
            records.send(ask).await
        }

        #[doc = concat!("Archives a ", $one, ": ", $archiving, ". It can still be read, listed and changed. Returns it as it is now.")]
        #[mcp_tool(title = $archive_title, scope = "records:write", timeout = "30s")]
        pub async fn $archive(
            backend: &Backend,
            caller: &Caller,
            tenant: &Tenant,
            #[doc = concat!("Which ", $one, ".")]
            uid: Uid,
        ) -> ToolResult<Record> {
            let records = records(backend, caller, tenant);
            let ask = records
                .ask(Method::POST, concat!("/v1/", $path, "/{uid}/archive"))?
                .segment("{uid}", &uid.0)
                .body(json!({}));
            records.send(ask).await
        }

        #[doc = concat!("Takes a ", $one, " one step further, by the name of the step. Returns it as it is now, with what the step has set in its payload.")]
        #[mcp_tool(title = $process_title, scope = "records:write", timeout = "30s")]
        pub async fn $process(
            backend: &Backend,
            caller: &Caller,
            tenant: &Tenant,
            #[doc = concat!("Which ", $one, ".")]
            uid: Uid,
            /// What to do.
            action: $Action,
            /// Remarks for whoever processes records; without effect so far.
            #[arg(len = ..=100)]
            metadata: Option<Map<String, Value>>,
        ) -> ToolResult<Record> {
            let records = records(backend, caller, tenant);
            let ask = records
                .ask(Method::POST, concat!("/v1/", $path, "/{uid}/process"))?
                .segment("{uid}", &uid.0)
                .body(json!({ "action": action, "metadata": metadata }));
            records.send(ask).await
        }
    };
}

kind! {
    "note", "notes", at "notes", archiving "its status becomes archived";
    list_notes "List notes", get_note "Get a note",
    patch_note "Change a note", delete_note "Delete a note",
    archive_note "Archive a note", process_note "Process a note";
    NoteAction { Pin, Unpin, Archive, Unarchive }
}

kind! {
    "task", "tasks", at "tasks", archiving "its status becomes archived";
    list_tasks "List tasks", get_task "Get a task",
    patch_task "Change a task", delete_task "Delete a task",
    archive_task "Archive a task", process_task "Process a task";
    TaskAction {
        /// It is in progress.
        Start,
        /// It is done.
        Complete,
        /// It is to do again.
        Reopen,
    }
}

kind! {
    "comment", "comments", at "comments", archiving "its status becomes archived";
    list_comments "List comments", get_comment "Get a comment",
    patch_comment "Change a comment", delete_comment "Delete a comment",
    archive_comment "Archive a comment", process_comment "Process a comment";
    CommentAction { Resolve, Reopen }
}

kind! {
    "chat", "chats", at "chats", archiving "archived becomes true";
    list_chats "List chats", get_chat "Get a chat",
    patch_chat "Change a chat", delete_chat "Delete a chat",
    archive_chat "Archive a chat", process_chat "Process a chat";
    ChatAction { Resolve, Reopen }
}

kind! {
    "chat message", "chat messages", at "chat_messages", archiving "archived becomes true";
    list_chat_messages "List chat messages", get_chat_message "Get a chat message",
    patch_chat_message "Change a chat message", delete_chat_message "Delete a chat message",
    archive_chat_message "Archive a chat message", process_chat_message "Process a chat message";
    ChatMessageAction { MarkRead, MarkDelivered }
}
