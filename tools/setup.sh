#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Installs the Debian packages of tools/packages that are missing.  Asks apt only
# then, so that a machine that has them all needs neither root nor a network.
#
#   setup.sh [PURPOSE...]	(build, test, guest, bench; default: all of them)
set -eu

root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=tools/lib/progress.sh
. "$root/tools/lib/progress.sh"
build=${BUILD-$root/build}
mkdir -p "$build/logs"
log=$build/logs/setup.log

die() {
	printf '%s\n' "$@" >&2
	exit 1
}

command -v dpkg-query >/dev/null && command -v apt-get >/dev/null ||
	die "This machine has no dpkg and apt-get, so packages can't be installed by name." \
	    "Install what tools/packages lists, then run ./configure and make yourself."

for purpose in "$@"; do
	case $purpose in
	build | test | guest | bench) ;;
	*) die "setup: there is no purpose '$purpose'; there are build, test, guest and bench" ;;
	esac
done

# listed required|optional PURPOSE...
listed() {
	local kind=$1
	shift
	awk -v kind="$kind" -v purposes=" $* " '
		!/^#/ && NF && (purposes == "  " || index(purposes, " " $1 " ")) &&
		(($3 == "optional") == (kind == "optional")) { print $2 }' "$root/tools/packages"
}

missing() {
	local installed
	installed=$(dpkg-query -W -f '${Package} ${db:Status-Status}\n' "$@" 2>/dev/null |
		awk '$2 == "installed" { print $1 }' | sort -u)
	printf '%s\n' "$@" | sort -u | comm -23 - <(echo "$installed")
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo -- "$@"
	fi
}

# Another package manager may hold the lock for a while: on a new cloud machine,
# the first unattended upgrade.
apt_retrying() {
	local try
	for try in 1 2 3 4 5 6 7 8 9 10; do
		as_root env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=60 -y "$@" \
			2>&1 | tee attempt
		[ "${PIPESTATUS[0]}" != 0 ] || return 0
		grep -q -E 'Could not get lock|is locked|dpkg was interrupted' attempt || return 1
		if grep -q 'dpkg was interrupted' attempt; then
			as_root dpkg --configure -a
		fi
		echo "The package database is locked; trying again (attempt $try of 10)"
		sleep 10
	done
	return 1
}

# An index that does not download (a foreign architecture's, a third party's) is
# no reason to stop: if the packages can be installed, it did not matter.
install() {
	apt_retrying install --no-install-recommends "$@" && return
	apt_retrying update || echo "apt-get update had errors; installing from the indices that are there"
	apt_retrying install --no-install-recommends "$@"
}

mapfile -t required < <(listed required "$@")
mapfile -t optional < <(listed optional "$@")
mapfile -t wanted < <(missing "${required[@]}")
[ -n "${wanted[*]}" ] || exit 0

if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
	die "Packages are missing, and this user is not root and has no sudo. As root, run:" \
	    "  apt-get install ${wanted[*]}"
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
if [ "$(id -u)" != 0 ]; then
	echo "Packages are missing; sudo may ask for your password: ${wanted[*]}"
	sudo -v || die "sudo was refused; as root, run: apt-get install ${wanted[*]}"
fi
# Optional ones only beside required ones: nobody is asked for a password for them.
for package in "${optional[@]}"; do
	[ -z "$(LC_ALL=C apt-cache policy "$package" 2>/dev/null | grep 'Candidate: [0-9]')" ] ||
		wanted+=("$package")
done
progress "Installing ${#wanted[@]} Debian packages" "$log" install "${wanted[@]}" || {
	die "Packages could not be installed; the log is $log" \
	    "Needed are: ${wanted[*]}"
}
