//! Files behind links: the right file, for the right school, for a day.

use std::io::Cursor;
use std::time::Duration;

use calamine::{Data, Reader, Xlsx};
use http::Request;
use mcp_runtime::testing::TestReply;
use serde_json::json;
use tower::ServiceExt;

use super::{Campus, code, ok};

async fn fetch(campus: &Campus, url: &str, tenant: Option<&str>) -> TestReply {
    let path = url
        .strip_prefix("https://mcp.example.com")
        .expect("our link");
    let mut request = Request::get(path).header("host", "localhost");
    if let Some(tenant) = tenant {
        request = request.header("x-tenant-id", tenant);
    }
    campus
        .server
        .send(request.body(Vec::new()).expect("a request"))
        .await
}

async fn link(campus: &Campus) -> String {
    let arguments = json!({"template_id": "user_roster_v1", "filename": "people",
        "filters": {"role": "admin"}});
    let export = ok(&campus.admin(), "generate_csv_export", arguments).await;
    assert_eq!(export["filename"], "people.csv");
    assert_eq!(export["expires_at"], "2026-06-02T12:00:00Z");
    export["download_url"].as_str().expect("a link").to_owned()
}

#[tokio::test]
async fn s4_008_a_link_gives_the_file_while_the_clock_allows() {
    let campus = Campus::new().await;
    let link = link(&campus).await;
    let file = fetch(&campus, &link, None).await;
    assert_eq!(file.status, 200, "{}", file.body);
    let disposition = file.headers["content-disposition"].to_str().expect("text");
    assert_eq!(disposition, "attachment; filename=\"people.csv\"");
    assert_eq!(
        file.body,
        "ID,Email,Name,Role,Status,Created,Last login\r\n\
         org_a-admin-1,olivia.office@org-a.example.com,Olivia Office,admin,active,2026-06-01T12:00:00Z,\r\n\
         org_a-admin-2,peter.principal@org-a.example.com,Peter Principal,admin,active,2026-06-01T12:00:00Z,\r\n"
    );
    campus.clock.advance(Duration::from_secs(24 * 3600 - 1));
    assert_eq!(fetch(&campus, &link, None).await.status, 200);
    campus.clock.advance(Duration::from_secs(1));
    assert_eq!(fetch(&campus, &link, None).await.status, 404);
}

#[tokio::test]
async fn s4_008_a_link_is_of_one_tenant_and_cannot_be_changed() {
    let campus = Campus::new().await;
    let link = link(&campus).await;
    assert_eq!(fetch(&campus, &link, Some("org_a")).await.status, 200);
    let unknown = fetch(&campus, "https://mcp.example.com/school/exports/none", None).await;
    let others = fetch(&campus, &link, Some("org_b")).await;
    assert_eq!((others.status, &others.body), (404, &unknown.body));
    let (start, signature) = link.rsplit_once('=').expect("a signature");
    let other_first = if signature.starts_with('A') { "B" } else { "A" };
    let changed = [
        link.replace("tenant=org_a", "tenant=org_b"),
        link.replace("until=1780", "until=1990"),
        format!("{start}={other_first}{}", &signature[1..]),
        format!("{start}="),
        link.replace("exports/", "exports/0"),
        link.split('&').next().expect("a start").to_owned(),
    ];
    for url in changed {
        assert_ne!(url, link);
        let refused = fetch(&campus, &url, None).await;
        assert_eq!(
            (refused.status, &refused.body),
            (404, &unknown.body),
            "{url}"
        );
    }
}

#[tokio::test]
async fn s4_007_an_excel_file_has_its_metadata_beside_it() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let export = ok(
        &admin,
        "generate_excel_export",
        json!({"template_id": "payment_ledger_v1"}),
    )
    .await;
    assert_eq!(export["filename"], "payment_ledger_v1-2026-06-01.xlsx");
    assert_eq!(export["rows"], 8);
    let url = export["download_url"].as_str().expect("a link");
    let path = url
        .strip_prefix("https://mcp.example.com")
        .expect("our link");
    let request = Request::get(path).header("host", "localhost");
    let request = request.body(axum::body::Body::empty()).expect("a request");
    let answer = campus
        .service
        .router()
        .oneshot(request)
        .await
        .expect("an answer");
    let bytes = axum::body::to_bytes(answer.into_body(), 1 << 20)
        .await
        .expect("a file");
    assert_eq!(export["size_bytes"], bytes.len());
    let mut book = Xlsx::new(Cursor::new(bytes)).expect("an Excel file");
    let data = book.worksheet_range("Data").expect("a sheet");
    assert_eq!(data.height(), 9, "a header and eight rows");
    assert_eq!(data.get((0, 2)), Some(&Data::String("Amount".to_owned())));
    // 115.00: the third student is the first who paid.
    assert_eq!(data.get((1, 2)), Some(&Data::Float(115.0)));
    let about = book.worksheet_range("Metadata").expect("a sheet");
    let about: Vec<String> = about
        .rows()
        .map(|row| format!("{}: {}", row[0], row[1]))
        .collect();
    assert_eq!(
        about,
        [
            "Template: payment_ledger_v1",
            "Version: 1",
            "Generated at: 2026-06-01T12:00:00Z",
            "Tenant: org_a",
            "Rows: 8"
        ]
    );
    let templates = ok(&admin, "list_export_templates", json!({})).await;
    assert_eq!(templates["templates"].as_array().map(Vec::len), Some(4));
    for template in templates["templates"].as_array().expect("templates") {
        let id = &template["template_id"];
        ok(&admin, "generate_excel_export", json!({"template_id": id})).await;
    }
}

/// S4-055: ten an hour, of both kinds together, by the clock.
#[tokio::test]
async fn s4_055_exports_are_rationed() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let arguments = json!({"template_id": "user_roster_v1"});
    for at in 0..10 {
        let tool = ["generate_csv_export", "generate_excel_export"][at % 2];
        ok(&admin, tool, arguments.clone()).await;
    }
    assert_eq!(
        code(&admin.call("generate_csv_export", arguments.clone()).await),
        "rate_limited"
    );
    ok(
        &campus.admin_of("org_b"),
        "generate_csv_export",
        arguments.clone(),
    )
    .await;
    campus.clock.advance(Duration::from_secs(3600));
    ok(&admin, "generate_csv_export", arguments).await;
}

/// What somebody called themselves is no formula of somebody else's spreadsheet.
#[tokio::test]
async fn s4_008_no_cell_begins_like_a_formula() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let name = "=HYPERLINK(\"http://x.example.com\"),\nx";
    let user = json!({"email": "f@example.com", "name": name, "role": "teacher", "send_welcome_email": false});
    ok(&admin, "add_user", user).await;
    let arguments = json!({"template_id": "user_roster_v1", "filters": {"role": "teacher"}});
    let export = ok(&admin, "generate_csv_export", arguments).await;
    let file = fetch(
        &campus,
        export["download_url"].as_str().expect("a link"),
        None,
    )
    .await;
    let text = file.body.as_str().expect("text");
    let cell = "\"'=HYPERLINK(\"\"http://x.example.com\"\"),\nx\"";
    assert!(text.contains(cell), "{text}");
}

/// Some programs skip what is no letter, some take the full-width signs for the others.
#[tokio::test]
async fn s4_008_no_cell_begins_like_a_formula_to_any_program() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    let starts = ['=', '+', '-', '@', '＝', '＋', '－', '＠', '\t', '\r', '\n'];
    for (day, start) in (10..).zip(starts) {
        let session = json!({"class_id": "org_a-class-1",
            "session_date": format!("2026-05-{day}"),
            "attendance_records": [{"student_id": "org_a-student-01", "status": "late",
                "notes": format!("{start}SUM(1)")}]});
        ok(&admin, "record_attendance", session).await;
    }
    let arguments = json!({"template_id": "attendance_report_v1", "filters": {"status": "late"}});
    let export = ok(&admin, "generate_csv_export", arguments).await;
    assert_eq!(export["rows"], starts.len());
    let url = export["download_url"].as_str().expect("a link");
    let file = fetch(&campus, url, None).await;
    let text = file.body.as_str().expect("text");
    for start in starts {
        let cell = format!("'{start}SUM(1)");
        assert!(text.contains(&cell), "{cell:?}: {text}");
    }
}

/// A page that had its name rebound to this machine gets no file; nothing is posted to a link.
#[tokio::test]
async fn s4_008_links_are_for_our_names_and_for_reading() {
    let campus = Campus::new().await;
    let link = link(&campus).await;
    let path = link
        .strip_prefix("https://mcp.example.com")
        .expect("our link");
    let request = |method: &str, host: &str| {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", host);
        request.body(Vec::new()).expect("a request")
    };
    for (method, host, expected) in [
        ("GET", "localhost", 200),
        ("HEAD", "localhost", 200),
        ("GET", "evil.example.com", 403),
        ("POST", "localhost", 404),
        ("DELETE", "localhost", 404),
    ] {
        let reply = campus.server.send(request(method, host)).await;
        assert_eq!(reply.status, expected, "{method} {host}: {}", reply.body);
    }
}

#[tokio::test]
async fn rp_12_names_of_exports_are_names_of_files() {
    let campus = Campus::new().await;
    let admin = campus.admin();
    for filename in [
        "../../etc/passwd",
        "..\\x",
        "a/b",
        "a\0",
        "/etc/passwd",
        ".hidden",
        "..",
        "",
    ] {
        for tool in ["generate_csv_export", "generate_excel_export"] {
            let arguments = json!({"template_id": "user_roster_v1", "filename": filename});
            let reply = admin.call(tool, arguments).await;
            assert_eq!(reply.code(), "invalid_arguments", "{tool} {filename:?}");
        }
    }
}
