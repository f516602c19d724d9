#!/usr/bin/env bash
# HTCondor for the tests, on a Debian that has none: the packages of a later Debian, unpacked into one folder and made to
# use the C library that came with them. Nothing of this system is replaced, and jobs run as its ordinary processes.
#   install-htcondor.sh FOLDER        (needs apt-get, patchelf, file; does nothing if it is there)
set -euo pipefail
folder=$1
suite=${HTCONDOR_SUITE:-trixie}
[ -e "$folder/ready" ] && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists/partial,archives/partial,parts} "$folder/root"
: > "$work/status"
mirror=$(awk '/^URIs:/ {print $2; exit} /^deb / {print $2; exit}' /etc/apt/sources.list.d/* /etc/apt/sources.list 2>/dev/null)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > "$work/sources.list"
# An apt of its own: it sees the later Debian only, believes that nothing is installed, and downloads all that is needed.
own_apt() {
  apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts="$work/parts" \
    -o Dir::Etc::PreferencesParts="$work/parts" -o Dir::State::Lists="$work/lists" -o Dir::State::Status="$work/status" \
    -o Dir::Cache="$work" -o Dir::Cache::Archives="$work/archives" -o APT::Sandbox::User=root -o Debug::NoLocking=true \
    -o APT::Keep-Downloaded-Packages=true "$@"
}
own_apt update
DEBIAN_FRONTEND=noninteractive own_apt install -y --download-only --no-install-recommends condor > /dev/null
for package in "$work"/archives/*.deb; do
  case $(basename "$package") in
    condor_* | lib* | zlib1g*) dpkg -x "$package" "$folder/root" ;;
  esac
done
libraries=$folder/root/usr/lib/$(uname -m)-linux-gnu
loader=$(find "$libraries" -name 'ld-linux-*.so.*' | head -n 1)
find "$folder"/root/usr/{bin,sbin,libexec} -type f -print0 | while IFS= read -r -d '' program; do
  file -b "$program" | grep -q ELF || continue
  patchelf --print-interpreter "$program" > /dev/null 2>&1 && patchelf --set-interpreter "$loader" "$program"
  patchelf --force-rpath --set-rpath "$libraries:$folder/root/usr/lib" "$program" 2> /dev/null || true
done
for library in "$folder"/root/usr/lib/lib{condor,classad}*.so*; do
  [ -L "$library" ] || patchelf --force-rpath --set-rpath "$libraries:$folder/root/usr/lib" "$library"
done
touch "$folder/ready"
