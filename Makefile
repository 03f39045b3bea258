# SPDX-License-Identifier: GPL-2.0-only
#
# The user's targets; the work is in scripts/. Kbuild builds the module.
# "make help" lists what there is.

MAKEFLAGS += --no-print-directory --no-builtin-rules
KERNEL	?= stock
DESTDIR	?=
PREFIX	?= /usr/local

# Lines for a shell come through as they were typed: make leaves their $ alone.
override CMD := $(value CMD)
override VM_QEMU_ARGS := $(value VM_QEMU_ARGS)
export CMD FILES TESTS KERNEL VM_QEMU_ARGS

in-sysroot := scripts/in-sysroot --

all:
	@scripts/build-all

help:
	@cat scripts/help

# The module for one of the test VM's kernels: build/KERNEL/uffdvram.ko
module:
	@scripts/module $(KERNEL) >&2

# Library, command and tests as the test VM takes them.
user:
	@$(in-sysroot) $(MAKE) -s -j2 -C lib BUILD=/src/build/user all uffdvramctl-static >&2

selftests: user
	@$(in-sysroot) $(MAKE) -s -j2 -C selftests BUILD=/src/build/selftests all >&2

vmtest: module selftests
	@selftests/vm/run $(KERNEL)

kernel:
	@scripts/kernel $(KERNEL)

demo: | preflight
	@scripts/demo

check: | preflight
	@scripts/check

check-detectors: | preflight
	@scripts/check-detectors $(NAMES)

check-long: | preflight
	@scripts/check-long $(NAMES)

check-static:
	@scripts/check-static

check-nvidia-abi: | preflight
	@scripts/check-nvidia-abi $(DIR)

check-user: | preflight
	@scripts/check-user

fuzz-parsers:
	@$(in-sysroot) scripts/fuzz-parsers $(or $(SECONDS),60) $(NAMES)

bench: | preflight
	@selftests/bench/run $(NAMES)

bench-check: | preflight
	@selftests/bench/run --check $(NAMES)

coverage: | preflight
	@scripts/coverage

install:
	@DESTDIR='$(DESTDIR)' PREFIX='$(PREFIX)' scripts/install

preflight:
	@scripts/preflight

update: | preflight
	@scripts/sysroot --update

clean:
	rm -rf build

.PHONY: all help module user selftests vmtest kernel demo check check-detectors check-long \
	check-static check-nvidia-abi check-user fuzz-parsers bench bench-check \
	coverage install preflight update clean
