//! The office of a school: users, classes and money, for any number of schools that know nothing
//! of each other.
//!
//! A tool is a function. It borrows the [`School`], opens the `books` of its caller's tenant,
//! does its work in one transaction, notes who did what, and closes them, which tells those who
//! watch a resource. No statement reaches the tables any other way, and each is bound to the
//! tenant. What the rules of a school do not allow comes back as an error with a code.
//!
//! | room | what |
//! |---|---|
//! | [`people`], [`students`] | users; one student with all that is open |
//! | [`classes`], [`attendance`] | classes, places in them, who was there, single lessons |
//! | [`invoices`], [`charges`], [`payments`] | what is owed, taken (at a [`gateway`]) and recorded |
//! | [`exports`], `templates`, `sheet`, [`links`] | Excel and CSV behind links that end |
//! | [`reports`], [`figures`], [`upkeep`] | figures, the audit log, backups |
//! | [`offers`], [`personas`] | resources and prompts |
//! | `office`, `books`, `demo` | what the tools borrow, the way to the tables, made-up schools |
//!
//! To add a tool: write the function in the room where it belongs, add it to the list below, and
//! give it a row in `tests/it/contracts/school.txt` and calls in `tests/it/school/contract.rs`.

pub mod people;
pub mod students;
pub mod classes;
mod schedule;
pub mod attendance;
pub mod invoices;
pub mod charges;
pub mod payments;
pub mod gateway;
pub mod exports;
mod templates;
mod sheet;
pub mod links;
pub mod reports;
pub mod figures;
pub mod upkeep;
pub mod offers;
pub mod personas;
mod pages;
mod office;
mod books;
mod demo;
mod door;
mod password;

use mcp_runtime::{PromptSet, ResourceSet, ToolSet, prompts, resources, tools};

use self::attendance::{create_booking, record_attendance};
use self::charges::process_payment;
use self::classes::{create_class, create_enrollment, enroll_student, modify_class};
pub use self::door::OnlyAdmins;
use self::exports::{generate_csv_export, generate_excel_export, list_export_templates};
use self::invoices::{create_invoice, list_invoices};
use self::offers::{attendance_overview, class_list, payment_summary, system_status, user_roster};
pub use self::office::{School, SchoolSettings};
use self::payments::record_payment;
use self::people::{add_user, delete_user, modify_user};
use self::personas::{
    admin_persona, generate_lesson, onboarding_wizard, quick_report, support_reply,
};
use self::reports::generate_report;
use self::students::get_student_info;
use self::upkeep::{create_backup, view_audit_log};
use crate::App;

/// The name of a server that has nothing else.
pub const NAME: &str = "admin-mcp";
/// How clients show it.
pub const TITLE: &str = "School Admin";

/// What a model should know before it uses the tools.
pub const INSTRUCTIONS: &str = "Admin tools of a school. Ids come from tools and from the resources \
    admin://user_roster and admin://class_list; never invent one. Money is whole minor units \
    (cents): 12.50 is 1250. To enrol somebody new, call add_user, then create_enrollment. To take a \
    payment, call get_student_info, agree on the amount with the person you work for, call \
    process_payment, then record_payment with its receipt. Ask before you delete, change or charge.";

/// The twenty tools.
pub fn tools() -> ToolSet<App> {
    tools![
        add_user,
        create_class,
        create_enrollment,
        enroll_student,
        get_student_info,
        process_payment,
        record_payment,
        list_export_templates,
        generate_excel_export,
        generate_csv_export,
        modify_user,
        delete_user,
        modify_class,
        generate_report,
        list_invoices,
        create_invoice,
        record_attendance,
        create_booking,
        create_backup,
        view_audit_log,
    ]
}

/// The five resources.
pub fn resources() -> ResourceSet<App> {
    resources![
        user_roster,
        class_list,
        payment_summary,
        system_status,
        attendance_overview
    ]
}

/// The five prompts.
pub fn prompts() -> PromptSet<App> {
    prompts![
        admin_persona,
        generate_lesson,
        quick_report,
        onboarding_wizard,
        support_reply
    ]
}
