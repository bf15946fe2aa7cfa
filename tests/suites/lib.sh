# SPDX-License-Identifier: LGPL-2.1-or-later
# What the suites' build scripts share: sources of Debian packages, and programs that
# their makefiles would run on the host but that go into a guest.  Sourced; bash.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../../tools/guest/lib.sh"
# shellcheck source=tools/lib/apt.sh
. "$TOP/tools/lib/apt.sh"
# shellcheck source=tools/lib/source.sh
. "$TOP/tools/lib/source.sh"

# A folder with the upstream source of a package of Debian 12; one that is there already
# is kept with what was compiled in it.
unpack_source() {	# unpack_source PACKAGE FOLDER
	local tarball
	need xz xz-utils
	tarball=$(source_tarball "$1" bookworm '') ||
		die "without network, put its ${1}_*.orig.tar.* into ${XDG_CACHE_HOME:-~/.cache}/bochs-plex86"
	[ "$(cat "$2/unpacked-from" 2>/dev/null)" != "${tarball##*/}" ] || return 0
	rm -rf "$2"
	mkdir -p "$2"
	tar -C "$2" --strip-components=1 -xf "$tarball"
	echo "${tarball##*/}" >"$2/unpacked-from"
}

# GNU configure for a guest: for any processor of its kind, and not for the host's own.
configure_for() {	# configure_for ARCH OPTION...
	local arch=$1 host cflags=-m64
	shift
	case $arch in
	amd64) host=x86_64-pc-linux-gnu ;;
	i386) host=i686-pc-linux-gnu cflags=-m32 ;;
	esac
	[ "$arch" = amd64 ] || export ABI=32
	./configure -q --build="$host" --host="$host" CC="gcc $cflags" CFLAGS=-O2 "$@"
}

# Copies the test programs below FROM to TO, without symbols; their folders become a
# part of their names.  Writes the plan for programs that need no arguments.
take_programs() {	# take_programs FROM TO
	local file name
	(cd "$1" && find . -type f -perm -1 -name 't[a-z-]*' -o -type f -perm -1 -path './mp?/*' |
		LC_ALL=C sort) | while read -r file; do
		LC_ALL=C readelf -h "$1/$file" >/dev/null 2>&1 || continue
		name=${file#./}
		name=${name//\//-}
		strip -o "$2/$name" "$1/$file"
		printf '%s any 300 /suite/%s\n' "$name" "$name" >>"$2/plan"
	done
}
