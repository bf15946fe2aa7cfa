#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Says, in sentences, what this machine can do for the accelerator, what stands
# in the way, and which guest CPU model to choose.  Changes nothing.
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)

flags=" $(sed -n 's/^flags[^:]*: //p' /proc/cpuinfo | head -n 1) "
vendor=$(sed -n 's/^vendor_id[^:]*: //p' /proc/cpuinfo | head -n 1)
name=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
cpus=$(nproc)

has() {
	case $flags in *" $1 "*) return 0 ;; esac
	return 1
}

# What user code may use under a model of Bochs (cpu/cpudb/), in the words of
# /proc/cpuinfo.  What only a kernel can use does not matter: Bochs runs kernels.
needs_core2_penryn_t9600="sse2 pni ssse3 sse4_1 cx16 lahf_lm"
needs_corei7_sandy_bridge_2600k="$needs_core2_penryn_t9600 sse4_2 popcnt aes pclmulqdq avx rdtscp xsave xsaveopt"
needs_corei7_haswell_4770="$needs_core2_penryn_t9600 sse4_2 popcnt aes pclmulqdq movbe avx f16c avx2
	fma abm bmi1 bmi2 fsgsbase rdrand rdtscp xsave xsaveopt"
needs_ryzen="$needs_corei7_haswell_4770 sse4a misalignsse rdseed adx sha_ni clflushopt clzero xsavec"

needs_corei7_icelake_u="$needs_corei7_haswell_4770 rdseed adx sha_ni clflushopt xsavec rdpid gfni vaes
	vpclmulqdq avx512f avx512dq avx512cd avx512bw avx512vl avx512ifma avx512vbmi avx512_vbmi2
	avx512_vnni avx512_bitalg avx512_vpopcntdq"

# lacking MODEL: the features of MODEL that this CPU has not
lacking() {
	local needs=needs_$1 flag
	for flag in ${!needs}; do
		has "$flag" || echo "$flag"
	done | paste -sd' '
}

echo "Processor: $cpus x $name ($vendor)."
if has hypervisor; then
	echo "This is a virtual machine. The process engine works in one; plex86.ko runs in one too."
fi
[ "$cpus" -gt 1 ] ||
	echo "With one CPU, Bochs and the guest's native code take turns; that is what they do anyway."

# The vendor decides how 32-bit code enters its kernel (SYSCALL or SYSENTER).
case $vendor in
AuthenticAMD | HygonGenuine)	preferred="ryzen corei7_haswell_4770" ;;
*)				preferred="corei7_haswell_4770 ryzen" ;;
esac
best=
for model in $preferred corei7_sandy_bridge_2600k core2_penryn_t9600 corei7_icelake_u; do
	lacks=$(lacking "$model")
	if [ -z "$lacks" ]; then
		echo "Guest CPU model $model: fits, all that its user code may use is here."
		[ -n "$best" ] || best=$model
	else
		echo "Guest CPU model $model: does not fit, this CPU has no $lacks."
	fi
done
if [ -n "$best" ]; then
	echo "Choose in bochsrc:  cpu: model=$best"
else
	echo "No model of Bochs that is tried here fits this CPU; native code could meet an instruction that it lacks."
fi

echo
if [ -x "$root/build/tools/engines" ]; then
	"$root/build/tools/engines" || true
else
	echo "The engines are not built yet; after ./quickstart build this command tries each."
fi

scope=$(cat /proc/sys/kernel/yama/ptrace_scope 2>/dev/null || echo 0)
[ "$scope" -lt 2 ] ||
	echo "kernel.yama.ptrace_scope is $scope: tracing is for root only, so the process engine needs root, or: sysctl kernel.yama.ptrace_scope=1"
maps=$(cat /proc/sys/vm/max_map_count)
[ "$maps" -ge 65530 ] ||
	echo "vm.max_map_count is $maps: large guest programs will be given back to Bochs; the usual value is 65530."
if [ ! -e /dev/plex86 ]; then
	echo "There is no /dev/plex86: the module plex86.ko is not loaded, and the driver engine can't be used."
elif [ ! -w /dev/plex86 ]; then
	echo "/dev/plex86 is there, but this user may not open it."
fi

free_mb=$(df -Pm "$root" | awk 'NR == 2 { print $4 }')
[ "$free_mb" -ge 4000 ] ||
	echo "Only $free_mb MB are free in $root: the build and the demo's guests take about 4000."
