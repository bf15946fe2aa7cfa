# SPDX-License-Identifier: LGPL-2.1-or-later
# Gathers what a RAM disk holds: programs of Debian packages with their libraries,
# and programs compiled here.  Sourced by mkguest, and by bench/mkdisk and
# tests/suites/mkdisk, which make a second disk that is unpacked over the first; bash.
# shellcheck shell=bash

# tree_begin ARCH PACKAGES-FOLDER ROOT [BASE]	BASE: a tree whose files need no copy
tree_begin() {
	tree_arch=$1 tree_src=$2 tree_root=$3 tree_base=${4-}
	case $1 in
	amd64) tree_cflags=-m64 tree_libdirs=(lib/x86_64-linux-gnu usr/lib/x86_64-linux-gnu lib64) ;;
	i386)  tree_cflags=-m32 tree_libdirs=(lib/i386-linux-gnu usr/lib/i386-linux-gnu lib) ;;
	esac
}

# Copies one file of the packages and, for an ELF file, the libraries it names.
tree_add() {	# tree_add FILE
	local file=$1 source target
	[ ! -e "$tree_root/$file" ] || return 0
	[ -z "$tree_base" ] || [ ! -e "$tree_base/$file" ] || return 0
	mkdir -p "$tree_root/${file%/*}"
	if [ -d "$tree_src/$file" ]; then
		cp -r "$tree_src/$file" "$tree_root/${file%/*}/"
		find "$tree_root/$file" -type l -lname '/*' -delete
		return
	fi
	# An absolute link means the guest's root, not this machine's.
	source=$tree_src/$file
	while target=$(readlink "$source") && [ "${target#/}" != "$target" ]; do
		source=$tree_src$target
	done
	cp -L "$source" "$tree_root/$file"
	tree_libraries "$source"
}

# Copies the libraries that a file names, if it is an ELF file, from the packages.
tree_libraries() {	# tree_libraries PATH
	local interp lib dir
	interp=$(LC_ALL=C readelf -l "$1" 2>/dev/null |
		sed -n 's/.*program interpreter: \/\(.*\)]/\1/p')
	[ -z "$interp" ] || tree_add "$interp"
	for lib in $(LC_ALL=C readelf -d "$1" 2>/dev/null |
		sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p'); do
		for dir in "${tree_libdirs[@]}"; do
			[ -e "$tree_src/$dir/$lib" ] || continue
			tree_add "$dir/$lib"
			continue 2
		done
		die "$tree_arch: ${1#"$tree_src/"} needs $lib, which no package in the list brings"
	done
}

# All files that a list of packages names for programs; they may be patterns.
tree_programs() {	# tree_programs LIST
	local kind package files pattern file found
	while read -r kind package files; do
		[ "$kind" = program ] || continue
		for pattern in $files; do
			found=''
			while read -r file; do
				tree_add "$file"
				found=yes
			done < <(cd "$tree_src" && compgen -G "$pattern")
			[ -n "$found" ] || die "$tree_arch: no package brings the file $pattern"
		done
	done <"$1"
}

# Our own programs: one binary per architecture, for the guest and the host, linked
# as Debian's are.  (Static ones would have main() in one page with libc's dozen
# CPUID instructions, and the accelerator leaves such a page to Bochs: docs/limits.md.)
tree_compile() {	# tree_compile SOURCE...
	local c lib dir
	mkdir -p "$tree_root/bin"
	for c in "$@"; do
		gcc "$tree_cflags" -O2 -Wall -o "$tree_root/bin/w-$(basename "$c" .c)" "$c" ||
			die "cannot compile $c for $tree_arch; a C library for it comes with: apt-get install gcc-multilib"
	done
	for lib in libc.so.6 ld-linux-x86-64.so.2 ld-linux.so.2; do
		for dir in "${tree_libdirs[@]}"; do
			[ ! -e "$tree_src/$dir/$lib" ] || tree_add "$dir/$lib"
		done
	done
}

# The tree as the kernel takes it.
tree_pack() {	# tree_pack FILE
	(cd "$tree_root" && find . | LC_ALL=C sort |
		cpio --quiet --reproducible -o -H newc -R 0:0) >"$1"
}
