//! The end of a node's doors: that members go elsewhere now, and where that is.

use std::sync::{Arc, OnceLock};

use serde_json::json;

use crate::media::Class;
use crate::net::Alternate;
use crate::protocol::interact::event::{Event, Kind};
use crate::rooms::doors::clerk;
use crate::runtime::{Shutdown, clock};

/// The wish that members go. Clones share it.
#[derive(Clone)]
pub(super) struct Leaving {
    begun: Shutdown,
    others: Arc<OnceLock<Box<[String]>>>,
}

impl Leaving {
    /// Begins with `shutdown` at the latest.
    pub(super) fn under(shutdown: &Shutdown) -> Self {
        Self {
            begun: shutdown.child(),
            others: Arc::default(),
        }
    }

    /// Members go, to one of `others` if there are any. The first word holds.
    pub(super) fn begin(&self, others: &[Alternate]) {
        let others = others.iter().map(|other| other.as_str().to_owned());
        self.others.get_or_init(|| others.collect());
        self.begun.request();
    }

    /// True once nobody shall come in any more.
    pub(super) fn is_begun(&self) -> bool {
        self.begun.is_requested()
    }

    /// Waits until members shall go. Cancel-safe.
    pub(super) async fn begun(&self) {
        self.begun.requested().await;
    }

    /// The event that names the other nodes; none where there is none to name. It has no number: it
    /// is this node's word and not the room's.
    pub(super) fn notice(&self) -> Option<Vec<u8>> {
        let others = self.others.get().filter(|others| !others.is_empty())?;
        let (body, at_ms) = (json!({ "alternates": others }), clock::unix_us() / 1000);
        let event = Event::new(Kind::Notice, Class::Program, clerk::name(), at_ms, body);
        Some(event.to_json())
    }
}
