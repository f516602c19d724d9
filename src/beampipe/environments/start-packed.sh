#!/bin/sh
# Starts the Python of a packed environment on a host that has none of it.
#   start-packed.sh ROOT BASE OWN ARGUMENTS OF PYTHON
# BASE and OWN are archives; each is unpacked once per host, below ROOT (if empty: a folder of this user's in /tmp),
# and stays there for the next job. Whoever uses one holds a lock on it, which the kernel lets go of with the process.
set -u
mask=$(umask)
umask 077
root=$1 base=$2 own=$3
shift 3
keep_minutes=1440 most_unused=4

say() { echo "beampipe: $*" >&2; }
die() { say "$*"; exit 66; }

# -- where ---------------------------------------------------------------------------------------

# A folder that is there must be ours, for programs will be run from it.
is_ours() { [ -d "$1" ] && [ ! -L "$1" ] && [ -O "$1" ] && chmod 700 "$1" 2>/dev/null; }

find_root() {
  user=$(id -u)
  for place in ${root:+"$root/beampipe-environments-$user"} ${root:-"/tmp/beampipe-environments-$user"} \
      "${TMPDIR:-/tmp}/beampipe-environments-$user" "$PWD/beampipe-environments-$user"; do
    case $place in */beampipe-environments-*) ;; *) continue ;; esac
    mkdir -p "$place" 2>/dev/null
    if is_ours "$place" && [ -w "$place" ]; then root=$place; return; fi
  done
  die "there is no folder on $(hostname) in which an environment can be unpacked; set \`local_directory\` of the site"
}

# -- unpacking -----------------------------------------------------------------------------------

name_of() { name=${1##*/}; name=${name%.tar.gz}; name=${name%.sqfs}; }

unpack() { # ARCHIVE INTO
  rm -rf "$2.part"
  mkdir "$2.part" || die "no folder can be made in $root"
  case $1 in
    *.sqfs) unsquashfs -quiet -no-progress -force -dest "$2.part" "$1" >&2 ;;
    *) tar -xzf "$1" -C "$2.part" ;;
  esac || { code=$?; rm -rf "$2.part"; die "$1 cannot be unpacked in $root on $(hostname) (code $code): $(df -Pk "$root" | awk 'NR == 2 {printf "%d MB are free there", $4 / 1024}')"; }
  : > "$2.part/.whole"
  mv "$2.part" "$2"
}

# After this the archive is unpacked in $place, and file descriptor $2 holds a lock on it for as long as the worker lives.
get() { # ARCHIVE DESCRIPTOR
  name_of "$1"
  place=$root/$name
  if ! command -v flock >/dev/null; then
    # Several may do the same, and one is the first.
    [ -e "$place/.whole" ] || { unpack "$1" "$place.$$"; mv "$place.$$" "$place" 2>/dev/null; rm -rf "$place.$$" "$place/$name.$$"; }
    return
  fi
  eval "exec $2>>\"\$place.lock\""
  while :; do
    flock -s "$2"
    [ -e "$place/.whole" ] && break
    flock -x "$2"
    [ -e "$place/.whole" ] || { say "unpacking $name on $(hostname)"; rm -rf "$place"; unpack "$1" "$place"; }
  done
  touch "$place"
  # HTCondor's copy is of no more use.
  case $1 in /*) ;; *) rm -f "$1" ;; esac
}

# Takes away what nobody uses: after a day, or when there are many.
sweep() {
  command -v flock >/dev/null || return 0
  count=0
  for lock in $(ls -t "$root" 2>/dev/null | grep '\.lock$'); do
    old=$root/${lock%.lock}
    (
      exec 9>>"$root/$lock"
      flock -n -x 9 || exit 1
      rm -rf "$old.part"
      [ -e "$old" ] || exit 1
      if [ "$count" -ge "$most_unused" ] || [ -n "$(find "$old" -maxdepth 0 -mmin +$keep_minutes)" ]; then
        rm -rf "$old"
        exit 1
      fi
    ) && count=$((count + 1))
  done
  return 0
}

# -- running -------------------------------------------------------------------------------------

runs() { words=$(LD_LIBRARY_PATH=$1 "$python" -I -c "import $2" 2>&1); } # LIBRARIES MODULES

find_root
get "$base" 7
environment=$place
get "$own" 8
code=$place
sweep 7>&- 8>&-

python=$environment/bin/python
paths=$environment/lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
if ! runs "$paths" "ssl, ctypes, zlib, lzma, bz2, sqlite3"; then
  # Libraries of the system on which it was packed, where this one has not all of them. A Python may have been built
  # without the last three.
  paths=$paths:$environment/lib/more
  runs "$paths" "ssl, ctypes, zlib" || die "the Python of the packed environment does not run on $(hostname), which is $(uname -m) with \
$(getconf GNU_LIBC_VERSION 2>/dev/null || echo 'an unknown C library'). $(printf '%s' "$words" | tail -n 1). It was packed on \
$(sed -n 's/^ *"machine": "\(.*\)",*/\1/p' "$environment/beampipe-pack.json") with \
$(sed -n 's/^ *"c_library": "\(.*\)",*/\1/p' "$environment/beampipe-pack.json"); pack it on a host as old as the workers, or name an image in \`apptainer\`"
fi
export LD_LIBRARY_PATH="$paths"
export PYTHONPATH="$code${PYTHONPATH:+:$PYTHONPATH}"
export PYTHONNOUSERSITE=1
export BEAMPIPE_PACKED="$environment:$code"
unset PYTHONHOME
umask "$mask"
exec "$python" "$@"
