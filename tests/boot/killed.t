#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# I10, nothing lost: the container processes of a running guest are killed at random,
# again and again, and the guest says what it says when nobody disturbs it.  So are the
# process that is cloned for new ones, and the namespace's first process, of which that one
# is a clone; others take their places.
set -u
. "$top_srcdir/tests/tap.sh"
. "$top_srcdir/tools/lib/model.sh"
. "$top_srcdir/tests/boot/disturb.sh"

run=$top_srcdir/tests/guest/run-guest
image=$top_builddir/tests/guest/tk64.img
logs=$top_builddir/tests/boot-logs/killed
rm -rf "$logs"
mkdir -p "$logs"
[ -r "$image" ] || tap_skip_all "there is no test kernel: the compiler can't make it"

model=$(default_model)
# The coherency tests, with long native stretches before and between their steps.
options=(-c "$model" -g 2 -s 2000000 -b "$BOCHS")

undisturbed() {
	"$run" "${options[@]}" bochs "$image" >"$logs/quiet.log"
}

# The two oldest have their turns: the one that is cloned after some kills; when it has been
# missed, all together with the first process.  (That one alone would not be missed before the
# other has to be made.)
disturbed() {
	local pid killed=0 victim oldest=() turn=0
	"$run" -k "$logs" "${options[@]}" -x 'plex86: engine=process' bochs "$image" \
		>"$logs/killed.log" &
	pid=$!
	while kill -0 "$pid" 2>/dev/null; do
		sleep "0.0$((RANDOM % 9 + 1))"
		spaces=()
		spaces_of "$pid"
		[ "${#spaces[@]}" -gt 2 ] || continue
		case $turn in
		0)	if [ "$killed" -ge 5 ]; then
				oldest=("${spaces[@]:0:2}")
				kill -KILL "${oldest[1]}" && turn=1
			fi ;;
		1)	if [ "${spaces[0]}" = "${oldest[0]}" ] &&
				[[ " ${spaces[*]} " != *" ${oldest[1]} "* ]]; then
				echo maker >>"$logs/replaced"
				kill -KILL "${spaces[@]}" && turn=2
			fi ;;
		2)	if [ "${spaces[0]}" != "${oldest[0]}" ]; then
				echo both >>"$logs/replaced"
				turn=3
			fi ;;
		esac 2>/dev/null
		victim=${spaces[2 + RANDOM % (${#spaces[@]} - 2)]}
		kill -KILL "$victim" 2>/dev/null && killed=$((killed + 1))
	done
	wait "$pid" || return
	echo "$killed killed"
	[ "$killed" -ge 5 ]
}

tap "the test kernel runs undisturbed" undisturbed
tap "it comes to its end while its containers are killed" disturbed
tap_is "the process that is cloned was replaced; then the first was, too" \
	"$(cat "$logs/replaced" 2>/dev/null)" $'maker\nboth'
tap "and says the same" "$top_srcdir/tests/guest/compare-logs" \
	-k "$top_srcdir/tests/guest/limits-process" "$logs/quiet.log" "$logs/killed.log"
tap "the user was told, once" \
	test "$(grep -c 'a space was lost' "$logs/bochs.log")" = 1
tap_done
