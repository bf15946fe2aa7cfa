#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Verify mode with a real engine and a real Bochs: the test kernel says what it says
# under plain Bochs, all slices are compared, and no difference is found.
set -u
. "$top_srcdir/tests/tap.sh"
. "$top_srcdir/tools/lib/model.sh"

run=$top_srcdir/tests/guest/run-guest
image=$top_builddir/tests/guest/tk64.img
logs=$top_builddir/tests/boot-logs/verify
mkdir -p "$logs"
[ -r "$image" ] || tap_skip_all "there is no test kernel: the compiler can't make it"

model=$(default_model)
# Traps and state, in long mode; sensitive instructions have known differences
# (docs/limits.md), and code that changes itself takes minutes.
options=(-c "$model" -e 8 -g 1 -s 20000 -n 20 -t 120 -b "$BOCHS")

plain() {
	"$run" "${options[@]}" bochs "$image" >"$logs/plain.log"
}

verified() {
	rm -f "$logs/verify.case" "$logs/verify.json"
	"$run" -k "$logs" "${options[@]}" -x "plex86: engine=process, verify=1, \
verify_case=$logs/verify.case, stats=$logs/verify.json" bochs "$image" >"$logs/verify.log"
}

count() {
	awk -F '[:,]' -v key="\"$1\"" '/"verify"/ { on = 1 } on && index($1, key) { print $2; exit }' \
		"$logs/verify.json"
}

tap "the test kernel runs under plain Bochs" plain
tap "and in verify mode" verified
tap "it says the same" "$top_srcdir/tests/guest/compare-logs" \
	-k "$top_srcdir/tests/guest/limits-process" "$logs/plain.log" "$logs/verify.log"
echo "# $(count slices) slices, $(count instructions) instructions, $(count pages) written pages"
tap "slices were verified" test "$(count slices)" -ge 100
tap "with many instructions" test "$(count instructions)" -ge 1000000
tap_is "there is no difference" "$(count differences)" 0
tap "and no case" test ! -e "$logs/verify.case"
tap_done
