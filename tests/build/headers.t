#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Every header compiles alone, before anything else is included: the public ones
# as C and C++, for 64 and 32 bits, with pedantic warnings; the internal ones as
# what they are, C for 64 bits.
set -u
. "$top_srcdir/tests/tap.sh"

# An empty file that includes just this header.
alone() {
	local header=$1
	shift
	"$@" -fsyntax-only -Wall -Wextra -Werror -I"$top_srcdir/include" -I"$top_srcdir" \
		-include "$header" -x "$language" /dev/null
}

has32=$(echo '#include <stdint.h>' | $CC -m32 -fsyntax-only -x c - 2>/dev/null && echo yes)

public=$(cd "$top_srcdir" && find include -name '*.h' | sort)
for header in $public; do
	for bits in 64 32; do
		for language in c c++; do
			name="$header as $language, $bits bits"
			compiler=$CC
			std=gnu11
			[ "$language" = c ] || compiler=$CXX std=gnu++11
			if [ "$bits" = 32 ] && [ -z "$has32" ]; then
				tap_skip "$name" "no 32-bit C library (gcc-multilib)"
				continue
			fi
			# shellcheck disable=SC2086
			tap "$name" alone "$top_srcdir/$header" $compiler -m$bits -std=$std -pedantic
		done
	done
done

language=c
internal=$(cd "$top_srcdir" && find plugin accel-driver/common accel-driver/driver accel-driver/process -name '*.h' \
	2>/dev/null | sort)
for header in $internal; do
	# shellcheck disable=SC2086
	tap "$header as c" alone "$top_srcdir/$header" $CC -std=gnu11
done

tap_done
