use super::*;
use crate::scrape::Look;

const TEXT: &str = "[local]\nedges = 2\n\
    [viewers.a]\nroom = \"r\"\nprotocol = \"flv\"\ncount = 900\n\
    [viewers.b]\nroom = \"r\"\ncount = 300\n\
    [forecast]\nflv_viewers = 100000\nhls_viewers = 20000\ncores = 8\ngbits_per_second = 10\n";

/// A run in which `a` and `b` viewers are there in each window, on two edges.
fn run(a: impl Fn(usize) -> f64, b: impl Fn(usize) -> f64) -> (Scenario, Vec<Group>, Vec<Node>) {
    let scenario = Scenario::read("x.toml", TEXT, false).unwrap();
    let seconds = 20 * MEAN_SECONDS;
    let group = |name: &str, count: &dyn Fn(usize) -> f64, mbits: f64| Group {
        name: name.to_owned(),
        seconds: (0..seconds)
            .map(|second| {
                let present = count(second / MEAN_SECONDS);
                Second {
                    present: present as i64,
                    bytes: (present * mbits * 125_000.0) as i64,
                    ..Second::default()
                }
            })
            .collect(),
        times: Vec::new(),
        counts: Vec::new(),
    };
    let groups = vec![group("a", &a, 2.0), group("b", &b, 2.5)];
    let node = |name: &str, share: f64| Node {
        name: name.to_owned(),
        seconds: (0..seconds)
            .map(|second| {
                let window = second / MEAN_SECONDS;
                let wobble = if second % 2 == 0 { 0.01 } else { -0.01 };
                let viewers = a(window) * 0.0004 + b(window) * 0.001;
                Some(Look {
                    cores: 0.05 + viewers * share + wobble,
                    ..Look::default()
                })
            })
            .collect(),
    };
    let nodes = vec![
        node("edge-1", 0.6),
        node("edge-2", 0.4),
        node("origin", 9.0),
    ];
    (scenario, groups, nodes)
}

#[test]
fn costs_are_found_and_the_forecast_follows() {
    let (scenario, groups, nodes) = run(|w| 45.0 * w as f64, |w| 15.0 * (w % 7) as f64);
    let capacity = Capacity::of(&scenario, &groups, &nodes).unwrap();
    let cores = |kind| capacity.cost(kind).unwrap().cores_per_thousand.unwrap();
    assert!((cores(Kind::Flv) - 0.4).abs() < 0.02, "{capacity:?}");
    assert!((cores(Kind::Hls) - 1.0).abs() < 0.1, "{capacity:?}");
    assert!((capacity.idle_cores - 0.05).abs() < 0.01);
    assert!(capacity.explained > 0.99);
    let mbits = capacity.cost(Kind::Flv).unwrap().mbits.unwrap();
    assert!((mbits - 2.0).abs() < 0.01);
    let need = capacity.need.unwrap().unwrap();
    // 60 cores of 5.55 each, but 250 Gbit/s of 7 each, and one that may be lost.
    assert_eq!((need.edges, need.bound_by.as_str()), (37.0, "network"));
    assert!((need.cores - 60.0).abs() < 2.0 && (need.gbits - 250.0).abs() < 1.0);
}

#[test]
fn kinds_that_come_together_have_no_cost_of_their_own() {
    let (scenario, groups, nodes) = run(|w| 45.0 * w as f64, |w| 15.0 * w as f64);
    let capacity = Capacity::of(&scenario, &groups, &nodes).unwrap();
    assert!(
        capacity
            .costs
            .iter()
            .all(|cost| cost.cores_per_thousand.is_none())
    );
    let why = capacity.need.unwrap().unwrap_err();
    assert!(
        why.contains("viewer by HTTP-FLV") && why.contains("another time"),
        "{why}"
    );
}

#[test]
fn a_short_run_and_silent_nodes_say_nothing() {
    let (scenario, mut groups, mut nodes) = run(|w| w as f64, |_| 0.0);
    assert!(Capacity::of(&scenario, &groups, &[]).is_none());
    for group in &mut groups {
        group.seconds.truncate(3 * MEAN_SECONDS);
    }
    for node in &mut nodes {
        node.seconds.truncate(3 * MEAN_SECONDS);
    }
    assert!(Capacity::of(&scenario, &groups, &nodes).is_none());
}
