//! The probe against the whole network: `rushlane dev` with its demo host keeps every rule (R1.10).

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rushlane::probe::{self, Options};

/// Everything that listens takes a free port.
const LISTENERS: [&str; 6] = [
    "admin.listen",
    "http.listen",
    "http.tls_listen",
    "relay.listen",
    "rtmp.listen",
    "rtmp.tls_listen",
];

/// `rushlane dev` on free ports; ended when dropped.
struct Dev(Child);

impl Dev {
    /// Starts it and reads the URLs of its LL-HLS, plain and over TLS, from its first lines.
    fn start() -> (Self, String, String) {
        let child = Command::new(env!("CARGO_BIN_EXE_rushlane"))
            .arg("dev")
            .args(LISTENERS.map(|key| format!("--set={key}=127.0.0.1:0")))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary was built with the tests");
        let mut dev = Self(child);
        let output = dev.0.stdout.take().expect("stdout is piped");
        let (mut plain, mut secure) = (None, None);
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            match line.split_once(char::is_whitespace) {
                Some(("hls", url)) => plain = Some(url.trim().to_owned()),
                Some(("https", url)) => secure = Some(url.trim().to_owned()),
                _ => {}
            }
            if let (Some(plain), Some(secure)) = (&plain, &secure) {
                return (dev, plain.clone(), secure.clone());
            }
        }
        panic!("rushlane dev ended without telling its URLs");
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// Probes once the demo host is there.
async fn probed(url: &str) -> probe::Report {
    for _ in 0..100 {
        let options = Options {
            duration_seconds: 5,
            insecure: true,
        };
        match probe::run(url, options).await {
            Err(probe::Error::NoPlaylist { .. } | probe::Error::Request { .. }) => {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            other => return other.expect("the stream can be followed"),
        }
    }
    panic!("the demo host never came on air");
}

#[tokio::test]
async fn our_own_stream_keeps_every_rule() {
    let (_dev, plain, secure) = Dev::start();
    let reports = tokio::join!(probed(&plain), probed(&secure));
    for (url, report) in [(plain, reports.0), (secure, reports.1)] {
        assert_eq!(report.failed(), 0, "{url}\n{report}");
        assert!(report.rules().len() > 45, "{url}\n{report}");
    }
}
