use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::telemetry::access::{self, Log, Object, Slip, Trace};

/// A collector on a free port: its address, and the bodies it was sent.
fn collector() -> (SocketAddr, mpsc::Receiver<Value>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        while let Ok((stream, _)) = listener.accept() {
            let mut stream = BufReader::new(stream);
            let mut length = 0;
            let mut line = String::new();
            while stream.read_line(&mut line).is_ok_and(|bytes| bytes > 2) {
                let header = line.to_ascii_lowercase();
                if let Some(value) = header.strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                line.clear();
            }
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
            stream.get_mut().write_all(answer).unwrap();
            if tell.send(serde_json::from_slice(&body).unwrap()).is_err() {
                return;
            }
        }
    });
    (address, told)
}

fn record(status: u16) -> Record {
    let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 4711));
    let mut record = Record::new(1_700_000_000_000_000, peer);
    record.status = status;
    record.total_us = 1500;
    record
}

fn spans(body: &Value) -> Vec<Value> {
    let scopes = &body["resourceSpans"][0]["scopeSpans"];
    scopes[0]["spans"].as_array().unwrap().clone()
}

#[test]
fn failed_and_sampled_requests_reach_the_collector() {
    let (address, told) = collector();
    let config = Config {
        otlp: Some(format!("http://{address}/")),
        sample: 0.0,
    };
    let metrics = Metrics::default();
    let log = Log::start(&access::Config::default(), &config, "edge-1", &metrics).unwrap();
    for _ in 0..50 {
        log.file(record(200));
    }
    let slip = Slip::filed(None, true);
    slip.object(|| Object {
        class: "part",
        room: "show".into(),
        ..Object::default()
    });
    let mut failed = record(503);
    failed.take(&slip);
    log.file(failed);
    let mut traced = record(200);
    traced.trace = Trace::parse("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01");
    log.file(traced);

    let mut found = Vec::new();
    while found.len() < 2 {
        let body = told.recv_timeout(Duration::from_secs(10)).unwrap();
        let service = &body["resourceSpans"][0]["resource"]["attributes"][1];
        assert_eq!(service["value"]["stringValue"], "edge-1");
        found.extend(spans(&body));
    }
    assert_eq!(found.len(), 2, "plain successes stay here");
    assert_eq!(found[0]["name"], "GET part");
    assert_eq!(found[0]["status"]["code"], 2);
    assert_eq!(found[0]["endTimeUnixNano"], "1700000000001500000");
    assert_eq!(found[1]["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_eq!(found[1]["parentSpanId"], "00f067aa0ba902b7");
}

#[test]
fn ids_differ() {
    let (one, other) = (record(200), {
        let mut other = record(200);
        other.at_us += 1;
        other
    });
    assert_ne!(id(&one), id(&other));
}
