#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Snapshots (Bochs's "save" button, and bochs -r) do not depend on acceleration: saved with
# it and without, in user mode and in the guest's kernel, restored with it, without it, and
# with the plugin not even loaded. What the guest said until then and what it says from then
# on are together what it says when nobody interrupts it.
set -u
. "$top_srcdir/tests/boot/kernel.sh"

saver=$top_builddir/tests/boot/.libs/libbx_snapshot.so
trap 'rm -rf "$work"' EXIT

mkdir "$work/plugins" "$work/cwd"
ln -s "$top_builddir"/bochs/plugins/* "$saver" "$work/plugins/"
cd "$work/cwd" || exit 1

# Two thirds of the guest's tests: call gates and rings.  (In the midst of some tests that look at vector
# registers, trap/xm_avx for instance, a Bochs without acceleration that is restored has others than
# it had: docs/bochs-differences.md.)
tick=967000000
options=(-c "$(default_model)" -e 8 -g 0x35 -s 2000 -n 50 -t 60 -b "$BOCHS")

plain() {
	"$here/run-guest" "${options[@]}" bochs "$image" >"$work/plain"
}

save() {		# save NAME MODE LINE: the guest does not come to its end
	mkdir -p "$work/$1/saved"
	PLEX86_PLUGINS=$work/plugins PLEX86_SNAPSHOT="$2 $tick $work/$1/saved" \
		"$here/run-guest" -w "$work/$1" "${options[@]}" -x "plugin_ctrl: snapshot=1" -x "$3" \
		bochs "$image" >/dev/null 2>&1
	grep -a 'snapshot saved' "$work/$1/err" || { tail "$work/$1/err"; return 1; }
}

log() {			# log FILE: what the guest says in it, from its first word on
	sed -n '/TK-BEGIN/,$p' "$1" | tr -d '\r'
}

timers() {		# how many timers of Bochs's are in a snapshot
	grep -c inUse "$work/$1/saved/pc_system"
}

# What Bochs itself says on stdout ends with three lines of "please wait". The plugin that saved
# is not there any more.
restore() {		# restore NAME HOW SED-EXPRESSION: of the bochsrc that Bochs wrote
	local out=$work/$1-$2
	rm -f "$work/$1/bochs.log" "$work/$1/stats"
	cp -r "$work/$1/saved" "$out.saved"
	sed -i -e 's/ snapshot=true,//' -e "$3" "$out.saved/config"
	timeout --foreground 60 "$BOCHS" -q -r "$out.saved" >"$out.out" 2>"$out.err" </dev/null
	rm -rf "$out.saved"
	grep -q '^TK-END' "$out.out" || { tail -n 5 "$out.out" "$out.err" "$work/$1/bochs.log"; return 1; }
	{
		cat "$work/$1/out"
		sed '1,/^Depending on the size/d' "$out.out"
	} >"$out.both"
	log "$out.both" | sed '/^TK-END/q' >"$out.log"
	"$here/compare-logs" -k "$here/limits-process" "$work/plain" "$out.log"
}

natively() {
	[ "$(awk -F '[:,]' '/"native_slices"/ { print $2 }' "$work/$1/stats")" -gt 100 ]
}

in_the_midst() {	# it was saved neither before the first test nor behind the last
	local all said
	all=$(wc -l <"$work/plain") said=$(log "$work/$1/out" | wc -l)
	echo "$said lines of $all"
	[ "$said" -gt $((all / 10)) ] && [ "$said" -lt $((all * 9 / 10)) ]
}

tap "the test kernel runs without interruption" plain
for mode in user kernel; do
	for saved in on off; do
		name=$saved-$mode
		what="saved with acceleration $saved, in $mode mode"
		line="plex86: enabled=0"
		[ $saved = off ] || line="plex86: engine=process, handover=always"
		tap "a snapshot is $what" save $name ${mode:0:1} "$line"
		tap "$what: in the midst of the tests" in_the_midst $name
		tap "$what: restored with it on" restore $name on \
			"s|^plex86:.*stats=none|plex86: engine=process, handover=always, stats=$work/$name/stats|"
		tap "$what: and user code runs natively" natively $name
		tap "$what: restored with it off" restore $name off 's/^plex86: enabled=[a-z]*/plex86: enabled=0/'
	done
	tap_is "in $mode mode, a snapshot has as many timers with acceleration as without" \
		"$(timers on-$mode)" "$(timers off-$mode)"
done
tap "restored in a Bochs that does not load the plugin" restore on-user without \
	'/^plex86:/d; s/plex86=true, //'
# As Bochs wrote the line: an empty string is "none" there.
tap "restored as it was saved" restore on-user same ''
tap "and user code runs natively" grep -q 'user code runs on engine' "$work/on-user/bochs.log"
tap_is "no file was made for a name that was not given" "$(ls)" ""

tap_done
