#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# usage: scripts/in-rootfs.sh ROOT COMMAND [ARG…]
#        scripts/in-rootfs.sh --with PID COMMAND [ARG…]
#
# Runs COMMAND below ROOT with /proc, /sys, /dev and the host's /tmp, so that scripts can be handed in.
# The mounts live in a private mount namespace and end with COMMAND. Every step is an exec: the PID of
# this script is the PID of COMMAND, which is what a caller wants to profile. ROOT / is the host as it is.
#
# --with runs COMMAND in the mount namespace and root of process PID. A profiler that trusts the paths in
# /proc/PID/maps, as most do, only finds the target's files from there.
set -euo pipefail

if [[ $# -lt 2 ]] || [[ $1 == --with && $# -lt 3 ]] || [[ $1 != --with && ! -d $1 ]]; then
	sed -n 's/^# \(usage:.*\|  *scripts.*\)/\1/p' "$0" >&2
	exit 2
fi
if [[ $1 == --with ]]; then
	exec nsenter --target "$2" --mount --root --wd -- "${@:3}"
fi
if [[ $1 == / ]]; then
	exec "${@:2}"
fi

# shellcheck disable=SC2016 # expanded by the inner shell
exec unshare --mount --propagation private /bin/sh -ec '
	root=$1
	shift
	for dir in proc sys dev tmp; do
		mount --rbind "/$dir" "$root/$dir"
	done
	exec chroot "$root" "$@"' in-rootfs "$@"
