#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The test kernel says the same under plain Bochs and under each engine, and
# plain Bochs gives the outcomes that the manual fixes.  QEMU is heard as the
# third opinion: where it differs from Bochs has to be known.
#
# PLEX86_GUEST_ENGINES: the engines to check (default: process driver).
# PLEX86_GUEST_PROGRAMS: how many random programs (default: 2000).
set -u
. "$top_srcdir/tests/tap.sh"
. "$top_srcdir/tests/host.sh"
. "$top_srcdir/tools/lib/model.sh"

here=$top_srcdir/tests/guest
images=$top_builddir/tests/guest
logs=$images/logs
mkdir -p "$logs"

run() {			# run LOG ARGS...
	local log=$1
	shift
	"$here/run-guest" -n "${PLEX86_GUEST_PROGRAMS:-2000}" "$@" >"$log" || return
	tail -n 1 "$log"
}

is_clean() {
	grep -q '^TK-END .* 0 wrong, 0 differing' "$1" || {
		grep -B 3 -E 'WRONG|DIFFERS' "$1" | head -n 40
		return 1
	}
}

# Of 1000 entries to user code, how many ran natively: compared with itself, Bochs is always right.
natively() {		# natively STATS LEAST
	awk -F '[:,]' -v least="$2" '
		/"entries"/ { all = $2 }
		/"entries_native"/ { native = $2 }
		END {
			printf "%d of %d entries to user code\n", native, all
			exit !(all > 0 && native * 1000 >= all * least)
		}' "$1"
}

# Of 1000 entries to programs of the trap table, how many natively met a trap that is no page fault.
# Half of the programs have pages whose bits Bochs must set first, and are its own from there.
trapped() {		# trapped STATS LEAST
	awk -F '[:,]' -v least="$2" '
		/"entries_asked":/ { all = $2 }
		/"trap":/ { n = $2 }
		END {
			printf "%d native traps in %d entries to user code\n", n, all
			exit !(all > 0 && n * 1000 >= all * least)
		}' "$1"
}

# With strict=1 the process engine runs only guests that have enabled all of the host's XCR0.
exact_model() {
	if grep -q -m 1 -E '^flags.* (pku|amx_tile)( |$)' /proc/cpuinfo; then
		return 1
	elif grep -q -m 1 '^flags.* avx512f' /proc/cpuinfo; then
		echo corei7_icelake_u
	else
		default_model
	fi
}

engine_missing() {	# engine_missing ENGINE: prints why, if so
	case $1 in
	driver)	[ -c /dev/plex86 ] || echo "there is no /dev/plex86: plex86.ko is not loaded" ;;
	kvm)	[ -w /dev/kvm ] || echo "there is no /dev/kvm that can be written" ;;
	esac
}

# The model must be of the host's vendor: SYSENTER and SYSCALL differ between them.
model=$(default_model)

# What runs together and is counted together, and how much of it has to run natively.  Least of
# group 8: pages with sensitive instructions are Bochs's.  In group 1 debug registers in use leave
# most to it; the trap table is counted apart, by traps.  Of the 32-bit kernel's segments few hosts
# have anything, so its groups but the hostile one are counted as one, in each of its three modes.
# Pages (2) have nothing to do with strict=1.
groups_of() {		# groups_of BITS STRICT: GROUPS@ENVIRONMENTS:LEAST ...
	case $1-$2 in
	64-0)	echo 1@15:100 2@15:800 4@15:400 8@15:50 16@15:100 32@15:100 ;;
	64-1)	echo 1@15:100 4@15:200 8@15:50 16@15:100 32@15:100 ;;
	32-*)	echo 0x1f@{1,2,4}:200 32@15:200 ;;
	esac
}

# What plain Bochs says to some groups, for all that is compared with it, and that it is right.
plain() {		# plain BITS CPU GROUP@ENVIRONMENTS
	local as=$logs/plain$1-$2-$3.log
	[ -e "$as" ] && return
	tap "$1-bit: runs under plain Bochs as $2, group $3" \
		run "$as" -c "$2" -e "${3#*@}" -g "${3%@*}" bochs "$images/tk$1.img"
	tap "$1-bit: plain Bochs as $2 does what the manual says, group $3" is_clean "$as"
}

# One engine and some groups, beside plain Bochs as the same CPU.
compare() {		# compare NAME ENGINE STRICT BITS CPU GROUPS LEAST
	local name="$1, group $6" engine=$2 strict=$3 image=$images/tk$4.img cpu=$5 least=$7
	local log=$logs/$2$4-strict$3-$5-$6.log as=$logs/plain$4-$5-$6.log stats known=()
	local group=${6%@*} env=${6#*@}
	stats=${log%.log}.json
	if [ "$strict" = 0 ] && [ -e "$here/limits-$engine" ]; then
		known=(-k "$here/limits-$engine")
	fi
	plain "$4" "$cpu" "$6"
	rm -f "$stats"
	tap "$name: runs" run "$log" -c "$cpu" -e "$env" -g "$group" -x "plex86: enabled=1, engine=$engine, \
strict=$strict, handover=always, stats=$stats" bochs "$image"
	if [ "$least" = 0 ]; then
		tap "$name: says what plain Bochs says, which runs all of it" \
			"$here/compare-logs" ${known[@]+"${known[@]}"} "$as" "$log"
		return
	fi
	tap "$name: says what plain Bochs says" \
		"$here/compare-logs" ${known[@]+"${known[@]}"} "$as" "$log"
	tap "$name: not a little of it natively" natively "$stats" "$least"
	natively "$stats" 0 | tap_diag
}

# The trap table by itself.  Nothing spins, so that no timer tick counts, nor much that runs in any
# case.  475 it was on an Intel host with protection keys, and 389 when no case had its pages' bits
# set; others leave more to Bochs, and there this says only that it is not all.
traps_least=250
if grep -q -m 1 GenuineIntel /proc/cpuinfo && grep -q -m 1 '^flags.* ospke' /proc/cpuinfo; then
	traps_least=430
fi
traps() {		# traps ENGINE
	local log=$logs/$1-traps.log as=$logs/plain-traps.log stats=$logs/$1-traps.json
	local least=$traps_least
	engine_runs32 "$1" || least=$((least / 2))	# half of the table is 32-bit code
	rm -f "$stats"
	run "$as" -f -c "$model" -s 1 -g 0x200 bochs "$images/tk64.img" &&
		run "$log" -c "$model" -s 1 -g 0x200 -x "plex86: enabled=1, engine=$1, handover=always, \
stats=$stats" bochs "$images/tk64.img" &&
		"$here/compare-logs" "$as" "$log" && trapped "$stats" "$least"
}

for bits in 32 64; do
	image=$images/tk$bits.img
	if [ ! -r "$image" ]; then
		tap_skip "$bits-bit" "there is no image: the compiler can't make $bits-bit programs"
		continue
	fi
	rm -f "$logs/plain$bits"-*.log
	for group in $(groups_of $bits 0); do
		plain $bits "$model" "${group%:*}"
	done

	for engine in ${PLEX86_GUEST_ENGINES:-process driver}; do
		why=$(engine_missing "$engine")
		if [ -n "$why" ]; then
			tap_skip "$bits-bit: engine $engine" "$why"
			continue
		fi
		for strict in 0 1; do
			name="$bits-bit, engine=$engine, strict=$strict"
			cpu=$model none=''
			if [ $bits = 32 ] && ! engine_runs32 "$engine"; then
				none="this host runs no 32-bit code"
			elif [ "$engine $strict $bits" = "process 1 32" ]; then
				none="strict=1 lets it run only code with Linux's selectors"
			elif [ "$engine $strict" = "process 1" ]; then
				cpu=$(exact_model) || {
					cpu=$model none="strict=1 lets it run only code with the host's XCR0"
				}
			fi
			# Twice Bochs beside itself is once too often.
			if [ "$strict $bits" = "1 32" ] && ! engine_runs32 "$engine"; then
				tap_skip "$name" "$none"
				continue
			fi
			groups=$(groups_of $bits $strict)
			# All of it would be Bochs beside itself: one paging mode is enough.
			if [ $bits = 32 ] && [ -n "$none" ]; then
				groups=5@4:0
			elif [ -n "$none" ]; then
				groups=${groups/4@15:200 /}
			fi
			for group in $groups; do
				compare "$name" "$engine" $strict $bits "$cpu" "${group%:*}" \
					"$([ -n "$none" ] && echo 0 || echo "${group#*:}")"
			done
			if [ -n "$none" ]; then
				tap_skip "$name: not a little of it natively" "$none"
			fi
		done
	done

	if [ $bits = 64 ]; then
		for engine in ${PLEX86_GUEST_ENGINES:-process driver}; do
			[ -z "$(engine_missing "$engine")" ] || continue	# has been said above
			tap "engine=$engine: the trap table's instructions trap natively" traps "$engine"
			trapped "$logs/$engine-traps.json" 0 | tap_diag
		done
	fi

	# RDPID, UMIP and EVEX, which the default models lack.
	if [ $bits = 64 ] && grep -q -m 1 'vendor_id.*GenuineIntel' /proc/cpuinfo &&
		grep -q -m 1 '^flags.* avx512f' /proc/cpuinfo; then
		for engine in ${PLEX86_GUEST_ENGINES:-process driver}; do
			[ -z "$(engine_missing "$engine")" ] || continue	# has been said above
			compare "$bits-bit as an Ice Lake, engine=$engine" "$engine" 0 $bits corei7_icelake_u 8@15 50
		done
	elif [ $bits = 64 ]; then
		tap_skip "$bits-bit as an Ice Lake" "the host is no Intel CPU with AVX-512"
	fi

	# Five levels of page tables: a model has them that has AVX-512, too.
	five=''
	if [ $bits = 64 ] && grep -q -m 1 '^flags.* avx512f' /proc/cpuinfo; then
		five=sapphire_rapids
		for engine in ${PLEX86_GUEST_ENGINES:-process driver}; do
			[ -z "$(engine_missing "$engine")" ] || continue	# has been said above
			compare "$bits-bit, five levels, engine=$engine" "$engine" 0 $bits $five 2@16 800
		done
	elif [ $bits = 64 ]; then
		tap_skip "$bits-bit, five levels" "the host has no AVX-512, as the model that has them"
	fi

	if command -v qemu-system-x86_64 >/dev/null; then
		tap "$bits-bit: runs under QEMU, from a floppy" run "$logs/qemu$bits.log" -f -e 15 -g 0x1f qemu "$image"
		tap "$bits-bit: QEMU differs only where it is known to" \
			"$here/compare-logs" -x hostile -k "$here/known-qemu" \
			<(for group in $(groups_of $bits 0); do
				sed 's/ rf / /' "$logs/plain$bits-$model-${group%:*}.log"
			done) "$logs/qemu$bits.log"
		if [ -n "$five" ]; then
			tap "five levels: run under QEMU" run "$logs/qemu5.log" -e 16 -g 2 qemu "$image"
			tap "five levels: QEMU differs only where it is known to" \
				"$here/compare-logs" -k "$here/known-qemu" \
				<(sed 's/ rf / /' "$logs/plain$bits-$five-2@16.log") "$logs/qemu5.log"
		fi
	else
		tap_skip "$bits-bit: QEMU" "there is no qemu-system-x86_64"
	fi
done

tap_done
