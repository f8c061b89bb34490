//! S4-051, S4-054: the statements of the school, read where they stand. Each is a constant, goes
//! through `books.rs`, and is bound to the tenant on every table that it names.

use std::path::Path;

/// Every table with rows of tenants.
fn tables() -> Vec<String> {
    let migration = include_str!("../../../migrations/school/0001_school.sql");
    let created = migration
        .lines()
        .filter_map(|line| line.strip_prefix("CREATE TABLE "));
    created
        .map(|rest| rest.trim_end_matches(" (").to_owned())
        .collect()
}

/// The text of a statement, its words separated by single spaces.
fn statements() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/school");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the source") {
        let path = entry.expect("a file").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        let text = std::fs::read_to_string(&path).expect("text");
        if name != "books.rs" {
            for way_around in [
                "sqlx::query",
                "AssertSqlSafe",
                ".pool()",
                "fetch_",
                "begin_",
            ] {
                assert!(
                    !text.contains(way_around),
                    "{name} goes around the books: {way_around}"
                );
            }
        }
        let literals = text.split('"').skip(1).step_by(2);
        for literal in literals {
            let sql = literal.split_whitespace().collect::<Vec<_>>().join(" ");
            let first = sql.split(' ').next().unwrap_or_default();
            if ["SELECT", "INSERT", "UPDATE", "DELETE", "WITH"].contains(&first)
                && sql.contains(' ')
            {
                found.push((name.clone(), sql));
            }
        }
    }
    found
}

/// What a statement lacks.
fn lacks(sql: &str, tables: &[String]) -> Option<String> {
    let words: Vec<&str> = sql
        .split([' ', '(', ')', ','])
        .filter(|word| !word.is_empty())
        .collect();
    let mut named = 0;
    for (at, word) in words.iter().enumerate() {
        if !tables.iter().any(|table| table == word) {
            continue;
        }
        let before = if at == 0 { "" } else { words[at - 1] };
        let after = words.get(at + 1).copied().unwrap_or_default();
        let condition = match before {
            "FROM" | "JOIN" if after.len() == 1 => format!("{after}.tenant_id = $1"),
            "FROM" | "UPDATE" => "WHERE tenant_id = $1".to_owned(),
            "INTO" => {
                named += 1;
                let bound = sql.contains("(tenant_id, ") && sql.contains("VALUES ($1, ");
                if bound {
                    continue;
                }
                return Some(format!("{word} is not written with tenant_id = $1"));
            }
            "JOIN" => return Some(format!("{word} has no name of one letter")),
            // A column, or a text.
            _ => continue,
        };
        named += 1;
        if !sql.contains(&condition) {
            return Some(format!("`{condition}` for {word}"));
        }
        // One `OR` on the level of the condition would undo it.
        let outside = without_brackets(sql);
        let clause = outside.split(" WHERE ").last().unwrap_or_default();
        if clause.contains(" OR ") {
            return Some("an OR beside the condition".to_owned());
        }
    }
    (named == 0).then(|| "a table".to_owned())
}

fn without_brackets(sql: &str) -> String {
    let mut depth = 0_i32;
    sql.chars()
        .filter(|letter| {
            depth += i32::from(*letter == '(');
            let keep = depth == 0;
            depth -= i32::from(*letter == ')');
            keep
        })
        .collect()
}

#[test]
fn s4_051_every_statement_is_bound_to_the_tenant() {
    let (tables, statements) = (tables(), statements());
    assert!(
        tables.len() >= 12 && statements.len() >= 60,
        "{} statements",
        statements.len()
    );
    for (file, sql) in &statements {
        assert_eq!(lacks(sql, &tables), None, "{file}: {sql}");
    }
}

/// The test above can fail.
#[test]
fn statements_that_are_not_bound_are_found() {
    let tables = tables();
    let rows = [
        "SELECT p.id FROM people p WHERE p.id = $2",
        "SELECT p.id FROM people p WHERE p.tenant_id = $2",
        "SELECT c.id FROM classes c JOIN people p ON p.id = c.teacher_id WHERE c.tenant_id = $1",
        "SELECT p.id FROM people p WHERE p.tenant_id = $1 AND p.id = $2 OR p.id = $3",
        "UPDATE people SET name = $2 WHERE id = $3",
        "DELETE FROM exports WHERE expires_at < $2",
        "INSERT INTO people (id, tenant_id) VALUES ($2, $1)",
        "SELECT (SELECT COUNT(*) FROM people p) AS n FROM classes c WHERE c.tenant_id = $1",
    ];
    for sql in rows {
        assert!(lacks(sql, &tables).is_some(), "{sql}");
    }
}
