//! What is remembered of a command must not hold a secret that somebody put into it.

/// Stands for a secret.
const BLANK: &str = "***";
/// What the name of a secret has in it.
const NAMES: [&str; 9] = [
    "password",
    "passwd",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api-key",
    "api_key",
    "credential",
];
/// How tokens begin that say what they are.
const BEGINNINGS: [&str; 10] = [
    "eyJ",
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "sk-",
    "sk_live_",
    "xoxb-",
    "xoxp-",
    "AKIA",
];

/// The words with a blank for each that is a secret by its name, its place or its form.
pub(super) fn redacted(words: &[String]) -> Vec<String> {
    let mut named = false;
    let shown = words.iter().map(|word| {
        let secret = std::mem::replace(&mut named, names_a_secret(word));
        if secret && !word.starts_with('-') {
            return BLANK.to_owned();
        }
        without_value(word)
    });
    shown.collect()
}

/// `--password`, whose value is the next word. A plain word, like the name of a container, is none.
fn names_a_secret(word: &str) -> bool {
    word.starts_with('-') && !word.contains('=') && is_name(word)
}

fn without_value(word: &str) -> String {
    if let Some((name, _)) = word.split_once('=').filter(|(name, _)| is_name(name)) {
        return format!("{name}={BLANK}");
    }
    if let Some((scheme, rest)) = word.split_once("://")
        && let Some((_, host)) = rest.rsplit_once('@')
    {
        return format!("{scheme}://{BLANK}@{host}");
    }
    match BEGINNINGS.iter().any(|start| word.starts_with(start)) {
        true => BLANK.to_owned(),
        false => word.to_owned(),
    }
}

fn is_name(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    NAMES.iter().any(|name| word.contains(name))
}

#[cfg(test)]
mod tests {
    use super::redacted;

    #[test]
    fn rc_14_secrets_are_blank_and_the_rest_is_as_it_was() {
        let rows = [
            ("docker logs web-1", "docker logs web-1"),
            ("docker logs --tail 5 web", "docker logs --tail 5 web"),
            (
                "docker login --password hunter2",
                "docker login --password ***",
            ),
            (
                "docker login --password=hunter2 x",
                "docker login --password=*** x",
            ),
            ("deploy API_KEY=abc DEBUG=1", "deploy API_KEY=*** DEBUG=1"),
            ("deploy --api-key -v", "deploy --api-key -v"),
            (
                "curl https://u:p@example.com/x",
                "curl https://***@example.com/x",
            ),
            ("login eyJhbGciOiJIUzI1NiJ9.e30.x", "login ***"),
            ("login ghp_0123456789", "login ***"),
            (
                "docker inspect token-service",
                "docker inspect token-service",
            ),
        ];
        for (command, expected) in rows {
            let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
            assert_eq!(redacted(&words).join(" "), expected);
        }
    }
}
