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

# Of the entries to user code, how many ran natively: compared with itself, Bochs is always right.
natively() {		# natively STATS PERCENT
	awk -F '[:,]' -v percent="$2" '
		/"entries"/ { all = $2 }
		/"entries_native"/ { native = $2 }
		END {
			printf "%d of %d entries to user code\n", native, all
			exit !(all > 0 && native * 100 >= all * percent)
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

for bits in 32 64; do
	image=$images/tk$bits.img
	if [ ! -r "$image" ]; then
		tap_skip "$bits-bit" "there is no image: the compiler can't make $bits-bit programs"
		continue
	fi
	plain=$logs/plain$bits.log
	tap "$bits-bit: runs under plain Bochs" run "$plain" -c "$model" bochs "$image"
	tap "$bits-bit: plain Bochs does what the manual says" is_clean "$plain"

	for engine in ${PLEX86_GUEST_ENGINES:-process driver}; do
		why=$(engine_missing "$engine")
		if [ -n "$why" ]; then
			tap_skip "$bits-bit: engine $engine" "$why"
			continue
		fi
		for strict in 0 1; do
			name="$bits-bit, engine=$engine, strict=$strict"
			log=$logs/$engine$bits-strict$strict.log
			known=()
			if [ $strict = 0 ] && [ -e "$here/limits-$engine" ]; then
				known=(-k "$here/limits-$engine")
			fi
			cpu=$model as=$plain least=20
			if [ "$engine $strict" = "process 1" ]; then
				least=10
				[ $bits = 64 ] && cpu=$(exact_model) || least='' cpu=$model
			fi
			if [ "$cpu" != "$model" ]; then
				as=$logs/plain$bits-$cpu.log
				tap "$bits-bit: runs under plain Bochs as $cpu" run "$as" -c "$cpu" bochs "$image"
			fi
			stats=${log%.log}.json
			rm -f "$stats"
			tap "$name: runs" run "$log" -c "$cpu" -x "plex86: enabled=1, engine=$engine, \
strict=$strict, handover=always, stats=$stats" bochs "$image"
			tap "$name: says what plain Bochs says" \
				"$here/compare-logs" ${known[@]+"${known[@]}"} "$as" "$log"
			if [ $bits = 32 ] && ! engine_runs32 "$engine"; then
				tap_skip "$name: not a little of it natively" "this host runs no 32-bit code"
				continue
			fi
			if [ -z "$least" ]; then
				tap_skip "$name: not a little of it natively" \
					"strict=1 lets it run only code with Linux's selectors and the host's XCR0"
				continue
			fi
			tap "$name: not a little of it natively" natively "$stats" "$least"
			natively "$stats" 0 | tap_diag
		done
	done

	if command -v qemu-system-x86_64 >/dev/null; then
		tap "$bits-bit: runs under QEMU" run "$logs/qemu$bits.log" -g 0x1f qemu "$image"
		tap "$bits-bit: QEMU differs only where it is known to" \
			"$here/compare-logs" -x hostile -k "$here/known-qemu" <(sed 's/ rf / /' "$plain") \
			"$logs/qemu$bits.log"
	else
		tap_skip "$bits-bit: QEMU" "there is no qemu-system-x86_64"
	fi
done

tap_done
