# SPDX-License-Identifier: LGPL-2.1-or-later
# What the guest and demo scripts share: where things are, and how to speak.
# Sourced, never run.  BUILD is the build folder; everything that is made goes there.
# shellcheck shell=bash

export LC_ALL=C		# decimal points, also where a user runs one of them alone
TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
BUILD=${BUILD:-$TOP/build}
. "$TOP/tools/lib/model.sh"
. "$TOP/tools/lib/driver.sh"
mkdir -p "$BUILD"
BUILD=$(cd "$BUILD" && pwd)
GUEST=$BUILD/guest
GUEST_ARCHS="amd64 i386"

say() {		# progress, for the person who waits
	echo "$*" >&2
}

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

need() {	# need COMMAND PACKAGE
	command -v "$1" >/dev/null || die "'$1' is missing: apt-get install $2"
}

# The first processor that this process may use.
first_cpu() {
	sed -n 's/^Cpus_allowed_list:[[:space:]]*\([0-9]*\).*/\1/p' /proc/self/status
}

check_arch() {
	case " $GUEST_ARCHS " in
	*" $1 "*) ;;
	*) die "there is no guest '$1' (there are: $GUEST_ARCHS)" ;;
	esac
}

# The plugin takes what it does not know for auto.
check_engine() {
	case $1 in
	auto | driver | process | none) ;;
	*) die "there is no engine '$1' (there are: auto, driver, process, none)" ;;
	esac
}

# Does a Bochs with this engine need the QEMU host?  Then the guest's processor is of its vendor, and lacks what
# QEMU 7.2 lacks and programs like: each SHA instruction would be a trap.
hosted=()
check_hosted() {	# check_hosted ENGINE: sets hosted, an option of tools/guest/run, and MODEL
	local why
	if [ "$1" = driver ] && ! driver_here; then
		why=$("$TOP/tests/kmod/hosted" -n) || die "there is no /dev/plex86 to use, and no emulated host: $why"
		hosted=(-H)
		export MODEL=${MODEL:-ryzen, exclude_features=\"sha\"}
		say "There is no /dev/plex86 to use: Bochs with engine=driver runs in QEMU (tests/kmod/hosted), slowly."
	fi
}

# True when OUT exists and is newer than all inputs.
fresh() {	# fresh OUT INPUT...
	local out=$1 in
	shift
	[ -e "$out" ] || return 1
	for in; do
		[ "$in" -nt "$out" ] && return 1
	done
	return 0
}

