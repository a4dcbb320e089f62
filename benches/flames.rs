//! What an edge does at its three heaviest tasks, recorded by `perf` for flame graphs: HTTP-FLV to
//! 1,000 viewers, parts over HTTPS, playlists over plain HTTP/1.1.
//!
//! Judges nothing: `make flames` draws what is recorded here.

use std::time::Duration;

use crate::Bench;
use crate::asking::{Clients, Target, Wire};
use crate::host::Host;
use crate::objects::newest;
use crate::outcome::Outcome;
use crate::servers::{Network, ROOM};
use crate::viewers::{Audience, Source};

const CONNECTIONS: usize = 64;
const VIEWERS: usize = 1000;
const SECONDS: Duration = Duration::from_secs(5);

/// Records everything, into `NAME.perf` in the folder of the benches.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let network = Network::start(&bench.folder).await?;
    let _host = Host::start(&bench.clip, &network.rtmp, "live", ROOM)?;
    network.wait_for_room().await?;
    let file = |name: &str| bench.folder.join(format!("{name}.perf"));

    let source = Source::Flv(network.http.clone(), format!("/live/{ROOM}.flv"));
    let audience = Audience::join(&source, VIEWERS).await?;
    tokio::time::sleep(SECONDS).await;
    network.edge.record(&file("flv"), SECONDS).await?;
    audience.leave().await;

    let clients = Clients::new(&network.certificates.authority)?;
    let target = Target {
        process: &network.edge,
        plain: &network.http,
        secure: &network.https,
    };
    for (name, is_part, wire) in [
        ("parts-https", true, Wire::Tls),
        ("playlists-http", false, Wire::Plain),
    ] {
        let (path, _) = newest(&network, is_part).await?;
        let file = file(name);
        let asks = async {
            loop {
                clients.load(&target, &path, wire, CONNECTIONS).await?;
            }
        };
        tokio::select! {
            recorded = network.edge.record(&file, SECONDS) => recorded?,
            failed = asks => return failed,
        }
    }
    Ok(Outcome::new("flames"))
}
