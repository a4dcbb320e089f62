//! Who comes: hosts, viewers, members, buyers. Each is a task that does what its kind does on the
//! wire, with samples from the planned time.

mod buyer;
mod flv;
mod hls;
mod host;
mod member;
mod screen;
mod viewer;

use std::sync::Arc;

use reqwest::Url;
use rushlane::runtime::TaskScope;

use crate::link::{self, Link};
use crate::mark::Signer;
use crate::pace::Pace;
use crate::share::Share;
use crate::tally::Tally;
use crate::web::Web;

pub use buyer::{Books, Orders, buy};
pub use host::publish;
pub use member::take_part;
pub use viewer::watch;

/// What a group of actors shares.
#[derive(Clone)]
pub struct Ground {
    /// The name of the group, unique in the run.
    pub name: Arc<str>,
    /// The clock.
    pub pace: Pace,
    /// Which of the group's actors are this machine's.
    pub share: Share,
    /// Where it writes what it measured.
    pub tally: Tally,
    /// Connections.
    pub web: Web,
    /// What lies between each of them and the fleet.
    pub link: Option<Arc<link::Profile>>,
    /// The edges; actors begin at one each in turn and go on to the next.
    pub edges: Arc<[Url]>,
    /// Tokens.
    pub signer: Signer,
    /// The tasks of the run.
    pub scope: TaskScope,
}

impl Ground {
    /// The ground of actor `index`: behind a link of his own, where the group has links.
    fn of(&self, index: u64) -> Self {
        let mut own = self.clone();
        if let Some(profile) = &self.link {
            let seed = link::seed(&self.name, index);
            own.web = self
                .web
                .behind(Link::new(profile, self.pace.started(), seed));
        }
        own
    }

    /// The edge of `attempt` of actor `index`.
    fn edge(&self, index: u64, attempt: u64) -> &Url {
        let count = self.edges.len() as u64;
        &self.edges[usize::try_from((index + attempt) % count).unwrap_or(0)]
    }
}
