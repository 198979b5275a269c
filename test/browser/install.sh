#!/usr/bin/env bash
# The browser that `npm run test:browser` drives. Debian's, because nothing may be fetched from anywhere but package registries.
set -euo pipefail
command -v chromium >/dev/null && exit 0
as_root=(); [ "$(id -u)" = 0 ] || as_root=(sudo)
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium
