#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# plex86.ko on three emulated hosts.  PLEX86_KMOD=full: on all of them.
export KMOD_WORK=$top_builddir/kmod-test
export KMOD_CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/bochs-plex86/kmod
exec "$top_srcdir/tests/kmod/run" "${PLEX86_KMOD:-quick}"
