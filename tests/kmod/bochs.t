#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Bochs with engine=driver in the emulated host: the parts of the test kernel that the
# process engine can't do exactly, sensitive instructions and segments, in long mode; and
# traps and state (INT 0x80 of 64-bit code with all of RAX, which other engines leave to
# Bochs), memory and time, in long mode and in the 32-bit kernel with PAE, with short
# programs.  "make check-kmod" runs all parts.
tk64=$top_builddir/tests/guest/tk64.img tk32=$top_builddir/tests/guest/tk32.img
if [ ! -r "$tk64" ]; then
	echo "1..0 # SKIP there is no test kernel: the compiler can't make it"
	exit
fi
export KMOD_WORK=$top_builddir/kmod-bochs
export KMOD_CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/bochs-plex86/kmod
# By policy 28 slices ran of all this: no space lives long enough to pay.
export BOCHS_PLEX86=", handover=always" BOCHS_SLICES=300
images=("$tk64=8 24 20000 1 20" "$tk64=8 7 2000 1 2")
[ ! -r "$tk32" ] || images+=("$tk32=4 7 2000 1 1")
exec "$top_srcdir/tests/kmod/bochs" "${images[@]}"
