use proptest::prelude::*;

use super::*;
use crate::protocol::websocket;

/// A client's frame.
fn frame(opcode: u8, is_final: bool, payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let head = FrameHeader {
        is_final,
        opcode: opcode.into(),
        mask: Some([1, 2, 3, 0xF0]),
        ..FrameHeader::default()
    };
    head.format(payload.len() as u64, &mut out).unwrap();
    out.extend(unmask(payload, [1, 2, 3, 0xF0]));
    out
}

fn read(bytes: &[u8]) -> (Vec<Event>, Result<(), Fault>) {
    let mut events = Vec::new();
    let result = Reader::default().read(bytes, &mut events);
    (events, result)
}

fn text(text: &str) -> Event {
    Event::Text(text.to_owned())
}

#[test]
fn messages_are_read_whole_wherever_reads_cut_them() {
    let bytes = [
        frame(1, true, "你好".as_bytes()),
        frame(9, true, b"p"),
        frame(2, false, b"ab"),
        frame(10, true, b""),
        frame(0, false, b"c"),
        frame(0, true, b""),
        frame(1, true, &[b'x'; 70_000 / 3]),
        frame(8, true, &[3, 232]),
    ]
    .concat();
    let expected = vec![
        text("你好"),
        Event::Ping(b"p".to_vec()),
        Event::Pong,
        Event::Binary(b"abc".to_vec()),
        text(&"x".repeat(70_000 / 3)),
        Event::Close(Some(1000)),
    ];
    for step in [1, 2, 5, 4096, bytes.len()] {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        for piece in bytes.chunks(step) {
            reader.read(piece, &mut events).unwrap();
        }
        assert_eq!(events, expected, "in reads of {step}");
        assert!(reader.is_empty());
        assert_eq!(reader.partial.capacity(), 0);
    }
}

#[test]
fn what_breaks_the_rules_is_a_fault() {
    let mut unmasked = Vec::new();
    websocket::frame(&mut unmasked, true, b"hi");
    let mut reserved = frame(1, true, b"");
    reserved[0] |= 0x40;
    let long = u64::MAX.to_be_bytes();
    let endless = [&[0x82, 0xFF][..], &long, &[0; 4]].concat();
    let half = frame(1, false, &[b'x'; MESSAGE_BYTES_MAX]);
    let table = [
        (unmasked, Fault::Unmasked, 1002),
        (reserved, Fault::ReservedBits, 1002),
        (frame(3, true, b""), Fault::Opcode, 1002),
        (frame(11, true, b""), Fault::Opcode, 1002),
        (frame(9, false, b""), Fault::Control(0), 1002),
        (frame(8, true, &[0; 126]), Fault::Control(126), 1002),
        (frame(0, true, b""), Fault::Fragment, 1002),
        (
            [frame(1, false, b"a"), frame(1, true, b"b")].concat(),
            Fault::Fragment,
            1002,
        ),
        (endless, Fault::TooLong(u64::MAX), 1009),
        (
            [half, frame(0, true, b"x")].concat(),
            Fault::TooLong(MESSAGE_BYTES_MAX as u64 + 1),
            1009,
        ),
        (frame(1, true, &[0xFF]), Fault::NotUtf8, 1007),
        (
            [frame(1, false, &[0xE4]), frame(0, true, b"x")].concat(),
            Fault::NotUtf8,
            1007,
        ),
    ];
    for (bytes, fault, code) in table {
        let result = read(&bytes).1;
        assert_eq!(result, Err(fault.clone()), "{fault}");
        assert_eq!(fault.close_code() as u16, code);
    }
}

#[test]
fn what_came_before_a_fault_is_there() {
    let bytes = [frame(1, true, b"ok"), frame(0, true, b"")].concat();
    assert_eq!(read(&bytes), (vec![text("ok")], Err(Fault::Fragment)));
}

#[test]
fn a_reason_is_cut_between_characters() {
    let close = websocket::close(CloseCode::TooSlow, &"的".repeat(100));
    assert_eq!(close[..4], [0x88, 2 + 123, 0x11, 0x38]);
    assert!(std::str::from_utf8(&close[4..]).is_ok());
}

proptest! {
    #[test]
    fn no_bytes_panic_or_make_it_hold_much(
        pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..20),
    ) {
        let mut reader = Reader::default();
        let mut events = Vec::new();
        for piece in pieces {
            if reader.read(&piece, &mut events).is_err() {
                break;
            }
            prop_assert!(reader.partial.len() <= MESSAGE_BYTES_MAX + 14);
        }
    }
}
