//! How somebody comes in: resumed where he was, or with the state of the room.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::time::timeout;

use crate::auth::Pass;
use crate::media::Class;
use crate::protocol::interact::command::{
    COMMAND_BYTES_MAX, COMMENT_BYTES_MAX, COMMENT_CHARACTERS_MAX, LIKES_MAX, ORDER_BYTES_MAX,
};
use crate::protocol::interact::event::{Event, Kind};
use crate::protocol::interact::question::Refusal;
use crate::protocol::interact::{self};
use crate::rooms::Config;
use crate::rooms::doors::batch::Position;
use crate::rooms::doors::clerk::{self, Clerk};
use crate::rooms::doors::hall::{Admission, Hall, Ticket};
use crate::rooms::doors::member::Member;
use crate::rooms::doors::origin::refusal;
use crate::runtime::clock;

/// How long a turn of the hall is waited for. What has not come by then is lost.
const TURN_WAIT: Duration = Duration::from_secs(2);
/// How often it is tried. Each try but the last means that the room has begun anew meanwhile.
const TRIES_MAX: usize = 5;

/// Somebody at a door, and what he brings.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub(super) who: interact::Member,
    pub(super) pass: Pass,
    pub(super) address: IpAddr,
    pub(super) way: clerk::Way,
    /// Where he was, when he was here before.
    pub(super) from: Option<Position>,
    /// Orders he wants to hear of.
    pub(super) orders: Vec<Arc<str>>,
}

impl Guest {
    /// True when the platform or he himself has said who he is.
    fn is_known(&self) -> bool {
        !self.who.id.starts_with("anon-")
    }
}

/// Counts somebody as at the door while it lives.
struct Arrival<'a>(&'a Hall);

impl Drop for Arrival<'_> {
    fn drop(&mut self) {
        self.0.arrived();
    }
}

/// Brings `member` into `hall`, with everything from `from` on or with a snapshot.
pub(super) async fn enter(
    hall: &Hall,
    clerk: &Clerk,
    member: &Rc<Member>,
    from: Option<Position>,
    hello: impl Fn(&Position, bool) -> Vec<u8>,
) -> Result<(), Refusal> {
    hall.arrive();
    let _arrival = Arrival(hall);
    let mut ticket = Ticket {
        from,
        snapshot: None,
    };
    for _ in 0..TRIES_MAX {
        match timeout(TURN_WAIT, wait(hall, member, &ticket, &hello)).await {
            Ok(Step::Seated) => return hall.room.may_enter(&member.who),
            Ok(Step::Over) => return Err(closed()),
            Ok(Step::NeedsSnapshot) => {}
            Err(_) => {
                // Events that the origin has given should be here by now.
                if let Some(held) = &ticket.snapshot {
                    hall.room.doubt_before(&held.position);
                }
                ticket.from = None;
            }
        }
        let useless = ticket.snapshot.as_ref();
        let snapshots = &hall.room.snapshots;
        let snapshot = snapshots.get(&hall.room, clerk.origin(), useless).await?;
        hall.room.may_enter(&member.who)?;
        ticket.snapshot = Some(snapshot);
    }
    let detail = "the room's events do not arrive here just now";
    Err(refusal(503, "no_events", detail.into(), Some(2)))
}

enum Step {
    Seated,
    NeedsSnapshot,
    Over,
}

/// Tries at each turn of the hall until there is a decision.
async fn wait(
    hall: &Hall,
    member: &Rc<Member>,
    ticket: &Ticket,
    hello: &impl Fn(&Position, bool) -> Vec<u8>,
) -> Step {
    loop {
        let mut moved = std::pin::pin!(hall.moved());
        moved.as_mut().enable();
        if hall.is_over() {
            return Step::Over;
        }
        match hall.admit(member, ticket, hello) {
            Admission::Seated => return Step::Seated,
            Admission::NeedsSnapshot => return Step::NeedsSnapshot,
            Admission::Wait => moved.await,
        }
    }
}

/// The room has closed, or this node goes down.
pub(super) fn closed() -> Refusal {
    refusal(
        503,
        "closed",
        "the room is not open here any more".into(),
        Some(1),
    )
}

/// The first event on every connection: who the member is, and the numbers from which on he has
/// everything.
pub(super) fn hello(
    config: &Config,
    node_name: &str,
    hall: &Hall,
    who: &interact::Member,
    position: &Position,
    resumed: bool,
) -> Vec<u8> {
    let body = json!({
        "epoch": position.epoch,
        "seq": { "0": position.seq[0], "1": position.seq[1] },
        "you": who,
        "room": hall.room.name,
        "edge": node_name,
        "resumed": resumed,
        "heartbeat_s": config.heartbeat_seconds,
        "batch_ms": config.batch_ms,
        "limits": {
            "message_bytes": COMMAND_BYTES_MAX,
            "comment_characters": COMMENT_CHARACTERS_MAX,
            "comment_bytes": COMMENT_BYTES_MAX,
            "order_bytes": ORDER_BYTES_MAX,
            "likes": LIKES_MAX,
            "commands_per_second": config.limits.commands_per_second,
        },
    });
    let at_ms = clock::unix_us() / 1000;
    Event::new(Kind::Hello, Class::Program, clerk::name(), at_ms, body).to_json()
}

/// Tells a member what became of his orders.
pub(super) async fn tell_orders(hall: Rc<Hall>, clerk: Clerk, member: Rc<Member>, guest: Guest) {
    if !guest.is_known() && guest.orders.is_empty() {
        return;
    }
    let events = clerk.orders(&hall.room, &guest.who, &guest.orders).await;
    for event in events {
        let bytes = member.format.one(&event.to_json(), None);
        if !hall.send(&member, event.class, bytes) {
            break;
        }
    }
}
