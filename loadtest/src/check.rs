//! What the values of a scenario mean: numbers that are possible, targets that make sense.

use reqwest::Url;
use rushlane::media::RoomName;
use rushlane::node::config::{Fault, Source};

use crate::capacity::Forecast;
use crate::scenario::{ACTORS_MAX, Arrival, Fleet, Protocol, RATE_MAX, SECONDS_MAX, Scenario};

/// What the values mean.
pub(crate) struct Check<'a> {
    source: &'a Source<'a>,
    pub(crate) faults: Vec<Fault>,
}

impl<'a> Check<'a> {
    pub(crate) fn new(source: &'a Source<'a>) -> Self {
        Self {
            source,
            faults: Vec::new(),
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
        self.number(scenario.rate_max, 1.0, RATE_MAX, &["rate_max"]);
        match (&scenario.fleet, &scenario.local) {
            (Some(fleet), None) => self.fleet(fleet, &["fleet"]),
            (None, Some(local)) => {
                self.number(local.relays.into(), 0.0, 4.0, &["local", "relays"]);
                self.number(local.edges.into(), 1.0, 8.0, &["local", "edges"]);
            }
            (None, None) if fleet_follows => {}
            (Some(_), Some(_)) => self.must(false, &["local"], "there is a [fleet] already"),
            (None, None) => self.must(false, &[], "name a [fleet], or start a [local] one"),
        }
        for (name, host) in &scenario.hosts {
            self.room(&host.room, &["hosts", name, "room"]);
            let message = format!("{} is no file", host.clip.display());
            self.must(host.clip.is_file(), &["hosts", name, "clip"], &message);
        }
        let empty = scenario.viewers.is_empty()
            && scenario.members.is_empty()
            && scenario.buyers.is_empty();
        self.must(
            !empty,
            &[],
            "nobody comes: name [viewers.X], [members.X] or [buyers.X]",
        );
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

    fn people(&mut self, scenario: &Scenario, seconds: f64) {
        let mut actors = 0;
        for (name, viewers) in &scenario.viewers {
            let path = |key| ["viewers", name.as_str(), key];
            self.room(&viewers.room, &path("room"));
            self.number(viewers.count.into(), 1.0, ACTORS_MAX.into(), &path("count"));
            self.arrival(&viewers.arrival, seconds, "viewers", name);
            let message = "HTTP-FLV viewers speak HTTP/1.1 here";
            let fits = !(viewers.http2 && viewers.protocol == Protocol::Flv);
            self.must(fits, &path("http2"), message);
            actors += viewers.count;
        }
        for (name, members) in &scenario.members {
            let path = |key| ["members", name.as_str(), key];
            self.room(&members.room, &path("room"));
            self.number(members.count.into(), 1.0, ACTORS_MAX.into(), &path("count"));
            let most = scenario.rate_max;
            let comments = path("comments_per_second");
            self.number(members.comments_per_second, 0.0, most, &comments);
            let likes = path("like_batches_per_second");
            self.number(members.like_batches_per_second, 0.0, most, &likes);
            self.arrival(&members.arrival, seconds, "members", name);
            actors += members.count;
        }
        let message = format!("{actors} viewers and members: use {ACTORS_MAX} at most");
        self.must(actors <= ACTORS_MAX, &[], &message);
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

    pub(crate) fn fleet(&mut self, fleet: &Fleet, path: &[&str]) {
        let lists = [
            ("origins", &fleet.origins, &["rtmp"][..]),
            ("edges", &fleet.edges, &["http", "https"]),
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
    }
}
