# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# lib.sh: what the scripts share. Sourced, never run.

ROOT=$(cd "$(dirname "$0")/.." && pwd -P)
while [ ! -e "$ROOT/scripts/lib.sh" ] && [ "$ROOT" != / ]; do
	ROOT=$(dirname "$ROOT")
done
CACHE=${UFFDVRAM_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/uffdvram}
# shellcheck disable=SC2034 # for those who source this file
LOCK=$CACHE/lock
export LC_ALL=C.UTF-8

# Progress goes to stderr: stdout belongs to results.
say() {
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die() {
	say "$*"
	exit 1
}

# A short name for what files (or stdin) contain, whatever they are called.
content_key() {
	cat "$@" | sha256sum | cut -c1-12
}

# with_lock NAME CMD...: one at a time per cache; parallel callers wait.
with_lock() {
	mkdir -p "$CACHE"
	_lock_file=$CACHE/.$1.flock
	shift
	(
		flock -n 9 || {
			say "waiting for another run (${_lock_file##*/})"
			flock 9
		}
		"$@" 9>&-
	) 9>"$_lock_file"
}

apt_install() {
	DEBIAN_FRONTEND=noninteractive apt-get -y --no-install-recommends \
		-o DPkg::Lock::Timeout=600 install "$@" >&2 </dev/null
}

# host_install PACKAGE...: from the host's own archive, its apt settings kept.
# A third party's broken source may make apt-get update fail: that is not
# ours to judge, what counts is whether the packages can be installed.
host_install() {
	say "installing on this machine: $*"
	apt_install "$@" && return
	apt-get -o DPkg::Lock::Timeout=600 update >&2 </dev/null || true
	apt_install "$@" || die "apt-get install failed: $*"
}
