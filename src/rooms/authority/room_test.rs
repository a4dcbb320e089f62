use serde_json::{Value, json};

use super::*;

fn at(ms: i64) -> Now {
    Now {
        ms,
        unix_ms: 1_700_000_000_000 + ms,
    }
}

fn usual() -> Pace {
    Pace {
        batch_ms: 200,
        like_tick_ms: 200,
        visible_per_second: 30,
    }
}

fn room() -> Room {
    let identity = Identity {
        name: RoomName::parse("r").unwrap(),
        node: "origin-1".into(),
        origin: "origin-1-7".into(),
        epoch: "e1".into(),
    };
    Room::new(identity, usual(), at(0))
}

fn member(id: &str, role: Role) -> Member {
    Member {
        id: id.into(),
        name: id.into(),
        role,
    }
}

fn say(room: &mut Room, who: &str, text: &str, now: Now) -> Result<Event, Refusal> {
    let comment = Comment {
        from: member(who, Role::Viewer),
        text: text.into(),
        media_ms: Some(9),
        chorus: false,
    };
    room.comment(comment, now)
}

fn show(room: &mut Room, kind: Kind, body: Value, now: Now) -> Result<Event, Refusal> {
    let program = Program {
        kind,
        media_ms: None,
        body: body.as_object().cloned().unwrap_or_default(),
    };
    let clock = MediaClock {
        newest_ms: 5000,
        offset_ms: 1_700_000_000_000,
    };
    room.program(member("h", Role::Host), program, Some(clock), now)
}

fn told(room: &mut Room, now: Now) -> Vec<Event> {
    room.poll(now);
    room.take_events()
}

fn kinds(events: &[Event]) -> Vec<Kind> {
    events.iter().map(|event| event.kind).collect()
}

#[test]
fn numbers_have_no_gaps_in_each_of_the_two_classes() {
    let mut room = room();
    let moderator = member("m", Role::Moderator);
    for n in 0..3 {
        let pin = json!({ "text": "t" });
        show(&mut room, Kind::Pin, pin, at(n)).unwrap();
        let stock = json!({ "sku": "s", "left": n });
        show(&mut room, Kind::Stock, stock, at(n)).unwrap();
        let bad = show(&mut room, Kind::Stock, json!({}), at(n)).unwrap_err();
        assert_eq!(bad.status, 400);
        room.moderate(moderator.clone(), &Moderation::Slow { seconds: 0 }, at(n))
            .unwrap();
    }
    let order = Event::new(Kind::Order, Class::Order, "key", 0, Value::Null);
    room.order(order);
    let events = told(&mut room, at(9));
    let of = |class| events.iter().filter(move |event| event.class == class);
    let numbers = |class| of(class).map(|event| event.seq).collect::<Vec<_>>();
    let up_to = |n| (1..=n).map(Some);
    assert_eq!(numbers(Class::Program), up_to(3).collect::<Vec<_>>());
    let class_0: Vec<_> = up_to(6).chain([None]).collect();
    assert_eq!(numbers(Class::Order), class_0);
    assert_eq!(room.snapshot(at(9)).seq, [6, 3]);
}

#[test]
fn program_is_placed_on_the_timeline_and_on_the_clock() {
    let mut room = room();
    let card = json!({ "id": "k", "action": "hide", "wall_ms": 1 });
    let event = show(&mut room, Kind::Card, card, at(0)).unwrap();
    assert_eq!(event.media_ms, Some(5000));
    assert_eq!(event.body["wall_ms"], json!(1_700_000_005_000_i64));
    let viewer = member("v", Role::Viewer);
    let program = Program {
        kind: Kind::Pin,
        media_ms: Some(7),
        body: json!({ "text": "x" }).as_object().cloned().unwrap(),
    };
    let refusal = room
        .program(viewer, program.clone(), None, at(0))
        .unwrap_err();
    assert_eq!(
        (refusal.status, refusal.code.as_str()),
        (403, "not_allowed")
    );
    let host = member("h", Role::Host);
    let event = room.program(host, program, None, at(0)).unwrap();
    assert_eq!(
        (event.media_ms, &event.body["wall_ms"]),
        (Some(7), &Value::Null)
    );
}

#[test]
fn comment_is_answered_at_once_and_shown_with_its_batch() {
    let mut room = room();
    let first = say(&mut room, "u", "hi", at(10)).unwrap();
    let second = say(&mut room, "v", "ho", at(10)).unwrap();
    assert!(first.id < second.id);
    assert_eq!(room.poll(at(10)), Some(210));
    assert!(room.take_events().is_empty());
    assert_eq!(told(&mut room, at(210)), [first.clone(), second]);
    let body = room.snapshot(at(210)).body;
    assert_eq!(body["comments"][0]["id"], json!(first.id));
    assert_eq!(first.media_ms, Some(9));
}

#[test]
fn who_is_muted_or_too_fast_does_not_speak() {
    let mut room = room();
    let moderator = member("m", Role::Moderator);
    let user: Arc<str> = "u".into();
    let mute = Moderation::Mute { user, seconds: 60 };
    room.moderate(moderator.clone(), &mute, at(0)).unwrap();
    assert_eq!(say(&mut room, "u", "x", at(1)).unwrap_err().code, "muted");
    assert!(say(&mut room, "u", "x", at(60_000)).is_ok());
    room.moderate(moderator, &Moderation::Slow { seconds: 10 }, at(60_000))
        .unwrap();
    assert!(say(&mut room, "v", "x", at(60_001)).is_ok());
    let refusal = say(&mut room, "v", "x", at(60_002)).unwrap_err();
    assert_eq!((refusal.status, refusal.retry_after_s), (429, Some(10)));
    let audit = room.take_audit();
    let actions: Vec<_> = audit.iter().map(|record| &*record.action).collect();
    assert_eq!(actions, ["mute", "refuse", "slow", "refuse"]);
}

#[test]
fn retracted_comment_leaves_the_history() {
    let mut room = room();
    let comment = say(&mut room, "u", "hi", at(0)).unwrap();
    told(&mut room, at(200));
    let id = comment.id;
    let retract = Moderation::Retract { id };
    let event = room
        .moderate(member("m", Role::Moderator), &retract, at(201))
        .unwrap();
    assert_eq!((event.kind, event.class), (Kind::Mod, Class::Order));
    assert_eq!(room.snapshot(at(202)).body["comments"], json!([]));
}

#[test]
fn rights_and_bounds_of_moderators_are_checked() {
    let mut room = room();
    let user: Arc<str> = "u".into();
    let long: Arc<str> = "u".repeat(65).into();
    let cases = [
        (Role::Buyer, Moderation::Unmute { user: user.clone() }, 403),
        (Role::Host, Moderation::Slow { seconds: 121 }, 400),
        (
            Role::Host,
            Moderation::Ban {
                user: long,
                seconds: 1,
            },
            400,
        ),
        (
            Role::Host,
            Moderation::Ban {
                user,
                seconds: u32::MAX,
            },
            400,
        ),
    ];
    for (role, moderation, status) in cases {
        let refusal = room.moderate(member("m", role), &moderation, at(0));
        assert_eq!(refusal.unwrap_err().status, status, "{moderation:?}");
    }
    assert!(told(&mut room, at(0)).is_empty());
}

#[test]
fn total_of_likes_is_told_once_a_tick_however_many_come() {
    let mut room = room();
    let mut events = Vec::new();
    for ms in 0..1000 {
        let report = LikesReport {
            edge: "a".into(),
            total: u64::try_from(ms).unwrap() * 1000,
            runs: Vec::new(),
        };
        room.likes(&report, at(ms));
        events.extend(told(&mut room, at(ms)));
    }
    assert_eq!(events.len(), 5);
    assert!(events.iter().all(|event| event.kind == Kind::Like));
    assert_eq!(
        told(&mut room, at(1001))[0].body,
        json!({ "total": 999_000 })
    );
    assert_eq!(
        room.poll(at(5000)),
        None,
        "nothing is due when nothing changes"
    );
}

#[test]
fn a_trickle_of_likes_fills_as_many_ticks_as_a_storm() {
    let told_at = |every_ms: i64, likes: u64| {
        let (mut room, mut total, mut times) = (room(), 0, Vec::new());
        for ms in 0..20_000 {
            if ms < 10_000 && ms % every_ms == 0 {
                total += likes;
                let report = LikesReport {
                    edge: "a".into(),
                    total,
                    runs: Vec::new(),
                };
                room.likes(&report, at(ms));
            }
            let events = told(&mut room, at(ms));
            times.extend(events.iter().map(|event| event.at - at(0).unix_ms));
        }
        times
    };
    let (trickle, storm) = (told_at(1000, 1), told_at(1, 1000));
    let flowing = |times: &[i64]| times.iter().filter(|ms| **ms < 10_000).count();
    assert_eq!((flowing(&trickle), flowing(&storm)), (50, 50));
    let last = |times: &[i64]| times.last().copied();
    assert_eq!(
        last(&trickle),
        Some(10_800),
        "two seconds after the last like"
    );
    assert_eq!(last(&storm), Some(11_800), "the same");
}

#[test]
fn presence_is_told_when_it_changes_and_expires_without_a_word() {
    let mut room = room();
    let mut sketch = crate::rooms::Sketch::new();
    sketch.insert("u");
    let mut report = PresenceReport {
        edge: "a".into(),
        online: 2,
        sketch: sketch.to_base64(),
    };
    room.presence(&report, at(0)).unwrap();
    let events = told(&mut room, at(0));
    assert_eq!(events[0].body, json!({ "online": 2, "unique": 1 }));
    report.online = 3;
    room.presence(&report, at(100)).unwrap();
    assert!(told(&mut room, at(999)).is_empty());
    assert_eq!(told(&mut room, at(1000))[0].body["online"], 3);
    let due = room.poll(at(1000)).unwrap();
    assert!(due <= 2000, "{due}");
    assert_eq!(told(&mut room, at(5100))[0].body["online"], 0);
    report.sketch = "?".into();
    assert_eq!(room.presence(&report, at(6000)).unwrap_err().status, 400);
}

#[test]
fn restored_room_goes_on_where_it_was() {
    let mut before = room();
    show(&mut before, Kind::Pin, json!({ "text": "now" }), at(0)).unwrap();
    say(&mut before, "u", "hi", at(0)).unwrap();
    let report = LikesReport {
        edge: "a".into(),
        total: 7,
        runs: vec![(1, 1, 7, 1)],
    };
    before.likes(&report, at(0));
    let ban = Moderation::Ban {
        user: "troll".into(),
        seconds: 60,
    };
    let moderator = member("m", Role::Moderator);
    before.moderate(moderator, &ban, at(0)).unwrap();
    told(&mut before, at(200));
    let saved = serde_json::to_vec(&before.save(at(200))).unwrap();

    let mut after = room();
    after.restore(serde_json::from_slice(&saved).unwrap(), at(300));
    let snapshot = after.snapshot(at(300));
    assert_eq!(snapshot.seq, [0, 1]);
    assert_eq!(snapshot.body["pin"]["text"], "now");
    assert_eq!(snapshot.body["comments"][0]["body"]["text"], "hi");
    assert_eq!(snapshot.body["likes"], 7);
    assert_eq!(snapshot.sanctions.len(), 1);
    assert!(say(&mut after, "troll", "x", at(300)).is_err());
    let again = told(&mut after, at(300));
    assert_eq!(kinds(&again), [Kind::Pin], "likes wait for the edge");
    assert_eq!((again[0].class, again[0].seq), (Class::Program, Some(1)));
    after.likes(&report, at(400));
    assert_eq!(kinds(&told(&mut after, at(400))), [Kind::Like]);
}

#[test]
fn full_snapshot_fits_into_an_answer() {
    let mut room = room();
    let filler = "x".repeat(3800);
    for n in 0..60 {
        let id = format!("k{n}");
        let card = json!({
            "id": id, "sku": "s", "title": "t", "action": "show", "note": filler,
        });
        show(&mut room, Kind::Card, card, at(n)).unwrap();
        let sku = format!("{n}{}", "s".repeat(100));
        let stock = json!({ "sku": sku, "left": 5 });
        show(&mut room, Kind::Stock, stock, at(n)).unwrap();
        let pin = json!({ "text": "t", "note": filler });
        show(&mut room, Kind::Pin, pin, at(n)).unwrap();
        say(&mut room, "u", &"\"".repeat(2048), at(n)).unwrap();
        told(&mut room, at(n * 1000));
    }
    let moderator = member("m", Role::Moderator);
    for n in 0..2000 {
        let user: Arc<str> = format!("{n:064}").into();
        let mute = Moderation::Mute { user, seconds: 600 };
        room.moderate(moderator.clone(), &mute, at(60_000)).unwrap();
    }
    let snapshot = room.snapshot(at(60_000));
    let bytes = serde_json::to_vec(&snapshot).unwrap().len();
    assert!(bytes < 250 << 10, "{bytes}");
}
