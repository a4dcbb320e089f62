use std::future::Future;
use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::hooks::Hooks;
use crate::ledger::Ledger;
use crate::live::Store;
use crate::live::track::{Event as Read, Start};
use crate::live::{Exchange, broadcast};
use crate::media::Class;
use crate::media::broadcast::{Info, Kind as Holds, Profile};
use crate::protocol::interact::Role;
use crate::protocol::interact::command::Moderation;
use crate::protocol::interact::event::Kind;
use crate::protocol::interact::question::Likes;
use crate::rooms::Config;
use crate::runtime::{Shutdown, TaskScope};
use crate::shed::Gauge;

/// An origin with a ledger in memory.
struct Origin {
    store: Store,
    exchange: Exchange,
    authority: Authority,
    scope: TaskScope,
}

async fn ledger(path: &std::path::Path, scope: &TaskScope) -> Ledger {
    let config = ledger::Config {
        path: Some(path.to_owned()),
        ..ledger::Config::default()
    };
    let metrics = crate::telemetry::Metrics::default();
    Ledger::open(&config, &metrics, scope).await.unwrap()
}

impl Origin {
    async fn start(path: &std::path::Path, config: &Config) -> Self {
        let scope = TaskScope::under(&Shutdown::new());
        let metrics = crate::telemetry::Metrics::default();
        let ledger = ledger(path, &scope).await;
        let orders = orders::Config::default();
        let orders = orders::Desk::start(&orders, ledger.clone(), &metrics, &scope);
        let store = Store::new(live::Config::default());
        let exchange = Exchange::default();
        let parts = Parts {
            store: store.clone(),
            exchange: exchange.clone(),
            ledger,
            orders,
            hooks: Hooks::default(),
            metrics,
            node_name: "origin-1".into(),
            scope: scope.clone(),
        };
        let authority = Authority::start(Settings::new(config, Gauge::default()), parts).await;
        Self {
            store,
            exchange,
            authority,
            scope,
        }
    }

    /// The operator's word in `room`.
    async fn says(&self, room: &RoomName, program: Program) -> Result<Event, Refusal> {
        let by = member("admin", Role::Admin);
        let question = Question::Program { by, program };
        match self.ask_in(room, Class::Program, &question).await {
            Answer::Taken { event } => Ok(event),
            Answer::Refused(refusal) => Err(refusal),
            answer => panic!("{answer:?}"),
        }
    }

    async fn ask(&self, class: Class, question: &Question) -> Answer {
        self.ask_in(&name(), class, question).await
    }

    async fn ask_in(&self, room: &RoomName, class: Class, question: &Question) -> Answer {
        let question = live::Question {
            class,
            room: room.clone(),
            body: serde_json::to_vec(question).unwrap().into(),
        };
        let answer = in_time(self.exchange.ask(question)).await.unwrap();
        serde_json::from_slice(&answer).unwrap()
    }

    fn go_live(&self) -> broadcast::Producer {
        let info = Info {
            room: name(),
            kind: Holds::Show,
            epoch: "show".into(),
            started_us: 0,
            timing: Profile::Low.timing(),
        };
        self.store.publish(info).unwrap()
    }

    /// Stops as a process that is told to.
    async fn stop(self) {
        assert_eq!(self.scope.finish(Duration::from_secs(10)).await, 0);
    }
}

fn name() -> RoomName {
    RoomName::parse("r").unwrap()
}

fn member(id: &str, role: Role) -> Member {
    Member {
        id: id.into(),
        name: id.into(),
        role,
    }
}

fn pin(text: &str) -> Program {
    Program {
        kind: Kind::Pin,
        media_ms: None,
        body: json!({ "text": text }).as_object().cloned().unwrap(),
    }
}

async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what)
        .await
        .expect("in time")
}

async fn until(mut is_so: impl FnMut() -> bool) {
    in_time(async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// The next events of a track.
async fn read(events: &broadcast::Consumer, track: &str, count: usize) -> Vec<Event> {
    let mut reader = events.track(track).unwrap().read_from(Start::Oldest);
    let mut found = Vec::new();
    in_time(async {
        while found.len() < count {
            let mut some = Vec::new();
            reader.changed().await;
            reader.read(&mut some, 64);
            for event in some {
                if let Read::Frame(frame) = event {
                    found.push(serde_json::from_slice(&frame.payload).unwrap());
                }
            }
        }
    })
    .await;
    found
}

#[tokio::test]
async fn room_opens_with_its_show_and_answers_members() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let origin = Origin::start(&path, &Config::default()).await;
    let comment = Question::Comment {
        from: member("u", Role::Viewer),
        text: "hi".into(),
        media_ms: None,
        chorus: false,
    };
    let answer = origin.ask(Class::Comment, &comment).await;
    assert!(matches!(answer, Answer::Refused(refusal) if refusal.status == 404));

    let _show = origin.go_live();
    let Answer::Taken { event } = origin.ask(Class::Comment, &comment).await else {
        panic!("the comment is not taken");
    };
    let events = origin.store.events("r").unwrap();
    assert_eq!(read(&events, "c3", 1).await, [event]);

    let program = Question::Program {
        by: member("h", Role::Host),
        program: pin("now"),
    };
    let Answer::Taken { event } = origin.ask(Class::Program, &program).await else {
        panic!("the pin is not taken");
    };
    assert_eq!(event.seq, Some(1));
    assert_eq!(read(&events, "c1", 1).await, [event]);
    let Answer::Snapshot(snapshot) = origin.ask(Class::Program, &Question::Snapshot).await else {
        panic!("no snapshot");
    };
    assert_eq!(snapshot.epoch, events.info().epoch);
    assert_eq!(snapshot.body["pin"]["text"], "now");
    let status = origin.authority.status("r").unwrap();
    assert_eq!(status.seq, [0, 1]);

    let junk = live::Question {
        class: Class::Comment,
        room: name(),
        body: Bytes::from_static(b"{"),
    };
    let answer = in_time(origin.exchange.ask(junk)).await.unwrap();
    let answer: Value = serde_json::from_slice(&answer).unwrap();
    assert_eq!(answer["status"], 400);
    origin.stop().await;
}

#[tokio::test]
async fn state_survives_a_restart_in_a_new_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let origin = Origin::start(&path, &Config::default()).await;
    let room = name();
    origin.says(&room, pin("kept")).await.unwrap();
    let likes = Question::Likes(Likes {
        edge: "edge-1".into(),
        total: 9,
        runs: Vec::new(),
    });
    origin.ask(Class::Total, &likes).await;
    let ban = Moderation::Ban {
        user: "troll".into(),
        seconds: 600,
    };
    let by = member("admin", Role::Admin);
    let moderation = ban;
    let question = Question::Moderate { by, moderation };
    let said = origin.ask(Class::Order, &question).await;
    assert!(matches!(said, Answer::Taken { .. }));
    let epoch = origin.store.events("r").unwrap().info().epoch.clone();
    // The last words before the stop are saved by it.
    let likes = Question::Likes(Likes {
        edge: "edge-2".into(),
        total: 3,
        runs: Vec::new(),
    });
    origin.ask(Class::Total, &likes).await;
    origin.stop().await;

    let origin = Origin::start(&path, &Config::default()).await;
    let events = origin.store.events("r").expect("the room is open again");
    assert!(events.info().epoch > epoch);
    let Answer::Snapshot(snapshot) = origin.ask(Class::Program, &Question::Snapshot).await else {
        panic!("no snapshot");
    };
    assert_eq!(snapshot.seq, [0, 1], "the pin is said again");
    assert_eq!(snapshot.body["pin"]["text"], "kept");
    assert_eq!(snapshot.body["likes"], 12);
    assert_eq!(&*snapshot.sanctions[0].0, "troll");
    let mut audit = Vec::new();
    in_time(async {
        while audit.is_empty() {
            audit = origin.authority.audit(&name(), None, 10).await.unwrap();
        }
    })
    .await;
    assert_eq!(&*audit[0].action, "ban");
    origin.stop().await;
}

#[tokio::test]
async fn room_closes_some_time_after_its_show() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let config = Config {
        linger_seconds: 0,
        ..Config::default()
    };
    let origin = Origin::start(&path, &config).await;
    let show = origin.go_live();
    until(|| origin.store.events("r").is_some()).await;
    assert!(origin.authority.status("r").is_some());
    drop(show);
    until(|| origin.store.events("r").is_none()).await;
    assert!(origin.authority.status("r").is_none());
    let _again = origin.go_live();
    until(|| origin.store.events("r").is_some()).await;
    origin.stop().await;
}

#[tokio::test]
async fn rooms_above_the_limit_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger");
    let config = Config {
        rooms_max: 1,
        ..Config::default()
    };
    let origin = Origin::start(&path, &config).await;
    origin.says(&name(), pin("a")).await.unwrap();
    let other = RoomName::parse("other").unwrap();
    let refusal = origin.says(&other, pin("b")).await.unwrap_err();
    assert_eq!((refusal.status, refusal.retry_after_s), (503, Some(1)));
    origin.stop().await;
}
