#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Where Bochs comes from: which sources are refused and how, and the private apt
# configuration that is derived from a machine's own, in both of apt's formats.
# Nothing here needs a network.
set -u
. "$top_srcdir/tests/tap.sh"
. "$top_srcdir/tools/lib/apt.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
version=$top_srcdir/tools/bochs-version

# refused WANTED-WORDS COMMAND...	must fail and say so
refused() {
	local words=$1 out
	shift
	out=$("$@" 2>&1) && { echo "not refused: $out"; return 1; }
	grep -q -- "$words" <<<"$out" || { echo "$out"; return 1; }
	[ "$(wc -l <<<"$out")" = 1 ] || { echo "more than one line: $out"; return 1; }
}

refused_by_configure() {
	local words=$1
	shift
	mkdir -p conf
	(cd conf && "$top_srcdir/configure" -q --cache-file=../config.cache "$@") >conf.log 2>&1 && return 1
	grep -q -- "$words" conf.log || { tail -n 5 conf.log; return 1; }
}

mkdir other old
echo 'AC_INIT([hello], [1.0])' >other/configure.ac
printf 'VERSION="2.7"\nAC_INIT(bochs.h)\n' >old/configure.ac
tar -cf old.tar old
head -c 100000 /dev/zero >noise

tap "a missing folder is refused" refused 'no such folder or file' "$version" "$work/none"
tap "a folder of another program is refused" refused "another program" "$version" other
tap "an empty folder is refused" refused 'not the Bochs source' "$version" /proc/self/fdinfo
tap "a file that is no tarball is refused" refused 'not a tarball' "$version" noise
tap "another version is refused, naming those we have patches for" \
	refused "this is Bochs 2.7; there are patches for: .*$BOCHS_VERSION" "$version" old
tap "the same in a tarball" \
	refused "this is Bochs 2.7; there are patches for: .*$BOCHS_VERSION" "$version" old.tar
tap "a folder that isn't a build is refused as one" \
	refused 'not a Bochs build folder' "$version" --built old
tap "configure refuses it with the same words" \
	refused_by_configure 'this is Bochs 2.7; there are patches for: ' --with-bochs=../old
tap "configure refuses a missing folder" \
	refused_by_configure 'there is no such folder or file' --with-bochs=../none
tap "configure refuses two answers to one question" \
	refused_by_configure 'exclude each other' --with-bochs=../old --with-bochs-build=/

# A machine's apt configuration, and what becomes of it.
mkdir -p etc/sources.list.d
cat >etc/sources.list <<'END'
# deb http://commented.example/debian bookworm main
deb http://one.example/debian bookworm main contrib # with a comment
deb [arch=amd64 signed-by=/usr/share/keyrings/k.gpg] http://two.example/debian/ stable main
deb http://one.example/debian-security bookworm-security main
deb-src http://one.example/debian bookworm main
deb http://vendor.example/apt nodistro main
deb http://other.example/debian bookworm contrib
END
cat >etc/sources.list.d/a.sources <<'END'
# a comment
Types: deb deb-src
URIs: http://three.example/debian
Suites: bookworm bookworm-updates
Components: main non-free-firmware
Architectures: amd64
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb
URIs: http://three.example/debian-security
Suites: bookworm-security
Components: main
END
PRIVATE_APT_ETC=$work/etc private_apt_init "$work/apt" deb-src trixie
tap_is "one-line entries: those of the main archive, options kept, architecture not" \
	"$(cat apt/sources/*.list)" \
	'deb-src http://one.example/debian trixie main
deb-src [signed-by=/usr/share/keyrings/k.gpg] http://two.example/debian/ trixie main'
tap_is "deb822 stanzas: the enabled one of the main archive, with its inline key" \
	"$(cat apt/sources/*.sources)" \
	'Types: deb-src
Suites: trixie
Components: main
URIs: http://three.example/debian
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc'
tap "apt itself reads what was written" \
	private_apt "$work/apt" apt-get indextargets

mkdir empty
tap "a machine without a Debian archive is told so" refused 'knows no Debian archive' \
	env PRIVATE_APT_ETC="$work/empty" bash -c ". '$top_srcdir/tools/lib/apt.sh'
		private_apt_init '$work/apt2' deb-src trixie"

mkdir -p cache/bochs-plex86
touch "cache/bochs-plex86/bochs_$BOCHS_VERSION+x.orig.tar.xz"
tap_is "a tarball in the cache is used, without apt" \
	"$(XDG_CACHE_HOME=$work/cache PATH=$PATH "$top_srcdir/tools/fetch-bochs" "$BOCHS_VERSION")" \
	"$work/cache/bochs-plex86/bochs_$BOCHS_VERSION+x.orig.tar.xz"

tap_done
