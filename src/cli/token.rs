//! `rushlane token`: a signed token, and the URL that it opens.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::Value;
use ulid::Ulid;

use crate::auth::{self, Claims, Key, ROOM_ANY, Scope};
use crate::cli::USAGE;
use crate::media::RoomName;
use crate::protocol::interact::{Member, Role};
use crate::runtime::clock;

/// The longest life of a token: nobody remembers older ones.
const TTL_SECONDS_MAX: i64 = 366 * 24 * 3600;

/// The words of `rushlane token`.
#[derive(Debug, Args)]
pub struct Token {
    /// What it is good for: play, publish, interact, admin or load
    #[arg(value_parser = word::<Scope>, value_name = "PURPOSE")]
    scope: Scope,
    /// The room it is good for; `*` is all rooms
    #[arg(long, value_parser = room)]
    room: String,
    /// How long it is good for: a number and s, m, h or d
    #[arg(long, value_parser = seconds, value_name = "TIME")]
    ttl: i64,
    /// The user it is for; without it, everybody who bears it gets an id of his own
    #[arg(long, default_value = "", value_name = "ID", hide_default_value = true)]
    sub: String,
    /// What the others call him
    #[arg(long, default_value = "", hide_default_value = true)]
    name: String,
    /// What he may do in the room: viewer, buyer, moderator, host or admin
    #[arg(long, value_parser = word::<Role>, default_value = "viewer")]
    role: Role,
    /// The key that signs it: a file with the line ID:SECRET
    #[arg(long, value_name = "FILE")]
    key_file: PathBuf,
    /// The token's own name, by which it can be denied; without it, one is made up
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// The only address it may be used from; without it, any
    #[arg(long, value_name = "IP")]
    address: Option<IpAddr>,
    /// Where the URL leads; without it, this machine
    #[arg(long, value_name = "URL")]
    base: Option<String>,
}

impl Token {
    /// Prints the token, and for play and publish the URL on a second line.
    #[expect(clippy::print_stdout, reason = "the result of the command")]
    #[expect(clippy::print_stderr, reason = "why there is no token")]
    pub fn run(self) -> ExitCode {
        match self.lines(clock::unix_us() / 1_000_000) {
            Ok(lines) => {
                println!("{}", lines.join("\n"));
                ExitCode::SUCCESS
            }
            Err(fault) => {
                eprintln!("{fault}");
                ExitCode::from(USAGE)
            }
        }
    }

    fn lines(&self, now_s: i64) -> Result<Vec<String>, String> {
        let key = Key::load(&self.key_file).map_err(|error| error.to_string())?;
        let sub = if self.sub.is_empty() { "-" } else { &self.sub };
        Member::new(sub, &self.name, self.role).map_err(|fault| fault.to_string())?;
        let claims = Claims {
            kid: "".into(),
            scope: self.scope,
            room: self.room.as_str().into(),
            sub: self.sub.as_str().into(),
            name: self.name.trim().into(),
            role: self.role,
            nbf_s: 0,
            exp_s: now_s + self.ttl,
            jti: self
                .id
                .clone()
                .unwrap_or_else(|| Ulid::new().to_string())
                .into(),
            ip: self.address,
        };
        let token = auth::sign(&key, &claims);
        let url = self.url(&token);
        Ok(std::iter::once(token).chain(url).collect())
    }

    /// The full URL; none for a token of all rooms.
    fn url(&self, token: &str) -> Option<String> {
        let room = (self.room != ROOM_ANY).then_some(&self.room)?;
        let base = |default| {
            self.base
                .as_deref()
                .unwrap_or(default)
                .trim_end_matches('/')
        };
        match self.scope {
            Scope::Play => {
                let base = base("http://localhost:8080");
                Some(format!("{base}/live/{room}/index.m3u8?token={token}"))
            }
            Scope::Publish => {
                let base = base("rtmp://localhost:1935");
                Some(format!("{base}/live/{room}?token={token}"))
            }
            Scope::Interact | Scope::Admin | Scope::Load => None,
        }
    }
}

/// One of the words that `T` is written with.
fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(Value::from(text)).map_err(|error| error.to_string())
}

fn room(text: &str) -> Result<String, String> {
    if text != ROOM_ANY {
        RoomName::parse(text).map_err(|error| error.to_string())?;
    }
    Ok(text.to_owned())
}

/// `90s`, `30m`, `2h` or `7d`, in seconds.
fn seconds(text: &str) -> Result<i64, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.strip_prefix(digits) {
        Some("s") => 1,
        Some("m") => 60,
        Some("h") => 3600,
        Some("d") => 24 * 3600,
        _ => 0,
    };
    let seconds = digits.parse::<i64>().ok().and_then(|n| n.checked_mul(unit));
    seconds
        .filter(|seconds| (1..=TTL_SECONDS_MAX).contains(seconds))
        .ok_or_else(|| "use a number and s, m, h or d, up to 366d".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::{Arrival, Config, Gate, KeyConfig, Mode};
    use crate::telemetry::Metrics;

    fn token(scope: Scope, key_file: PathBuf) -> Token {
        Token {
            scope,
            room: "demo".into(),
            ttl: 60,
            sub: "u_1".into(),
            name: "Li".into(),
            role: Role::Host,
            key_file,
            id: None,
            address: None,
            base: None,
        }
    }

    #[test]
    fn token_is_verified_with_the_same_key_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("k1.key");
        std::fs::write(&file, format!("k1:{}\n", "s".repeat(32))).unwrap();
        let lines = token(Scope::Interact, file.clone()).lines(1000).unwrap();
        let keys = vec![KeyConfig {
            file: Some(file.clone()),
            ..KeyConfig::default()
        }];
        let config = Config {
            mode: Mode::Token,
            keys,
            ..Config::default()
        };
        let gate = Gate::new(&config, &Metrics::default()).unwrap();
        let arrival = Arrival {
            token: Some(&lines[0]),
            user: None,
            name: None,
            room: "demo",
            address: [127, 0, 0, 1].into(),
            now_s: 1000,
        };
        let member = gate.member(&arrival).map(|(member, _)| member);
        assert_eq!(member, Ok(Member::new("u_1", "Li", Role::Host).unwrap()));
        assert_eq!(lines.len(), 1);

        let lines = token(Scope::Publish, file.clone()).lines(1000).unwrap();
        let url = format!("rtmp://localhost:1935/live/demo?token={}", lines[0]);
        assert_eq!(lines[1], url);
        let named = Token {
            base: Some("https://cdn.example/".into()),
            ..token(Scope::Play, file)
        };
        let lines = named.lines(1000).unwrap();
        assert!(lines[1].starts_with("https://cdn.example/live/demo/index.m3u8?token="));
    }

    #[test]
    fn words_are_checked() {
        assert_eq!(seconds("2h"), Ok(7200));
        for bad in [
            "",
            "2",
            "h",
            "-1s",
            "0s",
            "367d",
            "2hours",
            "99999999999999999d",
        ] {
            assert!(seconds(bad).is_err(), "{bad}");
        }
        assert_eq!(word::<Role>("host"), Ok(Role::Host));
        assert!(word::<Scope>("watch").unwrap_err().contains("`play`"));
        assert!(room("*").is_ok() && room("a b").is_err());
    }
}
