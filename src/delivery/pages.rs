//! The pages, built from `web/` and embedded in the binary.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use rust_embed::RustEmbed;

use crate::coding::Chunks;
use crate::delivery::negotiate::gzip;
use crate::delivery::reply::{self, Conditions, Text};
use crate::net::http::Response;
use crate::packaging::hls::Lifetime;

/// The front page.
pub(super) const HOME: &str = "index.html";
/// The player page.
pub(super) const WATCH: &str = "watch.html";
/// How long a page may be kept, in seconds; a new binary shows soon, and revalidation is cheap.
const PAGE_SECONDS: u32 = 60;
/// The folder of the operator's pages, which no viewer gets.
const CONSOLE: &str = "console/";
/// Below this size gzip saves no packet.
const GZIP_BYTES_MIN: usize = 1024;

#[derive(RustEmbed)]
#[folder = "$CARGO_MANIFEST_DIR/web/dist"]
struct Files;

/// A file of the operator's console, with its type; the desk serves it.
pub fn console_file(file: &str) -> Option<(&'static str, Bytes)> {
    let found = Files::get(&format!("{CONSOLE}{file}"))?;
    Some((content_type(file), Bytes::from(found.data.into_owned())))
}

/// All pages and assets of viewers. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Pages(Arc<HashMap<String, Page>>);

#[derive(Debug)]
struct Page {
    kind: &'static str,
    etag: String,
    plain: Bytes,
    /// Packed when it is first asked for.
    gzip: OnceLock<Chunks>,
    lifetime: Lifetime,
}

impl Pages {
    /// Reads what was embedded.
    pub(super) fn load() -> Self {
        let viewers = Files::iter().filter(|path| !path.starts_with(CONSOLE));
        let pages = viewers.filter_map(|path| {
            let file = Files::get(&path)?;
            let hash = file.metadata.sha256_hash();
            let digits = hash.iter().take(8).map(|byte| format!("{byte:02x}"));
            let page = Page {
                kind: content_type(&path),
                etag: digits.collect(),
                plain: Bytes::from(file.data.into_owned()),
                gzip: OnceLock::new(),
                // The names of assets hold a hash of their content.
                lifetime: match path.starts_with("assets/") {
                    true => Lifetime::Immutable,
                    false => Lifetime::Seconds(PAGE_SECONDS),
                },
            };
            Some((path.into_owned(), page))
        });
        Self(Arc::new(pages.collect()))
    }

    /// The page or asset at `path`.
    pub(super) fn get(&self, path: &str, conditions: &Conditions) -> Response {
        let Some(page) = self.0.get(path) else {
            let text = match self.0.is_empty() {
                true => "this binary was built without its pages: `make web`, then build again",
                false => "there is no such page: `/` is the front page",
            };
            return reply::problem(StatusCode::NOT_FOUND, Lifetime::Seconds(1), text);
        };
        page.reply(conditions)
    }
}

impl Page {
    fn reply(&self, conditions: &Conditions) -> Response {
        let packs = self.plain.len() >= GZIP_BYTES_MIN && is_text(self.kind);
        if conditions.gzip && packs && !conditions.is_partial() {
            // Another coding is another representation, so it has a tag of its own.
            let etag = format!("{}-gzip", self.etag);
            if conditions.knows(&etag) {
                let empty = Chunks::default();
                return reply::object(&empty, self.kind, self.lifetime, &etag, conditions);
            }
            let text = Text {
                plain: Chunks::from(self.plain.clone()),
                gzip: self.gzip.get_or_init(|| gzip(&self.plain).into()).clone(),
            };
            let text = reply::text(&text, self.kind, self.lifetime, true);
            let mut response = reply::aged(text, Duration::ZERO);
            reply::tag(&mut response, &etag);
            return response;
        }
        let plain = Chunks::from(self.plain.clone());
        reply::object(&plain, self.kind, self.lifetime, &self.etag, conditions)
    }
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, extension)| extension) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("json" | "map") => "application/json",
        Some("webmanifest") => "application/manifest+json",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg") => "image/jpeg",
        Some("ico") => "image/x-icon",
        Some("woff2") => "font/woff2",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

fn is_text(kind: &str) -> bool {
    let types = [
        "text/",
        "application/json",
        "application/manifest",
        "image/svg",
    ];
    types.iter().any(|start| kind.starts_with(start))
}
