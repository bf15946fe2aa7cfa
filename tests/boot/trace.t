#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# "plex86: trace=FILE" writes bursts in the format of plugin/trace.h, and the guest,
# for which nothing is accelerated then, says what it says without the plugin.
set -u
. "$top_srcdir/tests/tap.sh"
. "$top_srcdir/tools/lib/model.sh"

run=$top_srcdir/tests/guest/run-guest
image=$top_builddir/tests/guest/tk64.img
[ -r "$image" ] || tap_skip_all "there is no test kernel: the compiler can't make it"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

model=$(default_model)

guest() {		# guest LOG [OPTION...]
	local log=$1
	shift
	"$run" -c "$model" -n 20 -g 0x22 -b "$BOCHS" "$@" bochs "$image" >"$work/$log"
}
tap "the test kernel runs without the plugin" guest plain
tap "and with a trace" guest traced -x "plex86: enabled=1, trace=$work/trace"
tap "it says the same" diff "$work/plain" "$work/traced"

lines() {		# how many lines of the trace match
	grep -c -E -x "$1" "$work/trace"
}
tap_is "each line is a burst or a time" "$(grep -v -c -E -x \
	'# [0-9]+\.[0-9]{3}|[0-9]+\*? [0-9a-f]+ [0-9]+ (s[0-9]+|f|i) [0-9]+' "$work/trace")" 0
for end in 's[0-9]+' f i; do
	tap "some bursts end with ${end:0:1}" \
		test "$(lines "[0-9]+\*? [0-9a-f]+ [0-9]+ $end [0-9]+")" -gt 100
done
# The kernel lets user code spin 200,000 instructions or more before it acts.
tap "long bursts are seen as long" awk '$3 > 40000 { n++ } END { exit n < 10 }' "$work/trace"

unwritable() {
	! guest refused -k "$work/kept" -t 60 -x "plex86: enabled=1, trace=$work/no/folder" &&
		grep -r -q "can't write a trace to" "$work/kept"
}
tap "a trace that can't be written is said, and nothing runs" unwritable

tap_done
