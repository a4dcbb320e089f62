use super::*;

const SCENARIO: &str = "rate_max = 700\n[fleet]\nedges = [\"http://edge-1.test\"]\n\
    [viewers.v]\nroom = \"a\"\ncount = 60000\n";

fn bench(allow: &[&str]) -> Bench {
    let options = Options {
        listen: ([127, 0, 0, 1], 0).into(),
        secret: Secret::new("a secret of all load machines").unwrap(),
        key_file: None,
        allow: allow.iter().map(ToString::to_string).collect(),
    };
    Bench {
        options,
        signer: Signer::default(),
        strangers: Semaphore::new(1),
        free: Semaphore::new(1),
        shutdown: Shutdown::new(),
    }
}

fn task(scenario: &str) -> Task {
    Task {
        scenario: scenario.to_owned(),
        share: Share::new(0, 60, 1),
        key: None,
    }
}

#[tokio::test]
async fn a_share_of_more_than_one_machine_carries_is_taken() {
    let ride = bench(&["edge-1.test"]).take(&task(SCENARIO)).ok().unwrap();
    assert_eq!(ride.stage.targets.edges.len(), 1);
    let fault = Scenario::read("x.toml", SCENARIO, false).unwrap_err();
    assert!(fault.contains("60000: use 1 to 50000"), "{fault}");
}

#[tokio::test]
async fn what_a_worker_must_not_do_is_refused() {
    let events = format!("{SCENARIO}[events.e]\ncommand = [\"true\"]\n");
    let buyers = format!("{SCENARIO}[buyers.b]\nroom = \"a\"\n");
    let slow = SCENARIO.replace("rate_max = 700", "rate_max = 7");
    let local = SCENARIO.replace("[fleet]\nedges = [\"http://edge-1.test\"]", "[local]");
    let impossible: Share = serde_json::from_str(r#"{"number": 3, "of": 2, "round": 2}"#).unwrap();
    let shared = Task {
        share: impossible,
        ..task(SCENARIO)
    };
    let signed = Task {
        key: Some("0011".to_owned()),
        ..task(SCENARIO)
    };
    for (task, allow, fault) in [
        (task("seconds = 0"), "edge-1.test", "seconds: 0: use 1 to"),
        (task(&events), "edge-1.test", "are the coordinator's"),
        (task(&local), "edge-1.test", "are the coordinator's"),
        (task(&buyers), "edge-1.test", "buyers need the --key-file"),
        (task(&slow), "edge-1.test", "rate_max: 7: use 60 to"),
        (
            task(SCENARIO),
            "edge-2.test",
            "edge-1.test is none of the hosts",
        ),
        (shared, "edge-1.test", "no such share"),
        (signed, "edge-1.test", "is not the coordinator's"),
    ] {
        let said = format!("{:#}", bench(&[allow]).take(&task).err().unwrap());
        assert!(said.contains(fault), "{said}");
    }
}

#[tokio::test]
async fn a_start_in_the_past_or_far_ahead_is_refused() {
    let ride = bench(&[]).take(&task(SCENARIO)).ok().unwrap();
    let start = |ahead_us: i64, at_us: i64| Start { at_us, ahead_us };
    let now_us = clock::unix_us();
    for start in [
        start(0, now_us - 1_000_000),
        start(0, now_us + 3_600_000_000),
        start(i64::MAX, i64::MAX),
        start(i64::MIN, i64::MIN),
    ] {
        assert!(ride.pace(start).is_err(), "{start:?}");
    }
    let pace = ride.pace(start(5_000_000, now_us - 2_000_000)).unwrap();
    assert_eq!(pace.unix_us(Duration::ZERO), now_us - 2_000_000);
    assert_eq!(pace.now(), Duration::ZERO);
}
