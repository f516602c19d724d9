#!/usr/bin/env bash
# install-gateway.sh FOLDER: dask-gateway's server in an environment of its own, as a facility has it. It needs no root.
set -euo pipefail
target=$1
version=2026.3.0
constraints=$(dirname "$0")/../../constraints.txt
[ -e "$target/.$version" ] && exit 0
rm -rf "$target"
mkdir -p "$(dirname "$target")"
python=$(command -v python3.11 || command -v python3)
"$python" -m venv "$target" > /dev/null 2>&1 || "$python" -m venv --clear --without-pip "$target"
"$python" -m pip --python "$target/bin/python" install --quiet -c "$constraints" \
  "dask-gateway-server[local]==$version" 'sqlalchemy>=2.0'
touch "$target/.$version"
