//! An origin, two nodes below it, and an edge below both. Between the edge and the first of the two
//! stands a forwarder that can fall silent.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rushlane::runtime::clock;

use crate::process::{self, Process, free_port};
use crate::servers::{Certificates, ROOM};

/// The name of the parent that fails.
pub const FIRST: &str = "bench-first";

/// Longer than the edge stays away from a parent that failed twice.
const RETURNED_WITHIN: Duration = Duration::from_secs(60);

/// Everything that serves.
pub struct Scene {
    /// RTMP of the origin.
    pub rtmp: String,
    /// Plain HTTP of the edge.
    pub http: String,
    admin: String,
    first: Option<Process>,
    first_file: PathBuf,
    forwarder: Forwarder,
    folder: PathBuf,
    _others: Vec<Process>,
}

impl Scene {
    /// Starts all and waits until they listen.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        let certificates = Certificates::make(folder)?;
        let [rtmp, http, admin] = [free_port()?, free_port()?, free_port()?];
        let [origin, first, second] = [free_port()?, free_port()?, free_port()?];
        let forwarder = Forwarder::start(([127, 0, 0, 1], first).into())?;
        let relay = |listen: u16, parents: &[u16]| {
            let parents = parents.iter().map(|port| format!("\"127.0.0.1:{port}\""));
            format!(
                "[relay]\nlisten = \"127.0.0.1:{listen}\"\nparents = [{}]\nreturn_seconds = 2\n\
                 ca = {:?}\ncertificate = {:?}\nkey = {:?}\n",
                parents.collect::<Vec<_>>().join(", "),
                certificates.authority,
                certificates.certificate,
                certificates.key,
            )
        };
        let write = |name: &str, text: String| -> anyhow::Result<PathBuf> {
            let path = folder.join(format!("failover-{name}.toml"));
            let head = format!("[node]\nname = \"bench-{name}\"\nmedia_threads = 1\n");
            fs::write(&path, head + &text)?;
            Ok(path)
        };
        let ledger = folder.join("failover-ledger.redb");
        let quiet = "[http]\nlisten = \"off\"\ntls_listen = \"off\"\n\
                     [admin]\nlisten = \"127.0.0.1:0\"\n[shed]\nenabled = false\n";
        let origin_file = write(
            "origin",
            format!(
                "{}[rtmp]\nlisten = \"127.0.0.1:{rtmp}\"\n[ledger]\npath = {ledger:?}\n{quiet}",
                relay(origin, &[])
            ),
        )?;
        let first_file = write("first", relay(first, &[origin]) + quiet)?;
        let second_file = write("second", relay(second, &[origin]) + quiet)?;
        let edge_file = write(
            "edge",
            format!(
                "{}[http]\nlisten = \"127.0.0.1:{http}\"\ntls_listen = \"off\"\nworkers = 1\n\
                 [admin]\nlisten = \"127.0.0.1:{admin}\"\n[shed]\nenabled = false\n",
                relay(free_port()?, &[forwarder.port, second])
            ),
        )?;
        let mut top = node(folder, "the origin", "origin", &origin_file)?;
        top.wait_for_port(rtmp).await?;
        let first = node(folder, "the first parent", "edge", &first_file)?;
        let second = node(folder, "the second parent", "edge", &second_file)?;
        let mut edge = node(folder, "the edge", "edge", &edge_file)?;
        edge.wait_for_port(http).await?;
        Ok(Self {
            rtmp: format!("127.0.0.1:{rtmp}"),
            http: format!("127.0.0.1:{http}"),
            admin: format!("127.0.0.1:{admin}"),
            first: Some(first),
            first_file,
            forwarder,
            folder: folder.to_owned(),
            _others: vec![top, second, edge],
        })
    }

    /// Kills the first parent.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        let first = self.first.take().context("a parent to kill")?;
        first.kill()
    }

    /// Starts the first parent again.
    pub fn revive(&mut self) -> anyhow::Result<()> {
        let first = node(&self.folder, "the first parent", "edge", &self.first_file)?;
        self.first = Some(first);
        Ok(())
    }

    /// Loses all packets between the edge and the first parent, or none.
    pub fn partition(&self, is_cut: bool) {
        self.forwarder.is_cut.store(is_cut, Ordering::Relaxed);
    }

    /// Waits until the room comes over the parent of this name.
    pub async fn wait_for_active(&self, parent: &str) -> anyhow::Result<()> {
        let url = format!("http://{}/api/v1/peers", self.admin);
        let started = clock::now();
        loop {
            let peers: serde_json::Value = reqwest::get(&url).await?.json().await?;
            let is_it = |link: &serde_json::Value| {
                link["peer"] == parent && link["subscriptions"].as_u64() > Some(0)
            };
            let links = peers["parents"].as_array();
            if links.is_some_and(|links| links.len() == 2 && links.iter().any(is_it)) {
                return Ok(());
            }
            if started.elapsed() > RETURNED_WITHIN {
                bail!("{parent} is not taken back: {peers}");
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits until the room plays on the edge.
    pub async fn wait_for_room(&self) -> anyhow::Result<()> {
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
}

fn node(folder: &Path, name: &'static str, role: &str, file: &Path) -> anyhow::Result<Process> {
    let binary = process::binary()?;
    let log = folder.join(file.with_extension("log").file_name().unwrap_or_default());
    Process::start(name, binary, &[role, "-c", &*file.to_string_lossy()], &log)
}

/// Carries datagrams between one child and one parent, until it falls silent. Two threads of its
/// own: the viewers' thread is too busy to be a wire.
struct Forwarder {
    port: u16,
    is_cut: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

/// How long a thread waits for a datagram before it looks whether it is to end.
const LOOK: Duration = Duration::from_millis(100);

impl Forwarder {
    fn start(to: SocketAddr) -> anyhow::Result<Self> {
        let (front, back) = (
            UdpSocket::bind("127.0.0.1:0")?,
            UdpSocket::bind("127.0.0.1:0")?,
        );
        for socket in [&front, &back] {
            socket.set_read_timeout(Some(LOOK))?;
        }
        let port = front.local_addr()?.port();
        let (is_cut, stop) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let child = Arc::new(parking_lot::Mutex::new(None));
        let (front, back) = (Arc::new(front), Arc::new(back));
        let up = {
            let (front, back, child) = (front.clone(), back.clone(), child.clone());
            carry(front, is_cut.clone(), stop.clone(), move |bytes, from| {
                *child.lock() = Some(from);
                back.send_to(bytes, to).ok();
            })?
        };
        let down = carry(back, is_cut.clone(), stop.clone(), move |bytes, _| {
            if let Some(child) = *child.lock() {
                front.send_to(bytes, child).ok();
            }
        })?;
        Ok(Self {
            port,
            is_cut,
            stop,
            threads: vec![up, down],
        })
    }
}

fn carry(
    from: Arc<UdpSocket>,
    is_cut: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    pass: impl Fn(&[u8], SocketAddr) + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name("forwarder".into())
        .spawn(move || {
            let mut buffer = vec![0; 64 << 10];
            while !stop.load(Ordering::Relaxed) {
                if let Ok((length, sender)) = from.recv_from(&mut buffer)
                    && !is_cut.load(Ordering::Relaxed)
                {
                    pass(&buffer[..length], sender);
                }
            }
        })
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().ok();
        }
    }
}
