//! What is remembered must not hold a secret: neither of a command that somebody put it into, nor of
//! a request that bears it in its path.

/// Stands for a secret.
const BLANK: &str = "***";
/// What the name of a secret has in it.
const NAMES: [&str; 11] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "apikey",
    "api-key",
    "api_key",
    "credential",
    "authorization",
];
/// What the name of a secret has as one of its words: `--ssh-key`, but not `--keyring`.
const WORDS: [&str; 4] = ["auth", "pass", "key", "bearer"];
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
/// How tokens begin, and ordinary words, too: `mcp_server`. A token goes on with digits or capitals.
const AMBIGUOUS: [&str; 6] = ["mcp_", "acm_", "ctok_", "ASIA", "AIza", "xox"];
/// What an ambiguous one goes on with, at least, in bytes.
const TOKEN: usize = 8;
/// Options of one dash that begin like `-p`, and take no password.
const PLAIN: [&str; 8] = [
    "-path", "-perm", "-pid", "-print", "-print0", "-printf", "-prune", "-ps",
];

/// What the next word is, by the word before it.
#[derive(Clone, Copy)]
enum Next {
    Plain,
    Secret,
    /// After `-p`: a password, unless it is a port.
    Password,
    /// After `-u`: a name, maybe with a password behind a colon.
    User,
}

/// The words with a blank for each that is a secret by its name, its place or its form.
pub(super) fn redacted(words: &[String]) -> Vec<String> {
    let mut next = Next::Plain;
    let shown = words.iter().map(|word| {
        let this = std::mem::replace(&mut next, announced(word));
        match this {
            _ if word.starts_with('-') => without_value(word),
            Next::Secret => BLANK.to_owned(),
            Next::Password => password(word),
            Next::User => user(word),
            Next::Plain => without_value(word),
        }
    });
    shown.collect()
}

/// A path, or an address with one, with a blank for each part that is a secret by its form.
pub(super) fn redacted_path(path: &str) -> String {
    let path = without_user(path).unwrap_or_else(|| path.to_owned());
    let parts: Vec<String> = path.split('/').map(without_value).collect();
    parts.join("/")
}

/// A text of words, like the name of a browser, without the secrets in it.
pub(super) fn redacted_text(text: &str) -> String {
    let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    let shown: Vec<String> = redacted(&words)
        .iter()
        .map(|word| redacted_path(word))
        .collect();
    shown.join(" ")
}

/// `--password`, whose value is the next word. A plain word, like the name of a container, announces
/// nothing, except the scheme `Bearer`.
fn announced(word: &str) -> Next {
    let last = word.rsplit([':', '=', '"', '\'']).next();
    if last.is_some_and(|last| last.eq_ignore_ascii_case("bearer")) {
        return Next::Secret;
    }
    match word {
        "-p" => Next::Password,
        "-u" | "--user" => Next::User,
        _ if word.starts_with('-') && !word.contains('=') && is_name(word) => Next::Secret,
        _ => Next::Plain,
    }
}

fn without_value(word: &str) -> String {
    let word = without_user(word).unwrap_or_else(|| word.to_owned());
    match word.split_once('=') {
        Some(("--user", value)) => format!("--user={}", user(value)),
        Some((name, value)) if is_name(name) || is_token(value) => format!("{name}={BLANK}"),
        _ => attached(&word),
    }
}

/// `-phunter2` and `-uroot:hunter2`, and words that are tokens by themselves.
fn attached(word: &str) -> String {
    if let Some(value) = word.strip_prefix("-p").filter(|value| !value.is_empty())
        && !PLAIN.contains(&word)
    {
        return format!("-p{}", password(value));
    }
    if let Some(value) = word.strip_prefix("-u") {
        return format!("-u{}", user(value));
    }
    match is_token(word) {
        true => BLANK.to_owned(),
        false => word.to_owned(),
    }
}

/// `https://name:password@host` without what stands before the host.
fn without_user(word: &str) -> Option<String> {
    let (scheme, rest) = word.split_once("://")?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (_, host) = authority.rsplit_once('@')?;
    Some(format!("{scheme}://{BLANK}@{host}{path}"))
}

fn password(value: &str) -> String {
    match is_port(value) {
        true => value.to_owned(),
        false => BLANK.to_owned(),
    }
}

fn user(value: &str) -> String {
    match value.split_once(':') {
        Some((name, _)) if !is_port(value) => format!("{name}:{BLANK}"),
        _ if is_token(value) => BLANK.to_owned(),
        _ => value.to_owned(),
    }
}

/// `8080:80`, as containers are told of ports, and `1000:1000`, as they are told of users.
fn is_port(value: &str) -> bool {
    let value = value.trim_end_matches("/tcp").trim_end_matches("/udp");
    value.contains(':')
        && value
            .split(':')
            .all(|part| part.len() <= 15 && part.bytes().all(|b| b.is_ascii_digit() || b == b'.'))
}

fn is_token(word: &str) -> bool {
    let word = word.trim_start_matches(|c: char| !c.is_ascii_alphanumeric());
    let goes_on = |rest: &str| {
        rest.len() >= TOKEN
            && rest
                .bytes()
                .any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
    };
    BEGINNINGS.iter().any(|start| word.starts_with(start))
        || AMBIGUOUS
            .iter()
            .filter_map(|start| word.strip_prefix(start))
            .any(goes_on)
}

fn is_name(word: &str) -> bool {
    let word = word.to_ascii_lowercase();
    let switched_off = word.starts_with("--no-");
    let mut parts = word.split(|c: char| !c.is_ascii_alphanumeric());
    NAMES.iter().any(|name| word.contains(name))
        || (!switched_off && parts.any(|part| WORDS.contains(&part)))
}

#[cfg(test)]
mod tests {
    use super::{redacted, redacted_path, redacted_text};

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
                "curl https://u:p@example.com/x?key=y",
                "curl https://***@example.com/x?key=***",
            ),
            (
                "docker inspect token-service",
                "docker inspect token-service",
            ),
            ("login mcp_Zk3v9QpLw2", "login ***"),
            ("login acm_Zk3v9QpLw2 x", "login *** x"),
            ("login ctok_0123456789", "login ***"),
            ("aws ASIAIOSFODNN7EXAMPLE", "aws ***"),
            ("aws AKIAIOSFODNN7EXAMPLE", "aws ***"),
            ("maps AIzaSyA-0123456789", "maps ***"),
            ("slack xoxp-0123456789 xoxb-0123456789", "slack *** ***"),
            ("login --as=mcp_Zk3v9QpLw2", "login --as=***"),
            ("run --auth hunter2", "run --auth ***"),
            ("run --pass=hunter2", "run --pass=***"),
            (
                "run --key=hunter2 --ssh-key x",
                "run --key=*** --ssh-key ***",
            ),
            ("run -p hunter2 -phunter2", "run -p *** -p***"),
            ("run -u root:hunter2", "run -u root:***"),
            ("run -uroot:hunter2", "run -uroot:***"),
            ("run --user=root:hunter2", "run --user=root:***"),
            (
                "curl -H \"Authorization: Bearer abc\"",
                "curl -H \"Authorization: Bearer ***",
            ),
            ("send bearer abc", "send bearer ***"),
        ];
        for (command, expected) in rows {
            let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
            assert_eq!(redacted(&words).join(" "), expected);
        }
    }

    #[test]
    fn ordinary_words_are_shown() {
        for command in [
            "docker run -p 8080:80 -p 127.0.0.1:53:53/udp web",
            "docker run -u 1000:1000 web",
            "docker logs mcp_server mcp_filesystem acm_gateway",
            "tail ASIA xoxo AIza",
            "find -path x -print",
            "run -u root --keyring x --author y --passive z --no-auth w",
            "show keyboard monkey passenger author bearers",
        ] {
            let words: Vec<String> = command.split(' ').map(str::to_owned).collect();
            assert_eq!(redacted(&words).join(" "), command);
        }
    }

    #[test]
    fn secrets_in_paths_and_names_of_browsers_are_blank() {
        let rows = [
            (
                "/cb/ghp_0123456789abcdef/eyJhbGciOiJIUzI1NiJ9.e30.x",
                "/cb/***/***",
            ),
            ("/docs/mcp_server/key", "/docs/mcp_server/key"),
            (
                "https://u:p@x.example.com/a/xoxb-0123456789",
                "https://***@x.example.com/a/***",
            ),
        ];
        for (path, expected) in rows {
            assert_eq!(redacted_path(path), expected);
        }
        let agent = "Mozilla/5.0 (X11; Linux x86_64)";
        assert_eq!(redacted_text(agent), agent);
        assert_eq!(
            redacted_text("bot/ghp_0123456789 Bearer x"),
            "bot/*** Bearer ***"
        );
    }
}
