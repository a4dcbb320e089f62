//! DOMAIN table 1.4, row by row, and what stands around it.

use std::cell::Cell;
use std::io::Read as _;
use std::time::Duration;

use futures_util::future::join_all;
use http::Method;
use rushlane::delivery::Config;
use rushlane::live;
use rushlane::media::group::Id;
use rushlane::net::http::Reply;
use rushlane::runtime::clock;

use crate::show::{Answer, GROUP, Show, media, on_worker};

/// Five whole segments and two parts of the sixth; the newest part is 5.1.
async fn show() -> Show {
    let mut show = Show::start();
    show.groups(5);
    show.pictures(20);
    show.warm(5, 1).await;
    show
}

/// The replies of waiting requests after `feed`.
async fn after(show: &mut Show, targets: &[String], feed: impl FnOnce(&mut Show)) -> Vec<Answer> {
    let later = targets.iter().map(|target| {
        let Reply::Later(later) = show.request(Method::GET, target, &[]) else {
            panic!("{target}: answered at once");
        };
        let bytes = size_of_val(&*later);
        assert!(bytes <= 1024, "a waiting request holds {bytes} bytes");
        later
    });
    let later: Vec<_> = later.collect();
    let waiting = join_all(later);
    let feeding = async {
        tokio::time::sleep(Duration::from_millis(10)).await;
        feed(show);
    };
    let (answers, ()) = tokio::join!(biased; waiting, feeding);
    answers.into_iter().map(Answer::of).collect()
}

#[tokio::test(start_paused = true)]
async fn multivariant_names_both_tracks() {
    on_worker(async {
        let show = show().await;
        let answer = show.get("/live/r/index.m3u8?token=secret").await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            answer.header("content-type"),
            "application/vnd.apple.mpegurl"
        );
        assert_eq!(answer.header("cache-control"), "max-age=1");
        assert_eq!(answer.header("access-control-allow-origin"), "*");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("timing-allow-origin"), "*");
        assert!(answer.text().contains("e1/video/media.m3u8"));
        assert!(answer.text().contains("e1/audio/media.m3u8"));
        assert!(answer.text().contains("RESOLUTION=320x180"));
        assert!(!answer.text().contains("secret"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn playlist_without_directives_comes_at_once() {
    on_worker(async {
        let show = show().await;
        let target = media("video", "?token=x&CMCD=y");
        let Reply::Ready(response) = show.request(Method::GET, &target, &[]) else {
            panic!("it waits");
        };
        let answer = Answer::of(response);
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("cache-control"), "max-age=1");
        assert_eq!(answer.header("age"), "0");
        assert_eq!(answer.header("vary"), "accept-encoding");
        assert!(answer.text().contains("#EXTINF:2.000"));
        assert!(answer.text().contains("URI=\"5.1.m4s\""));
        assert!(answer.text().contains("TYPE=PART,URI=\"5.2.m4s\""));
        assert!(
            answer
                .text()
                .contains("RENDITION-REPORT:URI=\"../audio/media.m3u8\"")
        );
        quick_m3u8_reads(answer.text());
    })
    .await;
}

fn quick_m3u8_reads(text: &str) {
    let mut reader = quick_m3u8::Reader::from_str(text, Default::default());
    while reader.read_line().expect("a line of a playlist").is_some() {}
}

#[tokio::test(start_paused = true)]
async fn segment_that_is_there_is_no_wait() {
    on_worker(async {
        let show = show().await;
        for query in [
            "?_HLS_msn=4",
            "?_HLS_msn=5&_HLS_part=1",
            "?_HLS_msn=4&_HLS_part=6",
        ] {
            let target = media("video", query);
            assert!(!show.waits(&target), "{query}");
            let answer = show.get(&target).await;
            assert_eq!(answer.status, 200);
            assert_eq!(answer.header("cache-control"), "max-age=12");
            assert!(
                answer.text().contains("5.1.m4s"),
                "the whole current playlist"
            );
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn next_part_is_waited_for() {
    on_worker(async {
        let mut show = show().await;
        let targets = [media("video", "?_HLS_part=2&_HLS_msn=5")];
        let answers = after(&mut show, &targets, |show| show.pictures(10)).await;
        assert_eq!(answers[0].status, 200);
        assert!(answers[0].text().contains("URI=\"5.2.m4s\""));
        assert_eq!(answers[0].header("cache-control"), "max-age=12");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn whole_segment_is_waited_for() {
    on_worker(async {
        let mut show = show().await;
        let targets = [media("video", "?_HLS_msn=5"), media("video", "?_HLS_msn=6")];
        let answers = after(&mut show, &targets, |show| show.pictures(2 * GROUP)).await;
        assert!(answers[0].text().contains("\n5.m4s"));
        assert!(answers[1].text().contains("\n6.m4s"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn part_past_the_end_is_part_zero_of_the_next() {
    on_worker(async {
        let mut show = show().await;
        let targets = [media("video", "?_HLS_msn=5&_HLS_part=7")];
        let answers = after(&mut show, &targets, |show| show.pictures(50)).await;
        assert!(answers[0].text().contains("URI=\"6.0.m4s\""));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn request_held_too_long_gets_503_in_time() {
    on_worker(async {
        let show = show().await;
        let before = clock::now();
        let answer = show.get(&media("video", "?_HLS_msn=5&_HLS_part=2")).await;
        assert_eq!(answer.status, 503);
        assert_eq!(answer.header("retry-after"), "1");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(before.elapsed().as_secs(), 6, "three target durations");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn bad_directives_get_400() {
    on_worker(async {
        let show = show().await;
        for query in [
            "?_HLS_part=1",
            "?_HLS_msn=x",
            "?_HLS_msn=-1",
            "?_HLS_msn=5&_HLS_msn=5",
            "?_HLS_skip=no",
            "?_HLS_msn=8",
            "?_HLS_msn=5&_HLS_part=90",
        ] {
            let answer = show.get(&media("video", query)).await;
            assert_eq!(answer.status, 400, "{query}");
            assert_eq!(answer.header("cache-control"), "no-store");
            let problem: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
            assert_eq!(problem["status"], 400);
            assert_eq!(problem["title"], "Bad Request");
            assert!(!problem["detail"].as_str().unwrap().is_empty());
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn delta_update_leaves_old_segments_out() {
    on_worker(async {
        let mut show = Show::start();
        show.groups(14);
        show.warm(13, 5).await;
        let whole = show.get(&media("video", "?_HLS_msn=12")).await;
        let delta = show
            .get(&media("video", "?_HLS_msn=12&_HLS_skip=YES"))
            .await;
        assert!(delta.text().contains("#EXT-X-SKIP:SKIPPED-SEGMENTS="));
        assert!(delta.body.len() < whole.body.len());
        let second = show.get(&media("video", "?_HLS_skip=v2")).await;
        assert_eq!(second.body, delta.body);
        assert_eq!(second.header("cache-control"), "max-age=1");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ended_show_gives_its_last_playlist_then_410() {
    on_worker(async {
        let mut show = show().await;
        let waiting = [media("video", "?_HLS_msn=5&_HLS_part=2")];
        let answers = after(&mut show, &waiting, |show| {
            show.finish_group();
            show.broadcast.end();
        })
        .await;
        assert!(answers[0].text().ends_with("#EXT-X-ENDLIST\n"));
        let answer = show
            .get(&media("video", "?_HLS_msn=99&_HLS_skip=YES"))
            .await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("cache-control"), "max-age=60");
        assert!(answer.text().ends_with("#EXT-X-ENDLIST\n"));
        let Show {
            service,
            broadcast,
            store,
            ..
        } = show;
        drop(broadcast);
        assert!(store.has_ended("r", "e1"));
        let uri = "/live/r/e1/video/5.m4s".parse().unwrap();
        let request = rushlane::net::http::Request {
            method: Method::GET,
            uri,
            headers: http::HeaderMap::new(),
            protocol: rushlane::net::http::Protocol::H1,
            secure: false,
            peer: ([127, 0, 0, 1], 1).into(),
            body: bytes::Bytes::new(),
            upgrade: None,
            extensions: http::Extensions::new(),
            direct: None,
            slip: rushlane::telemetry::access::Slip::default(),
        };
        let Reply::Ready(response) = service.call(request) else {
            panic!("it waits");
        };
        let answer = Answer::of(response);
        assert_eq!(answer.status, 410);
        assert_eq!(answer.header("cache-control"), "max-age=12");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn parts_make_up_their_segment() {
    on_worker(async {
        let show = show().await;
        let whole = show.get("/live/r/e1/video/4.m4s").await;
        assert_eq!(whole.status, 200);
        assert_eq!(whole.header("content-type"), "video/iso.segment");
        assert_eq!(whole.header("cache-control"), "max-age=86400, immutable");
        assert_eq!(whole.header("accept-ranges"), "bytes");
        let mut parts = Vec::new();
        for index in 0..6 {
            let part = show.get(&format!("/live/r/e1/video/4.{index}.m4s")).await;
            assert_eq!(part.status, 200);
            assert_eq!(part.header("cache-control"), "max-age=86400, immutable");
            parts.extend_from_slice(&part.body);
        }
        assert_eq!(whole.body, parts);
        let init = show.get("/live/r/e1/video/init-0.mp4").await;
        assert_eq!(init.status, 200);
        assert_eq!(init.header("content-type"), "video/mp4");
        assert_eq!(&init.body[4..8], b"ftyp");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn hinted_part_is_held_until_it_is_whole() {
    on_worker(async {
        let mut show = show().await;
        let targets = ["/live/r/e1/video/5.2.m4s".to_owned()];
        let answers = after(&mut show, &targets, |show| show.pictures(10)).await;
        assert_eq!(answers[0].status, 200);
        assert!(answers[0].body.len() > 10 * 500);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn hint_that_is_given_up_gets_404() {
    on_worker(async {
        let mut show = show().await;
        let targets = ["/live/r/e1/video/5.2.m4s".to_owned()];
        let answers = after(&mut show, &targets, |show| {
            // The host comes back: the segment ends here, and another one begins.
            show.finish_group();
            show.number = 6 * GROUP;
            show.discontinuities += 1;
            show.init_id += 1;
            show.pictures(10);
        })
        .await;
        assert_eq!(answers[0].status, 404);
        assert_eq!(answers[0].header("cache-control"), "max-age=2");
        let playlist = show.get(&media("video", "")).await;
        assert!(
            playlist
                .text()
                .contains("#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"init-1.mp4\"")
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn unknown_objects_get_404() {
    on_worker(async {
        let show = show().await;
        for path in [
            "/live/r/e1/video/5.4.m4s",
            "/live/r/e1/video/4.6.m4s",
            "/live/r/e1/video/7.m4s",
            "/live/r/e1/video/init-1.mp4",
            "/live/r/e1/1080p/media.m3u8",
            "/live/r/e2/video/media.m3u8",
            "/live/other/index.m3u8",
            "/live/other.flv",
            "/live/other/e1/video/media.m3u8",
        ] {
            let answer = show.get(path).await;
            assert_eq!(answer.status, 404, "{path}");
            assert_eq!(answer.header("content-type"), "application/problem+json");
            assert!(
                answer.header("cache-control").starts_with("max-age="),
                "{path}"
            );
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn open_segment_is_held_for_a_viewer_from_a_faster_node() {
    on_worker(async {
        let mut show = show().await;
        let targets = ["/live/r/e1/video/5.m4s".to_owned()];
        let answers = after(&mut show, &targets, |show| show.pictures(50)).await;
        assert_eq!(answers[0].status, 200);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn ranges_and_conditions_are_honoured() {
    on_worker(async {
        let show = show().await;
        let target = "/live/r/e1/video/4.0.m4s";
        let whole = show.get(target).await;
        let length = whole.body.len();
        let etag = whole.header("etag").to_owned();
        let cases = [
            (
                "bytes=0-9",
                206,
                format!("bytes 0-9/{length}"),
                &whole.body[..10],
            ),
            (
                "bytes=10-",
                206,
                format!("bytes 10-{}/{length}", length - 1),
                &whole.body[10..],
            ),
            (
                "bytes=5-9007199254740991",
                206,
                format!("bytes 5-{}/{length}", length - 1),
                &whole.body[5..],
            ),
        ];
        for (range, status, content_range, body) in cases {
            let answer = show.get_with(target, &[("range", range)]).await;
            assert_eq!(answer.status, status, "{range}");
            assert_eq!(answer.header("content-range"), content_range);
            assert_eq!(answer.header("cache-control"), "max-age=86400, immutable");
            assert_eq!(answer.body, body);
        }
        let past = show.get_with(target, &[("range", "bytes=99999999-")]).await;
        assert_eq!(past.status, 416);
        assert_eq!(past.header("content-range"), format!("bytes */{length}"));
        let known = show.get_with(target, &[("if-none-match", &etag)]).await;
        assert_eq!((known.status, known.body.len()), (304, 0));
        let other = [("range", "bytes=0-9"), ("if-range", "\"other\"")];
        assert_eq!(show.get_with(target, &other).await.status, 200);
        let same = [("range", "bytes=0-9"), ("if-range", &*etag)];
        assert_eq!(show.get_with(target, &same).await.status, 206);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn playlists_are_packed_for_those_who_read_gzip() {
    on_worker(async {
        let show = show().await;
        for target in [media("video", ""), "/live/r/index.m3u8".into()] {
            let plain = show
                .get_with(&target, &[("accept-encoding", "gzip;q=0")])
                .await;
            let packed = show
                .get_with(&target, &[("accept-encoding", "br, gzip")])
                .await;
            assert_eq!(plain.header("content-encoding"), "");
            assert_eq!(packed.header("content-encoding"), "gzip");
            let mut text = Vec::new();
            flate2::read::GzDecoder::new(&*packed.body)
                .read_to_end(&mut text)
                .unwrap();
            assert_eq!(plain.body, text);
        }
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_thousand_waiters_wake_with_one_part() {
    on_worker(async {
        let mut show = show().await;
        let target = media("video", "?_HLS_msn=5&_HLS_part=2");
        let targets = vec![target; 1000];
        assert!(
            show.metrics
                .encode()
                .contains("rushlane_delivery_hls_parked 0")
        );
        let answers = after(&mut show, &targets, |show| {
            assert!(
                show.metrics
                    .encode()
                    .contains("rushlane_delivery_hls_parked 1000")
            );
            show.pictures(10);
        })
        .await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        let first = answers[0].body.as_ptr();
        let shared = answers.iter().all(|answer| answer.body.as_ptr() == first);
        assert!(shared, "all have the same bytes");
        assert!(
            show.metrics
                .encode()
                .contains("rushlane_delivery_hls_parked 0")
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn waiters_are_bounded() {
    on_worker(async {
        let config = Config {
            waiters_max: 2,
            ..Config::default()
        };
        let mut show = Show::with(config, live::Config::default());
        show.pictures(20);
        show.warm(0, 1).await;
        let target = media("video", "?_HLS_msn=0&_HLS_part=2");
        let ask = || show.request(Method::GET, &target, &[]);
        let held = [ask(), ask()];
        let Reply::Ready(response) = ask() else {
            panic!("it waits");
        };
        assert_eq!(Answer::of(response).status, 503);
        // A request that goes away makes room.
        drop(held);
        assert!(show.waits(&target));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn idle_shelf_lets_go_of_its_track() {
    on_worker(async {
        let mut show = show().await;
        assert_eq!(*show.video.demand().borrow(), 1);
        tokio::time::sleep(Duration::from_secs(40)).await;
        assert_eq!(*show.video.demand().borrow(), 0);
        show.pictures(10);
        show.warm(5, 2).await;
        assert_eq!(*show.video.demand().borrow(), 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn playlist_waits_until_the_backfill_reaches_the_live_edge() {
    on_worker(async {
        let mut show = Show::start();
        // As on a cold edge: the window begins at group 3, and group 5 comes first.
        show.video.set_start(Id(3));
        show.number = 5 * GROUP;
        show.pictures(20);
        let target = media("video", "");
        let Reply::Later(later) = show.request(Method::GET, &target, &[]) else {
            panic!("answered before anything was there");
        };
        let missed = Cell::new(false);
        let backfill = async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            missed.set(true);
            show.video.miss(Id(3));
            show.video.miss(Id(4));
        };
        let waiting = async {
            let response = later.await;
            assert!(missed.get(), "answered with an old playlist");
            Answer::of(response)
        };
        let (answer, ()) = tokio::join!(waiting, backfill);
        assert_eq!(answer.status, 200);
        assert!(answer.text().contains("5.1.m4s"));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn viewers_are_measured_by_their_playlists() {
    on_worker(async {
        let mut show = show().await;
        for _ in 0..60 {
            show.pictures(10);
            let part = (show.number % GROUP) / 10;
            let (msn, part) = match part {
                0 => (show.number / GROUP - 1, 5),
                part => (show.number / GROUP, part - 1),
            };
            for _viewer in 0..3 {
                show.warm(msn, part).await;
            }
            tokio::time::sleep(Duration::from_millis(334)).await;
        }
        assert_eq!(show.delivery.viewers("r").hls, 3);
    })
    .await;
}
