//! Parts and playlists over HTTP/1.1, with and without TLS: requests per core, against nginx with
//! the same bytes as files and the same certificate.

use std::cell::RefCell;
use std::fs;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use bytes::Bytes;
use hdrhistogram::Histogram;
use rushlane::net::tls;
use rushlane::runtime::{Shutdown, TaskScope, clock};
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::Bench;
use crate::host::Host;
use crate::outcome::{self, Goal, Outcome, median};
use crate::process::{CpuMeter, Process};
use crate::servers::{self, Certificates, Network, ROOM};

const CONNECTIONS: usize = 64;
const ROUNDS: usize = 3;
const ROUND: Duration = Duration::from_millis(2500);

/// A server's two addresses.
struct Target<'a> {
    process: &'a Process,
    plain: &'a str,
    secure: &'a str,
}

/// What one round saw.
struct Load {
    per_core: f64,
    p99_ms: f64,
}

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
    let connector = connector(&network.certificates)?;
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
        for tls in [true, false] {
            let connector = tls.then_some(&connector);
            let (mut mine, mut theirs) = (Vec::new(), Vec::new());
            let mut bytes = 0;
            for round in 0..ROUNDS {
                // Parts live for some target durations only, so each round takes a new one.
                let (path, body) = newest(&network, is_part).await?;
                bytes = body.len();
                let file = format!("{what}-{tls}-{round}");
                fs::write(root.join(&file), &body)?;
                mine.push(load(&ours, &path, connector).await?);
                theirs.push(load(&rival, &format!("/{file}"), connector).await?);
            }
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

fn connector(certificates: &Certificates) -> anyhow::Result<TlsConnector> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&certificates.authority)?)?;
    let config = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config).into())
}

/// Path and bytes of the newest video part that starts a segment, or of the video playlist.
async fn newest(network: &Network, is_part: bool) -> anyhow::Result<(String, Bytes)> {
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

/// [`CONNECTIONS`] clients that ask again as soon as they have an answer.
async fn load(
    target: &Target<'_>,
    path: &str,
    connector: Option<&TlsConnector>,
) -> anyhow::Result<Load> {
    let delays = Rc::new(RefCell::new(outcome::microseconds()));
    let failure = Rc::new(RefCell::new(None));
    let scope = TaskScope::under(&Shutdown::new());
    let address = if connector.is_some() {
        target.secure
    } else {
        target.plain
    };
    let request: Rc<str> = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").into();
    for _ in 0..CONNECTIONS {
        let socket = TcpStream::connect(address).await?;
        socket.set_nodelay(true)?;
        let (delays, failure) = (Rc::clone(&delays), Rc::clone(&failure));
        let (request, connector) = (Rc::clone(&request), connector.cloned());
        scope.spawn_local("client", async move {
            let ended = match connector {
                Some(connector) => ask_secure(socket, connector, &request, &delays).await,
                None => ask(socket, &request, &delays).await,
            };
            if let Err(error) = ended {
                failure.replace(Some(error));
            }
        });
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    delays.borrow_mut().reset();
    let (started, meter) = (clock::now(), CpuMeter::start(target.process)?);
    tokio::time::sleep(ROUND).await;
    let share = meter.share(target.process)?;
    let (requests, p99) = {
        let delays = delays.borrow();
        (delays.len() as f64, delays.value_at_quantile(0.99) as f64)
    };
    let per_second = requests / started.elapsed().as_secs_f64();
    scope.finish(Duration::ZERO).await;
    if let Some(error) = failure.take() {
        return Err(error.context("a client failed"));
    }
    Ok(Load {
        per_core: per_second / share,
        p99_ms: p99 / 1000.0,
    })
}

async fn ask_secure(
    socket: TcpStream,
    connector: TlsConnector,
    request: &str,
    delays: &RefCell<Histogram<u64>>,
) -> anyhow::Result<()> {
    let name = ServerName::try_from("localhost")?;
    ask(connector.connect(name, socket).await?, request, delays).await
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    request: &str,
    delays: &RefCell<Histogram<u64>>,
) -> anyhow::Result<()> {
    let mut buffer = vec![0; 128 << 10];
    loop {
        let sent = clock::now();
        stream.write_all(request.as_bytes()).await?;
        stream.flush().await?;
        let (mut have, mut total) = (0, None);
        while total.is_none_or(|total| have < total) {
            // The head stands at the front of the buffer; bodies are read over each other.
            let from = if total.is_some() { 0 } else { have };
            let length = stream.read(&mut buffer[from..]).await?;
            if length == 0 {
                bail!("closed after {have} bytes");
            }
            have += length;
            if total.is_none() {
                total = response_bytes(&buffer[..have])?;
            }
        }
        let elapsed_us = u64::try_from(sent.elapsed().as_micros())?;
        delays.borrow_mut().saturating_record(elapsed_us.max(1));
    }
}

/// Head and body of a response in bytes, once the head is whole.
pub fn response_bytes(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&bytes[..end])?;
    if !head.starts_with("HTTP/1.1 200") {
        bail!("{}", head.lines().next().unwrap_or_default());
    }
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length")
            .then(|| value.trim())
    });
    let length: usize = length.context("no content-length")?.parse()?;
    Ok(Some(end + 4 + length))
}
