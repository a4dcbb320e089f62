//! The console: a page that asks the API, embedded in the binary. Page and scripts hold nothing of
//! the node, so they are served without a token; what they show is not.

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;

use crate::admin::api::problem;
use crate::delivery::console_file;

/// Scripts, styles and requests of this desk and nothing else; no other page may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

pub(super) fn router() -> Router {
    Router::new()
        .route("/", get(|| async { Redirect::temporary("/console") }))
        .route("/console", get(page))
        .route("/console/{*file}", get(file))
}

async fn page() -> Response {
    reply("console.html", "no-cache")
}

async fn file(Path(file): Path<String>) -> Response {
    // The names of assets hold a hash of their content.
    reply(&file, "private, max-age=31536000, immutable")
}

fn reply(file: &str, lifetime: &'static str) -> Response {
    let Some((kind, bytes)) = console_file(file) else {
        let text = "there is no such file; without any, the binary was built before `make web`";
        return problem(StatusCode::NOT_FOUND, text);
    };
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CACHE_CONTROL, lifetime),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let headers = headers.map(|(name, value)| (name, HeaderValue::from_static(value)));
    (headers, bytes).into_response()
}
