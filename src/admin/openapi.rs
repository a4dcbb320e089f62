//! The OpenAPI description of the admin port.

use serde_json::{Value, json};

/// The whole document; a test holds it against the routes.
pub(super) fn document() -> Value {
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Rushlane admin API",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Health, metrics and state of one node. Errors are RFC 9457 problems.",
        },
        "security": [{}, { "bearer": [] }],
        "components": { "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } } },
        "paths": {
            "/healthz": plain("The process lives."),
            "/readyz": plain("200: the node takes new viewers; 503: the body says why not."),
            "/metrics": plain("All metrics as OpenMetrics text."),
            "/api/v1/node": object("What this node is and where it listens."),
            "/api/v1/rooms": object("All live rooms with their viewers by protocol."),
            "/api/v1/rooms/{room}": room(),
            "/api/v1/rooms/{room}/why": object(
                "The hop waterfall of a room, now and usually, and the first bad hop in words.",
            ),
            "/api/v1/rooms/{room}/events": command(
                "Shows something in a room at a media time: card, pin, sale, stock, notice, pk.",
                json!({ "type": "card", "body": { "id": "c1", "sku": "s-9", "title": "Hat" } }),
            ),
            "/api/v1/rooms/{room}/moderation": command(
                "Mutes, unmutes, bans, unbans, retracts or slows down.",
                json!({ "action": "mute", "user": "u_x", "seconds": 60 }),
            ),
            "/api/v1/rooms/{room}/cut": cut(),
            "/api/v1/rooms/{room}/audit": listed(
                "What moderation decided in a room, the newest first.",
                &["before", "max"],
            ),
            "/api/v1/orders": listed(
                "Orders, the newest change first; the origin of their rooms has them.",
                &["room", "state", "max"],
            ),
            "/api/v1/orders/redrive": posted(
                "Sends orders that were given up (state `unknown`) to the merchant again.",
                &json!({ "room": "demo" }),
            ),
            "/api/v1/orders/{room}/{key}/answer": posted(
                "The merchant's decision on an order, when it comes by itself.",
                &json!({ "state": "confirmed", "reference": "A-17" }),
            ),
            "/api/v1/drain": drain(),
            "/api/v1/upgrade": upgrade(),
            "/api/v1/peers": object("The relay's links: parents and children."),
            "/api/v1/fleet": object(
                "This node's report, with those of all nodes below it; made anew every 2 s.",
            ),
            "/api/v1/shed": shedding(),
            "/api/v1/deny": deny(),
            "/api/v1/deny/{id}": json!({ "delete": {
                "summary": "Takes an entry off the deny list.",
                "parameters": [{
                    "name": "id", "in": "path", "required": true, "schema": { "type": "string" },
                }],
                "responses": {
                    "200": { "description": "Gone." },
                    "404": { "description": "No such entry of this node." },
                    "409": { "description": "This node keeps no deny list: ask an origin." },
                },
            } }),
            "/api/v1/openapi.json": object("This document."),
        },
    })
}

fn plain(summary: &str) -> Value {
    json!({ "get": { "summary": summary, "responses": { "200": {
        "description": summary, "content": { "text/plain": {} },
    } } } })
}

fn object(summary: &str) -> Value {
    let content = json!({ "application/json": { "schema": { "type": "object" } } });
    let response = json!({ "description": summary, "content": content });
    json!({ "get": { "summary": summary, "responses": { "200": response } } })
}

/// A list with optional limits in its query.
fn listed(summary: &str, query: &[&str]) -> Value {
    let mut path = object(summary);
    let limit = |name| json!({ "name": name, "in": "query", "schema": { "type": "string" } });
    path["get"]["parameters"] = query.iter().map(limit).collect();
    path["get"]["responses"]["404"] = json!({ "description": "This node keeps no ledger." });
    path
}

fn deny() -> Value {
    let mut path = posted(
        "Withdraws access within seconds, on this node and all below: of a token (its id or the \
         whole text), a user, or an address; what is given together must fit together.",
        &json!({ "sub": "u_7", "room": "demo", "seconds": 86_400, "reason": "spam" }),
    );
    let responses = &mut path["post"]["responses"];
    responses["400"] = json!({ "description": "The entry names nobody, or not well." });
    responses["409"] = json!({ "description": "This node keeps no deny list: ask an origin." });
    responses["507"] = json!({ "description": "The list is full." });
    path["get"] = object("The deny list: all entries in force, with their authors.")["get"].take();
    path
}

/// The upgrade in place.
fn upgrade() -> Value {
    let summary = "Lets the program as it is on disk now take this process's place.";
    posted(summary, &json!({}))
}

/// The drain: its state, and its beginning.
fn drain() -> Value {
    let mut path = object("Whether the node drains, where to, until when, and who is left.");
    let example = json!({ "deadline_seconds": 60, "alternates": ["https://edge-2:8443"] });
    let summary = "Sends viewers and children to other nodes, then ends the process.";
    path["post"] = json!({
        "summary": summary,
        "requestBody": { "content": { "application/json": { "example": example } } },
        "responses": {
            "202": { "description": "The node drains.", "content": { "application/json": {} } },
            "400": { "description": "The body is wrong: the problem says where." },
        },
    });
    path
}

/// What is posted about orders, with an example.
fn posted(summary: &str, example: &Value) -> Value {
    let content = json!({ "application/json": { "schema": { "type": "object" } } });
    json!({ "post": {
        "summary": summary,
        "requestBody": { "content": { "application/json": { "example": example } } },
        "responses": {
            "200": { "description": "Done.", "content": content },
            "404": { "description": "No such order, or this node keeps no ledger." },
            "503": { "description": "The ledger cannot be used just now." },
        },
    } })
}

/// What is posted to a room, with an example.
fn command(summary: &str, example: Value) -> Value {
    let sent = json!({ "application/json": { "example": example } });
    let event = json!({ "application/json": { "schema": { "type": "object" } } });
    json!({ "post": {
        "summary": summary,
        "parameters": parameters(),
        "requestBody": { "required": true, "content": sent },
        "responses": {
            "200": { "description": "The event as all members see it.", "content": event },
            "400": { "description": "The body is no such command." },
            "404": { "description": "The room is not open." },
            "503": { "description": "The room's origin cannot be reached." },
        },
    } })
}

/// What is given up, and the operator's word on it.
fn shedding() -> Value {
    let summary = "What the node gives up, why, and how far each budget is spent.";
    let mut path = object(summary);
    path["post"] = posted(
        "Holds the node at a level for some seconds; `level` null lets the budgets decide again.",
        &json!({ "level": "join_queue", "seconds": 600 }),
    )["post"]
        .clone();
    path["post"]["responses"] = json!({
        "200": { "description": "What is given up now." },
        "400": { "description": "No such level, or too long." },
    });
    path
}

fn cut() -> Value {
    let mut path = command(
        "Ends a show at once, on all edges too, and keeps the room closed to publishers.",
        json!({ "block_seconds": 600 }),
    );
    path["post"]["responses"]["200"]["description"] = json!("What was done.");
    path["post"]["responses"]["404"]["description"] = json!("Nobody publishes the room here.");
    path
}

fn parameters() -> Value {
    json!([{ "name": "room", "in": "path", "required": true, "schema": { "type": "string" } }])
}

fn room() -> Value {
    let summary = "One room: tracks, bitrate, frame rate, key interval, viewers, latency by hop.";
    let mut path = object(summary);
    path["get"]["parameters"] = parameters();
    path["get"]["responses"]["404"] = json!({ "description": "The room is not live here." });
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described() {
        let routes = include_str!("api.rs");
        let document = document();
        let described = document["paths"].as_object().unwrap();
        let mut found = 0;
        for route in routes.split(".route(").skip(1) {
            let path = route.split('"').nth(1).unwrap();
            assert!(described.contains_key(path), "{path} is not described");
            found += 1;
        }
        assert_eq!(found, described.len());
    }
}
