#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# I10, nothing lost: the container processes of a running guest are killed at random,
# again and again, and the guest says what it says when nobody disturbs it.  At the
# end even the process that makes new ones is killed, and the guest goes on in Bochs.
set -u
. "$top_srcdir/tests/tap.sh"
. "$top_srcdir/tools/lib/model.sh"
. "$top_srcdir/tests/boot/disturb.sh"

run=$top_srcdir/tests/guest/run-guest
image=$top_builddir/tests/guest/tk64.img
logs=$top_builddir/tests/boot-logs
mkdir -p "$logs"
[ -r "$image" ] || tap_skip_all "there is no test kernel: the compiler can't make it"

model=$(default_model)
# The coherency tests, with long native stretches before and between their steps.
options=(-c "$model" -g 2 -s 2000000 -b "$BOCHS")

undisturbed() {
	"$run" "${options[@]}" bochs "$image" >"$logs/quiet.log"
}

# Leaves alone the two oldest (the namespace's first process and the one that is
# cloned) until the last quarter of the kills.
disturbed() {
	local pid killed=0 victim
	"$run" -k "$logs" "${options[@]}" -x 'plex86: engine=process' bochs "$image" \
		>"$logs/killed.log" &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep "0.0$((RANDOM % 9 + 1))"
		spaces=()
		spaces_of "$pid"
		[ "${#spaces[@]}" -gt 2 ] || continue
		if [ "$killed" -lt 60 ]; then
			victim=${spaces[2 + RANDOM % (${#spaces[@]} - 2)]}
		else
			victim=${spaces[RANDOM % ${#spaces[@]}]}
		fi
		kill -KILL "$victim" 2>/dev/null && killed=$((killed + 1))
	done
	wait "$pid" || return
	echo "$killed killed"
	[ "$killed" -ge 5 ]
}

tap "the test kernel runs undisturbed" undisturbed
tap "it comes to its end while its containers are killed" disturbed
tap "and says the same" "$top_srcdir/tests/guest/compare-logs" \
	-k "$top_srcdir/tests/guest/limits-process" "$logs/quiet.log" "$logs/killed.log"
tap "the user was told, once" \
	test "$(grep -c 'a space was lost' "$logs/bochs.log")" = 1
tap_done
