// SPDX-License-Identifier: LGPL-2.1-or-later
/* Ends the test host: QEMU's debug-exit device first, then the ordinary way. */
#include <sys/io.h>
#include <sys/reboot.h>
#include <unistd.h>

#define DEBUG_EXIT 0xf4

int main(void)
{
	sync();
	if (!ioperm(DEBUG_EXIT, 4, 1))
		outl(0, DEBUG_EXIT);
	reboot(RB_POWER_OFF);
	return 1;
}
