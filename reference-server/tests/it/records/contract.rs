//! The forty tools: who may call them.

use reference_server::records;
use serde_json::{Value, json};

use super::Office;

#[tokio::test]
async fn s3_042_reading_and_writing_take_their_scope_and_all_a_tenant() {
    for tool in records::tools().iter() {
        let reads = tool.name().starts_with("list_") || tool.name().starts_with("get_");
        let scope = if reads {
            "records:read"
        } else {
            "records:write"
        };
        assert_eq!(
            tool.policy_ref().needed_scopes(),
            [scope],
            "{}",
            tool.name()
        );
        assert!(tool.policy_ref().needs_tenant(), "{}", tool.name());
        assert_eq!(tool.timeout().as_secs(), 30, "{}", tool.name());
    }
    let office = Office::new().await;
    let reader = office.server.as_user("ada").tenant("org_a");
    let reader = reader.scopes(["records:read"]);
    reader.call("list_notes", json!({})).await.structured();
    let write = json!({"title": "t", "content": "c"});
    let refused = reader.call("create_note", write.clone()).await;
    assert!(
        refused.body.to_string().contains("insufficient_scope"),
        "{}",
        refused.body
    );

    let without = office.server.as_user("ada");
    let without = without.scopes(["records:read", "records:write"]);
    assert!(without.tools().await.is_empty());
    for (tool, arguments) in [("list_notes", json!({})), ("create_note", write)] {
        let hidden = without.call(tool, arguments.clone()).await;
        let unknown = without.call("list_nothings", arguments).await;
        assert_eq!(hidden.status, unknown.status);
        let said = |body: &Value| body["error"]["message"].as_str().map(str::to_owned);
        let unknown = said(&unknown.body).map(|text| text.replace("list_nothings", tool));
        assert!(unknown.is_some());
        assert_eq!(said(&hidden.body), unknown);
    }
}
