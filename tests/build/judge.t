#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What judges the long runs that "make check" has not (suites, fuzz, check-verify), given runs
# that are made up: what it must refuse, it refuses, and for that reason.  In a copy of the
# scripts, where all that builds, boots or opens an engine is a stand-in.
set -u
. "$top_srcdir/tests/tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
top=$work/top
# A folder's name may have anything in it.
export BUILD=$work/it\'s ENGINES=$work/engines BOOTS=$work/boots
suites=$BUILD/suites
mkdir -p "$top"/{tests/kmod,tests/suites/own,tests/verify,tools/guest,tools/fuzz} "$BUILD"/{tools,tests/guest} "$suites" "$BOOTS"
cp -r "$top_srcdir"/tools/{demo,lib,fuzz.sh} "$top/tools/"
cp "$top_srcdir/tools/guest/lib.sh" "$top/tools/guest/"
cp -r "$top_srcdir"/tests/suites/{run,report,compare.awk,normalise,mkdisk,lib.sh,job} "$top/tests/suites/"
cp "$top_srcdir/tests/verify/guests" "$top/tests/verify/"
cp "$top_srcdir/tests/tap.sh" "$top/tests/"

stand_in() {	# stand_in FILE: a script from stdin
	{
		echo '#!/bin/bash'
		cat
	} >"$1"
	chmod +x "$1"
}
stand_in "$BUILD/tools/engines" <<<'cat "$ENGINES"'
engines() {	# engines TEXT: of one that works here
	printf 'engine driver: not here: no module\nengine process: works here\n  can do: %s\n' "$1" >"$ENGINES"
}
engines "32-bit guests, CPUID traps"

# --- Suites: the report ----------------------------------------------------------

printf 'own\tamd64\tknown\t^known \tit is known\nown\ti386\tknown\t^(exit 2$|known )\tit is known\n' \
	>"$top/tests/suites/explained"

words() {	# words NAME:STATUS[:LINE,LINE...]...: what a guest says that runs these
	local name status lines
	printf '1\t@ init x86_64\n'
	while IFS=: read -r name status lines; do
		printf '2\t@ start %s\n3\t@ stop %s %s\n' "$name" "$name" "$status"
		[ "$status" = 0 ] || lines="exit $status${lines:+,$lines}"
		[ -z "$lines" ] || tr , '\n' <<<"$lines" | sed "s/^/3	= $name /"
	done < <(printf '%s\n' "$@")
	printf '4\t@ start kernel-log\n4\t@ stop kernel-log 0\n5\t@ end\n'
}

guest=amd64
statistics='{ "engine":"process", "native_slices":7 }'
# The plain run, which is the first of a case, says what was planned.
ran() {		# ran plain|accelerated|again PROGRAM...: as words() has them
	local dir=$suites/own-$guest-$1
	[ "$1" != plain ] || rm -rf "$suites/own-"*
	mkdir -p "$dir" "$suites/own-$guest.job"
	[ "$1" != plain ] || printf '%s\n' "${@:2}" | sed 's/:.*/ 9 true/' >"$suites/own-$guest.job/plan"
	words "${@:2}" >"$dir/said"
	[ "$1" != accelerated ] || [ -z "$statistics" ] || echo "$statistics" >"$dir/stats.json"
}

# The status, and what is not ok.
verdict() {	# verdict [ENGINE]
	local status=0
	"$top/tests/suites/report" "$suites" "${1-auto}" "own-$guest" >"$work/said" 2>&1 || status=$?
	echo "$status"
	sed -n 's/^not ok [0-9]* - //p' "$work/said"
}

refused() {	# refused NAME WHY...
	tap_is "$1" "$(verdict)" "$(printf '%s\n' 1 "${@:2}")"
}

taken() {	# taken NAME [ENGINE]
	tap_is "$1" "$(verdict "${2-auto}")" 0
}

different="says something else with acceleration"
random_too=", and not only where two runs without it differ"

ran plain a:0:one,two b:1:three
ran accelerated a:0:one,two b:1:three
taken "two runs that say the same"
tap_is "and as many programs as ran are counted" \
	"$(awk '$1 == "own-amd64" { print $2, $3, $5, $7 }' "$suites/report.txt")" "3 2 3 0"
ran accelerated a:0:one,other b:1:three
refused "a line that differs" "own-amd64: a: $different"
ran accelerated a:0:one b:1:three
refused "a line less" "own-amd64: a: $different"
ran accelerated a:139:one,two b:1:three
refused "another status" "own-amd64: a: $different (status 139 instead of 0)"
ran accelerated a:0:one,two
refused "a program that acceleration does not come to" "own-amd64: b: did not run with acceleration"
ran plain a:0:one,two
echo "b 9 true" >>"$suites/own-amd64.job/plan"
ran accelerated a:0:one,two b:1:three
refused "and one that only acceleration comes to" "own-amd64: b: did not run without acceleration"
for kind in plain accelerated; do
	ran plain a:0:one
	ran accelerated a:0:one
	sed -i '/@ end/d' "$suites/own-amd64-$kind/said"
	refused "the $kind guest does not end" "own-amd64: the $kind guest ends by itself"
done

ran plain a:0:one "known:0:two,known 1,three"
ran accelerated a:0:one "known:0:two,known 2,known 3,three"
taken "lines that are explained may differ"
ran accelerated a:0:one "known:0:two,known 2,other"
refused "and no others" "own-amd64: known: $different"
guest=i386
ran plain "known:2:known 1"
ran accelerated "known:0:known 2"
taken "a program that plain Bochs fails, as is explained, may be the only one"
guest=amd64

# --- Nothing ran natively --------------------------------------------------------

ran plain a:0:one
nothing="own-amd64: code ran natively"
statistics='{ "engine":"process", "native_slices":0 }'
ran accelerated a:0:one
refused "an engine that opened and ran nothing" "$nothing"
taken "which nobody asked, with --engine none" none
statistics=''
rm -r "$suites/own-amd64-accelerated"
ran accelerated a:0:one
refused "no statistics at all" "$nothing"
guest=i386
engines "no more than 64-bit flat code"
statistics='{ "engine":"process", "native_slices":0 }'
ran plain a:0:one
ran accelerated a:0:one
taken "an i386 guest where the host has no 32-bit code"
tap_is "of which it is said that it was not tested" \
	"$(grep -c '^ok 1 - .* # SKIP this host has no 32-bit' "$work/said")" 1
statistics='{ "engine":"none", "native_slices":0 }'
ran accelerated a:0:one
refused "but not if no engine opened" "own-i386: code ran natively"
engines "32-bit guests, CPUID traps"
statistics='{ "engine":"process", "native_slices":0 }'
ran accelerated a:0:one
refused "nor if the host has 32-bit code" "own-i386: code ran natively"
guest=amd64
statistics='{ "engine":"process", "native_slices":7 }'

# --- A second plain run ----------------------------------------------------------

# again NAME WANT PLAIN AGAIN ACCELERATED: of a program a; WANT: same, or what is wrong with it
again() {
	ran plain "a:$3" z:0:end
	ran again "a:$4" z:0:end
	ran accelerated "a:$5" z:0:end
	case $2 in
	same) taken "twice without acceleration: $1" ;;
	*) refused "twice without acceleration: $1" "own-amd64: a: $2" ;;
	esac
}
again "a random number" same 0:one,7,two 0:one,8,two 0:one,9,two
tap_is "is named as such" "$(grep -c ' - own-amd64: a .*# differs: two runs without' "$work/said")" 1
again "random numbers in several places" same 0:1,one,2,3,two,4 0:5,one,6,7,two,8 0:9,one,10,11,two,12
again "one that agrees with one of them" same 0:one,7,two 0:one,8,two 0:one,8,two
again "a random number of lines" same 0:one,x,two 0:one,x,y,z,two 0:one,x,y,two
again "some of them like those behind" same 0:one,x,two,end 0:one,two,end 0:one,two,x,two,end
again "and none" same 0:7,x,two 0:8,x,y,two 0:9,x,two
again "and none at the end" same 0:7,one 0:8,one,x 0:9,one
again "a random status" same 0:one 3:one 3:one
again "nothing but a random number" same 0:7 0:8 0:9
again "a line that both have" "$different$random_too" 0:one,7,two 0:one,8,two 0:one,9,other
again "the first line" "$different$random_too" 0:one,7 0:one,8 0:other,9
again "one more beside a random status" "$different$random_too" 0:one 3:one 0:more,one
again "one more at the end" "$different$random_too" 0:one,7,two 0:one,8,two 0:one,9,two,three
again "one more in a random place" "$different$random_too" 0:one,7,two 0:one,8,two 0:one,9,9,two
again "one less" "$different$random_too" 0:one,7,two,three 0:one,8,two,three 0:one,9,two
again "one less in a random place" "$different$random_too" 0:one,7,two 0:one,8,two 0:one,two
again "lines that are swapped" "$different$random_too" 0:one,7,two 0:one,8,two 0:two,9,one
again "SIGSEGV" "$different (status 139 instead of 0)$random_too" 0:one,7,two 0:one,8,two 139:one,7,two
again "a third status" "$different (status 2 instead of 0)$random_too" 0:one 3:one 2:one
again "two that agree" "$different" 0:one,7,two 0:one,7,two 0:one,9,two

ran plain "known:0:one,known 1,7"
ran again "known:0:one,known 1,8"
ran accelerated "known:0:one,known 2,known 3,9"
taken "twice without acceleration: explained lines beside random ones"

logged() {	# logged KIND LINE: by the kernel
	ran "$1" a:0:one
	[ -z "${2-}" ] || printf '6\t= kernel-log %s\n' "$2" >>"$suites/own-amd64-$1/said"
}
logged plain
logged again "INFO: stall"
logged accelerated "INFO: stall"
taken "twice without acceleration: a warning of the kernel's that one of them has, too"
logged accelerated "BUG: of ours"
refused "twice without acceleration: another one" "own-amd64: kernel-log: $different$random_too"

# The second plain run hangs in b, and so has no result of c.
ran plain a:0:one b:0:two c:0:three
ran accelerated a:0:one b:0:two c:0:other
ran again a:0:one
sed -i '/kernel-log\|@ end/d' "$suites/own-amd64-again/said"
refused "a second plain run that does not end excuses nothing" "own-amd64: the again guest ends by itself" \
	"own-amd64: c: $different"
ran plain a:0:one c:0:three
ran accelerated a:0:one c:0:other
ran again a:0:one
refused "nor does one that has not run the program" "own-amd64: c: $different"
ran plain a:0:one
ran accelerated a:0:one
mkdir "$suites/own-amd64-again"
refused "nor one that has said nothing" "own-amd64: the again guest ends by itself"

# --- Nothing ran at all ----------------------------------------------------------

for status in 126 127; do
	ran plain a:0:one b:$status:"no such thing"
	ran accelerated a:0:one b:$status:"no such thing"
	refused "a program that can't be started, status $status" \
		"own-amd64: b: could not be started, without acceleration either (status $status)"
done
ran plain a:1:one b:4
ran accelerated a:1:one b:4
refused "no program that succeeds" "own-amd64: no program has status 0, so they judge nothing"

# --- Suites: from the beginning --------------------------------------------------

stand_in "$top/tools/guest/mkguest" <<'END'
mkdir -p "$BUILD/guest/$1"
[ -e "$BUILD/guest/$1/initrd" ] || touch -d '1 hour ago' "$BUILD/guest/$1/initrd"
END
stand_in "$top/tools/guest/mkiso" <<<':'
cat >"$top/tools/guest/tree.sh" <<'END'
tree_begin() { :; }
tree_libraries() { :; }
tree_pack() { touch "$1"; }
END
find "$top" -exec touch -d '1 hour ago' {} +	# what a disk is made of is older than the disk
# What it says is in a file of the kind's name; statistics are there if there is an accelerator.
stand_in "$top/tools/guest/run" <<'END'
while getopts b:p:t:q:l: opt; do [ "$opt" != p ] || options=$OPTARG; done
shift $((OPTIND - 1))
mkdir -p "$2"
cp "$BOOTS/${2##*-}" "$2/said"
[ -e "$BOOTS/stats" ] && case $options in
*enabled=1*) sed "s/ENGINE/$(sed 's/.*engine=\([a-z]*\).*/\1/' <<<"$options")/" "$BOOTS/stats" >"$2/stats.json" ;;
esac
exit 0
END
stand_in "$top/tests/suites/own/build" <<'END'
echo built >>"$BUILD/builds"
printf 'a any 9 true\nb amd64 9 true\n' >"$3/suite/plan"
END
touch -d '1 hour ago' "$top/tests/suites/own/build"
run() {
	"$top/tests/suites/run" --bochs true --guest amd64 "$@" own >"$work/said" 2>&1
}
words a:0:one,7 b:0:two >"$BOOTS/plain"
words a:0:one,8 b:0:two >"$BOOTS/again"
words a:0:one,9 b:0:two >"$BOOTS/accelerated"
echo '{ "engine":"ENGINE", "native_slices":7 }' >"$BOOTS/stats"
tap_is "a suite whose runs differ" "$(run; echo $?)" 1
tap "but twice without acceleration, too" run --again
echo '{ "engine":"ENGINE", "native_slices":0 }' >"$BOOTS/stats"
tap_is "nothing ran natively" "$(run --again; echo $?; grep '^not ok' "$work/said")" "1
not ok 1 - own-amd64: code ran natively"
tap "and need not" run --again --engine none

builds() { grep -c . "$BUILD/builds"; }
tap_is "the suite was built once" "$(builds)" 1
rm -r "$BUILD/suites"	# make clean
tap "what another suite needs of it is there after make clean" \
	bash -c '"$1/tests/suites/mkdisk" own amd64 && test -d "$BUILD/suites/build/own-amd64"' - "$top"
tap_is "as it is built again" "$(builds)" 2
tap_is "once" "$("$top/tests/suites/mkdisk" own amd64; builds)" 2
rm -r "$BUILD/suites"
stand_in "$top/tests/suites/own/build" <<<'exit 1'
touch -d '1 hour ago' "$top/tests/suites/own/build"
tap_is "a build that does not end leaves no disk that passes for fresh" \
	"$(for _ in 1 2; do "$top/tests/suites/mkdisk" own amd64 >/dev/null 2>&1; echo $?; done)" "1
1"
touch "$BUILD/guest/suite-own-amd64/disk"
mkdir -p "$BUILD/suites/build/own-amd64"
tap "nothing is built that is there" "$top/tests/suites/mkdisk" own amd64
touch -d '1 hour' "$top/tests/suites/lib.sh"
tap_is "but with another lib.sh" "$("$top/tests/suites/mkdisk" own amd64 >/dev/null 2>&1; echo $?)" 1

# --- Verify mode without an engine -----------------------------------------------

words sha:0:one >"$BOOTS/plain"
words sha:0:one >"$BOOTS/verify"
rm "$BOOTS/stats"
tap_is "check-verify: without statistics there are no numbers to judge" \
	"$("$top/tests/verify/guests" --bochs true --guest amd64 --folder "$work/verify" 2>&1 | grep -v '^# $')" \
	"ok 1 - amd64 boots and ends without acceleration
ok 2 - amd64 boots and ends in verify mode
ok 3 - amd64 says the same in verify mode
not ok 4 - amd64: there was an engine
1..4"

# --- Fuzz ------------------------------------------------------------------------

mkdir -p "$work/fuzz/tests/guest" "$work/fuzz/tools"
printf 'guest-images:\n' >"$work/fuzz/Makefile"
cp "$BUILD/tools/engines" "$work/fuzz/tools/"
touch "$work/fuzz/tests/guest/tk32.img"
# Cases, differences, explained, hand-overs and native ones: of all blocks the last two.
stand_in "$top/tools/fuzz/chunk" <<'END'
while getopts b:e:Es:c:i:a opt; do :; done
shift $((OPTIND - 1))
mkdir -p "$1"
: >"$1/report"
cases=0
for block in "${@:2}"; do IFS=: read -r _ n _ <<<"$block"; cases=$((cases + n)); done
echo "$cases 0 0 $CHUNK"
END
fuzz() {	# fuzz CHUNK OPTION...: status, and what it says of nothing native
	local status=0
	CHUNK=$1 BUILD=$work/fuzz "$top/tools/fuzz.sh" "${@:2}" >"$work/said" 2>&1 || status=$?
	echo "$status" "$(grep -c '^NOTHING RAN' "$work/said")" "$(sed -n 's/^Plain Bochs .* itself: //p' "$work/said")"
}
tap_is "fuzz: some ran natively" "$(fuzz "9 1" 600)" "0 0 "
tap_is "fuzz: none did" "$(fuzz "9 0" 600)" "1 1 "
tap_is "the last line is still that of the differences" \
	"$(tail -n 1 "$work/said")" "600 cases, 0 differences (0 explained)"
tap_is "fuzz: nor was any asked for" "$(fuzz "0 0" 600)" "1 1 "
tap_is "fuzz: one case" "$(fuzz "1 0" only=3)" "0 0 so few cases may all be for Bochs to execute."
tap_is "fuzz: 16-bit code, which engine=process never runs" "$(fuzz "9 9" 600 kind=code16)" "2 0 "
want="0 0 the guest's CPU has AVX-512, and the host's has not."
stand_in "$top/tests/kmod/hosted" <<<':'
if [ -w /dev/plex86 ]; then
	tap_skip "fuzz: AVX-512, which an emulated CPU has not" "plex86.ko runs on this machine's own CPU"
else
	tap_is "fuzz: AVX-512, which an emulated CPU has not" \
		"$(fuzz "9 0" 600 engine=driver model=corei7_icelake_u)" "$want"
fi
! grep -q -m 1 '^flags.* avx512f' /proc/cpuinfo || want="1 1 "
tap_is "fuzz: AVX-512, which the host may have" "$(fuzz "9 0" 600 model=corei7_icelake_u)" "$want"
tap_done
