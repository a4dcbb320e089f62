//! What a configuration means: the faults that no single key shows.

use crate::admin::DEADLINE_SECONDS_MAX;
use crate::auth;
use crate::ledger::Backend;
use crate::net::{ALTERNATES_MAX, Alternate};
use crate::node::Role;
use crate::node::config::{Config, Fault, Source};
use crate::registry;
use crate::rooms::moderation;
use crate::shed;
use crate::telemetry;

/// All faults of meaning of `config` for a node of `role`, at their places in `source`.
pub fn meaning(config: &Config, role: Role, source: &Source<'_>) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut fault = |path: &[&str], message: &str| faults.push(source.fault_at(path, message));
    node(config, &mut fault);
    interaction(config, &mut fault);
    fleet(config, &mut fault);
    shedding(&config.shed, &mut fault);
    match role {
        Role::Origin => origin(config, &mut fault),
        Role::Edge => edge(config, &mut fault),
        Role::Dev => {}
    }
    relay(config, &mut fault);
    tls(config, role, source, &mut fault);
    admin(config, &mut fault);
    faults
}

fn fleet(config: &Config, fault: &mut Report<'_>) {
    let registry = &config.registry;
    for (key, value, range) in [
        ("lease_seconds", registry.lease_seconds, 3..=300),
        ("memory_seconds", registry.memory_seconds, 0..=86_400),
    ] {
        if !range.contains(&value) {
            let message = format!("use {} to {}", range.start(), range.end());
            fault(&["registry", key], &message);
        }
    }
    if !(1..=5).contains(&registry.replicas) {
        fault(&["registry", "replicas"], "use 1 to 5");
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if registry.bucket.is_empty() || !registry.bucket.chars().all(allowed) {
        fault(&["registry", "bucket"], "use a-z A-Z 0-9 _ -");
    }
    if registry.backend == registry::Backend::Nats && registry.servers.is_empty() {
        let message = "is empty: name the cluster, such as [\"nats://nats-1:4222\"]";
        fault(&["registry", "servers"], message);
    }
}

type Report<'a> = dyn FnMut(&[&str], &str) + 'a;

fn node(config: &Config, fault: &mut Report<'_>) {
    let name = &config.node.name;
    if name.len() > 64 || !name.chars().all(|c| c.is_ascii_graphic()) {
        fault(
            &["node", "name"],
            "use at most 64 visible ASCII characters, or leave it empty",
        );
    }
    if !(1..=600).contains(&config.node.grace_seconds) {
        fault(&["node", "grace_seconds"], "use 1 to 600 seconds");
    }
    if let Err(error) = telemetry::check_log_filter(&config.node.log) {
        fault(&["node", "log"], &error);
    }
    if !(1..=DEADLINE_SECONDS_MAX).contains(&config.drain.upgrade_seconds) {
        let message = format!("use 1 to {DEADLINE_SECONDS_MAX} seconds");
        fault(&["drain", "upgrade_seconds"], &message);
    }
    if config.drain.alternates.len() > ALTERNATES_MAX {
        let message = format!("name at most {ALTERNATES_MAX} nodes");
        fault(&["drain", "alternates"], &message);
    }
    for url in &config.drain.alternates {
        if let Err(message) = Alternate::parse(url) {
            fault(&["drain", "alternates"], &message);
        }
    }
    if config.node.media_threads > 64 {
        fault(&["node", "media_threads"], "use 0 (half the cores) to 64");
    }
    if !(10..=3600).contains(&config.live.window_seconds) {
        fault(&["live", "window_seconds"], "use 10 to 3600 seconds");
    }
    if config.live.window_bytes < 1 << 20 {
        fault(&["live", "window_bytes"], "use at least 1048576 (1 MiB)");
    }
    if config.live.rooms_max == 0 {
        fault(&["live", "rooms_max"], "use at least 1");
    }
    if config.live.tracks_max < 2 {
        fault(
            &["live", "tracks_max"],
            "use at least 2: one of video, one of audio",
        );
    }
    if config.delivery.playlist_window_seconds > config.live.window_seconds {
        let message = format!(
            "is above live.window_seconds ({}): playlists would name segments that are gone",
            config.live.window_seconds
        );
        fault(&["delivery", "playlist_window_seconds"], &message);
    }
    if !config.delivery.flv.merges_well() {
        let message = "use 0, 50, 100 and so on to 1000";
        fault(&["delivery", "flv", "merge_ms"], message);
    }
}

fn interaction(config: &Config, fault: &mut Report<'_>) {
    let rooms = &config.rooms;
    for (key, value, range) in [
        ("batch_ms", rooms.batch_ms, 0..=1000),
        ("visible_per_second", rooms.visible_per_second, 1..=1000),
        ("like_tick_ms", rooms.like_tick_ms, 50..=5000),
        ("linger_seconds", rooms.linger_seconds, 0..=86_400),
        ("heartbeat_seconds", rooms.heartbeat_seconds, 5..=300),
        ("offline_seconds", rooms.offline_seconds, 10..=900),
    ] {
        if !range.contains(&value) {
            let message = format!("use {} to {}", range.start(), range.end());
            fault(&["rooms", key], &message);
        }
    }
    if rooms.offline_seconds <= rooms.heartbeat_seconds {
        let message = "is not above rooms.heartbeat_seconds: silent members would all be gone";
        fault(&["rooms", "offline_seconds"], message);
    }
    if rooms.send_queue_bytes < 4096 {
        fault(&["rooms", "send_queue_bytes"], "use at least 4096");
    }
    if config.ledger.dedupe_hours < 24 {
        let message = "use at least 24: buyers repeat an order for that long";
        fault(&["ledger", "dedupe_hours"], message);
    }
    let jetstream = &config.ledger.jetstream;
    if config.ledger.backend == Backend::Jetstream && jetstream.servers.is_empty() {
        let message = "is empty: name the cluster, such as [\"nats://nats-1:4222\"]";
        fault(&["ledger", "jetstream", "servers"], message);
    }
    if config.orders.webhook.is_some() && config.orders.nats.is_some() {
        let message = "stands beside orders.webhook: an order has one merchant, remove one";
        fault(&["orders", "nats"], message);
    }
    if let Err(error) = moderation::check(&config.moderation) {
        let key = match &error {
            moderation::Error::Rate => "comments_per_second",
            moderation::Error::ReviewUrl => "review",
            moderation::Error::Unreadable { .. } | moderation::Error::List { .. } => "words_file",
        };
        fault(&["moderation", key], &error.to_string());
    }
    if let Err(error) = config.hooks.check() {
        fault(&["hooks"], &error.to_string());
    }
    for (share, path) in [
        (config.access_log.sample_ok, ["access_log", "sample_ok"]),
        (config.telemetry.sample, ["telemetry", "sample"]),
    ] {
        if !(0.0..=1.0).contains(&share) {
            fault(&path, "is a share: 0 to 1");
        }
    }
    for error in auth::faults(&config.auth) {
        fault(&["auth", error.key()], &error.to_string());
    }
    if !(60..=7 * 24 * 3600).contains(&config.auth.session_seconds) {
        fault(
            &["auth", "session_seconds"],
            "use 60 seconds to 7 days (604800)",
        );
    }
}

fn shedding(shed: &shed::Config, fault: &mut Report<'_>) {
    for (key, value, range) in [
        ("cpu_percent", shed.cpu_percent, 10..=100),
        ("turn_ms", shed.turn_ms, 10..=10_000),
        ("queue_seconds_max", shed.queue_seconds_max, 5..=3600),
    ] {
        if !range.contains(&value) {
            let message = format!("use {} to {}", range.start(), range.end());
            fault(&["shed", key], &message);
        }
    }
    let is_base = |peer: &str| {
        let uri: Result<http::Uri, _> = peer.parse();
        uri.is_ok_and(|uri| {
            let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
            is_web && uri.query().is_none()
        })
    };
    if let Some(peer) = shed.peers.iter().find(|peer| !is_base(peer)) {
        let message = format!("{peer:?} is no base URL, such as \"https://edge-2.example.net\"");
        fault(&["shed", "peers"], &message);
    }
}

fn origin(config: &Config, fault: &mut Report<'_>) {
    if config.rtmp.listen.is_none() && config.rtmp.tls_listen.is_none() {
        fault(
            &["rtmp"],
            "an origin needs rtmp.listen or rtmp.tls_listen: no host could push",
        );
    }
    if !config.relay.parents.is_empty() {
        fault(
            &["relay", "parents"],
            "an origin has no parents: remove it, or run `rushlane edge`",
        );
    }
}

fn relay(config: &Config, fault: &mut Report<'_>) {
    /// A list longer than this is a mistake; the registry names larger fleets.
    const NODES_MAX: usize = 8;
    let relay = &config.relay;
    if !(1..=4).contains(&relay.links_max) {
        fault(&["relay", "links_max"], "use 1 to 4");
    }
    if relay.return_seconds > 86_400 {
        fault(&["relay", "return_seconds"], "use 0 (never) to 86400");
    }
    if !(1..=3600).contains(&relay.shun_seconds) {
        fault(&["relay", "shun_seconds"], "use 1 to 3600");
    }
    for (key, nodes) in [("parents", &relay.parents), ("peers", &relay.peers)] {
        if nodes.len() > NODES_MAX {
            fault(&["relay", key], "name at most 8");
        }
        let is_named = |node: &String| {
            node.rsplit_once(':').is_some_and(|(host, port)| {
                !host.is_empty() && port.parse::<u16>().is_ok_and(|port| port > 0)
            })
        };
        if let Some(node) = nodes.iter().find(|node| !is_named(node)) {
            let message = format!("{node:?} is no address: write HOST:PORT");
            fault(&["relay", key], &message);
        }
    }
}

fn edge(config: &Config, fault: &mut Report<'_>) {
    if config.relay.parents.is_empty() && config.registry.backend == registry::Backend::Static {
        fault(
            &["relay", "parents"],
            "an edge needs at least one parent, such as \"origin:4430\", or registry.backend = \
             \"nats\"",
        );
    }
    if !config.relay.peers.is_empty() {
        let message = "an edge has no peers: origins stand by for each other";
        fault(&["relay", "peers"], message);
    }
    if config.http.listen.is_none() && config.http.tls_listen.is_none() {
        let relays = config.relay.listen.is_some();
        if !relays {
            fault(
                &["http"],
                "an edge needs http.listen, http.tls_listen or relay.listen",
            );
        }
    }
}

fn tls(config: &Config, role: Role, source: &Source<'_>, fault: &mut Report<'_>) {
    let http = &config.http;
    if http.certificate.is_some() != http.key.is_some() {
        fault(
            &["http"],
            "certificate and key go together: set both or neither",
        );
    }
    // The default port opens when there is a certificate; one that was asked for needs it.
    let wanted = http.tls_listen.is_some() && source.sets(&["http", "tls_listen"]);
    let has_certificate = !http.certificate_files().is_empty();
    if wanted && !has_certificate && role != Role::Dev {
        fault(
            &["http", "tls_listen"],
            "needs http.certificate and http.key; leave tls_listen out to serve plain HTTP only",
        );
    }
    if role == Role::Dev {
        return;
    }
    if config.rtmp.tls_listen.is_some() && !has_certificate {
        fault(
            &["rtmp", "tls_listen"],
            "needs http.certificate and http.key: RTMPS serves them",
        );
    }
    let relay = &config.relay;
    let relays = relay.listen.is_some() || !relay.parents.is_empty();
    for (key, file) in [
        ("ca", &relay.ca),
        ("certificate", &relay.certificate),
        ("key", &relay.key),
    ] {
        if relays && file.is_none() {
            let message = "is missing: the relay speaks mutual TLS only; `rushlane dev --data DIR` \
                           writes a CA and certificates to try";
            fault(&["relay", key], message);
        }
    }
    let files = [
        (["http", "certificate"], &http.certificate),
        (["http", "key"], &http.key),
        (["relay", "ca"], &relay.ca),
        (["relay", "certificate"], &relay.certificate),
        (["relay", "key"], &relay.key),
    ];
    for files in &http.certificates {
        for file in [&files.certificate, &files.key] {
            if let Err(error) = std::fs::File::open(file) {
                let message = format!("{}: {error}", file.display());
                fault(&["http", "certificates"], &message);
            }
        }
    }
    for (path, file) in files {
        if let Some(file) = file
            && let Err(error) = std::fs::File::open(file)
        {
            fault(&path, &format!("{}: {error}", file.display()));
        }
    }
}

fn admin(config: &Config, fault: &mut Report<'_>) {
    let admin = &config.admin;
    if let Some(listen) = admin.listen
        && !listen.ip().is_loopback()
        && admin.token.is_none()
        && config.auth.keys.is_empty()
    {
        fault(
            &["admin", "listen"],
            "is no loopback address: set admin.token or auth.keys too, or listen on 127.0.0.1",
        );
    }
    if admin.token.as_ref().is_some_and(|token| token.len() < 16) {
        fault(&["admin", "token"], "use at least 16 characters");
    }
}
