//! What the values of a scenario mean: numbers that are possible, targets that make sense.

use reqwest::Url;
use rushlane::media::RoomName;
use rushlane::node::config::{Fault, Source};

use crate::capacity::Forecast;
use crate::gates::Own;
use crate::link::Profile;
use crate::scenario::{ACTORS_MAX, Arrival, Fleet, Protocol, RATE_MAX, SECONDS_MAX, Scenario};
use crate::web::Http;

/// The slowest link, in kbit/s: a datagram takes seconds.
const RATE_KBITS_MIN: f64 = 8.0;
/// The fastest one: beyond it, it is this machine that is measured.
const RATE_KBITS_MAX: f64 = 1_000_000.0;
/// The least send buffer, in bytes: a few pictures.
const SEND_BUFFER_MIN: u32 = 16_384;
/// Steps, and blackouts, of a link.
const SCHEDULE_MAX: usize = 1000;
/// The greatest limit of a gate: an hour in milliseconds.
const LIMIT_MAX: f64 = 3_600_000.0;

/// What the values mean.
pub(crate) struct Check<'a> {
    source: &'a Source<'a>,
    pub(crate) faults: Vec<Fault>,
    /// Machines that share the load.
    pub(crate) machines: u32,
}

impl<'a> Check<'a> {
    pub(crate) fn new(source: &'a Source<'a>) -> Self {
        Self {
            source,
            faults: Vec::new(),
            machines: 1,
        }
    }

    fn must(&mut self, holds: bool, path: &[&str], message: &str) {
        if !holds {
            self.faults.push(self.source.fault_at(path, message));
        }
    }

    fn number(&mut self, value: f64, least: f64, most: f64, path: &[&str]) {
        let message = format!("{value}: use {least} to {most}");
        self.must((least..=most).contains(&value), path, &message);
    }

    pub(crate) fn meaning(&mut self, scenario: &Scenario, fleet_follows: bool) {
        let seconds = f64::from(scenario.seconds);
        self.number(seconds, 1.0, SECONDS_MAX.into(), &["seconds"]);
        self.number(
            scenario.rate_max,
            self.machines.into(),
            RATE_MAX,
            &["rate_max"],
        );
        match (&scenario.fleet, &scenario.local) {
            (Some(fleet), None) => self.fleet(fleet, &["fleet"], scenario),
            (None, Some(local)) => {
                self.number(local.relays.into(), 0.0, 4.0, &["local", "relays"]);
                self.number(local.edges.into(), 1.0, 8.0, &["local", "edges"]);
                let bytes = local.send_buffer_bytes.unwrap_or(SEND_BUFFER_MIN);
                let path = ["local", "send_buffer_bytes"];
                self.number(bytes.into(), SEND_BUFFER_MIN.into(), 16e6, &path);
            }
            (None, None) if fleet_follows => {}
            (Some(_), Some(_)) => self.must(false, &["local"], "there is a [fleet] already"),
            (None, None) => self.must(false, &[], "name a [fleet], or start a [local] one"),
        }
        self.hosts(scenario);
        let empty = scenario.viewers.is_empty()
            && scenario.members.is_empty()
            && scenario.buyers.is_empty();
        self.must(
            !empty,
            &[],
            "nobody comes: name [viewers.X], [members.X] or [buyers.X]",
        );
        for (name, link) in &scenario.links {
            self.link(name, link, seconds);
        }
        self.people(scenario, seconds);
        if let Some(forecast) = &scenario.forecast {
            self.forecast(forecast);
        }
        for (name, event) in &scenario.events {
            self.number(
                event.at_seconds,
                0.0,
                seconds,
                &["events", name, "at_seconds"],
            );
            let one = event.kill.is_empty() != event.command.is_empty();
            self.must(one, &["events", name], "name either `kill` or `command`");
            if let (false, Some(local)) = (event.kill.is_empty(), &scenario.local) {
                let nodes = local.nodes();
                let message = format!("{:?}: use one of {}", event.kill, nodes.join(", "));
                self.must(
                    nodes.contains(&event.kill),
                    &["events", name, "kill"],
                    &message,
                );
            } else {
                let message = "there is no local fleet; use `command`";
                self.must(event.kill.is_empty(), &["events", name, "kill"], message);
            }
        }
    }

    fn hosts(&mut self, scenario: &Scenario) {
        for (name, host) in &scenario.hosts {
            let path = |key| ["hosts", name.as_str(), key];
            self.room(&host.room, &path("room"));
            if let Some(rendition) = &host.rendition {
                self.room(rendition, &path("rendition"));
            }
            let stream = host.stream();
            let others = scenario.hosts.values();
            let same = others.filter(|other| other.stream() == stream).count();
            let message = format!("another host publishes {stream} too");
            self.must(same == 1, &path("room"), &message);
            let message = format!("{} is no file", host.clip.display());
            self.must(host.clip.is_file(), &path("clip"), &message);
        }
    }

    fn people(&mut self, scenario: &Scenario, seconds: f64) {
        let (mut actors, most) = (0_u32, ACTORS_MAX.saturating_mul(self.machines));
        for (name, viewers) in &scenario.viewers {
            let path = |key| ["viewers", name.as_str(), key];
            self.room(&viewers.room, &path("room"));
            self.number(viewers.count.into(), 1.0, most.into(), &path("count"));
            self.arrival(&viewers.arrival, seconds, "viewers", name);
            let message = "HTTP-FLV viewers speak HTTP/1.1 here";
            let fits = viewers.http == Http::One || viewers.protocol != Protocol::Flv;
            self.must(fits, &path("http"), message);
            self.behind(scenario, viewers.link.as_deref(), &path("link"));
            self.own_gates(viewers.gates, name);
            actors = actors.saturating_add(viewers.count);
        }
        for (name, members) in &scenario.members {
            let path = |key| ["members", name.as_str(), key];
            self.room(&members.room, &path("room"));
            self.number(members.count.into(), 1.0, most.into(), &path("count"));
            let rate = scenario.rate_max;
            let comments = path("comments_per_second");
            self.number(members.comments_per_second, 0.0, rate, &comments);
            let likes = path("like_batches_per_second");
            self.number(members.like_batches_per_second, 0.0, rate, &likes);
            self.arrival(&members.arrival, seconds, "members", name);
            self.behind(scenario, members.link.as_deref(), &path("link"));
            actors = actors.saturating_add(members.count);
        }
        let message = format!("{actors} viewers and members: use {most} at most");
        self.must(actors <= most, &[], &message);
        for (name, buyers) in &scenario.buyers {
            let path = |key| ["buyers", name.as_str(), key];
            self.room(&buyers.room, &path("room"));
            self.number(buyers.count.into(), 1.0, 1e6, &path("count"));
            let (rate, most) = (buyers.orders_per_second, scenario.rate_max);
            self.number(rate, 0.1, most, &path("orders_per_second"));
            self.number(buyers.at_seconds, 0.0, seconds, &path("at_seconds"));
            let rest = seconds - buyers.at_seconds;
            self.number(buyers.for_seconds, 0.1, rest.max(0.1), &path("for_seconds"));
            self.number(
                buyers.patience_seconds,
                1.0,
                300.0,
                &path("patience_seconds"),
            );
        }
    }

    fn behind(&mut self, scenario: &Scenario, link: Option<&str>, path: &[&str]) {
        let Some(link) = link else {
            return;
        };
        let names: Vec<&str> = scenario.links.keys().map(String::as_str).collect();
        let message = match names.as_slice() {
            [] => format!("{link:?}: there are no [links]"),
            names => format!("{link:?}: use one of {}", names.join(", ")),
        };
        self.must(scenario.links.contains_key(link), path, &message);
    }

    fn own_gates(&mut self, own: Option<Own>, name: &str) {
        for (key, limit) in own.iter().flat_map(Own::set) {
            self.number(limit, 0.0, LIMIT_MAX, &["viewers", name, "gates", key]);
        }
    }

    fn link(&mut self, name: &str, link: &Profile, seconds: f64) {
        let path = |key| ["links", name, key];
        for (key, value, least, most) in [
            (
                "rate_kbits",
                link.rate_kbits,
                RATE_KBITS_MIN,
                RATE_KBITS_MAX,
            ),
            ("rtt_ms", link.rtt_ms, 0.0, 5000.0),
            ("jitter_ms", link.jitter_ms, 0.0, 5000.0),
            ("loss_percent", link.loss_percent, 0.0, 50.0),
            ("reorder_percent", link.reorder_percent, 0.0, 50.0),
            ("queue_kbytes", link.queue_kbytes, 2.0, 16_000.0),
        ] {
            self.number(value, least, most, &path(key));
        }
        let few = link.steps.len().max(link.blackouts.len()) <= SCHEDULE_MAX;
        let message = format!("use {SCHEDULE_MAX} steps and as many blackouts at most");
        self.must(few, &["links", name], &message);
        let (mut free_at, mut last_at) = (0.0, -1.0);
        for blackout in &link.blackouts {
            self.number(blackout.at_seconds, 0.0, seconds, &path("blackouts"));
            self.number(blackout.for_seconds, 0.01, 3600.0, &path("blackouts"));
            let message = "begins before the one above it has ended";
            self.must(blackout.at_seconds >= free_at, &path("blackouts"), message);
            free_at = blackout.at_seconds + blackout.for_seconds;
        }
        for step in &link.steps {
            self.number(step.at_seconds, 0.0, seconds, &path("steps"));
            self.number(
                step.rate_kbits,
                RATE_KBITS_MIN,
                RATE_KBITS_MAX,
                &path("steps"),
            );
            let message = "steps stand in the order of time";
            self.must(step.at_seconds > last_at, &path("steps"), message);
            last_at = step.at_seconds;
        }
    }

    fn forecast(&mut self, forecast: &Forecast) {
        let path = |key| ["forecast", key];
        for (key, value) in [
            ("flv_viewers", forecast.flv_viewers),
            ("hls_viewers", forecast.hls_viewers),
            ("members", forecast.members),
            ("orders_per_second", forecast.orders_per_second),
        ] {
            self.number(value, 0.0, 1e9, &path(key));
        }
        self.number(forecast.cores, 1.0, 1024.0, &path("cores"));
        let gbits = path("gbits_per_second");
        self.number(forecast.gbits_per_second, 0.01, 1000.0, &gbits);
        let headroom = path("headroom_percent");
        self.number(forecast.headroom_percent, 0.0, 90.0, &headroom);
        self.number(forecast.spare, 0.0, 1000.0, &path("spare"));
    }

    fn arrival(&mut self, arrival: &Arrival, seconds: f64, kind: &str, name: &str) {
        let path = |key| [kind, name, "arrival", key];
        self.number(arrival.at_seconds, 0.0, seconds, &path("at_seconds"));
        let rest = (seconds - arrival.at_seconds).max(0.0);
        self.number(arrival.over_seconds, 0.0, rest, &path("over_seconds"));
        let fits = arrival.stay_seconds == 0.0 || (1.0..=86_400.0).contains(&arrival.stay_seconds);
        self.must(fits, &path("stay_seconds"), "use 0, or 1 to 86400");
    }

    fn room(&mut self, room: &str, path: &[&str]) {
        if let Err(error) = RoomName::parse(room) {
            self.must(false, path, &error.to_string());
        }
    }

    /// `path`: where the fleet stands in its file; `scenario`: who comes to it.
    pub(crate) fn fleet(&mut self, fleet: &Fleet, path: &[&str], scenario: &Scenario) {
        let lists = [
            ("origins", &fleet.origins, &["rtmp"][..]),
            ("edges", &fleet.edges, &["http", "https"]),
            ("https_edges", &fleet.https_edges, &["https"]),
            ("admins", &fleet.admins, &["http", "https"]),
        ];
        for (key, list, schemes) in lists {
            let place = [path, &[key]].concat();
            for address in list {
                let url = Url::parse(address).ok();
                let fits = url.is_some_and(|url| {
                    schemes.contains(&url.scheme()) && url.host_str().is_some_and(|h| !h.is_empty())
                });
                let message = format!("{address:?}: use {}://HOST:PORT", schemes.join(":// or "));
                self.must(fits, &place, &message);
            }
        }
        let place = [path, &["edges"]].concat();
        self.must(!fleet.edges.is_empty(), &place, "there is no edge");
        let mut groups = scenario.viewers.iter();
        let over_quic = groups.find(|(_, group)| group.http == Http::Three);
        let mut edges = fleet.https_edges.iter().chain(&fleet.edges);
        if let Some((name, _)) = over_quic {
            let has_tls = edges.any(|edge| edge.starts_with("https:"));
            let message = format!("viewers.{name} speak HTTP/3: name the https_edges");
            self.must(has_tls, &place, &message);
        }
    }
}

#[cfg(test)]
#[path = "check_test.rs"]
mod tests;
