//! A NATS server of a test's own.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::nats::Servers;

/// Starts and reconnections take a second or two.
pub(crate) const WAIT: Duration = Duration::from_secs(20);

/// A NATS server with its files in a folder; killed when dropped.
pub(crate) struct Server {
    process: Child,
    pub(crate) port: u16,
}

impl Server {
    /// Starts it. Port 0 takes a free one.
    pub(crate) async fn start(folder: &Path, port: u16) -> Self {
        let port = match port {
            0 => {
                let socket = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
                socket.local_addr().expect("an address").port()
            }
            taken => taken,
        };
        // Debian's place, which is not in the path of everybody.
        let debian = Path::new("/usr/sbin/nats-server");
        let program = if debian.exists() {
            debian
        } else {
            Path::new("nats-server")
        };
        let process = Command::new(program)
            .args([
                "--addr",
                "127.0.0.1",
                "--port",
                &port.to_string(),
                "--jetstream",
            ])
            .arg("--store_dir")
            .arg(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("nats-server, which `make setup` installs");
        let listening = async {
            while tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .await
                .is_err()
            {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(WAIT, listening)
            .await
            .expect("a server in time");
        Self { process, port }
    }

    /// Where it listens.
    pub(crate) fn servers(&self) -> Servers {
        Servers(vec![format!("nats://127.0.0.1:{}", self.port)])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it has ended");
    }
}
