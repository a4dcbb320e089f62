#!/usr/bin/env bash
# The certificate authority of the relay: who may be a parent or a child. Keep its folder off the
# nodes; a node gets relay-ca.pem, NAME.pem and NAME.key.
set -euo pipefail
umask 077

usage() {
  cat <<'TEXT'
relay-ca.sh init DIR                       make the authority
relay-ca.sh issue DIR NAME HOST [HOST...]  a certificate of the node NAME, good for a year; HOST is
                                           each name or address by which children dial it
TEXT
}

fail() {
  echo "relay-ca.sh: $*" >&2
  exit 2
}

curve=(-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes)

init() {
  local folder=$1
  [[ ! -e $folder/relay-ca.key ]] || fail "$folder has an authority already"
  mkdir -p "$folder"
  openssl req -x509 "${curve[@]}" -days 3650 -subj "/CN=Rushlane relay CA" \
    -addext "basicConstraints=critical,CA:true,pathlen:0" \
    -addext "keyUsage=critical,keyCertSign,cRLSign" \
    -keyout "$folder/relay-ca.key" -out "$folder/relay-ca.pem" 2>/dev/null
  echo "$folder/relay-ca.pem"
}

issue() {
  local folder=$1 name=$2 host names=''
  shift 2
  [[ -e $folder/relay-ca.key ]] || fail "$folder has no authority: relay-ca.sh init $folder"
  [[ $name =~ ^[A-Za-z0-9._-]{1,64}$ ]] || fail "'$name' is no name of a node"
  for host in "$@"; do
    if [[ $host =~ ^[0-9.]+$ || $host == *:* ]]; then names+=",IP:$host"; else names+=",DNS:$host"; fi
  done
  openssl req "${curve[@]}" -subj "/CN=$name" \
    -keyout "$folder/$name.key" -out "$folder/$name.csr" 2>/dev/null
  openssl x509 -req -in "$folder/$name.csr" -CA "$folder/relay-ca.pem" -CAkey "$folder/relay-ca.key" \
    -days 365 -out "$folder/$name.pem" -extfile /dev/stdin 2>/dev/null <<TEXT
subjectAltName=${names#,}
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth,clientAuth
TEXT
  rm "$folder/$name.csr"
  echo "$folder/$name.pem $folder/$name.key"
}

case ${1:-} in
  init) [[ $# -eq 2 ]] || fail "init DIR" && init "$2" ;;
  issue) [[ $# -ge 4 ]] || fail "issue DIR NAME HOST..." && shift && issue "$@" ;;
  *) usage >&2 && exit 2 ;;
esac
