//! The signals that stop a node.

use tokio::signal::unix::{SignalKind, signal};

use crate::node::Error;

/// Waits for SIGUSR2: another process shall take this one's place.
///
/// Errors: the process cannot listen to signals.
pub async fn upgrade() -> Result<(), Error> {
    let upgrade = signal(SignalKind::user_defined2());
    let mut upgrade = upgrade.map_err(|error| Error::System("signals", error))?;
    upgrade.recv().await;
    Ok(())
}

/// Waits for SIGINT or SIGTERM.
///
/// Errors: the process cannot listen to signals.
pub async fn wait() -> Result<(), Error> {
    let open = |kind| signal(kind).map_err(|error| Error::System("signals", error));
    let mut interrupt = open(SignalKind::interrupt())?;
    let mut terminate = open(SignalKind::terminate())?;
    let name = tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    };
    tracing::info!(signal = name, "asked to stop");
    Ok(())
}
