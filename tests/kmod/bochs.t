#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Bochs with engine=driver in the emulated host: the test kernel in long mode, most groups by
# themselves, as each has to run natively for its part; what the engine does not do exactly with strict=1,
# too; and the 32-bit kernel in its three paging modes.
# "make check-kmod" has all groups in all modes, longer spins, and the policy.
tk64=$top_builddir/tests/guest/tk64.img tk32=$top_builddir/tests/guest/tk32.img
if [ ! -r "$tk64" ]; then
	echo "1..0 # SKIP there is no test kernel: the compiler can't make it"
	exit
fi
export BUILD=$top_builddir KMOD_WORK=$top_builddir/kmod-bochs
export KMOD_CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/bochs-plex86/kmod
# By policy 28 slices ran of all this: no space lives long enough to pay.
export BOCHS_PLEX86=", handover=always"
# A third of what was measured (on a busy machine) has to run natively: 129, 386, 100, 281 (of both) and
# 403 of 1000; with strict=1 74 (of both); as 32-bit code 323, 579, 193 and 468.
images=("$tk64=8 8 2000 1 2 40" "$tk64=8 16 2000 1 2 130" "$tk64=8 1 2000 1 2 30" "$tk64=8 6 2000 1 2 90"
	"$tk64=8 32 2000 1 2 130" "$tk64=8 9 2000 1 2 25 1")
[ ! -r "$tk32" ] || images+=("$tk32=4 7 2000 1 1 100" "$tk32=3 7 2000 1 1 190" "$tk32=7 24 2000 1 1 60" "$tk32=4 32 2000 1 1 150")
exec "$top_srcdir/tests/kmod/bochs" "${images[@]}"
