#!/usr/bin/env bash
# Installs the Debian packages of the tools named as arguments, those only that are missing.
# Quick and silent when nothing is. A tool that Debian is not the source of is asked for instead.
set -euo pipefail

has() { command -v "$1" >/dev/null 2>&1; }
fail() {
  echo "setup: $*" >&2
  exit 1
}

# The Debian package of a missing tool, nothing when the tool is there.
package_of() {
  case $1 in
    ffmpeg | ffprobe) has "$1" || echo ffmpeg ;;
    chromium) [[ -n ${RUSHLANE_CHROMIUM:-} ]] || has chromium || echo chromium ;;
    dejavu) [[ -e /usr/share/fonts/truetype/dejavu/DejaVuSansMono-Bold.ttf ]] || echo fonts-dejavu-core ;;
    curl | openssl) has "$1" || echo "$1" ;;
    nats-server) has nats-server || [[ -x /usr/sbin/nats-server ]] || echo nats-server ;;
    taskset) has taskset || echo util-linux ;;
    shellcheck | cloud-init) has "$1" || echo "$1" ;;
    systemd-analyze) has systemd-analyze || echo systemd ;;
    nft) has nft || [[ -x /usr/sbin/nft ]] || echo nftables ;;
    ip) has ip || [[ -x /usr/sbin/ip ]] || echo iproute2 ;;
    nginx) [[ -x /usr/sbin/nginx ]] || echo nginx-light ;;
    nginx-rtmp) [[ -e /usr/lib/nginx/modules/ngx_rtmp_module.so ]] || echo libnginx-mod-rtmp ;;
    varnish) [[ -x /usr/sbin/varnishd ]] || echo varnish ;;
    perf) has perf || echo linux-perf ;;
    cmake) has cmake || echo cmake ;;
    cc) has cc || echo build-essential ;;
    venv) python3 -c 'import ensurepip, venv' 2>/dev/null || echo python3-venv ;;
    cargo) has cargo || fail "cargo is missing: install Rust 1.95 or newer (https://rustup.rs)" ;;
    node | npm) has "$1" || fail "$1 is missing: install Node.js 20.19 or newer" ;;
    python3) has python3 || fail "python3 is missing: install Python 3.11 or newer" ;;
    *) fail "no package is known for '$1'" ;;
  esac
}

packages=()
for tool in "$@"; do
  package=$(package_of "$tool")
  [[ -z $package || " ${packages[*]} " == *" $package "* ]] || packages+=("$package")
done
[[ ${#packages[@]} -gt 0 ]] || exit 0

has apt-get || fail "missing: ${packages[*]}; this machine has no apt-get, install them by hand"
as_root=()
if [[ $(id -u) -ne 0 ]]; then
  has sudo && { sudo -n true 2>/dev/null || [[ -t 0 ]]; } ||
    fail "missing: ${packages[*]}; as root run: apt-get install ${packages[*]}"
  as_root=(sudo)
fi
echo "setup: installing ${packages[*]}" >&2
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
