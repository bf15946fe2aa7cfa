#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The process engine as root of a container: without CAP_SYS_PTRACE a tracer can read
# its children's code only if they stay dumpable, and without it traps are misunderstood.
set -u
. "$top_srcdir/tests/tap.sh"

here=$top_builddir/tests/conformance

[ "$(id -u)" = 0 ] || tap_skip_all 'needs root, to have capabilities that it can give up'

# All of it passes, and it is not all skipped because the engine didn't open.
passes() {
	local out status=0
	out=$("$here/in_container" "$@") || status=$?
	echo "$out"
	[ "$status" = 0 ] && [ "$(grep '^ok' <<<"$out" | grep -vc SKIP)" -ge 4 ]
}

for part in exits64 compat segments hostile; do
	if [ $part = compat ] && "$here/conformance" process compat | grep -q 'no CAP_COMPAT'; then
		tap_skip compat "this host runs no 32-bit code"
		continue
	fi
	tap "$part" passes "$here/conformance" process "$part"
done
tap 'sandbox, stub' passes "$here/process_own"
# No namespace of PIDs ends what is left when its first process does.
tap 'open, close' passes "$here/process_open"
tap 'children that are killed' passes "$here/process_kill"
tap_done
