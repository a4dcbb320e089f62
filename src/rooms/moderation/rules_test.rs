use std::io;
use std::net::SocketAddr;
use std::path::Path;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use super::*;
use crate::live;
use crate::protocol::interact::Question;
use crate::rooms::moderation::{Fallback, Review};
use crate::runtime::Shutdown;

struct Scene {
    rules: Rules,
    room: RoomName,
    scope: TaskScope,
    registry: telemetry::Metrics,
    records: mpsc::Receiver<(RoomName, Question)>,
}

/// Passes on what it is asked.
#[derive(Debug)]
struct Origin(mpsc::Sender<(RoomName, Question)>);

impl live::Authority for Origin {
    fn ask(&self, asked: live::Question) -> live::Answer {
        let question = serde_json::from_slice(&asked.body).unwrap();
        let _test_over = self.0.try_send((asked.room, question)).is_err();
        Box::pin(async { Ok("{\"a\":\"done\"}".into()) })
    }
}

impl Scene {
    fn new(config: &Config) -> Self {
        Self::start(config).unwrap()
    }

    fn start(config: &Config) -> Result<Self, Error> {
        let scope = TaskScope::under(&Shutdown::new());
        let registry = telemetry::Metrics::default();
        let (told, records) = mpsc::channel(16);
        let exchange = Exchange::default();
        exchange.set_authority(Arc::new(Origin(told)));
        let parts = Parts {
            node_name: "edge-1".into(),
            exchange: exchange.clone(),
            metrics: &registry,
            scope: &scope,
            runtime: &Handle::current(),
        };
        Ok(Self {
            rules: Rules::start(config, parts)?,
            room: RoomName::parse("demo").unwrap(),
            scope,
            registry,
            records,
        })
    }

    async fn says(&self, user: &str, role: Role, text: &str) -> Result<String, Refusal> {
        let member = Member::new(user, "", role).unwrap();
        match self.rules.check(&self.room, &member, text).await {
            Verdict::Allow { text, .. } => Ok(text),
            Verdict::Refuse { refusal, rule } => {
                assert_eq!(refusal.code, rule);
                Err(refusal)
            }
        }
    }

    async fn code(&self, user: &str, text: &str) -> String {
        let said = self.says(user, Role::Viewer, text).await;
        said.map_or_else(|refusal| refusal.code, |_| "allow".into())
    }
}

fn with_words(folder: &Path, list: &str) -> Config {
    let path = folder.join("words.txt");
    std::fs::write(&path, list).unwrap();
    Config {
        words_file: Some(path),
        ..Config::default()
    }
}

#[tokio::test]
async fn each_rule_objects_with_its_own_word() {
    let folder = tempfile::tempdir().unwrap();
    let scene = Scene::new(&with_words(folder.path(), "bad\n微信\n"));
    assert_eq!(
        scene.says("a", Role::Viewer, " Ｈｉ\u{200b} !").await,
        Ok("Hi !".into())
    );
    assert_eq!(scene.code("b", "\u{200b}\u{202e}").await, "empty");
    assert_eq!(scene.code("c", &"ﷺ".repeat(100)).await, "length");
    assert_eq!(scene.code("d", "see evil.com").await, "links");
    assert_eq!(scene.code("e", "B A D").await, "words");
    assert_eq!(scene.code("f", "加微 信").await, "words");
    assert_eq!(scene.code("g", "hello").await, "allow");
    assert_eq!(scene.code("g", "hello!").await, "repeats");
    for text in ["one", "two", "three"] {
        assert_eq!(scene.code("h", text).await, "allow");
    }
    let refusal = scene.says("h", Role::Viewer, "four").await.unwrap_err();
    assert_eq!((refusal.status, refusal.retry_after_s), (429, Some(1)));
    let text = scene.registry.encode();
    assert!(
        text.contains(r#"rushlane_moderation_comments_total{rule="words"} 2"#),
        "{text}"
    );
}

#[tokio::test]
async fn hosts_are_trusted_but_normalised() {
    let scene = Scene::new(&Config::default());
    for _ in 0..10 {
        let said = scene.says("host", Role::Host, "see ｓhop.com").await;
        assert_eq!(said, Ok("see shop.com".into()));
    }
}

#[tokio::test]
async fn every_decision_is_recorded_at_the_origin() {
    let folder = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(&with_words(folder.path(), "# list\nbad\n"));
    scene.code("a", "fine").await;
    scene.code("b", "bad").await;
    let (room, question) = scene.records.recv().await.unwrap();
    let Question::Audit { records } = question else {
        panic!("records are sent");
    };
    let fields = |record: &Audit| {
        [&*record.user, &*record.action, &*record.by, &record.text].map(str::to_owned)
    };
    assert_eq!(room, scene.room);
    assert_eq!(fields(&records[0]), ["a", "allow", "rules", "fine"]);
    assert_eq!(fields(&records[1]), ["b", "refuse", "words:2", "bad"]);
    assert_eq!(&*records[0].node, "edge-1");
}

#[tokio::test]
async fn settings_that_make_no_sense_are_refused() {
    let fault = |config: Config| Scene::start(&config).err().map(|error| error.to_string());
    let folder = tempfile::tempdir().unwrap();
    let twisted = fault(with_words(folder.path(), "fine\n***\n")).unwrap();
    assert!(twisted.contains("words.txt: line 2"), "{twisted}");
    let missing = Config {
        words_file: Some(folder.path().join("none")),
        ..Config::default()
    };
    assert!(fault(missing).unwrap().contains("cannot be read"));
    let burst = Config {
        comments_burst: 0,
        ..Config::default()
    };
    assert!(fault(burst).is_some());
    let url = Config {
        review: Some(Review::default()),
        ..Config::default()
    };
    assert!(fault(url).unwrap().contains("review.url"));
}

#[tokio::test]
async fn changed_list_comes_in_force_and_a_bad_one_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let config = with_words(folder.path(), "bad\n");
    let scene = Scene::new(&config);
    assert_eq!(scene.code("a", "worse").await, "allow");
    with_words(folder.path(), "bad\nworse\n");
    let changed = async {
        let mut user = 0;
        while scene.code(&format!("u{user}"), "worse").await != "words" {
            user += 1;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), changed)
        .await
        .expect("the change is seen");
    with_words(folder.path(), "***\n");
    assert!(scene.rules.reload().is_err());
    assert_eq!(scene.code("b", "worse").await, "words");
    scene.scope.finish(Duration::from_secs(5)).await;
}

/// A reviewer that answers every post with `answer`, or never when there is none.
async fn reviewer(scope: &TaskScope, answer: Option<&'static str>) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serve = async move {
        let mut kept = Vec::new();
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut request = Vec::new();
            while !request.ends_with(b"}") {
                if socket.read_buf(&mut request).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            let text = String::from_utf8(request).unwrap();
            assert!(
                text.contains("rushlane-signature: v1=") && text.contains("rushlane-timestamp")
            );
            if let Some(answer) = answer {
                let length = answer.len();
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n");
                let reply = format!("{head}connection: close\r\n\r\n{answer}");
                let _peer_gone = socket.write_all(reply.as_bytes()).await.is_err();
            }
            kept.push(socket);
        }
    };
    let shutdown = scope.shutdown().clone();
    scope.spawn("reviewer", async move {
        tokio::select! {
            () = serve => {}
            () = shutdown.requested() => {}
        }
    });
    Ok(address)
}

async fn reviewed(answer: Option<&'static str>, fallback: Fallback, timeout_ms: u32) -> String {
    let scope = TaskScope::under(&Shutdown::new());
    let address = reviewer(&scope, answer).await.unwrap();
    let scene = Scene::new(&Config {
        review: Some(Review {
            url: format!("http://{address}/review"),
            secret: "secret".into(),
            timeout_ms,
            fallback,
            ..Review::default()
        }),
        ..Config::default()
    });
    scene.code("a", "hello").await
}

#[tokio::test]
async fn reviewer_decides() {
    let decided = |answer| reviewed(Some(answer), Fallback::Deny, 10_000);
    assert_eq!(decided(r#"{"decision":"allow"}"#).await, "allow");
    let decided = |answer| reviewed(Some(answer), Fallback::Allow, 10_000);
    assert_eq!(decided(r#"{"decision":"deny"}"#).await, "review");
    assert_eq!(decided("nonsense").await, "allow");
}

#[tokio::test]
async fn fallback_decides_when_the_reviewer_does_not() {
    assert_eq!(reviewed(None, Fallback::Allow, 50).await, "allow");
    assert_eq!(reviewed(None, Fallback::Deny, 50).await, "review");
}
