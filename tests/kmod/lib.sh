# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A test host in QEMU: Debian's stock kernel, an initramfs with the module and
# static test programs, and nothing else (run, kernels), or this machine's files
# (hosted).  Sourced by these; bash.
#
#   kmod_need		says what is missing here, and returns 1
#   kmod_kernel		fetch and unpack the kernel that fits the installed headers, and its modules
#			that mount a folder of the machine outside (names in kmod_9p, in order)
#   kmod_module		compile the module, and what ends the host
#   kmod_build		them and the test programs
#   kmod_initramfs FILE PLAN	with a plan: a line per program
#   kmod_boot LOG KERNEL INITRAMFS SECONDS ARGS...	run QEMU; its status in the log
#   kmod_log_clean LOG	the host's kernel has nothing to complain about, but for kmod_log_allowed
#
# Directories: kmod_top (sources), kmod_work (built things, logs), kmod_cache
# (the kernel; kept, so that the next time works offline).

. "$kmod_top/tools/lib/apt.sh"

kmod_need() {
	local tool package
	while read -r tool package; do
		command -v "$tool" >/dev/null || {
			echo "$tool is missing (Debian package $package)"
			return 1
		}
	done <<-'END'
		qemu-system-x86_64 qemu-system-x86
		gcc gcc
		make make
		cpio cpio
		busybox busybox-static
		xz xz-utils
	END
	kmod_headers=$(find /usr/src -maxdepth 1 -name 'linux-headers-*-amd64' ! -name '*cloud*' \
		! -name '*rt-amd64' | sort -V | tail -n 1)
	[ -n "$kmod_headers" ] || {
		echo "no kernel headers (Debian package linux-headers-amd64)"
		return 1
	}
	kmod_release=${kmod_headers#*/linux-headers-}
	[ "$(uname -m)" = x86_64 ] || {
		echo "this is not an x86-64 machine"
		return 1
	}
}

# apt's own lists know the package, or a private update does.
kmod_download() {
	local dir=$kmod_cache/apt
	local options=(-o "Dir::State::lists=$dir/lists" -o "Dir::Cache=$dir/cache"
		-o "Acquire::Languages=none" -o "Acquire::Retries=3")
	[ "$(id -u)" != 0 ] || options+=(-o "APT::Sandbox::User=root")
	apt-get -q "$@" && return
	mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
	apt-get -q "${options[@]}" update || :	# one index that fails need not be ours
	apt-get -q "${options[@]}" "$@"
}

# bzImage -> the ELF file in it: offset and length are in the setup header.
kmod_unpack_kernel() {
	local image=$1 sectors offset length unpack
	sectors=$(od -An -tu1 -j $((0x1f1)) -N 1 "$image")
	offset=$(od -An -tu4 -j $((0x248)) -N 4 "$image")
	length=$(od -An -tu4 -j $((0x24c)) -N 4 "$image")
	offset=$(((sectors + 1) * 512 + offset))
	unpack=xz
	[ "$(od -An -tx4 -j $offset -N 4 "$image")" != ' fd2fb528' ] || unpack=zstd
	# The four bytes after the stream are its size, for the decompressor.
	tail -c +$((offset + 1)) "$image" | head -c $((length - 4)) | "$unpack" -dc
}

kmod_kernel() {
	local dir=$kmod_cache/$kmod_release package=linux-image-$kmod_release
	kmod_bzimage=$dir/vmlinuz
	kmod_vmlinux=$dir/vmlinux
	kmod_modules=$dir/modules
	if [ -s "$kmod_vmlinux" ] && [ -d "$kmod_modules" ]; then return; fi
	mkdir -p "$dir"
	# Suites run side by side.
	(flock 8 && { { [ -s "$kmod_vmlinux" ] && [ -d "$kmod_modules" ]; } || kmod_fetch_kernel; }) 8>"$dir/lock"
}

kmod_9p="virtio_ring virtio virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci netfs fscache 9pnet 9pnet_virtio 9p"

kmod_fetch_kernel() {
	(cd "$dir" && kmod_download download "$package") >"$dir/log" 2>&1 || {
		echo "not now: $package can't be downloaded; the end of $dir/log: $(tail -n 1 "$dir/log")"
		return 1
	}
	dpkg-deb --fsys-tarfile "$dir/$package"_*.deb | tar -xO "./boot/vmlinuz-$kmod_release" >"$kmod_bzimage"
	rm -rf "$kmod_modules" "$kmod_modules.new"
	mkdir "$kmod_modules.new"
	# shellcheck disable=SC2086 # a list in one variable
	dpkg-deb --fsys-tarfile "$dir/$package"_*.deb | tar -x -C "$kmod_modules.new" --wildcards \
		--transform 's:.*/::' $(printf '*/%s.ko ' $kmod_9p)
	rm "$dir/$package"_*.deb
	kmod_unpack_kernel "$kmod_bzimage" >"$kmod_vmlinux.new" 2>>"$dir/log" || {
		echo "$kmod_bzimage can't be unpacked (see $dir/log)"
		return 1
	}
	mv "$kmod_vmlinux.new" "$kmod_vmlinux"
	mv "$kmod_modules.new" "$kmod_modules"
}

kmod_compile() {
	local out=$kmod_work/bin/$1
	shift
	gcc -std=gnu11 -O2 -Wall -Wextra -I"$kmod_top/include" -I"$kmod_top" "$@" -o "$out"
}

# The kernel replaces each RET by what the CPU needs (retbleed, SRSO), if objtool has listed it.
kmod_returns_are_known() {
	readelf -rW "$1" | awk '
		/^Relocation section/ { listed = $3 ~ /[.]return_sites/ }
		/ __x86_return_thunk/ { rets++ }
		listed && / R_X86_64_/ { sites++ }
		END {
			if (rets != sites)
				print rets + 0 " RETs, of which the kernel will know " sites + 0
			exit rets != sites
		}'
}

kmod_module() {
	local build=$kmod_work/module
	mkdir -p "$kmod_work/bin" "$build"
	cp -p "$kmod_top"/accel-driver/linux/* "$build/"
	mkdir -p "$build/include/plex86"
	cp -p "$kmod_top"/include/plex86/{cpu,uapi}.h "$build/include/plex86/"
	make -C "$build" KDIR="$kmod_headers" W=1 >"$kmod_work/module.log" 2>&1 || {
		cat "$kmod_work/module.log"
		return 1
	}
	if grep -E '[.][chS]:.*warning:' "$kmod_work/module.log"; then return 1; fi
	kmod_returns_are_known "$build/plex86.ko" || return
	strip --strip-debug -o "$kmod_work/plex86.ko" "$build/plex86.ko" || return
	kmod_compile poweroff -static "$kmod_top/tests/kmod/poweroff.c"
}

kmod_witness() {
	mkdir -p "$kmod_work/witness"
	cp -p "$kmod_top"/tests/kmod/witness/* "$kmod_work/witness/"
	make -C "$kmod_headers" M="$kmod_work/witness" modules >"$kmod_work/witness.log" 2>&1 || {
		cat "$kmod_work/witness.log"
		return 1
	}
	strip --strip-debug "$kmod_work/witness/witness.ko"
}

kmod_build() {
	local t
	kmod_module || return
	kmod_witness || return
	for t in switch ioctl callers fuzz stress killer hotplug msrs; do
		kmod_compile $t -static -pthread "$kmod_top/tests/kmod/$t.c" || return
	done
	kmod_compile inject "$kmod_top/tests/kmod/inject.c" || return
	kmod_compile roundtrip -static "$kmod_top/tools/roundtrip.c" || return
	kmod_compile refused -static -D_GNU_SOURCE "$kmod_top/tests/kmod/refused.c" \
		"$kmod_top"/accel-driver/driver/*.[cS] "$kmod_top"/accel-driver/common/*.c || return
	kmod_suite conformance driver && kmod_suite containers process
}

# The conformance suite for one engine.  Its main is in conformance.c; other files with
# one are other programs.
kmod_suite() {
	local name=$1 engine=$2
	cat >"$kmod_work/$name.c" <<-END
		#include <plex86/engine.h>
		const struct plex86_engine_ops *const plex86_engines[] = { &plex86_engine_$engine, NULL };
	END
	# shellcheck disable=SC2046 # no spaces in the names of our own sources
	kmod_compile "$name" -static -pthread "$kmod_work/$name.c" \
		"$kmod_top/tests/conformance/conformance.c" \
		$(grep -L '^int main' "$kmod_top"/tests/conformance/*.c) \
		"$kmod_top/tests/conformance/guest.S" "$kmod_top/accel-driver/$engine"/*.[cS] \
		"$kmod_top"/accel-driver/common/*.c
}

kmod_initramfs() {
	local out=$1 plan=$2 root=$1.d t
	rm -rf "$root"
	mkdir -p "$root"/{bin,dev,proc,sys,tmp}
	cp "$(command -v busybox)" "$root/bin/"
	cp "$kmod_work/plex86.ko" "$kmod_top/tests/kmod/init" "$root/"
	for t in conformance containers switch ioctl callers refused fuzz stress killer hotplug msrs poweroff roundtrip; do
		cp "$kmod_work/bin/$t" "$root/"
	done
	[ ! -e "$kmod_work/witness/witness.ko" ] || cp "$kmod_work/witness/witness.ko" "$root/"
	chmod +x "$root/init"
	printf '%s\n' "$plan" >"$root/plan"
	(cd "$root" && find . | cpio -o -H newc --quiet) >"$out"
	rm -rf "$root"
}

# no_timer_check: on a busy machine QEMU's timer does not tick in the moment that Linux gives it to.
kmod_boot() {
	local log=$1 kernel=$2 initramfs=$3 seconds=$4 status=0
	shift 4
	timeout --foreground -k 5 "$seconds" nice qemu-system-x86_64 -M pc -m "${KMOD_MEGS-384}" -nodefaults -no-user-config \
		-display none -serial "file:$log.console" -serial "file:$log" -monitor none -no-reboot \
		-device isa-debug-exit,iobase=0xf4,iosize=4 -kernel "$kernel" -initrd "$initramfs" \
		-append "console=ttyS0 no_timer_check panic=-1 oops=panic quiet log_buf_len=4M ${KMOD_APPEND-}" "$@" \
		</dev/null >"$log.qemu" 2>&1 || status=$?
	# The debug-exit device ends QEMU with 1; 124 is the timeout.
	[ "$status" != 124 ] || echo "=== timeout after $seconds s" >>"$log"
	tr -d '\r' <"$log" >"$log.new" && mv "$log.new" "$log"
	# The kernel's console is apart, as it would break the programs' lines.
	grep -q '^=== done' "$log" || tail -n 60 "$log.console" | tr -d '\r' | sed 's/^/=== console /' >>"$log"
}

kmod_log_allowed=
kmod_log_clean() {
	if grep '^=== timeout' "$1"; then return 1; fi
	grep -q '^=== done' "$1" || {
		echo "the host did not come to its end:"
		tail -n 25 "$1"
		return 1
	}
	# From the module's loading on; what an emulated machine says at boot is not ours.
	# Levels 0 to 3 are errors.
	local from='plex86: loading'
	grep -q "$from" "$1" || from=.		# the kernel's buffer has wrapped
	! sed -n 's/^=== log //p' "$1" | sed -n "/$from/,\$p" |
		grep -E '^<[0-3]>|WARNING|BUG|Oops|Call Trace|lockup|stall|general protection|[Uu]nexpected|not loaded' |
		grep -vE "clocksource|tsc:${kmod_log_allowed:+|$kmod_log_allowed}"
}
