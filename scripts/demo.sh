#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# usage: scripts/demo.sh [BUILD-DIRECTORY]
#
# Shows where a real program spends its time: profiles one that indexes Python's standard library, prints the
# functions it spends it in, and leaves a recording and a flame graph in BUILD-DIRECTORY/demo. As root.
set -euo pipefail
cd "$(dirname "$0")/.."

build=${1-build}
keelback=$build/keelback
demo=$build/demo
python=${PYTHON-/usr/bin/python3}
seconds=8

if [[ $EUID -ne 0 ]]; then
	echo "demo: observing needs root: sudo make demo" >&2
	exit 4
fi
if ! "$keelback" doctor >"$build/doctor.txt"; then
	echo "demo: this machine lacks something; see $build/doctor.txt" >&2
	exit 4
fi
mkdir -p "$demo"

echo "== A program that indexes Python's standard library, for $seconds seconds, watched by keelback"
echo "\$ keelback sample -o $demo/demo.kb -- $python scripts/demo_program.py $seconds"
"$keelback" sample -o "$demo/demo.kb" -- "$python" scripts/demo_program.py "$seconds"
echo
echo "== Where its time went: functions by the time spent in themselves"
echo "\$ keelback convert $demo/demo.kb --sort tottime --limit 12 --no-summary"
"$keelback" convert "$demo/demo.kb" --sort tottime --limit 12 --no-summary
"$keelback" convert "$demo/demo.kb" -o "$demo/demo.html"
# Whoever called sudo may look at it, and remove it.
if [[ -n ${SUDO_UID-} ]]; then
	chown -R "$SUDO_UID:${SUDO_GID-$SUDO_UID}" "$demo"
fi
cat <<END

Next: open $(realpath "$demo/demo.html") in a browser. It is the flame graph of the same run: the width of a frame is its
share of the time; click zooms, / searches. The recording beside it, demo.kb, turns into every other format:
  $keelback convert $demo/demo.kb --threads -f collapsed | head
END
