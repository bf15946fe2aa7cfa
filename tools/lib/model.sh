# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The processor that a guest gets if nobody chose one: a subset of the host's, and of the
# host's vendor, as SYSCALL and SYSENTER in 32-bit code differ between the two.  Sourced.
# shellcheck shell=bash

default_model() {
	if grep -q -m1 'vendor_id.*\(AMD\|Hygon\)' /proc/cpuinfo; then
		echo ryzen
	elif ! grep -q -m1 '^flags.* bmi1' /proc/cpuinfo; then
		echo corei7_sandy_bridge_2600k
	else
		echo corei7_haswell_4770
	fi
}

# Has a guest of this MODEL AVX-512?
model_has_avx512() {
	case $1 in
	*skylake_x | *cnl | *icelake_u | tigerlake | sapphire_rapids) ;;
	*)	return 1 ;;
	esac
}
