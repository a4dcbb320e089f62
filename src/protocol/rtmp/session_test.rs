use super::*;
use crate::protocol::rtmp::{Client, ClientEvent, ClientOutput, HELD_BYTES_MAX};

const SECOND: Duration = Duration::from_secs(1);

/// A client and a session with a wire between them, and a clock.
struct Pair {
    client: Client,
    session: Session,
    now: Duration,
    to_session: BytesMut,
    to_client: BytesMut,
    events: Vec<Event>,
    client_events: Vec<ClientEvent>,
    closed: Option<CloseReason>,
}

impl Pair {
    fn new(app: &str, name: &str) -> Self {
        Self {
            client: Client::new(app, name),
            session: Session::new(Limits::default()),
            now: Duration::ZERO,
            to_session: BytesMut::new(),
            to_client: BytesMut::new(),
            events: Vec::new(),
            client_events: Vec::new(),
            closed: None,
        }
    }

    /// A pair that publishes room `r`.
    fn publishing() -> Self {
        let mut pair = Self::new("live", "r");
        pair.run();
        pair.session.accept_publish();
        pair.run();
        assert_eq!(pair.client_events, [ClientEvent::Published]);
        pair.events.clear();
        pair
    }

    /// Carries bytes both ways until both sides are quiet.
    fn run(&mut self) {
        loop {
            let mut quiet = true;
            loop {
                match self.client.poll_output() {
                    ClientOutput::Send(bytes) => self.to_session.extend_from_slice(&bytes),
                    ClientOutput::Event(event) => self.client_events.push(event),
                    ClientOutput::Idle => break,
                }
            }
            if !self.to_session.is_empty() {
                let before = self.to_session.len();
                self.session.handle_bytes(self.now, &mut self.to_session);
                quiet = self.to_session.len() == before;
            }
            self.drain();
            if !self.to_client.is_empty() {
                self.client.handle_bytes(&mut self.to_client).unwrap();
                quiet = false;
            }
            if quiet {
                return;
            }
        }
    }

    fn drain(&mut self) {
        loop {
            match self.session.poll_output() {
                Output::Send(bytes) => self.to_client.extend_from_slice(&bytes),
                Output::Event(event) => self.events.push(event),
                Output::Timeout(_) => return,
                Output::Closed(reason) => {
                    self.closed = Some(reason);
                    return;
                }
            }
        }
    }

    /// Raw bytes to the session, past the client.
    fn inject(&mut self, bytes: &[u8]) {
        self.to_session.extend_from_slice(bytes);
        self.run();
    }

    /// Lets time pass up to `now`, stopping at each deadline on the way.
    fn wait_until(&mut self, now: Duration) {
        while self.closed.is_none() {
            match self.session.poll_output() {
                Output::Timeout(at) if at <= now => {
                    self.now = at;
                    self.session.handle_timeout(at);
                    self.run();
                }
                _ => break,
            }
        }
        self.now = now;
    }

    fn closed(&self) -> String {
        self.closed
            .as_ref()
            .map_or_else(String::new, CloseReason::to_string)
    }
}

/// A chunk with a whole header, on chunk stream 3.
fn message(kind: u8, payload: &[u8]) -> Vec<u8> {
    let [_, a, b, c] = (payload.len() as u32).to_be_bytes();
    [&[3, 0, 0, 0, a, b, c, kind, 1, 0, 0, 0], payload].concat()
}

fn media(kind: MediaKind, timestamp_ms: u32, bytes: usize) -> Media {
    Media {
        kind,
        timestamp_ms,
        body: vec![7; bytes].into(),
    }
}

#[test]
fn publisher_gets_its_room_and_its_media_through() {
    let mut pair = Pair::new("live", "r@720p?token=t&backup=1");
    pair.run();
    let [
        Event::Connected { encoder, enhanced },
        Event::PublishRequested(key),
    ] = &pair.events[..]
    else {
        panic!("{:?}", pair.events);
    };
    assert_eq!(encoder, "FMLE/3.0 (compatible; Rushlane)");
    assert!(enhanced);
    assert_eq!(key.room.as_str(), "r");
    assert_eq!(key.rendition.as_deref(), Some("720p"));
    assert!(key.backup);
    pair.session.accept_publish();
    pair.run();
    assert_eq!(pair.client_events, [ClientEvent::Published]);

    pair.events.clear();
    let sent = [
        media(MediaKind::Video, 0, 200_000),
        media(MediaKind::Audio, 0xff_ffff, 10),
        media(MediaKind::Video, u32::MAX, 61_000),
    ];
    for media in &sent {
        pair.client.push(media);
    }
    pair.client.push_metadata(b"\x05");
    pair.client.finish();
    pair.run();
    let mut expect: Vec<_> = sent.into_iter().map(Event::Media).collect();
    expect.push(Event::Data(b"\x02\x00\x0d@setDataFrame\x05"[..].into()));
    expect.push(Event::Unpublished);
    assert_eq!(pair.events, expect);
    assert_eq!(pair.closed, None);
}

#[test]
fn connect_is_answered_with_enhanced_capabilities() {
    let mut session = Session::new(Limits::default());
    let mut input = BytesMut::from(&[3][..]);
    input.resize(1 + 2 * 1536, 0);
    let mut connect = Vec::from(&b"\x02\x00\x07connect\x00\x3f\xf0\0\0\0\0\0\0\x03"[..]);
    connect.extend(b"\x00\x03app\x02\x00\x04live\x00\x00\x09");
    input.extend_from_slice(&message(20, &connect));
    session.handle_bytes(Duration::ZERO, &mut input);
    let mut sent = Vec::new();
    loop {
        match session.poll_output() {
            Output::Send(bytes) => sent.extend_from_slice(&bytes),
            Output::Event(Event::Connected { enhanced, .. }) => assert!(!enhanced),
            _ => break,
        }
    }
    for word in [
        "_result",
        "hvc1",
        "av01",
        "Opus",
        "videoFourCcInfoMap",
        "capsEx",
    ] {
        let found = sent
            .windows(word.len())
            .any(|window| window == word.as_bytes());
        assert!(found, "{word}");
    }
}

#[test]
fn refusals_are_shown_to_the_encoder() {
    let check = |app: &str, name: &str, expect: &str| {
        let mut pair = Pair::new(app, name);
        pair.run();
        let [ClientEvent::Refused(text)] = &pair.client_events[..] else {
            panic!("{:?}", pair.client_events);
        };
        assert!(text.contains(expect), "{text}");
        assert!(pair.closed().starts_with("refused: "), "{}", pair.closed());
    };
    check("other", "r", "rtmp://HOST/live");
    check("live", "a b", "' '");
    check("live", "", "empty");

    let mut pair = Pair::new("live", "r");
    pair.run();
    pair.session.refuse_publish("room r is live already");
    pair.run();
    let refused = ClientEvent::Refused("room r is live already".into());
    assert_eq!(pair.client_events, [refused]);
    assert_eq!(pair.closed(), "refused: room r is live already");
}

#[test]
fn taken_over_publisher_is_told() {
    let mut pair = Pair::publishing();
    pair.session.end("another publisher took the room");
    pair.run();
    let refused = ClientEvent::Refused("another publisher took the room".into());
    assert_eq!(pair.client_events[1], refused);
    assert_eq!(pair.closed(), "ended: another publisher took the room");
}

#[test]
fn players_are_refused_politely() {
    let mut pair = Pair::new("live", "r");
    pair.run();
    pair.inject(&message(
        20,
        b"\x02\x00\x04play\x00\0\0\0\0\0\0\0\0\x05\x02\x00\x01r",
    ));
    let refused = ClientEvent::Refused("this port takes publishers; play over HTTP".into());
    assert_eq!(pair.client_events, [refused]);
    assert_eq!(pair.closed, Some(CloseReason::Play));
}

#[test]
fn connection_may_publish_again() {
    let mut pair = Pair::publishing();
    pair.client.finish();
    pair.run();
    assert_eq!(pair.events, [Event::Unpublished]);
    pair.inject(&message(
        20,
        b"\x02\x00\x07publish\x00\0\0\0\0\0\0\0\0\x05\x02\x00\x01s",
    ));
    assert!(matches!(&pair.events[1], Event::PublishRequested(key) if key.room.as_str() == "s"));
}

#[test]
fn waiting_has_an_end() {
    let mut pair = Pair::new("live", "r");
    pair.wait_until(6 * SECOND);
    assert_eq!(pair.closed(), "no handshake within 5 s");

    let mut pair = Pair::new("live", "r");
    pair.now = 4 * SECOND;
    pair.run();
    pair.client.finish();
    pair.now = 5 * SECOND;
    pair.run();
    pair.wait_until(14 * SECOND);
    assert_eq!(pair.closed, None);
    pair.wait_until(15 * SECOND);
    assert_eq!(pair.closed(), "nothing published within 10 s");

    let mut pair = Pair::publishing();
    pair.wait_until(29 * SECOND);
    pair.client.push(&media(MediaKind::Audio, 0, 1));
    pair.run();
    pair.wait_until(58 * SECOND);
    assert_eq!(pair.closed, None);
    pair.wait_until(59 * SECOND);
    assert_eq!(pair.closed(), "not a byte for 30 s");
}

#[test]
fn message_in_drips_is_cut_off() {
    let mut pair = Pair::publishing();
    let whole = message(9, &[0; 100]);
    for (second, byte) in (0..).zip(&whole) {
        pair.wait_until(second * SECOND);
        if pair.closed.is_some() {
            break;
        }
        pair.inject(&[*byte]);
    }
    assert_eq!(pair.closed(), "a message took longer than 30 s");
    assert_eq!(pair.session.held_bytes(), 0);
}

#[test]
fn hostile_bytes_close_with_a_reason() {
    let check = |bytes: &[u8], expect: &str| {
        let mut pair = Pair::publishing();
        pair.inject(bytes);
        assert!(pair.closed().contains(expect), "{}", pair.closed());
        assert!(pair.to_session.is_empty(), "nothing is kept after the end");
    };
    check(
        &message(1, &(16_u32 << 20).to_be_bytes()),
        "chunk size of 16777216",
    );
    check(&message(1, &[1]), "control message of type 1 has 1 bytes");
    check(
        &[4, 0, 0, 0, 0xff, 0xff, 0xff, 9, 1, 0, 0, 0],
        "type 9 with 16777215 bytes",
    );
    check(
        &message(20, &[3, 0, 1, b'a'].repeat(100)),
        "nested deeper than 16",
    );
    check(&message(20, &[0x02, 0xff, 0xff]), "ends after 3 bytes");
    check(
        &message(20, b"\x02\x00\x07connect"),
        "connect comes out of order",
    );
    check(
        &message(20, b"\x02\x00\x07publish"),
        "publish comes out of order",
    );
    check(
        &message(20, b"\x02\x00\x01x").repeat(100),
        "more than 64 commands",
    );
    check(
        &message(4, &[0, 6, 0, 0, 0, 1]).repeat(100),
        "more than 64 commands",
    );
    let mut half_open = message(1, &128_u32.to_be_bytes());
    for id in 0..250 {
        half_open.extend([0, id, 0, 0, 0, 0x7f, 0, 0, 9, 1, 0, 0, 0]);
        half_open.extend([0; 128]);
    }
    check(&half_open, "more than 64 chunk streams");
}

#[test]
fn other_protocols_are_named() {
    let check = |bytes: &[u8], expect: &str| {
        let mut session = Session::new(Limits::default());
        session.handle_bytes(Duration::ZERO, &mut BytesMut::from(bytes));
        let Output::Closed(reason) = session.poll_output() else {
            panic!("still open after {bytes:?}");
        };
        assert!(reason.to_string().contains(expect), "{reason}");
    };
    check(b"GET / HTTP/1.1", "the first byte is 0x47");
    check(&[0x16, 3, 1], "the first byte is 0x16");
}

#[test]
fn half_open_messages_stay_within_the_bound() {
    let mut pair = Pair::publishing();
    pair.inject(&message(1, &(1_u32 << 20).to_be_bytes()));
    for id in 0..60 {
        pair.inject(&[0, id, 0, 0, 0, 0x7f, 0, 0, 9, 1, 0, 0, 0]);
        for _ in 0..16 {
            pair.inject(&[0; 1 << 16]);
            assert!(pair.session.held_bytes() <= HELD_BYTES_MAX);
        }
    }
    assert_eq!(
        pair.closed(),
        "unfinished messages hold more than 16777216 bytes"
    );
    assert_eq!(pair.session.held_bytes(), 0);
}

#[test]
fn pings_and_windows_are_answered() {
    let mut pair = Pair::publishing();
    pair.to_session
        .extend_from_slice(&message(4, &[0, 6, 1, 2, 3, 4]));
    pair.to_session
        .extend_from_slice(&message(5, &5000_u32.to_be_bytes()));
    pair.to_session.extend_from_slice(&message(8, &[0; 100]));
    pair.session.handle_bytes(pair.now, &mut pair.to_session);
    let Output::Event(_) = pair.session.poll_output() else {
        panic!("the audio message");
    };
    let Output::Send(pong) = pair.session.poll_output() else {
        panic!("an answer");
    };
    let expect = [2, 0, 0, 0, 0, 0, 6, 4, 0, 0, 0, 0, 0, 7, 1, 2, 3, 4];
    assert!(pong.starts_with(&expect), "{pong:?}");
}

#[test]
fn absurd_timestamps_pass_through() {
    let mut pair = Pair::publishing();
    for timestamp_ms in [u32::MAX, 0, 0x8000_0000, 1] {
        pair.client.push(&media(MediaKind::Video, timestamp_ms, 10));
    }
    pair.run();
    assert_eq!(pair.events.len(), 4);
    assert_eq!(pair.closed, None);
}

#[test]
fn unknown_messages_are_tolerated() {
    let mut pair = Pair::publishing();
    pair.inject(&message(20, b"\x02\x00\x0a_something"));
    for kind in [0, 3, 7, 15, 16, 19, 22, 99] {
        pair.inject(&message(kind, &[0; 8]));
    }
    pair.inject(&message(4, &[0, 3, 0, 0, 0, 1]));
    assert_eq!(pair.closed(), "");
}
