//! The slip that goes along with a request.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::telemetry::Meter;
use crate::telemetry::access::Trace;

/// What a socket takes at once, in any case.
const LARGE_BYTES: u64 = 16 << 10;

/// What was asked for, as the service knows it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Object {
    /// One of a few words: `index`, `playlist`, `init`, `segment`, `part`, `flv`, `room`, `page`.
    pub class: &'static str,
    /// The room; empty for none.
    pub room: Box<str>,
    /// The rendition; empty for none.
    pub rendition: Box<str>,
    /// Media sequence number.
    pub msn: Option<u64>,
    /// Part of the segment.
    pub part: Option<u32>,
}

/// Bytes of answers, and how long they took to leave.
#[derive(Debug, Default)]
pub struct Traffic {
    bytes: AtomicU64,
    /// From the first byte to the last of answers too large for any socket's buffer to hide how
    /// slow its reader is.
    pub delivery: Meter,
}

/// Notes about one request, shared by the front and the service that answers. Clones share them;
/// the default one takes no notes.
#[derive(Debug, Clone, Default)]
pub struct Slip(Option<Rc<Notes>>);

/// What is noted.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// A record will be made of it.
    recorded: bool,
    pub(super) object: RefCell<Object>,
    pub(super) kid: RefCell<Option<Box<str>>>,
    pub(super) cache: Cell<Option<&'static str>>,
    pub(super) upstream_us: Cell<Option<u32>>,
    traffic: RefCell<Option<Arc<Traffic>>>,
    trace: Cell<Option<Trace>>,
    /// The span of the request, once somebody was called on its behalf.
    pub(super) span: Cell<Option<u64>>,
    answered: Answered,
}

/// What is done once the answer has begun.
#[derive(Default)]
struct Answered(Cell<Option<Box<dyn FnOnce()>>>);

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Answered")
    }
}

impl Traffic {
    /// Bytes so far.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Slip {
    /// A slip that is filed. What only a record tells is not noted unless `recorded`.
    #[must_use]
    pub fn filed(trace: Option<Trace>, recorded: bool) -> Self {
        Self(Some(Rc::new(Notes {
            recorded,
            trace: Cell::new(trace),
            ..Notes::default()
        })))
    }

    /// Notes what was asked for.
    pub fn object(&self, object: impl FnOnce() -> Object) {
        if let Some(notes) = self.recorded() {
            notes.object.replace(object());
        }
    }

    /// Notes the key of the token that let the request in; empty for none.
    pub fn kid(&self, kid: &str) {
        if let Some(notes) = self.recorded().filter(|_| !kid.is_empty()) {
            notes.kid.replace(Some(kid.into()));
        }
    }

    /// Notes where the answer came from: `hit`, `coalesced`, `miss` or `parent`.
    pub fn cache(&self, cache: &'static str) {
        if let Some(notes) = &self.0 {
            notes.cache.set(Some(cache));
        }
    }

    /// Notes how long a parent took to answer, in microseconds.
    pub fn upstream(&self, us: u32) {
        if let Some(notes) = &self.0 {
            notes.upstream_us.set(Some(us));
        }
    }

    /// Names what the bytes of the answer are counted by.
    pub fn measure(&self, traffic: &Arc<Traffic>) {
        if let Some(notes) = &self.0 {
            notes.traffic.replace(Some(traffic.clone()));
        }
    }

    /// Lets `then` be called when a success begins to leave.
    pub fn when_answered(&self, then: impl FnOnce() + 'static) {
        if let Some(notes) = &self.0 {
            notes.answered.0.set(Some(Box::new(then)));
        }
    }

    /// The head of the answer leaves.
    pub fn answered(&self, success: bool) {
        let then = self.0.as_ref().and_then(|notes| notes.answered.0.take());
        if let Some(then) = then.filter(|_| success) {
            then();
        }
    }

    /// The trace for calls made on behalf of the request: its own, else one that begins here.
    #[must_use]
    pub fn onward(&self) -> Trace {
        let Some(notes) = &self.0 else {
            return Trace::begin();
        };
        let trace = notes.trace.get().unwrap_or_else(Trace::begin);
        notes.trace.set(Some(trace));
        let onward = trace.onward();
        notes.span.set(Some(onward.parent));
        onward
    }

    pub(super) fn trace(&self) -> Option<Trace> {
        self.0.as_ref()?.trace.get()
    }

    /// Counts an answer of `bytes`, whose last one left `us()` microseconds after the first.
    pub fn delivered(&self, bytes: u64, us: impl FnOnce() -> u64) {
        let Some(notes) = &self.0 else { return };
        if let Some(traffic) = notes.traffic.take() {
            traffic.bytes.fetch_add(bytes, Ordering::Relaxed);
            if bytes >= LARGE_BYTES {
                let us = i64::try_from(us());
                traffic.delivery.add(us.unwrap_or(i64::MAX));
            }
        }
    }

    pub(super) fn notes(&self) -> Option<&Notes> {
        self.0.as_deref()
    }

    fn recorded(&self) -> Option<&Notes> {
        self.notes().filter(|notes| notes.recorded)
    }
}
