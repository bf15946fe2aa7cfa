/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Somebody who pastes into a guest's serial console: prints the name of a terminal, and
 * sends 64 bytes, counting from 32 to 95, every 20 ms until it is killed.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

#define BURST 64

int main(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK), slave;
	unsigned char text[BURST];
	unsigned int at = 0, i;
	struct termios t;
	ssize_t n;

	if (master < 0 || grantpt(master) || unlockpt(master)) {
		perror("no terminal");
		return 1;
	}
	slave = open(ptsname(master), O_RDWR | O_NOCTTY);
	if (slave < 0 || tcgetattr(slave, &t)) {
		perror(ptsname(master));
		return 1;
	}
	cfmakeraw(&t);
	tcsetattr(slave, TCSANOW, &t);
	puts(ptsname(master));
	fflush(stdout);
	for (;;) {
		for (i = 0; i < BURST; i++)
			text[i] = 32 + (at + i) % 64;
		n = write(master, text, BURST);	/* as many as there is room for */
		if (n > 0)
			at += n;
		usleep(20000);
	}
}
