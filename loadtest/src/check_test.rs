//! Scenarios that are refused, each fault at its line, and those that are shipped.

use std::fs;
use std::path::Path;

use crate::scenario::{Host, Scenario};
use crate::web::Http;

/// A scenario of one viewer, and `more`.
fn read(more: &str) -> Result<Scenario, String> {
    let text = format!("[local]\n[viewers.a]\nroom = \"a\"\ncount = 1\n{more}");
    Scenario::read("x.toml", &text, false)
}

#[test]
fn impossible_links_are_refused_where_they_stand() {
    for (more, expected) in [
        (
            "link = \"4g\"",
            "x.toml:5:8: viewers.a.link: \"4g\": there are no [links]",
        ),
        (
            "link = \"5g\"\n[links.4g]",
            "x.toml:5:8: viewers.a.link: \"5g\": use one of 4g",
        ),
        (
            "[links.x]\nrate_kbits = 0",
            "x.toml:6:14: links.x.rate_kbits: 0: use 8 to 1000000",
        ),
        (
            "[links.x]\nloss_percent = 80",
            "x.toml:6:16: links.x.loss_percent: 80: use 0 to 50",
        ),
        (
            "[links.x]\nspeed = 3",
            "x.toml:6:1: links.x.speed: unknown field",
        ),
        (
            "[links.x]\nsteps = [{ at_seconds = 9, rate_kbits = 9 }, { at_seconds = 9, \
             rate_kbits = 8 }]",
            "x.toml:6:9: links.x.steps: steps stand in the order of time",
        ),
        (
            "[links.x]\nblackouts = [{ at_seconds = 9, for_seconds = 2 }, { at_seconds = 10, \
             for_seconds = 2 }]",
            "x.toml:6:13: links.x.blackouts: begins before the one above it has ended",
        ),
        (
            "[links.x]\nblackouts = [{ at_seconds = 90, for_seconds = 2 }]",
            "x.toml:6:13: links.x.blackouts: 90: use 0 to 60",
        ),
        (
            "gates = { stall_percent = -1 }",
            "x.toml:5:27: viewers.a.gates.stall_percent: -1: use 0 to 3600000",
        ),
    ] {
        let faults = read(more).unwrap_err();
        assert!(faults.starts_with(expected), "{more}\n{faults}\n{expected}");
        assert_eq!(faults.lines().count(), 1, "{faults}");
    }
}

#[test]
fn a_send_buffer_without_room_is_refused() {
    let text = "[local]\nsend_buffer_bytes = 9\n[viewers.a]\nroom = \"a\"\ncount = 1\n";
    let faults = Scenario::read("x.toml", text, false).unwrap_err();
    let expected = "x.toml:2:21: local.send_buffer_bytes: 9: use 16384 to 16000000";
    assert_eq!(faults, expected);
}

#[test]
fn a_link_in_use_is_accepted() {
    let scenario = read("link = \"4g\"\n[links.4g]\nrtt_ms = 80\nloss_percent = 1").unwrap();
    let link = scenario.link(scenario.viewers["a"].link.as_deref());
    assert_eq!(link.map(|link| link.rtt_ms), Some(80.0));
    assert!(scenario.link(None).is_none());
}

#[test]
fn shipped_scenarios_are_accepted() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.display().to_string();
        // Clips are named from the root of the repository, where the program is run.
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace("\"tests/media/", "\"../tests/media/");
        let scenario = Scenario::read(&name, &text, false);
        let scenario = scenario.unwrap_or_else(|faults| panic!("{faults}"));
        assert_eq!(path.file_stem().unwrap().to_str(), Some(&*scenario.name));
        names.push(scenario.name);
    }
    assert!(names.len() >= 7, "{names:?}");
}

#[test]
fn every_fault_is_named_with_its_line() {
    let text = "seconds = 0\nspeed = 3\n[local]\nedges = 99\n\
                [viewers.a]\nroom = \"a b\"\ncount = 1\narrival = { over_seconds = 0 }\n";
    let faults = Scenario::read("x.toml", text, false).unwrap_err();
    assert!(
        faults.starts_with("x.toml:2:1: speed: unknown field"),
        "{faults}"
    );
    let text = text.replace("speed = 3\n", "");
    let faults = Scenario::read("x.toml", &text, false).unwrap_err();
    let lines: Vec<&str> = faults.lines().collect();
    assert_eq!(lines.len(), 3, "{faults}");
    for (line, start) in lines.iter().zip([
        "x.toml:1:11: seconds: 0: use 1 to 86400",
        "x.toml:3:9: local.edges: 99: use 1 to 8",
        "x.toml:5:8: viewers.a.room: ",
    ]) {
        assert!(line.starts_with(start), "{line}");
    }
}

#[test]
fn a_missing_clip_and_an_unreachable_target_are_faults() {
    let text = "[fleet]\nedges = [\"ftp://x\"]\n[hosts.h]\nroom = \"a\"\n\
                clip = \"/nowhere.flv\"\n[viewers.a]\nroom = \"a\"\ncount = 1\n\
                [events.e]\nkill = \"edge-1\"\n";
    let faults = Scenario::read("x.toml", text, false).unwrap_err();
    for part in [
        "x.toml:2:",
        "/nowhere.flv is no file",
        "there is no local fleet",
    ] {
        assert!(faults.contains(part), "{faults}");
    }
}

#[test]
fn hosts_of_a_room_are_rungs_of_a_ladder() {
    let clip = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/media/demo.flv");
    let text = format!(
        "[local]\n[viewers.v]\nroom = \"a\"\ncount = 1\n\
         [hosts.high]\nroom = \"a\"\nclip = {clip:?}\n\
         [hosts.low]\nroom = \"a\"\nrendition = \"360p\"\nclip = {clip:?}\n"
    );
    let scenario = Scenario::read("x.toml", &text, false).unwrap();
    let streams: Vec<String> = scenario.hosts.values().map(Host::stream).collect();
    assert_eq!(streams, ["a", "a@360p"]);
    let twice = text.replace("rendition = \"360p\"\n", "");
    let faults = Scenario::read("x.toml", &twice, false).unwrap_err();
    let fault = "hosts.low.room: another host publishes a too";
    assert!(faults.contains(fault), "{faults}");
    let unnameable = text.replace("360p", "3 60p");
    let faults = Scenario::read("x.toml", &unnameable, false).unwrap_err();
    assert!(faults.contains("hosts.low.rendition: "), "{faults}");
}

#[test]
fn http3_needs_edges_with_tls_and_hls() {
    let text = "[fleet]\nedges = [\"http://b:2\"]\n\
                [viewers.v]\nroom = \"a\"\ncount = 1\nhttp = 3\n";
    let faults = Scenario::read("x.toml", text, false).unwrap_err();
    let plain = "x.toml:2:9: fleet.edges: viewers.v speak HTTP/3";
    assert!(faults.starts_with(plain), "{faults}");
    let text = text.replace("http:", "https:");
    let scenario = Scenario::read("x.toml", &text, false).unwrap();
    assert_eq!(
        (scenario.viewers["v"].http, scenario.sockets()),
        (Http::Three, 1)
    );
    for (more, fault) in [
        (
            "protocol = \"flv\"\n",
            "x.toml:6:8: viewers.v.http: HTTP-FLV",
        ),
        (
            "[viewers.w]\nhttp = 4\n",
            "x.toml:8:8: viewers.w.http: 4: use 1, 2 or 3",
        ),
    ] {
        let faults = Scenario::read("x.toml", &format!("{text}{more}"), false).unwrap_err();
        assert!(faults.starts_with(fault), "{faults}");
    }
}
