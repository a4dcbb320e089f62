//! The fleet under load: a given one, or processes that are started here.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use reqwest::Url;
use rushlane::runtime::clock;

use crate::mark::Signer;
use crate::run::Options;
use crate::scenario::{Fleet, Local};

/// How long a node may take to start.
const START_SECONDS_MAX: u64 = 30;
/// The load comes from one address, which no shop does.
const NO_LIMITS: &str = "limits = { connections_per_second = 0, handshakes_per_second = 0, \
    requests_per_second = 0 }\n";
const NO_HTTP: &str = "[http]\nlisten = \"off\"\ntls_listen = \"off\"\n";
const ROOM_LIMITS: &str = "[rooms.limits]\naddress_commands_per_second = 1000000\n\
    [moderation]\nlinks = \"allow\"\n";

/// What the load speaks to, and nothing else.
#[derive(Debug, Clone, Default)]
pub struct Targets {
    /// Where hosts publish.
    pub origins: Vec<Url>,
    /// Where everybody else comes to.
    pub edges: Vec<Url>,
    /// The edges with TLS, for those who need it.
    pub https_edges: Vec<Url>,
    /// Admin ports, with the names of their nodes.
    pub admins: Vec<(String, Url)>,
    /// Accept certificates of unknown authorities.
    pub insecure: bool,
}

impl Targets {
    /// A given fleet; nodes are called by the addresses of their admin ports.
    pub fn given(fleet: &Fleet) -> anyhow::Result<Self> {
        let urls = |list: &[String]| list.iter().map(|url| url.parse()).collect::<Result<_, _>>();
        let (edges, admins): (Vec<Url>, Vec<Url>) = (urls(&fleet.edges)?, urls(&fleet.admins)?);
        let mut https_edges: Vec<Url> = urls(&fleet.https_edges)?;
        if https_edges.is_empty() {
            let https = edges.iter().filter(|edge| edge.scheme() == "https");
            https_edges.extend(https.cloned());
        }
        Ok(Self {
            origins: urls(&fleet.origins)?,
            https_edges,
            edges,
            admins: admins
                .into_iter()
                .map(|url| (url.authority().to_owned(), url))
                .collect(),
            insecure: fleet.insecure,
        })
    }
}

impl<'a> Ground<'a> {
    /// An empty folder with certificates and, where none is `given`, a key; answers the file of the
    /// key too.
    fn prepare(
        binary: &'a Path,
        folder: &Path,
        given: Option<&Path>,
    ) -> anyhow::Result<(Self, PathBuf)> {
        let shown = binary.display();
        let found = binary.is_file();
        ensure!(
            found,
            "{shown} is missing: make build, or name it with --rushlane"
        );
        let folder = folder.join("fleet");
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
        }
        fs::create_dir_all(&folder)?;
        let folder = folder.canonicalize()?;
        let key = match given {
            Some(given) => given.canonicalize()?,
            None => new_key(&folder)?,
        };
        let (authority, identity) = certificates(&folder)?;
        let this = Self {
            binary,
            shared: format!("{authority}{identity}[[auth.keys]]\nfile = {key:?}\n"),
            identity,
            folder,
        };
        Ok((this, key))
    }
}

/// A fleet on this machine; ends when dropped.
pub struct Running {
    nodes: Vec<(String, Child)>,
    /// Where it is reached.
    pub targets: Targets,
    /// What signs for it.
    pub signer: Signer,
}

/// What nodes of a local fleet have in common.
struct Ground<'a> {
    binary: &'a Path,
    folder: PathBuf,
    shared: String,
    /// The certificate that nodes show to each other, and edges to viewers.
    identity: String,
}

impl Running {
    /// Starts the nodes of `local` as `options` say, and waits for them.
    pub async fn start(local: &Local, options: &Options) -> anyhow::Result<Self> {
        let given = options.key_file.as_deref();
        let (ground, key) = Ground::prepare(&options.rushlane, &options.folder, given)?;
        let mut this = Self {
            nodes: Vec::new(),
            targets: Targets {
                // The fleet's own authority is as old as its folder.
                insecure: true,
                ..Targets::default()
            },
            signer: Signer::open(Some(&key))?,
        };
        let mut parents = vec![this.origin(&ground)?];
        let mut relays = Vec::new();
        for number in 1..=local.relays {
            let listen = free_port()?;
            let parents = list(&parents);
            let relay = format!("listen = \"127.0.0.1:{listen}\"\nparents = {parents}");
            let rest = format!("{NO_HTTP}{ROOM_LIMITS}");
            this.node(&ground, &format!("relay-{number}"), &relay, &rest)?;
            relays.push(listen);
        }
        if !relays.is_empty() {
            parents = relays;
        }
        for number in 1..=local.edges {
            let (port, secure) = (free_port()?, free_port()?);
            // Each edge has another relay as its first parent.
            parents.rotate_left(1);
            let relay = format!("listen = \"off\"\nparents = {}", list(&parents));
            let listen = format!(
                "listen = \"127.0.0.1:{port}\"\ntls_listen = \"127.0.0.1:{secure}\"\n{}",
                ground.identity
            );
            let buffer = local.send_buffer_bytes;
            let buffer = buffer.map(|bytes| format!("send_buffer_bytes = {bytes}\n"));
            let buffer = buffer.unwrap_or_default();
            let rest = format!("[http]\n{listen}{buffer}{NO_LIMITS}{ROOM_LIMITS}");
            this.node(&ground, &format!("edge-{number}"), &relay, &rest)?;
            let edge = format!("http://127.0.0.1:{port}").parse()?;
            this.targets.edges.push(edge);
            let secure = format!("https://127.0.0.1:{secure}").parse()?;
            this.targets.https_edges.push(secure);
        }
        this.wait().await?;
        Ok(this)
    }

    /// Starts the origin; answers the port that its children dial.
    fn origin(&mut self, ground: &Ground<'_>) -> anyhow::Result<u16> {
        let (rtmp, listen) = (free_port()?, free_port()?);
        let ledger = ground.folder.join("ledger.redb");
        let rest = format!(
            "[rtmp]\nlisten = \"127.0.0.1:{rtmp}\"\n[ledger]\npath = {ledger:?}\n{NO_HTTP}"
        );
        let relay = format!("listen = \"127.0.0.1:{listen}\"");
        self.node(ground, "origin", &relay, &rest)?;
        let origin = format!("rtmp://127.0.0.1:{rtmp}/live").parse()?;
        self.targets.origins.push(origin);
        Ok(listen)
    }

    fn node(
        &mut self,
        ground: &Ground<'_>,
        name: &str,
        relay: &str,
        rest: &str,
    ) -> anyhow::Result<()> {
        let admin = free_port()?;
        let shared = &ground.shared;
        let text = format!(
            "[node]\nname = \"{name}\"\n[relay]\n{relay}\n{shared}\n\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\n{rest}"
        );
        let file = ground.folder.join(format!("{name}.toml"));
        fs::write(&file, text)?;
        let log = fs::File::create(ground.folder.join(format!("{name}.log")))?;
        let role = if name == "origin" { "origin" } else { "edge" };
        let child = Command::new(ground.binary)
            .args([role, "-c"])
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        self.nodes.push((name.to_owned(), child));
        let admin = format!("http://127.0.0.1:{admin}").parse()?;
        self.targets.admins.push((name.to_owned(), admin));
        Ok(())
    }

    /// Waits until every node says that it lives.
    async fn wait(&mut self) -> anyhow::Result<()> {
        let deadline = clock::now() + Duration::from_secs(START_SECONDS_MAX);
        for (name, admin) in &self.targets.admins {
            let url = admin.join("/healthz")?;
            while !reqwest::get(url.clone())
                .await
                .is_ok_and(|a| a.status().is_success())
            {
                for (node, child) in &mut self.nodes {
                    if let Some(status) = child.try_wait()? {
                        bail!("{node} ended at once ({status}); see its log");
                    }
                }
                ensure!(
                    clock::now() < deadline,
                    "{name} does not start; see its log"
                );
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// Kills a node, as a failure would.
    pub fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let found = self.nodes.iter_mut().find(|(node, _)| node == name);
        let (_, child) = found.with_context(|| format!("there is no node {name}"))?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        for (_, child) in &mut self.nodes {
            // One that has ended already is what is wanted.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

fn new_key(folder: &Path) -> anyhow::Result<PathBuf> {
    let key = folder.join("load.key");
    let secret = KeyPair::generate()?
        .serialize_pem()
        .replace(['\n', ' '], "");
    fs::write(&key, format!("load:{secret}\n"))?;
    Ok(key)
}

fn list(ports: &[u16]) -> String {
    let parents: Vec<String> = ports
        .iter()
        .map(|port| format!("\"127.0.0.1:{port}\""))
        .collect();
    format!("[{}]", parents.join(", "))
}

/// An authority and a certificate of it; the keys that name each in a configuration.
fn certificates(folder: &Path) -> anyhow::Result<(String, String)> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let leaf = CertificateParams::new(names)?.signed_by(&key, &issuer)?;
    let path = |name: &str| folder.join(name);
    fs::write(path("authority.pem"), issuer.pem())?;
    fs::write(path("node.pem"), leaf.pem())?;
    fs::write(path("node.key"), key.serialize_pem())?;
    let authority = format!("ca = {:?}\n", path("authority.pem"));
    let (certificate, key) = (path("node.pem"), path("node.key"));
    let identity = format!("certificate = {certificate:?}\nkey = {key:?}\n");
    Ok((authority, identity))
}

/// A port that is free now, for TCP and most likely for UDP.
fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.port())
}
