//! The doors of plain HTTP: one request, one answer.

use std::rc::Rc;

use http::StatusCode;
use serde_json::{Map, Value, json};

use crate::net::http::{Reply, Request, Response};
use crate::protocol::interact::command::{self, Action};
use crate::protocol::interact::question::Refusal;
use crate::rooms::doors::clerk::{self, refused};
use crate::rooms::doors::entry::Guest;
use crate::rooms::doors::origin::refusal;
use crate::rooms::doors::reply;
use crate::rooms::doors::room::Visit;
use crate::rooms::doors::route::Door;
use crate::rooms::doors::service::House;
use crate::runtime::clock;

/// Answers a request that is no connection of a member.
pub(super) fn answer(
    house: &Rc<House>,
    room: Visit,
    guest: Guest,
    request: &Request,
    door: Door<'_>,
) -> Reply {
    let clerk = house.clerk.clone();
    if let Door::Snapshot = door {
        return later(async move {
            let held = room.snapshots.get(&room, clerk.origin(), None).await?;
            Ok(reply::json(held.json.clone()))
        });
    }
    if let Err(refusal) = house
        .gate
        .command(&guest.who.id, guest.address, clock::now())
    {
        return Reply::Ready(reply::refused(&refusal));
    }
    if let Door::Order(key) = door {
        let key = key.into();
        return later(async move {
            let answer = clerk.order_state(&room, &guest.who, &key).await?;
            Ok(reply::order(answer))
        });
    }
    let action = match action(door, request) {
        Ok(action) => action,
        Err(refusal) => return Reply::Ready(reply::refused(&refusal)),
    };
    later(async move {
        let event = match action {
            Action::Order(order) => {
                let answer = clerk
                    .order(&room, &guest.who, order, guest.way.load)
                    .await?;
                return Ok(reply::order(answer));
            }
            Action::Comment(comment) => clerk.comment(&room, &guest.who, comment).await?,
            Action::Like(like) => clerk::likes(clerk.like(&room, &like, guest.way)?),
            Action::Program(_) | Action::Moderation(_) => refused(&malformed("not a post")),
        };
        Ok(reply::json(event.to_json()))
    })
}

fn later(answer: impl Future<Output = Result<Response, Refusal>> + 'static) -> Reply {
    Reply::Later(Box::pin(async move {
        answer
            .await
            .unwrap_or_else(|refusal| reply::refused(&refusal))
    }))
}

/// The command that a post stands for: its path says what, its body is the command's body.
fn action(door: Door<'_>, request: &Request) -> Result<Action, Refusal> {
    let body = serde_json::from_slice(&request.body);
    let mut body: Map<String, Value> = body.map_err(|error| malformed(&error.to_string()))?;
    let kind = match door {
        Door::Comments => "comment",
        Door::Likes => "like",
        _ => {
            let key = request.headers.get("idempotency-key");
            if let Some(key) = key.and_then(|key| key.to_str().ok()) {
                // As the draft writes it, quoted, and as most send it.
                body.insert("key".into(), key.trim_matches('"').into());
            }
            "order"
        }
    };
    let envelope = json!({ "type": kind, "ref": "post", "body": body });
    let bytes = serde_json::to_vec(&envelope).expect("an envelope has text keys only");
    let command = command::parse(&bytes).map_err(|fault| fault.refusal)?;
    Ok(command.action)
}

fn malformed(detail: &str) -> Refusal {
    let status = StatusCode::BAD_REQUEST.as_u16();
    refusal(status, "malformed", format!("the body: {detail}"), None)
}
