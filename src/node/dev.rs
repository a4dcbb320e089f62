//! `rushlane dev`: an origin and an edge in one process, talking over real QUIC on loopback, with a
//! demo host that pushes over real RTMP. Two whole nodes; nothing in them knows that it is a demo.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::admin::{self, Asked};
use crate::net::tls::{Authority, Identity};
use crate::node::certificates::Certificates;
use crate::node::config::{Config, Override};
use crate::node::running::Node;
use crate::node::{Error, Role, demo, signals};
use crate::runtime::{Shutdown, TaskScope};

/// What `rushlane dev` can be told beyond the configuration.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where the CA and the certificates of this run are written, for other nodes to join with.
    pub data: Option<PathBuf>,
    /// Run the demo host.
    pub host: bool,
    /// Open the player page.
    pub open: bool,
}

/// Runs both nodes until a signal, then drains them.
pub async fn run(options: &Options, overrides: &[Override]) -> Result<(), Error> {
    let config = Config::read("rushlane dev", "", Role::Dev, overrides)?;
    let shutdown = Shutdown::new();
    let authority = Authority::create("Rushlane development CA");
    let made = Made::create(&authority)?;
    if let Some(data) = &options.data {
        made.write(data)
            .map_err(|error| Error::System("--data", error))?;
    }
    let mut origin = origin_config(&config, options.data.as_deref());
    let scope = TaskScope::under(&shutdown);
    if options.host && origin.orders.webhook.is_none() && origin.orders.nats.is_none() {
        let merchant = demo::Merchant::bind().await;
        let merchant = merchant.map_err(|error| Error::System("the demo's merchant", error))?;
        origin.orders.webhook = Some(merchant.webhook());
        scope.spawn("demo.merchant", merchant.run(scope.shutdown().clone()));
    }
    let mut origin = Node::start(
        &origin,
        Role::Origin,
        Some(made.certificates(&made.origin)),
        &shutdown,
    )
    .await?;
    let parent = origin
        .address("relay.listen")
        .expect("the origin of dev listens");
    let edge = edge_config(config, parent);
    let mut edge = Node::start(
        &edge,
        Role::Edge,
        Some(made.certificates(&made.edge)),
        &shutdown,
    )
    .await?;
    let urls = Urls::of(&origin, &edge);
    if options.host
        && let Some(rtmp) = origin.address("rtmp.listen")
    {
        let stop = || scope.shutdown().clone();
        scope.spawn("demo.host", demo::host(loopback(rtmp), stop()));
        scope.spawn("demo.program", demo::program(origin.exchange(), stop()));
    }
    urls.print(options.host);
    if options.open {
        open(&urls.watch());
    }
    let wish = tokio::select! {
        signal = signals::wait() => signal.map(|()| admin::Wish::default())?,
        wish = asked_to_drain(&mut edge) => wish,
        wish = asked_to_drain(&mut origin) => wish,
    };
    scope.finish(Duration::from_secs(1)).await;
    edge.stop(wish, None).await;
    origin.stop(admin::Wish::default(), None).await;
    Ok(())
}

/// Waits until `node` is asked to drain. It cannot be upgraded: its certificates are its own.
async fn asked_to_drain(node: &mut Node) -> admin::Wish {
    loop {
        match node.asked().await {
            Asked::Drain(wish) => return wish,
            Asked::Upgrade => tracing::warn!("`rushlane dev` has no successor"),
        }
    }
}

/// The origin's half: publishing, orders, and the parent side of the relay. Its admin port is a
/// free one. With a data folder, orders outlive this run.
fn origin_config(config: &Config, data: Option<&Path>) -> Config {
    let mut origin = config.clone();
    origin.node.name = "dev-origin".into();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    origin.relay.listen = Some(config.relay.listen.unwrap_or(any));
    origin.relay.parents.clear();
    if origin.ledger.path.is_none() {
        origin.ledger.path = data.map(|data| data.join("ledger.redb"));
    }
    if origin.auth.deny_file.is_none() {
        origin.auth.deny_file = data.map(|data| data.join("denied.json"));
    }
    origin.http.listen = None;
    origin.http.tls_listen = None;
    origin.admin.listen = config.admin.listen.map(|_| any);
    origin
}

/// The edge's half: viewers, and the child side of the relay.
fn edge_config(mut config: Config, parent: SocketAddr) -> Config {
    config.node.name = "dev-edge".into();
    config.rtmp.listen = None;
    config.rtmp.tls_listen = None;
    config.relay.listen = None;
    config.relay.parents = vec![loopback(parent).to_string()];
    config.relay.server_name = Some("localhost".into());
    config
}

/// An address to reach a listener of this process by.
fn loopback(address: SocketAddr) -> SocketAddr {
    if !address.ip().is_unspecified() {
        return address;
    }
    let ip = if address.is_ipv4() {
        [127, 0, 0, 1].into()
    } else {
        [0, 0, 0, 0, 0, 0, 0, 1u16].into()
    };
    SocketAddr::new(ip, address.port())
}

/// The certificates of a development fleet.
struct Made {
    ca: rustls::pki_types::CertificateDer<'static>,
    origin: Identity,
    edge: Identity,
    http: Identity,
}

impl Made {
    fn create(authority: &Authority) -> Result<Self, Error> {
        let names = ["localhost", "127.0.0.1", "::1"];
        Ok(Self {
            ca: authority.certificate(),
            origin: authority.issue(&names)?,
            edge: authority.issue(&names)?,
            http: authority.issue(&names)?,
        })
    }

    fn certificates(&self, relay: &Identity) -> Certificates {
        Certificates {
            relay_ca: vec![self.ca.clone()],
            relay: relay.clone(),
            http: self.http.clone(),
        }
    }

    /// Writes PEM files into `data/tls`: the CA and the identities of an origin, an edge and the
    /// HTTP front.
    fn write(&self, data: &Path) -> std::io::Result<()> {
        let folder = data.join("tls");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(
            folder.join("relay-ca.pem"),
            pem_text("CERTIFICATE", &self.ca),
        )?;
        for (name, identity) in [
            ("origin", &self.origin),
            ("edge", &self.edge),
            ("http", &self.http),
        ] {
            let chain: String = identity
                .chain
                .iter()
                .map(|part| pem_text("CERTIFICATE", part))
                .collect();
            std::fs::write(folder.join(format!("{name}.pem")), chain)?;
            let key = pem_text("PRIVATE KEY", identity.key.secret_der());
            write_private(&folder.join(format!("{name}.key")), &key)?;
        }
        Ok(())
    }
}

/// Writes a file that its owner alone may read, whatever stood there before.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.set_permissions(std::fs::Permissions::from_mode(0o600))?;
    file.write_all(text.as_bytes())
}

fn pem_text(label: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(label, der))
}

/// What a person wants to open.
struct Urls {
    http: Option<SocketAddr>,
    https: Option<SocketAddr>,
    rtmp: Option<SocketAddr>,
    admin: Option<SocketAddr>,
    origin_admin: Option<SocketAddr>,
}

impl Urls {
    fn of(origin: &Node, edge: &Node) -> Self {
        Self {
            http: edge.address("http.listen").map(loopback),
            https: edge.address("http.tls_listen").map(loopback),
            rtmp: origin.address("rtmp.listen").map(loopback),
            admin: edge.address("admin.listen"),
            origin_admin: origin.address("admin.listen"),
        }
    }

    /// The base that pages are opened from.
    fn base(&self) -> String {
        match (self.http, self.https) {
            (Some(http), _) => format!("http://{http}"),
            (None, Some(https)) => format!("https://{https}"),
            (None, None) => "http://(http.listen is off)".into(),
        }
    }

    fn watch(&self) -> String {
        format!("{}/watch/demo", self.base())
    }

    /// Tells a person or a script where to go. One that has stopped reading misses nothing else.
    fn print(&self, host: bool) {
        if let Err(error) = std::io::stdout().write_all(self.lines(host).as_bytes()) {
            tracing::debug!(%error, "nobody reads the URLs");
        }
    }

    /// One URL a line, its label first.
    fn lines(&self, host: bool) -> String {
        let base = self.base();
        let mut lines = vec![
            format!("watch    {}", self.watch()),
            format!("rooms    {base}/"),
            format!("hls      {base}/live/demo/index.m3u8"),
            format!("flv      {base}/live/demo.flv"),
        ];
        if let Some(https) = self.https {
            lines.push(format!("https    https://{https}/live/demo/index.m3u8"));
        }
        if let Some(rtmp) = self.rtmp {
            let room = if host { "ROOM" } else { "demo" };
            lines.push(format!("rtmp     rtmp://{rtmp}/live/{room}"));
        }
        if let Some(admin) = self.admin {
            lines.push(format!("admin    http://{admin}/api/v1/rooms"));
            lines.push(format!("metrics  http://{admin}/metrics"));
        }
        if let Some(admin) = self.origin_admin {
            lines.push(format!("origin   http://{admin}/api/v1/rooms"));
            lines.push(format!("console  http://{admin}/console"));
        }
        lines.push(String::new());
        lines.join("\n")
    }
}

/// Opens `url` with the desktop's opener; a machine without one only loses the convenience.
fn open(url: &str) {
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else {
        "xdg-open"
    };
    if let Err(error) = std::process::Command::new(opener).arg(url).spawn() {
        tracing::info!(opener, %error, "no browser was opened");
    }
}
