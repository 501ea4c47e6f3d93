#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# Fails when tracked text has something in it that belongs to one machine or to an unfinished edit:
# development directories, package registries' host names, white space at line ends, conflict markers.
# The patterns are written so that they do not match this file.
set -euo pipefail
cd "$(dirname "$0")/.."

# The checkout may belong to another user than the one who checks (sudo make check, a CI container).
git() { command git -c "safe.directory=$PWD" "$@"; }

if ! git rev-parse --is-inside-work-tree >/dev/null 2>&1; then
	echo "check_text: not a git work tree, nothing to check" >&2
	exit 0
fi

status=0
# forbid WHAT PATTERN [PATHSPEC…]
forbid() {
	local what=$1 pattern=$2
	shift 2
	if git grep -nIP -e "$pattern" -- "${@:-.}"; then
		echo "check_text: $what (see above)" >&2
		status=1
	fi
}

# Only from the root directory: /proc/PID/root/… is another thing.
forbid "a development path" '(?<![\w>}*)%\]])/(work|root)[/]'
forbid "a package registry's host name" \
	'(?i)\b(deb|security|snapshot|ftp(\.\w+)?|sid)[.]debian[.]org|archive[.]ubuntu[.]com|pypi[.]org|pythonhosted[.]org|npmjs[.](org|com)|\bcrates[.]io|proxy[.]golang[.]org'
# Golden files are other programs' output to the byte.
forbid "white space at the end of a line" '[ \t\r]+$' . ':!tests/golden'
forbid "a conflict marker" '^(<{7}|>{7}|\|{7})( |$)'
exit $status
