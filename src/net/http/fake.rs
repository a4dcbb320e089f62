//! A service for the tests of all versions of HTTP.

use std::cell::{Cell, OnceCell, RefCell};
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode};
use tokio::sync::Notify;
use tokio::time::timeout;

use crate::coding::Chunks;
use crate::net::Drain;
use crate::net::http::front::Front;
use crate::net::http::link::{Carrier, Link};
use crate::net::http::{
    Body, Config, Duplex, Metrics, Reply, Request, Response, Service, Session, Sink, problem,
};
use crate::runtime::{Shutdown, TaskScope};
use crate::telemetry;

/// How long tests wait for what must happen.
pub(in crate::net) const WAIT: Duration = Duration::from_secs(60);

/// Where the tests' requests seem to come from.
pub(in crate::net) const LINK: Link = Link {
    peer: SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9),
    secure: false,
    carrier: Carrier::Pipe,
};

/// Answers `/hello`, `/large` (many chunks, 200,000 bytes), `/wait` (once [`Self::release`]d),
/// `/begin` (the same with the large body, begun by the service where it may),
/// `/live` (hands over its sink), `/duplex` and `/session` (hand those over), `/echo` (method and
/// body of the request), `/nothing` (204), `/panic`; else 404.
#[derive(Default)]
pub(in crate::net) struct Fake {
    /// The same each time, as a part is.
    large: OnceCell<Chunks>,
    pub(in crate::net) release: Rc<Notify>,
    /// Requests that wait.
    pub(in crate::net) waiting: Rc<Cell<usize>>,
    /// Bytes that [`Direct::begin`](crate::net::http::Direct::begin) wrote of the last reply.
    pub(in crate::net) begun_bytes: Rc<Cell<usize>>,
    pub(in crate::net) sinks: Rc<RefCell<Vec<Sink>>>,
    pub(in crate::net) duplexes: Rc<RefCell<Vec<Duplex>>>,
    pub(in crate::net) sessions: Rc<RefCell<Vec<Session>>>,
    /// Told of every request.
    pub(in crate::net) called: Rc<Notify>,
}

impl Service for Fake {
    fn call(&self, request: Request) -> Reply {
        self.called.notify_one();
        let mut response = match request.uri.path() {
            "/hello" => Response::new(Body::Chunks(hello())),
            "/large" => Response::new(Body::Chunks(self.large.get_or_init(large).clone())),
            "/live" => {
                let sinks = self.sinks.clone();
                Response::new(Body::Live(Box::new(move |sink| {
                    sinks.borrow_mut().push(sink)
                })))
            }
            "/duplex" => {
                let duplexes = self.duplexes.clone();
                Response::new(Body::Duplex(Box::new(move |duplex| {
                    duplexes.borrow_mut().push(duplex)
                })))
            }
            "/session" => {
                let sessions = self.sessions.clone();
                Response::new(Body::Session(Box::new(move |session| {
                    sessions.borrow_mut().push(session)
                })))
            }
            "/echo" => {
                let method = Bytes::from(request.method.to_string());
                Response::new(Body::Chunks(Chunks::new([method, request.body.clone()])))
            }
            "/nothing" => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                response
            }
            "/wait" => {
                let waits = Waits::new(&self.waiting);
                let release = self.release.clone();
                return Reply::Later(Box::pin(async move {
                    let _waits = waits;
                    release.notified().await;
                    Response::new(Body::Chunks(hello()))
                }));
            }
            "/begin" => {
                let waits = Waits::new(&self.waiting);
                let (release, begun_bytes) = (self.release.clone(), self.begun_bytes.clone());
                return Reply::Later(Box::pin(async move {
                    let _waits = waits;
                    release.notified().await;
                    let response = Response::new(Body::Chunks(large()));
                    let Some(direct) = request.direct else {
                        return response;
                    };
                    let reply = direct.encode(response).expect("its length is known");
                    let begun = direct.begin(&reply);
                    begun_bytes.set(begun.written_bytes);
                    begun.into()
                }));
            }
            "/panic" => panic!("asked to"),
            path => problem(StatusCode::NOT_FOUND, &format!("{path} is not here")),
        };
        let protocol = format!("{:?} secure={}", request.protocol, request.secure);
        let value = HeaderValue::try_from(protocol).unwrap();
        response.headers_mut().insert("x-protocol", value);
        // The front must overrule these.
        response
            .headers_mut()
            .insert("connection", HeaderValue::from_static("upgrade"));
        Reply::Ready(response)
    }
}

pub(in crate::net) fn hello() -> Chunks {
    Chunks::new(["he", "l", "lo"].map(|text| Bytes::from_static(text.as_bytes())))
}

pub(in crate::net) fn large() -> Chunks {
    Chunks::new((0..200_u8).map(|fill| Bytes::from(vec![fill; 1000])))
}

/// A front with `service` behind it.
pub(in crate::net) fn front(service: Fake) -> Rc<Front> {
    let metrics = Metrics::register(&telemetry::Metrics::default());
    let alt_svc = Some(HeaderValue::from_static("h3=\":443\""));
    let scope = TaskScope::under(&Shutdown::new());
    let drain = Drain::default();
    let config = Config::default();
    Rc::new(Front::new(
        &config,
        Rc::new(service),
        alt_svc,
        metrics,
        scope,
        drain,
    ))
}

/// Waits for `condition`, which some task is about to make true.
pub(in crate::net) async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(WAIT, wait).await.expect("it happens in time");
}

struct Waits(Rc<Cell<usize>>);

impl Waits {
    fn new(count: &Rc<Cell<usize>>) -> Self {
        count.set(count.get() + 1);
        Self(count.clone())
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}
