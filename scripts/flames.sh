#!/usr/bin/env bash
# Draws what `make flames` recorded as flame graphs: FOLDER/*.perf into OUT/*.svg, with the tools of
# the crate inferno, installed into TOOLS.
set -euo pipefail

tools=$1 folder=$2 out=$3
if [[ ! -x $tools/bin/inferno-flamegraph ]]; then
  cargo install --quiet --locked --root "$tools" inferno@0.12.8
fi
mkdir -p "$out"
for name in flv parts-https playlists-http; do
  # Inlined functions stay in their callers: looking them up takes minutes.
  perf script --no-inline -i "$folder/$name.perf" 2>/dev/null |
    "$tools/bin/inferno-collapse-perf" --all 2>/dev/null |
    "$tools/bin/inferno-flamegraph" --title "an edge: $name" --minwidth 0.2 >"$out/$name.svg"
  echo "$out/$name.svg"
done
