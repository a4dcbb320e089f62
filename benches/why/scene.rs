//! A host, an origin, an edge and some viewers, with ways in between that can be made worse.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rushlane::runtime::{Shutdown, TaskScope, clock};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpSocket;

use crate::Bench;
use crate::host::Host;
use crate::process::{self, Process, free_port};
use crate::servers::{Certificates, ROOM};
use crate::why::dice::Dice;
use crate::why::wires::{Link, Uplink};

const VIEWERS: usize = 3;

/// What a phone's socket holds.
const RECEIVE_BYTES: u32 = 32 << 10;

/// One small network of its own.
pub struct Scene {
    pub host: Rc<Host>,
    pub uplink: Rc<Uplink>,
    pub origin: Rc<Process>,
    pub link: Rc<Link>,
    pub edge: Rc<Process>,
    /// Bytes a second that each viewer reads.
    pub reading: Rc<Cell<f64>>,
    /// Where its files are.
    pub folder: PathBuf,
    url: String,
    http: String,
    /// Of everything that is spawned.
    pub scope: TaskScope,
}

impl Scene {
    /// Starts all; the room plays, and viewers watch it.
    pub async fn start(bench: &Bench, number: u64, seed: u64) -> anyhow::Result<Self> {
        let folder = bench.folder.join(format!("why-{number}"));
        fs::create_dir_all(&folder)?;
        let scope = TaskScope::under(&Shutdown::new());
        let [rtmp, relay, http, admin] = [free_port()?, free_port()?, free_port()?, free_port()?];
        let link = Link::start(
            ([127, 0, 0, 1], relay).into(),
            Dice::of(seed ^ 0x6c69_6e6b),
            &scope,
        );
        let link = link.await?;
        let certificates = Certificates::make(&folder)?;
        let head = |name: &str| {
            format!(
                "[node]\nname = \"{name}-{number}\"\nmedia_threads = 1\n[shed]\nenabled = false\n\
                 [relay]\nca = {:?}\ncertificate = {:?}\nkey = {:?}\n",
                certificates.authority, certificates.certificate, certificates.key,
            )
        };
        let ledger = folder.join("ledger.redb");
        let origin = format!(
            "{}listen = \"127.0.0.1:{relay}\"\n[rtmp]\nlisten = \"127.0.0.1:{rtmp}\"\n\
             [http]\nlisten = \"off\"\ntls_listen = \"off\"\n[ledger]\npath = {ledger:?}\n\
             [admin]\nlisten = \"127.0.0.1:0\"\n",
            head("origin")
        );
        // A kernel would hold seconds of this rate for a viewer on loopback, unlike for one whose
        // way is slow.
        let edge = format!(
            "{}listen = \"off\"\nparents = [\"{}\"]\n[http]\nlisten = \"127.0.0.1:{http}\"\n\
             tls_listen = \"off\"\nworkers = 1\nsend_buffer_bytes = 65536\n\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\n",
            head("edge"),
            link.address
        );
        let mut origin = node(&folder, "the origin", "origin", &origin)?;
        origin.wait_for_port(rtmp).await?;
        let mut edge = node(&folder, "the edge", "edge", &edge)?;
        edge.wait_for_port(http).await?;
        let uplink = Uplink::start(format!("127.0.0.1:{rtmp}"), &scope).await?;
        let host = Host::start(&bench.clip, &uplink.address, "live", ROOM)?;
        let scene = Self {
            host: Rc::new(host),
            uplink,
            origin: Rc::new(origin),
            link,
            edge: Rc::new(edge),
            reading: Rc::new(Cell::new(f64::INFINITY)),
            folder,
            url: format!("http://127.0.0.1:{admin}/api/v1/rooms/{ROOM}/why"),
            http: format!("127.0.0.1:{http}"),
            scope,
        };
        scene.wait_for_room().await?;
        for _ in 0..VIEWERS {
            let (address, reading) = (scene.http.clone(), scene.reading.clone());
            scene.scope.spawn_local("viewer", watch(address, reading));
        }
        Ok(scene)
    }

    async fn wait_for_room(&self) -> anyhow::Result<()> {
        let url = format!("http://{}/live/{ROOM}/index.m3u8", self.http);
        let started = clock::now();
        while !reqwest::get(&url).await?.status().is_success() {
            if started.elapsed() > Duration::from_secs(20) {
                bail!("the room does not play on the edge");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// What the edge says of the room.
    pub async fn why(&self) -> anyhow::Result<Value> {
        let answer = reqwest::get(&self.url).await?.error_for_status()?;
        Ok(answer.json().await?)
    }

    /// Ends everything that was spawned.
    pub async fn end(self) {
        self.scope.finish(Duration::ZERO).await;
    }
}

fn node(
    folder: &Path,
    name: &'static str,
    role: &'static str,
    text: &str,
) -> anyhow::Result<Process> {
    let binary = process::binary()?;
    let file = folder.join(format!("{role}.toml"));
    fs::write(&file, text)?;
    let log = file.with_extension("log");
    Process::start(name, binary, &[role, "-c", &*file.to_string_lossy()], &log)
}

/// Watches by HTTP-FLV at the rate that `reading` says, again and again.
async fn watch(address: String, reading: Rc<Cell<f64>>) {
    loop {
        if let Err(error) = read(&address, &reading).await {
            tracing::debug!(%error, "a viewer comes again");
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

async fn read(address: &str, reading: &Cell<f64>) -> anyhow::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(RECEIVE_BYTES)?;
    let mut socket = socket.connect(address.parse()?).await?;
    let request = format!("GET /live/{ROOM}.flv HTTP/1.1\r\nHost: {address}\r\n\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut buffer = vec![0; 4 << 10];
    loop {
        let length = socket
            .read(&mut buffer)
            .await
            .context("a viewer's socket")?;
        if length == 0 {
            return Ok(());
        }
        let rate = reading.get();
        if rate.is_finite() {
            tokio::time::sleep(Duration::from_secs_f64(length as f64 / rate)).await;
        }
    }
}
