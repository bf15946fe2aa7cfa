# SPDX-License-Identifier: LGPL-2.1-or-later
#
# Bochs inside of the test host: what it takes to run there.  Sourced after lib.sh; bash.
#
#   bochs_need		says what is missing here, and returns 1
#   bochs_root DIR	fill DIR: Bochs, its plugins, libraries and BIOS, plex86.ko
#   bochs_rc MODEL IPS GEOMETRY	print a bochsrc for the test kernel: /floppy, /disk, /log
#   bochs_params FILE N...	write parameters into a test kernel's boot sector
#   bochs_init		print the first lines of its init: the module is loaded
#   bochs_pack DIR FILE	make an initramfs of it
#
# BOCHS_OBJ	the folder that this project's build made it in; or:
# BOCHS		the Bochs binary, with the plugin built (driver engine included)
# BXSHARE	its BIOS images
# LTDL_LIBRARY_PATH	where its plugins are, if it does not know

bochs_need() {
	if [ -n "${BOCHS_OBJ-}" ]; then
		BOCHS=$BOCHS_OBJ/bochs LTDL_LIBRARY_PATH=$BOCHS_OBJ/../plugins BXSHARE=$BOCHS_OBJ/../share
	fi
	bochs=$(command -v "${BOCHS-bochs}") || {
		echo "there is no Bochs; name one with BOCHS"
		return 1
	}
	plugins=${LTDL_LIBRARY_PATH-$(dirname "$bochs")/../lib/bochs/plugins}
	share=${BXSHARE-$(dirname "$bochs")/../share/bochs}
	[ -r "$plugins/libbx_plex86.so" ] || {
		echo "there is no libbx_plex86.so in $plugins"
		return 1
	}
	bios=$(find -L "$share" -name 'BIOS-bochs-latest' -o -name 'bios.bin-1.13.0' | sort | head -n 1)
	vga=$(find -L "$share" -name 'VGABIOS-lgpl-latest.bin' -o -name 'vgabios-cirrus.bin-1.13.0' |
		sort | head -n 1)
	[ -r "$bios" ] && [ -r "$vga" ] || {
		echo "there are no BIOS images in $share"
		return 1
	}
}

bochs_root() {
	local root=$1 library
	rm -rf "$root"
	mkdir -p "$root"/{bin,dev,proc,sys,tmp,plugins}
	cp "$(command -v busybox)" "$root/bin/"
	cp "$kmod_work/plex86.ko" "$kmod_work/bin/poweroff" "$root/"
	cp -L "$bochs" "$root/bochs"
	cp -L "$plugins"/*.so "$root/plugins/"
	cp -L "$bios" "$root/bios"
	cp -L "$vga" "$root/vgabios"
	strip "$root/bochs" "$root"/plugins/*.so
	ldd "$bochs" "$plugins"/*.so | grep -o '/[^ ]*\.so[^ :]*' | grep -v "^$plugins" | sort -u |
		while read -r library; do
			mkdir -p "$root$(dirname "$library")"
			cp -L "$library" "$root$library"
		done
}

bochs_rc() {
	cat <<END
megs: 64
cpu: model=$1, count=1, ips=$2, reset_on_triple_fault=0
romimage: file=/bios, options=fastboot
vgaromimage: file=/vgabios
pci: enabled=1, chipset=i440fx, slot1=pcivga
display_library: nogui
floppya: 1_44=/floppy, status=inserted
ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14
ata0-master: type=disk, path=/disk, mode=flat, $3
boot: disk
clock: sync=none, time0=946681200
log: /log
panic: action=fatal
error: action=report
info: action=report, nogui=ignore
debug: action=ignore
port_e9_hack: enabled=1
sound: driver=dummy
speaker: enabled=0
END
}

bochs_params() {
	local file=$1 value i
	for value in "${@:2}"; do
		for i in 0 8 16 24; do
			printf "\\x$(printf %02x $((value >> i & 255)))"
		done
	done | dd of="$file" bs=1 seek=$((0x1d0 + 4)) conv=notrunc status=none
}

# All that it says goes to the log, the second serial port.
bochs_init() {
	cat <<'END'
#!/bin/busybox sh
B=/bin/busybox
$B mount -t proc proc /proc
$B mount -t sysfs sysfs /sys
$B mount -t devtmpfs dev /dev
exec >/dev/ttyS1 2>&1
$B insmod /plex86.ko
export LTDL_LIBRARY_PATH=/plugins BXSHARE=/
END
}

bochs_pack() {
	chmod +x "$1/init"
	(cd "$1" && find . | cpio -o -H newc --quiet) >"$2"
	rm -rf "$1"
}
