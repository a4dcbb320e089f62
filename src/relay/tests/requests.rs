//! What strange children put on the streams beside control.

use bytes::Bytes;

use crate::media::{Class, RoomName};
use crate::net::tls::Authority;
use crate::relay::control::Reader;
use crate::relay::error::{CLOSE_PROTOCOL, STREAM_UNWANTED};
use crate::relay::question::in_flight_max;
use crate::relay::tests::host::{Host, origin};
use crate::relay::tests::peers::*;
use crate::relay::tests::stranger::Stranger;
use crate::relay::wire::control::Message;
use crate::relay::wire::question::{Answered, Asked, Outcome};

impl Stranger {
    /// Opens a stream that begins with `bytes`.
    async fn request(&self, bytes: Bytes) -> (quinn::SendStream, Reader) {
        let (mut send, receive) = self.connection.open_bi().await.unwrap();
        send.write_chunk(bytes).await.unwrap();
        (send, Reader::new(receive))
    }
}

fn asked(number: u64, bytes: usize) -> Bytes {
    let asked = Asked {
        number,
        room: RoomName::parse("demo").unwrap(),
        body: vec![b'x'; bytes].into(),
    };
    asked.encode().concat().into()
}

async fn answer(answers: &mut Reader) -> Answered {
    let answer = answers.record(Answered::take);
    let answer = tokio::time::timeout(PATIENCE, answer)
        .await
        .expect("an answer");
    answer.unwrap().expect("not the end of the stream")
}

#[tokio::test]
async fn stream_of_a_later_kind_is_refused_and_the_link_stays() {
    let authority = Authority::create("test");
    let origin = origin(&authority, &Host::open());
    let stranger = Stranger::dial(&origin, &authority).await;
    let later = Bytes::from_static(&[99, 2, 1, 2]);
    let (send, _answers) = stranger.request(later).await;
    let mut refused = stranger.request(Bytes::from_static(&[99, 0])).await.1;
    let end = refused.record(Answered::take).await.unwrap_err();
    let expect = format!("(code {})", STREAM_UNWANTED.into_inner());
    assert!(end.to_string().contains(&expect), "{end}");
    drop(send);
    let class = Class::Order;
    let (mut send, mut answers) = stranger
        .request(Message::Questions { class }.encode())
        .await;
    send.write_chunk(asked(1, 3)).await.unwrap();
    let outcome = Outcome::Answer(Bytes::from_static(b"Order demo xxx"));
    assert_eq!(answer(&mut answers).await, Answered { number: 1, outcome });
}

#[tokio::test]
async fn noise_among_questions_closes_only_its_own_link() {
    let authority = Authority::create("test");
    let origin = origin(&authority, &Host::open());
    let class = Class::Comment;
    let questions = Message::Questions { class }.encode();
    let pong = Message::Gone { broadcast: 1 }.encode();
    for noise in [
        [&questions[..], &[0xff; 64]].concat(),
        [&questions[..], &[4, 1, 1, b'/', 0]].concat(),
        pong.to_vec(),
    ] {
        let stranger = Stranger::dial(&origin, &authority).await;
        let _held = stranger.request(noise.into()).await;
        let closed = tokio::time::timeout(PATIENCE, stranger.connection.closed()).await;
        let Ok(quinn::ConnectionError::ApplicationClosed(close)) = closed else {
            panic!("not closed by the parent: {closed:?}");
        };
        assert_eq!(close.error_code, CLOSE_PROTOCOL);
    }
    let child = Stranger::dial(&origin, &authority).await;
    let (mut send, mut answers) = child.request(questions).await;
    send.write_chunk(asked(7, 1)).await.unwrap();
    assert_eq!(answer(&mut answers).await.number, 7);
}

#[tokio::test]
async fn parent_grants_no_more_than_its_permits_and_orders_have_their_own() {
    let authority = Authority::create("test");
    let host = Host::holding(Class::Comment);
    let origin = origin(&authority, &host);
    let stranger = Stranger::dial(&origin, &authority).await;
    let class = Class::Comment;
    let opening = Message::Questions { class }.encode();
    let (mut send, mut answers) = stranger.request(opening.clone()).await;
    let most = in_flight_max(class) as u64;
    for number in 0..=most {
        send.write_chunk(asked(number, 10)).await.unwrap();
    }
    let busy = |number| Answered {
        number,
        outcome: Outcome::Busy,
    };
    assert_eq!(answer(&mut answers).await, busy(most));
    // A second stream of the class shares its permits.
    let (mut again, mut refusals) = stranger.request(opening).await;
    again.write_chunk(asked(0, 10)).await.unwrap();
    assert_eq!(answer(&mut refusals).await, busy(0));
    let class = Class::Order;
    let opening = Message::Questions { class }.encode();
    let (mut orders, mut acks) = stranger.request(opening).await;
    orders.write_chunk(asked(0, 1)).await.unwrap();
    assert!(matches!(
        answer(&mut acks).await.outcome,
        Outcome::Answer(_)
    ));
    assert_eq!(host.heard() as u64, most + 1);
    let refused = r#"rushlane_relay_questions_refused_total{class="3"}"#;
    assert_eq!(origin.figure(refused), 2.0);
}

#[tokio::test]
async fn child_that_takes_no_answers_stalls_only_itself() {
    const BYTES: usize = 20_000;
    let authority = Authority::create("test");
    let host = Host::open();
    let origin = origin(&authority, &host);
    let stranger = Stranger::dial_narrow(&origin, &authority, 1 << 13, 1 << 20).await;
    let class = Class::Comment;
    let opening = Message::Questions { class }.encode();
    let (mut send, mut answers) = stranger.request(opening).await;
    let flood = async {
        for number in 0.. {
            if send.write_chunk(asked(number, BYTES)).await.is_err() {
                break;
            }
        }
    };
    let sibling = async {
        let stalled = "all permits wait for a child that does not read";
        let most = in_flight_max(class);
        eventually(stalled, || host.answered() >= most).await;
        let edge = Node::new("edge", &authority).pull(&[origin.address()]);
        let puller = edge.puller.as_ref().unwrap();
        eventually("the parent answers", || puller.is_connected()).await;
        for _ in 0..100 {
            edge.ask(class, "hello").await.unwrap();
        }
    };
    tokio::select! {
        () = flood => panic!("the flood has no end"),
        () = sibling => {}
    }
    assert_eq!(answer(&mut answers).await.number, 0);
}
