#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# ./quickstart fuzz: random user code in plain Bochs and accelerated, compared.
# The last line is "N cases, D differences (E explained)"; the status is 1 if any
# is not explained, or if nothing ran natively where something should have.
#
#   fuzz.sh N [SEED] [engine=NAME] [model=NAME] [from=BLOCK] [kind=random|code16] [insn=LIST]	N cases
#   fuzz.sh only=ID [SEED] [engine=NAME] [model=NAME]	one case, in full
#
# Cases come in blocks, each of one kind of code, so that a number and a seed name
# a case.  With kind=random all are of random bytes, with kind=code16 of 16-bit code (a third random bytes),
# which the others have none of, and engine=driver alone runs.  What differs and is not
# explained is in build/fuzz/unexplained, and one case of each explanation that was
# needed in build/fuzz/examples.
#
# insn: only these instructions, named as in the table (tools/fuzz/known): insn='vrange*,isa=sha'.
#
# model: of the guest's CPU (default: one of the host's vendor, without AVX-512).
#
# engine=driver uses plex86.ko if /dev/plex86 can be opened here, and otherwise the host
# that QEMU emulates (tests/kmod/hosted).
#
# BUILD: a build folder to use as it is.  FUZZ_OUT: where the results go (BUILD/fuzz).
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tools/lib/progress.sh
. "$root/tools/lib/progress.sh"
# shellcheck source=tools/lib/model.sh
. "$root/tools/lib/model.sh"
# shellcheck source=tools/lib/driver.sh
. "$root/tools/lib/driver.sh"

usage() {
	echo "usage: ./quickstart fuzz N|only=CASE [SEED] [engine=process|driver] [model=NAME] [from=BLOCK] [kind=random|code16] [insn=LIST]" >&2
	exit 2
}

number() {
	case $1 in
	'' | *[!0-9]*) usage ;;
	esac
	echo "$((10#$1))"	# 08 is no octal one
}

engine=process only='' block=0 kind='' model='' options=()
numbers=()
for arg in "$@"; do
	case $arg in
	engine=process | engine=driver) engine=${arg#*=} ;;
	insn=*) options+=(-i "${arg#*=}") ;;
	model=*) model=${arg#*=} options+=(-c "${arg#*=}") ;;
	only=*)	only=$(number "${arg#*=}") ;;
	from=*)	block=$(number "${arg#*=}") ;;
	kind=random | kind=code16) kind=${arg#*=} ;;
	*)	numbers+=("$(number "$arg")") ;;
	esac
done
if [ -n "$only" ]; then
	numbers=(1 ${numbers[@]+"${numbers[@]}"})
fi
[ "${#numbers[@]}" -ge 1 ] && [ "${#numbers[@]}" -le 2 ] || usage
total=${numbers[0]}
[ "$total" -gt 0 ] || { echo "fuzz: no cases prove nothing; how many?" >&2; exit 2; }
seed=${numbers[1]-1}
if [ "$kind" = code16 ] && [ "$engine" = process ]; then
	echo "fuzz: engine process has no segments but flat ones, so none of 16-bit code would run natively; add engine=driver" >&2
	exit 2
fi

[ -n "${BUILD-}" ] || "$root/tools/build.sh" --for test
build=${BUILD-$root/build}
make -s -C "$build" guest-images
only_64=
if [ ! -e "$build/tests/guest/tk32.img" ]; then
	only_64=yes
	echo "No 32-bit test kernel (the compiler can't make it: gcc-multilib); only 64-bit ones run."
fi

# An emulated host takes a while to boot: six blocks at a time.
together=1 block_max=16384
if [ "$engine" = driver ] && ! driver_here; then
	why=$("$root/tests/kmod/hosted" -n) || {
		echo "fuzz: there is no /dev/plex86 to use, and no emulated host: $why" >&2
		exit 2
	}
	together=6 block_max=8192 options+=(-E)
fi

block_size=16384
kind_of() {		# kind_of BLOCK
	local turn=$(($1 / 6 % 3))
	local wide=(code64 compat pae) narrow=(pae p32 pse) narrow16=(compat16 pae16 compat16:random)
	if [ -n "$only_64" ]; then
		wide=(code64 compat code64) narrow=(compat compat compat) narrow16=(compat16 compat16 compat16:random)
	fi
	case $kind in
	random)	echo "${wide[$1 % 3]}:random"; return ;;
	code16)	echo "${narrow16[$1 % 3]}"; return ;;
	esac
	case $(($1 % 6)) in
	3)	echo compat ;;
	4)	echo "${narrow[turn]}" ;;
	5)	echo "${wide[turn]}:random" ;;
	*)	echo code64 ;;
	esac
}

out=${FUZZ_OUT-$build/fuzz}
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
	/^case / {
		to = why == "" ? "unexplained" : why in seen ? "" : "examples"
		if (to == "examples")
			print "\n" why >>(out "/examples")
		seen[why] = 1
		why = ""
	}
	to != "" { print >>(out "/" to) }'
}

chunk() {		# chunk BLOCK...: adds to the sums
	local cases d e a n
	read -r cases d e a n < <("$root/tools/fuzz/chunk" -b "$build" -e "$engine" -s "$seed" -a \
		${options[@]+"${options[@]}"} "$out/chunk" "$@") || {
		echo "fuzz: a run failed; see $out/chunk" >&2
		exit 2
	}
	done=$((done + cases)) differences=$((differences + d)) explained=$((explained + e))
	asked=$((asked + a)) native=$((native + n))
	sort_cases <"$out/chunk/report"
}

# Why Bochs may have had to execute all of it; nothing if there is no reason.
all_for_bochs() {
	if [ "$done" -lt 20 ]; then
		echo "so few cases may all be for Bochs to execute"
		return
	fi
	# Nor has the CPU that QEMU emulates.
	model_has_avx512 "$model" || return 0
	[ "$together" = 1 ] && grep -q -m 1 '^flags.* avx512f' /proc/cpuinfo ||
		echo "the guest's CPU has AVX-512, and the host's has not"
}

done=0 differences=0 explained=0 asked=0 native=0
start=$SECONDS
if [ -n "$only" ]; then
	chunk "$only:1:$(kind_of $((only / block_size)))"
	cat "$out/chunk/report"
else
	# A short run, too, has all kinds of code.
	take=$(((total + 5) / 6))
	[ "$take" -le $block_max ] || take=$block_max
	left=$total
	while [ "$left" -gt 0 ]; do
		blocks=()
		while [ "$left" -gt 0 ] && [ "${#blocks[@]}" -lt $together ]; do
			n=$((left < take ? left : take))
			blocks+=("$((block * block_size)):$n:$(kind_of "$block")")
			block=$((block + 1)) left=$((left - n))
		done
		chunk "${blocks[@]}"
		echo "$done of $total cases, $differences differences ($explained explained)," \
			"$(elapsed "$start")"
	done
	echo
	sort "$out/classes" | uniq -c | sort -rn
fi
if [ -s "$out/unexplained" ] && [ -z "$only" ]; then
	echo
	head -n 200 "$out/unexplained"
	echo "All that is not explained is in $out/unexplained."
fi
echo
echo "Natively: $native of $asked entries to user code"
failed=
if [ "$native" = 0 ]; then
	why=$(all_for_bochs)
	if [ -n "$why" ]; then
		echo "Plain Bochs was compared with itself: $why."
	else
		failed=yes
		echo "NOTHING RAN NATIVELY, so plain Bochs was compared with itself."
	fi
fi
echo "$done cases, $differences differences ($explained explained)"
[ "$differences" = "$explained" ] && [ -z "$failed" ]
