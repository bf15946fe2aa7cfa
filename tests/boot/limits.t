#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The host refuses what the engine asks of it, when it opens and later: files, processes,
# memory, the size of a file, timers.  Each limit is so small that it is met, and the log says so;
# the guest (our test kernel) says what it says in plain Bochs, and when there is more again its
# code runs natively again.  The process engine asks for no locked memory (kmod/callers.c has
# that limit).
set -u
. "$top_srcdir/tests/tap.sh"
. "$top_srcdir/tools/lib/model.sh"
. "$top_srcdir/tests/boot/disturb.sh"

run=$top_srcdir/tests/guest/run-guest
image=$top_builddir/tests/guest/tk64.img
work=$top_builddir/tests/boot-limits
rm -rf "$work"
mkdir -p "$work"
[ -r "$image" ] || tap_skip_all "there is no test kernel: the compiler can't make it"
for tool in prlimit setpriv; do
	command -v $tool >/dev/null || tap_skip_all "there is no $tool (Debian package util-linux)"
done

# Traps and state, in long mode: many short programs, each with a space of its own.
options=(-c "$(default_model)" -e 8 -g 1 -s 20000 -n 100)

# One run in work folder $1, in a Bochs that is started by the commands $2.
bochs() {		# bochs NAME COMMANDS PLEX86-OPTIONS
	local dir=$work/$1
	mkdir -p "$dir"
	printf '#!/bin/bash\n%s\necho $$ >"%s/pid"\nexec "%s" "$@"\n' "$2" "$dir" "$BOCHS" >"$dir/start"
	chmod +x "$dir/start"
	# Beside the true Bochs is its firmware.
	BXSHARE=${BXSHARE-$(dirname "$BOCHS")/bochs/share} "$run" -w "$dir" "${options[@]}" \
		-b "$dir/start" -x "plex86: $3" bochs "$image" >"$dir/said" 2>"$dir/why"
}

says_the_same() {	# says_the_same NAME
	"$top_srcdir/tests/guest/compare-logs" -k "$top_srcdir/tests/guest/limits-process" \
		"$work/plain/said" "$work/$1/said" || { tail -n 3 "$work/$1/why"; return 1; }
}

# Lines of Bochs's log about the plugin.
logged() {		# logged NAME REGEX
	grep -E "plex86: .*($2)" "$work/$1/bochs.log"
}

# As the log says, where a file of statistics can't be opened.
native() {
	local n
	n=$(sed -n 's/.*plex86: engine process: \([0-9]*\) native slices.*/\1/p' "$work/$1/bochs.log")
	echo "${n:-0}"
}

# ---- when it opens: no engine, and Bochs goes on without

refused_at_start() {	# refused_at_start NAME COMMANDS REASON
	bochs "$1" "$2" "enabled=1, engine=auto, handover=always"
	says_the_same "$1" && logged "$1" "$3"
}

# Upwards from what not even a shell can start Bochs with, until the engine opens: each in between
# is met at another place.
few_files() {
	local n name reasons
	for n in {8..40}; do
		name=files-$n
		bochs "$name" "ulimit -n $n" "enabled=1, engine=auto, handover=always"
		[ -e "$work/$name/bochs.log" ] || continue
		says_the_same "$name" || { echo "with $n"; return 1; }
		[ "$(native "$name")" = 0 ] || break
		logged "$name" 'engine process is not available: .*Too many open files' || return
	done
	reasons=$(grep -ho 'process is not available: .*' "$work"/files-*/bochs.log | sort | uniq -c)
	echo "$reasons"
	# The last is what the engine could do without, at the cost of one of its walls.
	grep -q "can't create a pipe" <<<"$reasons" && grep -q "can't open the stub" <<<"$reasons" &&
		[ "$(native "$name")" -gt 0 ]
}

# Plain Bochs dies here with half of it.
small_stack() {
	bochs stack 'ulimit -s 128' "enabled=1, engine=process, handover=always"
	says_the_same stack && [ "$(native stack)" -gt 0 ]
}

# ---- later

# The program has begun, or soon will; the engine has opened.
until_it_boots() {	# until_it_boots NAME
	until grep -q 'Booting from' "$work/$1/bochs.log" 2>/dev/null; do
		ended && return 1
		sleep 0.05
	done
	spaces=()
	spaces_of "$pid"
	parked=${spaces[0]-} zygote=${spaces[1]-}
	[ -n "$zygote" ]
}

ended() { ! kill -0 "$runner" 2>/dev/null; }

# Waits for a word in the log.
until_logged() {	# until_logged NAME REGEX
	until logged "$1" "$2" >/dev/null; do
		ended && { echo "never said: $2"; return 1; }
		sleep 0.02
	done
}

# Until there is a space that is none of $old, and no zygote.
until_new_space() {
	local space
	while :; do
		spaces=()
		spaces_of "$pid"
		for space in "${spaces[@]:2}"; do
			[[ "$old" == *" $space "* ]] || return 0
		done
		ended && { echo "there was no other space"; return 1; }
		sleep 0.02
	done
}

# The function $2 limits a Bochs that runs; the log must then say $3.  With a function $4, which
# lifts the limit, spaces must come back.
refused_later() {	# refused_later NAME LIMIT REASON [LIFT]
	local pid='' runner spaces old parked zygote status=0
	mkdir -p "$work/$1"
	bochs "$1" '' "enabled=1, engine=process, handover=always" &
	runner=$!
	until [ -s "$work/$1/pid" ] || ended; do sleep 0.05; done
	read -r pid <"$work/$1/pid"
	until_it_boots "$1" && "$2" && until_logged "$1" "$3" || status=1
	if [ -n "${4-}" ] && [ $status = 0 ]; then
		spaces=()
		spaces_of "$pid"
		old=" ${spaces[*]} "
		"$4" && until_new_space || status=1
	fi
	wait "$runner"
	says_the_same "$1" && logged "$1" "$3" && [ "$(native "$1")" -gt 0 ] && return $status
}

no_processes() { limit "$zygote" nproc 1; }
processes_again() { unlimit "$zygote" nproc; }

# All that makes containers has to be made again, which takes pipes.
no_files() { limit "$pid" nofile 3 && kill -KILL "$parked" "$zygote"; }
files_again() { unlimit "$pid" nofile; }

# The stub's six pages, and not one of the guest's.
no_room() { limit "$zygote" as $((6 * 4096)); }
room_again() { unlimit "$zygote" as; }

# Not a page more than Bochs has now.
field() { sed -n "s/^$1:[^0-9]*\([0-9]*\) kB/\1/p" "/proc/$pid/status"; }
no_address_space() { limit "$pid" as $(($(field VmSize) * 1024)); }
no_data() { limit "$pid" data $(($(field VmData) * 1024)); }

# ---- memory short: what containers take in the kernel is accounted to a group of their own

group=''
make_group() {
	local at
	for at in /sys/fs/cgroup/memory /sys/fs/cgroup; do
		group=$at/plex86-limits-$$
		mkdir "$group" 2>/dev/null || continue
		for limit in memory.limit_in_bytes memory.max; do
			[ ! -w "$group/$limit" ] || return 0
		done
		rmdir "$group"
	done
	group=''
	return 1
}

short_of_memory() {
	echo "$zygote" >"$group/cgroup.procs" && echo 1M >"$group/$limit"
}

# How often the kernel met the limit.
met() {
	if [ "$limit" = memory.max ]; then
		awk '$1 == "max" { print $2 }' "$group/memory.events"
	else
		cat "$group/memory.failcnt" "$group/memory.kmem.failcnt" 2>/dev/null | sort -n | tail -n 1
	fi
}

# Version 2 of control groups may kill the process that is cloned, of which the log says nothing.
memory_short() {
	local reason='no space can be made|a space was lost'
	[ "$limit" != memory.max ] || reason=''
	refused_later memory short_of_memory "$reason" || return
	echo "the limit was met $(met) times"
	[ "$(met)" -gt 0 ]
}

tap_memory() {
	local out status=0
	out=$(memory_short 2>&1) || status=$?
	if [ "$(met)" = 0 ]; then
		tap_skip "$1" "this kernel accounts too little to meet the limit"
		return
	fi
	tap_result "$status" "$1"
	[ "$status" = 0 ] || tap_diag <<<"$out"
}

tap_processes() {
	if processes_limited; then "${tap:-tap}" "$@"; else tap_skip "$1" "containers are root's here"; fi
}

tap "the test kernel runs in plain Bochs" bochs plain '' enabled=0

# What engine=auto opens.
tap_process() {
	if [ ! -w /dev/plex86 ]; then tap "$@"; else tap_skip "$1" "the driver is there, and needs less"; fi
}

tap_process "few files: no engine, or one that works" few_files
tap "no files beyond 10 MiB: no memory object" \
	refused_at_start size 'ulimit -f 10240' "can't allocate .*File too large .ulimit -f"
tap=tap_process tap_processes "no processes" refused_at_start processes 'ulimit -u 1' \
	"engine process is not available: can't create a process.*Resource temporarily unavailable"
tap_process "no timers" refused_at_start timers 'ulimit -i 0' \
	"engine process is not available: can't create a timer: Resource temporarily unavailable"
tap "a small stack is enough" small_stack

tap_processes "later: no more processes, then some" refused_later later-processes no_processes \
	'no space can be made: too many processes' processes_again
tap "no more files, then some" refused_later later-files no_files \
	'no space can be made: too many open files' files_again
tap "no more room in containers, then some" refused_later later-room no_room \
	'a space was lost .out of memory' room_again
tap "Bochs has no more address space" refused_later later-space no_address_space \
	'out of memory'
tap "nor memory for data" refused_later later-data no_data 'out of memory'
if make_group; then
	tap_memory "containers are short of memory"
	rmdir "$group" 2>/dev/null
else
	tap_skip "containers are short of memory" "no control group for memory can be made here"
fi
tap_done
