//! What this program is built from.

/// Of the row, what a test can tell without the advisories: `cargo xtask ci` checks those, licences
/// and sources with cargo-deny.
#[test]
fn hi_07_what_we_refuse_is_not_in_the_tree() {
    let lock = include_str!("../../../Cargo.lock");
    let deny = include_str!("../../../deny.toml");
    let mut refused = 0;
    for line in deny.lines() {
        let Some((_, rest)) = line.split_once("{ crate = \"") else {
            continue;
        };
        let name = rest.split('"').next().unwrap_or_default();
        if name.is_empty() || line.contains("allow = [") {
            continue;
        }
        refused += 1;
        let entry = format!("\nname = \"{name}\"\n");
        assert!(!lock.contains(&entry), "{name} is in Cargo.lock");
    }
    assert!(refused >= 5 && deny.contains("\"rsa\""), "{refused}");
    assert!(deny.contains("yanked = \"deny\""));
}
