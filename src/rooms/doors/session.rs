//! The task of one member: reads what he says, has it carried out, and writes what the hall had to
//! leave. Waiting, it holds no buffer.

use std::cell::Cell;
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::timeout;

use crate::media::Class;
use crate::net::http::Reader;
use crate::protocol::interact::command::{Action, Command, Fault};
use crate::protocol::interact::question::Refusal;
use crate::protocol::websocket::CloseCode;
use crate::rooms::doors::clerk::refused;
use crate::rooms::doors::entry::{self, Guest};
use crate::rooms::doors::figures::ByCode;
use crate::rooms::doors::grammar::{Grammar, Said};
use crate::rooms::doors::hall::Hall;
use crate::rooms::doors::limits::{Bucket, too_many};
use crate::rooms::doors::member::{Member, State};
use crate::rooms::doors::service::House;
use crate::runtime::clock;

/// Bytes read at once; they pass through the stack.
const READ_BYTES: usize = 4096;
/// Reads in a row, before others have their turn.
const READS_MAX: usize = 8;
/// Orders of one connection that wait for their answer.
const ORDERS_MAX: u32 = 8;
/// Other commands of one connection that wait for their answer.
const OTHERS_MAX: u32 = 16;
/// Messages in a row that make no sense, until the connection is closed.
const MALFORMED_MAX: u32 = 10;
/// How long the last bytes may take to leave, and the peer to close.
const LINGER: Duration = Duration::from_secs(2);

/// One member, from hello to the end.
pub(super) struct Session {
    pub(super) house: Rc<House>,
    pub(super) hall: Rc<Hall>,
    pub(super) member: Rc<Member>,
    pub(super) guest: Guest,
    pub(super) reader: Option<Reader>,
    grammar: Grammar,
    bucket: Bucket,
    /// Commands in a row that came too fast.
    too_fast: u32,
    /// Messages in a row that made no sense.
    malformed: u32,
    /// Commands under way: orders, others.
    under_way: Rc<[Cell<u32>; 2]>,
}

/// What a session has to do next.
enum Next {
    /// Tell the member the state of the room.
    Enter,
    /// Do what the peer says.
    Said(Vec<Said>),
    /// Look at the clock for a queue.
    Retry,
    /// It is over.
    End,
}

/// A command under way.
struct UnderWay(Rc<[Cell<u32>; 2]>, usize);

impl Drop for UnderWay {
    fn drop(&mut self) {
        let count = &self.0[self.1];
        count.set(count.get() - 1);
    }
}

impl Session {
    pub(super) fn new(
        house: Rc<House>,
        hall: Rc<Hall>,
        member: Rc<Member>,
        guest: Guest,
        reader: Option<Reader>,
    ) -> Self {
        let burst = house.settings.config().limits.commands_burst;
        let bucket = Bucket::new(burst, clock::now());
        Self {
            grammar: Grammar::of(member.format),
            house,
            hall,
            member,
            guest,
            reader,
            bucket,
            too_fast: 0,
            malformed: 0,
            under_way: Rc::default(),
        }
    }

    /// Serves the member until the connection ends.
    pub(super) async fn run(mut self) {
        loop {
            match self.next().await {
                Next::Enter => {
                    let from = self.guest.from.take().or_else(|| self.hall.left());
                    if let Err(refusal) = self.enter(from).await {
                        self.turn_away(&refusal);
                    } else {
                        // What is for one member alone has no number, so nothing else refills it.
                        let (hall, clerk) = (self.hall.clone(), self.house.clerk.clone());
                        let (member, guest) = (self.member.clone(), self.guest.clone());
                        let orders = entry::tell_orders(hall, clerk, member, guest);
                        self.house.scope.spawn_local("rooms.orders", orders);
                    }
                }
                Next::Said(said) => self.hear(said),
                Next::Retry => tokio::time::sleep(Duration::from_millis(20)).await,
                Next::End => break,
            }
        }
        if let State::Closing(code) = self.member.state() {
            let code = code as u16;
            let closes = &self.house.figures.closes;
            closes.get_or_create(&ByCode { code }).inc();
            let _in_time = timeout(LINGER, self.linger()).await;
        }
        self.member.gone();
    }

    async fn enter(&self, from: Option<super::batch::Position>) -> Result<(), Refusal> {
        let (config, name) = (self.house.settings.config(), &self.house.node_name);
        let hello = |position: &_, resumed| {
            entry::hello(
                &config,
                name,
                &self.hall,
                &self.guest.who,
                position,
                resumed,
            )
        };
        entry::enter(&self.hall, &self.house.clerk, &self.member, from, hello).await?;
        // Who is denied while he enters is in nobody's list yet.
        self.member.keep_if_allowed(clock::now());
        Ok(())
    }

    /// Tells somebody who cannot come in why not.
    fn turn_away(&self, refusal: &Refusal) {
        let code = match refusal.status {
            403 => CloseCode::Banned,
            404 => CloseCode::NoRoom,
            _ => CloseCode::TryAgain,
        };
        self.answer(refusal, None);
        self.member.close(code, &refusal.detail, clock::now());
    }

    /// Waits for something to do.
    async fn next(&mut self) -> Next {
        let is_closing = || matches!(self.member.state(), State::Closing(_));
        if is_closing() {
            let drained = poll_fn(|cx| self.member.poll_drain(cx));
            let _in_time = timeout(LINGER, drained).await;
            return Next::End;
        }
        if self.member.needs_clock() {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            if self.member.poll_drain(&mut cx).is_ready() {
                return Next::End;
            }
            return Next::Retry;
        }
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Next> {
        if self.member.poll_drain(cx).is_ready() {
            return Poll::Ready(Next::End);
        }
        match self.member.state() {
            State::Entering => return Poll::Ready(Next::Enter),
            // The next call closes.
            State::Closing(_) => return Poll::Ready(Next::Said(Vec::new())),
            State::Gone => return Poll::Ready(Next::End),
            State::Seated if self.member.needs_clock() => return Poll::Ready(Next::Retry),
            State::Seated => {}
        }
        let Some(reader) = &mut self.reader else {
            return Poll::Pending;
        };
        let mut said = Vec::new();
        for _ in 0..READS_MAX {
            let mut bytes = [const { MaybeUninit::uninit() }; READ_BYTES];
            let mut buffer = ReadBuf::uninit(&mut bytes);
            match Pin::new(&mut *reader).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {
                    self.member.heard(clock::now());
                    self.grammar.read(buffer.filled(), &mut said);
                }
                Poll::Ready(_) => {
                    self.member.gone();
                    return Poll::Ready(Next::End);
                }
                Poll::Pending if said.is_empty() => return Poll::Pending,
                Poll::Pending => break,
            }
        }
        Poll::Ready(Next::Said(said))
    }

    /// Reads on for a moment: a close with unread bytes would take the last words with it.
    async fn linger(&mut self) {
        let Some(reader) = &mut self.reader else {
            return;
        };
        poll_fn(|cx| {
            for _ in 0..READS_MAX {
                let mut bytes = [const { MaybeUninit::uninit() }; READ_BYTES];
                let mut buffer = ReadBuf::uninit(&mut bytes);
                match Pin::new(&mut *reader).poll_read(cx, &mut buffer) {
                    Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    fn hear(&mut self, said: Vec<Said>) {
        for one in said {
            match one {
                Said::Command(Ok(command)) => self.obey(command),
                Said::Command(Err(fault)) => self.wonder(&fault),
                Said::Ping(pong) => {
                    self.hall.send(&self.member, Class::Total, pong.into());
                }
                Said::Life => {}
                Said::Close => self.member.close(CloseCode::Normal, "", clock::now()),
                Said::Fault(code, detail) => self.member.close(code, &detail, clock::now()),
            }
        }
    }

    /// Has a command carried out beside everything else.
    fn obey(&mut self, command: Command) {
        self.malformed = 0;
        let kind = usize::from(!matches!(command.action, Action::Order(_)));
        let max = if kind == 0 { ORDERS_MAX } else { OTHERS_MAX };
        let leave = self.leave().and_then(|()| {
            if self.under_way[kind].get() < max {
                Ok(())
            } else {
                Err(too_many("commands that wait for their answer"))
            }
        });
        if let Err(refusal) = leave {
            self.house.clerk.counted("none", refusal.status);
            self.answer(&refusal, Some(command.reference));
            self.too_fast += 1;
            if self.too_fast > self.house.settings.config().limits.refusals_max {
                let reason = "you send too much, and go on when told";
                self.member.close(CloseCode::Flooding, reason, clock::now());
            }
            return;
        }
        self.too_fast = 0;
        let count = &self.under_way[kind];
        count.set(count.get() + 1);
        let under_way = UnderWay(self.under_way.clone(), kind);
        let (hall, member) = (self.hall.clone(), self.member.clone());
        let (clerk, way) = (self.house.clerk.clone(), self.guest.way);
        self.house.scope.spawn_local("rooms.command", async move {
            let _under_way = under_way;
            let done = clerk.carry_out(&hall.room, &member.who, way, command);
            let event = done.await;
            let bytes = member.format.one(&event.to_json(), None);
            hall.send(&member, event.class, bytes);
        });
    }

    /// Leave for one command, by the rates of the connection, the user and the address.
    fn leave(&mut self) -> Result<(), Refusal> {
        let config = self.house.settings.config();
        let limits = &config.limits;
        let (rate, burst) = (limits.commands_per_second, limits.commands_burst);
        let now = clock::now();
        if !self.bucket.take(rate, burst, now) {
            return Err(too_many("commands of this connection"));
        }
        let user = &self.guest.who.id;
        self.house.gate.command(user, self.guest.address, now)
    }

    /// Answers what is no command. Who cannot even be answered by `ref` is not worth listening to.
    fn wonder(&mut self, fault: &Fault) {
        self.house.clerk.counted("none", fault.refusal.status);
        self.answer(&fault.refusal, fault.reference.clone());
        self.malformed += 1;
        if fault.reference.is_none() || self.malformed >= MALFORMED_MAX {
            let reason = &fault.refusal.detail;
            self.member
                .close(CloseCode::Malformed, reason, clock::now());
        }
    }

    fn answer(&self, refusal: &Refusal, reference: Option<std::sync::Arc<str>>) {
        let mut event = refused(refusal);
        event.reference = reference;
        let bytes = self.member.format.one(&event.to_json(), None);
        self.hall.send(&self.member, event.class, bytes);
    }
}
