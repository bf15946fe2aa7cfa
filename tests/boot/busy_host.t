#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Time on a host with other work: slices end late then, and the guest's timers must not lose
# interrupts by that.
set -u
. "$top_srcdir/tests/boot/kernel.sh"

busy=()
end() {
	kill "${busy[@]}" 2>/dev/null
	rm -rf "$work"
}
trap end EXIT

for ((i = 0; i < 2 * $(nproc); i++)); do
	while :; do :; done &
	busy+=($!)
done

boot() {
	"$here/run-guest" -c "$(default_model)" -e 8 -g 4 -s 1000 -t 300 -b "$BOCHS" \
		-x "plex86: enabled=1, engine=process, handover=always, stats=$work/stats" \
		bochs "$image" >"$work/log"
}

says() {		# says TEST COUNT: so many times, in both passes, that all ticks came
	sed -n "/time\/$1/,/^l4/p" "$work/log" | tee "$work/said"
	[ "$(grep -c ': yes$' "$work/said")" = "$2" ] && ! grep -q ': no$' "$work/said"
}

tap "the time tests come to their end" boot
tap "the PIT's ticks: none is lost" says no_tick_is_lost 3
tap "the local APIC's: none is lost" says no_lapic_tick_is_lost 1
tap "nothing else is wrong" grep -q '^TK-END .* 0 wrong, 0 differing' "$work/log"
tap "code ran natively" grep -q '"native_slices":[1-9][0-9][0-9]' "$work/stats"

tap_done
