#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Both Debian guests boot through the BIOS to user space, run a little of every
# kind of work and switch off; with acceleration they say what they say without,
# and what they compute is what this host's own processor computes.
set -u
. "$top_srcdir/tests/tap.sh"

export BUILD=$top_builddir BOOTS_OUT=$top_builddir/tests/boot-guests
rm -f "$BOOTS_OUT/amd64.iso"

# The same program on the host: w-NAME SIZE for each workload of ours.
host_agrees() {		# host_agrees GUEST NAME
	local size want
	size=$(awk -v name="$2" '$1 == name { print $2 }' "$BOOTS_OUT/$1.job/plan")
	want=$("$BUILD/guest/$1/root/bin/w-$2" "$size") || return
	echo "the host says: $want"
	grep -x "= $2 $want" "$BOOTS_OUT/$1.results"
}

# A processor with registers that this host may not have: the guest of the last boot.  Its kernel
# isolates page tables, and switches between the two of a process without PCIDs.
said() { cut -f2- "$1/said" | grep -e '^= ' -e '^@ stop '; }
other_processor() {	# other_processor MODEL
	local dir=$BOOTS_OUT/$1
	rm -rf "$dir.job"
	cp -r "$BOOTS_OUT/amd64.job" "$dir.job" && echo 'isolation 1' >>"$dir.job/plan" &&
		cat >"$dir.job/more" <<-'END' || return
			run_more() {
				cat /sys/devices/system/cpu/vulnerabilities/meltdown
				grep -c -w pcid /proc/cpuinfo
				true
			}
		END
	"$top_srcdir/tools/guest/mkiso" amd64 "$dir.job" "$dir.iso" pti=on nopcid &&
		MODEL=$1 "$top_srcdir/tools/guest/run" -b "$BOCHS" -p enabled=0 "$dir.iso" "$dir-plain" &&
		MODEL=$1 "$top_srcdir/tools/guest/run" -b "$BOCHS" -p "enabled=1, stats=$dir.json" \
			"$dir.iso" "$dir" || return
	said "$dir" | grep isolation
	diff <(said "$dir-plain") <(said "$dir") && grep -q '"native_slices":[1-9]' "$dir.json" &&
		said "$dir" | grep -qx '= isolation Mitigation: PTI' && said "$dir" | grep -qx '= isolation 0'
}

# I8: code that runs on is stopped by the guest's own 250 Hz, and a few more a second;
# not by timers of Bochs that have nothing to do, which are thousands.
few_deadlines() {
	local dir=$BOOTS_OUT/long
	rm -rf "$dir.job"
	cp -r "$BOOTS_OUT/amd64.job" "$dir.job" && echo 'fp 800' >"$dir.job/plan" &&
		"$top_srcdir/tools/guest/mkiso" amd64 "$dir.job" "$dir.iso" &&
		"$top_srcdir/tools/guest/run" -b "$BOCHS" -p "enabled=1, stats=$dir.json" "$dir.iso" "$dir" ||
		return
	awk -F '[:,]' '
		/"native_ns"/ { seconds = $2 / 1e9 }
		/"deadline"/ { deadlines = $2 }
		END {
			printf "%.2f s native, %d deadlines\n", seconds, deadlines
			exit !(seconds > 0.2 && deadlines > 0 && deadlines < 400 * seconds)
		}' "$dir.json"
}

for guest in amd64 i386; do
	if ! why=$("$top_srcdir/tools/guest/fetch" "$guest" 2>&1); then
		tap_skip "$guest boots" "not now: its packages can't be fetched: $(tail -n 1 <<<"$why")"
		continue
	fi
	tap "$guest can be made" "$top_srcdir/tools/guest/mkguest" "$guest"
	tap "$guest boots, and says the same with acceleration as without" \
		"$top_srcdir/tools/demo/boots" --guest "$guest" --bochs "$BOCHS" \
		--divisor 200 --only sha,fp,mem,sys,fault,fork,ctx,xz,shell 1
	tap "$guest has no workload that fails" \
		test "$(grep -c '^@ stop [^ ]* 0$' "$BOOTS_OUT/$guest.results")" = 9
	for name in sha fp mem; do
		if "$BUILD/guest/$guest/root/bin/w-$name" 1 >/dev/null 2>&1; then
			tap "$guest: $name computes what the host computes" host_agrees "$guest" "$name"
		else
			tap_skip "$guest: $name computes what the host computes" \
				"this host does not run the guest's programs"
		fi
	done
done
if [ -r "$BOOTS_OUT/amd64.iso" ]; then
	tap "amd64 with AVX-512, and without PCIDs: the same with acceleration as without, and natively" \
		other_processor corei7_skylake_x
	tap "amd64: a program that computes is left alone" few_deadlines
else
	tap_skip "amd64 with AVX-512, and a program that computes" "the guest could not be made"
fi

tap_done
