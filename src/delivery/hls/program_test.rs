use std::time::Duration;

use bytes::Bytes;
use serde_json::json;

use super::*;
use crate::live::Config;
use crate::media::Frame;
use crate::media::broadcast::{Info, Kind as Holds, Profile};
use crate::media::frame::{Flags, Stamps};
use crate::media::group::{Head, Id};
use crate::media::track::Info as TrackInfo;
use crate::protocol::interact;
use crate::protocol::interact::event::Kind as About;

fn room() -> RoomName {
    RoomName::parse("r").unwrap()
}

/// A room whose program shows a card that starts at `wall_ms`.
fn show(store: &Store, epoch: &str, id: &str, wall_ms: i64) -> broadcast::Producer {
    let info = Info {
        room: room(),
        kind: Holds::Events,
        epoch: epoch.into(),
        started_us: 0,
        timing: Profile::Low.timing(),
    };
    let events = store.publish(info).unwrap();
    let track = TrackInfo {
        name: "c1".into(),
        kind: Kind::Data(Class::Program),
        timescale: 1000,
    };
    let track = events.create_track(track).unwrap();
    let head = Head {
        id: Id(0),
        discontinuities: 0,
        init_id: 0,
        init: Bytes::new(),
        wall_us: 0,
        dts: 0,
        independent: true,
    };
    let group = track.group(head).unwrap();
    let body = json!({ "wall_ms": wall_ms, "sku": "s" });
    let event = interact::Event::new(About::Card, Class::Program, id, 0, body);
    group.append(Frame {
        dts: 0,
        composition: 0,
        duration: 0,
        flags: Flags::KEY,
        stamps: Stamps::default(),
        payload: event.to_json().into(),
    });
    events
}

async fn reaches(program: &Program, starts_us: &[i64]) {
    let starts = || {
        program
            .ranges()
            .iter()
            .map(|range| range.start_us)
            .collect::<Vec<_>>()
    };
    let wait = async {
        while starts() != starts_us {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(20), wait).await;
    in_time.unwrap_or_else(|_| panic!("{:?} instead of {starts_us:?}", starts()));
}

#[tokio::test]
async fn ranges_are_kept_through_a_restart_of_the_origin() {
    let store = Store::new(Config::default());
    let (shutdown, runtime) = (Shutdown::new(), Handle::current());
    let program = Program::follow(store.clone(), room(), &shutdown, &runtime);
    let before = show(&store, "a", "01A", 5);
    reaches(&program, &[5000]).await;
    drop(before);
    // What was shown before is read again, and something new.
    let again = show(&store, "b", "01A", 5);
    reaches(&program, &[5000]).await;
    drop(again);
    let _later = show(&store, "c", "01C", 2);
    reaches(&program, &[2000, 5000]).await;
}
