//! A connection over a link, in paused time: what a viewer's client sees of it.

use rushlane::runtime::{Shutdown, clock};

use super::*;
use crate::link::{Blackout, Profile, Step};

const MS: Duration = Duration::from_millis(1);

fn scope() -> TaskScope {
    TaskScope::under(&Shutdown::new())
}

/// A link that begins now, and the other end of a connection over it.
fn pair(profile: &Profile, scope: &TaskScope) -> (DuplexStream, DuplexStream) {
    let (fleet, far) = tokio::io::duplex(16_384);
    let link = Link::new(profile, clock::now(), 9);
    (link.carry(far, scope), fleet)
}

/// What arrives at the viewer in each of `seconds` from a fleet that always has something, in
/// bytes.
async fn bulk(profile: &Profile, seconds: usize) -> Vec<usize> {
    let scope = scope();
    let (mut viewer, mut fleet) = pair(profile, &scope);
    let began = clock::now();
    let send = async {
        let block = [0; 8192];
        while fleet.write_all(&block).await.is_ok() {}
    };
    let read = async {
        let (mut arrived, mut buffer) = (vec![0; seconds], [0; 4096]);
        loop {
            let read = viewer.read(&mut buffer).await.unwrap();
            let second = usize::try_from(began.elapsed().as_secs()).unwrap();
            let Some(bytes) = arrived.get_mut(second) else {
                return arrived;
            };
            *bytes += read;
        }
    };
    tokio::select! {
        arrived = read => arrived,
        () = send => panic!("the link broke"),
    }
}

#[tokio::test(start_paused = true)]
async fn question_and_answer_take_a_round_trip() {
    let (scope, profile) = (
        scope(),
        Profile {
            rtt_ms: 80.0,
            ..Profile::default()
        },
    );
    let (mut viewer, mut fleet) = pair(&profile, &scope);
    let began = clock::now();
    viewer.write_all(b"who?").await.unwrap();
    let mut asked = [0; 4];
    fleet.read_exact(&mut asked).await.unwrap();
    let half = began.elapsed();
    assert!((40 * MS..43 * MS).contains(&half), "{half:?}");
    fleet.write_all(b"me!").await.unwrap();
    let mut answer = [0; 3];
    viewer.read_exact(&mut answer).await.unwrap();
    assert_eq!((&asked, &answer), (b"who?", b"me!"));
    let whole = began.elapsed();
    assert!((80 * MS..85 * MS).contains(&whole), "{whole:?}");
}

#[tokio::test(start_paused = true)]
async fn the_rate_follows_the_steps() {
    let step = |at_seconds, rate_kbits| Step {
        at_seconds,
        rate_kbits,
    };
    let profile = Profile {
        rate_kbits: 5000.0,
        rtt_ms: 60.0,
        steps: vec![step(20.0, 1000.0), step(40.0, 300.0), step(60.0, 3000.0)],
        ..Profile::default()
    };
    let arrived = bulk(&profile, 80).await;
    // The first seconds at a rate are those of the queue that the last one left.
    for (from, to, kbits) in [(5, 20, 5000), (25, 40, 1000), (45, 60, 300), (65, 80, 3000)] {
        let bytes: usize = arrived[from..to].iter().sum();
        let found = bytes * 8 / 1000 / (to - from);
        let carried = kbits * 1448 / 1500;
        let bounds = carried * 94 / 100..=carried * 101 / 100;
        assert!(
            bounds.contains(&found),
            "{from} to {to}: {found} of {carried} kbit/s"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_blackout_is_silent_and_then_it_goes_on() {
    let profile = Profile {
        rate_kbits: 2000.0,
        blackouts: vec![Blackout {
            at_seconds: 4.0,
            for_seconds: 2.0,
        }],
        ..Profile::default()
    };
    let arrived = bulk(&profile, 12).await;
    let carried = 2_000_000 / 8 * 1448 / 1500;
    assert!(arrived[3] > carried * 9 / 10, "{arrived:?}");
    assert!(arrived[4] < carried / 10 && arrived[5] == 0, "{arrived:?}");
    assert!(
        arrived[8] > carried / 2 && arrived[11] > carried * 8 / 10,
        "{arrived:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn connections_of_a_viewer_share_his_link() {
    let (scope, profile) = (
        scope(),
        Profile {
            rate_kbits: 1000.0,
            ..Profile::default()
        },
    );
    let link = Link::new(&profile, clock::now(), 9);
    let mut sides: Vec<_> = (0..3)
        .map(|_| {
            let (fleet, far) = tokio::io::duplex(16_384);
            (link.carry(far, &scope), fleet)
        })
        .collect();
    let end = clock::now() + Duration::from_secs(30);
    let all = sides.iter_mut().map(|(viewer, fleet)| async move {
        let (mut bytes, mut buffer, block) = (0, [0; 4096], [0; 8192]);
        let carry = async {
            tokio::join!(
                async { while fleet.write_all(&block).await.is_ok() {} },
                async {
                    while let Ok(read) = viewer.read(&mut buffer).await {
                        bytes += read;
                    }
                }
            )
        };
        let _over = tokio::time::timeout_at(end, carry).await;
        bytes
    });
    let bytes = futures_util::future::join_all(all).await;
    let sum: usize = bytes.iter().sum();
    let carried = 30 * 125_000 * 1448 / 1500;
    assert!(
        (carried * 95 / 100..=carried).contains(&sum),
        "{bytes:?} of {carried}"
    );
    assert!(bytes.iter().all(|bytes| *bytes > carried / 10), "{bytes:?}");
}

#[tokio::test(start_paused = true)]
async fn the_end_comes_after_the_last_byte_in_both_directions() {
    let (scope, profile) = (scope(), Profile::default());
    let (mut viewer, mut fleet) = pair(&profile, &scope);
    fleet.write_all(&[7; 5000]).await.unwrap();
    drop(fleet);
    let mut all = Vec::new();
    viewer.read_to_end(&mut all).await.unwrap();
    assert_eq!(all.len(), 5000);
    let (viewer, mut fleet) = pair(&profile, &scope);
    drop(viewer);
    assert_eq!(fleet.read(&mut [0; 8]).await.unwrap(), 0);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(scope.running(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_syn_comes_again_after_a_second() {
    let profile = Profile {
        rtt_ms: 100.0,
        blackouts: vec![Blackout {
            at_seconds: 0.0,
            for_seconds: 2.0,
        }],
        ..Profile::default()
    };
    let link = Link::new(&profile, clock::now(), 9);
    assert_eq!(link.answered_at(), 3100 * MS);
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(link.answered_at(), 5100 * MS);
}
