#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#
# usage: check.sh BASE [OPTION of keelback check...] -- COMMAND [ARG...]
#
# A regression gate for a git repository, run in its work tree: compares COMMAND as it is here with COMMAND
# in a checkout of BASE (a branch, tag or commit), both in this job and in turns. Reports go to the directory REPORTS
# (default: keelback-report), the history to HISTORY if that is set.
#
# Exit status: that of keelback check: 0 no regression, 3 a regression, 1 failed, 2 wrong usage, 4 not possible here.
set -euo pipefail

keelback=${KEELBACK:-keelback}
reports=${REPORTS:-keelback-report}

if [[ $# -lt 3 || $1 == -* ]]; then
	sed -n 's/^# \(usage:.*\)/\1/p' "$0" >&2
	exit 2
fi
base=$1
shift

# Not BASE itself but what this branch came from: what BASE got meanwhile is no change of ours.
base_commit=$(git merge-base "$base" HEAD)
base_dir=$(realpath "$(mktemp -d)")
trap 'git worktree remove --force "$base_dir/base" >&2 || true; rm -rf "$base_dir"' EXIT
git worktree add --quiet --detach "$base_dir/base" "$base_commit" >&2

options=(-f text -o "$reports/report.txt" -f markdown -o "$reports/report.md" -f junit -o "$reports/report.xml"
	-f json -o "$reports/report.json" -f github -o "$reports/annotations.txt" -q)
if [[ -n ${HISTORY:-} ]]; then
	options+=(--append "$HISTORY" --against-history "$HISTORY" --label "$(git rev-parse HEAD)")
fi

mkdir -p "$reports"
status=0
# Not in quotes, so that it may be "sudo keelback".
$keelback check --base-dir "$base_dir/base" --head-dir "$(pwd -P)" "${options[@]}" "$@" || status=$?
[[ ! -e $reports/report.txt ]] || cat "$reports/report.txt"
exit "$status"
