# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Gets the upstream tarball of a Debian source package, once, from the mirror that
# this machine uses already; apt checks the signatures.  Sourced; needs apt.sh; bash.
#
#   source_tarball PACKAGE SUITE VERSION	prints the tarball's path
#
# VERSION is how the upstream version begins; may be empty.  The tarball stays in
# ${XDG_CACHE_HOME:-~/.cache}/bochs-plex86, so that another build, or one without
# network, finds it.  On failure what apt said and one sentence are on stderr.

source_cached() {
	find "$1" -maxdepth 1 -name "$2_$3*.orig.tar.*" ! -name '*.asc' | sort | tail -n 1
}

source_tarball() {
	local package=$1 suite=$2 version=$3 cache tarball tool work
	cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/bochs-plex86
	mkdir -p "$cache" || return
	tarball=$(source_cached "$cache" "$package" "$version")
	if [ -z "$tarball" ]; then
		for tool in apt-get dpkg-source; do
			command -v "$tool" >/dev/null || {
				echo "there is no $tool here (Debian packages apt, dpkg-dev)" >&2
				return 1
			}
		done
		work=$(mktemp -d) || return
		echo "Fetching the source package $package ${version:+$version }with apt" >&2
		tarball=$(source_download "$work" "$package" "$suite" "$version") || {
			rm -rf "$work"
			return 1
		}
		# Two builds may fetch at once: the rename makes either one complete.
		cp "$tarball" "$cache/.$$.part" && mv "$cache/.$$.part" "$cache/${tarball##*/}" || {
			rm -rf "$work" "$cache/.$$.part"
			echo "the source package $package can't be kept in $cache: is there room, and may it be written to?" >&2
			return 1
		}
		rm -rf "$work"
		tarball=$(source_cached "$cache" "$package" "$version")
	fi
	echo "$tarball"
}

source_download() {	# source_download FOLDER PACKAGE SUITE VERSION
	local tarball
	private_apt_init "$1/apt" deb-src "$3" || return
	# A second archive that does not answer does not matter; the next step tells.
	private_apt "$1/apt" apt-get -qq update >"$1/log" 2>&1 || true
	(cd "$1" && private_apt "$1/apt" apt-get -qq source --download-only --tar-only \
		"$2/$3") >>"$1/log" 2>&1 || {
		sed 's/^/  /' "$1/log" >&2
		echo "apt could not fetch the source package $2 of $3" >&2
		return 1
	}
	tarball=$(source_cached "$1" "$2" "$4")
	[ -n "$tarball" ] || {
		echo "the source package $2 of $3 is no longer version $4" >&2
		return 1
	}
	echo "$tarball"
}
