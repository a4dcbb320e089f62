//! The gate of a node: every door asks it who may come in.

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::rand;

use crate::auth::asking::{Arrival, Grant, Push, Visit};
use crate::auth::carried::{Carried, Credential};
use crate::auth::keyring::{Keyring, Wish};
use crate::auth::metrics::{Door, Metrics};
use crate::auth::running::Running;
use crate::auth::scheme::Asked;
use crate::auth::token::{Claims, ROOM_ANY, Scope};
use crate::auth::{AtExpiry, Config, DenyList, Error, Mode, Pass, Refusal};
use crate::protocol::interact::{Member, Role};
use crate::telemetry;

/// Lets in, or says why not. Clones share the keys, which [`Self::replace`] changes, and the deny
/// list.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    keyring: ArcSwap<Keyring>,
    denied: DenyList,
    running: Running,
    metrics: Metrics,
}

/// Keys that are ready to verify.
#[derive(Debug)]
pub struct Keys(Keyring);

impl Gate {
    /// Reads the keys, and registers figures.
    ///
    /// Errors: a key or a tenant cannot be used.
    pub fn new(config: &Config, metrics: &telemetry::Metrics) -> Result<Self, Error> {
        let denied = DenyList::default();
        Ok(Self(Arc::new(Inner {
            keyring: ArcSwap::from_pointee(read(config)?),
            metrics: Metrics::register(metrics, &denied),
            running: Running::default(),
            denied,
        })))
    }

    /// Reads the keys of `config`, for [`Self::replace`].
    ///
    /// Errors: a key or a tenant cannot be used.
    pub fn prepare(config: &Config) -> Result<Keys, Error> {
        read(config).map(Keys)
    }

    /// Replaces keys, tenants and mode; those who are in stay in.
    pub fn replace(&self, keys: Keys) {
        self.0.keyring.store(Arc::new(keys.0));
    }

    /// The deny list.
    #[must_use]
    pub fn denied(&self) -> &DenyList {
        &self.0.denied
    }

    /// Whether tokens are asked for.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.0.keyring.load().mode
    }

    /// Leave to watch what `visit` asks for. Pages are open to all; every other path needs a token
    /// for the room in it, also one that nothing answers.
    pub fn play<'a>(&self, visit: &Visit<'a>) -> Result<Grant<'a>, Refusal> {
        let granted = self.grant(visit);
        if self.mode() == Mode::Token || granted.is_err() {
            self.0.metrics.asked(Door::Play, granted.as_ref().err());
        }
        granted
    }

    fn grant<'a>(&self, visit: &Visit<'a>) -> Result<Grant<'a>, Refusal> {
        let keyring = self.0.keyring.load();
        let carried = Carried::of(visit.path, visit.query, visit.authorization);
        let room = closed_room(carried.path).filter(|_| keyring.mode == Mode::Token);
        let Some(room) = room else {
            let pass = self.bare_pass(room_in(carried.path), visit.address)?;
            return Ok(Grant {
                path: carried.path,
                query: carried.query,
                pass,
                elsewhere: None,
            });
        };
        let wish = Wish {
            scope: Scope::Play,
            room,
            asked: Asked {
                path: carried.path,
                stream: room,
                address: visit.address,
            },
            now_s: visit.now_s,
        };
        let claims = self.verify_going_on(&keyring, &carried.credential, &wish)?;
        let elsewhere = match is_playlist(carried.path) && !carried.lasts {
            true => lasting_token(&keyring, &carried.credential, &claims, visit.now_s),
            false => None,
        };
        let elsewhere = elsewhere.map(|token| match &*carried.query {
            "" => format!("/t/{token}{}", carried.path),
            query => format!("/t/{token}{}?{query}", carried.path),
        });
        Ok(Grant {
            path: carried.path,
            query: carried.query,
            pass: self.pass(&keyring, &carried.credential, &claims, &wish)?,
            elsewhere,
        })
    }

    /// What `credential` proves. A token that has expired under a viewer is taken as it was in its
    /// last second.
    fn verify_going_on(
        &self,
        keyring: &Keyring,
        credential: &Credential<'_>,
        wish: &Wish<'_>,
    ) -> Result<Claims, Refusal> {
        let verified = keyring.verify(credential, wish);
        let Credential::Token(token) = credential else {
            return verified;
        };
        let (running, address, now_s) = (&self.0.running, wish.asked.address, wish.now_s);
        let verified = match verified {
            Err(Refusal::Expired) if keyring.at_expiry == AtExpiry::Finish => {
                let known = running.expired_under(token, address, now_s);
                let now_s = known.ok_or(Refusal::Expired)?;
                keyring.verify(credential, &Wish { now_s, ..*wish })
            }
            verified => verified,
        };
        if let Ok(claims) = &verified
            && keyring.at_expiry == AtExpiry::Finish
        {
            running.note(token, address, claims.exp_s, now_s);
        }
        verified
    }

    /// Leave to publish.
    pub fn publish(&self, push: &Push<'_>) -> Result<Pass, Refusal> {
        let granted = self.grant_publish(push);
        self.0.metrics.asked(Door::Publish, granted.as_ref().err());
        granted
    }

    fn grant_publish(&self, push: &Push<'_>) -> Result<Pass, Refusal> {
        let keyring = self.0.keyring.load();
        if keyring.mode == Mode::Open {
            return self.bare_pass(push.room, push.address);
        }
        let path = format!("/live/{}", push.name);
        let wish = Wish {
            scope: Scope::Publish,
            room: push.room,
            asked: Asked {
                path: &path,
                stream: push.name,
                address: push.address,
            },
            now_s: push.now_s,
        };
        let carried = Carried::of(&path, push.query, None);
        let claims = keyring.verify(&carried.credential, &wish)?;
        self.pass(&keyring, &carried.credential, &claims, &wish)
    }

    /// Who enters a room. A token decides who he is; without one, in open mode, he is a viewer by
    /// the id and name that he gives, or one that is made up here. In open mode, therefore, anybody
    /// can claim any id that is not taken by a token.
    pub fn member(&self, arrival: &Arrival<'_>) -> Result<(Member, Pass), Refusal> {
        let entered = self.enter(arrival);
        self.0.metrics.asked(Door::Interact, entered.as_ref().err());
        entered
    }

    fn enter(&self, arrival: &Arrival<'_>) -> Result<(Member, Pass), Refusal> {
        let keyring = self.0.keyring.load();
        let (room, address) = (arrival.room, arrival.address);
        let Some(token) = arrival.token else {
            if keyring.mode == Mode::Token {
                return Err(Refusal::Missing);
            }
            let id = arrival.user.map_or_else(anonymous, str::to_owned);
            let name = arrival.name.unwrap_or_default();
            let member = Member::new(&id, name, Role::Viewer)?;
            let pass = Pass::new(&self.0.denied, None, Some(&member.id), room, address, None);
            return pass.checked().map(|pass| (member, pass));
        };
        let wish = Wish::in_room(Scope::Interact, room, address, arrival.now_s);
        let credential = Credential::Token(token.into());
        let claims = keyring.verify(&credential, &wish)?;
        let id = match &*claims.sub {
            "" => anonymous(),
            sub => sub.to_owned(),
        };
        let member = Member::new(&id, &claims.name, claims.role)?;
        let until_s = keyring.until_s(&credential, &claims, arrival.now_s);
        let denied = &self.0.denied;
        let pass = Pass::new(
            denied,
            Some(&claims),
            Some(&member.id),
            room,
            address,
            until_s,
        );
        pass.checked().map(|pass| (member, pass))
    }

    /// True when `token` may operate nodes: an admin token for all rooms.
    #[must_use]
    pub fn is_operator(&self, token: &str, address: IpAddr, now_s: i64) -> bool {
        let wish = Wish::in_room(Scope::Admin, ROOM_ANY, address, now_s);
        let keyring = self.0.keyring.load();
        let credential = Credential::Token(token.into());
        let claims = keyring.verify(&credential, &wish);
        let granted = claims.and_then(|claims| self.pass(&keyring, &credential, &claims, &wish));
        self.0.metrics.asked(Door::Admin, granted.as_ref().err());
        granted.is_ok()
    }

    /// True when `mark` is a token of a load test: such orders never reach the merchant.
    #[must_use]
    pub fn is_load(&self, mark: Option<&str>, room: &str, address: IpAddr, now_s: i64) -> bool {
        let wish = Wish::in_room(Scope::Load, room, address, now_s);
        let good = |mark: &str| {
            let keyring = self.0.keyring.load();
            keyring
                .verify(&Credential::Token(mark.into()), &wish)
                .is_ok()
        };
        mark.is_some_and(good)
    }

    /// The pass of somebody of whom nothing is asked.
    fn bare_pass(&self, room: &str, address: IpAddr) -> Result<Pass, Refusal> {
        Pass::new(&self.0.denied, None, None, room, address, None).checked()
    }

    fn pass(
        &self,
        keyring: &Keyring,
        credential: &Credential<'_>,
        claims: &Claims,
        wish: &Wish<'_>,
    ) -> Result<Pass, Refusal> {
        let until_s = keyring.until_s(credential, claims, wish.now_s);
        let (denied, address) = (&self.0.denied, wish.asked.address);
        let pass = Pass::new(
            denied,
            Some(claims),
            Some(&claims.sub),
            wish.room,
            address,
            until_s,
        );
        pass.checked()
    }
}

impl<'a> Wish<'a> {
    /// A wish that has nothing to do with a path.
    fn in_room(scope: Scope, room: &'a str, address: IpAddr, now_s: i64) -> Self {
        Self {
            scope,
            room,
            asked: Asked {
                path: "",
                stream: room,
                address,
            },
            now_s,
        }
    }
}

fn read(config: &Config) -> Result<Keyring, Error> {
    Keyring::new(config).map_err(|mut faults| faults.swap_remove(0))
}

/// Every fault of `config`.
#[must_use]
pub fn faults(config: &Config) -> Vec<Error> {
    Keyring::new(config).err().unwrap_or_default()
}

/// The room that a token for `path` must be good for; `None`: a page, which is open to all.
fn closed_room(path: &str) -> Option<&str> {
    let inside = path.strip_prefix('/').unwrap_or(path);
    match inside.split_once('/') {
        // The list of all rooms.
        None if inside == "rooms" => Some(ROOM_ANY),
        // The front page and the few files beside it.
        None => None,
        Some(("assets" | "watch", _)) => None,
        Some(_) => Some(room_in(path)),
    }
}

/// The second step of a path, without an extension.
fn room_in(path: &str) -> &str {
    let second = path.split('/').nth(2).unwrap_or_default();
    second.split('.').next().unwrap_or_default()
}

/// True for what names further URLs, which relative to it would lose a query.
fn is_playlist(path: &str) -> bool {
    path.ends_with(".m3u8") || path.ends_with(".mpd")
}

/// What goes before the path from now on: the token itself, or one for the rest of a session that
/// began with a signed URL.
fn lasting_token(
    keyring: &Keyring,
    credential: &Credential<'_>,
    claims: &Claims,
    now_s: i64,
) -> Option<String> {
    match credential {
        Credential::Token(token) => Some(token.clone().into_owned()),
        _ => keyring.session_token(claims, now_s),
    }
}

/// An id that nobody else has.
fn anonymous() -> String {
    let mut random = [0_u8; 8];
    rand::fill(&mut random).expect("the system gives random bytes");
    format!("anon-{:016x}", u64::from_be_bytes(random))
}

#[cfg(test)]
#[path = "gate_test.rs"]
mod tests;
