#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Builds everything, runs all tests, and adds up what they say.  The last line is
# "N passed, N failed, N skipped"; the status is 1 if anything failed.
#
#   check.sh [--all] [NAME...]	(NAME: part of a suite's path; default: every suite)
#
# A suite that took over 10 seconds and passed is not run again while the sources,
# the configuration, the packages and the machine are the same: its results are
# taken from that run, and the table says so.  --all runs it all the same.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tools/lib/progress.sh
. "$root/tools/lib/progress.sh"

slow_seconds=10
all=
names=()
for arg in "$@"; do
	case $arg in
	--all)	all=yes ;;
	-*)	echo "check: there is no option '$arg'; the only one is --all" >&2
		exit 2 ;;
	*)	names+=("$arg") ;;
	esac
done

start=$SECONDS
"$root/tools/build.sh" --for test --for guest || {
	echo "The build failed, so no test was run."
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
}
cd "$root/build"
logs=$root/build/logs
memory=$root/build/check
mkdir -p "$memory"

# All that a result can depend on; a change of any of it makes slow suites run.
fingerprint() {
	{
		(cd "$root" && {
			git ls-files -co --exclude-standard 2>/dev/null ||
				find . -path ./build -prune -o -type f -print
		} | grep -v '\.md$' | sort | tr '\n' '\0' | xargs -0 sha256sum 2>/dev/null)
		cat configured-with
		env | grep '^PLEX86_' | sort
		uname -rm
		sed -n '/^vendor_id\|^cpu family\|^model\|^flags/p; /^$/q' /proc/cpuinfo
		id -u
		grep '^CapEff' /proc/self/status
		cat /proc/sys/vm/max_map_count /proc/sys/kernel/yama/ptrace_scope 2>/dev/null
		for device in /dev/plex86 /dev/kvm; do
			[ ! -w $device ] || echo $device
		done
		awk '!/^#/ && NF { print $2 }' "$root/tools/packages" |
			xargs dpkg-query -W -f '${Package} ${Version}\n' 2>/dev/null
	} | sha256sum | cut -d ' ' -f 1
}

base() {
	echo "${1%.t}"
}

wanted() {
	local name
	[ "${#names[@]}" -gt 0 ] || return 0
	for name in "${names[@]}"; do
		case $1 in *"$name"*) return 0 ;; esac
	done
	return 1
}

# memory/NAME holds the fingerprint under which a suite passed, with nothing skipped that may
# be there the next time ("not now").
remembered() {
	local note
	note=$memory/$(tr / _ <<<"$1")
	[ -z "$all" ] && [ -e "$(base "$1").trs" ] &&
		[ "$(cat "$(base "$1").time" 2>/dev/null || echo 0)" -ge "$slow_seconds" ] &&
		[ "$(cat "$note" 2>/dev/null)" = "$print" ]
}

print=$(fingerprint)
suites=()
run=()
while read -r suite; do
	wanted "$suite" || continue
	suites+=("$suite")
	if ! remembered "$suite"; then
		run+=("$suite")
		rm -f "$(base "$suite")".{trs,time,log} "$memory/$(tr / _ <<<"$suite")"
	fi
done < <(make -s print-tests)

if [ "${#suites[@]}" = 0 ]; then
	echo "check: no suite has '${names[*]}' in its path; make -C build -s print-tests lists them" >&2
	exit 2
fi

finished() {
	local suite done=0
	for suite in "${run[@]}"; do
		[ ! -e "$(base "$suite").trs" ] || done=$((done + 1))
	done
	echo "$done of ${#run[@]} suites"
}

if [ "${#run[@]}" -gt 0 ]; then
	# shellcheck disable=SC2034 # read by progress
	progress_detail=finished
	# What failed is told below, suite by suite.
	progress "Testing" "$logs/check.log" make -k -j"$(nproc)" check TESTS="${run[*]}" \
		2>/dev/null || true
fi

# --- The sum ------------------------------------------------------------------

count() {
	grep -c -E "^:test-result: ($1)" "$2" || true
}

passed=0 failed=0 skipped=0
bad=()
printf '\n%-44s %7s %7s %7s %8s\n' suite passed failed skipped seconds
for suite in "${suites[@]}"; do
	trs=$(base "$suite").trs
	if [ ! -e "$trs" ]; then
		printf '%-44s did not run\n' "$suite"
		failed=$((failed + 1))
		bad+=("$suite")
		continue
	fi
	p=$(count 'PASS|XFAIL' "$trs") f=$(count 'FAIL|XPASS|ERROR' "$trs") s=$(count SKIP "$trs")
	note=
	[[ " ${run[*]} " == *" $suite "* ]] || note="  (of an earlier run; nothing has changed)"
	printf '%-44s %7d %7d %7d %8s%s\n' "$suite" "$p" "$f" "$s" \
		"$(cat "$(base "$suite").time" 2>/dev/null || echo -)" "$note"
	passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
	[ "$f" = 0 ] || bad+=("$suite")
	if [ "$f" -gt 0 ] || grep -q '# SKIP not now: ' "$(base "$suite").log" 2>/dev/null; then
		rm -f "$memory/$(tr / _ <<<"$suite")"
	else
		echo "$print" >"$memory/$(tr / _ <<<"$suite")"
	fi
done

skip_reasons() {
	local suite
	for suite in "${suites[@]}"; do
		sed -n "s|^ok .*# SKIP |$suite: |p; s|^1\.\.0 # SKIP |$suite: |p" \
			"$(base "$suite").log" 2>/dev/null
	done | sort | uniq -c | sort -rn
}
if [ "$skipped" -gt 0 ]; then
	echo
	echo "Skipped, and why:"
	skip_reasons
fi

# Each failed check with the diagnostics that follow it; without any, the end.
failures() {
	awk '/^(not )?ok |^1\.\./ { bad = /^not ok/ }
	     /^(PASS|FAIL|SKIP):/ { next }
	     /^ERROR:/ { print; next }
	     bad { print; n++ }
	     END { exit n == 0 }' "$1" >"$memory/failures" || tail -n 30 "$1" >"$memory/failures"
	head -n 60 "$memory/failures"
}

for suite in "${bad[@]}"; do
	log=$(base "$suite").log
	echo
	if [ -e "$log" ]; then
		echo "--- $suite failed; from build/$log:"
		failures "$log"
	else
		echo "--- $suite did not run; the end of build/logs/check.log:"
		tail -n 30 "$logs/check.log"
	fi
done

echo
echo "Took $(elapsed "$start"). Logs: build/logs, and build/SUITE.log for each suite."
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" = 0 ]
