#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The bench's arithmetic: from the seconds of each run to medians, ratios, rows of
# JSON, a comparison and a drawing.  Nothing is timed here.
set -u
. "$top_srcdir/tests/tap.sh"

bench=$top_srcdir/bench
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# report EXECUTORS: table and old.json of the file times.
report() {
	awk -v identical=true -v json=rows.json -v executors="$1" -v about='"date": "now"' \
		-f "$bench/report.awk" times "$bench/plan" >table && echo "}" >>rows.json
}

cat >./times <<'END'
amd64 plain sha 4.0
amd64 process sha 1.5
amd64 plain sha 9.0
amd64 process sha 1.0
amd64 plain sha 5.0
amd64 process sha 0.5
amd64 plain sys 2.0
amd64 plain sys 3.0
amd64 process sys 5.0
amd64 process sys 5.0
i386 plain boot 1.0
END
tap "a table is made" report "plain process"
tap_is "medians of odd and even numbers of runs" \
	"$("$bench/rows" rows.json | awk '{ print $1, $2, $3, $4, $5, $6, $7, $8 }')" \
	"amd64 sha user plain 5.0000 4.0000 9.0000 3
amd64 sha user process 1.0000 0.5000 1.5000 3
amd64 sys kernel plain 2.5000 2.0000 3.0000 2
amd64 sys kernel process 5.0000 5.0000 5.0000 2
i386 boot kernel plain 1.0000 1.0000 1.0000 1"
tap_is "ratios" "$(awk '$2 == "sha" || $2 == "sys" { print $2, $NF }' table)" "sha 5.00
sys 0.50"
tap_is "the geometric mean of both" \
	"$(sed -n 's/^amd64 *geometric mean, all *//p' table)" "1.58"
tap_is "the worst" "$(sed -n 's/^amd64 *worst *//p' table)" "sys 0.50"
tap_is "brackets are balanced" "$(tr -cd '[{' <rows.json | wc -c)" "$(tr -cd ']}' <rows.json | wc -c)"
if command -v python3 >/dev/null; then
	tap "it is JSON" python3 -m json.tool rows.json /dev/null
else
	tap_skip "it is JSON" "there is no python3 to ask"
fi

mv rows.json old.json
sed 's/process sha.*/process sha 0.4/; s/process sys.*/process sys 4.9/' times >new
mv new times
report "plain process"
"$bench/compare" old.json rows.json >compared
tap_is "what is clearly faster is marked" \
	"$(awk '$2 == "sha" && $3 == "process" { print $6, $7, $8 }' compared)" "2.50 faster 2.50"
tap_is "what differs by less than 3 % is not" \
	"$(awk '$2 == "sys" && $3 == "process" { print $6, $7 }' compared)" "1.02 1.02"
tap_is "executors can be chosen" \
	"$("$bench/compare" old.json rows.json plain | grep -c 'sha *process')" 0
sed -i 's/"runs": 3/"runs": 1/' rows.json
tap_is "a single run proves nothing" \
	"$("$bench/compare" old.json rows.json | awk '$2 == "sha" && $3 == "process" { print $7 }')" "2.50"

tap "a drawing is made" bash -c "'$bench/plot' old.json >plot.svg"
tap_is "with a bar for each pair that can be compared" \
	"$(grep -c '<title>s[hy][as]* process: ' plot.svg)" 2
tap_is "and an end" "$(tail -n 1 plot.svg)" "</svg>"

refused() {
	! "$bench/rows" "$@" 2>/dev/null
}
echo '{}' >empty.json
tap "a file that is no report is refused" refused empty.json
tap "and one that is not there" refused nowhere.json

failed_in() {	# failed_in REPORT
	grep -o '"failed": [^]]*]' "$1"
}

# What the runs of a whole bench said; the long ones have no run in plain Bochs.
bench_ran() {	# bench_ran GUEST-EXECUTOR-RUN SECONDS RESULT [STATUS]
	mkdir -p "bench/runs/$1"
	printf '%s\t@ init x86_64\n%s\t@ start sha\n%s\t@ stop sha %s\n%s\t= sha %s\n' \
		7 10 $((10 + $2)) "${4:-0}" 99 "$3" >"bench/runs/$1/said"
	[[ $1 != *-process-* ]] || echo '{ "engine": "process", "native_slices": 7 }' >"bench/runs/$1/stats.json"
}
bench_report() {
	"$bench/report" bench "native plain process" model >said
}
bench_ran amd64-native-1 1 abc
bench_ran amd64-plain-1 8 abc
bench_ran amd64-process-1 2 abc
bench_ran amd64-long-native-1 9 long
bench_ran amd64-long-process-1 10 long
tap "the bench has a report" bench_report
tap_is "with long runs as workloads of their own, which boot nothing" \
	"$("$bench/rows" bench/report.json | awk '{ print $2, $3, $4, $5 }')" "sha user native 1.0000
sha user plain 8.0000
sha user process 2.0000
sha-long user native 9.0000
sha-long user process 10.0000
boot kernel plain 7.0000
boot kernel process 7.0000"
tap_is "and a mean of their own" "$(sed -n 's/^amd64 *geometric mean, long *//p' said)" \
	"-            0.90"
tap_is "which have no second vote in that of all" \
	"$(awk '/geometric mean, all/ { print $5, $6 } $2 == "worst" { print $3, $4, $5, $6 }' said)" "2.00 0.50
boot 1.00 sha 0.50"
tap_is "and are marked as long" "$(grep -c '"workload": "sha-long",.* "long": true' bench/report.json)" 2
tap_is "like nothing else" "$(grep -c '"long"' bench/report.json)" 2
bench_ran amd64-long-process-1 10 wrong
tap_is "a long run that says something else than the host is an error" \
	"$(bench_report; echo $?)" 1
bench_ran amd64-long-process-1 10 long 139
bench_ran amd64-long-native-1 10 long 139
tap_is "and so is one that failed" "$(bench_report; echo $?)" 1
rm -r bench/runs/amd64-long-native-1
bench_ran amd64-long-process-1 10 long
tap "where the host can't run them, there is nothing to compare long runs with" bench_report
for run in amd64-process-1 amd64-long-process-1; do
	sed -i 's/7/0/' "bench/runs/$run/stats.json"
	tap_is "an engine that runs nothing natively is no success: $run" "$(bench_report; echo $?)" 1
	tap "and is named: $run" grep -q "^amd64 process ran nothing natively, .*/$run$" said
	sed -i 's/0/7/' "bench/runs/$run/stats.json"
done
rm bench/runs/amd64-process-1/stats.json
tap_is "nor is one without statistics" "$(bench_report; echo $?)" 1
sed -i 's/sha/sys/' bench/runs/amd64-{process,plain,native}-1/said
tap "but one that had the kernel's work only" bench_report
mv bench/runs/amd64-process-1 bench/runs/amd64-process-1.failed
tap_is "a run that did not come to its end is no success" "$(bench_report; echo $?)" 1
tap "and is named" grep -q "^amd64-process-1.failed: this run failed" said
tap "in the JSON, too" grep -q '"failed": \["amd64-process-1"' bench/report.json

# The login guest: from power on to its prompt, not to what root's shell says after it.
login_ran() {	# login_ran EXECUTOR PROMPT-SECONDS|- STATUS|- [STATE]
	local dir=bench/runs/amd64-login-$1
	mkdir -p "$dir"
	{
		printf '2\tDebian GNU/Linux 12 debian ttyS1\n'
		[ "$2" = - ] || printf '%s\tdebian login: root (automatic login)\n' "$2"
		printf '95\t= login x86_64 root active %s\n' "${4-running}"
		[ "$3" = - ] || printf '96\t@ stop login %s\n' "$3"
		printf '97\t@ end\n'
	} >"$dir/said"
	[[ $1 != process-* ]] || echo '{ "engine": "process", "native_slices": 7 }' >"$dir/stats.json"
}
login_says() {
	"$bench/rows" bench/report.json | awk '{ print $1, $2, $3, $4, $5, $8 }'
}
rm -r bench
login_ran plain-1 40.5 0
login_ran process-1 20.25 0
tap "logins alone have a report" bench_report
tap_is "with the seconds to the prompt" "$(login_says)" "amd64 login mixed plain 40.5000 1
amd64 login mixed process 20.2500 1"
tap_is "which count as mixed work" "$(sed -n 's/^amd64 *geometric mean, mixed *//p' said)" "2.00               -"
sed -i 's/7/0/' bench/runs/amd64-login-process-1/stats.json
tap_is "an engine that ran nothing of a boot is no success" "$(bench_report; echo $?)" 1
tap "and is named" grep -q '^amd64 process ran nothing natively, .*/amd64-login-process-1$' said
login_ran process-1 - 0
tap_is "a guest without a prompt is an error" "$(bench_report; echo $?)" 1
tap_is "and is named" "$(failed_in bench/report.json)" '"failed": ["amd64-login-process-1 login none"]'
tap_is "and has no row" "$(login_says)" "amd64 login mixed plain 40.5000 1"
login_ran process-1 20.25 -
tap_is "so is one whose shell did not get so far" "$(bench_report; echo $?)" 1
login_ran process-1 20.25 1 degraded
login_ran plain-1 40.5 1 degraded
tap_is "and one in which a unit failed, though it did so everywhere" "$(bench_report; echo $?)" 1
tap_is "which is named, too" "$(failed_in bench/report.json)" \
	'"failed": ["amd64-login-plain-1 login 1", "amd64-login-process-1 login 1"]'
login_ran plain-1 40.5 0
login_ran process-1 20.25 0 starting
tap_is "and one that said something else" "$(bench_report; echo $?)" 1
login_ran process-1 20.25 0
bench_ran amd64-plain-1 8 abc
bench_ran amd64-process-1 2 abc
tap "beside the other guest" bench_report
tap_is "each has its rows" "$(login_says | awk '{ print $2, $4, $5 }')" "sha plain 8.0000
sha process 2.0000
boot plain 7.0000
boot process 7.0000
login plain 40.5000
login process 20.2500"

# A program that can't be started fails alike everywhere, and fast.
rm -r bench
for run in native-1 plain-1 process-1; do
	bench_ran "amd64-$run" 0 none 127
done
bench_ran amd64-plain-2 8 abc
tap_is "what fails under all executors alike is an error" "$(bench_report; echo $?)" 1
tap_is "and is named in the JSON" "$(failed_in bench/report.json)" \
	'"failed": ["amd64-native-1 sha 127", "amd64-plain-1 sha 127", "amd64-process-1 sha 127"]'
tap_is "its seconds are nowhere" "$("$bench/rows" bench/report.json | awk '$2 == "sha" { print $4, $5, $8 }')" \
	"plain 8.0000 1"
"$bench/compare" old.json bench/report.json >compared
tap "who compares reports is told" grep -q '^bench/report.json is without what failed: "amd64-native-1 ' compared
tap_is "of this one only" "$(grep -c 'is without' compared)" 1
rm -r bench
bench_ran amd64-native-1 1 abc
bench_ran amd64-process-1 2 abc
tap "nothing fails" bench_report
tap_is "and the list is empty" "$(failed_in bench/report.json)" '"failed": []'
tap_is "a drawing that can't be made is not promised" "$(tail -n 1 said)" "bench/report.txt, report.json"
echo "status 1, no memory" >bench/runs/exit-costs.failed
tap_is "a table of exits that could not be made is an error" "$(bench_report; echo $?)" 1
tap "with its reason" grep -q '^What exits cost could not be measured (status 1, no memory)$' said
tap_is "but the guests said the same" "$(grep -o '"output_identical": [^ ]* "failed": [^]]*]' bench/report.json)" \
	'"output_identical": true, "failed": ["exit-costs"]'

# The demo's report, from what its runs said; a workload that was slow in the first boot
# has two more of both kinds, of it alone.
ran() {		# ran KIND-RUN NAME:SECONDS:RESULT...
	local dir=demo/amd64-$1 at=10 work name seconds result
	mkdir -p "$dir"
	shift
	{
		printf '%s\t@ init x86_64\n' "$at"
		for work; do
			IFS=: read -r name seconds result <<<"$work"
			printf '%s\t@ start %s\n' "$at" "$name"
			at=$((at + seconds))
			printf '%s\t@ stop %s 0\n%s\t= %s %s\n' "$at" "$name" "$at" "$name" "$result"
		done
	} >"$dir/said"
	echo '{ "engine": "process", "native_slices": 7 }' >"$dir/stats.json"
}
ran plain-1 sha:40:abc fork:4:good
ran accelerated-1 sha:2:abc fork:8:good
demo_says_of_engine() {
	"$top_srcdir/tools/demo/report" demo 2>&1 | grep '^amd64: .*engine'
}
tap "the demo has a report" "$top_srcdir/tools/demo/report" demo
tap_is "which does not mention an engine that ran something natively" "$(demo_says_of_engine)" ""
sed -i 's/7/0/' demo/amd64-accelerated-1/stats.json
tap_is "but one that did not" "$(demo_says_of_engine)" \
	"amd64: the engine process ran nothing natively in demo/amd64-accelerated-1, which was plain Bochs too"
sed -i 's/process/none/' demo/amd64-accelerated-1/stats.json
tap_is "or none at all" "$(demo_says_of_engine)" "amd64: no engine works here, so 'accelerated' was plain Bochs too"
ran accelerated-1 sha:2:abc fork:8:good
tap_is "with one run's ratios" "$(grep -o '"plain_s": [0-9.]*, "accelerated_s": [0-9.]*' demo/report.json)" \
	'"plain_s": 40.000, "accelerated_s": 2.000
"plain_s": 4.000, "accelerated_s": 8.000
"plain_s": 10.000, "accelerated_s": 10.000'
ran long-1 sha:10:long
ran longnative sha:8:long
mv demo/amd64-longnative/said demo/amd64-longnative-1.said
rm -r demo/amd64-longnative
ran native sha:1:abc fork:1:good
mv demo/amd64-native/said demo/amd64-native-1.said
rm -r demo/amd64-native
tap "with longer runs of some" bash -c "'$top_srcdir/tools/demo/report' demo >said"
tap_is "whose share of native speed it shows, and that of the short ones where there are none" \
	"$(awk '$2 == "sha" || $2 == "fork" { print $2, $4, $5, $7, $8 }' said)" "sha 40.00 2.00 1.000 0.80
fork 4.00 8.00 1.000 0.12"
tap_is "and their seconds" "$(grep -o '"native_s": [^}]*' demo/report.json)" \
	'"native_s": 1.000, "long_accelerated_s": 10.000, "long_native_s": 8.000
"native_s": 1.000
"native_s": null'
tap "and it says which have one" grep -q 'latter for sha in' said
ran long-1 sha:10:wrong
tap_is "a long run that says something else than the host is an error" \
	"$("$top_srcdir/tools/demo/report" demo >said 2>&1; echo $?)" 1
ran long-1 sha:10:long
sed -i 's/stop sha 0/stop sha 139/' demo/amd64-long-1/said demo/amd64-longnative-1.said
tap_is "and so is one that failed" "$("$top_srcdir/tools/demo/report" demo >said 2>&1; echo $?)" 1
tap_is "which is named in the JSON" "$(failed_in demo/report.json)" \
	'"failed": ["amd64-long-1 sha 139", "amd64-longnative-1 sha 139"]'
tap_is "and has no seconds" "$(grep -c 'long_native_s' demo/report.json)" 0
rm -r demo/amd64-long-1 demo/amd64-longnative-1.said
ran plain-2 fork:4:good
ran accelerated-2 fork:5:good
ran plain-3 fork:3:good
ran accelerated-3 fork:4:good
tap "with more runs of one workload, too" "$top_srcdir/tools/demo/report" demo
tap_is "of which it takes the medians" \
	"$(grep '"fork"' demo/report.json | grep -o '"plain_s": [0-9.]*, "accelerated_s": [0-9.]*')" \
	'"plain_s": 4.000, "accelerated_s": 5.000'
"$top_srcdir/tools/demo/report" demo >said
tap_is "and says of how many" "$(grep -o '"workload": "[a-z]*"\|"runs": [0-9]*' demo/report.json | paste -sd' ')" \
	'"workload": "sha" "runs": 1 "workload": "fork" "runs": 3 "workload": "boot" "runs": 3'
tap_is "in the table, too" "$(grep -c 'median of 3$' said)" 2
tap "and why" grep -q '^median of: there were more runs' said
ran plain-4
ran accelerated-4
tap "and with some that only booted" "$top_srcdir/tools/demo/report" demo
ran accelerated-3 fork:4:bad
tap_is "a different word in one of them is an error" \
	"$("$top_srcdir/tools/demo/report" demo >said 2>&1; echo $?)" 1
ran accelerated-3 fork:4:good
ran plain-3 fork:3:bad
tap_is "in plain Bochs, too" "$("$top_srcdir/tools/demo/report" demo >said 2>&1; echo $?)" 1

# --- Runs in pairs ---------------------------------------------------------------

# Both slow down and speed up together; some runs have no partner.
cat >./times <<'END'
amd64 plain sys 1.8 1
amd64 plain sys 0.9 2
amd64 plain sys 3.6 3
amd64 process sys 2.0 1
amd64 process sys 4.0 3
amd64 process sys 1.0 2
amd64 process fork 1.0 1
amd64 plain fork 1.0 2
END
report "plain process"
tap "apart: by the medians" grep -Eq '^amd64   sys .* 0.90$' table
sed -i '/process sys 2.0/d' times
report "plain process"
tap "which a run that failed moves" grep -Eq '^amd64   sys .* 0.72$' table
awk -v identical=true -v json=rows.json -v executors="plain process" -v about='"date": "now"' -v paired=together \
	-f "$bench/report.awk" times "$bench/plan" >table
tap "in pairs: by those that there are" grep -Eq '^amd64   sys .* 0.90   0%$' table
sed -i 's/process sys 4.0 3/process sys 3.2 3/' times
awk -v identical=true -v json=rows.json -v executors="plain process" -v about='"date": "now"' -v paired=together \
	-f "$bench/report.awk" times "$bench/plan" >table
tap "the spread of pairs is in parts of their mean" grep -Eq '^amd64   sys .* 1.01  22%$' table
tap "and none where there is no pair" grep -Eq '^amd64   fork .* -$' table

tap_done
