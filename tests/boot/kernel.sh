# SPDX-License-Identifier: LGPL-2.1-or-later
#
# For tests that boot the test kernel with options of Bochs's: $image is it, $here where its
# sources and run-guest are, $work a folder of the test's own, which the test removes.
. "$top_srcdir/tests/tap.sh"
. "$top_srcdir/tools/lib/model.sh"

# shellcheck disable=SC2034 # for who sources this
here=$top_srcdir/tests/guest
image=$top_builddir/tests/guest/tk64.img
[ -r "$image" ] || tap_skip_all "there is no test kernel: the compiler can't make it"
work=$(mktemp -d)
