# SPDX-License-Identifier: LGPL-2.1-or-later
#
# One way to run a long step: its output goes to a log, the user sees that it
# lives and for how long, and on failure the end of the log.  Sourced; bash.
#
#   progress "Compiling Bochs" LOG COMMAND ARGS...
#
# progress_detail, if set, names a function that prints one short phrase.

progress_detail=
progress_interval=${PROGRESS_INTERVAL-15}

elapsed() {
	local s=$((SECONDS - $1))
	if [ "$s" -lt 60 ]; then echo "$s s"; else printf '%d min %02d s\n' $((s / 60)) $((s % 60)); fi
}

progress() {
	local what=$1 log=$2 start=$SECONDS pid status=0 last=0 detail
	shift 2
	echo "$what ..."
	# A process group of its own, so that all of it ends when the user ends us.
	set -m
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	set +m
	trap 'kill -TERM -- "-$pid" 2>/dev/null; wait "$pid" 2>/dev/null || :; exit 130' INT TERM HUP
	while kill -0 "$pid" 2>/dev/null; do
		sleep 0.2
		if [ $((SECONDS - start - last)) -ge "$progress_interval" ]; then
			last=$((SECONDS - start))
			detail=
			[ -z "$progress_detail" ] || detail=", $($progress_detail)"
			echo "$what: $(elapsed "$start")$detail"
		fi
	done
	wait "$pid" || status=$?
	trap - INT TERM HUP
	if [ "$status" != 0 ]; then
		echo "$what failed (status $status); the end of $log:" >&2
		tail -n 30 "$log" | sed 's/^/  /' >&2
		return "$status"
	fi
	if [ $((SECONDS - start)) -ge 2 ]; then
		echo "$what: done in $(elapsed "$start")"
	fi
}
