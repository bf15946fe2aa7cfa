#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# I9 under Linux: a program that tries instructions, selectors, addresses, system calls,
# signal frames, descriptors and other processes that it has no business with gets the same
# signals, error codes and addresses accelerated as in plain Bochs.
set -u
. "$top_srcdir/tests/tap.sh"
. "$top_srcdir/tests/host.sh"

export BUILD=$top_builddir
work=$BUILD/tests/boot-hostile
rm -rf "$work"
mkdir -p "$work"

made() {		# made GUEST -m64|-m32
	local job=$work/$1.job
	mkdir -p "$job" &&
		gcc "$2" -O2 -Wall -Wextra -fno-stack-protector -mno-red-zone -o "$job/hostile" \
			"$top_srcdir"/tests/boot/hostile/*.c &&
		echo /job/hostile >"$job/run" &&
		"$top_srcdir/tools/guest/mkguest" "$1" &&
		"$top_srcdir/tools/guest/mkiso" "$1" "$job" "$work/$1.iso" cryptomgr.notests
}

says() {		# says GUEST NAME OPTIONS
	"$top_srcdir/tools/guest/run" -q 600 -b "$BOCHS" -p "$3" "$work/$1.iso" "$work/$1.$2" &&
		grep -o '= .*' "$work/$1.$2/said" >"$work/$1.$2.said" &&
		tail -n 1 "$work/$1.$2.said" | grep -x '= end' && [ "$(wc -l <"$work/$1.$2.said")" -gt 1000 ]
}

ran_natively() {
	[ "$(sed -n 's/.*"native_slices": *\([0-9]*\).*/\1/p' "$work/$1.process/stats.json")" -gt 1000 ]
}

for guest in amd64 i386; do
	if ! why=$("$top_srcdir/tools/guest/fetch" "$guest" 2>&1); then
		tap_skip "$guest: hostile" "not now: its packages can't be fetched: $(tail -n 1 <<<"$why")"
		continue
	fi
	bits=-m64
	[ "$guest" = amd64 ] || bits=-m32
	tap "$guest: the program can be made" made "$guest" $bits
	tap "$guest: it comes to its end in plain Bochs" says "$guest" plain enabled=0
	tap "$guest: and accelerated" says "$guest" process \
		"enabled=1, engine=process, handover=always, stats=$work/$guest.process/stats.json"
	tap "$guest: each try ends as in plain Bochs" \
		diff "$work/$guest.plain.said" "$work/$guest.process.said"
	if [ "$guest" = i386 ] && ! engine_runs32 process; then
		tap_skip "$guest: and native code was tried" "this host runs no 32-bit code"
	else
		tap "$guest: and native code was tried" ran_natively "$guest"
	fi
done
tap_done
