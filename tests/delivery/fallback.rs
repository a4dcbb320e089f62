//! What lies behind the live window, and beside it: old segments, lists, methods, random paths.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use http::Method;
use rushlane::delivery::Config;
use rushlane::live::{self, FetchError, Upstream};
use rushlane::media::RoomName;
use rushlane::media::group::{Group, Id};
use rushlane::net::http::Reply;

use crate::show::{Answer, Show, media, on_worker};

/// A parent that has one old group, and counts who asks.
#[derive(Debug)]
struct Parent {
    group: Arc<Group>,
    fetches: AtomicUsize,
}

type Fetched = Result<Arc<Group>, FetchError>;

impl Upstream for Parent {
    fn fetch(
        &self,
        _room: RoomName,
        _epoch: Arc<str>,
        _track: Arc<str>,
        group: Id,
    ) -> Pin<Box<dyn Future<Output = Fetched> + Send>> {
        self.fetches.fetch_add(1, Ordering::Relaxed);
        let found = (group == self.group.head.id).then(|| self.group.clone());
        Box::pin(async move {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            found.ok_or(FetchError::NotFound(group))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn old_segment_is_fetched_once_for_all() {
    on_worker(async {
        let config = Config {
            playlist_window_seconds: 12,
            ..Config::default()
        };
        let live = live::Config {
            window_seconds: 20,
            ..live::Config::default()
        };
        let mut show = Show::with(config, live);
        show.groups(2);
        show.warm(1, 0).await;
        let early = show.get("/live/r/e1/video/0.m4s").await.body;
        let group = Arc::new(show.video.consumer().group(Id(0)).unwrap());
        let parent = Arc::new(Parent {
            group,
            fetches: AtomicUsize::new(0),
        });
        show.store.set_upstream(parent.clone());
        for _ in 0..20 {
            show.groups(1);
            tokio::task::yield_now().await;
        }
        show.warm(21, 5).await;
        assert!(show.video.consumer().group(Id(0)).is_none());

        let asks = (0..100).map(|_| show.get("/live/r/e1/video/0.m4s"));
        let answers = join_all(asks).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
        assert_eq!(answers[0].body, early, "the same bytes as when it was live");
        assert_eq!(
            answers[0].header("cache-control"),
            "max-age=86400, immutable"
        );
        let range = [("range", "bytes=0-7")];
        assert_eq!(
            show.get_with("/live/r/e1/video/0.m4s", &range).await.status,
            206
        );
        assert_eq!(parent.fetches.load(Ordering::Relaxed), 1);

        for _ in 0..3 {
            assert_eq!(show.get("/live/r/e1/video/1.m4s").await.status, 404);
        }
        assert_eq!(
            parent.fetches.load(Ordering::Relaxed),
            2,
            "a miss is remembered"
        );
        assert_eq!(
            show.get("/live/r/e1/video/0.0.m4s").await.status,
            404,
            "parts are not kept"
        );
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn rooms_are_listed() {
    on_worker(async {
        let mut show = Show::start();
        show.pictures(10);
        let answer = show.get("/rooms").await;
        assert_eq!(answer.header("content-type"), "application/json");
        let list: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(list["node"], "edge-1");
        let room = &list["rooms"][0];
        assert_eq!(room["room"], "r");
        assert_eq!(room["epoch"], "e1");
        assert_eq!(room["since_ms"], 1000);
        assert_eq!(room["viewers"], 0);
        assert_eq!(room["tracks"][0]["name"], "video");
        assert_eq!(room["tracks"][0]["codec"], "avc1.64000d");
        assert_eq!(room["tracks"][0]["width"], 320);
        assert_eq!(room["tracks"][0]["frame_rate"], 30.0);
        assert_eq!(room["tracks"][1]["kind"], "audio");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn other_methods_are_told_which_there_are() {
    on_worker(async {
        let show = Show::start();
        let call = |method| match show.request(method, "/live/r/index.m3u8", &[]) {
            Reply::Ready(response) => Answer::of(response),
            Reply::Later(_) => panic!("it waits"),
        };
        let preflight = call(Method::OPTIONS);
        assert_eq!(preflight.status, 204);
        assert!(
            preflight
                .header("access-control-allow-headers")
                .contains("cmcd-session")
        );
        assert!(
            preflight
                .header("access-control-allow-headers")
                .contains("range")
        );
        let post = call(Method::POST);
        assert_eq!(post.status, 405);
        assert_eq!(post.header("allow"), "GET, HEAD, OPTIONS");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn head_is_answered_as_get_is() {
    on_worker(async {
        let mut show = Show::start();
        show.groups(1);
        show.pictures(10);
        show.warm(1, 0).await;
        let Reply::Ready(head) = show.request(Method::HEAD, "/live/r/e1/video/0.m4s", &[]) else {
            panic!("it waits");
        };
        let head = Answer::of(head);
        let get = show.get("/live/r/e1/video/0.m4s").await;
        assert_eq!((head.status, &head.headers), (get.status, &get.headers));
        let Reply::Ready(flv) = show.request(Method::HEAD, "/live/r.flv", &[]) else {
            panic!("it waits");
        };
        let flv = Answer::of(flv);
        assert_eq!(
            (flv.status, flv.header("content-type")),
            (200, "video/x-flv")
        );
        assert_eq!(show.delivery.viewers("r").flv, 0);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn random_paths_leave_no_trace() {
    on_worker(async {
        let mut show = Show::start();
        show.pictures(20);
        show.warm(0, 1).await;
        let before = show.metrics.encode();
        for number in 0..10_000_u64 {
            let scattered = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            for target in [
                format!("/live/x{scattered}/index.m3u8"),
                format!("/live/x{scattered}.flv"),
                format!("/live/r/e{}/video/1.m4s", scattered % 1_000_000),
                format!("/live/r/e1/v{}/media.m3u8", scattered % 1_000_000),
                format!("/live/r/e1/video/{}.m4s", 10 + scattered % 1_000_000),
                format!("/{scattered}"),
            ] {
                let Reply::Ready(response) = show.request(Method::GET, &target, &[]) else {
                    panic!("{target} waits");
                };
                assert_eq!(response.status(), 404, "{target}");
            }
        }
        assert_eq!(
            show.metrics.encode(),
            before,
            "nothing was parked, fetched or kept"
        );
        assert_eq!(show.get(&media("video", "")).await.status, 200);
    })
    .await;
}
