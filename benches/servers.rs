//! The servers under test: an origin with one edge, and the rivals.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rushlane::runtime::clock;

use crate::process::{self, Process, free_port};

/// The load comes from one address, which no shop does.
const NO_LIMITS: &str = "limits = { connections_per_second = 0, handshakes_per_second = 0, \
    requests_per_second = 0 }\n";

/// Nodes that only other nodes come to.
const NO_VIEWERS: &str = "[http]\nlisten = \"off\"\ntls_listen = \"off\"\n";

/// The room, and nginx-rtmp's stream.
pub const ROOM: &str = "bench";

/// Certificates of one authority: ECDSA P-256, the same for us and for the rivals.
pub struct Certificates {
    /// The authority.
    pub authority: PathBuf,
    /// What every server shows.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes an authority and a certificate for this machine.
    pub fn make(folder: &Path) -> anyhow::Result<Self> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let key = KeyPair::generate()?;
        let leaf = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
        let this = Self {
            authority: folder.join("authority.pem"),
            certificate: folder.join("server.pem"),
            key: folder.join("server.key"),
        };
        fs::write(&this.authority, issuer.pem())?;
        fs::write(&this.certificate, leaf.pem())?;
        fs::write(&this.key, key.serialize_pem())?;
        Ok(this)
    }
}

/// An origin and one edge, each a process, both on the server core; maybe relays between them.
pub struct Network {
    /// The edge: what is measured.
    pub edge: Process,
    /// The origin, then the relays.
    above: Vec<Process>,
    /// RTMP of the origin.
    pub rtmp: String,
    /// Plain HTTP of the edge.
    pub http: String,
    /// HTTPS of the edge.
    pub https: String,
    /// What the edge shows to viewers.
    pub certificates: Certificates,
    admin: String,
    origin_admin: String,
}

impl Network {
    /// Starts both and waits until they listen.
    pub async fn start(folder: &Path) -> anyhow::Result<Self> {
        Self::build(folder, 1, ["", ""]).await
    }

    /// As [`Self::start`], with further sections in the two configurations.
    pub async fn start_with(folder: &Path, origin: &str, edge: &str) -> anyhow::Result<Self> {
        Self::build(folder, 1, [origin, edge]).await
    }

    /// The same with the edge `hops` hops below the origin, and `more` in both configurations.
    pub async fn start_deep(folder: &Path, hops: usize, more: &str) -> anyhow::Result<Self> {
        Self::build(folder, hops, [more, more]).await
    }

    async fn build(folder: &Path, hops: usize, more: [&str; 2]) -> anyhow::Result<Self> {
        let binary = process::binary()?;
        let certificates = Certificates::make(folder)?;
        let [rtmp, http, https] = [free_port()?, free_port()?, free_port()?];
        let [origin_admin, admin, mut parent] = [free_port()?, free_port()?, free_port()?];
        let relay_tls = format!(
            "ca = {:?}\ncertificate = {:?}\nkey = {:?}\n",
            certificates.authority, certificates.certificate, certificates.key
        );
        let start = |name: &'static str, file: &str, relay: &str, rest: &str| {
            let (path, shed) = (folder.join(format!("{file}.toml")), unless_asked(rest));
            let text = format!(
                "[node]\nname = \"bench-{file}\"\nmedia_threads = 1\n\
                 [relay]\n{relay}\n{relay_tls}{shed}{rest}"
            );
            fs::write(&path, text)?;
            let role = if file == "origin" { file } else { "edge" };
            let words = [role, "-c", &*path.to_string_lossy()];
            let log = folder.join(format!("{file}.log"));
            Process::start(name, binary, &words, &log)
        };
        let ledger = folder.join("ledger.redb");
        let rest = format!(
            "[rtmp]\nlisten = \"127.0.0.1:{rtmp}\"\n{NO_VIEWERS}[ledger]\npath = {ledger:?}\n\
             [admin]\nlisten = \"127.0.0.1:{origin_admin}\"\n{}",
            more[0]
        );
        let relay = format!("listen = \"127.0.0.1:{parent}\"");
        let mut above = vec![start("the origin", "origin", &relay, &rest)?];
        above[0].wait_for_port(rtmp).await?;
        for hop in 1..hops {
            let listen = free_port()?;
            let relay =
                format!("listen = \"127.0.0.1:{listen}\"\nparents = [\"127.0.0.1:{parent}\"]");
            let rest = format!("{NO_VIEWERS}[admin]\nlisten = \"127.0.0.1:0\"\n{}", more[1]);
            above.push(start("a relay", &format!("relay-{hop}"), &relay, &rest)?);
            parent = listen;
        }
        let rest = format!(
            "[http]\nlisten = \"127.0.0.1:{http}\"\ntls_listen = \"127.0.0.1:{https}\"\n\
             certificate = {:?}\nkey = {:?}\nworkers = 1\n{NO_LIMITS}\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\n{}",
            certificates.certificate, certificates.key, more[1]
        );
        let relay = format!("listen = \"off\"\nparents = [\"127.0.0.1:{parent}\"]");
        let mut edge = start("the edge", "edge", &relay, &rest)?;
        edge.wait_for_port(http).await?;
        let address = |port: u16| format!("127.0.0.1:{port}");
        Ok(Self {
            edge,
            above,
            rtmp: address(rtmp),
            http: address(http),
            https: address(https),
            certificates,
            admin: address(admin),
            origin_admin: address(origin_admin),
        })
    }

    /// The origin.
    pub fn origin(&self) -> &Process {
        &self.above[0]
    }

    /// All metrics of the edge.
    pub async fn edge_metrics(&self) -> anyhow::Result<String> {
        let url = format!("http://{}/metrics", self.admin);
        Ok(reqwest::get(url).await?.text().await?)
    }

    /// Where the edge says what it sheds.
    pub fn shed_url(&self) -> String {
        format!("http://{}/api/v1/shed", self.admin)
    }

    /// Video frames that the edge has received from the origin.
    pub async fn frames_pulled(&self) -> anyhow::Result<f64> {
        let text = self.edge_metrics().await?;
        let is_video = |line: &&str| {
            line.starts_with("rushlane_relay_frames_received_total")
                && line.contains(&format!("room=\"{ROOM}\""))
                && line.contains("track=\"video\"")
        };
        let line = text
            .lines()
            .find(is_video)
            .context("the relay counts no frames")?;
        let value = line.rsplit(' ').next().unwrap_or_default();
        Ok(value.parse()?)
    }

    /// Opens the room without a show, by the operator's word, and waits until the edge knows it.
    pub async fn open_room(&self) -> anyhow::Result<()> {
        let url = format!("http://{}/api/v1/rooms/{ROOM}/events", self.origin_admin);
        let notice = reqwest::Client::new()
            .post(url)
            .body(r#"{"type":"notice","body":{"text":"open"}}"#)
            .send()
            .await?;
        notice.error_for_status()?;
        let url = format!("http://{}/rooms/{ROOM}/snapshot?user=operator", self.http);
        let started = clock::now();
        while !reqwest::get(&url).await?.status().is_success() {
            if started.elapsed() > Duration::from_secs(20) {
                bail!("the edge does not know the room");
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// Waits until the room plays on the edge.
    pub async fn wait_for_room(&self) -> anyhow::Result<()> {
        let url = format!("http://{}/live/{ROOM}/index.m3u8", self.http);
        let started = clock::now();
        loop {
            let response = reqwest::get(&url).await?;
            if response.status().is_success() {
                return Ok(());
            }
            if started.elapsed() > Duration::from_secs(20) {
                bail!("the room does not play on the edge: {}", response.status());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// Benches that load a node on purpose want all of its service, unless they say otherwise.
fn unless_asked(rest: &str) -> &'static str {
    match rest.contains("[shed]") {
        true => "",
        false => "[shed]\nenabled = false\n",
    }
}

/// nginx-rtmp with Debian's defaults: one process, chunks of 4,096 bytes.
pub async fn nginx_rtmp(folder: &Path) -> anyhow::Result<(Process, String)> {
    let port = free_port()?;
    let blocks = format!(
        "load_module /usr/lib/nginx/modules/ngx_rtmp_module.so;\n\
         events {{ worker_connections 15000; }}\n\
         rtmp {{ access_log off; server {{ listen 127.0.0.1:{port}; chunk_size 4096;\n\
         application live {{ live on; }} }} }}\n"
    );
    let process = nginx("nginx-rtmp", folder, port, &blocks).await?;
    Ok((process, format!("127.0.0.1:{port}")))
}

/// nginx serving the files of `root`: addresses of plain HTTP and of HTTPS (TLS 1.3).
pub async fn nginx_files(
    folder: &Path,
    root: &Path,
    certificates: &Certificates,
) -> anyhow::Result<(Process, String, String)> {
    let (plain, secure) = (free_port()?, free_port()?);
    let root = root.canonicalize()?;
    let blocks = format!(
        "events {{ worker_connections 15000; }}\n\
         http {{ access_log off; sendfile on; tcp_nopush on; tcp_nodelay on;\n\
         keepalive_timeout 600; keepalive_requests 1000000000; open_file_cache max=100;\n\
         types {{ application/vnd.apple.mpegurl m3u8; video/mp4 m4s; }}\n\
         server {{ listen 127.0.0.1:{plain}; listen 127.0.0.1:{secure} ssl http2;\n\
         ssl_protocols TLSv1.3; ssl_certificate {}; ssl_certificate_key {}; root {}; }} }}\n",
        certificates.certificate.canonicalize()?.display(),
        certificates.key.canonicalize()?.display(),
        root.display(),
    );
    let process = nginx("nginx", folder, plain, &blocks).await?;
    let address = |port| format!("127.0.0.1:{port}");
    Ok((process, address(plain), address(secure)))
}

async fn nginx(
    name: &'static str,
    folder: &Path,
    port: u16,
    blocks: &str,
) -> anyhow::Result<Process> {
    let folder = folder.canonicalize()?;
    let file = folder.join(format!("{name}.conf"));
    let log = folder.join(format!("{name}.log"));
    let head = format!(
        "daemon off; master_process off; worker_processes 1; worker_rlimit_nofile 20000;\n\
         pid {}; error_log {} warn;\n",
        folder.join(format!("{name}.pid")).display(),
        log.display(),
    );
    // Modules are loaded before anything else is set.
    let text = match blocks.split_once('\n') {
        Some((module, rest)) if module.starts_with("load_module") => {
            format!("{module}\n{head}{rest}")
        }
        _ => format!("{head}{blocks}"),
    };
    fs::write(&file, text)?;
    let arguments = ["-c", &*file.to_string_lossy()];
    let mut process = Process::start(name, Path::new("/usr/sbin/nginx"), &arguments, &log)
        .context("apt-get install nginx-light libnginx-mod-rtmp")?;
    process.wait_for_port(port).await?;
    Ok(process)
}

/// The physical limit of waking: this program in its `wake` mode (see `bare.rs`).
pub async fn bare_wakes(
    folder: &Path,
    viewers: usize,
    answer_bytes: usize,
) -> anyhow::Result<(Process, String)> {
    let port = free_port()?;
    let program = std::env::current_exe()?;
    let numbers = [port.into(), viewers, answer_bytes].map(|number| number.to_string());
    let [port_argument, viewers, answer_bytes] = &numbers;
    let arguments = ["wake", port_argument, viewers, answer_bytes];
    let log = folder.join("wake.log");
    let mut process = Process::start("bare wakes", &program, &arguments, &log)?;
    process.wait_for_port(port).await?;
    Ok((process, format!("127.0.0.1:{port}")))
}

/// The physical limit of a fan-out: this program in its `bare` mode (see `bare.rs`).
pub async fn bare(folder: &Path, clip: &Path) -> anyhow::Result<(Process, String)> {
    let port = free_port()?;
    let program = std::env::current_exe()?;
    let clip = clip.to_string_lossy();
    let arguments = ["bare", &port.to_string(), &*clip];
    let log = folder.join("bare.log");
    let mut process = Process::start("bare writev", &program, &arguments, &log)?;
    process.wait_for_port(port).await?;
    Ok((process, format!("127.0.0.1:{port}")))
}
