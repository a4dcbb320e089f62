//! RTMP ingest with real encoders: what ffmpeg, librtmp and our own client push arrives in `live`.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use rushlane::auth::{self, Gate};
use rushlane::hooks::Hooks;
use rushlane::ingest::publisher::{self, Desk, OnBusy};
use rushlane::ingest::rtmp::{Config, Server};
use rushlane::live::track::{Event, Start};
use rushlane::live::{self, Store};
use rushlane::media::codec::Config as Codec;
use rushlane::media::{Frame, ticks_to_ms};
use rushlane::net::tls;
use rushlane::protocol::rtmp::{Client, ClientEvent, ClientOutput};
use rushlane::registry::Registry;
use rushlane::runtime::{Shutdown, TaskScope};
use rushlane::telemetry::Metrics;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::process::Command;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// An origin's ingest without the rest of an origin.
struct Origin {
    store: Store,
    metrics: Metrics,
    plain: SocketAddr,
    secure: SocketAddr,
    scope: TaskScope,
}

/// What arrived of one track.
struct Arrived {
    codec: Codec,
    timescale: u32,
    frames: Vec<Arc<Frame>>,
}

impl Origin {
    fn start(config: Config) -> Self {
        Self::start_with(config, OnBusy::Refuse)
    }

    fn start_with(config: Config, on_busy: OnBusy) -> Self {
        let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        let config = Config {
            listen: any,
            tls_listen: any,
            ..config
        };
        let authority = tls::Authority::create("rtmp test");
        let identity = authority
            .issue(&["localhost", "127.0.0.1"])
            .expect("an identity");
        let certificates = tls::ServerCertificates::new(std::slice::from_ref(&identity))
            .expect("a usable identity");
        let tls = Arc::new(tls::server_config(certificates, &[]));
        let metrics = Metrics::default();
        let scope = TaskScope::under(&Shutdown::new());
        let store = Store::new(live::Config::default());
        let publishers = publisher::Config {
            on_busy,
            ..publisher::Config::default()
        };
        let parts = publisher::Parts {
            store: store.clone(),
            registry: Registry::default(),
            metrics: &metrics,
            scope: scope.clone(),
        };
        let desk = Desk::new(&publishers, parts);
        let gate = Gate::new(&auth::Config::default(), &metrics).expect("an open gate");
        let server = Server::bind(config, Some(tls), (desk, gate, Hooks::default()), &metrics)
            .expect("free ports");
        let plain = server.local_addr().expect("RTMP is on");
        let secure = server.tls_addr().expect("RTMPS is on");
        server.run(scope.clone()).expect("a runtime");
        Self {
            store,
            metrics,
            plain,
            secure,
            scope,
        }
    }

    fn url(&self, key: &str) -> String {
        format!("rtmp://{}/live/{key}", self.plain)
    }

    /// Waits for `count` frames of a track, from its first.
    async fn arrived(&self, room: &str, track: &str, count: usize) -> Arrived {
        let wait = async {
            let consumer = loop {
                let mut changes = self.store.changes();
                if let Some(track) = self.store.room(room).and_then(|room| room.track(track)) {
                    break track;
                }
                let room = self.store.room(room);
                let pause = tokio::time::sleep(Duration::from_millis(20));
                tokio::select! {
                    changed = changes.changed(), if room.is_none() => changed.expect("a store"),
                    () = pause => {}
                }
            };
            let mut reader = consumer.read_from(Start::Oldest);
            let (mut codec, mut frames, mut events) = (None, Vec::new(), Vec::new());
            while frames.len() < count {
                if reader.read(&mut events, usize::MAX) == 0 {
                    reader.changed().await;
                }
                for event in events.drain(..) {
                    match event {
                        Event::Group(head) => codec = Some(head.init.clone()),
                        Event::Frame(frame) if !frame.is_gap() => frames.push(frame),
                        _ => {}
                    }
                }
            }
            let codec = codec.expect("a group comes before its frames");
            Arrived {
                codec: Codec::decode(codec).expect("our own encoding"),
                timescale: consumer.info().timescale,
                frames,
            }
        };
        let late = format!("{count} frames of {room}/{track}");
        tokio::time::timeout(PATIENCE, wait).await.expect(&late)
    }

    /// Waits until a line of the metrics reads so.
    async fn measured(&self, line: &str) {
        let wait = async {
            while !self.metrics.encode().lines().any(|found| found == line) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, wait).await.is_err() {
            panic!("never {line}\n{}", self.metrics.encode());
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.scope.shutdown().request();
    }
}

impl Arrived {
    /// The rules of every track: decode times grow, and nothing is empty.
    fn check(&self) {
        for pair in self.frames.windows(2) {
            assert!(
                pair[0].dts < pair[1].dts,
                "{} then {}",
                pair[0].dts,
                pair[1].dts
            );
        }
        assert!(self.frames.iter().all(|frame| !frame.payload.is_empty()));
    }

    fn span_ms(&self) -> i64 {
        let (first, last) = (&self.frames[0], &self.frames[self.frames.len() - 1]);
        ticks_to_ms(last.dts - first.dts, self.timescale)
    }
}

/// An encoder of our own, to see what an encoder is told.
struct Host {
    client: Client,
    socket: TcpStream,
    buffer: BytesMut,
}

impl Host {
    async fn connect(origin: &Origin, key: &str) -> Self {
        Self {
            client: Client::new("live", key),
            socket: TcpStream::connect(origin.plain).await.expect("a listener"),
            buffer: BytesMut::new(),
        }
    }

    /// What the server says next.
    async fn told(&mut self) -> ClientEvent {
        let wait = async {
            loop {
                match self.client.poll_output() {
                    ClientOutput::Send(bytes) => self.socket.write_all(&bytes).await.unwrap(),
                    ClientOutput::Event(event) => return event,
                    ClientOutput::Idle => {
                        let read = self.socket.read_buf(&mut self.buffer).await.unwrap();
                        assert!(read > 0, "closed without a word");
                        self.client.handle_bytes(&mut self.buffer).unwrap();
                    }
                }
            }
        };
        tokio::time::timeout(PATIENCE, wait)
            .await
            .expect("an answer")
    }
}

/// A program of this machine.
fn program(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let mut found = std::env::split_paths(&paths).map(|folder| folder.join(name));
    found.find(|path| path.is_file())
}

/// Runs an encoder to its end.
async fn run(program: PathBuf, arguments: &[&str]) -> Output {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the encoder starts");
    let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    output.expect("the encoder ends").expect("its output")
}

fn ffmpeg() -> PathBuf {
    program("ffmpeg").expect("ffmpeg is installed (make setup)")
}

/// Pushes two seconds of picture (50 frames) and sound, encoded as `codecs` say.
async fn push(ffmpeg: PathBuf, url: &str, codecs: &[&str]) -> Output {
    let mut arguments = vec!["-v", "error", "-f", "lavfi", "-i"];
    arguments.extend(["testsrc2=s=320x180:r=25:d=2", "-f", "lavfi", "-i"]);
    arguments.extend(["sine=f=440:r=48000:d=2", "-pix_fmt", "yuv420p", "-g", "25"]);
    arguments.extend(codecs);
    arguments.extend(["-f", "flv", url]);
    run(ffmpeg, &arguments).await
}

fn check_success(output: &Output) {
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words}");
}

const H264_AND_AAC: &[&str] = &[
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-bf",
    "2",
    "-c:a",
    "aac",
];

#[tokio::test]
async fn ffmpeg_pushes_h264_with_b_frames_and_aac() {
    let origin = Origin::start(Config::default());
    let url = origin.url("r");
    let push = push(ffmpeg(), &url, H264_AND_AAC);
    let (output, video, audio) = tokio::join!(
        push,
        origin.arrived("r", "video", 50),
        origin.arrived("r", "audio", 90)
    );
    check_success(&output);
    video.check();
    audio.check();
    assert!(
        video.codec.name().starts_with("avc1."),
        "{}",
        video.codec.name()
    );
    assert_eq!(audio.codec.name(), "mp4a.40.2");
    assert_eq!(video.span_ms(), 49 * 40);
    assert!(
        (1890..=2050).contains(&audio.span_ms()),
        "{}",
        audio.span_ms()
    );
    assert!(video.frames[0].is_key() && video.frames[25].is_key());
    assert!(
        video.frames.iter().any(|frame| frame.composition > 0),
        "no B-frames"
    );
    origin.measured("rushlane_ingest_rtmp_connections 0").await;
    origin.measured("rushlane_ingest_rtmp_publishers 0").await;
    origin
        .measured("rushlane_ingest_rtmp_closes_total{reason=\"gone\"} 1")
        .await;
}

#[tokio::test]
async fn ffmpeg_pushes_over_tls() {
    let origin = Origin::start(Config::default());
    let url = format!("rtmps://{}/live/r", origin.secure);
    let push = push(ffmpeg(), &url, H264_AND_AAC);
    let (output, video) = tokio::join!(push, origin.arrived("r", "video", 50));
    check_success(&output);
    video.check();
}

#[tokio::test]
async fn encoder_shows_why_it_is_refused() {
    let origin = Origin::start(Config::default());
    for (key, expect) in [
        ("not.a.room", "the room name has the character '.'"),
        ("r+left", "cameras (ROOM+CAMERA) are not taken here"),
        ("r@a@b", "the name after @ or +"),
    ] {
        let output = push(ffmpeg(), &origin.url(key), H264_AND_AAC).await;
        let words = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(words.contains(expect), "{words}");
    }
    let url = format!("rtmp://{}/other/r", origin.plain);
    let output = push(ffmpeg(), &url, H264_AND_AAC).await;
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(words.contains("publish to rtmp://HOST/live"), "{words}");
}

/// Debian's GStreamer pushes with librtmp (`rtmpsink`) and with a library of its own (`rtmp2sink`).
#[tokio::test]
async fn gstreamer_pushes_with_librtmp() {
    let Some(gst) = program("gst-launch-1.0") else {
        return;
    };
    let origin = Origin::start(Config::default());
    for sink in ["rtmpsink", "rtmp2sink"] {
        let location = format!("location={}", origin.url(sink));
        let pipeline = "videotestsrc num-buffers=50 ! video/x-raw,width=320,height=180,\
            framerate=25/1 ! openh264enc ! h264parse ! flvmux name=mux streamable=true \
            audiotestsrc num-buffers=90 ! voaacenc ! aacparse ! mux. mux. !";
        let mut arguments: Vec<&str> = pipeline.split_whitespace().collect();
        arguments.extend([sink, &location]);
        let push = run(gst.clone(), &arguments);
        let (output, video, audio) = tokio::join!(
            push,
            origin.arrived(sink, "video", 40),
            origin.arrived(sink, "audio", 40)
        );
        check_success(&output);
        video.check();
        audio.check();
    }
}

/// FFmpeg 9 (`make setup`) speaks Enhanced RTMP; Debian's FFmpeg 5 does not.
#[tokio::test]
async fn ffmpeg_pushes_enhanced_rtmp() {
    let Some(ffmpeg) = std::env::var_os("RUSHLANE_FFMPEG9").map(PathBuf::from) else {
        return;
    };
    let origin = Origin::start(Config::default());
    let hevc = [
        "-c:v",
        "libx265",
        "-preset",
        "ultrafast",
        "-x265-params",
        "log-level=none",
    ];
    let av1 = [
        "-c:v",
        "libsvtav1",
        "-preset",
        "12",
        "-svtav1-params",
        "pred-struct=1",
    ];
    let h264 = ["-c:v", "libx264", "-preset", "ultrafast"];
    let opus = ["-c:a", "libopus"];
    let aac = ["-c:a", "aac"];
    for (room, codecs, video_name, audio_name) in [
        ("hevc", [&hevc[..], &aac].concat(), "hvc1.", "mp4a.40.2"),
        ("av1", [&av1[..], &opus].concat(), "av01.", "opus"),
        ("opus", [&h264[..], &opus].concat(), "avc1.", "opus"),
    ] {
        let url = origin.url(room);
        let push = push(ffmpeg.clone(), &url, &codecs);
        let (output, video, audio) = tokio::join!(
            push,
            origin.arrived(room, "video", 50),
            origin.arrived(room, "audio", 90)
        );
        check_success(&output);
        video.check();
        audio.check();
        assert!(
            video.codec.name().starts_with(video_name),
            "{}",
            video.codec.name()
        );
        assert_eq!(audio.codec.name(), audio_name);
    }
}

#[tokio::test]
async fn strangers_do_not_disturb_a_publisher() {
    let origin = Origin::start(Config::default());
    let mut strangers = Vec::new();
    for greeting in [
        &b"GET / HTTP/1.1\r\n\r\n"[..],
        b"\x16\x03\x01",
        b"\x03\xff",
        b"",
    ] {
        let mut socket = TcpStream::connect(origin.plain).await.unwrap();
        socket.write_all(greeting).await.unwrap();
        strangers.push(socket);
    }
    let url = origin.url("r");
    let push = push(ffmpeg(), &url, H264_AND_AAC);
    let (output, video) = tokio::join!(push, origin.arrived("r", "video", 50));
    check_success(&output);
    video.check();
    origin
        .measured("rushlane_ingest_rtmp_closes_total{reason=\"version\"} 2")
        .await;
}

#[tokio::test]
async fn busy_room_is_refused_with_a_reason() {
    let origin = Origin::start(Config::default());
    let mut first = Host::connect(&origin, "r").await;
    assert_eq!(first.told().await, ClientEvent::Published);
    let mut second = Host::connect(&origin, "r").await;
    let reason = "room r is being published to from another encoder; stop that one first";
    assert_eq!(second.told().await, ClientEvent::Refused(reason.into()));
    let mut other = Host::connect(&origin, "s").await;
    assert_eq!(other.told().await, ClientEvent::Published);
    origin.measured("rushlane_ingest_rtmp_publishers 2").await;
}

#[tokio::test]
async fn publisher_that_is_taken_over_is_told_why() {
    let origin = Origin::start_with(Config::default(), OnBusy::Takeover);
    let mut first = Host::connect(&origin, "r").await;
    assert_eq!(first.told().await, ClientEvent::Published);
    let mut second = Host::connect(&origin, "r").await;
    assert_eq!(second.told().await, ClientEvent::Published);
    let reason = "another encoder has taken over this room";
    assert_eq!(first.told().await, ClientEvent::Refused(reason.into()));
    origin.measured("rushlane_ingest_rtmp_publishers 1").await;
}

#[tokio::test]
async fn connections_of_one_address_are_bounded() {
    let origin = Origin::start(Config {
        connections_per_address_max: 2,
        ..Config::default()
    });
    let mut kept = Vec::new();
    for _ in 0..2 {
        kept.push(TcpStream::connect(origin.plain).await.unwrap());
    }
    origin.measured("rushlane_ingest_rtmp_connections 2").await;
    let mut third = TcpStream::connect(origin.plain).await.unwrap();
    let end = tokio::time::timeout(PATIENCE, third.read(&mut [0])).await;
    assert_eq!(end.expect("closed at once").unwrap_or(0), 0);
    kept.clear();
    origin.measured("rushlane_ingest_rtmp_connections 0").await;
    origin
        .measured("rushlane_ingest_rtmp_turned_away_total 1")
        .await;
}

#[tokio::test]
async fn stopping_ends_all_connections() {
    let origin = Origin::start(Config::default());
    let _idle = TcpStream::connect(origin.plain).await.unwrap();
    origin.measured("rushlane_ingest_rtmp_connections 1").await;
    assert_eq!(origin.scope.finish(PATIENCE).await, 0);
}
