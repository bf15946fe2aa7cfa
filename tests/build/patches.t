#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The patch series applies to a pristine Bochs, and each beginning of it is a
# Bochs that compiles, with the option on and off: whoever bisects or takes only
# the first patches gets something that works.  Compiled is what a patch touches
# and one file of each core folder that includes the touched headers; the whole
# is compiled by the build itself.
set -u
. "$top_srcdir/tests/tap.sh"

pristine=$(cat "$top_builddir/bochs/pristine" 2>/dev/null) ||
	tap_skip_all "the pristine source isn't there (built with --with-bochs-build)"
[ -e "$pristine" ] ||
	tap_skip_all "not now: $pristine is gone; it comes back where bochs/ in the build folder is removed and built again"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
series=$top_srcdir/patches/bochs-$BOCHS_VERSION

# Two generated configurations, each searched before the build's own.
mkdir "$work/on" "$work/off"
cp "$BOCHS_OBJ/config.h" "$work/on/"
sed 's/^#define BX_SUPPORT_CPU_ACCEL 1/#define BX_SUPPORT_CPU_ACCEL 0/' "$BOCHS_OBJ/config.h" \
	>"$work/off/config.h"
tap "the build's Bochs has the accelerator interface, so off differs from on" \
	bash -c "! cmp -s '$work/on/config.h' '$work/off/config.h'"

touched() {
	sed -n 's,^+++ [^/]*/\([^ \t]*\).*,\1,p' "$1"
}

# compile TREE on|off FILES...
compile() {
	local tree=$1 config=$2
	shift 2
	printf '%s\n' "$@" | sort -u | (cd "$tree" && xargs -P "$(nproc)" -I{} \
		$CXX -fsyntax-only -D_FILE_OFFSET_BITS=64 -D_LARGE_FILES \
		-DBX_PLUGIN_PATH='"/plugins"' -DBX_SHARE_PATH='"/share"' \
		-I"$work/$config" -I"$BOCHS_OBJ" -I. -Iiodev -Icpu -Iinstrument/stubs {})
}

n=0
files=(cpu/cpu.cc memory/memory.cc main.cc)
while read -r name _; do
	case $name in '' | '#'*) continue ;; esac
	n=$((n + 1))
	tap "$name has a header that says what it does" \
		grep -q '^Description: .' "$series/$name"
	tap "series up to $name applies" \
		"$top_srcdir/tools/patch-bochs" "$pristine" "$work/tree" "$n"
	while read -r file; do
		case $file in *.cc) files+=("$file") ;; esac
	done < <(touched "$series/$name")
	tap "series up to $name compiles, accelerator on" compile "$work/tree" on "${files[@]}"
	tap "series up to $name compiles, accelerator off" compile "$work/tree" off "${files[@]}"
done <"$series/series"

tap "the series is not empty" test "$n" -gt 0
tap "what the series makes is what was built" \
	diff -rq --exclude=bios --exclude=.patch.log "$work/tree" "$BOCHS_SRC"

unlisted() {
	local file
	for file in "$series"/*.patch; do
		grep -qx "${file##*/}" "$series/series" || echo "${file##*/}"
	done
}
tap_is "every patch is in the series" "$(unlisted)" ""

tap_done
