#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The structures that cross a boundary (process to stub, user space to kernel, C
# to C++) have one layout, whoever compiles them: C and C++, 64 and 32 bits.  The
# headers assert some offsets; this compares all, of members that it reads from
# the headers, so that a new one can't be forgotten.
set -u
. "$top_srcdir/tests/tap.sh"
. "$top_srcdir/tests/host.sh"

headers="plex86/cpu.h plex86/uapi.h"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# "struct NAME {", then one "type name[n];" per line: prints "NAME" and "NAME member"
members() {
	cat "$@" | $CC -fpreprocessed -E -P -x c - | awk '/^struct plex86_[a-z0-9_]+ \{/ { name = $2; print name; next }
	     /^\}/ { name = "" }
	     name && match($0, /[a-z_0-9]+(\[[^]]*\])*;/) {
		member = substr($0, RSTART, RLENGTH)
		sub(/[[;].*/, "", member)
		print name, member
	     }'
}

# A program that prints where the compiler put each of them.
generate() {
	local header
	echo '#include <stddef.h>'
	echo '#include <stdio.h>'
	for header in $headers; do
		echo "#include <$header>"
	done
	echo 'int main(void) {'
	# shellcheck disable=SC2086
	(cd "$top_srcdir/include" && members $headers) | awk '
		NF == 1 { printf "printf(\"%s %%u\\n\", (unsigned)sizeof(struct %s));\n", $1, $1 }
		NF == 2 { printf "printf(\"%s.%s %%u %%u\\n\", (unsigned)offsetof(struct %s, %s)," \
			  "(unsigned)sizeof(((struct %s *)0)->%s));\n", $1, $2, $1, $2, $1, $2 }'
	echo 'return 0; }'
}
generate >"$work/layout.c"

# layout NAME BITS COMPILER FLAGS...	compiles it and keeps what it prints
# Linked as C, because Debian's 32-bit C++ library is a package of its own.
layout() {
	local name=$1 bits=$2
	shift 2
	"$@" -m"$bits" -Wall -Wextra -Werror -I"$top_srcdir/include" -c \
		-o "$work/$name.o" "$work/layout.c" || return
	# shellcheck disable=SC2086
	$CC -m"$bits" -o "$work/$name" "$work/$name.o" && "$work/$name" >"$work/$name.txt"
}

# shellcheck disable=SC2086
{
	tap "C, 64 bits" layout c64 64 $CC -x c -std=gnu11
	tap "C++, 64 bits" layout cxx64 64 $CXX -x c++ -std=gnu++11
}
tap "C++ lays out as C does" diff "$work/c64.txt" "$work/cxx64.txt"

why32=''
if [ "$HAVE_M32" != yes ]; then
	why32="no 32-bit C library (gcc-multilib)"
elif echo 'int main(void) { return 0; }' | $CC -m32 -x c -o "$work/try32" - &&
	! kernel_runs32 "$work/try32"; then
	why32="this host runs no 32-bit programs"
fi
if [ -z "$why32" ]; then
	# shellcheck disable=SC2086
	{
		tap "C, 32 bits" layout c32 32 $CC -x c -std=gnu11
		tap "C++, 32 bits" layout cxx32 32 $CXX -x c++ -std=gnu++11
	}
	tap "32-bit C lays out as 64-bit C does" diff "$work/c64.txt" "$work/c32.txt"
	tap "32-bit C++ lays out as 64-bit C++ does" diff "$work/cxx64.txt" "$work/cxx32.txt"
else
	for name in "C, 32 bits" "C++, 32 bits" "32-bit C lays out as 64-bit C does" \
		"32-bit C++ lays out as 64-bit C++ does"; do
		tap_skip "$name" "$why32"
	done
fi

# Members read by the rule above leave no gap, so none was overlooked, and no
# byte that crosses a boundary is undefined.
tap_is "no hole, no tail and no overlooked member" "$(awk '
	function tail() { if (name && end != size) print name, "has a tail" }
	NF == 2 { tail(); name = $1; size = $2; end = 0 }
	NF == 3 { if ($2 != end) print $1, "follows a hole"; end = $2 + $3 }
	END { tail() }' "$work/c64.txt")" ""
tap "the register image was among them" grep -q '^plex86_cpu.rflags ' "$work/c64.txt"

tap_done
