#!/usr/bin/env bash
# The proxies that `npm run test:proxies` stands behind: Debian's, unpacked into a folder, so that nothing is installed and no service starts.
set -euo pipefail
cd "$(dirname "$0")/../.."
into=node_modules/.cache/proxies
at() { [ -x "$into/usr/sbin/$1" ] || [ -x "/usr/sbin/$1" ]; }
at nginx && at haproxy && exit 0
as_root=(); [ "$(id -u)" = 0 ] || as_root=(sudo)
"${as_root[@]}" apt-get update -qq
packages=$(mktemp -d)
trap 'rm -rf "$packages"' EXIT
chmod 755 "$packages"
"${as_root[@]}" apt-get install -qq -y --no-install-recommends --download-only -o "Dir::Cache::archives=$packages" nginx haproxy
mkdir -p "$into"
for package in "$packages"/*.deb; do dpkg-deb -x "$package" "$into"; done
