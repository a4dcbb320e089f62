//! Tells systemd how the node is (sd_notify(3)). Does nothing where nobody asked to be told.

use std::env;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use crate::runtime::{Shutdown, TaskScope};

/// The node serves: units that wait for it may start. From now on, while the answer lives, there
/// are signs of life as often as `WatchdogSec=` of the unit wants them, twice for each. They stop
/// when the threads of media are stuck, and systemd starts the node anew.
pub(super) fn ready(shutdown: &Shutdown) -> TaskScope {
    say("READY=1\nSTATUS=serving");
    let scope = TaskScope::under(shutdown);
    let micros = env::var("WATCHDOG_USEC").ok();
    if let Some(limit) = micros.and_then(|text| text.parse().ok()) {
        let pause = Duration::from_micros(limit) / 2;
        scope.spawn("node.watchdog", keep_alive(pause, scope.shutdown().clone()));
    }
    scope
}

async fn keep_alive(pause: Duration, shutdown: Shutdown) {
    while !shutdown.is_requested() {
        say("WATCHDOG=1");
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = shutdown.requested() => {}
        }
    }
}

/// The node drains, and ends inside its grace.
pub(super) fn stopping() {
    say("STOPPING=1\nSTATUS=draining");
}

/// Says `state` in the words of sd_notify(3), such as `MAINPID=7`.
pub(super) fn say(state: &str) {
    let Some(name) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let told = address(name.as_bytes())
        .and_then(|to| UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &to));
    if let Err(error) = told {
        tracing::warn!(%error, "systemd cannot be told");
    }
}

/// A path, or a name in the abstract namespace after `@`.
fn address(name: &[u8]) -> std::io::Result<SocketAddr> {
    match name.strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_socket_names_are_understood() {
        let path = address(b"/run/systemd/notify").unwrap();
        assert_eq!(
            path.as_pathname().unwrap().to_str(),
            Some("/run/systemd/notify")
        );
        let hidden = address(b"@rushlane").unwrap();
        assert_eq!(hidden.as_abstract_name(), Some(&b"rushlane"[..]));
    }
}
