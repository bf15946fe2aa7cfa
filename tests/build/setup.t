#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Installing packages when things are as they are on real machines: all there and
# no network, a locked package database, an index that does not download, a user
# who is not root.  apt, dpkg, sudo and id are stand-ins that write down how they
# were called.
set -u
. "$top_srcdir/tests/tap.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
export BUILD=$work CALLS=$work/calls

stand_in() {
	{
		echo '#!/bin/bash'
		cat
	} >"$work/bin/$1"
	chmod +x "$work/bin/$1"
}

# What is installed is in the file "installed"; the rest is missing.
stand_in dpkg-query <<'END'
cat "$BUILD/installed"
END
# The result of the Nth call is in the file "apt.N": words to say, then a status.
stand_in apt-get <<'END'
n=$(($(cat "$BUILD/n" 2>/dev/null || echo 0) + 1))
echo "$n" >"$BUILD/n"
while [[ ${1-} == -* ]]; do [ "$1" != -o ] || shift; shift; done
echo "apt-get $*" >>"$CALLS"
[ ! -e "$BUILD/apt.$n" ] || { head -n 1 "$BUILD/apt.$n"; exit "$(sed -n 2p "$BUILD/apt.$n")"; }
END
# Optional packages can be had if the file "candidate" is there; "late": once apt has its indices.
stand_in apt-cache <<'END'
[ ! -e "$BUILD/late" ] || ! grep -q update "$CALLS" || touch "$BUILD/candidate"
[ ! -e "$BUILD/candidate" ] || echo "  Candidate: 1.0"
END
stand_in sleep </dev/null
stand_in sudo <<'END'
echo "sudo $*" >>"$CALLS"
[ "$1" != -v ] || exit "${SUDO_STATUS:-0}"
[ "$1" != -n ] || { [ -z "${SUDO_ASKS-}" ] || exit 1; shift; }
[ "$1" != -- ] || shift
exec "$@"
END
stand_in id <<'END'
echo "${FAKE_UID-0}"
END

packages=$(awk '!/^#/ && NF && $3 != "optional" { print $2 }' "$top_srcdir/tools/packages" | sort -u)

# setup STATUS NAME...	runs it with packages NAME... missing; checks its status
setup() {
	local want=$1 status=0 name
	shift
	rm -f "$work"/{calls,n}
	touch "$CALLS"
	for name in $packages; do
		[[ " $* " == *" $name "* ]] || echo "$name installed"
	done >"$work/installed"
	PATH=$work/bin:$PATH "$top_srcdir/tools/setup.sh" >"$work/out" 2>&1 || status=$?
	rm -f "$work"/apt.*
	[ "$status" = "$want" ] || { cat "$work/out"; return 1; }
}

answer() {
	printf '%s\n%s\n' "$2" "$3" >"$work/apt.$1"
}

tap "nothing missing: succeeds" setup 0
tap_is "nothing missing: asks neither apt nor sudo" "$(cat "$CALLS")" ""

tap "one missing: succeeds" setup 0 xorriso
tap_is "one missing: installs that one, with no update first" "$(cat "$CALLS")" \
	"apt-get install --no-install-recommends xorriso"

answer 1 "E: Could not get lock /var/lib/dpkg/lock-frontend" 100
answer 2 "E: Could not get lock /var/lib/dpkg/lock-frontend" 100
tap "locked twice: succeeds" setup 0 xorriso
tap_is "locked twice: tried three times" "$(grep -c install "$CALLS")" 3

answer 1 "E: Unable to locate package xorriso" 100
answer 2 "E: Failed to fetch a foreign architecture's index" 100
tap "old indices, and one that fails to download: succeeds" setup 0 xorriso
tap_is "old indices: updates, then installs all the same" "$(cat "$CALLS")" \
	"apt-get install --no-install-recommends xorriso
apt-get update
apt-get install --no-install-recommends xorriso"

answer 1 "E: Unable to locate package xorriso" 100
answer 3 "E: Unable to locate package xorriso" 100
tap "not to be had: fails" setup 1 xorriso
tap "not to be had: names the package and the log" \
	bash -c "grep -q 'Needed are: xorriso' '$work/out' && grep -q 'setup.log' '$work/out'"

FAKE_UID=1000
export FAKE_UID
tap "not root: succeeds" setup 0 xorriso
tap "not root: apt-get is run by sudo" grep -q '^sudo -- env .*apt-get' "$CALLS"
export SUDO_STATUS=1
tap "sudo refused: fails" setup 1 xorriso
tap "sudo refused: says what to type as root" \
	grep -q 'as root, run: apt-get install xorriso' "$work/out"
unset SUDO_STATUS

# An optional one, shellcheck; the others are those without which nothing works.
touch "$work/late"
answer 1 "E: Unable to locate package xorriso" 100
FAKE_UID=0
tap "fresh machine: succeeds" setup 0 xorriso
tap_is "fresh machine: optional ones are installed when there are indices" "$(cat "$CALLS")" \
	"apt-get install --no-install-recommends xorriso
apt-get update
apt-get install --no-install-recommends xorriso
apt-get install --no-install-recommends shellcheck"
FAKE_UID=1000
tap "not root, one optional missing: succeeds" setup 0
tap "not root: it is installed if nobody is asked for anything" grep -q '^apt-get install .*shellcheck' "$CALLS"
export SUDO_ASKS=yes
tap "sudo wants a password for it: succeeds" setup 0
tap_is "sudo wants a password for it: that is all" "$(grep -v '^sudo -n -- true' "$CALLS")" ""
unset SUDO_ASKS
FAKE_UID=0
answer 1 "E: Could not get lock /var/lib/dpkg/lock-frontend" 100
answer 3 "E: Could not get lock /var/lib/dpkg/lock-frontend" 100
tap "optional one that can't be installed: succeeds" setup 0
tap "optional one that can't be installed: is named" grep -q '^shellcheck could not be installed' "$work/out"
tap_is "optional one that can't be installed: waits for no lock" "$(grep -c install "$CALLS")" 2
tap "and the next time: succeeds" setup 0
tap_is "and the next time: nobody is asked" "$(cat "$CALLS")" ""
touch -d '2 days ago' "$work/logs/setup-without-shellcheck"
tap "two days later: succeeds" setup 0
tap_is "two days later: it is tried again" "$(cat "$CALLS")" "apt-get install --no-install-recommends shellcheck"

tap_done
