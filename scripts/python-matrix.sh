#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# The Python matrix: the interpreters that the tests run on.
#
# CPython 3.6 to 3.15 never come from one place, so the matrix gathers what the machine has (its own
# Pythons and pyenv's) and adds Debian's stripped builds of the newest versions, each Debian suite in a
# root file system of its own that is only ever chrooted into: nothing of it touches the host.
set -euo pipefail
export LC_ALL=C

SCRIPTS=$(cd "$(dirname "$0")" && pwd)
readonly SCRIPTS
readonly MINORS="3.6 3.7 3.8 3.9 3.10 3.11 3.12 3.13 3.14 3.15"
readonly SUITES="trixie sid"
readonly ROOTS="${KEELBACK_CACHE:-/var/cache/keelback}/rootfs"
readonly FORMAT=1 # raise it when the way a root file system is made changes: older ones are then remade

usage() {
	cat <<'TEXT'
usage: scripts/python-matrix.sh COMMAND
  make    create the missing root file systems (root, Debian's debootstrap)
  list    one line per interpreter that runs: id, minor, root, path, traits (tab separated)
  check   exit 1 and name them when minor versions are missing
  peers   other profilers to compare with: name, root, path (tab separated)

KEELBACK_CACHE   where the root file systems are kept (/var/cache/keelback)
KEELBACK_MIRROR  the Debian mirror to use (the one in /etc/apt, else debootstrap's own)
PYENV_ROOT       pyenv's directory (~/.pyenv)
TEXT
}

say() { echo "python-matrix: $*" >&2; }

die() {
	local status=$1
	shift
	say "$*"
	exit "$status"
}

interpreters_of() {
	case $1 in
	trixie) echo python3.13 ;;
	sid) echo python3.14 python3.15 ;;
	esac
}

# Profilers to compare with; they are welcome, not needed.
peers_of() {
	case $1 in
	trixie) echo austin ;; # sid's wants an older python3 than sid has
	sid) echo python3-memray ;;
	esac
}

# CPython's own unit tests, which programs are made of.
tests_of() {
	case $1 in
	sid) echo libpython3.15-testsuite ;;
	esac
}

# The stamp of a complete root file system. Its further lines name packages that could not be had.
wanted_stamp() { echo "format $FORMAT: $(interpreters_of "$1") $(peers_of "$1")" | sed 's/ *$//'; }

# The Debian archive that this machine is set up for: it may be a local mirror.
system_mirror() {
	cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
		sed -nE 's,^(deb .*|URIs:[^#]*)\b(https?://[^ ]+/debian)/?( .*)?$,\2,p' | head -n 1
}

# debootstrap of suite $1 into $2, in a mount namespace of its own: no mount outlives it, whatever happens.
bootstrap() {
	local mirror=${KEELBACK_MIRROR:-$(system_mirror)}
	rm -rf --one-file-system "$2"
	# shellcheck disable=SC2086 # no mirror is no argument
	unshare --mount --propagation private debootstrap --variant=minbase "$1" "$2" $mirror
}

# Install package $2 in the root $1. debootstrap could do it too, but does not look at versioned
# dependencies, and in an unstable suite these are what breaks.
install_in() {
	"$SCRIPTS/in-rootfs.sh" "$1" /usr/bin/env DEBIAN_FRONTEND=noninteractive \
		/usr/bin/apt-get install --yes --quiet --no-install-recommends "$2"
}

# Make suite $1 in $2, complete with its stamp.
build_root() {
	local suite=$1 new=$2 log=$3 package
	bootstrap "$suite" "$new" >"$log" 2>&1 ||
		die 1 "debootstrap of $suite failed: $(grep -m 1 '^E: ' "$log" || tail -n 1 "$log") (log: $log)"
	wanted_stamp "$suite" >"$new/etc/keelback-rootfs"
	for package in $(interpreters_of "$suite") $(peers_of "$suite"); do
		install_in "$new" "$package" >>"$log" 2>&1 && continue
		# What the suite has not, or has broken, is noted; an interpreter that is there must install.
		if is_peer "$suite" "$package" || [[ -z $(chroot "$new" apt-cache show "$package" 2>/dev/null) ]]; then
			echo "$package" >>"$new/etc/keelback-rootfs"
		else
			die 1 "$package of $suite could not be installed: $(grep '^E: ' "$log" | tail -n 1) (log: $log)"
		fi
	done
	rm -rf "$new"/var/cache/apt/archives/*.deb "$new"/var/lib/apt/lists/*
}

# Add them to root $2 of suite $1, which may have been made before they were wanted. A mirror may be a snapshot,
# whose lists are old.
add_tests() {
	local package update=(/usr/bin/apt-get update --quiet -o Acquire::Check-Valid-Until=false)
	for package in $(tests_of "$1"); do
		chroot "$2" dpkg-query --show "$package" >/dev/null 2>&1 && continue
		if ! { "$SCRIPTS/in-rootfs.sh" "$2" "${update[@]}" && install_in "$2" "$package"; } >>"$3" 2>&1; then
			say "Debian $1 has no installable $package (log: $3)"
		fi
		rm -rf "$2"/var/cache/apt/archives/*.deb "$2"/var/lib/apt/lists/*
	done
}

make_suite() {
	local suite=$1 dir="$ROOTS/$1" new="$ROOTS/.new-$1" log="$ROOTS/$1.log"
	local stamp="$dir/etc/keelback-rootfs"
	if [[ "$(head -n 1 "$stamp" 2>/dev/null)" != "$(wanted_stamp "$suite")" ]]; then
		say "making $dir (log: $log)"
		build_root "$suite" "$new" "$log"
		rm -rf --one-file-system "$dir"
		mv "$new" "$dir"
	fi
	add_tests "$suite" "$dir" "$log"
	report_missing "$suite" "$stamp"
}

is_peer() { [[ " $(peers_of "$1") " == *" $2 "* ]]; }

# Exit status 1 when an interpreter (not merely a peer) is missing.
report_missing() {
	local package status=0
	while read -r package; do
		say "Debian $1 has no installable $package (to try again, remove ${2%/etc/*})"
		is_peer "$1" "$package" || status=1
	done < <(tail -n +2 "$2")
	return $status
}

cmd_make() {
	local suite status=0
	[[ $EUID -eq 0 ]] || die 4 "making root file systems needs root"
	if ! command -v debootstrap >/dev/null; then
		command -v apt-get >/dev/null || die 4 "debootstrap is needed and cannot be installed here"
		"$SCRIPTS/deps.sh" only debootstrap || die 1 "debootstrap could not be installed"
	fi
	mkdir -p "$ROOTS"
	exec 9>"$ROOTS/.lock"
	flock --nonblock 9 || { say "waiting for another one that is at work" && flock 9; }
	for suite in $SUITES; do
		make_suite "$suite" || status=1
	done
	return $status
}

# Run the command $2… below root $1.
in_root() {
	local root=$1
	shift
	if [[ $root == / ]]; then "$@"; else chroot "$root" "$@"; fi
}

# The interpreter's own account of how it was built, as far as it has one: Debian's have forgotten that they
# were built with LTO and PGO. What those did to the program, traits_of sees.
# -B: nothing is to be written into the cached root file systems.
build_traits() {
	in_root "$1" "$2" -B -I -S -c '
import sysconfig
get = lambda name: str(sysconfig.get_config_var(name) or "")
flags = " ".join(map(get, ("CONFIG_ARGS", "PY_CFLAGS", "PY_CORE_CFLAGS", "PY_CFLAGS_NODIST", "PY_LDFLAGS_NODIST")))
traits = {
    "lto": "-flto" in flags or "--with-lto" in flags,
    "pgo": "--enable-optimizations" in flags or "-fprofile-use" in flags,
    "framepointers": "-fno-omit-frame-pointer" in flags,
    "jit": "_Py_JIT" in flags or "--enable-experimental-jit" in flags,
    "tailcall": "--with-tail-call-interp" in flags,
    "debug": get("Py_DEBUG") == "1",
    "freethreaded": get("Py_GIL_DISABLED") == "1",
}
print(" ".join(name for name, have in traits.items() if have))' 2>/dev/null
}

# The file that holds the interpreter: libpython where the program needs one.
image_of() {
	in_root "$1" ldd "$2" 2>/dev/null | sed -nE 's,^\s*libpython[^ ]* => (/[^ ]+) .*,\1,p' | grep . || echo "$2"
}

traits_of() {
	local root=$1 path=$2 image file sections size traits
	image=$(image_of "$root" "$path")
	file=${root%/}$(in_root "$root" readlink -f "$image")
	sections=$(readelf --wide --section-headers "$file")
	if [[ $image == "$path" ]]; then traits=static; else traits=shared; fi
	if grep -q ' \.symtab ' <<<"$sections"; then traits+=" symbols"; else traits+=" stripped"; fi
	if grep -q ' \.debug_info ' <<<"$sections"; then traits+=" dwarf"; fi
	if grep -q ' \.note\.stapsdt ' <<<"$sections"; then traits+=" usdt"; fi
	# "split": the exported eval function is a stub, the loop itself (never below 20 kB) is its cold part.
	size=$(readelf --wide --dyn-syms "$file" | awk '$8 == "_PyEval_EvalFrameDefault" { print $3; exit }')
	if [[ $((size)) -gt 0 && $((size)) -lt 8192 ]]; then traits+=" split"; fi
	traits+=" $(build_traits "$root" "$path")"
	# shellcheck disable=SC2086 # joins words
	echo $traits | tr ' ' ,
}

# Lines of the interpreters in the directory $2 below root $1, those that run. $3 is the origin in their id.
list_dir() {
	local root=$1 dir=$2 origin=$3 file name version id
	for file in "${root%/}$dir"/python3.*; do
		name=${file##*/}
		[[ $name =~ ^python(3\.[0-9]+)t?$ ]] || continue
		version=${BASH_REMATCH[1]}
		in_root "$root" "$dir/$name" -B -I -c 'import sys' 2>/dev/null || continue
		id=$origin-${name#python}
		# pyenv can have several of one minor version: only the newest gets the short name.
		if [[ -n ${seen[$id]-} ]]; then id=$origin-$(basename "$(dirname "$dir")"); fi
		seen[$id]=1
		printf '%s\t%s\t%s\t%s\t%s\n' "$id" "$version" "$root" "$dir/$name" "$(traits_of "$root" "$dir/$name")"
	done
}

cmd_list() {
	local dir suite
	local -A seen=()
	while read -r dir; do
		# A link or a virtual environment is another name of an interpreter that is listed anyway.
		[[ -L $dir || -e $dir/pyvenv.cfg ]] || list_dir / "$dir/bin" pyenv
	done < <(printf '%s\n' "${PYENV_ROOT:-$HOME/.pyenv}"/versions/* | sort --version-sort --reverse) |
		sort --version-sort
	# shellcheck disable=SC1091 # a file of the system
	list_dir / /usr/bin "$(. /etc/os-release && echo "$ID")"
	list_dir / /usr/local/bin local
	for suite in $SUITES; do
		if [[ -e $ROOTS/$suite/etc/keelback-rootfs && $EUID -eq 0 ]]; then
			list_dir "$ROOTS/$suite" /usr/bin "$suite"
		fi
	done
}

cmd_check() {
	local have minor missing=
	# A free-threaded build (its id ends in t) does not stand for the ordinary one.
	have=$(cmd_list | awk '$1 !~ /t$/ { print $2 }')
	for minor in $MINORS; do
		grep -qx "$minor" <<<"$have" || missing+=" $minor"
	done
	[[ -z $missing ]] ||
		die 1 "no interpreter for:$missing (up to 3.12: pyenv install VERSION; from 3.13: scripts/python-matrix.sh make)"
	echo "python-matrix: all of $MINORS"
}

cmd_peers() {
	local root path
	for root in "$ROOTS"/*/; do
		root=${root%/}
		if in_root "$root" /usr/bin/python3.15 -B -I -c 'import profiling.sampling' 2>/dev/null; then
			printf 'profiling.sampling\t%s\t/usr/bin/python3.15\n' "$root"
		fi
		for path in /usr/bin/austin /usr/bin/memray; do
			if [[ -x $root$path ]]; then printf '%s\t%s\t%s\n' "${path##*/}" "$root" "$path"; fi
		done
	done
}

case ${1-} in
make | list | check | peers) [[ $# -eq 1 ]] && "cmd_$1" ;;
-h | --help) usage ;;
*) usage >&2 && exit 2 ;;
esac
