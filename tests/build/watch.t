#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The clock in front of what a guest says: time, or the CPU time of all that was
# started, whoever waits for it.  A second of CPU time is one that the kernel counts
# (ulimit -t).  A busy host reads lines late: hence bounds that are far from what they bound.
set -u
. "$top_srcdir/tests/tap.sh"

export BUILD=$top_builddir
"$top_srcdir/tools/guest/mkwatch" || exit 1
watch=$top_builddir/guest/watch
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/job" <<'END_JOB'
echo begin
sleep 2
echo slept
# Its parent is dead before it is, so that nobody but init waits for it.
(sh -c 'trap "touch $1/done; exit" XCPU; ulimit -S -t 1; while :; do :; done' sh "$1" &)
until [ -e "$1/done" ]; do sleep 0.1; done
echo worked
exit 3
END_JOB

run() {		# run OPTION...: said, and the status
	rm -f "$work/done"
	"$watch" -p "$@" -- sh "$work/job" "$work" >"$work/said" 2>"$work/error"
}

between() {	# between FROM TO LEAST [MOST]: hundredths of a second
	awk -F '\t' -v from="$1" -v to="$2" -v least="$3" -v most="${4:-1e9}" '
		$2 == from { f = $1; seen++ } $2 == to { t = $1; seen++ }
		END { n = 100 * (t - f); exit !(seen == 2 && n >= least && n <= most) }' "$work/said"
}

run
tap_is "the command's status" $? 3
tap "all lines are there" test "$(cut -f 2 "$work/said" | head -n 3 | tr '\n' ' ')" = "begin slept worked "
tap "time passes while a command sleeps" between begin slept 100
run -c
status=$?
if grep -q 'cannot count CPU time' "$work/error"; then
	tap_skip "CPU time" "$(cat "$work/error")"
else
	tap_is "with -c, the status" "$status" 3
	tap "CPU time does not" between begin slept 0 50
	tap "it does while a grandchild works for which nobody waits" between slept worked 80
fi
tap "a word on usage" grep -q 'usage: watch' <("$watch" 2>&1)
tap_done
