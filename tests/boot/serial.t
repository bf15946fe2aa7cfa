#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Serial input while a program computes: natively nobody polls the line, and what has come
# meanwhile must not overrun the port's 16 bytes when time is made up for.
set -u
. "$top_srcdir/tests/boot/kernel.sh"

typist=''
end() {
	[ -z "$typist" ] || kill "$typist" 2>/dev/null
	rm -rf "$work"
}
trap end EXIT

"$top_builddir/tests/boot/typist" >"$work/terminal" &
typist=$!
for ((i = 0; i < 100; i++)); do
	[ ! -s "$work/terminal" ] || break
	sleep 0.1
done

boot() {		# boot NAME OPTIONS
	"$here/run-guest" -c "$(default_model)" -e 8 -g 256 -s 1000 -t 300 -b "$BOCHS" \
		-x "com1: enabled=1, mode=term, dev=$(cat "$work/terminal")" \
		-x "plex86: $2" bochs "$image" >"$work/$1"
}

says() {		# what the guest says of its input
	grep input, "$work/$1"
}

for how in plain native; do
	options="enabled=0"
	[ $how = plain ] || options="enabled=1, engine=process, handover=always, stats=$work/stats"
	tap "$how: the test kernel comes to its end" boot $how "$options"
	tap "$how: there was input, and none was lost" grep -q '^  input, 0 lost, 0 overruns' "$work/$how"
	says $how | tap_diag
done
tap "code ran natively meanwhile" grep -q '"native_slices":[1-9][0-9][0-9]' "$work/stats"

tap_done
