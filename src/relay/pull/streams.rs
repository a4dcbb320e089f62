//! Group streams as they arrive.

use std::sync::Arc;

use crate::media::Frame;
use crate::media::frame::{HOPS_MAX, Hop};
use crate::media::track::Kind;
use crate::relay::control::READ_BYTES;
use crate::relay::error::{Error, STREAM_UNWANTED};
use crate::relay::pull::intake::Intake;
use crate::relay::pull::link::Link;
use crate::relay::wire;
use crate::relay::wire::control::Message;
use crate::relay::wire::stream::{Decoder, Header, Item, Sent};
use crate::runtime::clock;

/// Reads items off a group stream.
pub(super) struct Items {
    stream: quinn::RecvStream,
    decoder: Decoder,
}

impl Items {
    pub(super) fn new(stream: quinn::RecvStream) -> Self {
        Self {
            stream,
            decoder: Decoder::new(),
        }
    }

    /// The header, which comes first.
    pub(super) async fn header(&mut self, link: &Link) -> Result<Header, Error> {
        match self.next(link).await? {
            Some(Item::Header(header)) => Ok(header),
            _ => Err(Error::Protocol("a group stream without a header")),
        }
    }

    /// The next item; `None` at the end of the stream.
    pub(super) async fn next(&mut self, link: &Link) -> Result<Option<Item>, Error> {
        loop {
            if let Some(item) = self.decoder.poll()? {
                return Ok(Some(item));
            }
            match self.stream.read_chunk(READ_BYTES, true).await? {
                Some(chunk) => {
                    link.metrics.received_bytes.inc_by(chunk.bytes.len() as u64);
                    self.decoder.push(&chunk.bytes);
                }
                None if self.decoder.is_between_records() => return Ok(None),
                None => return Err(wire::Error::Truncated("group stream").into()),
            }
        }
    }

    fn refuse(mut self) {
        let _ended_by_the_parent = self.stream.stop(STREAM_UNWANTED).is_err();
    }
}

/// Writes one group into the store. An error that is no hang-up is a fault of the parent.
pub(super) async fn receive(link: Arc<Link>, stream: quinn::RecvStream) -> Result<(), Error> {
    let mut items = Items::new(stream);
    let header = items.header(&link).await?;
    let subscription = header.subscription;
    let Some(mut pulled) = link.pulled(subscription) else {
        items.refuse();
        link.try_say(Message::Unsubscribe { subscription });
        return Ok(());
    };
    if !pulled.intake.may_be(header.head.id) {
        return Err(Error::Protocol("a group out of its time"));
    }
    let mut times = Times::new(&pulled.intake, header.head.dts);
    // The streams of a subscription may overtake the consent to it.
    let accepted = pulled.accepted().await;
    let incoming = pulled
        .intake
        .enter(pulled.turn, header.head, header.first_frame);
    let Some(mut incoming) = incoming.filter(|_| accepted) else {
        items.refuse();
        return Ok(());
    };
    loop {
        match items.next(&link).await? {
            Some(Item::Frame(sent)) => {
                times.check(sent.frame.dts)?;
                if !incoming.append(stamp(sent, &link)) {
                    items.refuse();
                    return Ok(());
                }
            }
            // The control stream will say that the group is missing.
            Some(Item::Incomplete) => return Ok(()),
            Some(Item::Header(_)) => return Err(Error::Protocol("a second stream header")),
            None => {
                incoming.finish();
                return Ok(());
            }
        }
    }
}

/// The decode times of a group: they do not run backward, nor far ahead.
struct Times {
    last: i64,
    ahead_max: i64,
}

impl Times {
    /// The longest step from one frame of picture or sound to the next: a host that stood still for
    /// longer begins a new group.
    const AHEAD_SECONDS: i64 = 3600;

    fn new(intake: &Intake, begin: i64) -> Self {
        let ahead_max = match intake.kind() {
            Kind::Video | Kind::Audio => i64::from(intake.timescale()) * Self::AHEAD_SECONDS,
            // An event comes when it comes.
            Kind::Data(_) => i64::MAX,
        };
        Self {
            last: begin,
            ahead_max,
        }
    }

    fn check(&mut self, dts: i64) -> Result<(), Error> {
        let step = dts.checked_sub(self.last);
        if step.is_none_or(|step| !(0..=self.ahead_max).contains(&step)) {
            return Err(Error::Protocol("a frame out of its time"));
        }
        self.last = dts;
        Ok(())
    }
}

/// Notes this hop on the frame.
pub(super) fn stamp(sent: Sent, link: &Link) -> Frame {
    let Sent { mut frame, sent_us } = sent;
    if frame.stamps.hops.len() < HOPS_MAX {
        frame.stamps.hops.push(Hop {
            sent_us,
            received_us: clock::unix_us(),
            offset_us: link.offset_us(),
        });
    }
    frame
}
