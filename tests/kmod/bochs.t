#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Bochs with engine=driver in the emulated host: the parts of the test kernel that the
# process engine can't do exactly, sensitive instructions and segments, in long mode.
# "make check-kmod" runs all parts.
image=$top_builddir/tests/guest/tk64.img
if [ ! -r "$image" ]; then
	echo "1..0 # SKIP there is no test kernel: the compiler can't make it"
	exit
fi
export KMOD_WORK=$top_builddir/kmod-bochs
export KMOD_CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/bochs-plex86/kmod
export BOCHS_PARAMS="8 24 60000 1 20"
# By policy 28 slices ran of all this: no space lives long enough to pay.
export BOCHS_PLEX86=", handover=always" BOCHS_SLICES=300
exec "$top_srcdir/tests/kmod/bochs" "$image"
