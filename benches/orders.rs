//! The ack of an order: from the buyer's socket through edge and origin to the disk and back, alone
//! and beside a flood of comments and likes. A merchant confirms each order meanwhile.

use std::cell::{Cell, RefCell};
use std::fs;
use std::io::{Seek as _, Write as _};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures_util::{SinkExt as _, StreamExt as _};
use hdrhistogram::Histogram;
use rushlane::runtime::clock;
use serde_json::json;
use tokio::task::JoinSet;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::Message;

use crate::Bench;
use crate::outcome::{self, Goal, Outcome};
use crate::servers::{Network, ROOM};

/// What is offered, whatever the answers take.
const ORDERS: Load = Load {
    per_second: 2000,
    seconds: 4,
};

/// How often quiet and flood are measured in turn: the machine drifts, and the slowest hundredth
/// of a round is mostly what the disk did meanwhile.
const ROUNDS: u64 = 9;

/// Those who buy.
const BUYERS: u64 = 500;

/// Those who comment and like beside them.
const CHATTERS: u64 = 100;

/// Comments offered: three times what is planned for a room, the 30 a second that its members see.
const COMMENTS_PER_SECOND: u64 = 90;

/// Likes offered.
const LIKES_PER_SECOND: u64 = 1_000_000;

/// Taps in one batch, at most what a command may carry.
const LIKES_PER_BATCH: u64 = 1000;

/// Of the edge and the origin: the bench is one address and knows no patience.
pub const EDGE: &str = "[rooms.limits]\n\
                    commands_per_second = 1000\ncommands_burst = 1000\n\
                    user_commands_per_second = 1000\naddress_commands_per_second = 1000000\n";

/// Runs the bench.
pub async fn run(bench: &Bench) -> anyhow::Result<Outcome> {
    let folder = bench.folder.join("orders");
    fs::create_dir_all(&folder)?;
    let _last_run = fs::remove_file(folder.join("ledger.redb"));
    let disk = sync_times(&folder.join("sync"))?;
    let (merchant, _shop) = merchant().await?;
    let origin = format!(
        "[orders]\nbuyer_per_second = 1000\n[orders.webhook]\nurl = {merchant:?}\n\
         secret = \"secret\"\n"
    );
    let network = Network::start_with(&folder, &origin, EDGE).await?;
    network.open_room().await?;

    let (mut quiet, mut beside, mut flooded) = (Phase::default(), Phase::default(), 0);
    for round in 0..ROUNDS {
        quiet.add(&order(&network, &format!("quiet{round}"), ORDERS).await?);
        let flood = flood(&network).await?;
        beside.add(&order(&network, &format!("beside{round}"), ORDERS).await?);
        flooded += flood.sent.get() / (ORDERS.seconds * 5 / 4);
    }

    let mut outcome = Outcome::new("orders");
    let ms = |q| disk.value_at_quantile(q) as f64 / 1000.0;
    outcome.tell("the disk: write and sync of 4 KB, p50", ms(0.5), "ms");
    outcome.tell("the disk: write and sync of 4 KB, p99", ms(0.99), "ms");
    outcome.tell("commands of the flood", (flooded / ROUNDS) as f64, "/s");
    for (name, phase) in [("", &quiet), (" beside the flood", &beside)] {
        let p99 = outcome::median(phase.p99.clone());
        outcome.judge(
            format!("orders{name}"),
            phase.per_second(),
            "/s",
            Goal::AtLeast(1990.0),
        );
        outcome.tell(
            format!("ack{name}, p50"),
            outcome::median(phase.p50.clone()),
            "ms",
        );
        outcome.judge(format!("ack{name}, p99"), p99, "ms", Goal::AtMost(50.0));
    }
    let slower = outcome::median(beside.p99) / outcome::median(quiet.p99) - 1.0;
    outcome.judge(
        "p99 slower beside it by",
        slower * 100.0,
        "%",
        Goal::AtMost(10.0),
    );
    Ok(outcome)
}

/// How many orders, and for how long they are measured, after a quarter as long that they are not.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// Each second.
    pub per_second: u64,
    /// Measured.
    pub seconds: u64,
}

/// Rounds of one kind: milliseconds of each.
#[derive(Default)]
struct Phase {
    orders: u64,
    p50: Vec<f64>,
    p99: Vec<f64>,
}

impl Phase {
    fn add(&mut self, times: &Histogram<u64>) {
        self.orders += times.len();
        let ms = |q| times.value_at_quantile(q) as f64 / 1000.0;
        self.p50.push(ms(0.5));
        self.p99.push(ms(0.99));
    }

    fn per_second(&self) -> f64 {
        self.orders as f64 / (ROUNDS * ORDERS.seconds) as f64
    }
}

/// Confirms everything at once.
pub async fn merchant() -> anyhow::Result<(String, JoinSet<()>)> {
    let answer = || async { r#"{"state":"confirmed"}"# };
    let app = axum::Router::new().route("/", axum::routing::post(answer));
    let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}/", socket.local_addr()?);
    let mut shop = JoinSet::new();
    shop.spawn_local(async move {
        axum::serve(socket, app).await.ok();
    });
    Ok((url, shop))
}

/// What the disk itself takes, with the file in the page cache as the ledger's is.
fn sync_times(path: &Path) -> anyhow::Result<Histogram<u64>> {
    let mut times = outcome::microseconds();
    let mut file = fs::File::create(path)?;
    file.set_len(1 << 20)?;
    for number in 0..300_u64 {
        let started = clock::now();
        file.seek(std::io::SeekFrom::Start(4096 * (number % 256)))?;
        file.write_all(&[7; 4096])?;
        file.sync_data()?;
        times.record(u64::try_from(started.elapsed().as_micros())?)?;
    }
    Ok(times)
}

/// Orders at the offered rate; times from when each was due to its answer.
pub async fn order(network: &Network, name: &str, load: Load) -> anyhow::Result<Histogram<u64>> {
    let http = reqwest::Client::builder()
        .timeout(Duration::from_secs(12))
        .build()?;
    let times = Rc::new(RefCell::new(outcome::microseconds()));
    let refused = Rc::new(Cell::new(None));
    let started = clock::now();
    let first = load.per_second * load.seconds / 4;
    let mut under_way = JoinSet::new();
    for number in 0..first + load.per_second * load.seconds {
        let due = started + Duration::from_micros(number * 1_000_000 / load.per_second);
        tokio::time::sleep_until(due).await;
        let url = format!(
            "http://{}/rooms/{ROOM}/orders?user=u{}",
            network.http,
            number % BUYERS
        );
        let key = format!("key-{name}-{number:08}");
        let body = json!({ "sku": "sku-9", "quantity": 1, "attributes": { "size": 42 } });
        let post = http
            .post(url)
            .header("idempotency-key", key)
            .body(body.to_string())
            .send();
        let (times, refused) = (times.clone(), refused.clone());
        under_way.spawn_local(async move {
            let status = post.await.map(|answer| answer.status().as_u16());
            match status {
                Ok(202) if number < first => {}
                Ok(202) => {
                    let took = u64::try_from(due.elapsed().as_micros()).unwrap_or(u64::MAX);
                    times.borrow_mut().saturating_record(took);
                }
                Ok(status) => refused.set(Some(format!("HTTP {status}"))),
                Err(error) => refused.set(Some(error.to_string())),
            }
        });
        while under_way.try_join_next().is_some() {}
    }
    while under_way.join_next().await.is_some() {}
    if let Some(refused) = refused.take() {
        bail!("an order was not taken: {refused}");
    }
    let times = times.borrow().clone();
    Ok(times)
}

/// Comments and likes that run until it is dropped.
struct Flood {
    sent: Rc<Cell<u64>>,
    _chatters: JoinSet<()>,
}

async fn flood(network: &Network) -> anyhow::Result<Flood> {
    let sent = Rc::new(Cell::new(0));
    let mut chatters = JoinSet::new();
    let batches = LIKES_PER_SECOND / LIKES_PER_BATCH;
    for number in 0..CHATTERS {
        let url = format!("ws://{}/rooms/{ROOM}/ws?user=c{number}", network.http);
        let (socket, _) = connect_async(url)
            .await
            .context("a chatter cannot come in")?;
        let (mut up, mut down) = socket.split();
        let sent = sent.clone();
        chatters.spawn_local(async move { while down.next().await.is_some() {} });
        chatters.spawn_local(async move {
            let pause = Duration::from_micros(1_000_000 * CHATTERS / batches);
            let mut tick = tokio::time::interval(pause);
            for n in 1_u64.. {
                tick.tick().await;
                let body =
                    json!({ "count": LIKES_PER_BATCH, "session": number.to_string(), "n": n });
                let like = json!({ "type": "like", "ref": "l", "body": body }).to_string();
                let mut said = up.send(Message::text(like)).await;
                sent.set(sent.get() + 1);
                if (n * CHATTERS + number) * COMMENTS_PER_SECOND % batches < COMMENTS_PER_SECOND {
                    let body = json!({ "text": format!("hello {number} from {n}") });
                    let comment = json!({ "type": "comment", "ref": "c", "body": body });
                    said = said.and(up.send(Message::text(comment.to_string())).await);
                    sent.set(sent.get() + 1);
                }
                if said.is_err() {
                    return;
                }
            }
        });
    }
    Ok(Flood {
        sent,
        _chatters: chatters,
    })
}
