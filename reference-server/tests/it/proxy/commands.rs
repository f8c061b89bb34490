//! `run_command`: off, and then only what the grammar allows.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sqlx::Row;

use super::{PATIENCE, Site};
use crate::databases::Database;

/// A site with programs of its own, and these commands.
async fn site(allow: &[&str], timeout: Duration) -> Site {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let programs = folder.path().join("programs");
    std::fs::create_dir(&programs).expect("made");
    let tree = format!(
        "#!/bin/sh\n/bin/sleep {0} &\n/bin/sleep {0} &\nwait\n",
        mark(folder.path())
    );
    for (name, text) in [
        ("docker", "#!/bin/sh\necho \"docker $*\"\n"),
        ("bin-out", "#!/bin/sh\nprintf '\\377\\033[2J\\007text'\n"),
        ("fails", "#!/bin/sh\necho wrong >&2\nexit 3\n"),
        (
            "leaves",
            "#!/bin/sh\nset -- *\n[ -e \"$1\" ] || shift\necho $#\necho x >left\n",
        ),
        (
            "noise",
            "#!/bin/sh\n/usr/bin/head -c 65000 /dev/zero | /usr/bin/tr '\\0' '\\377'\n",
        ),
        ("sleep-tree", &tree),
    ] {
        let path = programs.join(name);
        std::fs::write(&path, text).expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).expect("executable");
    }
    let database = Database::file(&folder.path().join("proxy.db"));
    Site::on(
        (folder, database),
        super::Target::start().await,
        |settings| {
            settings.commands.allow = allow.iter().map(|text| (*text).to_owned()).collect();
            settings.commands.path.insert(0, programs);
            settings.commands.timeout = timeout;
        },
    )
    .await
}

/// A length of sleep that only this test has, in seconds.
fn mark(folder: &Path) -> String {
    let sum: u64 = folder
        .display()
        .to_string()
        .bytes()
        .fold(7, |sum, byte| (sum * 31 + u64::from(byte)) % 1_000_003);
    format!("60.{sum:07}")
}

/// How many processes sleep that long.
fn sleepers(site: &Site) -> usize {
    let mark = mark(site.folder.path());
    let processes = std::fs::read_dir("/proc").expect("Linux").flatten();
    processes
        .filter_map(|process| std::fs::read(process.path().join("cmdline")).ok())
        .filter(|line| String::from_utf8_lossy(line).contains(&mark))
        .filter(|line| line.starts_with(b"/bin/sleep"))
        .count()
}

async fn until(what: &str, patience: Duration, done: impl Fn() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < patience, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn run(command: &str) -> Value {
    json!({ "command": command })
}

/// What is remembered of commands: subject, arguments, outcome, exit code, bytes, request.
async fn audited(
    site: &Site,
    count: usize,
) -> Vec<(String, String, String, Option<i64>, i64, String)> {
    let mut connection = site.database.connect().await;
    let since = Instant::now();
    loop {
        let rows = sqlx::query("SELECT * FROM proxy_commands ORDER BY at, id")
            .fetch_all(&mut connection)
            .await
            .expect("rows");
        if rows.len() == count {
            let text = |row: &sqlx::any::AnyRow, name: &str| row.get::<String, _>(name);
            let row = |row: &sqlx::any::AnyRow| {
                (
                    text(row, "subject"),
                    text(row, "argv"),
                    text(row, "outcome"),
                    row.get("exit_code"),
                    row.get("bytes"),
                    text(row, "request_id"),
                )
            };
            return rows.iter().map(row).collect();
        }
        assert!(
            since.elapsed() < PATIENCE,
            "{} rows, not {count}",
            rows.len()
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn rc_01_without_a_list_of_commands_there_is_no_such_tool() {
    let site = Site::new().await;
    let tools = site.admin().tools().await;
    assert_eq!(tools.len(), 9);
    assert!(!tools.contains(&"run_command".to_owned()));
    let reply = site.admin().call("run_command", run("docker ps")).await;
    assert_eq!(reply.error()["code"], -32602);
    let unknown = site.admin().call("no_such_tool", run("docker ps")).await;
    let message = |reply: &mcp_runtime::testing::TestReply| reply.error()["message"].to_string();
    assert_eq!(
        message(&reply).replace("run_command", ""),
        message(&unknown).replace("no_such_tool", "")
    );
}

#[tokio::test]
async fn rc_02_only_admins_run_commands() {
    let site = site(&["docker ps"], PATIENCE).await;
    assert_eq!(
        site.demo("reader")
            .call("run_command", run("docker ps"))
            .await
            .status,
        403
    );
    assert_eq!(
        site.bob()
            .call("run_command", run("docker ps"))
            .await
            .status,
        403
    );
    assert_eq!(
        site.server
            .call("run_command", run("docker ps"))
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn rc_03_05_13_what_the_grammar_does_not_have_is_refused() {
    let site = site(
        &["docker ps", "docker logs [--tail <number>] <service>"],
        PATIENCE,
    )
    .await;
    let marker = site.folder.path().join("M");
    let rows = [
        "docker ps; touch M",
        "docker ps && touch M",
        "docker ps | tee M",
        "$(touch M)",
        "`touch M`",
        "docker ps\ntouch M",
        "docker ps > M",
        "docker ps & touch M",
        "docker ps -a",
        "docker",
        "docker logs",
        "docker logs --tail",
        "docker logs --tail x web",
        "docker logs -f web",
        "docker logs --help",
        "docker logs web extra",
        "docker logs ../web",
        "docker logs --tail 5",
        "/bin/sh",
        "sh",
        "./docker",
        "../../bin/sh",
        "LD_PRELOAD=x docker ps",
        "DOCKER ps",
        "docker\u{a0}ps",
        "docker\tps",
        "docker ps\u{0}",
        "'docker' ps",
        "touch M",
    ];
    for command in rows {
        let command = command.replace('M', &marker.display().to_string());
        let reply = site.admin().call("run_command", run(&command)).await;
        assert_eq!(reply.code(), "not_allowed", "{command:?}");
        let allowed = &reply.result()["structuredContent"]["allowed"];
        assert_eq!(allowed[0], "docker ps", "{command:?}");
    }
    let many = format!("docker ps {}", "x ".repeat(1000));
    for arguments in [
        run(&many),
        run(&"x".repeat(200 << 10)),
        run(""),
        json!({"command": ["docker", "ps"]}),
    ] {
        let reply = site.admin().call("run_command", arguments).await;
        assert_eq!(reply.code(), "invalid_arguments");
    }
    assert!(!marker.exists());
    for (command, said) in [
        ("docker ps", "docker ps\n"),
        ("docker  logs web-1", "docker logs web-1\n"),
        ("docker logs --tail 5 web-1", "docker logs --tail 5 web-1\n"),
    ] {
        let reply = site.admin().call("run_command", run(command)).await;
        let done = reply.structured();
        assert_eq!(
            (&done["stdout"], &done["exit_code"]),
            (&json!(said), &json!(0)),
            "{command}"
        );
    }
}

#[tokio::test]
async fn rc_06_10_the_environment_is_empty_and_output_is_tame() {
    let site = site(&["env", "bin-out", "fails", "pwd"], PATIENCE).await;
    let reply = site.admin().call("run_command", run("env")).await;
    let printed = reply.structured()["stdout"].as_str().expect("text");
    let mut names: Vec<&str> = printed
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0))
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["HOME", "LANG", "PATH"]);
    assert!(printed.contains("HOME=/nonexistent"));
    let reply = site.admin().call("run_command", run("bin-out")).await;
    assert_eq!(
        reply.structured()["stdout"],
        "\u{fffd}\u{fffd}[2J\u{fffd}text"
    );
    let reply = site.admin().call("run_command", run("fails")).await;
    let done = reply.structured();
    assert_eq!(
        (&done["exit_code"], &done["stderr"]),
        (&json!(3), &json!("wrong\n"))
    );
    let reply = site.admin().call("run_command", run("pwd")).await;
    let folder = reply.structured()["stdout"].as_str().expect("text").trim();
    let above = site.folder.path().join("proxy/empty");
    assert_eq!(Path::new(folder).parent(), Some(&*above), "{folder}");
}

#[tokio::test]
async fn a_folder_of_its_own_is_given_to_each_command_and_removed_after_it() {
    let site = site(&["leaves", "sleep-tree"], Duration::from_secs(2)).await;
    let above = site.folder.path().join("proxy/empty");
    let left = || std::fs::read_dir(&above).expect("a folder").count();
    for _ in 0..2 {
        let reply = site.admin().call("run_command", run("leaves")).await;
        assert_eq!(reply.structured()["stdout"], "0\n", "not empty");
        assert_eq!(left(), 0, "its folder stays");
    }
    let reply = site.admin().call("run_command", run("sleep-tree")).await;
    assert_eq!(reply.code(), "timed_out");
    assert_eq!(left(), 0, "its folder stays after the time limit");
    let client = site.admin();
    let call = tokio::spawn(async move { client.call("run_command", run("sleep-tree")).await });
    until("nothing starts", PATIENCE, || left() == 1).await;
    call.abort();
    until("its folder stays", PATIENCE, || left() == 0).await;
}

#[tokio::test]
async fn output_stays_below_its_limit_when_bytes_are_replaced() {
    let site = site(&["noise"], PATIENCE).await;
    let reply = site.admin().call("run_command", run("noise")).await;
    let done = reply.structured();
    let length = done["stdout"].as_str().expect("text").len();
    assert!(length <= 64 << 10, "{length} bytes");
    assert_eq!(
        (&done["truncated"], &done["exit_code"]),
        (&json!(true), &json!(0))
    );
}

#[tokio::test]
async fn rc_07_a_flood_is_cut_and_ended() {
    let site = site(&["yes"], PATIENCE).await;
    let since = Instant::now();
    let reply = site.admin().call("run_command", run("yes")).await;
    let done = reply.structured();
    assert_eq!(
        (&done["truncated"], &done["exit_code"]),
        (&json!(true), &Value::Null)
    );
    assert_eq!(done["stdout"].as_str().map(str::len), Some(64 << 10));
    assert!(since.elapsed() < Duration::from_secs(10));
    assert_eq!(audited(&site, 1).await[0].2, "truncated");
}

#[tokio::test]
async fn rc_08_what_takes_too_long_is_ended_with_all_that_it_started() {
    let site = site(&["sleep-tree"], Duration::from_secs(2)).await;
    let since = Instant::now();
    let reply = site.admin().call("run_command", run("sleep-tree")).await;
    assert_eq!(reply.code(), "timed_out");
    assert!(since.elapsed() >= Duration::from_secs(2));
    until("the tree lives", Duration::from_secs(3), || {
        sleepers(&site) == 0
    })
    .await;
    assert!(since.elapsed() < Duration::from_secs(10));
    assert_eq!(audited(&site, 1).await[0].2, "timed_out");
}

#[tokio::test]
async fn rc_11_who_hangs_up_ends_the_command() {
    let site = site(&["sleep-tree"], PATIENCE).await;
    let client = site.admin();
    let call = tokio::spawn(async move { client.call("run_command", run("sleep-tree")).await });
    until("nothing starts", PATIENCE, || sleepers(&site) == 2).await;
    call.abort();
    until("the tree lives", Duration::from_secs(3), || {
        sleepers(&site) == 0
    })
    .await;
    let rows = audited(&site, 1).await;
    assert_eq!((&*rows[0].0, &*rows[0].2), ("admin", "cancelled"));
}

#[tokio::test]
async fn rc_12_no_more_run_at_once_than_may() {
    let site = site(&["sleep-tree", "docker ps"], PATIENCE).await;
    let calls: Vec<_> = (0..2)
        .map(|_| {
            let client = site.admin();
            tokio::spawn(async move { client.call("run_command", run("sleep-tree")).await })
        })
        .collect();
    until("they do not start", PATIENCE, || sleepers(&site) == 4).await;
    let reply = site.admin().call("run_command", run("docker ps")).await;
    assert_eq!(reply.code(), "busy");
    for call in calls {
        call.abort();
    }
    until("the trees live", Duration::from_secs(3), || {
        sleepers(&site) == 0
    })
    .await;
    site.admin()
        .call("run_command", run("docker ps"))
        .await
        .structured();
}

#[tokio::test]
async fn rc_10_14_every_command_is_remembered_without_secrets_and_tame() {
    let site = site(&["docker logs <service>"], PATIENCE).await;
    let admin = site.admin();
    admin
        .call("run_command", run("docker logs web"))
        .await
        .structured();
    let rows = audited(&site, 1).await;
    let (subject, argv, outcome, exit_code, bytes, request_id) = &rows[0];
    assert_eq!(
        (&**subject, &**argv, &**outcome),
        ("admin", "[\"docker\",\"logs\",\"web\"]", "ended")
    );
    assert_eq!(
        (*exit_code, *bytes),
        (Some(0), "docker logs web\n".len() as i64)
    );
    assert!(!request_id.is_empty());

    for command in [
        "docker login --password CNRY-word",
        "docker login --token=CNRY-word",
        "docker login mcp_CNRY0123456789",
        "docker login --auth CNRY-word",
        "docker login -pCNRY-word",
        "docker login -u root:CNRY-word",
        "docker login bearer CNRY-word",
        "docker \u{1b}[2J\u{202e} PASSWORD=CNRY-word",
    ] {
        let reply = admin.call("run_command", run(command)).await;
        assert_eq!(reply.code(), "not_allowed", "{command:?}");
    }
    for (_, argv, outcome, exit_code, ..) in &audited(&site, 9).await[1..] {
        assert_eq!((&**outcome, *exit_code), ("not_allowed", None), "{argv}");
        assert!(argv.contains("***") && !argv.contains("CNRY"), "{argv}");
        let hidden = ["\u{1b}", "\\u001b", "\u{202e}"];
        assert!(!hidden.iter().any(|raw| argv.contains(raw)), "{argv}");
    }
}

#[tokio::test]
async fn a_command_that_cannot_be_meant_stops_the_start() {
    use mcp_runtime::Clock;
    use reference_server::proxy::{Proxy, Settings};
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    for (template, problem) in [
        ("no-such-program", "none of the folders"),
        ("/bin/sh", "name of a program"),
        ("env <anything>", "<service>"),
        ("env [-x", "without its `]`"),
        ("env ]", "without its `[`"),
    ] {
        let mut settings = Settings::new("sqlite::memory:", folder.path());
        settings.commands.allow = vec![template.to_owned()];
        let error = Proxy::open(settings, Clock::system())
            .await
            .err()
            .expect(template);
        assert!(error.to_string().contains(problem), "{template}: {error}");
    }
}
