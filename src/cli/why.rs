//! `rushlane why`: the hop waterfall of a room, and the first bad hop in words.

use std::fmt::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

/// How long a node may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// How often `--watch` asks.
const EVERY: Duration = Duration::from_secs(2);

/// The widest bar of the waterfall, in characters.
const BAR_CHARACTERS: f64 = 24.0;

/// The words of `rushlane why`.
#[derive(Args)]
pub struct Why {
    /// The room
    room: String,
    /// The admin URL of the edge (or origin) to ask
    #[arg(long, default_value = "http://127.0.0.1:9090", value_name = "URL")]
    edge: String,
    /// The bearer token of its admin port
    #[arg(long, env = "RUSHLANE_ADMIN_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// Print the answer as JSON
    #[arg(long)]
    json: bool,
    /// Ask again every two seconds
    #[arg(long)]
    watch: bool,
}

impl fmt::Debug for Why {
    /// Without the token.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Why")
            .field("room", &self.room)
            .field("edge", &self.edge)
            .finish_non_exhaustive()
    }
}

/// The answer, as far as it is shown.
#[derive(Debug, Deserialize)]
struct Answer {
    room: String,
    node: String,
    window_seconds: u64,
    baseline_seconds: u64,
    verdict: Verdict,
    hops: Vec<Hop>,
    viewers: Viewers,
}

#[derive(Debug, Deserialize)]
struct Verdict {
    state: String,
    words: String,
    cause: Option<String>,
    affected_viewers: u64,
}

#[derive(Debug, Deserialize)]
struct Hop {
    hop: String,
    at: String,
    what: String,
    now: Option<Times>,
    baseline: Option<Times>,
    uncertainty_ms: Option<f64>,
    bad: bool,
}

#[derive(Debug, Deserialize)]
struct Times {
    p50_ms: f64,
    p95_ms: f64,
    p99_ms: f64,
}

#[derive(Debug, Deserialize)]
struct Viewers {
    hls: u64,
    flv: u64,
    slow: u64,
}

impl Why {
    /// Asks and prints: 0 when the room is fine, 1 when a hop is bad or nobody answers.
    #[expect(clippy::print_stdout, reason = "the report")]
    #[expect(clippy::print_stderr, reason = "why there is no report")]
    pub fn run(self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let runtime = match runtime {
            Ok(runtime) => runtime,
            Err(error) => {
                eprintln!("no runtime: {error}");
                return ExitCode::FAILURE;
            }
        };
        loop {
            let told = runtime.block_on(self.ask());
            let fine = match &told {
                Ok((text, fine)) => {
                    println!("{text}");
                    *fine
                }
                Err(error) => {
                    eprintln!("{error}");
                    false
                }
            };
            if !self.watch {
                return ExitCode::from(u8::from(!fine));
            }
            runtime.block_on(tokio::time::sleep(EVERY));
        }
    }

    /// What is printed, and whether the room is fine.
    async fn ask(&self) -> Result<(String, bool), String> {
        let base = self.edge.trim_end_matches('/');
        let url = format!("{base}/api/v1/rooms/{}/why", self.room);
        let client = reqwest::Client::builder().timeout(PATIENCE).build();
        let mut request = client.map_err(|error| error.to_string())?.get(url);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let unreachable = |error: reqwest::Error| format!("{base} does not answer: {error}");
        let response = request.send().await.map_err(unreachable)?;
        let status = response.status();
        let body: Value = response.json().await.map_err(unreachable)?;
        if !status.is_success() {
            let detail = body["detail"].as_str().unwrap_or("no reason is given");
            return Err(format!("{base}: {status}: {detail}"));
        }
        let fine = body["verdict"]["state"] == "fine";
        if self.json {
            return Ok((body.to_string(), fine));
        }
        let answer: Answer =
            serde_json::from_value(body).map_err(|error| format!("{base}: {error}"))?;
        Ok((answer.table(), fine))
    }
}

impl Answer {
    fn table(&self) -> String {
        let mut text = format!(
            "{} on {}: the last {} s against {} s before; viewers: {} HLS, {} FLV, {} slow\n\n",
            self.room,
            self.node,
            self.window_seconds,
            self.baseline_seconds,
            self.viewers.hls,
            self.viewers.flv,
            self.viewers.slow,
        );
        let width = self.hops.iter().map(|hop| hop.at.chars().count()).max();
        let width = width.unwrap_or(0).max(4);
        let p95 = |hop: &Hop| hop.now.as_ref().map_or(0.0, |now| now.p95_ms);
        let longest = self.hops.iter().map(p95).fold(1.0, f64::max);
        let head = format!(
            "  {:<9} {:<width$} {:>9} {:>9} {:>9} {:>10}",
            "hop", "at", "p50 ms", "p95 ms", "p99 ms", "usual p95"
        );
        let _infallible = writeln!(text, "{head}").is_ok();
        for hop in &self.hops {
            let _infallible = writeln!(text, "{}", hop.line(width, longest)).is_ok();
        }
        let _infallible = write!(text, "\n{}", self.verdict.words).is_ok();
        if let Some(cause) = &self.verdict.cause {
            let viewers = self.verdict.affected_viewers;
            let _infallible = write!(text, "\nlikely: {cause}; {viewers} viewers here").is_ok();
        }
        if self.verdict.state == "unknown" {
            text.push_str("\n(watch the room through this node, then ask again)");
        }
        text
    }
}

impl Hop {
    fn line(&self, width: usize, longest_ms: f64) -> String {
        let mark = if self.bad { '>' } else { ' ' };
        let shown = |times: &Option<Times>, of: fn(&Times) -> f64| match times {
            Some(times) => format!("{:.1}", of(times)),
            None => "-".to_owned(),
        };
        let p95_ms = self.now.as_ref().map_or(0.0, |now| now.p95_ms);
        let bar = "█".repeat((p95_ms / longest_ms * BAR_CHARACTERS).round() as usize);
        let clocks = self
            .uncertainty_ms
            .map_or_else(String::new, |ms| format!(", clocks ±{ms:.1} ms"));
        format!(
            "{mark} {:<9} {:<width$} {:>9} {:>9} {:>9} {:>10}  {bar}  {}{clocks}",
            self.hop,
            self.at,
            shown(&self.now, |times| times.p50_ms),
            shown(&self.now, |times| times.p95_ms),
            shown(&self.now, |times| times.p99_ms),
            shown(&self.baseline, |times| times.p95_ms),
            self.what,
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_bad_hop_is_marked_and_named() {
        let times = |ms: f64| json!({ "p50_ms": ms, "p95_ms": ms, "p99_ms": ms, "samples": 150 });
        let hop = |hop: &str, at: &str, ms, bad| {
            json!({ "hop": hop, "at": at, "what": "time", "now": times(ms), "baseline": null,
                "excess_ms": 0.0, "uncertainty_ms": 0.4, "bad": bad, "signals": {} })
        };
        let answer: Answer = serde_json::from_value(json!({
            "room": "show", "epoch": "e", "node": "edge-1", "at_ms": 1, "window_seconds": 5,
            "baseline_seconds": 60,
            "verdict": { "state": "slow", "hop": "relay", "at": "origin-1 → edge-1",
                "excess_ms": 150.0, "words": "relay link: slow", "cause": "the link is slow",
                "affected_viewers": 13 },
            "hops": [hop("host", "host → origin-1", 8.0, false),
                hop("relay", "origin-1 → edge-1", 160.0, true)],
            "viewers": { "hls": 3, "flv": 10, "slow": 0 },
        }))
        .unwrap();
        let text = answer.table();
        let bad: Vec<&str> = text.lines().filter(|line| line.starts_with('>')).collect();
        assert_eq!(bad.len(), 1, "{text}");
        assert!(
            bad[0].contains("origin-1 → edge-1") && bad[0].contains("160.0"),
            "{text}"
        );
        assert!(
            text.contains("likely: the link is slow; 13 viewers here"),
            "{text}"
        );
    }
}
