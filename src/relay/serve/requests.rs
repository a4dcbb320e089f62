//! Streams that the child opens beside control: fetches, and questions of each class. The first
//! message says which.

use std::sync::Arc;
use std::time::Duration;

use crate::live::{Exchange, Store};
use crate::relay::control::Reader;
use crate::relay::error::{Error, FETCH_UNREACHABLE, STREAM_UNWANTED};
use crate::relay::serve::answer::Questions;
use crate::relay::serve::child::Child;
use crate::relay::serve::fetch;
use crate::relay::wire::control::{Message, take_any};
use crate::runtime::TaskScope;

/// How long a child may take to say what it wants, and we to answer a fetch, in seconds.
const REQUEST_SECONDS: u64 = 10;

/// What requests are answered from.
#[derive(Clone)]
pub(super) struct Desk {
    pub(super) child: Arc<Child>,
    pub(super) store: Store,
    pub(super) exchange: Exchange,
    /// The child's tasks.
    pub(super) scope: TaskScope,
}

impl Desk {
    /// Takes every stream that the child opens; QUIC bounds how many are open at once.
    pub(super) async fn serve_all(self) {
        while let Ok((send, receive)) = self.child.connection.accept_bi().await {
            let desk = self.clone();
            self.scope.spawn("relay.serve.request", async move {
                let connection = desk.child.connection.clone();
                match desk.serve(send, Reader::new(receive)).await {
                    Ok(()) => {}
                    Err(error) if error.is_peer_gone() => {}
                    Err(error @ (Error::Wire(_) | Error::Protocol(_))) => {
                        tracing::warn!(%error, "a child's request is none");
                        connection.close(error.close_code(), error.to_string().as_bytes());
                    }
                    Err(error) => tracing::debug!(%error, "request not answered"),
                }
            });
        }
    }

    async fn serve(self, mut send: quinn::SendStream, mut reader: Reader) -> Result<(), Error> {
        let wait = Duration::from_secs(REQUEST_SECONDS);
        let first = tokio::time::timeout(wait, reader.record(take_any)).await;
        match first {
            Ok(Ok(Some(Some(Message::Fetch(fetch))))) => {
                let answer = fetch::answer(&mut send, &fetch, &self.child, &self.store);
                let answered = tokio::time::timeout(wait, answer).await;
                let timeout = Error::Timeout("answer to a fetch", REQUEST_SECONDS);
                let result = answered.unwrap_or(Err(timeout));
                if result.is_err() {
                    // A stream that is merely dropped would look whole.
                    let _ended_by_the_child = send.reset(FETCH_UNREACHABLE).is_err();
                }
                result
            }
            Ok(Ok(Some(Some(Message::Questions { class })))) => {
                let questions = Questions {
                    class,
                    child: self.child,
                    exchange: self.exchange,
                    scope: self.scope,
                };
                questions.answer_all(send, reader).await
            }
            Ok(Ok(Some(Some(_)))) => Err(Error::Protocol("a request that is none")),
            // Of a later version, which has to do without.
            Ok(Ok(Some(None) | None)) | Err(_) => {
                let _ended_by_the_child = send.reset(STREAM_UNWANTED).is_err();
                Ok(())
            }
            Ok(Err(error)) => Err(error),
        }
    }
}
