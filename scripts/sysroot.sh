# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=sh
#
# sysroot.sh: where the sysroot and the kernels lie in the cache. Sourced
# after lib.sh.

sysroot_packages() {
	sed 's/#.*//' "$ROOT/scripts/packages" | tr -s '[:space:]' '\n' | sed '/^$/d'
}

# Raise it when scripts/sysroot makes something else of the same packages.
sysroot_format=1

# The key follows what is asked for, so an edit makes a new sysroot.
sysroot_key() {
	{
		echo "$sysroot_format"
		sysroot_packages
		cat "$LOCK"
	} | content_key
}

sysroot_dir() {
	[ -r "$LOCK" ] || return 1
	echo "$CACHE/sysroot-$(sysroot_key)"
}

# The sysroot, or an error that says what to do.
sysroot_need() {
	SYSROOT=$(sysroot_dir) && [ -d "$SYSROOT" ] ||
		die "no sysroot in $CACHE: run scripts/sysroot first"
}

kernel_source() {
	case $1 in
	debug) echo linux-stock ;;
	lts) echo linux-lts ;;
	*) return 1 ;;
	esac
}

kernel_fragments() {
	echo "$ROOT/selftests/vm/configs/base.config $ROOT/selftests/vm/configs/$1.config"
}

# Where a kernel built here lies: by source, configuration and compiler.
kernel_dir() {
	case $1 in
	stock) echo "$SYSROOT/kernels/stock" ;;
	debug | lts)
		# shellcheck disable=SC2046 # a list of files
		echo "$CACHE/kernels/$1-$(content_key \
			"$SYSROOT/usr/src/$(kernel_source "$1")/.uffdvram-version" \
			"$SYSROOT/etc/uffdvram-compiler" \
			$(kernel_fragments "$1"))"
		;;
	*) return 1 ;;
	esac
}

# Whose mm selftests a kernel is judged by.
upstream_source() {
	kernel_source "$1" || echo linux-stock
}

# Where those of a source lie, built: by source, compiler and what is built.
upstream_dir() {
	echo "$CACHE/upstream/$1-$(content_key "$SYSROOT/usr/src/$1/.uffdvram-version" \
		"$SYSROOT/etc/uffdvram-compiler" "$ROOT/selftests/upstream/build")-$(
		upstream_programs | content_key)"
}

upstream_programs() {
	sed -n 's/^\([a-z][^ ]*\) .*/\1/p' "$ROOT/selftests/upstream/programs"
}
