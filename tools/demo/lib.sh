# SPDX-License-Identifier: LGPL-2.1-or-later
# What the demo's scripts share: jobs, and what a run said.  Sourced; bash.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../guest/lib.sh"

# Makes the job folder DIR: the workloads NAMES (all of the plan when empty), with
# the sizes of PLAN (the demo's) for this guest divided by DIVISOR; or, if that is "long",
# those that have a fifth column, so many times as large.
make_job() {	# make_job GUEST DIR DIVISOR|long [NAME,NAME... [PLAN]]
	rm -rf "$2"
	cp -r "$TOP/tools/demo/job" "$2"
	awk -v guest="$1" -v divisor="$3" -v only=",${4:-}," '
		/^#/ || !NF || (divisor == "long" && NF < 5) { next }
		only != ",," && !index(only, "," $1 ",") { next }
		{
			size = $(guest == "amd64" ? 3 : 4)
			size = divisor == "long" ? size * $5 : int(size / divisor)
			print $1, size ? size : 1
		}
	' "${5:-$TOP/tools/demo/plan}" >"$2/plan"
}

# Stops if a workload is not in PLAN (the demo's); ALSO are words for those that are in none.
check_workloads() {	# check_workloads NAME,NAME... [PLAN [ALSO]]
	local name plan=${2:-$TOP/tools/demo/plan}
	for name in ${1//,/ }; do
		[[ " ${3-} " = *" $name "* ]] || grep -q "^${name}[[:space:]]" "$plan" ||
			die "there is no workload '$name'; there are:" \
				"${3-}$(awk '!/^#/ && NF { printf " %s", $1 }' "$plan")"
	done
}

# Did user code run natively in that run?  A host may have no 32-bit code.
ran_natively() {	# ran_natively GUEST STATS-FILE
	grep -q '"native_slices": *[1-9]' "$2" ||
		{ [ "$1" = i386 ] && ! "$BUILD/tools/engines" | grep -q '32-bit guests'; }
}

# All results in a file that watch wrote, without times: what must be the same
# whoever computes it.
results() {
	sed -n 's/^[^	]*	\(= .*\|@ stop .*\)/\1/p' "$1"
}

# "WORKLOAD STATUS" for each that failed in one run.
failures() {	# failures FILE
	results "$1" | awk '$1 == "@" && $2 == "stop" && $4 != "0" { print $3, $4 }'
}

# "GUEST KIND WORKLOAD SECONDS" for all that one run measured; with STATUS, only for what ended
# with it: how long a program took that failed says nothing.  A login is measured from power on to
# its prompt; what comes after that is the shell's report of how it went.
times() {	# times FILE GUEST KIND [STATUS]
	awk -F '\t' -v guest="$2" -v kind="$3" -v status="${4-}" '
		{ split($2, w, " ") }
		w[1] == "@" && w[2] == "init" && kind !~ /native|long/ { print guest, kind, "boot", $1 }
		$2 ~ /^[^ ]+ login: / && prompt == "" { prompt = $1 }
		w[1] == "@" && w[2] == "start" { began[w[3]] = $1 }
		w[1] == "@" && w[2] == "stop" && (status == "" || w[4] "" == status "") {
			if (w[3] != "login") print guest, kind, w[3], $1 - began[w[3]]
			else if (prompt != "") print guest, kind, "login", prompt
		}
	' "$1"
}

# Runs a command so that a signal's trap runs at once and not after it; the trap
# is end_child.  Ctrl-C and kill, even kill -9, then leave nothing behind (but for kill -9 of
# bench/run --together).
child=''
end_child() {
	trap - INT TERM HUP
	[ -z "$child" ] || kill "$child" 2>/dev/null || true
	wait 2>/dev/null || true
	exit 130
}
attend() {
	local status=0
	setpriv --pdeathsig TERM -- "$@" &
	child=$!
	wait "$child" || status=$?
	child=''
	[ "$status" != 130 ] || end_child
	return "$status"
}
