#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# usage: scripts/npm-tools.sh speedscope | profiler-cli
#
# Prints the directory of a viewer that tests open files with, as npm installs it. It is installed once, into
# $KEELBACK_CACHE/npm (/var/cache/keelback/npm), without running scripts of the package. Exit status 4 and one line on
# stderr when it cannot be had here.
set -euo pipefail
export LC_ALL=C

case ${1-} in
speedscope) package=speedscope version=1.25.0 ;;
# The Firefox Profiler's own code that loads profiles, without its pages.
profiler-cli) package=@firefox-devtools/profiler-cli version=0.10.0 ;;
*) sed -n 's/^# \(usage:.*\)/\1/p' "$0" >&2 && exit 2 ;;
esac

cache=${KEELBACK_CACHE:-/var/cache/keelback}/npm
directory=$cache/$1-$version
result=$directory/node_modules/$package

if [[ -e $result/package.json ]]; then
	echo "$result"
	exit 0
fi
if ! command -v npm >/dev/null; then
	echo "npm-tools: $package cannot be had: npm is not installed" >&2
	exit 4
fi
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9
if [[ ! -e $result/package.json ]]; then
	new=$cache/.new-$1
	rm -rf "$new" "$directory"
	if ! timeout 120 npm install --prefix "$new" --cache "$cache/.npm" --ignore-scripts --no-audit --no-fund \
		--no-update-notifier "$package@$version" >"$cache/$1.log" 2>&1; then
		echo "npm-tools: $package $version cannot be had from npm's registry (log: $cache/$1.log)" >&2
		exit 4
	fi
	mv "$new" "$directory"
fi
echo "$result"
