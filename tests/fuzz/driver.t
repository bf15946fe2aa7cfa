#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Random user code under engine=driver, by plex86.ko on this machine or on the
# emulated host: no difference from plain Bochs but what the table of known ones
# explains, or that host's own CPU.  And that CPU can't be an excuse for an error
# of the driver: one wrong bit in a record that it explains is found.
#
# PLEX86_FUZZ_DRIVER_CASES, PLEX86_FUZZ_DRIVER_16: how many cases (1000), and of 16-bit code (600).
set -u
. "$top_srcdir/tests/tap.sh"
. "$top_srcdir/tools/lib/driver.sh"

export BUILD=$top_builddir FUZZ_OUT=$top_builddir/tests/fuzz/driver
export KMOD_WORK=$FUZZ_OUT.kmod
fuzzer=$top_builddir/tools/fuzz/fuzzer
work=$top_builddir/tests/fuzz/driver.work
rm -rf "$work"
mkdir -p "$work" "$KMOD_WORK"

[ -r "$top_builddir/tests/guest/tk32.img" ] && [ -r "$top_builddir/tests/guest/tk64.img" ] ||
	tap_skip_all "there is no test kernel: the compiler can't make it"
if ! driver_here; then
	why=$("$top_srcdir/tests/kmod/hosted" -n) || tap_skip_all "$why"
fi

fuzz() {
	"$top_srcdir/tools/fuzz.sh" "$@" >"$work/log" 2>&1 || {
		tail -n 60 "$work/log"
		return 1
	}
}

# Segments of its own, and another width: engine=process leaves that to Bochs.
code16() {
	FUZZ_OUT=$work/code16 fuzz "${PLEX86_FUZZ_DRIVER_16:-600}" 1 engine=driver kind=code16
}
natively() {		# natively CASES
	# Of the entries to user code, a busy machine makes many more by timer ticks; each case is one at least.
	tap_is "and most of them ran natively" \
		"$(awk -v cases="$1" '/^Natively:/ { print ($2 > cases * 0.9) }' "$work/log")" 1
}

tap "random 16-bit code: no difference that is not explained" code16
natively "${PLEX86_FUZZ_DRIVER_16:-600}"
tap "random instructions: no difference that is not explained" \
	fuzz "${PLEX86_FUZZ_DRIVER_CASES:-1000}" 1 engine=driver
tail -n 1 "$work/log" | tap_diag
natively "${PLEX86_FUZZ_DRIVER_CASES:-1000}"
if [ -d "$FUZZ_OUT/chunk/1" ] && ! [ -e "$FUZZ_OUT/chunk/1/whole" ]; then
	tap_skip "what the host's CPU explains" "plex86.ko runs on this machine's own CPU"
	tap_done
fi

# explain BLOCK NATIVE [WHAT QEMU'S CPU DOES...]: how many differ, and are explained.
explain() {
	local at=$FUZZ_OUT/chunk/$1
	"$fuzzer" -a -q -t "$top_srcdir/tools/fuzz/known" explain "$at/cases.plain" "$at/cases.native" \
		"$at/prefixes.plain" "$2" "${@:3}" >"$work/report" && sed -n 's/^sum: \([0-9]* [0-9]*\) .*/\1/p' "$work/report"
}
# Records that nothing but the host's CPU explains.
by_host() {
	awk '/^explained: host: QEMU/ { getline; if (!/does not differ/) print }' "$FUZZ_OUT/chunk/$1/report" |
		sed 's/.*, record \([0-9]*\).*/\1/' | head -n 5
}

# The first three blocks are of 64-bit code.
records=0
for block in 1 2 3; do
	at=$FUZZ_OUT/chunk/$block
	read -r differing explained < <(explain $block "$at/prefixes.native" "$at"/{alone,resumed,whole})
	alone=$(explain $block "$at/prefixes.native" | cut -d ' ' -f 2)
	tap "block $block: the host's CPU explains what the table does not" [ "$alone" -lt "$explained" ]
	for record in $(by_host $block); do
		records=$((records + 1))
		# Where a record (tests/guest/fuzzcase.h) keeps each.
		while read -r byte name; do
			cp "$at/prefixes.native" "$work/spoilt"
			"$fuzzer" spoil "$work/spoilt" "$record" $((byte * 8 + 2))
			tap_is "block $block: a wrong bit in the $name of record $record is the driver's" \
				"$(explain $block "$work/spoilt" "$at"/{alone,resumed,whole})" \
				"$differing $((explained - 1))"
		done <<-'END'
			24 instruction pointer
			40 RAX
			360 XMM0
			876 memory
		END
	done
done
tap "some records have been tried" [ "$records" -ge 6 ]
tap_is "a third run of other cases is an error" \
	"$(explain 1 "$FUZZ_OUT/chunk/1/prefixes.native" "$FUZZ_OUT"/chunk/1/{alone,resumed} \
		"$FUZZ_OUT/chunk/2/whole" 2>&1 | grep -c 'not of the same cases')" 1
tap_done
