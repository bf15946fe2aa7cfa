#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# tests/kmod/hosted: a command on the emulated host finds the driver and this machine's files, can write
# where it may and nowhere else, and is heard.
set -u
. "$top_srcdir/tests/tap.sh"

export KMOD_WORK=$top_builddir/kmod-hosted
export KMOD_CACHE=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/bochs-plex86/kmod
hosted=$top_srcdir/tests/kmod/hosted
# A space in the name finds any missing quote.
work="$top_builddir/tests/kmod/hosted work"
rm -rf "$work"
mkdir -p "$work"
trap 'rm -rf "$work"' EXIT
kmod_top=$top_srcdir kmod_cache=$KMOD_CACHE
. "$top_srcdir/tests/kmod/lib.sh"
mkdir -p "$KMOD_CACHE"
why=$(kmod_need) || tap_skip_all "$why"
kmod_need >/dev/null
why=$(kmod_kernel) || tap_skip_all "$why"

mkfifo "$work/fifo"
mkdir "$work/bin"
for tool in bash dirname mkdir cat realpath find sort tail grep; do ln -s "$(command -v $tool)" "$work/bin/"; done
timeout --foreground 300 cat "$work/fifo" >"$work/heard" &
export SAID='two  words'
status=0
timeout --foreground 300 "$hosted" -w "$work" -f "$work/fifo" bash -c '
	echo "here is $SAID in $PWD, and $1"
	"$2/tools/engines"
	echo live >"$1/fifo"
	echo kept >"$1/kept"
	touch "$2/not-kept" && echo "it wrote to $2"
	echo "$(cat "$(mktemp -p "${TMPDIR-/tmp}")" && echo memory)"
	exit 7' - "$work" "$(realpath "$top_builddir")" >"$work/out" 2>"$work/err" || status=$?
wait

tap_is "the status is the command's" "$status" 7
tap_is "it has this environment, folder and arguments" "$(head -n 1 "$work/out")" "here is two  words in $PWD, and $work"
tap "it finds the driver, which works" grep -q '^engine driver: works here' "$work/out"
tap_is "it can write where it may" "$(cat "$work/kept")" kept
tap "or in memory" grep -qx memory "$work/out"
tap "and nowhere else" bash -c '! grep "it wrote" "$1"' - "$work/out"
tap_is "what it writes to the FIFO comes out here" "$(cat "$work/heard")" live
tap_is "there is nothing to complain about" "$(cat "$work/err")" ""
tap_is "what takes too long is ended, and that is said" \
	"$(KMOD_LIMIT=5 "$hosted" sleep 1000 2>&1; echo $?)" "=== timeout after 5 s
hosted: see $KMOD_WORK/log
125"
tap_is "nothing is missing for it" "$("$hosted" -n; echo $?)" 0
tap "and what is, is said" bash -c 'PATH=$1 "$2" -n | grep "Debian package"' - "$work/bin" "$hosted"
status=0
"$hosted" >/dev/null 2>"$work/err" || status=$?
tap_is "without a command there is a usage" "$status $(grep -c '^hosted: usage' "$work/err")" "125 1"
tap_done
