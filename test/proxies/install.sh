#!/usr/bin/env bash
# The proxies that `npm run test:proxies` stands behind: Debian's, unpacked into a folder, so that nothing is installed and no service starts.
set -euo pipefail
cd "$(dirname "$0")/../.."
into=node_modules/.cache/proxies
programs=(nginx haproxy caddy pgbouncer faketime)
mkdir -p "$into"

is_there() {
  for folder in "$into/usr/sbin" "$into/usr/bin" /usr/sbin /usr/bin; do
    [ -x "$folder/$1" ] && return
  done
  return 1
}
missing=()
for program in "${programs[@]}"; do is_there "$program" || missing+=("$program"); done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"

if [ "${#missing[@]}" -gt 0 ]; then
  as_root=(); [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -qq -y --no-install-recommends --download-only -o "Dir::Cache::archives=$work" "${missing[@]}"
  for package in "$work"/*.deb; do dpkg-deb -x "$package" "$into"; done
fi

# PgBouncer 1.24 of Debian 13, with the libraries that it was built for. Without it its tests are skipped.
[ -x "$into/newer/usr/sbin/pgbouncer" ] && exit 0
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
mkdir -p "$work/newer/lists/partial" "$work/newer/archives/partial" "$work/newer/debs"
touch "$work/newer/status"
echo "deb [signed-by=$keyring] http://deb.debian.org/debian trixie main" >"$work/newer/sources.list"
apt=(
  apt-get -qq -o "Dir::Etc::sourcelist=$work/newer/sources.list" -o Dir::Etc::sourceparts=/dev/null
  -o "Dir::State=$work/newer" -o "Dir::State::status=$work/newer/status" -o "Dir::Cache=$work/newer"
  -o "APT::Sandbox::User=$(id -un)"
)
libraries=(libc6 libcares2 libevent-2.1-7t64 libpam0g libssl3t64 libsystemd0 libcap2 libaudit1 libcap-ng0 libzstd1 zlib1g)
if "${apt[@]}" update && (cd "$work/newer/debs" && "${apt[@]}" download pgbouncer "${libraries[@]}"); then
  for package in "$work"/newer/debs/*.deb; do dpkg-deb -x "$package" "$work/newer/root"; done
  mv "$work/newer/root" "$into/newer"
else
  echo 'PgBouncer 1.24 cannot be downloaded; its tests are skipped.' >&2
fi
