//! Servers that `make bench-rivals` alone needs: from Debian, PyPI and crates.io.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::process::{Process, free_port};
use crate::servers::Certificates;

/// Where scripts/rivals.sh puts those that are not Debian's.
const TOOLS: &str = "target/rivals/bin";

/// Varnish in front of `backend`, everything in memory: the address of plain HTTP.
pub(super) async fn varnish(folder: &Path, backend: &str) -> anyhow::Result<(Process, String)> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let work = folder.join("varnish");
    let _first_run = fs::remove_dir_all(&work);
    fs::create_dir_all(&work)?;
    let work = work.canonicalize()?.display().to_string();
    let arguments = [
        "-F",
        "-j",
        "none",
        "-n",
        &work,
        "-a",
        &address,
        "-b",
        backend,
        "-s",
        "malloc,256m",
        "-t",
        "3600",
        "-p",
        "thread_pools=1",
    ];
    let log = folder.join("varnish.log");
    let program = Path::new("/usr/sbin/varnishd");
    let mut process =
        Process::start("varnish", program, &arguments, &log).context("apt-get install varnish")?;
    process.wait_for_port(port(&address)).await?;
    Ok((process, address))
}

/// Caddy serving the files of `root`: the address of HTTPS and HTTP/3.
pub(super) async fn caddy(
    folder: &Path,
    root: &Path,
    certificates: &Certificates,
) -> anyhow::Result<(Process, String)> {
    let address = format!("127.0.0.1:{}", free_port()?);
    let file = folder.join("Caddyfile");
    let text = format!(
        "{{\n\tadmin off\n\tauto_https off\n\tservers {{\n\t\tprotocols h1 h2 h3\n\t}}\n}}\n\
         https://localhost:{} {{\n\tbind 127.0.0.1\n\ttls {} {}\n\troot * {}\n\tfile_server\n}}\n",
        port(&address),
        certificates.certificate.canonicalize()?.display(),
        certificates.key.canonicalize()?.display(),
        root.canonicalize()?.display(),
    );
    fs::write(&file, text)?;
    let file = file.display().to_string();
    let arguments = ["run", "--adapter", "caddyfile", "--config", &file];
    let log = folder.join("caddy.log");
    let program = Path::new(TOOLS).join("caddy");
    let mut process = Process::start("caddy", &program, &arguments, &log)?;
    process.wait_for_port(port(&address)).await?;
    Ok((process, address))
}

/// xiu with RTMP and HTTP-FLV: both addresses.
pub(super) async fn xiu(folder: &Path) -> anyhow::Result<(Process, String, String)> {
    let [rtmp, flv] = [free_port()?, free_port()?];
    let file = folder.join("xiu.toml");
    let text = format!(
        "[rtmp]\nenabled = true\nport = {rtmp}\ngop_num = 1\n\
         [httpflv]\nenabled = true\nport = {flv}\n[log]\nlevel = \"error\"\n"
    );
    fs::write(&file, text)?;
    let arguments = ["-c", &*file.to_string_lossy()];
    let log = folder.join("xiu.log");
    let program = Path::new(TOOLS).join("xiu");
    let mut process = Process::start("xiu", &program, &arguments, &log)?;
    process.wait_for_port(rtmp).await?;
    process.wait_for_port(flv).await?;
    let address = |port| format!("127.0.0.1:{port}");
    Ok((process, address(rtmp), address(flv)))
}

fn port(address: &str) -> u16 {
    let port = address
        .rsplit(':')
        .next()
        .and_then(|port| port.parse().ok());
    port.expect("an address that was made here")
}
