#!/usr/bin/env bash
# What the real farms of tests/farms need, on Debian: a minute. Run as root; what is there already is left alone.
set -euo pipefail
cd "$(dirname "$0")"
missing=
for package in munge slurmctld slurmd slurm-client slurmdbd mariadb-server gridengine-master gridengine-exec \
  gridengine-client oar-server oar-server-pgsql oar-node oar-user oar-user-pgsql libjson-perl postgresql-15 \
  openssh-server patchelf file iproute2 xrootd-server xrootd-server-plugins xrootd-plugins \
  xrootd-scitokens-plugins sudo iptables squashfs-tools; do
  dpkg -s "$package" > /dev/null 2>&1 || missing="$missing $package"
done
if [ -n "$missing" ]; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # shellcheck disable=SC2086 # a list
  apt-get install -y -qq --no-install-recommends $missing > /dev/null
fi
./install-htcondor.sh /var/tmp/beampipe-farms/htcondor
./install-gateway.sh /var/tmp/beampipe-farms/gateway
./install-hub.sh /var/tmp/beampipe-farms/hub
