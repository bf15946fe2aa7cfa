#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# An engine that now and then flips one bit, in a register, a flag, an x87 or vector register
# or in memory: verify mode finds each of them, in a real Bochs with a real guest, and
# the guest does not notice.
set -u
. "$top_srcdir/tests/tap.sh"
. "$top_srcdir/tests/host.sh"
. "$top_srcdir/tools/lib/model.sh"

run=$top_srcdir/tests/guest/run-guest
image64=$top_builddir/tests/guest/tk64.img image32=$top_builddir/tests/guest/tk32.img
plugin=$top_builddir/tests/verify/.libs/libbx_plex86.so
work=$top_builddir/tests/verify/work
[ -r "$image64" ] || tap_skip_all "there is no test kernel: the compiler can't make it"

rm -rf "$work"
mkdir -p "$work/plugins"
work=$(realpath "$work")
ln -s "$top_builddir"/bochs/plugins/* "$work/plugins/"
ln -sf "$plugin" "$work/plugins/libbx_plex86.so"

model=$(default_model)
# Segments and hostile code (0x30): little there keeps slices from being compared; and the page
# tests (2), which write to memory. No random programs: what the manual leaves undefined would be found, too.
options=(-c "$model" -n 0 -t 120 -b "$BOCHS")

plain() {		# plain BITS GROUPS SPIN
	"$run" "${options[@]}" -g "$2" -s "$3" bochs "$(image "$1")" >"$work/plain$1-$2.log"
}

image() {		# image BITS
	[ "$1" = 64 ] && echo "$image64" || echo "$image32"
}

broken() {		# broken WHERE EVERY BITS GROUPS SPIN: one run
	rm -f "$work/$1".*
	PLEX86_PLUGINS=$work/plugins PLEX86_BREAK=$1,$2 PLEX86_BREAK_LOG=$work/$1.flips \
		"$run" -k "$work" "${options[@]}" -g "$4" -s "$5" -x "panic: action=report" -x "plex86: engine=process, \
verify=1, verify_case=$work/$1.case, stats=$work/$1.json" bochs "$(image "$3")" >"$work/$1.log"
}

differences() {		# differences WHERE: of the statistics of verify mode
	awk -F '[:,]' '/"verify"/ { on = 1 } on && /"differences"/ { print $2; exit }' "$work/$1.json"
}

tap "the test kernel runs under plain Bochs" plain 64 0x30 200000
tap "its page tests, too" plain 64 2 300
tap "and the one of 32 bits" plain 32 0x30 200000
# matched WHERE: each flip is followed by its slice's end before there is another, and that is a
# difference found, or a slice that verify mode says it can't compare (docs/verify.md), or one in which
# it says that a flag was undefined; nothing is found without a flip.
matched() {		# matched WHERE LEAST: flips
	awk -v least="$2" '
	/^flip/ { if (open) bad("not found: " open); open = $0; flips++ }
	/^found/ { if (!open) bad("found without a flip, line " NR); open = ""; found++ }
	/^not compared|^a flag that is undefined/ { if (open) skipped++; open = "" }
	function bad(what) { print what; failed = 1 }
	END {
		if (open)
			bad("not found: " open)
		printf "%d flipped, %d found, %d in slices that are not compared\n", flips, found, skipped
		exit failed || flips < least || found < least / 2
	}' "$work/$1.flips"
}

engine_runs32 process && runs32=yes || runs32=
while read -r where every least bits groups spin; do
	if [ "$bits" = 32 ] && [ -z "$runs32" ]; then
		tap_skip "a bit flipped in 32-bit code, $where" "this host runs none"
		continue
	fi
	tap "a run of $bits-bit code with a bit flipped now and then, $where" \
		broken "$where" "$every" "$bits" "$groups" "$spin"
	tap "each is found" matched "$where" "$least"
	tap_is "as many as verify mode counts" "$(grep -c '^found' "$work/$where.flips")" \
		"$(differences "$where")"
	echo "# $(matched "$where" "$least")"
	tap "the case says what differs" grep -q '^# ' "$work/$where.case"
	tap "the guest saw none" "$top_srcdir/tests/guest/compare-logs" \
		-k "$top_srcdir/tests/guest/limits-process" "$work/plain$bits-$groups.log" "$work/$where.log"
done <<-'END'
	any 2 30 64 0x30 200000
	any 20 10 32 0x30 200000
	memory 1 20 64 2 300
	memory 1 2 32 0x30 200000
END
tap_done
