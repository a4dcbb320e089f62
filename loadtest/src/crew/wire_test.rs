use tokio::net::TcpListener;

use super::*;
use crate::crew::Secret;

fn secret(text: &str) -> Secret {
    Secret::new(text).unwrap()
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    (listener, address)
}

/// Both ends of a connection that has greeted.
async fn pair() -> ((Sender, Receiver), (Sender, Receiver)) {
    let (listener, address) = listen().await;
    let ours = secret("a secret of ours that is long");
    let (worker, coordinator) = tokio::join!(
        async { accept(listener.accept().await.unwrap().0, &ours).await },
        dial(&address, &ours)
    );
    (worker.unwrap(), coordinator.unwrap())
}

#[tokio::test]
async fn messages_come_as_they_were_sent() {
    let ((mut to_coordinator, mut at_worker), (mut to_worker, mut at_coordinator)) = pair().await;
    for text in ["one", "", "three"] {
        to_worker.send(&text).await.unwrap();
        to_coordinator.send(&text).await.unwrap();
        assert_eq!(at_worker.receive::<String>().await.unwrap(), text);
        assert_eq!(at_coordinator.receive::<String>().await.unwrap(), text);
    }
    drop((to_worker, at_coordinator));
    let fault = at_worker.receive::<String>().await.unwrap_err();
    assert_eq!(fault.to_string(), "the connection was closed");
}

#[tokio::test]
async fn another_secret_is_refused_on_both_sides() {
    let (listener, address) = listen().await;
    let (ours, theirs) = (secret("the secret of ours"), secret("the secret of others"));
    let (worker, coordinator) = tokio::join!(
        async { accept(listener.accept().await.unwrap().0, &ours).await },
        dial(&address, &theirs)
    );
    let said = format!("{:#}", coordinator.err().unwrap());
    assert_eq!(said, "refused: the secrets differ");
    assert_eq!(worker.err().unwrap().to_string(), "the secrets differ");
    assert!(Secret::new("too short").is_err());
}

#[tokio::test]
async fn a_worker_that_does_not_know_the_secret_is_none() {
    let (listener, address) = listen().await;
    let ours = secret("a secret of ours that is long");
    let impostor = async {
        let (mut stream, _) = listener.accept().await.unwrap();
        let greeting = Greeting {
            version: VERSION,
            nonce: [7; 32],
        };
        say(&mut stream, &greeting).await.unwrap();
        let claim: Claim = hear(&mut stream).await.unwrap();
        // The coordinator's own proof, sent back.
        say(&mut stream, &Answer::Welcome(claim.proof))
            .await
            .unwrap();
    };
    let (dialled, ()) = tokio::join!(dial(&address, &ours), impostor);
    let said = dialled.err().unwrap().to_string();
    assert!(said.contains("does not know the secret"), "{said}");
}

#[tokio::test]
async fn another_version_is_refused() {
    let (listener, address) = listen().await;
    let ours = secret("a secret of ours that is long");
    let newer = async {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        let _greeting: Greeting = hear(&mut stream).await.unwrap();
        let claim = Claim {
            version: VERSION + 1,
            nonce: [0; 32],
            proof: [0; 32],
        };
        say(&mut stream, &claim).await.unwrap();
        hear::<Answer>(&mut stream).await.unwrap()
    };
    let accept = async { accept(listener.accept().await.unwrap().0, &ours).await };
    let (answer, accepted) = tokio::join!(newer, accept);
    assert!(matches!(answer, Answer::Refused(why) if why.contains("version")));
    assert!(accepted.is_err());
}

#[tokio::test]
async fn garbage_and_oversized_greetings_end_the_connection() {
    for (garbage, fault) in [
        (
            &b"GET / HTTP/1.1\r\n\r\n"[..],
            "a greeting of 1195725856 bytes",
        ),
        (b"\0\0\0\x04null", "this is no greeting"),
        (b"\0\0", "end of file"),
    ] {
        let (listener, address) = listen().await;
        let ours = secret("a secret of ours that is long");
        let stranger = async {
            let mut stream = TcpStream::connect(&address).await.unwrap();
            stream.write_all(garbage).await.unwrap();
            stream.shutdown().await.unwrap();
            stream
        };
        let accept = async { accept(listener.accept().await.unwrap().0, &ours).await };
        let (_stream, accepted) = tokio::join!(stranger, accept);
        let said = format!("{:#}", accepted.err().unwrap());
        assert!(said.contains(fault), "{said}");
    }
}

#[tokio::test]
async fn altered_repeated_and_oversized_messages_end_the_connection() {
    // Written below the sender, as somebody on the way would.
    let length = |bytes: usize| u32::try_from(bytes).unwrap().to_be_bytes().to_vec();
    let forged = [length(3), b"\"a\"".to_vec(), vec![0; TAG_BYTES]].concat();
    for (bytes, fault) in [
        (forged, "has not sent"),
        (length(MESSAGE_BYTES_MAX + 1), "at most 4194304"),
    ] {
        let ((_, mut at_worker), (mut to_worker, _kept)) = pair().await;
        to_worker.half.write_all(&bytes).await.unwrap();
        let said = at_worker.receive::<String>().await.unwrap_err().to_string();
        assert!(said.contains(fault), "{said}");
    }
    let ((_, mut at_worker), (mut to_worker, _kept)) = pair().await;
    to_worker.send(&"once").await.unwrap();
    assert_eq!(at_worker.receive::<String>().await.unwrap(), "once");
    to_worker.seal.number = 0;
    to_worker.send(&"once").await.unwrap();
    assert!(at_worker.receive::<String>().await.is_err());
    let large = "x".repeat(MESSAGE_BYTES_MAX);
    assert!(to_worker.send(&large).await.is_err());
}
