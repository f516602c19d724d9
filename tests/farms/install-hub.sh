#!/usr/bin/env bash
# install-hub.sh FOLDER: JupyterHub, a server for its users, and its proxy, in an environment of its own. It needs no root,
# except to install npm where that is not there.
set -euo pipefail
target=$1
version=6.1.1
proxy=5.3.0
constraints=$(dirname "$0")/../../constraints.txt
[ -e "$target/.$version-$proxy" ] && exit 0
rm -rf "$target"
mkdir -p "$(dirname "$target")"
if ! command -v npm > /dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends nodejs npm > /dev/null
fi
python=$(command -v python3.11 || command -v python3)
"$python" -m venv "$target" > /dev/null 2>&1 || "$python" -m venv --clear --without-pip "$target"
"$python" -m pip --python "$target/bin/python" install --quiet -c "$constraints" "jupyterhub==$version" jupyter-server
npm install --prefix "$target/proxy" --silent --no-audit --no-fund "configurable-http-proxy@$proxy" > /dev/null
touch "$target/.$version-$proxy"
