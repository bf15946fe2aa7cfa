#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# To Bochs's clock each byte that a string instruction copies is a tick, so a program that copies
# comes to the end of each wait at once: the policy must not be asked each time.  Statistics
# come when they are asked for, though nobody asks the policy.
set -u
. "$top_srcdir/tests/tap.sh"

export BUILD=$top_builddir
work=$BUILD/tests/boot-copies
rm -rf "$work"
mkdir -p "$work/job"
why=$("$top_srcdir/tools/guest/fetch" amd64 2>&1) ||
	tap_skip_all "not now: the guest's packages can't be fetched: $(tail -n 1 <<<"$why")"

cat >"$work/copy.c" <<'END'
#include <stdio.h>
#include <unistd.h>
#include <sys/syscall.h>

static char from[65536], to[65536];

/* Bursts of 65,536 ticks and a hundred instructions. */
int main(void)
{
	for (int i = 0; i < 240000; i++) {
		void *d = to, *s = from;
		unsigned long n = sizeof(from);

		from[i % sizeof(from)] = (char)i;
		__asm__ volatile("rep movsb" : "+D"(d), "+S"(s), "+c"(n) : : "memory");
		if (to[i % sizeof(to)] != (char)i)
			return 1;
		syscall(SYS_getppid);
	}
	return 0;
}
END
cat >"$work/job/run" <<'END'
#!/bin/sh
echo "@ start copy"
/job/copy
echo "@ stop copy $?"
END
chmod +x "$work/job/run"

made() {
	$CC -O1 -static -o "$work/job/copy" "$work/copy.c" &&
		"$top_srcdir/tools/guest/mkguest" amd64 &&
		"$top_srcdir/tools/guest/mkiso" amd64 "$work/job" "$work/iso"
}

stat() { sed -n "s/.*\"$1\": *\([0-9]*\).*/\1/p" "$work/$2.json" | head -n 1; }

# Bochs in a process whose number is known, asked for statistics while the guest copies.
boot() {
	local runner tries=0
	cat >"$work/bochs" <<-END
		#!/bin/bash
		echo \$\$ >"$work/pid"
		exec "$BOCHS" "\$@"
	END
	chmod +x "$work/bochs"
	"$top_srcdir/tools/guest/run" -q 600 -b "$work/bochs" \
		-p "enabled=1, engine=process, stats=$work/at-the-end.json" "$work/iso" "$work/run" &
	runner=$!
	until grep -q '@ start copy' "$work/run/said" 2>/dev/null || ! kill -0 "$runner" 2>/dev/null; do
		sleep 0.05
	done
	rm -f "$work/at-the-end.json"
	kill -USR2 "$(cat "$work/pid")"
	until [ -s "$work/at-the-end.json" ] || [ $((tries++)) = 100 ]; do
		sleep 0.05
	done
	cp "$work/at-the-end.json" "$work/on-request.json" 2>/dev/null
	grep -q '@ stop copy' "$work/run/said" && echo "it had ended by then" >"$work/late"
	wait "$runner" && grep -q '@ stop copy 0' "$work/run/said"
}

asked() {
	local n
	n=$(stat asked at-the-end)
	echo "asked $n times"
	[ "$n" -lt 3000 ]
}

tap "the guest is made" made
tap "a program copies, and all arrives" boot
tap "statistics were there on request" test -s "$work/on-request.json"
tap "while it ran" test ! -e "$work/late"
tap "240,000 copies did not ask the policy as often" asked
tap_done
