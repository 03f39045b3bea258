# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# apt.sh: Debian's archive seen through a private apt directory. The host may
# run another release; its proxies, credentials and certificates still apply,
# its sources, pins and package state do not. Sourced after lib.sh.

APT_DIR=$CACHE/apt
# shellcheck disable=SC2034 # for those who source this file
SUITES='trixie trixie-backports'
COMPONENTS=main

keyring() {
	for _k in /usr/share/keyrings/debian-archive-keyring.gpg \
		/usr/share/keyrings/debian-archive-keyring.pgp; do
		[ -r "$_k" ] && echo "$_k" && return
	done
	return 1
}

# The archive's trixie key came with debian-archive-keyring 2023.3+deb12u2.
keyring_knows_trixie() {
	keyring >/dev/null || return 1
	for _k in /usr/share/keyrings/debian-archive-trixie-automatic.*; do
		[ -r "$_k" ] && return
	done
	return 1
}

# A mirror list file is of no use inside a sysroot: take its first mirror.
plain_uri() {
	case $1 in
	mirror+file:*)
		sed -n 's/^\([a-z+]*:[^[:space:]]*\).*/\1/p' "${1#mirror+file:}" 2>/dev/null |
			head -n 1
		;;
	*) echo "$1" ;;
	esac
}

# Every Debian mirror this machine knows, one a line, best first.
mirror_candidates() {
	if [ -n "${DEBIAN_MIRROR:-}" ]; then
		echo "${DEBIAN_MIRROR%/}"
		return
	fi
	apt-get indextargets --format '$(LABEL)|$(REPO_URI)' 2>/dev/null |
		sed -n 's/^Debian|//p' | awk '!seen[$0]++' |
		while read -r _uri; do
			_uri=$(plain_uri "$_uri")
			echo "${_uri%/}"
		done
}

# sources_list MIRROR: a line for each of $SUITES.
sources_list() {
	_key=$(keyring)
	for _suite in $SUITES; do
		echo "deb [arch=amd64 signed-by=$_key] $1 $_suite $COMPONENTS"
	done
}

# apt_private TOOL ARG...: apt-get or apt-cache on the private directory.
apt_private() {
	_tool=$1
	shift
	"$_tool" -c "$APT_DIR/apt.conf" "$@"
}

# apt_setup MIRROR
apt_setup() {
	mkdir -p "$APT_DIR/lists/partial" "$APT_DIR/cache/archives/partial"
	: >"$APT_DIR/status"
	sources_list "$1" >"$APT_DIR/sources.list"
	cat >"$APT_DIR/apt.conf" <<-END
		Dir::State "$APT_DIR";
		Dir::State::lists "$APT_DIR/lists";
		Dir::State::status "$APT_DIR/status";
		Dir::Cache "$APT_DIR/cache";
		Dir::Cache::pkgcache "pkgcache.bin";
		Dir::Cache::srcpkgcache "srcpkgcache.bin";
		Dir::Etc::SourceList "$APT_DIR/sources.list";
		Dir::Etc::SourceParts "/dev/null";
		Dir::Etc::Preferences "/dev/null";
		Dir::Etc::PreferencesParts "/dev/null";
		APT::Architecture "amd64";
		APT::Sandbox::User "root";
		APT::Default-Release "";
		Acquire::Retries "3";
		#clear APT::Architectures;
		#clear APT::Update::Pre-Invoke;
		#clear APT::Update::Post-Invoke;
		#clear APT::Update::Post-Invoke-Success;
		#clear DPkg::Post-Invoke;
		#clear DPkg::Pre-Install-Pkgs;
	END
}

# apt_refresh: download the two suites' indexes from the first mirror that has
# both, properly signed. The reason of a failure is left in $APT_DIR/update.log.
apt_refresh() {
	mkdir -p "$APT_DIR"
	: >"$APT_DIR/update.log"
	for _mirror in $(mirror_candidates); do
		apt_setup "$_mirror"
		if apt_private apt-get -o APT::Update::Error-Mode=any update \
			>>"$APT_DIR/update.log" 2>&1 </dev/null; then
			echo "$_mirror" >"$APT_DIR/mirror"
			return
		fi
	done
	return 1
}

# The host's download settings (proxies, certificates, time checks, retries)
# for an apt that does not read the host's /etc/apt.
apt_acquire_options() {
	apt-config dump --no-empty |
		grep -E '^Acquire::' |
		grep -vE '^Acquire::(IndexTargets|Changelogs|CompressionTypes|Languages|GzipIndexes|cdrom)'
}
