#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# compare-logs judges most other tests of the test kernel: so what it finds is tested, too.
set -u
. "$top_srcdir/tests/tap.sh"

compare=$top_srcdir/tests/guest/compare-logs
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# differ WHAT OPTIONS...: the logs a and b are not the same, and WHAT is said.
differ() {
	local what=$1 out
	shift
	out=$("$compare" "$@" a b) && { echo "no difference: $out"; return 1; }
	grep -qF -- "$what" <<<"$out" || { echo "$out"; return 1; }
}

cat >a <<'END'
TK-START
long/traps/one
 rax 1
long/dr/two
 rax 2
TK-END
END
cp a b
tap "equal logs" "$compare" a b
sed 's/rax 2/rax 3/' a >b
tap "another line" differ "+ rax 3"
tap "in a group that is left out" "$compare" -x dr a b
tap "not in another one" differ "long/dr/two differs" -x traps
echo "long/dr/two	# why" >known
tap "in a test that is known" "$compare" -k known a b
echo "*/dr/two" >known
tap "in any mode" "$compare" -k known a b
echo "pae/dr/two" >known
tap "not in another mode" differ "long/dr/two differs" -k known
sed 's:/dr/:/compat-dr/:' a >c
sed 's/rax 2/rax 3/' c >d
echo "*/dr/two" >known
tap "in compatibility mode too" "$compare" -k known c d
sed '/two/,$d' a >b
tap "a test is missing" differ "1 tests are only in a, the first is long/dr/two"
sed 's/rax 1/rax 1\n rbx 1/' a >b
tap "one line more" differ "+ rbx 1"
grep TK a >b
tap "no test in one of them" differ "no test in b" -x traps
cp b a
tap "nor in both" differ "no test in a"
printf 'long/traps/one\nTK-PANIC: why\n' | tee a >b
tap "both panic" differ "TK-PANIC: why"

tap_done
