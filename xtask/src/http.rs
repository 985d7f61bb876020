//! Measures requests per second over HTTP, in comparison with the same program with `tower-sessions` and without sessions.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::cargo::{cargo, root};
use crate::programs;

/// The program's argument, and the row's name. Each round measures all in this order, so that other load affects all.
const PROGRAMS: [(&str, &str); 3] = [
    (PLAIN, "without a session"),
    ("tessera", "Tessera"),
    ("tower-sessions", "tower-sessions"),
];
const PLAIN: &str = "none";
const ROUNDS: usize = 5;
const SECONDS: usize = 5;
const CONNECTIONS: usize = 64;
/// `USER_HZ`, in which Linux counts a process's time.
const TICKS_A_SECOND: f64 = 100.0;
/// The response of `/` to a client with a session.
const FIELD: &str = "some text of usual length";
/// The response of `/` to a client without one.
const NOBODY: &str = "nobody";

/// The results of one run of `wrk`.
#[derive(Clone, Copy)]
struct Run {
    per_second: f64,
    median_millis: f64,
    p99_millis: f64,
    /// The program's CPU time for each request, in microseconds. Other load affects this figure least.
    cpu_micros: f64,
}

/// The maximum CPU time of a request in excess of one without sessions, as a quotient over `tower-sessions`.
const CPU_AIM: f64 = 0.5;
/// The minimum number of requests per second, as a quotient over `tower-sessions`.
const RATE_AIM: f64 = 1.0;

/// Builds the program and measures it with each session layer, in `rounds` rounds or by default in five.
pub(crate) fn bench(rounds: Option<&str>) -> Result<(), String> {
    let rounds = match rounds {
        None => ROUNDS,
        Some(rounds) => match rounds.parse() {
            Ok(rounds @ 1..) => rounds,
            _ => return Err("`bench-http` takes a whole number of rounds".into()),
        },
    };
    programs::ensure_one("wrk", "wrk")?;
    let program = build()?;
    let mut runs = vec![Vec::new(); PROGRAMS.len()];
    for round in 1..=rounds {
        for ((argument, name), runs) in PROGRAMS.iter().zip(&mut runs) {
            let run = run(&program, argument)?;
            println!("xtask: round {round}: {name:<17}{:>9.0}/s", run.per_second);
            runs.push(run);
        }
    }
    println!("\nwrk -t1 -c{CONNECTIONS} -d{SECONDS}s, medians of {rounds} rounds\n");
    println!("| `GET /` | requests/s | median | 99th of 100 | processor time a request |");
    println!("|---|---|---|---|---|");
    let mut medians = Vec::new();
    for ((_, name), runs) in PROGRAMS.iter().zip(&runs) {
        let run = Run {
            per_second: median(runs, |run| run.per_second),
            median_millis: median(runs, |run| run.median_millis),
            p99_millis: median(runs, |run| run.p99_millis),
            cpu_micros: median(runs, |run| run.cpu_micros),
        };
        println!(
            "| {name} | {:.0} | {:.2} ms | {:.2} ms | {:.1} µs |",
            run.per_second, run.median_millis, run.p99_millis, run.cpu_micros
        );
        medians.push(run);
    }
    let [bare, tessera, peer] = &medians[..] else {
        return Err("three programs are measured".into());
    };
    let over = |run: &Run| run.cpu_micros - bare.cpu_micros;
    let (cpu, rate) = (over(tessera) / over(peer), tessera.per_second / peer.per_second);
    let verdict = |is_met: bool| if is_met { "met" } else { "missed" };
    println!("\n| Tessera ÷ `tower-sessions` | measured | aim | |\n|---|---|---|---|");
    println!(
        "| processor time over a bare request | {cpu:.2} | ≤ {CPU_AIM} | {} |",
        verdict(cpu <= CPU_AIM)
    );
    println!(
        "| requests a second | {rate:.2} | ≥ {RATE_AIM:.1} | {} |",
        verdict(rate >= RATE_AIM)
    );
    Ok(())
}

fn median(runs: &[Run], of: impl Fn(&Run) -> f64) -> f64 {
    let mut values: Vec<f64> = runs.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Builds the program, which is in a separate workspace so that peers' dependencies stay out of this one.
fn build() -> Result<PathBuf, String> {
    let target = root().join("target/peers");
    let text = |path: &Path| path.to_str().map(str::to_owned);
    let manifest = text(&root().join("tests/peers/Cargo.toml"));
    let (Some(manifest), Some(directory)) = (manifest, text(&target)) else {
        return Err("the path of the project is not Unicode".into());
    };
    cargo(
        "bench-http",
        &[
            "build",
            "--release",
            "--locked",
            "--bin",
            "http",
            "--manifest-path",
            &manifest,
            "--target-dir",
            &directory,
        ],
    )?;
    Ok(target.join("release/http"))
}

/// The program on a port of its own. It is killed on drop.
struct Server {
    child: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    /// The CPU time so far, in ticks (`proc(5)`: user and system time are the 12th and 13th fields after the name).
    fn ticks(&self) -> Result<u64, String> {
        let path = format!("/proc/{}/stat", self.child.id());
        let stat = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let fields = stat.rsplit(") ").next().unwrap_or_default();
        let times = fields.split(' ').skip(11).take(2);
        Ok(times.filter_map(|time| time.parse::<u64>().ok()).sum())
    }
}

fn start(program: &Path, name: &str) -> Result<Server, String> {
    let mut child = Command::new(program)
        .arg(name)
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| format!("{}: {error}", program.display()))?;
    let output = child.stdout.take();
    let mut server = Server {
        child,
        address: String::new(),
    };
    let mut line = String::new();
    if let Some(output) = output {
        // After an error the line is empty, which is reported below.
        let _ = BufReader::new(output).read_line(&mut line);
    }
    server.address = line.trim().to_owned();
    if server.address.is_empty() {
        return Err(format!("{name} does not start"));
    }
    Ok(server)
}

fn run(program: &Path, name: &str) -> Result<Run, String> {
    let server = start(program, name)?;
    let address = &server.address;
    let mut cookie = String::new();
    if name != PLAIN {
        let login = ask(address, "POST /login", "")?;
        cookie = cookie_of(&login).ok_or_else(|| format!("{name}: a login sets no cookie:\n{login}"))?;
        expect(name, &ask(address, "GET /", "")?, NOBODY)?;
    }
    // The program reads the session before the measurement and still does after it.
    expect(name, &ask(address, "GET /", &cookie)?, FIELD)?;
    let began = server.ticks()?;
    let said = wrk(address, &cookie)?;
    let ticks = server.ticks()? - began;
    let run = read(&said, ticks).ok_or_else(|| format!("wrk printed an unexpected report:\n{said}"))?;
    expect(name, &ask(address, "GET /", &cookie)?, FIELD)?;
    Ok(run)
}

fn expect(name: &str, answer: &str, body: &str) -> Result<(), String> {
    if answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(&format!("\r\n\r\n{body}")) {
        Ok(())
    } else {
        Err(format!("{name}: expected {body:?}, received:\n{answer}"))
    }
}

/// Sends one request on a new connection, and returns the complete response.
fn ask(address: &str, request: &str, cookie: &str) -> Result<String, String> {
    let failed = |error: std::io::Error| format!("{address}: {error}");
    let mut stream = TcpStream::connect(address).map_err(failed)?;
    let cookie = match cookie {
        "" => String::new(),
        cookie => format!("Cookie: {cookie}\r\n"),
    };
    let head = format!(
        "{request} HTTP/1.1\r\nHost: localhost\r\n{cookie}Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).map_err(failed)?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).map_err(failed)?;
    Ok(answer)
}

/// The cookie of a response, in the form of a `Cookie` header.
fn cookie_of(answer: &str) -> Option<String> {
    let line = answer
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))?;
    Some(line.split(';').next()?.to_owned())
}

fn wrk(address: &str, cookie: &str) -> Result<String, String> {
    let mut command = Command::new("wrk");
    command.args([
        "-t1",
        &format!("-c{CONNECTIONS}"),
        &format!("-d{SECONDS}s"),
        "--latency",
    ]);
    if !cookie.is_empty() {
        command.arg("--header").arg(format!("Cookie: {cookie}"));
    }
    let output = command.arg(format!("http://{address}/")).output();
    let output = output.map_err(|error| format!("wrk cannot be started: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() || said.contains("Non-2xx") || said.contains("Socket errors") {
        return Err(format!("wrk:\n{said}"));
    }
    Ok(said)
}

/// Reads the figures from the report of `wrk --latency`.
fn read(said: &str, ticks: u64) -> Option<Run> {
    let after = |start: &str| {
        let mut lines = said.lines().map(str::trim);
        lines.find_map(|line| line.strip_prefix(start)).map(str::trim)
    };
    let requests = said
        .lines()
        .find_map(|line| line.trim().split_once(" requests in "))?
        .0;
    Some(Run {
        per_second: after("Requests/sec:")?.parse().ok()?,
        median_millis: millis(after("50%")?)?,
        p99_millis: millis(after("99%")?)?,
        cpu_micros: ticks as f64 / TICKS_A_SECOND * 1e6 / requests.parse::<f64>().ok()?,
    })
}

/// Parses a time such as `930.00us`, `1.21ms` or `1.02s`, to milliseconds.
fn millis(text: &str) -> Option<f64> {
    let units = [("us", 0.001), ("ms", 1.0), ("s", 1000.0)];
    let (number, factor) = units
        .iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)))?;
    Some(number.parse::<f64>().ok()? * factor)
}
