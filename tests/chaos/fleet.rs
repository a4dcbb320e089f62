//! One origin and three edges, each a process; killed and started again on their ports.

use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rushlane::ledger::{self, Ledger, order::Id};
use rushlane::media::RoomName;
use rushlane::runtime::{Shutdown, TaskScope};
use rushlane::telemetry::Metrics;

use crate::{Book, Line};

/// The room of all orders.
pub const ROOM: &str = "chaos";

const EDGES: usize = 3;

/// How long a node may take to serve the room.
const READY: Duration = Duration::from_secs(30);

/// The nodes.
pub struct Fleet {
    folder: tempfile::TempDir,
    origin: Node,
    origin_admin: u16,
    edges: Vec<(Node, u16)>,
    next: usize,
}

/// A process that can be started again.
struct Node {
    role: &'static str,
    file: PathBuf,
    child: Child,
}

impl Fleet {
    /// Starts all and opens the room.
    pub async fn start(merchant: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let tls = certificates(folder.path());
        let [rtmp, relay, origin_admin] = [free_port(), free_port(), free_port()];
        let ledger = folder.path().join("ledger.redb");
        // The buyers' own pace is the limit: all come from one address.
        let limits = "[rooms.limits]\ncommands_per_second = 1000\ncommands_burst = 1000\n\
                      user_commands_per_second = 1000\naddress_commands_per_second = 1000000\n";
        let origin = format!(
            "[node]\nname = \"origin\"\n[rtmp]\nlisten = \"127.0.0.1:{rtmp}\"\n\
             tls_listen = \"off\"\n[relay]\nlisten = \"127.0.0.1:{relay}\"\n{tls}\
             [http]\nlisten = \"off\"\ntls_listen = \"off\"\n[admin]\nlisten = \
             \"127.0.0.1:{origin_admin}\"\n[ledger]\npath = {ledger:?}\n[orders]\n\
             buyer_per_second = 1000\nretry_max_ms = 2000\n[orders.webhook]\n\
             url = {merchant:?}\nsecret = \"secret\"\ntimeout_ms = 2000\n{limits}"
        );
        let mut fleet = Self {
            origin: Node::start("origin", folder.path(), "origin", &origin),
            origin_admin,
            edges: Vec::new(),
            next: 0,
            folder,
        };
        for number in 0..EDGES {
            let (http, admin) = (free_port(), free_port());
            let edge = format!(
                "[node]\nname = \"edge-{number}\"\n[relay]\nlisten = \"off\"\n\
                 parents = [\"127.0.0.1:{relay}\"]\nserver_name = \"localhost\"\n{tls}\
                 [http]\nlisten = \"127.0.0.1:{http}\"\ntls_listen = \"off\"\nworkers = 1\n\
                 [admin]\nlisten = \"127.0.0.1:{admin}\"\n{limits}"
            );
            let name = format!("edge-{number}");
            let node = Node::start("edge", fleet.folder.path(), &name, &edge);
            fleet.edges.push((node, http));
        }
        fleet.open_room().await;
        for number in 0..EDGES {
            fleet.wait_for_edge(number).await;
        }
        fleet
    }

    /// `HOST:PORT` of the edges.
    pub fn edges(&self) -> Vec<String> {
        let address = |(_, port): &(Node, u16)| format!("127.0.0.1:{port}");
        self.edges.iter().map(address).collect()
    }

    /// Kills one edge after the other, and starts it again while the rest serve.
    pub async fn kill_an_edge(&mut self) {
        let number = self.next % EDGES;
        self.next += 1;
        self.edges[number].0.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.edges[number].0.start_again();
    }

    /// Kills the origin and starts it again.
    pub async fn kill_origin(&mut self) {
        self.origin.kill();
        tokio::time::sleep(Duration::from_millis(300)).await;
        self.origin.start_again();
    }

    /// Kills all, and reads what the ledger has of `keys`.
    pub async fn stop_and_read(mut self, keys: impl Iterator<Item = &String>) -> Book {
        self.origin.kill();
        for (edge, _) in &mut self.edges {
            edge.kill();
        }
        let config = ledger::Config {
            path: Some(self.folder.path().join("ledger.redb")),
            ..ledger::Config::default()
        };
        let scope = TaskScope::under(&Shutdown::new());
        let ledger = Ledger::open(&config, &Metrics::default(), &scope).await;
        let ledger = ledger.expect("a ledger");
        let mut book = Book::new();
        for key in keys {
            let id = Id {
                room: RoomName::parse(ROOM).expect("a name"),
                key: key.as_str().into(),
            };
            let Some(entry) = ledger.order(&id).await.expect("a ledger that works") else {
                continue;
            };
            let line = Line {
                wish: format!("{} {}", entry.order.buyer, entry.order.quantity),
                state: entry.order.state.as_str().to_owned(),
            };
            book.insert(key.clone(), line);
        }
        book
    }

    /// A room opens with its show, or with the operator's first word.
    async fn open_room(&self) {
        let url = format!(
            "http://127.0.0.1:{}/api/v1/rooms/{ROOM}/events",
            self.origin_admin
        );
        let notice = r#"{"type":"notice","body":{"text":"open"}}"#;
        let client = reqwest::Client::new();
        wait("the room", || {
            let post = client.post(&url).header("content-type", "application/json");
            let post = post.body(notice).send();
            async { post.await.is_ok_and(|answer| answer.status().is_success()) }
        })
        .await;
    }

    async fn wait_for_edge(&self, number: usize) {
        let address = &self.edges()[number];
        let url = format!("http://{address}/rooms/{ROOM}/snapshot?user=operator");
        wait("an edge", || {
            let get = reqwest::get(&url);
            async { get.await.is_ok_and(|answer| answer.status().is_success()) }
        })
        .await;
    }
}

impl Node {
    fn start(role: &'static str, folder: &Path, name: &str, config: &str) -> Self {
        let file = folder.join(format!("{name}.toml"));
        fs::write(&file, config).expect("a file");
        let child = spawn(role, &file);
        Self { role, file, child }
    }

    /// SIGKILL: no farewell of any kind.
    fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it has ended");
    }

    fn start_again(&mut self) {
        self.child = spawn(self.role, &self.file);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ended_before = self.child.kill().is_err();
        self.child.wait().expect("it has ended");
    }
}

fn spawn(role: &str, file: &Path) -> Child {
    let log = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(file.with_extension("log"));
    let shipped = std::env::var_os("RUSHLANE").unwrap_or_else(|| {
        // Built together with this program.
        env!("CARGO_BIN_EXE_rushlane").into()
    });
    Command::new(shipped)
        .arg(role)
        .arg("-c")
        .arg(file)
        .stdout(Stdio::null())
        .stderr(log.expect("a file"))
        .spawn()
        .expect("the binary is there")
}

async fn wait<A: Future<Output = bool>>(what: &str, ask: impl Fn() -> A) {
    let asking = async {
        while !ask().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let waited = tokio::time::timeout(READY, asking).await;
    waited.unwrap_or_else(|_| panic!("{what} was not ready in {READY:?}"));
}

/// One authority and one certificate for all nodes; the keys of `[relay]` that name them.
fn certificates(folder: &Path) -> String {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key"));
    let issuer = issuer.expect("an authority");
    let key = KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let leaf = CertificateParams::new(names).expect("names");
    let leaf = leaf.signed_by(&key, &issuer).expect("a certificate");
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        fs::write(&path, text).expect("a file");
        path
    };
    let authority = write("ca.pem", issuer.pem());
    let certificate = write("node.pem", leaf.pem());
    let key = write("node.key", key.serialize_pem());
    format!("ca = {authority:?}\ncertificate = {certificate:?}\nkey = {key:?}\n")
}

/// A port that is free for TCP and UDP now.
fn free_port() -> u16 {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = tcp.local_addr().expect("an address").port();
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}
