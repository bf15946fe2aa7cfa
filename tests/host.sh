# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What this host can't, so that a test that needs it is skipped, with a reason.  Sourced by
# bash scripts.  tests/conformance/process_host says whether the engine finds that out.

# Does ENGINE run 32-bit code here?
engine_runs32() {
	"$top_builddir/tools/engines" | awk -v engine="$1:" '
		/^engine/ { mine = $2 == engine }
		mine && /can do:.* 32-bit guests/ { found = 1 }
		END { exit !found }'
}

# Does the kernel run 32-bit programs?  PROGRAM is one.
kernel_runs32() {
	local status=0
	"$1" >/dev/null 2>&1 || status=$?
	[ "$status" != 126 ]
}
