//! The scenario file: who comes, when, and what must hold. Read as strictly as a node's own
//! configuration, with every fault at its line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rushlane::node::config::{Fault, Source};
use serde::{Deserialize, Serialize};

use crate::capacity::Forecast;
use crate::check::Check;
use crate::gates::{Gates, Own};
use crate::link;
use crate::machine;
use crate::web::Http;

/// The longest run, in seconds: a soak of a day.
pub const SECONDS_MAX: u32 = 86_400;
/// The most actors of one program: what one machine's addresses and ports carry.
pub const ACTORS_MAX: u32 = 50_000;
/// The most actions a second that a scenario may plan, whatever its own ceiling.
pub const RATE_MAX: f64 = 200_000.0;

/// What a run does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// What it is called in the report.
    pub name: String,
    /// How long the load lasts, in seconds; nothing goes on beyond it. 1 to [`SECONDS_MAX`].
    pub seconds: u32,
    /// Connections, comments, likes and orders a second that are never exceeded.
    pub rate_max: f64,
    /// The fleet, unless a local one is started.
    pub fleet: Option<Fleet>,
    /// Start a fleet on this machine.
    pub local: Option<Local>,
    /// Who publishes.
    pub hosts: BTreeMap<String, Host>,
    /// What lies between people and the fleet.
    pub links: BTreeMap<String, link::Profile>,
    /// Who watches.
    pub viewers: BTreeMap<String, Viewers>,
    /// Who talks.
    pub members: BTreeMap<String, Members>,
    /// Who buys.
    pub buyers: BTreeMap<String, Buyers>,
    /// What happens to the fleet meanwhile.
    pub events: BTreeMap<String, Event>,
    /// What the sale will be, and on what machines.
    pub forecast: Option<Forecast>,
    /// What must hold for GO.
    pub gates: Gates,
    /// When this machine counts as the limit.
    pub machine: machine::Config,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            name: "unnamed".into(),
            seconds: 60,
            rate_max: 2000.0,
            fleet: None,
            local: None,
            hosts: BTreeMap::new(),
            links: BTreeMap::new(),
            viewers: BTreeMap::new(),
            members: BTreeMap::new(),
            buyers: BTreeMap::new(),
            events: BTreeMap::new(),
            forecast: None,
            gates: Gates::default(),
            machine: machine::Config::default(),
        }
    }
}

/// The addresses that may be loaded; nothing else is ever spoken to.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fleet {
    /// Where hosts publish: `rtmp://HOST:PORT/live`.
    pub origins: Vec<String>,
    /// Where viewers, members and buyers come to: `http://` or `https://HOST:PORT`.
    pub edges: Vec<String>,
    /// The edges with TLS, for viewers over HTTP/3: `https://HOST:PORT`. Without any, the `https`
    /// ones of `edges`.
    pub https_edges: Vec<String>,
    /// Admin ports, for `/metrics` and the books: `http://HOST:PORT`.
    pub admins: Vec<String>,
    /// Accept certificates of unknown authorities.
    pub insecure: bool,
}

/// A fleet of processes on this machine: an origin, relays below it, edges below these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Local {
    /// Nodes between origin and edges, 0 to 4.
    pub relays: u32,
    /// Nodes that viewers come to, 1 to 8.
    pub edges: u32,
    /// What the kernel of an edge holds of a connection, in bytes; without it, what it likes.
    pub send_buffer_bytes: Option<u32>,
}

impl Default for Local {
    fn default() -> Self {
        Self {
            relays: 1,
            edges: 2,
            send_buffer_bytes: None,
        }
    }
}

/// A publisher.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Host {
    /// The room.
    pub room: String,
    /// The rung of a ladder that this host encodes (`ROOM@360p`); players take the one that their
    /// path carries. Without it, the room's plain picture.
    pub rendition: Option<String>,
    /// An FLV file of H.264 and AAC, sent in a loop with a stamp in each picture.
    pub clip: PathBuf,
}

/// How viewers watch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// LL-HLS: blocking reload, parts.
    #[default]
    Hls,
    /// HTTP-FLV.
    Flv,
}

/// How a group arrives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Arrival {
    /// When the first one comes, in seconds from the start of the load.
    pub at_seconds: f64,
    /// Over how long the others come, evenly: a ramp. 0: all in one instant, a pulse.
    pub over_seconds: f64,
    /// How long each stays before he goes and comes anew elsewhere (churn), on average. 0: to the
    /// end.
    pub stay_seconds: f64,
}

impl Default for Arrival {
    fn default() -> Self {
        Self {
            at_seconds: 0.0,
            over_seconds: 5.0,
            stay_seconds: 0.0,
        }
    }
}

/// People who watch.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Viewers {
    /// The room.
    pub room: String,
    /// How many.
    pub count: u32,
    /// How.
    pub protocol: Protocol,
    /// The version of HTTP.
    pub http: Http,
    /// The link that each of them is behind, one of `[links]`.
    pub link: Option<String>,
    /// When they come.
    pub arrival: Arrival,
    /// Limits for these viewers, who are then judged apart.
    pub gates: Option<Own>,
}

/// People who talk.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Members {
    /// The room.
    pub room: String,
    /// How many.
    pub count: u32,
    /// Comments of all of them together.
    pub comments_per_second: f64,
    /// Batches of likes of all of them together; each is [`LIKES_PER_BATCH`] taps.
    pub like_batches_per_second: f64,
    /// The link that each of them is behind, one of `[links]`.
    pub link: Option<String>,
    /// When they come.
    pub arrival: Arrival,
}

/// Taps in a batch of likes: what a tapping finger makes of a second.
pub const LIKES_PER_BATCH: u32 = 7;

/// People who buy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Buyers {
    /// The room.
    pub room: String,
    /// How many different people.
    pub count: u32,
    /// Orders of all of them together.
    pub orders_per_second: f64,
    /// When the first order comes, in seconds from the start of the load.
    pub at_seconds: f64,
    /// For how long they come, in seconds.
    pub for_seconds: f64,
    /// How long a buyer tries before he gives an order up, in seconds.
    pub patience_seconds: f64,
}

impl Default for Buyers {
    fn default() -> Self {
        Self {
            room: String::new(),
            count: 1,
            orders_per_second: 1.0,
            at_seconds: 5.0,
            for_seconds: 10.0,
            patience_seconds: 15.0,
        }
    }
}

/// Something that happens to the fleet.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Event {
    /// When, in seconds from the start of the load.
    pub at_seconds: f64,
    /// A node of the local fleet that is killed: `origin`, `relay-1`, `edge-2`.
    pub kill: String,
    /// A program and its arguments.
    pub command: Vec<String>,
}

impl Scenario {
    /// Reads `path`; `fleet` names a file that replaces its fleet, `machines` share the load.
    ///
    /// Errors: every fault, one a line.
    pub fn load(path: &Path, fleet: Option<&Path>, machines: u32) -> Result<Self, String> {
        let read = |path: &Path| {
            std::fs::read_to_string(path)
                .map_err(|error| format!("{}: cannot be read: {error}", path.display()))
        };
        let (name, text) = (path.display().to_string(), read(path)?);
        let mut scenario = Self::read_for(&name, &text, fleet.is_some(), machines)?;
        if let Some(path) = fleet {
            let (name, text) = (path.display().to_string(), read(path)?);
            let (source, fleet, mut faults) = Source::read::<Fleet>(&name, &text, &[]);
            let mut check = Check::new(&source);
            check.fleet(&fleet, &[], &scenario);
            faults.extend(check.faults);
            join(faults)?;
            (scenario.fleet, scenario.local) = (Some(fleet), None);
            if let Some((name, _)) = scenario.events.iter().find(|(_, e)| !e.kill.is_empty()) {
                return Err(format!("events.{name}.kill works on a local fleet only"));
            }
        }
        Ok(scenario)
    }

    /// Reads `text`, called `name` in faults. `fleet_follows`: another file names the fleet.
    pub fn read(name: &str, text: &str, fleet_follows: bool) -> Result<Self, String> {
        Self::read_for(name, text, fleet_follows, 1)
    }

    /// The same for a load that so many `machines` share.
    pub fn read_for(
        name: &str,
        text: &str,
        fleet_follows: bool,
        machines: u32,
    ) -> Result<Self, String> {
        let (source, scenario, mut faults) = Source::read::<Self>(name, text, &[]);
        if faults.is_empty() {
            let mut check = Check::new(&source);
            check.machines = machines;
            check.meaning(&scenario, fleet_follows);
            faults.extend(check.faults);
        }
        join(faults)?;
        Ok(scenario)
    }

    /// What it does, in a line.
    #[must_use]
    pub fn summary(&self) -> String {
        let viewers: u32 = self.viewers.values().map(|group| group.count).sum();
        let members: u32 = self.members.values().map(|group| group.count).sum();
        let orders = self
            .buyers
            .values()
            .fold(0.0, |sum, group| sum + group.orders());
        format!(
            "{}: {} s, {} hosts, {viewers} viewers, {members} members, {orders:.0} orders, \
             at most {} actions/s",
            self.name,
            self.seconds,
            self.hosts.len(),
            self.rate_max,
        )
    }

    /// The link of this name.
    #[must_use]
    pub fn link(&self, name: Option<&str>) -> Option<Arc<link::Profile>> {
        self.links.get(name?).cloned().map(Arc::new)
    }

    /// Sockets that it holds at once, at most.
    #[must_use]
    pub fn sockets(&self) -> u64 {
        let of = |viewers: &Viewers| match (viewers.protocol, viewers.http) {
            (Protocol::Hls, Http::One) => 4,
            _ => 1,
        };
        let viewers: u64 = self
            .viewers
            .values()
            .map(|v| u64::from(v.count) * of(v))
            .sum();
        let members: u64 = self.members.values().map(|m| u64::from(m.count)).sum();
        // An order takes a second at most, unless the fleet is in trouble.
        let buyers: f64 = self
            .buyers
            .values()
            .map(|b| b.orders_per_second * 2.0)
            .sum();
        viewers + members + buyers as u64 + self.hosts.len() as u64
    }
}

impl Host {
    /// What it publishes as.
    #[must_use]
    pub fn stream(&self) -> String {
        match &self.rendition {
            Some(rendition) => format!("{}@{rendition}", self.room),
            None => self.room.clone(),
        }
    }
}

impl Buyers {
    /// How many orders they place.
    #[must_use]
    pub fn orders(&self) -> f64 {
        (self.orders_per_second * self.for_seconds).floor()
    }
}

fn join(mut faults: Vec<Fault>) -> Result<(), String> {
    faults.sort_by_key(Fault::order);
    let lines: Vec<String> = faults.iter().map(ToString::to_string).collect();
    if lines.is_empty() {
        return Ok(());
    }
    Err(lines.join("\n"))
}

impl Local {
    /// What the nodes are called.
    #[must_use]
    pub fn nodes(&self) -> Vec<String> {
        let relays = (1..=self.relays).map(|number| format!("relay-{number}"));
        let edges = (1..=self.edges).map(|number| format!("edge-{number}"));
        ["origin".to_owned()]
            .into_iter()
            .chain(relays)
            .chain(edges)
            .collect()
    }
}
