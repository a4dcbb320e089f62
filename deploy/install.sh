#!/usr/bin/env bash
# Puts a node on this machine: binary, user, kernel settings, unit, configuration. Running it again
# changes only what differs; a configuration that is there is never touched.
set -euo pipefail

usage() {
  cat <<'TEXT'
install.sh --role origin|edge [options]

  --binary FILE       the binary; default: target/release/rushlane of this checkout
  --name NAME         node.name; default: the host name
  --parents A,B       relay.parents of an edge, as HOST:PORT
  --firewall          also put the role's nftables table to /etc/nftables.d
  --root DIR          install below DIR (an image) and start nothing
  --no-start          start nothing
  --dry-run           say what would change, and change nothing
TEXT
}

fail() {
  echo "install.sh: $*" >&2
  exit 2
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
role='' name=$(hostname) parents='' root='' firewall=no start=yes dry=no
binary=$here/../target/release/rushlane
while [[ $# -gt 0 ]]; do
  case $1 in
    --role | --binary | --name | --parents | --root)
      [[ $# -ge 2 ]] || fail "$1 wants a value"
      printf -v "${1#--}" %s "$2"
      shift
      ;;
    --firewall) firewall=yes ;;
    --no-start) start=no ;;
    --dry-run) dry=yes ;;
    -h | --help) usage && exit 0 ;;
    *) usage >&2 && fail "what is '$1'?" ;;
  esac
  shift
done

[[ $role == origin || $role == edge ]] || { usage >&2 && fail "--role is origin or edge"; }
[[ -f $binary ]] || fail "there is no $binary: make build, or name one by --binary"
[[ $role == origin || -n $parents || -e $root/etc/rushlane/edge.toml ]] || fail "an edge wants --parents"
[[ $name =~ ^[!-~]{1,64}$ && $name != *[\"\\]* ]] || fail "--name is 1 to 64 visible ASCII characters"
[[ $parents =~ ^[][A-Za-z0-9.,:_-]*$ ]] || fail "--parents is HOST:PORT,HOST:PORT"
[[ $dry == yes || $(id -u) -eq 0 ]] || fail "run it as root, or with --dry-run"
[[ -z $root || -d $root ]] || fail "there is no $root"

changes=0
# Says what is done, and does it unless this is a dry run.
act() {
  echo "  $1"
  shift
  changes=$((changes + 1))
  [[ $dry == yes ]] || "$@"
}

# The file at $2 is $1, with mode $3 and group $4.
put() {
  local from=$1 to=$root$2 mode=$3 group=${4:-root}
  if [[ -f $to ]] && cmp --silent "$from" "$to" && [[ $(stat -c '%a' "$to") == "$mode" ]]; then
    return
  fi
  act "write $2" put_now "$from" "$to" "$mode" "$group"
}

put_now() {
  # By name, so that a binary that runs is replaced and not written over.
  install -D -m "$3" -o root -g "$(group_id "$4")" "$1" "$2.new"
  mv -f "$2.new" "$2"
}

# An image has groups of its own.
group_id() {
  awk -F: -v name="$1" '$1 == name { print $3 }' "$root/etc/group"
}

user() {
  [[ -n $(group_id rushlane) ]] || act "add the user rushlane" add_user
  [[ -d $root/etc/rushlane ]] || act "make /etc/rushlane" make_folder
}

add_user() {
  useradd ${root:+--root "$root"} --system --user-group --no-create-home \
    --home-dir /var/lib/rushlane --shell /usr/sbin/nologin rushlane
}

make_folder() {
  install -d -m 750 -o root -g "$(group_id rushlane)" "$root/etc/rushlane"
}

configuration() {
  local to=$root/etc/rushlane/$role.toml
  [[ -e $to ]] || act "write /etc/rushlane/$role.toml" write_configuration "$to"
}

write_configuration() {
  local made list
  made=$(mktemp)
  list="\"${parents//,/\", \"}\""
  sed -e "s|^name = \"$role-1\" |name = \"$name\" |" \
    -e "s|/etc/rushlane/$role-1\.|/etc/rushlane/node.|" \
    -e "s|^parents = \[[^]]*\]|parents = [$list]|" \
    "$here/../config/$role.toml" >"$made"
  put_now "$made" "$1" 640 rushlane
  rm -f "$made"
}

kernel() {
  put "$here/sysctl/60-rushlane.conf" /etc/sysctl.d/60-rushlane.conf 644
  put "$here/sysctl/rushlane.modules" /etc/modules-load.d/rushlane.conf 644
}

wall() {
  [[ $firewall == yes ]] || return 0
  # Addresses are filled in by hand: what is there stays.
  [[ -e $root/etc/nftables.d/50-rushlane.nft ]] ||
    put "$here/nftables/rushlane-$role.nft" /etc/nftables.d/50-rushlane.nft 600
  local main=$root/etc/nftables.conf line='include "/etc/nftables.d/*.nft"'
  grep -qsF "$line" "$main" || act "include /etc/nftables.d in /etc/nftables.conf" include "$main" "$line"
}

include() {
  [[ -e $1 ]] || printf '#!/usr/sbin/nft -f\nflush ruleset\n' >"$1"
  printf '%s\n' "$2" >>"$1"
}

activate() {
  local unit=rushlane-$role
  if [[ -n $root || $start == no || $dry == yes || ! -d /run/systemd/system ]]; then
    echo "not started: systemctl enable --now $unit"
    return
  fi
  if ! /usr/local/bin/rushlane check -c "/etc/rushlane/$role.toml" --role "$role"; then
    echo "not started: mend the above, then systemctl enable --now $unit"
    return
  fi
  systemctl restart systemd-modules-load systemd-sysctl
  systemctl daemon-reload
  # A node that runs drains, and comes back with what changed.
  [[ $changes -eq 0 ]] || systemctl try-restart "$unit"
  systemctl enable --quiet --now "$unit"
}

echo "rushlane $role \"$name\"${root:+ below $root}"
user
put "$binary" /usr/local/bin/rushlane 755
kernel
put "$here/systemd/rushlane-$role.service" "/etc/systemd/system/rushlane-$role.service" 644
put "$here/../docs/OPERATIONS.md" /usr/share/doc/rushlane/OPERATIONS.md 644
configuration
wall
echo "$changes changes${dry:+$([[ $dry == yes ]] && echo ' wanted')}"
activate
