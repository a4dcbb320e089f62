use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::media::Class;
use crate::net::Alternate;
use crate::net::http::{Body, Duplex, Session, Sink, Upgrade};
use crate::protocol::interact::Event;
use crate::protocol::interact::event::Kind;
use crate::protocol::interact::question::Question;
use crate::rooms::Config;
use crate::rooms::doors::fake::WAIT;
use crate::rooms::doors::fixture::{
    Node, close_code, next, next_of, read, request, run, say, texts,
};
use crate::runtime::{Shutdown, TaskScope, clock};

#[test]
fn a_member_is_greeted_and_told_the_state_of_the_room() {
    run(async {
        let node = Node::new(&Config::default());
        node.origin.say(Class::Order, "sale");
        let mut client = node.join("user=u&name=Li").await;
        let hello = next(&mut client).await;
        assert_eq!((&hello["type"], &hello["v"]), (&json!("hello"), &json!(1)));
        let body = &hello["body"];
        assert_eq!(body["epoch"], "e1");
        assert_eq!(body["seq"], json!({ "0": 1, "1": 0 }));
        assert_eq!(
            body["you"],
            json!({ "id": "u", "name": "Li", "role": "viewer" })
        );
        assert_eq!((&body["room"], &body["edge"]), (&json!("r"), &json!("n")));
        assert_eq!(body["resumed"], false);
        assert_eq!(next(&mut client).await["type"], "snapshot");
        node.origin.say(Class::Program, "card");
        let card = next(&mut client).await;
        assert_eq!((&card["class"], &card["seq"]), (&json!(1), &json!(1)));
        assert_eq!(node.doors.presence("r").online, 1);
        assert_eq!(node.doors.presence("r").unique, 1);
    });
}

#[test]
fn each_command_has_one_answer_with_its_ref() {
    run(async {
        let node = Node::new(&Config::default());
        let mut client = node.join("user=u").await;
        let mut other = node.join("user=v").await;
        next_of(&mut client, "snapshot").await;
        next_of(&mut other, "snapshot").await;
        say(
            &mut client,
            json!({"type":"comment","ref":"c","body":{"text":"hi"}}),
        )
        .await;
        let mut echo = next_of(&mut client, "comment").await;
        if echo["class"] == 3 {
            echo = next_of(&mut client, "comment").await;
        }
        assert_eq!((&echo["class"], &echo["ref"]), (&json!(2), &json!("c")));
        let heard = next_of(&mut other, "comment").await;
        assert_eq!((&heard["class"], &heard["ref"]), (&json!(3), &Value::Null));
        let like = json!({"type":"like","ref":"l","body":{"count":7,"session":"s","n":1}});
        say(&mut client, like).await;
        let like = next_of(&mut client, "like").await;
        assert_eq!(
            (&like["ref"], &like["body"]["total"]),
            (&json!("l"), &json!(7))
        );
        let order = json!({"key":"01JDABCDEF","sku":"a","quantity":1});
        say(&mut client, json!({"type":"order","ref":"o","body":order})).await;
        let order = next_of(&mut client, "order").await;
        assert_eq!(
            (&order["ref"], &order["id"]),
            (&json!("o"), &json!("01JDABCDEF"))
        );
        assert_eq!(order["body"]["status"], 202);
        assert_eq!(order["body"]["state"], "accepted");
        say(
            &mut client,
            json!({"type":"pin","ref":"p","body":{"text":"x"}}),
        )
        .await;
        let error = next_of(&mut client, "error").await;
        assert_eq!(
            (&error["ref"], &error["body"]["status"]),
            (&json!("p"), &json!(403))
        );
    });
}

#[test]
fn who_was_away_for_a_moment_misses_nothing_and_gets_nothing_twice() {
    run(async {
        let node = Node::new(&Config::default());
        let mut stays = node.join("user=a").await;
        next_of(&mut stays, "snapshot").await;
        for number in 0..20 {
            let class = [Class::Order, Class::Program][number % 2];
            node.origin.say(class, &number.to_string());
        }
        node.origin.say(Class::Program, "mark");
        texts(&mut stays, "mark").await;
        let mut back = node.join("user=b&epoch=e1&c0=7&c1=4").await;
        let hello = next(&mut back).await;
        assert_eq!(hello["body"]["resumed"], true);
        assert_eq!(hello["body"]["seq"], json!({ "0": 7, "1": 4 }));
        node.origin.say(Class::Order, "live");
        let missed = ["14", "16", "18", "9", "11", "13", "15", "17", "19", "mark"];
        assert_eq!(texts(&mut back, "live").await, missed);
        // Of another epoch, or from before all that is kept: the state of the room instead.
        for query in ["epoch=e0&c0=7&c1=4", "epoch=e1&c0=7&c1=900"] {
            let mut back = node.join(query).await;
            assert_eq!(next(&mut back).await["body"]["resumed"], false, "{query}");
            assert_eq!(next(&mut back).await["type"], "snapshot");
        }
    });
}

#[test]
fn members_who_come_while_events_flow_get_each_once() {
    run(async {
        let node = Node::new(&Config::default());
        let origin = node.origin.clone();
        let scope = TaskScope::under(&Shutdown::new());
        let talk = scope.spawn_local("talk", async move {
            for number in 1..=300_u32 {
                origin.say(Class::Program, &number.to_string());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            origin.say(Class::Program, "end");
        });
        let mut clients = Vec::new();
        for count in 0..30 {
            clients.push(node.join(&format!("user=u{count}")).await);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        talk.await.unwrap();
        for client in &mut clients {
            let hello = next(client).await;
            let known = hello["body"]["seq"]["1"].as_u64().unwrap();
            assert_eq!(next(client).await["type"], "snapshot");
            let expected: Vec<_> = (known + 1..=300).map(|number| number.to_string()).collect();
            assert_eq!(texts(client, "end").await, expected);
        }
        // One snapshot serves all who come within a second.
        let snapshots = node.origin.asked(|one| matches!(one, Question::Snapshot));
        assert!(snapshots <= 3, "{snapshots}");
    });
}

#[test]
fn what_is_for_one_user_reaches_his_connections_and_no_other() {
    run(async {
        let node = Node::new(&Config::default());
        let mut clients = Vec::new();
        for user in ["u", "u", "v"] {
            let mut client = node.join(&format!("user={user}")).await;
            next_of(&mut client, "snapshot").await;
            clients.push(client);
        }
        node.origin.tell("u", "yours");
        node.origin.say(Class::Order, "end");
        for (client, expected) in clients.iter_mut().zip([&["yours"][..], &["yours"], &[]]) {
            // Events for everybody go first.
            let mut heard = vec![next_of(client, "notice").await];
            if !expected.is_empty() {
                heard.push(next_of(client, "notice").await);
            }
            let texts: Vec<_> = heard
                .iter()
                .map(|event| event["body"]["text"].clone())
                .collect();
            for text in expected {
                assert!(texts.contains(&json!(text)), "{texts:?}");
            }
            assert_eq!(texts.len(), expected.len() + 1);
        }
    });
}

#[test]
fn events_that_are_lost_are_made_up_for_by_the_state() {
    run(async {
        let node = Node::new(&Config::default());
        let mut client = node.join("user=u").await;
        next_of(&mut client, "snapshot").await;
        node.origin.lose(Class::Order);
        node.origin.say(Class::Order, "after");
        let hello = next_of(&mut client, "hello").await;
        assert_eq!(hello["body"]["resumed"], false);
        assert_eq!(hello["body"]["seq"]["0"], 2);
        next_of(&mut client, "snapshot").await;
        // A loss that no later event shows is found by who comes next.
        node.origin.lose(Class::Program);
        // The state that was told lately serves him for a second.
        while next(&mut node.join("").await).await["body"]["seq"]["1"] != 1 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(next_of(&mut client, "hello").await["body"]["seq"]["1"], 1);
    });
}

#[test]
fn a_restart_of_the_origin_brings_everybody_into_the_new_epoch() {
    run(async {
        let node = Node::new(&Config::default());
        node.origin.say(Class::Order, "old");
        let mut client = node.join("user=u").await;
        next_of(&mut client, "snapshot").await;
        node.origin.restart();
        let hello = next_of(&mut client, "hello").await;
        assert_eq!(hello["body"]["epoch"], "e2");
        assert_eq!(hello["body"]["seq"]["0"], 0);
        next_of(&mut client, "snapshot").await;
        node.origin.say(Class::Order, "new");
        assert_eq!(next_of(&mut client, "notice").await["seq"], 1);
    });
}

#[test]
fn a_banned_member_is_sent_away_and_stays_out() {
    run(async {
        let node = Node::new(&Config::default());
        let mut client = node.join("user=u").await;
        next_of(&mut client, "snapshot").await;
        let body = json!({ "action": "ban", "user": "u", "seconds": 60 });
        let now_ms = clock::unix_us() / 1000;
        let ban = Event::new(Kind::Mod, Class::Order, "m", now_ms, body);
        node.origin.publish(ban);
        assert_eq!(close_code(&mut client).await, 4403);
        let again = node.connect("/rooms/r/ws?user=u", 1 << 20).await;
        assert_eq!(again.err(), Some(StatusCode::FORBIDDEN));
        let said = node
            .post("/rooms/r/comments?user=u", &json!({"text":"hi"}))
            .await;
        assert_eq!(
            (said.0, &said.1["code"]),
            (StatusCode::FORBIDDEN, &json!("banned"))
        );
    });
}

#[test]
fn who_makes_no_sense_is_told_so_and_closed() {
    run(async {
        let node = Node::new(&Config::default());
        let mut client = node.join("user=u").await;
        next_of(&mut client, "snapshot").await;
        say(&mut client, json!({"type":"comment","ref":"c","body":{}})).await;
        let error = next_of(&mut client, "error").await;
        assert_eq!(
            (&error["ref"], &error["body"]["status"]),
            (&json!("c"), &json!(400))
        );
        client.send(Message::text("{")).await.unwrap();
        let error = next_of(&mut client, "error").await;
        assert_eq!(error["ref"], Value::Null);
        assert_eq!(close_code(&mut client).await, 4400);
    });
}

#[test]
fn a_flooder_is_told_and_then_closed() {
    run(async {
        let mut config = Config::default();
        config.limits.commands_burst = 3;
        config.limits.commands_per_second = 1;
        config.limits.refusals_max = 5;
        let node = Node::new(&config);
        let mut client = node.join("user=u").await;
        next_of(&mut client, "snapshot").await;
        for n in 1..=20 {
            let like = json!({"type":"like","ref":"l","body":{"count":1,"session":"s","n":n}});
            if client.send(Message::text(like.to_string())).await.is_err() {
                break;
            }
        }
        let error = next_of(&mut client, "error").await;
        assert_eq!(error["body"]["status"], 429);
        assert_eq!(error["body"]["retry_after_s"], 1);
        assert_eq!(close_code(&mut client).await, 4429);
    });
}

#[test]
fn posts_are_answered_alike() {
    run(async {
        let node = Node::new(&Config::default());
        let said = node
            .post("/rooms/r/comments?user=u", &json!({"text":"hi"}))
            .await;
        assert_eq!(
            (said.0, &said.1["body"]["text"]),
            (StatusCode::OK, &json!("hi"))
        );
        let like = json!({"count":2,"session":"s","n":1});
        let liked = node.post("/rooms/r/likes?user=u", &like).await;
        assert_eq!(
            (liked.0, &liked.1["body"]["total"]),
            (StatusCode::OK, &json!(2))
        );
        let order = json!({"sku":"a","quantity":1}).to_string();
        let mut ask = request(Method::POST, "/rooms/r/orders?user=u", &order);
        let (status, problem) = read(
            node.call(request(Method::POST, "/rooms/r/orders", &order))
                .await,
        );
        assert_eq!(
            (status, &problem["code"]),
            (StatusCode::BAD_REQUEST, &json!("no_key"))
        );
        ask.headers
            .insert("idempotency-key", "\"01JDABCDEF\"".parse().unwrap());
        let (status, answer) = read(node.call(ask).await);
        assert_eq!(
            (status, &answer["state"]),
            (StatusCode::ACCEPTED, &json!("accepted"))
        );
        let (status, state) = node.get("/rooms/r/orders/01JDABCDEF?user=u").await;
        assert_eq!(
            (status, &state["state"]),
            (StatusCode::OK, &json!("confirmed"))
        );
        let (status, snapshot) = node.get("/rooms/r/snapshot").await;
        assert_eq!(
            (status, &snapshot["type"]),
            (StatusCode::OK, &json!("snapshot"))
        );
    });
}

#[test]
fn what_is_not_there_or_not_allowed_says_so() {
    run(async {
        let node = Node::new(&Config::default());
        for (method, path, status) in [
            (Method::GET, "/rooms/x/snapshot", 404),
            (Method::GET, "/rooms/r/nothing", 404),
            (Method::GET, "/rooms/r/comments", 405),
            (Method::POST, "/rooms/r/snapshot", 405),
            (Method::DELETE, "/rooms/r/orders/01JDABCDEF", 405),
            (Method::GET, "/rooms/r/ws", 426),
            (Method::OPTIONS, "/rooms/r/orders", 204),
            (Method::GET, "/rooms/r/snapshot?token=x", 403),
            (Method::POST, "/rooms/r/comments", 400),
        ] {
            let response = node.call(request(method.clone(), path, "")).await;
            assert_eq!(response.status(), status, "{method} {path}");
            let origin = &response.headers()["access-control-allow-origin"];
            assert_eq!(origin, "*");
        }
    });
}

#[test]
fn orders_pass_while_the_origin_is_deaf_to_everything_else() {
    run(async {
        let node = Node::new(&Config::default());
        let mut client = node.join("user=u").await;
        next_of(&mut client, "snapshot").await;
        node.origin.set_deaf(true);
        for count in 0..8 {
            let text = format!("hi {count}");
            say(
                &mut client,
                json!({"type":"comment","ref":"c","body":{"text":text}}),
            )
            .await;
        }
        let order = json!({"key":"01JDABCDEF","sku":"a","quantity":1});
        say(&mut client, json!({"type":"order","ref":"o","body":order})).await;
        assert_eq!(next_of(&mut client, "order").await["ref"], "o");
    });
}

#[test]
fn a_slow_member_loses_comments_but_nothing_that_counts_and_is_closed_to_resume() {
    run(async {
        let config = Config {
            send_queue_bytes: 20_000,
            batch_ms: 0,
            ..Config::default()
        };
        let node = Node::new(&config);
        let mut slow = node.connect("/rooms/r/ws?user=u", 2000).await.unwrap();
        let mut quick = node.join("user=v").await;
        next_of(&mut slow, "snapshot").await;
        next_of(&mut quick, "snapshot").await;
        // Only the quick one reads; each waits for the other's batch, so that none is merged.
        for count in 0..200 {
            node.origin.say(Class::Comment, &format!("{count:0>300}"));
            if count % 20 == 0 {
                node.origin.say(Class::Program, &format!("card {count}"));
            }
            next_of(&mut quick, "notice").await;
        }
        node.origin.say(Class::Program, "end");
        let heard = texts(&mut slow, "end").await;
        let cards = heard.iter().filter(|text| text.starts_with("card")).count();
        assert_eq!(cards, 10);
        assert!(heard.len() < 150, "{}", heard.len());
        // What may not be dropped closes it once it does not fit.
        for count in 0..200 {
            node.origin.say(Class::Program, &format!("{count:0>300}"));
            next_of(&mut quick, "notice").await;
        }
        assert_eq!(close_code(&mut slow).await, 4408);
    });
}

#[test]
fn a_drain_sends_everybody_away() {
    run(async {
        let node = Node::new(&Config::default());
        let mut client = node.join("user=u").await;
        next_of(&mut client, "snapshot").await;
        let other = Alternate::parse("https://edge-2:8443/").unwrap();
        node.doors.drain(&[other]);
        let notice = next_of(&mut client, "notice").await;
        let others = json!(["https://edge-2:8443"]);
        assert_eq!(
            (&notice["body"]["alternates"], &notice["seq"]),
            (&others, &Value::Null)
        );
        assert_eq!(close_code(&mut client).await, 1012);
        let again = node.connect("/rooms/r/ws?user=u", 1 << 20).await;
        assert_eq!(again.err(), Some(StatusCode::SERVICE_UNAVAILABLE));
    });
}

#[test]
fn server_sent_events_resume_by_their_id() {
    run(async {
        let node = Node::new(&Config::default());
        node.origin.say(Class::Order, "one");
        node.origin.say(Class::Order, "two");
        let mut first = node.join("user=a").await;
        next_of(&mut first, "snapshot").await;
        let mut ask = request(Method::GET, "/rooms/r/events?user=u", "");
        ask.headers
            .insert("last-event-id", "e1.1.0".parse().unwrap());
        let response = node.call(ask).await;
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let Body::Live(start) = response.into_body() else {
            panic!("a live body");
        };
        let (sink, mut queue) = mpsc::channel(8);
        start(Sink::Queue(sink));
        let mut text = String::new();
        while !text.contains("two") {
            let bytes = timeout(WAIT, queue.recv()).await.unwrap().unwrap();
            text.push_str(str::from_utf8(&bytes).unwrap());
        }
        assert!(text.contains(r#""resumed":true"#), "{text}");
        assert!(text.contains("id: e1.2.0\ndata: "), "{text}");
        assert!(!text.contains("\"one\""), "{text}");
    });
}

#[test]
fn binary_frames_hold_the_same_envelope() {
    run(async {
        let node = Node::new(&Config::default());
        let mut client = node.join("user=u&format=cbor").await;
        let message = timeout(WAIT, client.next()).await.unwrap().unwrap();
        let Message::Binary(bytes) = message.unwrap() else {
            panic!("a binary frame");
        };
        let hello: Value = ciborium::from_reader(&bytes[..]).unwrap();
        assert_eq!(hello["type"], "hello");
        let like = json!({"type":"like","ref":"l","body":{"count":1,"session":"s","n":1}});
        let mut cbor = Vec::new();
        ciborium::into_writer(&like, &mut cbor).unwrap();
        client.send(Message::binary(cbor)).await.unwrap();
        loop {
            let message = timeout(WAIT, client.next()).await.unwrap().unwrap();
            let Message::Binary(bytes) = message.unwrap() else {
                continue;
            };
            let event: Value = ciborium::from_reader(&bytes[..]).unwrap();
            if event["ref"] == "l" {
                break;
            }
        }
    });
}

#[test]
fn lines_over_a_web_transport_stream_hold_the_same_envelope() {
    run(async {
        let node = Node::new(&Config::default());
        let mut ask = request(Method::GET, "/rooms/r/wt?user=u", "");
        ask.upgrade = Some(Upgrade::WebTransport);
        let Body::Session(start) = node.call(ask).await.into_body() else {
            panic!("a session");
        };
        let (streams, waiting) = mpsc::channel(1);
        start(Session::new(waiting));
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let stream = Duplex::new(Bytes::new(), theirs);
        streams.send(stream).await.unwrap();
        let (read, mut write) = tokio::io::split(ours);
        let mut lines = BufReader::new(read).lines();
        let mut types = Vec::new();
        let like = r#"{"type":"like","ref":"l","body":{"count":1,"session":"s","n":1}}"#;
        write
            .write_all(format!("\n{like}\n").as_bytes())
            .await
            .unwrap();
        while types.len() < 3 {
            let line = timeout(WAIT, lines.next_line()).await.unwrap().unwrap();
            let line = line.expect("open");
            if !line.is_empty() {
                let event: Value = serde_json::from_str(&line).unwrap();
                types.push(event["type"].as_str().unwrap().to_owned());
            }
        }
        assert_eq!(types, ["hello", "snapshot", "like"]);
        assert_eq!(node.doors.presence("r").online, 1);
        drop((lines, write));
        while node.doors.presence("r").online > 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}
