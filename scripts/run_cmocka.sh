#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# Runs cmocka test programs and ends with the line `N passed, N failed, N skipped`.
# A program that dies without its summary counts as one failure.
set -u
passed=0 failed=0 skipped=0
for program in "$@"; do
	output=$("$program" 2>&1)
	status=$?
	ok=$(grep -c '^\[       OK \]' <<<"$output")
	bad=$(grep -c '^\[  FAILED  \] [^0-9]' <<<"$output")
	skip=$(grep -c '^\[  SKIPPED \] [^0-9]' <<<"$output")
	# cmocka names each failure twice: where it happens and in the summary.
	bad=$((bad / 2)) skip=$((skip / 2))
	if [ $status -ne 0 ] && [ $bad -eq 0 ]; then
		bad=1
	fi
	if [ $bad -ne 0 ]; then
		printf '%s\n' "$output" | tail -n 60
	elif [ $skip -ne 0 ]; then
		grep -iE 'skip' <<<"$output"
	fi
	printf '  %-40s %d passed, %d failed, %d skipped\n' "$(basename "$program")" "$ok" "$bad" "$skip"
	passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
done
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
