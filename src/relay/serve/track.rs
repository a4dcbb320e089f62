//! One subscription: a stream for each group, each in a task of its own.
//!
//! The group that is newest when its task begins is live: it leaves at once, and its stream is
//! reset when [`LATE_GROUPS`] newer ones have opened before it was received whole. Older groups are
//! backfill: they wait for one of the child's few permits and are given up only when they leave the
//! window. So a child on a link that is too thin gets the newest groups, with gaps. Data of classes
//! 0 and 1 has no gaps: such a group leaves at once, whatever its age, and is given up only when it
//! leaves the window.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use crate::live::track::{Consumer, Event, Start as LiveStart};
use crate::media::Frame;
use crate::media::group::{Head, Id};
use crate::media::track::Kind;
use crate::relay::error::{Error, STREAM_DROPPED};
use crate::relay::priority;
use crate::relay::serve::child::Child;
use crate::relay::wire::control::{Message, Start};
use crate::relay::wire::stream::{Encoder, Header};
use crate::runtime::{TaskScope, clock};

/// A live group is late when this many newer ones have opened: twice the target duration after its
/// last frame (R3.11).
const LATE_GROUPS: u64 = 3;

/// Groups that are begun at once; a jump beyond it (a new numbering) leaves the older ones out.
const JUMP_MAX: u64 = 1024;

/// Events taken from the store at once.
const BATCH: usize = 64;

/// A track on its way to a child.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) subscription: u64,
    pub(super) consumer: Consumer,
    pub(super) child: Arc<Child>,
}

/// How a group is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// At once; given up when it is late.
    Live,
    /// When there is a permit.
    Backfill,
    /// At once, and until it leaves the window.
    Gapless,
}

impl Way {
    fn of(kind: Kind, is_newest: bool) -> Self {
        match (kind, is_newest) {
            (Kind::Data(class), _) if priority::is_gapless(class) => Self::Gapless,
            (_, true) => Self::Live,
            (_, false) => Self::Backfill,
        }
    }
}

/// How a group's stream came to its end.
enum End {
    /// The child has all of it, or does not want it.
    Done,
    /// Frames are missing here too, or it left the window.
    Missing,
}

impl Track {
    /// Sends group after group until the track ends. When the future is dropped, so are the groups
    /// under way.
    pub(super) async fn follow(self: Arc<Self>, start: Start, scope: &TaskScope) {
        let subscription = self.subscription;
        if self.groups(start, scope).await.is_err() {
            tracing::debug!(subscription, "child left with a subscription");
        }
    }

    async fn groups(self: Arc<Self>, start: Start, scope: &TaskScope) -> Result<(), Error> {
        let mut opened = self.consumer.groups();
        // Tells the store, and through it the parent of this node, that the track is wanted.
        let _demand = self.consumer.read_from(LiveStart::Live);
        let Some((first, latest)) = self.range(&mut opened).await else {
            return self.say_end(None).await;
        };
        let (mut next, mut skip) = match start {
            Start::At(group, frame) if group >= first => (group, frame),
            Start::At(..) | Start::Window => (first, 0),
        };
        self.say_start(next, latest).await?;
        let window = watch::Sender::new((first, latest));
        loop {
            opened.mark_unchanged();
            let ended = self.consumer.is_ended();
            if let Some((first, last)) = self.consumer.range() {
                window.send_replace((first, last));
                if last.0.saturating_sub(next.0) > JUMP_MAX {
                    next = last;
                    self.say_start(next, last).await?;
                }
                while next <= last {
                    let group = Group {
                        track: self.clone(),
                        id: next,
                        skip: std::mem::take(&mut skip),
                        way: Way::of(self.consumer.info().kind, next == last),
                    };
                    scope.spawn("relay.serve.group", group.run(window.subscribe()));
                    next = next.next();
                }
            }
            if ended {
                break;
            }
            let _held_by_consumer = opened.changed().await.is_err();
        }
        window.closed().await;
        self.say_end(next.0.checked_sub(1).map(Id)).await
    }

    /// The window's bounds, once there is a group; `None` when the track ends without one.
    async fn range(&self, opened: &mut watch::Receiver<u64>) -> Option<(Id, Id)> {
        loop {
            opened.mark_unchanged();
            let ended = self.consumer.is_ended();
            if let Some(range) = self.consumer.range() {
                return Some(range);
            }
            if ended || opened.changed().await.is_err() {
                return None;
            }
        }
    }

    async fn say_start(&self, start: Id, latest: Id) -> Result<(), Error> {
        let subscription = self.subscription;
        let message = Message::SubscribeOk {
            subscription,
            start,
            latest,
        };
        self.child.say(message).await
    }

    async fn say_end(&self, last: Option<Id>) -> Result<(), Error> {
        let subscription = self.subscription;
        self.child
            .say(Message::TrackEnd { subscription, last })
            .await
    }
}

/// One group on its way to a child.
struct Group {
    track: Arc<Track>,
    id: Id,
    /// Frames that the child has already.
    skip: u64,
    way: Way,
}

impl Group {
    async fn run(self, mut window: watch::Receiver<(Id, Id)>) {
        let is_late = |(first, last): &(Id, Id)| match self.way {
            Way::Live => last.0 >= self.id.0 + LATE_GROUPS,
            Way::Backfill => false,
            Way::Gapless => *first > self.id,
        };
        let result = tokio::select! {
            result = self.send() => result,
            late = window.wait_for(is_late) => match late {
                Ok(_) => Ok(End::Missing),
                // The subscription is over.
                Err(_) => return,
            },
        };
        let child = &self.track.child;
        if matches!(result, Ok(End::Missing)) {
            child.metrics.dropped_groups.inc();
            let message = Message::Missing {
                subscription: self.track.subscription,
                group: self.id,
            };
            let _link_ended = child.say(message).await.is_err();
        }
    }

    /// Sends the frames as they come, and waits until the child has them. Dropping the future
    /// resets the stream.
    async fn send(&self) -> Result<End, Error> {
        let child = &self.track.child;
        let permits = match self.track.consumer.info().kind {
            Kind::Video => &child.bulk.video,
            Kind::Audio | Kind::Data(_) => &child.bulk.other,
        };
        let _permit = match self.way {
            Way::Live | Way::Gapless => None,
            Way::Backfill => permits.acquire().await.ok(),
        };
        let mut reader = self.track.consumer.read_from(LiveStart::At(self.id, 0));
        let mut events = Vec::with_capacity(BATCH);
        let mut stream: Option<Stream> = None;
        loop {
            if reader.read(&mut events, BATCH) == 0 {
                reader.changed().await;
                continue;
            }
            let mut end = None;
            for event in events.drain(..) {
                match (event, &mut stream) {
                    (Event::Group(head), None) if head.id == self.id => {
                        let outgoing = child.connection.open_uni().await?;
                        stream = Some(Stream::begin(outgoing, self, (*head).clone()));
                    }
                    (Event::Frame(frame), Some(stream)) => stream.push(&frame),
                    (Event::GroupEnd, Some(_)) => {
                        end = Some(End::Done);
                        break;
                    }
                    _ => {
                        end = Some(End::Missing);
                        break;
                    }
                }
            }
            let Some(outgoing) = &mut stream else {
                return Ok(End::Missing);
            };
            outgoing.flush(child).await?;
            match end {
                Some(End::Done) => {
                    outgoing.finish().await?;
                    return Ok(End::Done);
                }
                Some(End::Missing) => {
                    outgoing.give_up(child).await?;
                    return Ok(End::Missing);
                }
                None => {}
            }
        }
    }
}

/// A group's stream. Dropped before it was received whole, it is reset.
struct Stream {
    stream: quinn::SendStream,
    encoder: Encoder,
    chunks: Vec<Bytes>,
    frames: u64,
    /// Frames still to be left out.
    skip: u64,
    is_received: bool,
}

impl Stream {
    fn begin(stream: quinn::SendStream, group: &Group, head: Head) -> Self {
        let kind = group.track.consumer.info().kind;
        let priority = match group.way {
            Way::Live | Way::Gapless => priority::live(kind, group.id),
            Way::Backfill => priority::backfill(kind, group.id),
        };
        let _fresh_streams_are_open = stream.set_priority(priority).is_err();
        let encoder = Encoder::new(head.dts);
        let header = Header {
            subscription: group.track.subscription,
            first_frame: group.skip,
            head,
        };
        Self {
            stream,
            encoder,
            chunks: vec![header.encode()],
            frames: 0,
            skip: group.skip,
            is_received: false,
        }
    }

    fn push(&mut self, frame: &Frame) {
        if self.skip > 0 {
            self.skip -= 1;
            return;
        }
        self.chunks
            .push(self.encoder.frame(frame, clock::unix_us()));
        if !frame.payload.is_empty() {
            self.chunks.push(frame.payload.clone());
        }
        self.frames += 1;
    }

    async fn flush(&mut self, child: &Child) -> Result<(), Error> {
        let bytes: usize = self.chunks.iter().map(Bytes::len).sum();
        self.stream.write_all_chunks(&mut self.chunks).await?;
        self.chunks.clear();
        child.metrics.sent_bytes.inc_by(bytes as u64);
        child
            .metrics
            .sent_frames
            .inc_by(std::mem::take(&mut self.frames));
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Error> {
        let _ended_by_the_child = self.stream.finish().is_err();
        let stopped = self.stream.stopped().await;
        self.is_received = true;
        match stopped {
            Ok(_) => Ok(()),
            Err(quinn::StoppedError::ConnectionLost(cause)) => Err(cause.into()),
            Err(quinn::StoppedError::ZeroRttRejected) => Ok(()),
        }
    }

    async fn give_up(&mut self, child: &Child) -> Result<(), Error> {
        self.chunks.push(self.encoder.incomplete());
        self.flush(child).await?;
        self.finish().await
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        if !self.is_received {
            let _ended_by_the_child = self.stream.reset(STREAM_DROPPED).is_err();
        }
    }
}
