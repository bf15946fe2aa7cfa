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
	    "Install what tools/packages lists; then, if DIR is the source of a Bochs that patches/ has patches for:" \
	    "  autoreconf -fi; mkdir -p build; cd build; ../configure --with-bochs=DIR; make"

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

ask=	# -n: fail where sudo would ask for a password
as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo $ask -- "$@"
	fi
}

# Another package manager may hold the lock for a while: on a new cloud machine,
# the first unattended upgrade.
tries=10
apt_retrying() {
	local try
	for ((try = 1; try <= tries; try++)); do
		as_root env LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=60 -y "$@" \
			2>&1 | tee attempt
		[ "${PIPESTATUS[0]}" != 0 ] || return 0
		grep -q -E 'Could not get lock|is locked|dpkg was interrupted' attempt || return 1
		if grep -q 'dpkg was interrupted' attempt; then
			as_root dpkg --configure -a
		fi
		[ "$try" -lt "$tries" ] || return 1
		echo "The package database is locked; trying again (attempt $try of $tries)"
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
mapfile -t extra < <([ "${#optional[@]}" = 0 ] || missing "${optional[@]}")
[ -n "${wanted[*]}${extra[*]}" ] || exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

if [ -n "${wanted[*]}" ]; then
	if [ "$(id -u)" != 0 ]; then
		command -v sudo >/dev/null ||
			die "Packages are missing, and this user is not root and has no sudo. As root, run:" \
			    "  apt-get install ${wanted[*]}"
		echo "Packages are missing; sudo may ask for your password: ${wanted[*]}"
		sudo -v || die "sudo was refused; as root, run: apt-get install ${wanted[*]}"
	fi
	progress "Installing ${#wanted[@]} Debian packages" "$log" install "${wanted[@]}" || {
		die "Packages could not be installed; the log is $log" \
		    "Needed are: ${wanted[*]}"
	}
fi

# Optional ones afterwards: on a fresh machine only the required ones have brought apt's indices.
# Nothing fails without them, nobody is asked for a password for them or waits long, and what
# can't be had is tried again after a day.
ask=-n tries=1
for package in "${extra[@]}"; do
	given_up=$build/logs/setup-without-$package
	[ -z "$(find "$given_up" -mtime -1 2>/dev/null)" ] || continue
	LC_ALL=C apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [0-9]' || continue
	as_root true 2>/dev/null || continue
	progress "Installing $package" "$log" install "$package" 2>/dev/null || {
		echo "$package could not be installed; what needs it is left out (the log is $log)"
		touch "$given_up"
	}
done
