# SPDX-License-Identifier: LGPL-2.1-or-later
#
# TAP for shell tests; the counterpart of tap.h.  Sourced by bash scripts, which
# end with tap_done.
#
#   tap NAME COMMAND ARGS...	one check: passes if COMMAND returns 0; its output
#				is shown as diagnostics if it doesn't
#   tap_skip NAME REASON	one check that can't be made here
#   tap_skip_all REASON		none of this file's checks can be made here
#				(a REASON "not now: ..." may be gone the next time)
#   tap_is NAME GOT WANT	one check: equal strings

tap_count=0
tap_failed=0

tap_result() {
	tap_count=$((tap_count + 1))
	if [ "$1" = 0 ]; then
		echo "ok $tap_count - $2"
	else
		tap_failed=$((tap_failed + 1))
		echo "not ok $tap_count - $2"
	fi
}

tap_diag() {
	sed 's/^/# /'
}

tap() {
	local name=$1 status=0 out
	shift
	out=$("$@" 2>&1) || status=$?
	tap_result "$status" "$name"
	[ "$status" = 0 ] || tap_diag <<<"$out"
}

tap_is() {
	local status=0
	[ "$2" = "$3" ] || status=1
	tap_result "$status" "$1"
	[ "$status" = 0 ] || printf 'got:\n%s\nwant:\n%s\n' "$2" "$3" | tap_diag
}

tap_skip() {
	tap_count=$((tap_count + 1))
	echo "ok $tap_count - $1 # SKIP $2"
}

tap_skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}

tap_done() {
	echo "1..$tap_count"
	exit $((tap_failed > 0))
}
