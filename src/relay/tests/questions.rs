//! Questions travel up: over two hops, over lost links, beside floods, from children that leave.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;

use crate::live::{AskError, QUESTION_BYTES_MAX, Question};
use crate::media::{Class, RoomName};
use crate::net::tls::Authority;
use crate::relay::question::in_flight_max;
use crate::relay::tests::host::{Host, origin};
use crate::relay::tests::netem::Proxy;
use crate::relay::tests::peers::*;

fn question(class: Class, body: impl Into<Bytes>) -> Question {
    Question {
        class,
        room: RoomName::parse("demo").unwrap(),
        body: body.into(),
    }
}

impl Node {
    /// Asks, and waits no longer than a test may.
    pub(super) async fn ask(&self, class: Class, body: &'static str) -> Result<Bytes, AskError> {
        self.ask_in(question(class, body).room.as_str(), class, body)
            .await
    }

    /// As [`Self::ask`], about this room.
    pub(super) async fn ask_in(
        &self,
        room: &str,
        class: Class,
        body: &'static str,
    ) -> Result<Bytes, AskError> {
        let room = RoomName::parse(room).unwrap();
        let question = Question {
            room,
            ..question(class, body)
        };
        let answer = self.local.exchange.ask(question);
        tokio::time::timeout(PATIENCE, answer)
            .await
            .expect("an end")
    }

    async fn connected(self) -> Self {
        let puller = self.puller.as_ref().unwrap();
        eventually("the parent answers", || puller.is_connected()).await;
        self
    }

    fn questions(&self, what: &str, class: Class) -> f64 {
        let class = u8::from(class);
        self.figure(&format!(
            "rushlane_relay_questions_{what}{{class=\"{class}\"}}"
        ))
    }
}

/// Origin, middle and leaf, linked.
pub(super) async fn two_hops(authority: &Authority, host: &Arc<Host>) -> [Node; 3] {
    let origin = origin(authority, host);
    let middle = Node::new("middle", authority)
        .serve()
        .pull(&[origin.address()])
        .connected()
        .await;
    let leaf = Node::new("leaf", authority)
        .pull(&[middle.address()])
        .connected()
        .await;
    [origin, middle, leaf]
}

#[tokio::test]
async fn every_class_is_answered_over_two_hops() {
    let authority = Authority::create("test");
    let [origin, _middle, leaf] = two_hops(&authority, &Host::open()).await;
    for (class, expect) in [
        (Class::Order, "Order demo buy"),
        (Class::Program, "Program demo buy"),
        (Class::Personal, "Personal demo buy"),
        (Class::Comment, "Comment demo buy"),
        (Class::Total, "Total demo buy"),
    ] {
        assert_eq!(leaf.ask(class, "buy").await, Ok(expect.into()));
        assert_eq!(leaf.questions("asked_total", class), 1.0);
        assert_eq!(leaf.questions("answered_total", class), 1.0);
        assert_eq!(leaf.questions("in_flight", class), 0.0);
        assert_eq!(origin.questions("served_total", class), 1.0);
    }
}

#[tokio::test]
async fn answers_come_in_their_own_order_and_each_to_its_asker() {
    let authority = Authority::create("test");
    let host = Host::open();
    let [_origin, _middle, leaf] = two_hops(&authority, &host).await;
    let asked = (0..1000_usize).map(async |number| {
        let body = vec![(number % 251) as u8; number];
        let answer = leaf
            .local
            .exchange
            .ask(question(Class::Order, body.clone()));
        let expect = [b"Order demo ", &body[..]].concat();
        assert_eq!(answer.await, Ok(expect.into()));
    });
    tokio::time::timeout(PATIENCE, join_all(asked))
        .await
        .unwrap();
    assert_eq!(host.answered(), 1000);
}

#[tokio::test]
async fn longest_question_passes_and_longer_answers_are_refused() {
    let authority = Authority::create("test");
    let [_origin, _middle, leaf] = two_hops(&authority, &Host::open()).await;
    let ask = async |bytes: usize| {
        let body = vec![b'x'; bytes];
        leaf.local
            .exchange
            .ask(question(Class::Program, body))
            .await
    };
    let front = "Program demo ".len();
    let longest = ask(QUESTION_BYTES_MAX - front).await.unwrap();
    assert_eq!(longest.len(), QUESTION_BYTES_MAX);
    let expect = AskError::TooLong(QUESTION_BYTES_MAX + front);
    assert_eq!(ask(QUESTION_BYTES_MAX).await, Err(expect));
}

#[tokio::test]
async fn order_is_asked_again_over_the_next_link_and_a_comment_is_not() {
    let authority = Authority::create("test");
    let host = Host::holding(Class::Order);
    let origin = origin(&authority, &host);
    let middle = |name| {
        Node::new(name, &authority)
            .serve()
            .pull(&[origin.address()])
            .connected()
    };
    let (first, second) = tokio::join!(middle("first"), middle("second"));
    let proxy = Proxy::start(first.address(), 0, Duration::ZERO, &first.scope).await;
    let edge = Node::new("edge", &authority)
        .pull(&[proxy.address, second.address()])
        .connected()
        .await;
    let order = edge.ask(Class::Order, "order-1");
    let cut = async {
        eventually("the origin has heard it", || host.heard() == 1).await;
        proxy.cut();
        let comment = edge.ask(Class::Comment, "hello").await;
        assert!(
            matches!(comment, Err(AskError::Unreachable(_))),
            "{comment:?}"
        );
        eventually("it is asked again", || host.heard() == 2).await;
        host.release(2);
    };
    let (answer, ()) = tokio::join!(order, cut);
    assert_eq!(answer, Ok("Order demo order-1".into()));
    assert_eq!(host.heard(), 2, "asked again exactly once");
    assert_eq!(edge.questions("asked_total", Class::Order), 1.0);
    assert_eq!(edge.questions("failed_total", Class::Comment), 1.0);
}

#[tokio::test]
async fn order_waits_for_a_parent_and_a_comment_fails_at_once() {
    let authority = Authority::create("test");
    let host = Host::open();
    let mut origin = origin(&authority, &host);
    let edge = Node::new("edge", &authority)
        .pull(&[origin.address()])
        .connected()
        .await;
    origin.stop().await;
    let puller = edge.puller.as_ref().unwrap();
    eventually("the loss is noticed", || !puller.is_connected()).await;
    let comment = edge.ask(Class::Comment, "hello").await;
    assert!(
        matches!(comment, Err(AskError::Unreachable(_))),
        "{comment:?}"
    );
    let (order, ()) = tokio::join!(edge.ask(Class::Order, "order-1"), origin.start_again());
    assert_eq!(order, Ok("Order demo order-1".into()));
}

#[tokio::test]
async fn flood_of_comments_does_not_delay_an_order() {
    let authority = Authority::create("test");
    let host = Host::holding(Class::Comment);
    let [_origin, _middle, leaf] = two_hops(&authority, &host).await;
    let most = in_flight_max(Class::Comment);
    let flood = (0..most).map(|_| leaf.ask(Class::Comment, "hello"));
    let order = async {
        eventually("all comments wait", || host.heard() == most).await;
        let one_more = leaf.ask(Class::Comment, "hello").await;
        assert_eq!(one_more, Err(AskError::Busy(Class::Comment)));
        let answer = leaf.ask(Class::Order, "order-1").await;
        assert_eq!(answer, Ok("Order demo order-1".into()));
        assert_eq!(host.answered(), 1, "no comment was answered before");
        host.release(most);
    };
    let (comments, ()) = tokio::join!(join_all(flood), order);
    assert!(comments.iter().all(Result::is_ok));
    assert_eq!(leaf.questions("in_flight", Class::Comment), 0.0);
}

#[tokio::test]
async fn asker_that_leaves_frees_its_place_and_its_late_answer_harms_nobody() {
    let authority = Authority::create("test");
    let host = Host::holding(Class::Comment);
    let [_origin, _middle, leaf] = two_hops(&authority, &host).await;
    for heard in 1..=10 {
        let answer = leaf.ask(Class::Comment, "hello");
        tokio::select! {
            answer = answer => panic!("not to be answered: {answer:?}"),
            () = eventually("it is heard", || host.heard() == heard) => {}
        }
        assert_eq!(leaf.questions("in_flight", Class::Comment), 0.0);
    }
    host.release(10);
    eventually("all are answered", || host.answered() == 10).await;
    host.release(1);
    let answer = leaf.ask(Class::Comment, "again").await;
    assert_eq!(answer, Ok("Comment demo again".into()));
}

#[tokio::test]
async fn answer_after_the_child_has_left_goes_nowhere() {
    let authority = Authority::create("test");
    let host = Host::holding(Class::Order);
    let origin = origin(&authority, &host);
    let mut edge = Node::new("edge", &authority)
        .pull(&[origin.address()])
        .connected()
        .await;
    let asked = edge.local.exchange.ask(question(Class::Order, "order-1"));
    tokio::select! {
        answer = asked => panic!("not to be answered: {answer:?}"),
        () = eventually("it is heard", || host.heard() == 1) => {}
    }
    edge.stop().await;
    eventually("the child is gone", || {
        origin.figure("rushlane_relay_children") == 0.0
    })
    .await;
    host.release(1);
    let next = Node::new("next", &authority)
        .pull(&[origin.address()])
        .connected()
        .await;
    host.release(1);
    let answer = next.ask(Class::Order, "order-1").await;
    assert_eq!(answer, Ok("Order demo order-1".into()));
}

#[tokio::test]
async fn node_without_an_origin_says_so_over_the_link() {
    let authority = Authority::create("test");
    let parent = Node::new("parent", &authority).serve();
    let edge = Node::new("edge", &authority)
        .pull(&[parent.address()])
        .connected()
        .await;
    let expect = AskError::Unreachable("this node has no origin".into());
    assert_eq!(edge.ask(Class::Order, "order-1").await, Err(expect));
}

#[tokio::test]
async fn lossy_link_answers_every_question_once() {
    let authority = Authority::create("test");
    let host = Host::open();
    let origin = origin(&authority, &host);
    let delay = Duration::from_millis(2);
    let proxy = Proxy::start(origin.address(), 50, delay, &origin.scope).await;
    let edge = Node::new("edge", &authority)
        .pull(&[proxy.address])
        .connected()
        .await;
    let asked = (0..500).map(|_| edge.ask(Class::Order, "order-1"));
    let answers = tokio::time::timeout(PATIENCE, join_all(asked))
        .await
        .unwrap();
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(host.heard(), 500);
}
