//! Dials in the name of others, by the hundred.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use crate::net::flood::Flood;
use crate::net::tls::Authority;
use crate::relay::tests::peers::*;
use crate::relay::tests::stranger::Stranger;

/// More than may shake hands without a proof of their address.
const CLIENTS: usize = 64;

#[tokio::test]
async fn a_flood_of_forged_addresses_keeps_no_child_out() {
    let authority = Authority::create("test root");
    let parent = Node::new("parent", &authority).serve();
    let flood = Flood::of(CLIENTS, &Stranger::client(&parent, &authority)).await;
    let child = async {
        while parent.figure("rushlane_relay_address_proofs_total ") < 64.0 {
            sleep(Duration::from_millis(5)).await;
        }
        Stranger::dial(&parent, &authority).await
    };
    let attack = async {
        tokio::select! {
            () = flood.run(parent.address()) => unreachable!("it never ends"),
            child = child => child,
        }
    };
    let child = timeout(PATIENCE, attack).await.expect("within the time");
    assert!(child.connection.close_reason().is_none());
}
