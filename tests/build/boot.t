#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# The Bochs of this build boots where it was built, through its own BIOS, with
# no environment but the wrapper's: once without the accelerator's line in
# bochsrc, once with the accelerator asked to do nothing.
set -u
. "$top_srcdir/tests/tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1

# shellcheck disable=SC2086
tap "the boot sector assembles" $CC -m32 -nostdlib -static -Wl,--oformat=binary -Wl,-Ttext=0x7c00 \
	-Wl,--build-id=none -no-pie -fno-asynchronous-unwind-tables \
	-o sector "$top_srcdir/tests/build/boot-sector.S"
truncate -s 1474560 sector

cat >bochsrc <<END
plugin_ctrl: unmapped=1, biosdev=1
display_library: nogui
cpu: ips=100000000
clock: sync=none
memory: guest=32, host=32
floppya: 1_44=$work/sector, status=inserted
boot: floppy
romimage: file=\$BXSHARE/BIOS-bochs-latest
vgaromimage: file=\$BXSHARE/VGABIOS-lgpl-latest.bin
port_e9_hack: enabled=1
sound: waveoutdrv=dummy, waveindrv=dummy, midioutdrv=dummy
log: $work/bochs.log
panic: action=fatal
END

boot() {
	unset LTDL_LIBRARY_PATH BXSHARE
	rm -f bochs.log
	timeout --foreground 120 "$BOCHS" -q -f bochsrc "$@" >out.txt 2>&1 </dev/null
	grep -q 'boot sector reached' out.txt && return
	tail -n 5 out.txt bochs.log
	return 1
}

tap "boots a floppy without the accelerator" boot
tap "boots a floppy with plex86: enabled=0" boot 'plex86: enabled=0'

# Guest memory that can be shared is a file to the kernel, which kills by a signal.
little_files() {
	(ulimit -f 20000 && boot 'plex86: enabled=1') && grep 'ulimit -f' bochs.log
}
tap "boots without acceleration, and says why, if files may not be as large as guest memory" little_files

# What is wrong in the line is said; what can't be had by its name ends it.
says() {		# says WHAT LINE...: it boots, and the log has WHAT
	boot "${@:2}" && { cat bochs.log out.txt 2>&1 | grep -F -- "$1" || { cat out.txt; return 1; }; }
}
stops() {		# stops WHAT LINE...: it ends, and says WHAT
	! boot "${@:2}" && { cat bochs.log out.txt 2>&1 | grep -F -- "$1" || { cat out.txt; return 1; }; }
}
tap "a parameter that there is none of" says "ignored: 'colour=blue'" 'plex86: enabled=1, colour=blue'
tap "an engine that there is none of" says "engine=" 'plex86: enabled=1, engine=steam'
tap "a parameter without a name" says "ignored: '='" 'plex86: enabled=1, ='
tap "a value that is none" stops "max_spaces" 'plex86: enabled=1, max_spaces=0'
tap "engine=none" says "user code runs on engine 'none'" 'plex86: enabled=1, engine=none'
tap "host memory that is smaller than the guest's" says "host is smaller than guest" \
	'plex86: enabled=1' 'memory: guest=64, host=32'
tap "the same with an engine's name" stops "host is smaller than guest" \
	'plex86: enabled=1, engine=process' 'memory: guest=64, host=32'
if [ -c /dev/plex86 ]; then
	tap_skip "engine=driver where it can't be had" "there is a /dev/plex86"
else
	tap "engine=driver where it can't be had" stops "no acceleration: driver: there is no /dev/plex86" \
		'plex86: enabled=1, engine=driver'
fi

# Where nothing is accelerated there are no statistics; the guest must not end for that.
asked() {		# asked LINE...: boots, though SIGUSR2 comes all the time
	local bochs status sent=0
	"$BOCHS" -q -f bochsrc "$@" >out.txt 2>&1 </dev/null &
	bochs=$!
	until awk '/^SigCgt:/ { exit substr($2, length($2) - 2, 1) !~ /[89a-f]/ }' /proc/$bochs/status; do
		kill -0 $bochs || break
		sleep 0.01
	done
	while kill -USR2 $bochs; do
		sent=$((sent + 1))
		sleep 0.01
	done
	wait $bochs
	status=$?	# a panic's: that is how it ends; not a signal's
	[ $status -lt 128 ] && grep -q 'boot sector reached' out.txt && [ $sent -gt 3 ] && return
	echo "status $status, $sent signals"
	tail -n 5 out.txt bochs.log
	return 1
} 2>/dev/null
for line in 'plex86: enabled=0' 'plex86: enabled=1, engine=none' 'plex86: trace=bursts'; do
	tap "SIGUSR2: $line" asked "$line"
done

# The plugin says for which version it was built; this one says another.
another_bochs() {
	local from so
	from=$(realpath "$top_builddir/bochs/plugins")
	mkdir -p plugins
	ln -sf "$from"/* plugins
	so=plugins/libbx_plex86.so
	rm $so
	perl -0777 -pe 's/\x003\.0\x00/\x002.8\x00/g' "$from/libbx_plex86.so" >$so
	cmp -s $so "$from/libbx_plex86.so" && return 1
	PLEX86_PLUGINS=$work/plugins boot "$1" && grep 'built for another Bochs' out.txt &&
		! grep '[ep]\[PLEX86' bochs.log
}
for line in 'plex86: enabled=1' 'plex86: enabled=1, engine=process' 'plex86: enabled=1, trace=bursts' 'plex86: verify=1'; do
	tap "a plugin for another Bochs does nothing: $line" another_bochs "$line"
done

tap_done
