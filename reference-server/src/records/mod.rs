//! Notes, tasks, comments, chats and chat messages: forty tools, each one call to the records API.
//!
//! Five kinds of records, eight operations on each. Six operations are the same for every kind and
//! are written once, in [`uniform`]; creating and replacing differ, and have a function per kind.
//! Reading takes `records:read`, everything else `records:write`; whoever has no tenant does not see
//! the tools, because records belong to a user *of* a tenant.
//!
//! Every call opens a sync session, asks, and closes it. What the API refuses comes back as an
//! error with its code and `status`: 412 `version_mismatch` when the caller named a version, 409
//! for every other conflict, 410 `gone` for what was deleted.
//!
//! What has changed is a resource, [`changes`], to read and to watch: nobody hears of the changes of
//! another.
//!
//! To add a kind: describe it in `platform/records/entity.rs`, name its tools in [`uniform`], write
//! its create and update, and add them to the list below.

pub mod uniform;
pub mod notes;
pub mod tasks;
pub mod comments;
pub mod chats;
pub mod extended;
pub mod changes;
pub mod reply;
mod client;
mod write;

use mcp_runtime::{ResourceSet, ToolSet, resources, tools};

use self::changes::{record_changes, record_changes_since};
use self::chats::{create_chat, create_chat_message, update_chat, update_chat_message};
use self::comments::{create_comment, update_comment};
use self::notes::{create_note, update_note};
use self::tasks::{create_task, update_task};
use self::uniform::*;
use crate::App;

/// How clients show a server that has nothing else.
pub const TITLE: &str = "Records";

/// What a model should know before it uses the tools.
pub const INSTRUCTIONS: &str = "Notes, tasks, comments, chats and chat messages of the user who \
    signed in. Ids come from tools; never invent one. To change a record without overwriting the \
    work of others, send its version as if_match: version_mismatch then means to read it again. \
    What was deleted is gone.";

/// The forty tools.
pub fn tools() -> ToolSet<App> {
    tools![
        list_notes,
        get_note,
        create_note,
        update_note,
        patch_note,
        delete_note,
        archive_note,
        process_note,
        list_tasks,
        get_task,
        create_task,
        update_task,
        patch_task,
        delete_task,
        archive_task,
        process_task,
        list_comments,
        get_comment,
        create_comment,
        update_comment,
        patch_comment,
        delete_comment,
        archive_comment,
        process_comment,
        list_chats,
        get_chat,
        create_chat,
        update_chat,
        patch_chat,
        delete_chat,
        archive_chat,
        process_chat,
        list_chat_messages,
        get_chat_message,
        create_chat_message,
        update_chat_message,
        patch_chat_message,
        delete_chat_message,
        archive_chat_message,
        process_chat_message,
    ]
}

/// What has changed.
pub fn resources() -> ResourceSet<App> {
    resources![record_changes, record_changes_since]
}

/// What goes beyond the forty.
pub fn extended_tools() -> ToolSet<App> {
    tools![extended::batch, extended::search, extended::aggregate]
}
