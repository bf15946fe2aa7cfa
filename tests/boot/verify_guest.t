#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A Debian guest in verify mode: all that it runs natively from its first process on, and a
# little of a few workloads, is executed again by Bochs, and nothing differs.  One or two
# minutes; "make check-verify" has both guests and all workloads.
set -u
. "$top_srcdir/tests/tap.sh"

export BUILD=$top_builddir
why=$("$top_srcdir/tools/guest/fetch" amd64 2>&1) ||
	tap_skip_all "not now: the guest's packages can't be fetched: $(tail -n 1 <<<"$why")"
exec "$top_srcdir/tests/verify/guests" --guest amd64 --only sha,fork --divisor 200 \
	--bochs "$BOCHS" --engine process --folder "$BUILD/tests/boot-verify-guest"
