#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# I4 with a kernel that gives a process another CR3 all the time: Linux with page-table
# isolation has two page tables per process, with PCIDs CR3 changes from one turn of a
# process to the next.  Neither makes more spaces or more processes of it than there are.
set -u
. "$top_srcdir/tests/tap.sh"

export BUILD=$top_builddir
. "$top_srcdir/tools/demo/lib.sh"
set +e

# A processor with PCIDs, which Linux takes for one that needs the isolation.
export MODEL=corei7_haswell_4770
work=$BUILD/tests/boot-turns
rm -rf "$work"
mkdir -p "$work"
why=$("$top_srcdir/tools/guest/fetch" amd64 2>&1) ||
	tap_skip_all "not now: the guest's packages can't be fetched: $(tail -n 1 <<<"$why")"

# More processes that compute at the same time than Linux has PCIDs (six).
processes=9
made() {
	"$top_srcdir/tools/guest/mkguest" amd64 || return
	make_job amd64 "$work/job" 40 sha
	echo "many $processes" >"$work/job/plan"
	cat >"$work/job/more" <<-'EOF'
		prepare_more() { :; }
		run_more() {
			local i=0
			for flag in pti pcid; do
				busybox grep -q -m 1 -w "$flag" /proc/cpuinfo && echo "with $flag"
			done
			while [ $i -lt "$2" ]; do
				/bin/w-sha 60000 &
				i=$((i + 1))
			done
			wait
		}
	EOF
	"$top_srcdir/tools/guest/mkiso" amd64 "$work/job" "$work/one.iso" nopti nopcid &&
		"$top_srcdir/tools/guest/mkiso" amd64 "$work/job" "$work/two.iso" pti=on
}

boot() {		# boot NAME ISO OPTIONS
	"$top_srcdir/tools/guest/run" -q 900 -b "$BOCHS" -p "$3" "$work/$2.iso" "$work/$1" &&
		grep -F "= many " "$work/$1/said"
}

has() { [ "$(grep -c "= many with $2\$" "$work/$1/said")" = "$3" ]; }
hashes() { cut -f2- "$work/$1/said" | grep '= many ' | grep -v ' with '; }
stat() { sed -n "s/.*\"$2\": *\([0-9]*\).*/\1/p" "$work/$1.json" | head -n 1; }

# Each computes in a space of its own, which it keeps; a few more for what else runs.
few_spaces() {		# few_spaces NAME
	local created
	created=$(stat "$1" spaces_created)
	echo "$created spaces for $processes processes, $(stat "$1" native_slices) slices"
	[ "$created" -ge "$processes" ] && [ "$created" -le $((processes + 4)) ] &&
		[ "$(stat "$1" spaces_evicted)" = 0 ]
}

# A process that has lost its space must earn another one.
making_room() {
	local created
	created=$(stat three spaces_created)
	echo "$created spaces, $(stat three spaces_evicted) evicted, $(stat three native_slices) slices"
	[ "$(stat three spaces)" -le 3 ] && [ "$(stat three spaces_evicted)" -ge $((processes - 3)) ] &&
		[ "$created" -le 500 ]
}

# Long bursts of the processes that compute, by the roots that they are in.
roots() {
	awk '$1 != "#" && $3 > 50000 { sub(/\*/, "", $1); n[$1]++ } END { for (r in n) if (n[r] > 5) print r, n[r] }' \
		"$work/trace"
}
as_many_roots() {
	roots
	[ "$(roots | wc -l)" -ge "$processes" ] && [ "$(roots | wc -l)" -le $((processes + 4)) ]
}

tap "a guest can be made" made
[ "$tap_failed" = 0 ] || tap_done
tap "it boots with one page table per process" boot one one "enabled=1, stats=$work/one.json"
tap "and has neither isolation nor PCIDs" eval 'has one pti 0 && has one pcid 0'
tap "a space for each process that computes" few_spaces one
tap "it boots with two, and PCIDs" boot two two "enabled=1, stats=$work/two.json"
tap "and has isolation and PCIDs" eval 'has two pti 1 && has two pcid 1'
tap "there are as few spaces" few_spaces two
tap "both compute the same" diff <(hashes one) <(hashes two)
tap "it boots with room for three" boot three one "enabled=1, max_spaces=3, stats=$work/three.json"
tap "which are made again, but not all the time" making_room
tap "and computes the same" diff <(hashes one) <(hashes three)
tap "a trace of it can be written" boot traced two "enabled=1, trace=$work/trace"
tap "in which processes keep their numbers" as_many_roots

tap_done
