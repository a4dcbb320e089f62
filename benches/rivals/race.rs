//! Parts and playlists: each server in turn gives the same bytes to the same clients.

use std::fs;
use std::path::Path;

use bytes::Bytes;

use crate::Bench;
use crate::asking::{Clients, Load, Target, Wire};
use crate::objects::newest;
use crate::outcome::{Goal, Outcome, median};
use crate::rivals::servers;
use crate::servers::{Network, nginx_files};

const ROUNDS: usize = 3;
const FEW: usize = 64;
const MANY: usize = 1000;

/// A rival at one piece of work, and by how much we want to be better.
struct Race<'a> {
    name: &'static str,
    target: Target<'a>,
    /// Ours by theirs, in answers for a second of CPU.
    least: f64,
    /// Whether our 99th percentile must not be worse.
    has_p99: bool,
}

/// All rounds of one server at one piece of work.
type Rounds = Vec<Load>;

/// All of it.
pub(super) async fn objects(
    bench: &Bench,
    network: &Network,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let root = bench.folder.join("rivals");
    fs::create_dir_all(&root)?;
    let (nginx, plain, secure) = nginx_files(&bench.folder, &root, &network.certificates).await?;
    let (varnish, cached) = servers::varnish(&bench.folder, &plain).await?;
    let (caddy, over_quic) = servers::caddy(&bench.folder, &root, &network.certificates).await?;
    let clients = Clients::new(&network.certificates.authority)?;
    let race = |name, process, plain, secure, least, has_p99| Race {
        name,
        target: Target {
            process,
            plain,
            secure,
        },
        least,
        has_p99,
    };
    let nginx = |least, has_p99| race("nginx", &nginx, &*plain, &*secure, least, has_p99);
    let varnish = race("Varnish", &varnish, &cached, "", 1.2, false);
    let caddy = race("Caddy", &caddy, "", &over_quic, 2.0, false);
    for (is_part, wire, races) in [
        (true, Wire::Tls, vec![nginx(1.2, true)]),
        (false, Wire::Tls, vec![nginx(1.2, true)]),
        (true, Wire::Two, vec![nginx(1.2, true)]),
        (false, Wire::Two, vec![nginx(1.2, true)]),
        (true, Wire::Plain, vec![nginx(0.7, false), varnish]),
        (false, Wire::Plain, vec![nginx(1.2, false)]),
        (true, Wire::Three, vec![caddy]),
    ] {
        let mut few = 0.0;
        for connections in [FEW, MANY] {
            let work = Work {
                is_part,
                wire,
                connections,
            };
            let per_core = work.race(network, &clients, &races, &root, outcome).await?;
            if connections == FEW {
                few = per_core;
            } else if wire == Wire::Three {
                let kept = per_core / few;
                let name = format!("HTTP/3: {MANY} connections against {FEW}");
                outcome.judge(name, kept, "x", Goal::AtLeast(0.8));
            }
        }
    }
    Ok(())
}

/// What is asked for, and by how many.
struct Work {
    is_part: bool,
    wire: Wire,
    connections: usize,
}

impl Work {
    fn name(&self, body: &Bytes) -> String {
        let what = if self.is_part { "part" } else { "playlist" };
        let scheme = match self.wire {
            Wire::Plain => "HTTP/1.1",
            Wire::Tls => "HTTPS/1.1",
            Wire::Two => "HTTP/2",
            Wire::Three => "HTTP/3",
        };
        let kilobytes = body.len() as f64 / 1000.0;
        format!("{what}, {kilobytes:.1} KB, {scheme}, {}", self.connections)
    }

    /// All servers in turn; answers our figure.
    async fn race(
        &self,
        network: &Network,
        clients: &Clients,
        races: &[Race<'_>],
        root: &Path,
        outcome: &mut Outcome,
    ) -> anyhow::Result<f64> {
        let ours = Target {
            process: &network.edge,
            plain: &network.http,
            secure: &network.https,
        };
        let mut mine = Rounds::new();
        let mut theirs: Vec<Rounds> = races.iter().map(|_| Rounds::new()).collect();
        let mut name = String::new();
        for round in 0..ROUNDS {
            // Parts live for some target durations only, so each round takes a new one.
            let (path, body) = newest(network, self.is_part).await?;
            name = self.name(&body);
            let file = format!("{:?}-{}-{round}", self.wire, self.connections);
            let file = format!("{}-{file}", if self.is_part { "part" } else { "list" });
            fs::write(root.join(&file), &body)?;
            let (wire, connections) = (self.wire, self.connections);
            mine.push(clients.load(&ours, &path, wire, connections).await?);
            let path = format!("/{file}");
            for (race, rounds) in races.iter().zip(&mut theirs) {
                rounds.push(clients.load(&race.target, &path, wire, connections).await?);
            }
        }
        let per_core = figure(&mine, |load| load.per_core);
        let p99 = figure(&mine, |load| load.p99_ms);
        outcome.tell(format!("{name}: Rushlane"), per_core, "req/s/core");
        outcome.tell(format!("{name}: Rushlane p99"), p99, "ms");
        for (race, rounds) in races.iter().zip(&theirs) {
            let rival = race.name;
            let their_p99 = figure(rounds, |load| load.p99_ms);
            let their_rate = figure(rounds, |load| load.per_core);
            outcome.tell(format!("{name}: {rival}"), their_rate, "req/s/core");
            outcome.tell(format!("{name}: {rival} p99"), their_p99, "ms");
            let ratios = mine.iter().zip(rounds);
            let ratio = median(ratios.map(|(a, b)| a.per_core / b.per_core).collect());
            let goal = Goal::AtLeast(race.least);
            outcome.judge(format!("{name}: against {rival}"), ratio, "x", goal);
            if race.has_p99 {
                let row = format!("{name}: p99 against {rival}");
                outcome.judge(row, p99 / their_p99, "x", Goal::AtMost(1.0));
            }
        }
        Ok(per_core)
    }
}

fn figure(rounds: &Rounds, of: fn(&Load) -> f64) -> f64 {
    median(rounds.iter().map(of).collect())
}
