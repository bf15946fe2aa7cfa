#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A Debian guest computes the right answers, whatever the host does to Bochs meanwhile:
# its containers are stopped or killed, it is refused processes and memory now and then (limits.t
# has each limit by itself), signals rain on it, others take its processor.  Right is what the
# guest says in undisturbed plain Bochs.
set -u
. "$top_srcdir/tests/tap.sh"
. "$top_srcdir/tests/boot/disturb.sh"

export BUILD=$top_builddir
. "$top_srcdir/tools/demo/lib.sh"
set +e

work=$BUILD/tests/boot-disturbed
plex86=$BOCHS
rm -rf "$work"
mkdir -p "$work"
why=$("$top_srcdir/tools/guest/fetch" amd64 2>&1) ||
	tap_skip_all "not now: the guest's packages can't be fetched: $(tail -n 1 <<<"$why")"

made() {
	"$top_srcdir/tools/guest/mkguest" amd64 &&
	make_job amd64 "$work/job" 40 sha,fp,mem,sys,fault,fork,ctx,xz &&
	"$top_srcdir/tools/guest/mkiso" amd64 "$work/job" "$work/iso" &&
	"$top_srcdir/tools/guest/run" -q 900 -b "$plex86" -p enabled=0 "$work/iso" "$work/plain" &&
	results "$work/plain/said" >"$work/right" && [ "$(grep -c '^@ stop [^ ]* 0$' "$work/right")" = 8 ]
}

# Runs the guest in a Bochs with the function DISTURB at work on its process until it ends;
# it must say what is right.
survives() {		# survives NAME DISTURB [OPTIONS]
	local dir=$work/$1 pid runner status undisturbed=''
	printf '#!/bin/bash\necho $$ >"%s.pid"\nexec "%s" "$@"\n' "$dir" "$plex86" >"$work/$1.sh"
	chmod +x "$work/$1.sh"
	"$top_srcdir/tools/guest/run" -q 900 -b "$work/$1.sh" \
		-p "enabled=1, engine=process, stats=$dir/stats.json${3-}" "$work/iso" "$dir" &
	runner=$!
	until [ -s "$dir.pid" ] || ! kill -0 "$runner" 2>/dev/null; do sleep 0.05; done
	read -r pid <"$dir.pid"
	"$2" "$pid" >"$dir.disturbed" || undisturbed=yes
	wait "$runner"
	status=$?
	cat "$dir.disturbed"
	[ "$status" = 0 ] && results "$dir/said" | diff "$work/right" - && [ "$(native "$1")" -gt 0 ] &&
		[ -z "$undisturbed" ]
}

# Bursts that ran natively: without any, nothing was tested.
native() {
	sed -n 's/.*"native_slices": *\([0-9]*\).*/\1/p' "$work/$1/stats.json" | head -n 1
}

# Until Bochs has gone, a container is stopped for a moment, and each third time killed.
stop_and_kill() {
	local victim stopped=0 killed=0
	while kill -0 "$1" 2>/dev/null; do
		sleep "0.0$((RANDOM % 5 + 1))"
		spaces=()
		spaces_of "$1"
		[ "${#spaces[@]}" -gt 2 ] || continue
		victim=${spaces[2 + RANDOM % (${#spaces[@]} - 2)]}
		if [ $(((stopped + killed) % 3)) = 2 ]; then
			kill -KILL "$victim" && killed=$((killed + 1))
			continue
		fi
		kill -STOP "$victim" || continue
		stopped=$((stopped + 1))
		sleep "0.0$((RANDOM % 5 + 1))"
		kill -CONT "$victim"
	done 2>/dev/null
	echo "$stopped stopped, $killed killed"
	[ "$stopped" -ge 5 ] && [ "$killed" -ge 5 ]
}

# Containers that were missed when they were wanted.
lost() {
	sed -n 's/.*"spaces_lost": *\([0-9]*\).*/\1/p' "$work/$1/stats.json" | head -n 1
}

# Until the log has a line that matches $2, or process $1 has gone.
until_refused() {
	until grep -q "plex86: .*$2" "$work/limits/bochs.log" || ! kill -0 "$1"; do sleep 0.1; done
}

# Until Bochs has gone, its containers may now and then not be cloned, or have no room; the
# first time until it says so.
limits_come_and_go() {
	while kill -0 "$1" 2>/dev/null; do
		sleep "0.$((RANDOM % 5 + 1))"
		spaces=()
		spaces_of "$1"
		[ "${#spaces[@]}" -gt 2 ] || continue
		limit "${spaces[1]}" nproc 1 && sleep 0.3
		! processes_limited || until_refused "$1" 'too many processes'
		unlimit "${spaces[1]}" nproc
		limit "${spaces[1]}" as $((32 * 4096)) && sleep 0.3
		until_refused "$1" 'a space was lost .out of memory'
		unlimit "${spaces[1]}" as
	done 2>/dev/null
	grep -oE 'plex86: .*(no space can be made: too many processes|a space was lost .out of memory)' \
		"$work/limits/bochs.log" | sort -u | tee "$work/limits.refused"
	grep -q 'out of memory' "$work/limits.refused" &&
		{ ! processes_limited || grep -q 'too many processes' "$work/limits.refused"; }
}

# SIGUSR2 is the 12th of the signals that process $1 catches.
has_handler() {
	local word mask
	while read -r word mask; do
		[ "$word" = SigCgt: ] && return $(((0x$mask >> 11 & 1) == 0))
	done <"/proc/$1/status"
	return 1
} 2>/dev/null

# The signal that a Bochs without its speedometer catches while it runs: it asks for
# statistics.  (SIGALRM would end it, accelerated or not.)
storm() {
	local sent=0
	until has_handler "$1" || ! kill -0 "$1" 2>/dev/null; do sleep 0.05; done
	while kill -USR2 "$1" 2>/dev/null; do
		sent=$((sent + 1))
		sleep 0.001
	done
	echo "$sent signals"
	[ "$sent" -gt 100 ]
}

# Two others on the one processor that Bochs may use.
steal() {
	local cpu hogs=()
	cpu=$(taskset -pc "$1" | sed 's/.*: *\([0-9]*\).*/\1/')
	taskset -apc "$cpu" "$1" >/dev/null
	for _ in 1 2; do
		taskset -c "$cpu" bash -c 'while kill -0 "$1"; do :; done' hog "$1" 2>/dev/null &
		hogs+=($!)
	done
	while kill -0 "$1" 2>/dev/null; do sleep 0.2; done
	kill "${hogs[@]}" 2>/dev/null
	wait "${hogs[@]}" 2>/dev/null
	echo "shared processor $cpu"
}

# A program whose pages have no neighbours among the guest's frames; and it does reach the limit.
# (With -O2 it has RDTSC's bytes, MOV (%rdi),%rcx and XOR %eax,%eax: not for all hosts.)
limit_of_mappings() {
	local job=$work/scattered.job run=$work/scattered max
	max=$(($(cat /proc/sys/vm/max_map_count) / 200))	# MiB: some more than there may be
	mkdir -p "$job" &&
		gcc -m64 -O1 -Wall -Wextra -o "$job/scattered" "$top_srcdir/tests/boot/scattered.c" &&
		echo "/job/scattered $max" >"$job/run" &&
		"$top_srcdir/tools/guest/mkiso" amd64 "$job" "$run.iso" || return
	# (Where trips are dear, the policy would leave this program to Bochs.)
	for options in enabled=0 "enabled=1, engine=process, handover=always, stats=$run.json"; do
		"$top_srcdir/tools/guest/run" -q 900 -b "$plex86" -p "$options" "$run.iso" "$run" || return
		grep -o '= scattered .*' "$run/said" >>"$run.said"
	done
	cat "$run.said"
	[ "$(wc -l <"$run.said")" = 2 ] && [ "$(uniq "$run.said" | wc -l)" = 1 ] &&
		grep -q 'a space was lost .*vm.max_map_count' "$run/bochs.log" &&
		grep -q '"native_slices":[1-9]' "$run.json"
}

tap "the guest can be made, and says something" made
if [ "$(cat /proc/sys/vm/max_map_count)" -le 100000 ]; then
	tap "a program needs more mappings than a process may have" limit_of_mappings
else
	tap_skip "a program needs more mappings than a process may have" \
		"vm.max_map_count is $(cat /proc/sys/vm/max_map_count) here: too many for this guest's memory"
fi
tap "its containers are stopped and killed" survives killed stop_and_kill
tap "some of them in use" test "$(lost killed)" -ge 1
if command -v prlimit >/dev/null && command -v setpriv >/dev/null; then
	tap "processes and memory are refused now and then" \
		survives limits limits_come_and_go ", handover=always"
else
	tap_skip "processes and memory are refused now and then" "there is no prlimit or setpriv"
fi
tap "signals come all the time" survives storm storm
if command -v taskset >/dev/null; then
	tap "others take most of its processor" survives steal steal
else
	tap_skip "others take most of its processor" "there is no taskset"
fi
tap_done
