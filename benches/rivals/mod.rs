//! `make bench-rivals`: parts and playlists over each version of HTTP against nginx, Varnish and
//! Caddy, and HTTP-FLV against nginx-rtmp and xiu, on the same work by the same clients.

mod race;
mod servers;
mod streams;

use crate::Bench;
use crate::host::Host;
use crate::outcome::Outcome;
use crate::servers::{Network, ROOM};

/// Runs everything.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::new("rivals");
    let network = Network::start(&bench.folder).await?;
    let host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
    network.wait_for_room().await?;
    race::objects(bench, &network, &mut outcome).await?;
    drop((host, network));
    streams::run(bench, &mut outcome).await?;
    Ok(outcome)
}
