//! What members notice of a node that sheds: fewer comments, later totals, and nothing of orders.

use http::StatusCode;
use serde_json::json;

use crate::media::Class;
use crate::protocol::interact::event::{Event, Kind};
use crate::protocol::interact::{Member, Role};
use crate::rooms::Config;
use crate::rooms::doors::fixture::{Node, next_of, run, say};
use crate::shed::{Gauge, Level};

#[test]
fn orders_and_their_answers_are_the_same_at_every_level() {
    run(async {
        for level in Level::ALL {
            let node = Node::at(&Config::default(), Gauge::at(level));
            let mut buyer = node.join("user=u").await;
            next_of(&mut buyer, "snapshot").await;
            let order = json!({"key":"01JDABCDEF","sku":"a","quantity":1});
            say(&mut buyer, json!({"type":"order","ref":"o","body":order})).await;
            let answer = next_of(&mut buyer, "order").await;
            assert_eq!(answer["body"]["status"], 202, "{level:?}");
            let (status, answer) = node.post("/rooms/r/orders?user=u", &order).await;
            assert_eq!(status, StatusCode::ACCEPTED, "{level:?}: {answer}");
            let (status, _) = node.get("/rooms/r/orders/01JDABCDEF?user=u").await;
            assert_eq!(status, StatusCode::OK, "{level:?}");
            // And what the room says to all of its orders and its program.
            for class in [Class::Order, Class::Program] {
                node.origin.say(class, "told");
                assert_eq!(next_of(&mut buyer, "notice").await["body"]["text"], "told");
            }
        }
    });
}

#[test]
fn members_see_a_sample_of_the_comments_and_all_of_the_hosts() {
    run(async {
        let node = Node::at(&Config::default(), Gauge::at(Level::SampleComments));
        let mut member = node.join("user=u").await;
        next_of(&mut member, "snapshot").await;
        let comment = |who: &str, role| {
            let mut event = Event::new(Kind::Comment, Class::Comment, who, 1, json!({"text": who}));
            event.from = Some(Member {
                id: who.into(),
                name: who.into(),
                role,
            });
            event
        };
        for number in 0..300 {
            node.origin
                .publish(comment(&format!("v{number}"), Role::Viewer));
        }
        node.origin.publish(comment("host", Role::Host));
        let mut seen = 0;
        while next_of(&mut member, "comment").await["from"]["id"] != "host" {
            seen += 1;
        }
        // Ten a second; the test may take some seconds where the machine is busy.
        assert!(seen < 200, "{seen} of 300");
    });
}
