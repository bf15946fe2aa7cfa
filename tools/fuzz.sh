#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# ./quickstart fuzz: random user code in plain Bochs and accelerated, compared.
# The last line is "N cases, D differences (E explained)"; the status is 1 if any
# is not explained.
#
#   fuzz.sh N [SEED] [engine=NAME] [from=BLOCK] [kind=random]	N cases
#   fuzz.sh only=ID [SEED] [engine=NAME]	one case, in full
#
# Cases come in blocks, each of one kind of code, so that a number and a seed name
# a case.  With kind=random all are of random bytes.  What differs and is not
# explained is in build/fuzz/unexplained, and one case of each explanation that was
# needed in build/fuzz/examples.
#
# BUILD: a build folder to use as it is.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tools/lib/progress.sh
. "$root/tools/lib/progress.sh"

usage() {
	echo "usage: ./quickstart fuzz N|only=CASE [SEED] [engine=process|driver] [from=BLOCK] [kind=random]" >&2
	exit 2
}

number() {
	case $1 in
	'' | *[!0-9]*) usage ;;
	esac
	echo "$1"
}

engine=process only='' block=0 kind=''
numbers=()
for arg in "$@"; do
	case $arg in
	engine=*) engine=${arg#*=} ;;
	only=*)	only=$(number "${arg#*=}") ;;
	from=*)	block=$(number "${arg#*=}") ;;
	kind=random) kind=random ;;
	*)	numbers+=("$(number "$arg")") ;;
	esac
done
if [ -n "$only" ]; then
	numbers=(1 ${numbers[@]+"${numbers[@]}"})
fi
[ "${#numbers[@]}" -ge 1 ] && [ "${#numbers[@]}" -le 2 ] || usage
total=${numbers[0]}
seed=${numbers[1]-1}

[ -n "${BUILD-}" ] || "$root/tools/build.sh" --for test
build=${BUILD-$root/build}
make -s -C "$build" guest-images

block_size=16384
kind_of() {		# kind_of BLOCK: options of chunk
	local turn=$(($1 / 6 % 3))
	local wide=(code64 compat pae) narrow=(pae p32 pse)
	if [ "$kind" = random ]; then
		echo "-r -k ${wide[$1 % 3]}"
		return
	fi
	case $(($1 % 6)) in
	3)	echo -k compat ;;
	4)	echo "-k ${narrow[turn]}" ;;
	5)	echo "-r -k ${wide[turn]}" ;;
	*)	echo -k code64 ;;
	esac
}

out=$build/fuzz
rm -rf "$out"
mkdir -p "$out"
: >"$out/unexplained"
: >"$out/classes"

# Puts a report's cases where they belong: all that is not explained, and the first
# one of each explanation.
sort_cases() {
	awk -v out="$out" '
	BEGIN { while ((getline line < (out "/examples")) > 0) seen[line] = 1 }
	/^explained: / { why = substr($0, 12); print why >>(out "/classes"); next }
	/^sum: / { exit }
	/^case / {
		to = why == "" ? "unexplained" : why in seen ? "" : "examples"
		if (to == "examples")
			print "\n" why >>(out "/examples")
		seen[why] = 1
		why = ""
	}
	to != "" { print >>(out "/" to) }'
}

chunk() {		# chunk BLOCK OPTIONS...: adds to the sums
	local cases d e a n
	# shellcheck disable=SC2046 # several options
	read -r cases d e a n < <("$root/tools/fuzz/chunk" -b "$build" -e "$engine" -s "$seed" \
		$(kind_of "$1") "${@:2}" "$out/chunk") || {
		echo "fuzz: a run failed; see build/fuzz/chunk" >&2
		exit 2
	}
	done=$((done + cases)) differences=$((differences + d)) explained=$((explained + e))
	asked=$((asked + a)) native=$((native + n))
	sort_cases <"$out/chunk/report"
}

done=0 differences=0 explained=0 asked=0 native=0
start=$SECONDS
if [ -n "$only" ]; then
	chunk $((only / block_size)) -a -f "$only" -n 1
	cat "$out/chunk/report"
else
	# A short run, too, has all kinds of code.
	take=$(((total + 5) / 6))
	[ "$take" -le $block_size ] || take=$block_size
	while [ "$done" -lt "$total" ]; do
		left=$((total - done))
		chunk "$block" -a -f $((block * block_size)) -n $((left < take ? left : take))
		block=$((block + 1))
		echo "$done of $total cases, $differences differences ($explained explained)," \
			"$(elapsed "$start")"
	done
	echo
	sort "$out/classes" | uniq -c | sort -rn
fi
if [ -s "$out/unexplained" ] && [ -z "$only" ]; then
	echo
	head -n 200 "$out/unexplained"
	echo "All that is not explained is in build/fuzz/unexplained."
fi
echo
echo "Natively: $native of $asked entries to user code"
echo "$done cases, $differences differences ($explained explained)"
[ "$differences" = "$explained" ]
