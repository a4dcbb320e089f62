//! An origin for the tests: room `r`, its tracks, and answers to questions.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::json;

use crate::live::track::{GroupProducer, Producer};
use crate::live::{self, AskError, Authority, Exchange, Store, broadcast};
use crate::media::broadcast::{Info, Kind, Profile};
use crate::media::frame::{Flags, Frame, Stamps};
use crate::media::group::{Head, Id};
use crate::media::track::{Info as TrackInfo, Kind as TrackKind};
use crate::media::{Class, RoomName};
use crate::protocol::interact::event::{Event, Kind as EventKind};
use crate::protocol::interact::question::{Answer, LikesTaken, OrderAnswer, Question, Snapshot};

/// How long tests wait for what must happen.
pub(super) const WAIT: Duration = Duration::from_secs(30);

/// The origin of one room. Clones share it.
#[derive(Debug, Clone)]
pub(super) struct Fake {
    pub(super) store: Store,
    pub(super) exchange: Exchange,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    show: Option<Show>,
    epochs: u32,
    seq: [u64; 2],
    dts: i64,
    /// Questions asked.
    asked: Vec<Question>,
    /// Nothing but orders is answered.
    is_deaf: bool,
}

#[derive(Debug)]
struct Show {
    _broadcast: broadcast::Producer,
    epoch: Arc<str>,
    tracks: Vec<(Class, Producer, GroupProducer)>,
}

impl Fake {
    pub(super) fn new() -> Self {
        let fake = Self {
            store: Store::new(live::Config::default()),
            exchange: Exchange::default(),
            state: Arc::new(Mutex::new(State {
                show: None,
                epochs: 0,
                seq: [0; 2],
                dts: 0,
                asked: Vec::new(),
                is_deaf: false,
            })),
        };
        fake.exchange.set_authority(Arc::new(fake.clone()));
        fake.restart();
        fake
    }

    /// Begins a new epoch, as a restart of the origin does.
    pub(super) fn restart(&self) {
        let mut state = self.state.lock();
        state.show = None;
        state.epochs += 1;
        state.seq = [0; 2];
        let epoch: Arc<str> = format!("e{}", state.epochs).into();
        let info = Info {
            room: RoomName::parse("r").unwrap(),
            kind: Kind::Events,
            epoch: epoch.clone(),
            started_us: 0,
            timing: Profile::Low.timing(),
        };
        let broadcast = self.store.publish(info).unwrap();
        let classes = [Class::Order, Class::Program, Class::Comment, Class::Total];
        let tracks = classes.map(|class| {
            let info = TrackInfo {
                name: format!("c{}", u8::from(class)).into(),
                kind: TrackKind::Data(class),
                timescale: 1000,
            };
            let track = broadcast.create_track(info).unwrap();
            let group = track.group(head()).unwrap();
            (class, track, group)
        });
        state.show = Some(Show {
            _broadcast: broadcast,
            epoch,
            tracks: tracks.into(),
        });
    }

    /// Publishes an event of `class` that says `text`, numbered if its class is.
    pub(super) fn say(&self, class: Class, text: &str) {
        self.publish(event(class, text));
    }

    /// The same for one user, without a number.
    pub(super) fn tell(&self, user: &str, text: &str) {
        let mut event = event(Class::Order, text);
        event.to = Some(user.into());
        self.publish(event);
    }

    pub(super) fn publish(&self, mut event: Event) {
        let mut state = self.state.lock();
        if event.to.is_none() && event.class <= Class::Program {
            let lane = usize::from(u8::from(event.class));
            state.seq[lane] += 1;
            event.seq = Some(state.seq[lane]);
        }
        state.append(&event);
    }

    /// A number is given, and its event is lost on the way.
    pub(super) fn lose(&self, class: Class) {
        self.state.lock().seq[usize::from(u8::from(class))] += 1;
    }

    pub(super) fn set_deaf(&self, is_deaf: bool) {
        self.state.lock().is_deaf = is_deaf;
    }

    /// How many questions were asked for which `is` is true.
    pub(super) fn asked(&self, is: impl Fn(&Question) -> bool) -> usize {
        self.state.lock().asked.iter().filter(|one| is(one)).count()
    }

    fn answer(&self, question: Question) -> Answer {
        let mut state = self.state.lock();
        state.asked.push(question.clone());
        match question {
            Question::Comment { from, text, .. } => {
                let mut event = event(Class::Comment, &text);
                event.kind = EventKind::Comment;
                event.from = Some(from);
                state.append(&event);
                Answer::Taken { event }
            }
            Question::Order { order, .. } => Answer::Order(OrderAnswer {
                status: 202,
                body: format!(r#"{{"key":"{}","state":"accepted"}}"#, order.key),
                retry_after_s: None,
            }),
            Question::OrderState { key, .. } => Answer::Order(OrderAnswer {
                status: 200,
                body: format!(r#"{{"key":"{key}","state":"confirmed"}}"#),
                retry_after_s: None,
            }),
            Question::Likes(likes) => Answer::Likes(LikesTaken {
                total: likes.total + 1000,
                origin: "o".into(),
            }),
            Question::Snapshot => Answer::Snapshot(Box::new(Snapshot {
                epoch: state
                    .show
                    .as_ref()
                    .map_or_else(|| "".into(), |show| show.epoch.clone()),
                seq: state.seq,
                body: json!({ "comments": [], "slow_seconds": 0 }),
                sanctions: Vec::new(),
            })),
            Question::Orders { .. } => Answer::Events { events: Vec::new() },
            _ => Answer::Done,
        }
    }
}

impl State {
    fn append(&mut self, event: &Event) {
        self.dts += 1;
        let Some(show) = &self.show else { return };
        let class = event.class;
        let track = show.tracks.iter().find(|(of, ..)| *of == class);
        let (.., group) = track.expect("each class but 2 has a track");
        assert!(group.append(Frame {
            dts: self.dts,
            composition: 0,
            duration: 0,
            flags: Flags::KEY,
            stamps: Stamps::default(),
            payload: event.to_json().into(),
        }));
    }
}

impl Authority for Fake {
    fn ask(&self, question: live::Question) -> live::Answer {
        let fake = self.clone();
        Box::pin(async move {
            let asked: Question = serde_json::from_slice(&question.body).unwrap();
            if fake.state.lock().is_deaf && question.class != Class::Order {
                std::future::pending::<()>().await;
            }
            let answer = fake.answer(asked);
            Ok::<_, AskError>(Bytes::from(serde_json::to_vec(&answer).unwrap()))
        })
    }
}

fn event(class: Class, text: &str) -> Event {
    Event::new(EventKind::Notice, class, text, 1, json!({ "text": text }))
}

fn head() -> Head {
    Head {
        id: Id(0),
        discontinuities: 0,
        init_id: 0,
        init: Bytes::new(),
        wall_us: 0,
        dts: 0,
        independent: true,
    }
}
