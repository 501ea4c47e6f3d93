#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# C files follow .clang-format.
set -u
cd "$(dirname "$0")/.." || exit 1
mapfile -t files < <(git ls-files '*.c' '*.h' | grep -v '\.inc\.h$')
clang-format --dry-run --Werror "${files[@]}" 2>/tmp/keelback-format.$$
status=$?
if [ $status -ne 0 ]; then
	grep -oE '^[^ :]+:[0-9]+:[0-9]+: error' /tmp/keelback-format.$$ | sort -u | head -20
	echo "check_format: run clang-format -i on these files" >&2
fi
rm -f /tmp/keelback-format.$$
exit $status
