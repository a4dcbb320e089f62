use bytes::Bytes;

use super::*;
use crate::protocol::rtmp::message::Writer;

const NOW: Duration = Duration::ZERO;

fn message(kind: u8, timestamp_ms: u32, payload: &[u8]) -> Message {
    Message {
        kind,
        stream_id: 1,
        timestamp_ms,
        payload: Bytes::copy_from_slice(payload),
    }
}

/// All messages of `input`, which arrives in pieces of `piece` bytes.
fn read_in(reader: &mut Reader, input: &[u8], piece: usize) -> Result<Vec<Message>, Error> {
    let mut buffer = BytesMut::new();
    let mut messages = Vec::new();
    for bytes in input.chunks(piece) {
        buffer.extend_from_slice(bytes);
        while let Some(message) = reader.read(NOW, &mut buffer)? {
            messages.push(message);
        }
    }
    Ok(messages)
}

fn timestamps(input: &[u8]) -> Vec<u32> {
    let messages = read_in(&mut Reader::new(), input, usize::MAX).unwrap();
    messages.iter().map(|m| m.timestamp_ms).collect()
}

/// A type 0 header of a message with one byte.
fn full(timestamp: [u8; 3]) -> Vec<u8> {
    [&[4][..], &timestamp, &[0, 0, 1, 8, 1, 0, 0, 0]].concat()
}

#[test]
fn written_messages_are_read_in_any_pieces() {
    let long: Vec<u8> = (0..1000_u32).map(|byte| byte as u8).collect();
    let messages = [
        message(20, 0, b"command"),
        message(9, 0xff_ffff, &long),
        message(8, u32::MAX, &long[..128]),
        message(8, 7, b""),
    ];
    let mut bytes = BytesMut::new();
    for (chunk_stream, message) in (3..).zip(&messages) {
        Writer::new().write(&mut bytes, chunk_stream, message);
    }
    for piece in [1, 2, 3, 127, 4096] {
        let mut reader = Reader::new();
        let read = read_in(&mut reader, &bytes, piece).unwrap();
        assert_eq!(read, messages, "pieces of {piece}");
        assert_eq!((reader.held_bytes(), reader.oldest()), (0, None));
    }
}

#[test]
fn header_types_inherit_what_they_leave_out() {
    let mut input = full([0, 0, 100]);
    input.push(b'a');
    input.extend([1 << 6 | 4, 0, 0, 20, 0, 0, 2, 9, b'b', b'c']);
    input.extend([2 << 6 | 4, 0, 0, 30, b'd', b'e']);
    input.extend([3 << 6 | 4, b'f', b'g']);
    let read = read_in(&mut Reader::new(), &input, 1).unwrap();
    let expect = [
        message(8, 100, b"a"),
        message(9, 120, b"bc"),
        message(9, 150, b"de"),
        message(9, 180, b"fg"),
    ];
    assert_eq!(read, expect);
}

#[test]
fn type_3_after_type_0_adds_the_timestamp_again() {
    let input = [&full([0, 0, 23])[..], b"a", &[3 << 6 | 4], b"b"].concat();
    assert_eq!(timestamps(&input), [23, 46]);
}

#[test]
fn extended_delta_counts_in_type_3_too() {
    let mut input = [&full([0, 0, 5])[..], b"a"].concat();
    input.extend([2 << 6 | 4, 0xff, 0xff, 0xff, 1, 0, 0, 0, b'b']);
    input.extend([3 << 6 | 4, 1, 0, 0, 1, b'c']);
    assert_eq!(timestamps(&input), [5, 0x100_0005, 0x200_0006]);
}

#[test]
fn extended_timestamp_may_be_left_out_inside_a_message() {
    let header = [4, 0xff, 0xff, 0xff, 0, 0, 200, 9, 1, 0, 0, 0, 2, 0, 0, 0];
    let payload: Vec<u8> = (0..200).collect();
    let repeated = [
        &header,
        &payload[..128],
        &[0xc4, 2, 0, 0, 0],
        &payload[128..],
    ]
    .concat();
    let left_out = [&header, &payload[..128], &[0xc4], &payload[128..]].concat();
    let expect = [message(9, 0x200_0000, &payload)];
    assert_eq!(read_in(&mut Reader::new(), &repeated, 7).unwrap(), expect);
    assert_eq!(read_in(&mut Reader::new(), &left_out, 7).unwrap(), expect);
}

#[test]
fn long_chunk_stream_ids_are_read() {
    for basic in [&[0, 0][..], &[0, 255], &[1, 0, 0], &[1, 255, 255]] {
        let input = [basic, &full([0, 0, 9])[1..], b"x"].concat();
        assert_eq!(timestamps(&input), [9], "{basic:?}");
    }
}

#[test]
fn interleaved_and_aborted_messages_are_kept_apart() {
    let mut reader = Reader::new();
    let mut bytes = BytesMut::new();
    let (video, audio) = (message(9, 1, &[1; 300]), message(8, 2, &[2; 10]));
    let mut whole = BytesMut::new();
    Writer::new().write(&mut whole, 6, &video);
    bytes.extend_from_slice(&whole[..12 + 128]);
    Writer::new().write(&mut bytes, 4, &audio);
    assert_eq!(read_in(&mut reader, &bytes, 64).unwrap(), [audio]);
    assert_eq!(reader.held_bytes(), 300);
    assert_eq!(reader.oldest(), Some(NOW));
    let rest = &whole[12 + 128..];
    assert_eq!(
        read_in(&mut reader, rest, 64).unwrap(),
        std::slice::from_ref(&video)
    );

    read_in(&mut reader, &bytes, 64).unwrap();
    reader.abort(6);
    assert_eq!((reader.held_bytes(), reader.oldest()), (0, None));
    assert_eq!(
        read_in(&mut reader, &whole, 64).unwrap(),
        std::slice::from_ref(&video)
    );

    // A new header gives up the unfinished message too.
    read_in(&mut reader, &bytes, 64).unwrap();
    assert_eq!(read_in(&mut reader, &whole, 64).unwrap(), [video]);
}

#[test]
fn chunk_size_is_bounded() {
    let mut reader = Reader::new();
    for bytes in [0, 1 << 20 | 1, 16 << 20, 0x7fff_ffff, u32::MAX] {
        assert_eq!(
            reader.set_chunk_bytes(bytes),
            Err(Error::ChunkSize { bytes })
        );
    }
    reader.set_chunk_bytes(1).unwrap();
    let input = [&full([0; 3])[..], b"a"].concat();
    assert_eq!(read_in(&mut reader, &input, 99).unwrap().len(), 1);
    reader.set_chunk_bytes(1 << 20).unwrap();
}

#[test]
fn messages_are_bounded_by_their_type() {
    let check = |kind: u8, length: [u8; 3], expect: Result<usize, usize>| {
        let [a, b, c] = length;
        let input = [4, 0, 0, 0, a, b, c, kind, 1, 0, 0, 0];
        let read = read_in(&mut Reader::new(), &input, 99);
        match expect {
            Ok(messages) => assert_eq!(read.map(|read| read.len()), Ok(messages)),
            Err(limit) => {
                let bytes = u32::from_be_bytes([0, a, b, c]);
                let error = Error::MessageTooLarge { kind, bytes, limit };
                assert_eq!(read, Err(error));
            }
        }
    };
    check(9, [0x7f, 0, 0], Ok(0));
    check(9, [0x81, 0, 0], Err(MEDIA_BYTES_MAX));
    check(20, [1, 0, 0], Ok(0));
    check(20, [1, 0, 1], Err(COMMAND_BYTES_MAX));
    check(1, [0, 0, 65], Err(CONTROL_BYTES_MAX));
}

#[test]
fn announced_messages_hold_no_memory() {
    let mut reader = Reader::new();
    reader.set_chunk_bytes(1).unwrap();
    for id in 0..CHUNK_STREAMS_MAX as u8 {
        let input = [0, id, 0, 0, 0, 0x7f, 0, 0, 9, 1, 0, 0, 0, 1];
        assert_eq!(read_in(&mut reader, &input, 99), Ok(vec![]));
    }
    assert_eq!(reader.held_bytes(), CHUNK_STREAMS_MAX * FIRST_RESERVE_BYTES);
    let input = [0, 200, 0, 0, 0, 0x7f, 0, 0, 9, 1, 0, 0, 0];
    assert_eq!(read_in(&mut reader, &input, 99), Err(Error::TooManyStreams));
}

#[test]
fn unfinished_messages_are_bounded_in_sum() {
    let mut reader = Reader::new();
    reader.set_chunk_bytes(1 << 20).unwrap();
    let mut error = None;
    for id in 0..CHUNK_STREAMS_MAX as u8 {
        let mut input = vec![0, id, 0, 0, 0, 0x7f, 0, 0, 9, 1, 0, 0, 0];
        input.resize(input.len() + (1 << 20), 0);
        error = read_in(&mut reader, &input, 8192).err();
        assert!(reader.held_bytes() <= HELD_BYTES_MAX);
        if error.is_some() {
            break;
        }
    }
    assert_eq!(error, Some(Error::TooManyHeld));
}

#[test]
fn chunk_streams_begin_with_a_whole_header() {
    for format in [2, 3] {
        let read = read_in(&mut Reader::new(), &[format << 6 | 5, 0, 0, 0], 99);
        let chunk_stream = 5;
        let expect = Error::NoFirstHeader {
            chunk_stream,
            format,
        };
        assert_eq!(read, Err(expect));
    }
    assert_eq!(timestamps(&[1 << 6 | 2, 0, 0, 9, 0, 0, 1, 8, b'x']), [9]);
}
