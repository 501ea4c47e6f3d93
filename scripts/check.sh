#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
# All of `make check`: runs each part, goes on after a failure, and ends with the
# line `N passed, N failed, N skipped` over everything.
set -u
cd "$(dirname "$0")/.." || exit 1
passed=0 failed=0 skipped=0
parts=()

# A part counts by its own last summary line, or as one test when it prints none.
part() {
	local name=$1 started=$SECONDS log status line
	shift
	log=$(mktemp)
	echo "== $name"
	"$@" 2>&1 | tee "$log"
	status=${PIPESTATUS[0]}
	local p=0 f=0 s=0
	while IFS= read -r line; do
		if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed,\ ([0-9]+)\ skipped$ ]]; then
			p=$((p + BASH_REMATCH[1])) f=$((f + BASH_REMATCH[2])) s=$((s + BASH_REMATCH[3]))
		fi
	done <"$log"
	rm -f "$log"
	if [ $((p + f + s)) -eq 0 ]; then
		if [ "$status" -eq 0 ]; then p=1; else f=1; fi
	elif [ "$status" -ne 0 ] && [ $f -eq 0 ]; then
		f=1
	fi
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	parts+=("$(printf '%-12s %5d passed, %d failed, %d skipped, %d s' "$name" $p $f $s $((SECONDS - started)))")
}

part static make --no-print-directory check-static
part unit make --no-print-directory check-unit
part arm64 make --no-print-directory check-arm64
part kernel make --no-print-directory check-kernel
part functional make --no-print-directory check-functional
part sanitize make --no-print-directory check-sanitize

echo "== summary"
printf '%s\n' "${parts[@]}"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
