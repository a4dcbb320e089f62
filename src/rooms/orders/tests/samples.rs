//! The receivers of docs/MERCHANTS.md, as they stand there.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use super::{SECRET, Shop, pair, room, wish};
use crate::rooms::orders::{Config, Webhook};

const PAGE: &str = include_str!("../../../../docs/MERCHANTS.md");

/// A receiver that runs; killed when dropped.
struct Receiver {
    process: Child,
    url: String,
}

impl Receiver {
    /// Runs the page's code of `language`, as `file`, with `program`.
    fn start(language: &str, program: &str, file: &str) -> (Self, tempfile::TempDir) {
        let folder = tempfile::tempdir().expect("a folder");
        let (_, code) = PAGE
            .split_once(&format!("```{language}\n"))
            .expect("a receiver");
        let (code, _) = code.split_once("```").expect("its end");
        let path = folder.path().join(file);
        std::fs::write(&path, code).expect("a file");
        let mut process = Command::new(program)
            .arg(&path)
            .env("RUSHLANE_SECRET", SECRET)
            .current_dir(folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the language is installed");
        let mut port = String::new();
        let mut lines = BufReader::new(process.stdout.take().expect("a pipe"));
        lines.read_line(&mut port).expect("its port");
        let url = format!("http://127.0.0.1:{}/", port.trim());
        (Self { process, url }, folder)
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.process.kill().expect("it runs");
        self.process.wait().expect("it has ended");
    }
}

async fn check(receiver: &Receiver) {
    let config = |secret: &str| Config {
        webhook: Some(Webhook {
            url: receiver.url.clone(),
            secret: secret.into(),
            timeout_ms: 5000,
        }),
        attempts_max: 1,
        ..Config::default()
    };
    let mut shop = Shop::open(&config(SECRET), None).await;
    for (key, quantity, decision) in [("key-0001", 1, "confirmed"), ("key-0002", 6, "rejected")] {
        shop.desk
            .submit(&room(), &super::li(), &wish(key, quantity), false)
            .await;
        assert_eq!(shop.next().await, pair(key, decision));
    }
    shop.close().await;

    // A forgotten ledger: the order comes again, and what was decided stands.
    let mut shop = Shop::open(&config(SECRET), None).await;
    shop.desk
        .submit(&room(), &super::li(), &wish("key-0002", 1), false)
        .await;
    assert_eq!(shop.next().await, pair("key-0002", "rejected"));
    shop.close().await;

    let mut shop = Shop::open(&config("somebody else's secret"), None).await;
    shop.submit("key-0003").await;
    assert_eq!(shop.next().await, pair("key-0003", "unknown"));
    shop.close().await;
}

#[tokio::test]
async fn receiver_in_python_does_what_the_page_says() {
    let (receiver, _folder) = Receiver::start("python", "python3", "receiver.py");
    check(&receiver).await;
}

#[tokio::test]
async fn receiver_in_node_does_what_the_page_says() {
    let (receiver, _folder) = Receiver::start("js", "node", "receiver.mjs");
    check(&receiver).await;
}
