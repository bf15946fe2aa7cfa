#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The plugin as a file: one exported symbol, nothing undefined that neither Bochs
# nor its own libraries have, and Bochs finds it by its own search.
set -u
. "$top_srcdir/tests/tap.sh"

plugin=$top_builddir/.libs/libbx_plex86.so

tap_is "exports libplex86_plugin_entry and nothing else" \
	"$(nm -D --defined-only "$plugin" | awk '{ print $3 }')" "libplex86_plugin_entry"

provided() {
	{
		nm -D --defined-only "$BOCHS_OBJ/bochs"
		ldd "$plugin" | awk '/=> \// { print $3 } /^\t\// { print $1 }' |
			xargs -n 1 nm -D --defined-only
	} | awk 'NF == 3 { print $3 }' | sed 's/@.*//' | sort -u
}
tap_is "every symbol that it needs is in Bochs or in a library that it names" \
	"$(nm -D --undefined-only "$plugin" | awk '$1 == "U" { print $2 }' | sed 's/@.*//' |
		sort -u | comm -23 - <(provided))" ""

tap "has no text relocations and no executable stack" bash -c "
	! readelf -d '$plugin' | grep -q TEXTREL &&
	readelf -lW '$plugin' | grep GNU_STACK | grep -qv RWE"

# Bochs probes all plugins at start, and loads this one when a line names it.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

cat >bochsrc <<END
display_library: nogui
memory: guest=32, host=32
romimage: file=/nonexistent
panic: action=fatal
END

# Bochs gets as far as the missing ROM image; options are read before that.
start() {
	LD_BIND_NOW=1 timeout --foreground 60 "$BOCHS" -q -f bochsrc "$@" >out.txt 2>&1 </dev/null
	grep -q "couldn't open ROM image" out.txt || { tail out.txt; return 1; }
}
tap "Bochs starts with it beside the other plugins" start
tap_is "Bochs has not loaded it unasked" "$(grep -c 'loaded plugin libbx_plex86.so' out.txt)" 0
tap "Bochs knows its line in bochsrc, and loads it, all symbols bound at once" \
	start 'plex86: enabled=0'
tap_is "it is this file that was loaded" "$(grep -c 'loaded plugin libbx_plex86.so' out.txt)" 1
tap "an option that there is not is named, and Bochs goes on" start 'plex86: enabled=0, speed=9'
tap_is "and it is said which" "$(grep -c "wrong parameter for plex86 ignored: 'speed=9'" out.txt)" 1
tap "Bochs starts if told to spin" start 'plex86: enabled=0, spin=1'
tap_is "and says why it won't" "$(grep -c "there is no 'spin'.*docs/process.md" out.txt)" 1

# Bochs frees memory after it has closed its plugins where it ends before it has begun.
ends() {	# ends STATUS ARGS...
	local want=$1 status=0
	shift
	timeout --foreground 60 "$BOCHS" -q -f bochsrc "$@" >out.txt 2>&1 </dev/null || status=$?
	[ "$status" = "$want" ] || { echo "status $status"; tail out.txt; return 1; }
}
tap "with guest memory of its own, too, a panic at the start is an error and not a crash" \
	ends 1 'plex86: enabled=1'
tap "and so it is where Bochs has its own" ends 1 'plex86: enabled=0'

tap_done
