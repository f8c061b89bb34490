//! `cargo xtask conformance`: the official conformance suite against a server built with our macros.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Result;
use crate::relay::Relay;
use crate::services::Service;
use crate::shell::{self, step};

/// The suite needs Node 22; npm has it as a package, whatever version npm itself runs on.
const PACKAGES: [&str; 2] = [
    "node@22",
    "@modelcontextprotocol/conformance@0.2.0-alpha.12",
];

/// Every run, with the number of checks that have to pass: one that is no longer made is not noticed
/// by counting failures.
const RUNS: [Run; 22] = [
    Run::suite("2025-03-26", Mode::Default, 3),
    Run::suite("2025-06-18", Mode::Default, 56),
    Run::suite("2025-11-25", Mode::Default, 84),
    Run::suite("2026-07-28", Mode::Default, 153),
    Run::requirements("2025-11-25", Mode::Default, 84),
    Run::requirements("2026-07-28", Mode::Default, 197),
    Run::scenario("sep-2640-skills-directory", 7),
    Run::scenario("sep-2640-skills-enumeration", 32),
    Run::scenario("sep-2640-skills-manifest", 6),
    // A client that declares nothing, like that of the suite, gets no session.
    Run::suite("2025-06-18", Mode::Auto, 52),
    Run::suite("2025-11-25", Mode::Auto, 79),
    Run::suite("2026-07-28", Mode::Auto, 152),
    Run::suite("2025-11-25", Mode::Stateless, 63),
    Run::suite("2026-07-28", Mode::Stateless, 152),
    // As many as one server passes.
    Run::suite("2026-07-28", Mode::Two(Shared::Sqlite), 153),
    Run::suite("2025-06-18", Mode::Two(Shared::Redis), 56),
    Run::suite("2025-11-25", Mode::Two(Shared::Redis), 84),
    Run::suite("2026-07-28", Mode::Two(Shared::Redis), 153),
    Run::requirements("2026-07-28", Mode::Two(Shared::Redis), 197),
    Run::suite("2025-11-25", Mode::Two(Shared::Postgres), 84),
    Run::suite("2026-07-28", Mode::Two(Shared::Postgres), 153),
    Run::requirements("2026-07-28", Mode::Two(Shared::Postgres), 197),
];

/// How the server is started.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// As it is without options: sessions for everybody, and streams.
    Default,
    /// Sessions for those that can be asked something, and JSON where that is enough.
    Auto,
    /// No sessions, and JSON where that is enough.
    Stateless,
    /// As it is without options, twice, with a store that they share: each request goes to the
    /// other one.
    Two(Shared),
}

/// Where two servers keep what they share.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shared {
    Sqlite,
    Postgres,
    Redis,
}

impl Mode {
    fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Auto => "auto",
            Self::Stateless => "stateless",
            Self::Two(Shared::Sqlite) => "two-sqlite",
            Self::Two(Shared::Postgres) => "two-postgres",
            Self::Two(Shared::Redis) => "two-redis",
        }
    }

    fn options(self) -> &'static [&'static str] {
        match self {
            Self::Default | Self::Two(_) => &[],
            Self::Auto => &["--sessions", "auto", "--replies", "negotiate"],
            Self::Stateless => &["--sessions", "stateless", "--replies", "negotiate"],
        }
    }
}

/// One run of the suite against a server of its own.
#[derive(Clone, Copy)]
struct Run {
    asked: Asked,
    mode: Mode,
    passed: usize,
}

/// What the suite is asked for.
#[derive(Clone, Copy)]
enum Asked {
    Suite(&'static str),
    Requirements(&'static str),
    Scenario(&'static str),
}

impl Run {
    /// Every scenario of a revision.
    const fn suite(revision: &'static str, mode: Mode, passed: usize) -> Self {
        Self {
            asked: Asked::Suite(revision),
            mode,
            passed,
        }
    }

    /// The frozen set by which servers are scored at a revision.
    const fn requirements(revision: &'static str, mode: Mode, passed: usize) -> Self {
        Self {
            asked: Asked::Requirements(revision),
            mode,
            passed,
        }
    }

    /// A scenario of an extension that no suite includes.
    const fn scenario(name: &'static str, passed: usize) -> Self {
        Self {
            asked: Asked::Scenario(name),
            mode: Mode::Default,
            passed,
        }
    }

    fn options(self) -> Vec<&'static str> {
        match self.asked {
            Asked::Suite(revision) => vec!["--suite", "all", "--spec-version", revision],
            Asked::Requirements(revision) => vec!["--requirements", revision],
            Asked::Scenario(name) => vec!["--scenario", name],
        }
    }

    /// The first word of a line in the list of expected failures.
    fn subject(self) -> String {
        match self.asked {
            Asked::Suite(revision) => revision.to_owned(),
            Asked::Requirements(revision) => format!("requirements-{revision}"),
            Asked::Scenario(name) => name.to_owned(),
        }
    }
}

const START: Duration = Duration::from_secs(10);
const SUITE: Duration = Duration::from_secs(120);

pub(crate) fn run(args: &[String]) -> Result {
    if let Some(arg) = args.first() {
        return Err(format!("conformance takes no arguments, not {arg:?}").into());
    }
    let target = shell::target_dir()?;
    let home = target.join("conformance");
    let expected = Expected::read()?;
    let suite = install(&home)?;
    shell::build_programs()?;
    let program = target.join("debug/examples/conformance");

    let mut table = vec![format!(
        "{:<30}{:<15}{:>9}{:>8}{:>8}{:>10}",
        "asked", "server", "scenarios", "passed", "failed", "warnings"
    )];
    let mut problems = Vec::new();
    for run in RUNS {
        let Some(served) = Served::start(&program, run.mode, &home.join("shared"))? else {
            continue;
        };
        let report = suite.run(run, &served.url, &home.join("results"))?;
        let count = |status| {
            report
                .checks
                .iter()
                .filter(|check| check.status == status)
                .count()
        };
        table.push(format!(
            "{:<30}{:<15}{:>9}{:>8}{:>8}{:>10}",
            run.subject(),
            run.mode.name(),
            report.scenarios.len(),
            count("SUCCESS"),
            count("FAILURE"),
            count("WARNING")
        ));
        for check in report
            .checks
            .iter()
            .filter(|check| check.status == "WARNING")
        {
            println!(
                "warning: {} {} {}: {}",
                run.subject(),
                run.mode.name(),
                check.scenario,
                check.text
            );
        }
        problems.extend(expected.compare(run, &report));
        // Fewer when something is no longer checked; more is a number to be raised here.
        if count("SUCCESS") != run.passed {
            problems.push(format!(
                "{} {}: {} checks passed, not {}",
                run.subject(),
                run.mode.name(),
                count("SUCCESS"),
                run.passed
            ));
        }
        // What is a warning without sessions says that there are none.
        if matches!(run.mode, Mode::Default | Mode::Two(_)) && count("WARNING") > 0 {
            problems.push(format!("{}: there are warnings", run.subject()));
        }
    }
    println!("\n{}", table.join("\n"));
    if problems.is_empty() {
        Ok(())
    } else {
        Err(problems.join("\nerror: ").into())
    }
}

/// The suite, installed.
struct Suite {
    node: PathBuf,
    script: PathBuf,
}

/// Installs the packages once per target directory.
fn install(home: &Path) -> Result<Suite> {
    let modules = home.join("node_modules");
    let (done, wanted) = (home.join("installed"), PACKAGES.join("\n"));
    if fs::read_to_string(&done).is_ok_and(|packages| packages == wanted) {
        println!("\n== the suite is installed");
    } else {
        fs::create_dir_all(home)?;
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--prefix"])
            .arg(home)
            .args(PACKAGES);
        step("install the suite", &mut npm)?;
        fs::write(done, wanted)?;
    }
    Ok(Suite {
        node: modules.join("node/bin/node"),
        script: modules.join("@modelcontextprotocol/conformance/dist/index.js"),
    })
}

/// What a run of the suite is made against.
struct Served {
    /// In the order in which they are to end.
    _relay: Option<Relay>,
    _servers: Vec<Server>,
    url: String,
}

impl Served {
    /// `None` where the service that this needs does not run.
    fn start(program: &Path, mode: Mode, folder: &Path) -> Result<Option<Self>> {
        if let Mode::Two(shared) = mode {
            return Self::two(program, mode, shared, folder);
        }
        let server = Server::start(program, mode.options())?;
        Ok(Some(Self {
            url: server.url.clone(),
            _relay: None,
            _servers: vec![server],
        }))
    }

    /// Two servers that share a store and their keys, behind one address.
    fn two(program: &Path, mode: Mode, shared: Shared, folder: &Path) -> Result<Option<Self>> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        fs::create_dir_all(folder)?;
        let keys = folder.join("keys");
        fs::write(&keys, "kX9vT3qLm7ZxN5pRw2yBc8dFg4hJk6sQ0aEu")?;
        let store = match shared {
            Shared::Sqlite => Some(format!("sqlite:{}", folder.join("store.db").display())),
            Shared::Postgres => Service::Postgres.find()?,
            Shared::Redis => Service::Redis.find()?,
        };
        let Some(store) = store else {
            return Ok(None);
        };
        let listener = Relay::listen()?;
        let url = format!("http://{}/mcp", listener.local_addr()?);
        let keys = keys.display().to_string();
        let mut options = mode.options().to_vec();
        options.extend([
            "--store",
            &store,
            "--keys-file",
            &keys,
            "--public-url",
            &url,
        ]);
        let servers = [
            Server::start(program, &options)?,
            Server::start(program, &options)?,
        ];
        let addresses = servers.iter().map(Server::address).collect::<Result<_>>()?;
        Ok(Some(Self {
            _relay: Some(Relay::start(listener, addresses)?),
            _servers: servers.into(),
            url,
        }))
    }
}

/// A server that is stopped when it is dropped.
struct Server {
    child: Child,
    url: String,
}

impl Server {
    fn address(&self) -> Result<SocketAddr> {
        let authority = self.url.strip_prefix("http://");
        let authority = authority.and_then(|rest| rest.strip_suffix("/mcp"));
        Ok(authority.unwrap_or_default().parse()?)
    }

    fn start(program: &Path, options: &[&str]) -> Result<Self> {
        let mut child = Command::new(program)
            .arg("127.0.0.1:0")
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| format!("{}: {error}", program.display()))?;
        let output = child.stdout.take().expect("it is piped");
        let mut server = Self {
            child,
            url: String::new(),
        };
        // It takes a free port and says which.
        let (say, hear) = mpsc::channel();
        thread::spawn(move || {
            let mut line = String::new();
            if BufReader::new(output).read_line(&mut line).is_ok() {
                // Nobody hears it any more when it came too late.
                let _ = say.send(line);
            }
        });
        let line = hear.recv_timeout(START).unwrap_or_default();
        if line.is_empty() {
            return Err(format!("the server has not started within {START:?}").into());
        }
        line.trim().clone_into(&mut server.url);
        Ok(server)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Of a server that has ended already there is nothing to stop.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What the suite found out in one run.
struct Report {
    scenarios: BTreeSet<String>,
    checks: Vec<Check>,
}

struct Check {
    scenario: String,
    status: String,
    text: String,
}

impl Suite {
    fn run(&self, run: Run, url: &str, results: &Path) -> Result<Report> {
        let name = format!("{}-{}", run.subject(), run.mode.name());
        let results = results.join(&name);
        if results.exists() {
            fs::remove_dir_all(&results)?;
        }
        fs::create_dir_all(&results)?;
        let log = results.join("suite.log");
        let mut command = Command::new(&self.node);
        command
            .arg(&self.script)
            .args(["server", "--url", url])
            .args(run.options())
            .arg("-o")
            .arg(&results)
            .stdin(Stdio::null())
            .stdout(File::create(&log)?)
            .stderr(File::create(results.join("suite.err"))?);
        shell::announce(&name, &command);
        // Its status says whether a check failed, which the checks say in more detail.
        wait(&mut command.spawn()?, SUITE)?;
        let report = Report::read(&results)?;
        report
            .is_complete(&fs::read_to_string(&log)?)
            .map_err(|problem| format!("{name}: {problem}; see {}", log.display()))?;
        Ok(report)
    }
}

fn wait(child: &mut Child, limit: Duration) -> Result<ExitStatus> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if begun.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            return Err(format!("the suite has not ended within {limit:?}").into());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

impl Report {
    /// Each scenario leaves a directory `server-NAME-TIME` with its checks.
    fn read(results: &Path) -> Result<Self> {
        let mut report = Self {
            scenarios: BTreeSet::new(),
            checks: Vec::new(),
        };
        for entry in fs::read_dir(results)? {
            let entry = entry?;
            let file = entry.path().join("checks.json");
            let directory = entry.file_name().to_string_lossy().into_owned();
            let Some(scenario) = scenario(&directory).filter(|_| file.is_file()) else {
                continue;
            };
            let checks: Vec<Value> = serde_json::from_str(&fs::read_to_string(file)?)?;
            for check in checks {
                let text = |name: &str| check[name].as_str().unwrap_or_default();
                report.checks.push(Check {
                    scenario: scenario.to_owned(),
                    status: text("status").to_owned(),
                    text: format!(
                        "{}: {}",
                        text("id"),
                        check["errorMessage"]
                            .as_str()
                            .unwrap_or_else(|| text("description"))
                    ),
                });
            }
            report.scenarios.insert(scenario.to_owned());
        }
        Ok(report)
    }

    /// The suite sums up at its end. One that broke off did not, or counts what we do not.
    fn is_complete(&self, log: &str) -> Result {
        let count = |status| {
            self.checks
                .iter()
                .filter(|check| check.status == status)
                .count()
        };
        let (passed, failed) = (count("SUCCESS"), count("FAILURE"));
        let many = format!("Total: {passed} passed, {failed} failed");
        let single = format!("Passed: {passed}/{}, {failed} failed,", passed + failed);
        let sums_up = |line: &str| line.trim() == many || line.trim().starts_with(&single);
        if log.lines().any(sums_up) {
            Ok(())
        } else {
            Err(format!("the suite does not end with {many:?}").into())
        }
    }

    fn failures(&self) -> BTreeMap<&str, Vec<&str>> {
        let mut failures: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for check in self.checks.iter().filter(|check| check.status == "FAILURE") {
            failures
                .entry(&check.scenario)
                .or_default()
                .push(&check.text);
        }
        failures
    }
}

/// `server-tools-list-2026-07-28T12-00-00-000Z` is of `tools-list`.
fn scenario(directory: &str) -> Option<&str> {
    let named = directory.strip_prefix("server-")?;
    let (name, time) =
        named.split_at_checked(named.len().checked_sub("-2026-07-28T12-00-00-000Z".len())?)?;
    (time.starts_with('-') && time.ends_with('Z')).then_some(name)
}

/// The scenarios that are known to fail: what the suite was asked for, server, scenario.
struct Expected(BTreeSet<[String; 3]>);

impl Expected {
    const FILE: &str = "mcp-runtime/examples/conformance/expected-failures.txt";

    fn read() -> Result<Self> {
        Self::parse(&fs::read_to_string(shell::root().join(Self::FILE))?)
    }

    fn parse(text: &str) -> Result<Self> {
        let lines = text
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let read = |line: &str| {
            let (what, _) = line
                .split_once(": ")
                .filter(|(_, reason)| !reason.trim().is_empty())?;
            let words: Vec<String> = what.split_whitespace().map(str::to_owned).collect();
            words.try_into().ok()
        };
        lines
            .map(|line| {
                read(line).ok_or_else(|| {
                    format!(
                        "{}: `ASKED SERVER SCENARIO: REASON`, not {line:?}",
                        Self::FILE
                    )
                    .into()
                })
            })
            .collect::<Result<_>>()
            .map(Self)
    }

    /// What failed and is not listed, and what is listed and did not fail.
    fn compare(&self, run: Run, report: &Report) -> Vec<String> {
        let failures = report.failures();
        let listed = |scenario: &str| {
            [
                run.subject(),
                run.mode.name().to_owned(),
                scenario.to_owned(),
            ]
        };
        let unexpected = failures
            .iter()
            .filter(|(scenario, _)| !self.0.contains(&listed(scenario)))
            .map(|(scenario, texts)| {
                format!(
                    "{} {} {scenario} fails:\n  {}",
                    run.subject(),
                    run.mode.name(),
                    texts.join("\n  ")
                )
            });
        let stale = self
            .0
            .iter()
            .filter(|[asked, server, scenario]| {
                *asked == run.subject()
                    && server == run.mode.name()
                    && !failures.contains_key(scenario.as_str())
            })
            .map(|words| {
                format!(
                    "{} does not fail: take it out of {}",
                    words.join(" "),
                    Self::FILE
                )
            });
        unexpected.chain(stale).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Check, Expected, Mode, Report, Run, scenario};

    #[test]
    fn scenarios_are_read_from_the_names_of_directories() {
        assert_eq!(
            scenario("server-server-stateless-2026-07-28T12-00-00-000Z"),
            Some("server-stateless")
        );
        assert_eq!(scenario("suite.log"), None);
    }

    #[test]
    fn an_expected_failure_has_a_reason() {
        assert!(Expected::parse("# a comment\n\n2025-11-25 auto ping: it is late").is_ok());
        assert!(Expected::parse("2025-11-25 auto ping").is_err());
        assert!(Expected::parse("2025-11-25 ping: it is late").is_err());
    }

    #[test]
    fn what_fails_and_what_is_listed_have_to_agree() {
        let run = Run::suite("2025-11-25", Mode::Auto, 1);
        let check = Check {
            scenario: "ping".into(),
            status: "FAILURE".into(),
            text: "late".into(),
        };
        let failed = Report {
            scenarios: ["ping".to_owned()].into(),
            checks: vec![check],
        };
        let passed = Report {
            scenarios: ["ping".to_owned()].into(),
            checks: Vec::new(),
        };
        let listed = Expected::parse("2025-11-25 auto ping: it is late").unwrap();
        let nothing = Expected::parse("").unwrap();
        assert!(listed.compare(run, &failed).is_empty());
        assert!(nothing.compare(run, &passed).is_empty());
        assert_eq!(nothing.compare(run, &failed).len(), 1);
        assert_eq!(listed.compare(run, &passed).len(), 1);
    }
}
