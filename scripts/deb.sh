#!/usr/bin/env bash
# Makes the Debian package: deb.sh BINARY OUTPUT.deb. The same binary and commit give the same bytes.
# DEB_COMPRESSION=none for tests.
set -euo pipefail

binary=$1 output=$(realpath -m "$2")
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=$(sed -n '/^\[workspace.package\]/,/^\[/ s/^version = "\(.*\)"/\1/p' Cargo.toml)
SOURCE_DATE_EPOCH=$(git log -1 --format=%ct 2>/dev/null || echo 0)
export SOURCE_DATE_EPOCH
stage=$(mktemp -d)
trap 'rm -rf "$stage"' EXIT

put() { install -D -m "$1" "${@:2}"; }

put 755 "$binary" "$stage/usr/bin/rushlane"
strip --strip-debug "$stage/usr/bin/rushlane"
for unit in deploy/systemd/*.service; do
  put 644 "$unit" "$stage/usr/lib/systemd/system/$(basename "$unit")"
done
put 644 deploy/systemd/rushlane.sysusers "$stage/usr/lib/sysusers.d/rushlane.conf"
put 644 deploy/sysctl/60-rushlane.conf "$stage/usr/lib/sysctl.d/60-rushlane.conf"
put 644 deploy/sysctl/rushlane.modules "$stage/usr/lib/modules-load.d/rushlane.conf"
for table in deploy/nftables/*.nft; do
  put 644 "$table" "$stage/usr/share/rushlane/nftables/$(basename "$table")"
done
for tree in prometheus grafana; do
  [[ ! -d deploy/$tree ]] || cp -r --no-preserve=mode "deploy/$tree" "$stage/usr/share/rushlane/$tree"
done
put 755 deploy/relay-ca.sh "$stage/usr/share/rushlane/relay-ca.sh"
for example in config/*.toml; do
  put 644 "$example" "$stage/usr/share/doc/rushlane/examples/$(basename "$example")"
done
put 644 docs/OPERATIONS.md "$stage/usr/share/doc/rushlane/OPERATIONS.md"
put 644 /dev/stdin "$stage/usr/share/doc/rushlane/copyright" <<'TEXT'
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Files: *
Copyright: the Rushlane authors
License: Apache-2.0
 On Debian systems the licence is /usr/share/common-licenses/Apache-2.0.
TEXT
gzip -9n <CHANGELOG.md >"$stage/usr/share/doc/rushlane/changelog.gz"

mkdir "$stage/DEBIAN"
install -m 755 deploy/debian/{postinst,prerm,postrm} "$stage/DEBIAN/"
# The C library that it was linked with is the oldest that it runs with.
libc=$(getconf GNU_LIBC_VERSION | cut -d' ' -f2)
sed -e "s/@VERSION@/$version/" -e "s/@ARCHITECTURE@/$(dpkg --print-architecture)/" \
  -e "s/@LIBC@/$libc/" -e "s/@KILOBYTES@/$(du -ks --exclude=DEBIAN "$stage" | cut -f1)/" \
  deploy/debian/control >"$stage/DEBIAN/control"
find "$stage" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
chmod 755 "$stage"
mkdir -p "$(dirname "$output")"
dpkg-deb --root-owner-group -Z"${DEB_COMPRESSION:-xz}" --build "$stage" "$output" >/dev/null
echo "$output"
