//! What the nodes say of themselves at `/metrics`, in the timeline of the load.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use reqwest::Url;
use rushlane::runtime::clock::{self, Instant};
use serde::Serialize;

use crate::mark::Signer;
use crate::web;

/// What a node may take to answer.
const ANSWER: Duration = Duration::from_millis(900);
/// The largest answer that is read.
const TEXT_BYTES_MAX: u64 = 8 << 20;

/// One look at a node.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Look {
    /// Cores in use since the last look.
    pub cores: f64,
    /// Memory held, in bytes.
    pub memory_bytes: f64,
    /// Open descriptors: connections, mostly.
    pub sockets: f64,
    /// How far each budget is spent; 1 is all of it.
    pub budgets: BTreeMap<String, f64>,
    /// The step of service that is given up; 0: none.
    pub shed_level: f64,
    /// Orders of load tests, which went no further than the shadow sink.
    pub load_orders: f64,
    /// What the node says is wrong with it.
    pub conditions: BTreeSet<String>,
}

/// A node that is looked at.
pub struct Node {
    /// What it is called.
    pub name: String,
    url: Url,
    last: Option<(Instant, f64)>,
}

/// Looks at nodes.
pub struct Scraper {
    http: reqwest::Client,
    token: Option<String>,
    /// The nodes.
    pub nodes: Vec<Node>,
}

impl Scraper {
    /// For these admin ports.
    pub fn new(admins: &[(String, Url)], signer: &Signer, insecure: bool) -> anyhow::Result<Self> {
        let http = web::client(insecure, ANSWER)?;
        let node = |(name, admin): &(String, Url)| {
            anyhow::Ok(Node {
                name: name.clone(),
                url: admin.join("/metrics")?,
                last: None,
            })
        };
        Ok(Self {
            http,
            token: signer.admin(),
            nodes: admins.iter().map(node).collect::<Result<_, _>>()?,
        })
    }

    /// One look at each node, in their order; `None`: it did not answer.
    pub async fn look(&mut self) -> Vec<Option<Look>> {
        let asked = self.nodes.iter().map(|node| {
            let mut request = self.http.get(node.url.clone());
            if let Some(token) = &self.token {
                request = request.bearer_auth(token);
            }
            async move {
                let answer = request.send().await.ok()?.error_for_status().ok()?;
                let fits = answer
                    .content_length()
                    .is_none_or(|bytes| bytes <= TEXT_BYTES_MAX);
                let text = if fits {
                    answer.text().await.ok()?
                } else {
                    return None;
                };
                Some((clock::now(), text))
            }
        });
        let answers = futures_util::future::join_all(asked).await;
        let looks = self.nodes.iter_mut().zip(answers).map(|(node, answer)| {
            let (at, text) = answer?;
            let (cpu, mut look) = read(&text);
            if let Some((last_at, last_cpu)) = node.last.replace((at, cpu)) {
                let seconds = at.saturating_duration_since(last_at).as_secs_f64();
                look.cores = (cpu - last_cpu).max(0.0) / seconds.max(0.1);
            }
            Some(look)
        });
        looks.collect()
    }
}

/// The CPU seconds, and what else counts.
fn read(text: &str) -> (f64, Look) {
    let (mut cpu, mut look) = (0.0, Look::default());
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((name, value)) = line.rsplit_once(' ') else {
            continue;
        };
        let Ok(value) = value.parse::<f64>() else {
            continue;
        };
        let own = name.strip_prefix("rushlane_").unwrap_or(name);
        match own.split('{').next().unwrap_or_default() {
            "process_cpu_seconds_total" => cpu = value,
            "process_resident_bytes" => look.memory_bytes = value,
            "process_open_files" => look.sockets = value,
            "shed_level" => look.shed_level = value,
            "orders_load_orders_total" => look.load_orders = value,
            "shed_pressure_ratio" => {
                look.budgets.insert(label(name), value);
            }
            "node_condition" if value > 0.0 => {
                look.conditions.insert(label(name));
            }
            _ => {}
        }
    }
    (cpu, look)
}

/// The value of a line's only label.
fn label(name: &str) -> String {
    name.split('"').nth(1).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read() {
        let text = "# TYPE x gauge\nrushlane_process_cpu_seconds_total 4.5\nprocess_open_files 12\n\
                    rushlane_shed_pressure_ratio{budget=\"cpu\"} 0.25\nrushlane_shed_level 0\n\
                    rushlane_node_condition{condition=\"ledger\"} 0\n\
                    rushlane_node_condition{condition=\"merchant\"} 1\n";
        let (cpu, look) = read(text);
        assert_eq!((cpu, look.sockets), (4.5, 12.0));
        assert_eq!(look.conditions, BTreeSet::from(["merchant".to_owned()]));
        assert_eq!(look.budgets, BTreeMap::from([("cpu".to_owned(), 0.25)]));
    }
}
