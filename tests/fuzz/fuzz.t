#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Random user code leaves plain and accelerated Bochs in the same state, but for
# what the table of known differences explains; and one wrong bit in a record of
# either is found, and not explained.
#
# PLEX86_FUZZ_CASES, PLEX86_FUZZ_AVX512, PLEX86_FUZZ_BYTES: how many instructions, of those with
# AVX-512, and random bytes.
set -u
. "$top_srcdir/tests/tap.sh"
. "$top_srcdir/tools/lib/model.sh"

export BUILD=$top_builddir FUZZ_OUT=$top_builddir/tests/fuzz/cases
fuzzer=$top_builddir/tools/fuzz/fuzzer
work=$top_builddir/tests/fuzz/work
rm -rf "$work"
mkdir -p "$work"

fuzz() {
	"$top_srcdir/tools/fuzz.sh" "$@" >"$work/log" 2>&1 || {
		tail -n 60 "$work/log"
		return 1
	}
}

options=()
# Where a record (tests/guest/fuzzcase.h) keeps each, as the number of a bit in it.
differing() {		# differing RECORD BIT: how many cases differ with that bit flipped
	cp "$plain" "$work/spoilt"
	"$fuzzer" spoil "$work/spoilt" "$1" "$2" &&
		"$fuzzer" ${options[@]+"${options[@]}"} -t "$top_srcdir/tools/fuzz/known" compare "$plain" "$work/spoilt" "$work/prefixes"
}

tap "random instructions: no difference that is not explained" \
	fuzz "${PLEX86_FUZZ_CASES:-14000}" 1
natively() {		# natively PERCENT
	sed -n '/^Natively:/p' "$work/log" | tap_diag
	tap_is "and $1 % of them natively" "$(awk -v least="$1" '/^Natively:/ { print ($2 * 100 > $4 * least) }' "$work/log")" 1
}
natively 50

# The last block's records: plain Bochs's against themselves, with one bit flipped.
plain=$(realpath "$FUZZ_OUT/chunk/1/cases.plain")
cp "$plain" "$work/plain"
plain=$work/plain
tap_is "the same records do not differ" \
	"$("$fuzzer" compare "$plain" "$plain" "$work/prefixes")" 0
while read -r byte name; do
	for record in 0 77 501; do
		tap_is "a wrong bit in the $name of case $record is found" "$(differing $record $((byte * 8 + 2)))" 1
	done
done <<-'END'
	4 vector
	24 instruction pointer
	32 flags
	40 RAX
	72 RSP
	200 x87 control word
	224 MXCSR
	232 ST0
	360 XMM0
	616 YMM0
	876 memory
END
tap_is "a record that is missing is an error" \
	"$(cp "$plain" "$work/spoilt" && "$fuzzer" spoil "$work/spoilt" 3 1 &&
		"$fuzzer" compare "$plain" "$work/spoilt" "$work/prefixes" 2>&1 | grep -c 'has no record of its case 3')" 1

# Natively where the host has AVX-512, else Bochs executes it.
tap "random instructions with AVX-512: the same" fuzz "${PLEX86_FUZZ_AVX512:-7000}" 1 model=corei7_icelake_u
! grep -q -m 1 '^flags.* avx512f' /proc/cpuinfo || natively 50
cp "$FUZZ_OUT/chunk/1/cases.plain" "$work/plain"
options=(-5)
while read -r byte name; do
	tap_is "a wrong bit in $name is found" "$(differing 77 $((byte * 8 + 2)))" 1
done <<-'END'
	1024 the upper half of ZMM0
	1536 ZMM16
	2616 K7
END

tap "random bytes: the same" fuzz "${PLEX86_FUZZ_BYTES:-100000}" 2 kind=random
natively 20

# Every sixth block is of a 32-bit kernel's code: without PAE here, and with 4 MiB pages.
for block in 10 16; do
	tap "random instructions of a 32-bit system, block $block: the same" fuzz 1200 1 "from=$block"
done

# The table must not explain what it has no reason for: one bit is flipped in the records of all cases that
# are one instruction of those named, and each must be reported; or, where manuals leave it open, none.
swallowed() {		# swallowed LIST WHERE: "some none" or "some all", as explained
	local n sum
	cp "$work/plain" "$work/wrong"
	cp "$work/alone" "$work/alone.wrong"
	n=$("${single[@]}" spoil "$work/wrong" "$1" "$2") &&
		[ "$("${single[@]}" spoil "$work/alone.wrong" "$1" "$2")" = "$n" ] &&
		sum=$("${single[@]}" explain "$work"/{plain,wrong,alone,alone.wrong} | sed -n 's/^sum: \(.*\) 0$/\1/p') || return
	awk -v n="$n" '{ print (n > 2 && $1 == n ? "some" : $1 " of " n), ($2 == 0 ? "none" : $2 == n ? "all" : $2) }' <<<"$sum"
}

fuzzer_for() {		# fuzzer_for MODEL [OPTION]
	single=("$fuzzer" -m "$@" -s 9 -n 1600 -1 -t "$top_srcdir/tools/fuzz/known")
}

singles() {		# singles MODEL LIST: cases of one instruction, their records, and those of each alone
	"${single[@]}" -i "$2" make "$work/plain" && run_cases "$work/plain" "$1" &&
		cp "$work/plain" "$work/wrong" && "${single[@]}" spoil "$work/wrong" '*' 322 >"$work/log" &&
		"${single[@]}" compare "$work/plain" "$work/wrong" "$work/alone" >"$work/log" &&
		run_cases "$work/alone" "$1"
}

run_cases() {		# run_cases FILE [MODEL]
	"$top_srcdir/tests/guest/run-guest" -b "$BUILD/bochs-plex86" -c "${2-$(default_model)}" -e 8 -g 0x80 -d "$1" \
		bochs "$BUILD/tests/guest/tk64.img" >"$work/log"
}

# try EXPLAINED WHERE WHAT LIST
try() {
	local list=$4
	[ ${#list} -le 50 ] || list=${list::50}...
	tap_is "a wrong bit in the ${3//_/ } of $list: explained: $1" "$(swallowed "$4" "$2")" "some $1"
}

# Numbers of bits: selector of GS 1424, bases of FS and GS 1474 and 1538, FTW 1633; CF 256, PF 258, AF 260, ZF 262, SF 263, OF 267; RAX 320, RSP 576; FSW 1616, C0 1624, C1 1625;
# MXCSR 1792, its PE 1797; memory 7010.
integer=imul,mul,div,shl,shr,sar,rcl,rol,bt,bts,bsf,tzcnt,lzcnt,andn,blsr,bextr,and,or,xor
vector="rcpps,rsqrtps,vrcpps,vrsqrtps,extrq,dpps,vdppd,psrlq,vpsrlq,vfmadd*"
x87=fsin,fcos,fptan,fpatan,fyl2x,fprem,fprem1,frndint,fscale,fcomi,fucomip,fld,f2xm1
# A null selector in FS or GS leaves the base on AMD's CPUs: MOV and POP may differ there.
no_base=push,add,fld,$integer
! grep -q -m 1 GenuineIntel /proc/cpuinfo || no_base=mov,pop,$no_base
fuzzer_for ryzen
tap "cases of single instructions" singles ryzen \
	"$integer,$vector,$x87,sha*,psllw,lodsb,stosd,scasb,leave,enter,pause,push,pop,add,mov,movaps,fnstenv"
try all 260 AF and
try all 263 SF imul
try all 267 OF div
try all 258 PF bsf
try all 1625 C1 fcomi
while read -r where what list; do
	try none "$where" "$what" "$list"
done <<-END
	32 vector $integer,$vector,$x87,psllw,lodsb,stosd,scasb,pause,add,movaps
	194 instruction_pointer $integer,$vector,$x87,psllw,lodsb,stosd,scasb,pause,add,movaps
	256 CF imul,mul,bt,bts,tzcnt,lzcnt,andn,blsr,bextr,and,or,xor
	262 ZF bt,bts,bsf,tzcnt,lzcnt,andn,blsr,bextr,and,or,xor,shl,shr,sar,rcl,rol
	263 SF andn,blsr,and,or,xor,shl,shr,sar,rcl,rol
	260 AF rcl,rol,add,mov,$vector,$x87
	266 DF $integer,$vector,$x87,lodsb,stosd,scasb,leave,enter
	result result imul,bt,bts,bsf,tzcnt,lzcnt,andn,blsr,bextr,and,or,xor,add,mov,shl,shr,sar,rcl,rol
	576 RSP imul,mul,div,shl,shr,bt,bsf,lodsb,stosd,scasb,pause,$x87,$vector
	320 RAX leave,push,pop,sha*,$x87,$vector
	1474 FS_base $no_base
	1538 GS_base $no_base
	1424 GS_selector push,add,$integer
	1633 FTW $x87,mov,add,$integer,fnstenv
	7010 memory $integer,$vector,$x87,sha*,psllw,scasb,leave,pop
	result result rcpps,rsqrtps,vrcpps,vrsqrtps,dpps,vdppd,psrlq,vpsrlq,vfmadd*,sha*,movaps
	other result_in_another_register rcpps,rsqrtps,vrcpps,vrsqrtps,extrq,dpps,vdppd,psrlq,vpsrlq,vfmadd*,sha*,movaps
	1792 IE_of_MXCSR $vector,sha*,fprem,frndint
	1797 PE_of_MXCSR vfmadd*,dpps,psrlq
	result result fsin,fcos,fpatan,fyl2x,fprem,fprem1,fld,psllw
	result result fcomi,fucomip,add
	1624 C0 fsin,fcos,fptan,fpatan,fyl2x,fprem,fprem1,frndint,fscale,fcomi,fucomip,fld
	1625 C1 fprem,fprem1,frndint,psllw,rcpps,add
	1616 IE $x87
	1600 IM $x87
	$((8 * (232 + 16 * 3))) ST3 fsin,fcos,fptan,fprem,frndint,fscale,f2xm1,fcomi
END

vector="vpconflict*,vrange*,vpbroadcastm*,vgf2p8affine*,vpmultishiftqb,vrcp14*,vrsqrt14*"
rounding="vreduce*,vrndscale*,vscalef*,vfmadd*"
# Without those on half precision: the CPU may have them and the model not, and #XM comes before #UD.
sd=${rounding//\*/*[sd]}
fuzzer_for corei7_icelake_u -5
tap "cases of single instructions with AVX-512" singles corei7_icelake_u \
	"$vector,$rounding,vpshufbitqmb,kshift*,vpexpandw,vcvtps2ph,vpsrlq,vgather*,vmovaps,vpaddb"
while read -r where what list; do
	try none "$where" "$what" "$list"
done <<-END
	result result vpconflict*,vrange*,vrcp14[ps]s,vrsqrt14[ps]s,vscalef*,vpsrlq,vfmadd*,vpaddb
	result result vpshufbitqmb
	other result_in_another_register $vector,$rounding,vpexpandw,vcvtps2ph,vpsrlq,vgather*,vmovaps
	20930 K7 $vector,$rounding,vpexpandw,vmovaps
	320 RAX $vector,$rounding,vpshufbitqmb,kshift*
	576 RSP $vector,$rounding,vpshufbitqmb,kshift*,vcvtps2ph
	260 AF $vector,$rounding,vpshufbitqmb,kshift*
	1792 IE_of_MXCSR $vector,$sd,vpsrlq
	32 vector vpconflict*,vrange*,vrcp14*,vscalef*,vpshufbitqmb,kshift*,vfmadd*,vpaddb
	7010 memory $vector,$rounding,vpshufbitqmb
END

# What came once and not again, alone or among the others, is not explained by that.  The case is one
# that does not branch to others before it ends.
once() {		# once AGAIN...: explained, of a bit that is wrong in RAX of one of 50 cases
	local bytes=("$fuzzer" -k code64 -r -s 3 -n 50 -t "$top_srcdir/tools/fuzz/known")
	if [ ! -e "$work/once" ]; then
		"${bytes[@]}" make "$work/right" && run_cases "$work/right" &&
			cp "$work/right" "$work/wrong" && "$fuzzer" spoil "$work/wrong" 20 322 &&
			"${bytes[@]}" compare "$work/right" "$work/wrong" "$work/once" >"$work/log" &&
			run_cases "$work/once" || return
	fi
	"${bytes[@]}" "${@/#/-w$work/}" explain "$work"/{right,wrong,once,once} | sed -n 's/^sum: //p'
}

tap_is "random bytes that differ among others only: explained" "$(once)" "1 1 1"
tap_is "if they do so again" "$(once right wrong)" "1 1 1"
tap_is "and if not, not" "$(once right right)" "1 0 1"
tap_done
