#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# usage: scripts/deps.sh [build | test | all | only PACKAGE…]
#
# Installs the Debian packages that building (build) and testing (test, and all: both) need. Costs one
# dpkg query when everything is there.
set -euo pipefail
export LC_ALL=C DEBIAN_FRONTEND=noninteractive

# libclang-rt-dev has the sanitizers and libFuzzer of whatever clang is the default one.
build_packages=(gcc libc6-dev make pkg-config clang llvm libbpf-dev bpftool libelf-dev libdw-dev liblzma-dev libiberty-dev
	libcapstone-dev libjson-c-dev uthash-dev zlib1g-dev libzstd-dev
	libncurses-dev libedit-dev libpcre2-dev libprotobuf-c-dev protobuf-c-compiler python3)
test_packages=(libcmocka-dev libclang-rt-dev clang-format gcc-aarch64-linux-gnu libc6-dev-arm64-cross
	debootstrap debian-archive-keyring runc crun chromium chromium-driver tmux golang-go
	python3-greenlet jq git cmark-gfm linux-perf gdb binutils)

case ${1-all} in
build) wanted=("${build_packages[@]}") ;;
test | all) wanted=("${build_packages[@]}" "${test_packages[@]}") ;;
only) wanted=("${@:2}") ;;
*) sed -n 's/^# \(usage:.*\)/\1/p' "$0" >&2 && exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	echo "deps: no apt here; install what your distribution calls these: ${wanted[*]}" >&2
	exit 4
fi

installed=$(dpkg-query --show --showformat '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
	sed -n 's/^installed //p' || true)
missing=()
for package in "${wanted[@]}"; do
	grep -qxF -- "$package" <<<"$installed" || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

if [[ $EUID -ne 0 ]]; then
	echo "deps: not root and these packages are missing: ${missing[*]}" >&2
	exit 4
fi

log=$(mktemp)
trap 'rm -f "$log"' EXIT
install() {
	apt-get install --yes --quiet --no-install-recommends -o DPkg::Lock::Timeout=600 "${missing[@]}" >"$log" 2>&1
}
echo "deps: installing ${missing[*]}" >&2
# The package lists may be absent or old: they are fetched only when it does not work without. A source of
# its own that is out of reach is no reason to give up, so update's status is not asked.
if ! install; then
	apt-get update --quiet >>"$log" 2>&1 || true
	if ! install; then
		tail -n 20 "$log" >&2
		echo "deps: apt-get could not install: ${missing[*]}" >&2
		exit 1
	fi
fi
