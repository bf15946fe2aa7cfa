#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Builds everything in build/: autoreconf, configure and make, each only when it
# has something to do.  PLEX86_CONFIGURE holds further options for configure.
#
#   build.sh [--for PURPOSE]	(packages are installed for "build" and PURPOSE)
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tools/lib/progress.sh
. "$root/tools/lib/progress.sh"

purposes=(build)
while [ $# -gt 0 ]; do
	case $1 in
	--for)	purposes+=("$2"); shift 2 ;;
	*)	echo "build: there is no option '$1'" >&2
		exit 2 ;;
	esac
done

"$root/tools/setup.sh" "${purposes[@]}"
cd "$root"
case $PWD in
*[[:space:]]*)
	echo "build: there is a blank in '$PWD', which Bochs's makefiles can't do with: clone to another place" >&2
	exit 1 ;;
esac
# Much of what is built knows where it is: in a copy it would run the original's.
if [ "$(cat build/place 2>/dev/null || pwd -P)" != "$(pwd -P)" ]; then
	echo "build: what is in build/ was built in $(cat build/place), and would run what is there;" \
		"remove it (rm -rf build) and try again" >&2
	exit 1
fi
logs=$root/build/logs
mkdir -p "$logs"
pwd -P >build/place

# Once there is a makefile, it does this by itself when its sources change.
[ -x configure ] && [ -e Makefile.in ] ||
	progress "Preparing configure" "$logs/autoreconf.log" autoreconf -fi

cd build
options=${PLEX86_CONFIGURE-}

# What configure's answers depend on: packages may have come since the last time.
configuration() {
	echo "$options"
	awk '!/^#/ && NF { print $2 }' "$root/tools/packages" | sort -u |
		xargs dpkg-query -W -f '${Package} ${db:Status-Status}\n' 2>/dev/null | grep ' installed$' || true
}

if [ ! -e Makefile ] || [ "$(configuration)" != "$(cat configured-with 2>/dev/null || echo new)" ]; then
	# shellcheck disable=SC2086 # several options in one variable
	progress "Configuring" "$logs/configure.log" ../configure -q $options
	configuration >configured-with
fi

bochs_state() {
	tail -n 1 "$logs/make.log" | sed 's/^ *//'
}
# shellcheck disable=SC2034 # read by progress
progress_detail=bochs_state
progress "Building" "$logs/make.log" make -j"$(nproc)"
