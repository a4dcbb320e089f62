//! Parts and playlists over HTTP/1.1, with and without TLS: requests per core, against nginx with
//! the same bytes as files and the same certificate.

use std::fs;

use anyhow::Context as _;
use bytes::Bytes;

use crate::Bench;
use crate::asking::{Clients, Load, Target, Wire};
use crate::host::Host;
use crate::outcome::{Goal, Outcome, median};
use crate::servers::{self, Network, ROOM};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 3;

/// Runs everything.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("objects");
    let network = Network::start(&bench.folder).await?;
    let _host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
    network.wait_for_room().await?;
    let root = bench.folder.join("files");
    fs::create_dir_all(&root)?;
    let (nginx, plain, secure) =
        servers::nginx_files(&bench.folder, &root, &network.certificates).await?;
    let clients = Clients::new(&network.certificates.authority)?;
    let ours = Target {
        process: &network.edge,
        plain: &network.http,
        secure: &network.https,
    };
    let rival = Target {
        process: &nginx,
        plain: &plain,
        secure: &secure,
    };
    for (what, is_part) in [("part", true), ("playlist", false)] {
        for wire in [Wire::Tls, Wire::Plain] {
            let (mut mine, mut theirs) = (Vec::new(), Vec::new());
            let mut bytes = 0;
            for round in 0..ROUNDS {
                // Parts live for some target durations only, so each round takes a new one.
                let (path, body) = newest(&network, is_part).await?;
                bytes = body.len();
                let file = format!("{what}-{wire:?}-{round}");
                fs::write(root.join(&file), &body)?;
                mine.push(clients.load(&ours, &path, wire, CONNECTIONS).await?);
                let path = format!("/{file}");
                theirs.push(clients.load(&rival, &path, wire, CONNECTIONS).await?);
            }
            let tls = wire == Wire::Tls;
            let scheme = if tls { "HTTPS/1.1" } else { "HTTP/1.1" };
            let name = format!("{what} of {:.1} KB over {scheme}", bytes as f64 / 1000.0);
            judge(&mut outcome, &name, &mine, &theirs, tls);
        }
    }
    Ok(outcome)
}

fn judge(outcome: &mut Outcome, name: &str, mine: &[Load], theirs: &[Load], has_goal: bool) {
    let of = |loads: &[Load], figure: fn(&Load) -> f64| median(loads.iter().map(figure).collect());
    let (ours, rivals) = (of(mine, |l| l.per_core), of(theirs, |l| l.per_core));
    outcome.tell(format!("{name}: Rushlane"), ours, "req/s/core");
    outcome.tell(format!("{name}: nginx"), rivals, "req/s/core");
    outcome.tell(
        format!("{name}: Rushlane p99"),
        of(mine, |l| l.p99_ms),
        "ms",
    );
    outcome.tell(format!("{name}: nginx p99"), of(theirs, |l| l.p99_ms), "ms");
    let against = format!("{name}: against nginx");
    let ratios = mine
        .iter()
        .zip(theirs)
        .map(|(mine, theirs)| mine.per_core / theirs.per_core);
    let ratio = median(ratios.collect());
    if has_goal {
        outcome.judge(against, ratio, "x", Goal::AtLeast(1.0));
    } else {
        outcome.tell(against, ratio, "x");
    }
}

/// Path and bytes of the newest video part that starts a segment, or of the video playlist.
pub async fn newest(network: &Network, is_part: bool) -> anyhow::Result<(String, Bytes)> {
    let get = async |path: &str| {
        let answer = reqwest::get(format!("http://{}{path}", network.http)).await?;
        anyhow::Ok(answer.error_for_status()?.bytes().await?)
    };
    let folder = format!("/live/{ROOM}/");
    let index = get(&format!("{folder}index.m3u8")).await?;
    let index = String::from_utf8_lossy(&index).into_owned();
    let media = index
        .lines()
        .find(|line| line.ends_with("video/media.m3u8"));
    let media = format!("{folder}{}", media.context("no video rendition")?);
    let playlist = get(&media).await?;
    if !is_part {
        return Ok((media, playlist));
    }
    let text = String::from_utf8_lossy(&playlist).into_owned();
    let part = text
        .lines()
        .rev()
        .find(|line| line.starts_with("#EXT-X-PART:"));
    let part = part.and_then(|line| line.split_once("URI=\"")?.1.split_once('"'));
    let part = part.context("the playlist lists no part")?.0;
    let path = format!("{}{part}", media.trim_end_matches("media.m3u8"));
    let body = get(&path).await?;
    Ok((path, body))
}
