# SPDX-License-Identifier: LGPL-2.1-or-later
# Where a Bochs with engine=driver can run.  Sourced; bash.
# shellcheck shell=bash

# Is plex86.ko loaded, and may this user use it?  If not, there is the QEMU host (tests/kmod/hosted).
driver_here() {
	[ -c /dev/plex86 ] && [ -r /dev/plex86 ] && [ -w /dev/plex86 ]
}
