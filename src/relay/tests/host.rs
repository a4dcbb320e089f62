//! The owner of the rooms, as the tests wish it to be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Semaphore;

use crate::live::{Answer, Authority as Owner, Question};
use crate::media::Class;
use crate::net::tls::Authority;
use crate::relay::tests::peers::Node;

/// Answers `CLASS ROOM BODY`, each with a permit of its class that the test gives.
#[derive(Debug, Default)]
pub(super) struct Host {
    heard: AtomicUsize,
    answered: AtomicUsize,
    held: Option<(Class, Semaphore)>,
}

impl Host {
    pub(super) fn open() -> Arc<Self> {
        Arc::default()
    }

    /// One that answers no question of `class` before the test says so.
    pub(super) fn holding(class: Class) -> Arc<Self> {
        Arc::new(Self {
            held: Some((class, Semaphore::new(0))),
            ..Self::default()
        })
    }

    /// Where its questions go.
    pub(super) fn door(self: &Arc<Self>) -> Arc<dyn Owner> {
        Arc::new(Door(self.clone()))
    }

    pub(super) fn release(&self, answers: usize) {
        self.held.as_ref().unwrap().1.add_permits(answers);
    }

    pub(super) fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }

    pub(super) fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }
}

#[derive(Debug)]
struct Door(Arc<Host>);

impl Owner for Door {
    fn ask(&self, question: Question) -> Answer {
        let host = self.0.clone();
        host.heard.fetch_add(1, Ordering::Relaxed);
        Box::pin(async move {
            if let Some((_, permits)) = host.held.as_ref().filter(|held| held.0 == question.class) {
                permits.acquire().await.unwrap().forget();
            }
            host.answered.fetch_add(1, Ordering::Relaxed);
            let text = format!("{:?} {} ", question.class, question.room);
            Ok([text.as_bytes(), &question.body].concat().into())
        })
    }
}

pub(super) fn origin(authority: &Authority, host: &Arc<Host>) -> Node {
    let origin = Node::new("origin", authority).serve();
    origin.local.exchange.set_authority(host.door());
    origin
}
