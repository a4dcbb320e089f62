use super::*;
use crate::net::flood::Flood;

/// Clients of the flood: more than may shake hands without a proof of their address.
const CLIENTS: usize = 320;

/// Proofs that are asked for, until a viewer comes: the flood is at its height.
const PROOFS_MIN: u64 = 256;

#[tokio::test]
async fn a_flood_of_forged_addresses_keeps_no_viewer_out() {
    let server = Running::start(Config {
        workers: 1,
        ..config()
    });
    let address = server.addresses.quic.unwrap();
    let config = client_config(&server.authority);
    let flood = Flood::of(CLIENTS, &config).await;
    let endpoint = quinn::Endpoint::client(ANY).unwrap();
    let proofs = || {
        let text = server.telemetry.encode();
        let name = "rushlane_net_quic_address_proofs_total ";
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.map_or(0, |value| value.parse::<u64>().unwrap())
    };
    let viewer = async {
        while proofs() < PROOFS_MIN {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let connecting = endpoint.connect_with(config.clone(), address, "localhost");
        let connection = connecting.unwrap().await.expect("a true viewer comes in");
        connection.close(0_u32.into(), b"");
    };
    let attack = async {
        tokio::select! {
            () = flood.run(address) => {}
            () = viewer => {}
        }
    };
    timeout(WAIT, attack).await.expect("within the time");
    server.stop().await;
}
