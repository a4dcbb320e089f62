//! HTTP-FLV: what viewers of a hall read.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::Method;
use rushlane::delivery::{Config, FlvConfig};
use rushlane::live;
use rushlane::net::http::{Body, Reply, Sink};
use rushlane::runtime::clock;
use tokio::io::{AsyncReadExt as _, DuplexStream};
use tokio::sync::mpsc;

use crate::show::{Answer, GROUP, PICTURE, Show, on_worker};

/// One tag as a player sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Tag {
    Metadata,
    VideoConfig { at_ms: u32 },
    Video { at_ms: u32, key: bool, bytes: usize },
    AudioConfig { at_ms: u32 },
    Audio { at_ms: u32 },
}

/// A player at the other end of a connection.
struct Player {
    connection: DuplexStream,
    buffer: BytesMut,
    /// The flags of the file header.
    flags: u8,
}

impl Player {
    /// Joins `/live/r.flv` with `query`, over a connection that holds `bytes` bytes.
    async fn join(show: &Show, query: &str, bytes: usize) -> Self {
        let (ours, theirs) = tokio::io::duplex(bytes);
        enter(show, query, Sink::Connection(Box::new(theirs)));
        Self {
            connection: ours,
            buffer: BytesMut::new(),
            flags: 0,
        }
    }

    /// The next tag; none once the stream has ended.
    async fn tag(&mut self) -> Option<Tag> {
        if self.flags == 0 {
            self.fill(13).await.then_some(())?;
            let header = self.buffer.split_to(13);
            assert_eq!(&header[..4], b"FLV\x01");
            self.flags = header[4];
        }
        self.fill(11).await.then_some(())?;
        let size = usize::try_from((&self.buffer[1..4]).get_uint(3)).unwrap();
        self.fill(11 + size + 4).await.then_some(())?;
        Some(parse(self.buffer.split_to(11 + size + 4).freeze()))
    }

    /// The tags that are there, without waiting for more.
    async fn tags(&mut self) -> Vec<Tag> {
        let mut tags = Vec::new();
        let quiet = Duration::from_millis(100);
        while let Ok(Some(tag)) = tokio::time::timeout(quiet, self.tag()).await {
            tags.push(tag);
        }
        tags
    }

    async fn fill(&mut self, bytes: usize) -> bool {
        while self.buffer.len() < bytes {
            if self
                .connection
                .read_buf(&mut self.buffer)
                .await
                .unwrap_or(0)
                == 0
            {
                return false;
            }
        }
        true
    }
}

fn enter(show: &Show, query: &str, sink: Sink) {
    let target = format!("/live/r.flv{query}");
    let Reply::Ready(response) = show.request(Method::GET, &target, &[]) else {
        panic!("it waits");
    };
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "video/x-flv");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let Body::Live(begin) = response.into_body() else {
        panic!("a body with an end");
    };
    begin(sink);
}

fn parse(mut tag: Bytes) -> Tag {
    let back = (&tag[tag.len() - 4..]).get_u32();
    assert_eq!(
        usize::try_from(back).unwrap() + 4,
        tag.len(),
        "the back pointer"
    );
    let kind = tag.get_u8();
    tag.advance(3);
    let low = u32::try_from(tag.get_uint(3)).unwrap();
    let at_ms = u32::from(tag.get_u8()) << 24 | low;
    tag.advance(3);
    let (first, packet) = (tag[0], tag[1]);
    match (kind, packet) {
        (18, _) => Tag::Metadata,
        (9, 0) => Tag::VideoConfig { at_ms },
        (9, _) => Tag::Video {
            at_ms,
            key: first >> 4 == 1,
            bytes: tag.len() - 4 - 5,
        },
        (8, 0) => Tag::AudioConfig { at_ms },
        (8, _) => Tag::Audio { at_ms },
        _ => panic!("a tag of kind {kind}"),
    }
}

fn pictures(tags: &[Tag]) -> Vec<(u32, bool)> {
    let picture = |tag: &Tag| match tag {
        Tag::Video { at_ms, key, .. } => Some((*at_ms, *key)),
        _ => None,
    };
    tags.iter().filter_map(picture).collect()
}

fn sounds(tags: &[Tag]) -> Vec<u32> {
    let sound = |tag: &Tag| match tag {
        Tag::Audio { at_ms } => Some(*at_ms),
        _ => None,
    };
    tags.iter().filter_map(sound).collect()
}

/// When picture `number` is decoded, in milliseconds, rounded.
fn at_ms(number: u64) -> u32 {
    u32::try_from((number as i64 * PICTURE + 45) / 90).unwrap()
}

#[tokio::test(start_paused = true)]
async fn new_viewer_gets_the_pictures_so_far_and_is_live() {
    on_worker(async {
        let mut show = Show::start();
        show.groups(1);
        show.pictures(40);
        let mut player = Player::join(&show, "", 1 << 20).await;
        let tags = player.tags().await;
        assert_eq!(player.flags, 5, "sound and pictures");
        assert_eq!(tags[0], Tag::Metadata);
        assert!(matches!(tags[1], Tag::VideoConfig { .. }));
        assert!(matches!(tags[2], Tag::AudioConfig { .. }));
        let burst = pictures(&tags);
        assert_eq!(burst.len(), 40);
        assert!(burst[0].1, "a key frame first");
        assert_eq!(
            burst[39].0,
            at_ms(GROUP + 39),
            "the newest picture at its true time"
        );
        assert!(burst[39].0 - burst[0].0 <= 150);
        assert!(burst.is_sorted());
        assert!(!sounds(&tags).is_empty());

        show.pictures(30);
        let live = player.tags().await;
        let expected: Vec<_> = (100..130).map(|n| (at_ms(n), n % GROUP == 0)).collect();
        assert_eq!(pictures(&live), expected);
        let mut all = sounds(&tags);
        all.extend(sounds(&live));
        assert!(
            all.windows(2)
                .all(|pair| (21..=22).contains(&(pair[1] - pair[0]))),
            "{all:?}"
        );
        assert_eq!(show.delivery.viewers("r").flv, 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn pictures_that_are_merged_come_together_and_each_once() {
    on_worker(async {
        let mut show = Show::start();
        show.pictures(40);
        let mut player = Player::join(&show, "?merge=100", 1 << 20).await;
        let burst = pictures(&player.tags().await);
        assert_eq!((burst.len(), burst[39].0), (40, at_ms(39)));

        show.pictures(1);
        tokio::time::sleep(Duration::from_millis(60)).await;
        let early = tokio::time::timeout(Duration::from_millis(30), player.tag());
        assert!(early.await.is_err(), "it waits for others");
        show.pictures(2);
        let mut late = Player::join(&show, "?merge=100", 1 << 20).await;
        assert_eq!(pictures(&player.tags().await).len(), 3);
        let shown = pictures(&late.tags().await);
        assert_eq!(shown.len(), 43, "neither twice nor left out: {shown:?}");
        assert!(shown.is_sorted());

        // A key frame that still waits is where a newcomer enters.
        show.pictures(17);
        tokio::time::sleep(Duration::from_millis(150)).await;
        show.pictures(1);
        tokio::time::sleep(Duration::from_millis(50)).await;
        let mut next = Player::join(&show, "?merge=100", 1 << 20).await;
        let shown = pictures(&next.tags().await);
        assert_eq!(shown, [(at_ms(60), true)]);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn viewer_of_a_cold_node_starts_when_the_feed_is_live() {
    on_worker(async {
        let mut show = Show::start();
        show.ingest_us = clock::unix_us() - 1_000_000;
        show.pictures(1);
        let mut player = Player::join(&show, "", 1 << 20).await;
        for _ in 0..10 {
            show.pictures(2);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(player.tags().await, [], "what came so far was late");
        show.ingest_us = clock::unix_us();
        show.pictures(1);
        let burst = pictures(&player.tags().await);
        assert_eq!(burst.len(), 22);
        assert!(burst[21].0 - burst[0].0 <= 150);

        // A host that is silent, or a clock that is wrong, must not keep anybody out.
        show.ingest_us = 1;
        show.pictures(1);
        let mut patient = Player::join(&show, "?audio=only", 1 << 20).await;
        assert!(patient.tag().await.is_some());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn viewer_of_the_live_start_waits_for_a_key_frame() {
    on_worker(async {
        let mut show = Show::start();
        show.pictures(40);
        let mut player = Player::join(&show, "?start=live", 1 << 20).await;
        let first = player.tags().await;
        assert_eq!(first.len(), 3, "metadata and configurations: {first:?}");
        show.pictures(30);
        let tags = player.tags().await;
        assert_eq!(pictures(&tags)[0], (at_ms(GROUP), true));
        assert_eq!(pictures(&tags).len(), 10);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn sound_alone_has_no_pictures() {
    on_worker(async {
        let mut show = Show::start();
        show.pictures(40);
        let mut player = Player::join(&show, "?audio=only", 1 << 20).await;
        let first = player.tags().await;
        assert_eq!(player.flags, 4);
        assert_eq!(first[0], Tag::Metadata);
        assert!(matches!(first[1], Tag::AudioConfig { .. }));
        show.pictures(30);
        let mut all = sounds(&first);
        all.extend(sounds(&player.tags().await));
        assert!(pictures(&first).is_empty());
        assert!(all.len() > 40 && all.is_sorted());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn sound_leaves_with_the_next_picture_or_soon() {
    on_worker(async {
        let mut show = Show::start();
        show.pictures(5);
        let mut player = Player::join(&show, "", 1 << 20).await;
        player.tags().await;
        let before = clock::now();
        show.sounds(2);
        let first = player.tag().await.unwrap();
        let waited = clock::now() - before;
        assert!((35..40).contains(&waited.as_millis()), "{waited:?}");
        assert_eq!(sounds(&[first]).len(), 1);
        assert_eq!(
            player.tags().await.len(),
            1,
            "the second leaves with the first"
        );
        show.sounds(1);
        let before = clock::now();
        show.pictures(1);
        let tags = [player.tag().await.unwrap(), player.tag().await.unwrap()];
        assert_eq!(
            clock::now(),
            before,
            "the picture takes the sound along at once"
        );
        assert_eq!((pictures(&tags).len(), sounds(&tags).len()), (1, 1));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn new_configuration_goes_in_line() {
    on_worker(async {
        let mut show = Show::start();
        show.pictures(GROUP);
        let mut player = Player::join(&show, "", 1 << 20).await;
        player.tags().await;
        show.init_id = 1;
        show.discontinuities = 1;
        show.pictures(10);
        let tags = player.tags().await;
        let config = tags
            .iter()
            .position(|tag| matches!(tag, Tag::VideoConfig { .. }));
        let key = tags
            .iter()
            .position(|tag| matches!(tag, Tag::Video { key: true, .. }));
        assert!(config.unwrap() < key.unwrap(), "{tags:?}");
        assert!(
            tags.iter()
                .any(|tag| matches!(tag, Tag::AudioConfig { .. }))
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn slow_viewer_is_skipped_and_its_sibling_is_not() {
    on_worker(async {
        let mut show = Show::start();
        show.pictures(10);
        let mut slow = Player::join(&show, "", 20_000).await;
        let mut quick = Player::join(&show, "", 1 << 20).await;
        let mut seen = pictures(&quick.tags().await);
        for _ in 0..40 {
            show.pictures(10);
            seen.extend(pictures(&quick.tags().await));
        }
        let expected: Vec<_> = (10..410).map(|n| (at_ms(n), n % GROUP == 0)).collect();
        assert_eq!(seen[10..], expected, "the sibling missed nothing");

        let got = pictures(&slow.tags().await);
        assert!(got.len() < 100, "{} pictures", got.len());
        assert!(
            got.windows(2).all(|pair| pair[1].0 - pair[0].0 <= 34),
            "no hole so far"
        );
        show.pictures(20);
        let back = slow.tags().await;
        assert!(matches!(back[0], Tag::VideoConfig { .. }), "{back:?}");
        let expected: Vec<_> = (420..430).map(|n| (at_ms(n), n == 420)).collect();
        assert_eq!(
            pictures(&back),
            expected,
            "it goes on at the next key frame, live"
        );
        assert!(
            show.metrics
                .encode()
                .contains("rushlane_delivery_flv_skips_total 1")
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn viewer_that_takes_nothing_is_closed() {
    on_worker(async {
        let config = Config {
            flv: FlvConfig {
                slow_close_seconds: 3,
                ..FlvConfig::default()
            },
            ..Config::default()
        };
        let mut show = Show::with(config, live::Config::default());
        show.pictures(10);
        let mut stuck = Player::join(&show, "", 2000).await;
        for _ in 0..50 {
            show.pictures(3);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(show.delivery.viewers("r").flv, 0);
        while stuck.tag().await.is_some() {}
        assert!(
            show.metrics
                .encode()
                .contains("rushlane_delivery_flv_closed_slow_total 1")
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn end_of_the_show_ends_the_stream() {
    on_worker(async {
        let mut show = Show::start();
        show.pictures(10);
        let mut player = Player::join(&show, "", 1 << 20).await;
        player.tags().await;
        show.pictures(5);
        show.broadcast.end();
        let mut last = Vec::new();
        while let Some(tag) = player.tag().await {
            last.push(tag);
        }
        assert_eq!(pictures(&last).len(), 5, "all pictures came before the end");
        assert_eq!(show.delivery.viewers("r").flv, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn queues_of_http2_get_whole_batches() {
    on_worker(async {
        let mut show = Show::start();
        show.pictures(10);
        let (sender, mut receiver) = mpsc::channel(2);
        enter(&show, "", Sink::Queue(sender));
        let opening = receiver.recv().await.unwrap();
        assert!(opening.starts_with(b"FLV"));
        show.pictures(20);
        tokio::time::sleep(Duration::from_millis(200)).await;
        let mut got = 0;
        while let Ok(Some(batch)) =
            tokio::time::timeout(Duration::from_millis(50), receiver.recv()).await
        {
            let mut rest = batch;
            while !rest.is_empty() {
                let size = usize::try_from((&rest[1..4]).get_uint(3)).unwrap();
                let tag = parse(rest.split_to(11 + size + 4));
                got += usize::from(matches!(tag, Tag::Video { .. }));
            }
        }
        assert_eq!(got, 20);
        drop(receiver);
        show.pictures(1);
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(show.delivery.viewers("r").flv, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn drain_ends_streams_and_refuses_new_ones() {
    on_worker(async {
        let mut show = Show::start();
        show.pictures(10);
        let mut player = Player::join(&show, "", 1 << 20).await;
        player.tags().await;
        show.delivery.drain(Duration::ZERO);
        assert_eq!(player.tag().await, None);
        assert_eq!(show.get("/live/r.flv").await.status, 503);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn wrong_parameters_are_explained() {
    on_worker(async {
        let show = Show::start();
        for (query, status) in [
            ("?rendition=1080p", 404),
            ("?audio=none", 400),
            ("?start=old", 400),
            ("?merge=70", 400),
            ("?merge=1050", 400),
        ] {
            let target = format!("/live/r.flv{query}");
            let Reply::Ready(response) = show.request(Method::GET, &target, &[]) else {
                panic!("it waits");
            };
            assert_eq!(Answer::of(response).status, status, "{query}");
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn silence_and_return_of_the_host_are_survived() {
    on_worker(async {
        let mut show = Show::start();
        show.pictures(10);
        let mut player = Player::join(&show, "", 1 << 20).await;
        player.tags().await;
        show.finish_group();
        tokio::time::sleep(Duration::from_secs(20)).await;
        show.number = 5 * GROUP;
        for id in 1..5 {
            show.video.miss(rushlane::media::group::Id(id));
            show.audio.miss(rushlane::media::group::Id(id));
        }
        show.init_id = 1;
        show.discontinuities = 1;
        show.pictures(10);
        let tags = player.tags().await;
        assert_eq!(pictures(&tags)[0], (at_ms(5 * GROUP), true));
        assert_eq!(pictures(&tags).len(), 10);
    })
    .await;
}
