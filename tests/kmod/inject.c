// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Raises NMIs in a running QEMU, from outside, where no guest can be ready:
 *
 *   inject storm QMP-SOCKET PER-SECOND
 *	until QEMU goes away
 *   inject step QMP-SOCKET GDB-SOCKET START END STUBS
 *	single-steps through the world switch with QEMU's gdb stub and raises one
 *	NMI at each instruction boundary in turn: stop at START (nexus_enter), go k
 *	instructions on, raise, let it run; then k + 1, until the switch returns.
 *	START, END: the nexus's text; STUBS: where its interrupt stubs begin.
 *
 * Prints what it did as one line.  (VMware tests its switch the same way.)
 */
#include <ctype.h>
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define MAX_STEPS 1000

static int connect_to(const char *path)
{
	struct sockaddr_un to = { .sun_family = AF_UNIX };
	struct timespec pause = { .tv_nsec = 50000000 };
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), tries;

	snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	for (tries = 0; tries < 100; tries++) {
		if (!connect(fd, (struct sockaddr *)&to, sizeof(to)))
			return fd;
		nanosleep(&pause, NULL);
	}
	fprintf(stderr, "inject: %s: %s\n", path, strerror(errno));
	exit(1);
}

/* --- QMP: one line there, lines back until one is a reply ------------------ */

static int qmp;

static int read_line(int fd, char *line, size_t size)
{
	size_t n = 0;

	while (n + 1 < size && read(fd, line + n, 1) == 1)
		if (line[n++] == '\n')
			break;
	line[n] = 0;
	return n > 0;
}

/* 0: QEMU has ended.  Anything but @reply is an error. */
static int qmp_command(const char *text, const char *reply)
{
	char line[65536];

	if (write(qmp, text, strlen(text)) < 0)
		return 0;
	while (read_line(qmp, line, sizeof(line))) {
		if (strstr(line, reply))
			return 1;
		if (strstr(line, "\"return\"") || strstr(line, "\"error\"")) {
			fprintf(stderr, "inject: QEMU says %s", line);
			exit(1);
		}
	}
	return 0;
}

static void qmp_open(const char *path)
{
	char line[65536];

	qmp = connect_to(path);
	read_line(qmp, line, sizeof(line));
	qmp_command("{\"execute\":\"qmp_capabilities\"}\n", "\"return\": {}");
}

/* With the machine's clock stopped too, QMP answers: it has its own thread. */
static int raise_nmi(void)
{
	return qmp_command("{\"execute\":\"human-monitor-command\","
			   "\"arguments\":{\"command-line\":\"nmi\"}}\n",
			   "\"return\": \"\"");
}

static int storm(const char *path, int per_second)
{
	struct timespec pause = { .tv_nsec = 1000000000 / (per_second > 0 ? per_second : 1) - 1 };
	unsigned long n = 0;

	qmp_open(path);
	while (raise_nmi()) {
		n++;
		nanosleep(&pause, NULL);
	}
	printf("%lu NMIs raised\n", n);
	return n < 100;
}

/* --- the gdb stub's protocol: $text#checksum, acknowledged by + ------------ */

static int gdb;

static void gdb_get(char *reply, size_t size)
{
	size_t n = 0;
	char c, sum[2];

	do
		if (read(gdb, &c, 1) != 1)
			exit(1);
	while (c != '$');
	while (read(gdb, &c, 1) == 1 && c != '#')
		if (n + 1 < size)
			reply[n++] = c;
	reply[n] = 0;
	if (read(gdb, sum, 1) != 1 || read(gdb, sum + 1, 1) != 1 || write(gdb, "+", 1) != 1)
		exit(1);
}

static void gdb_put(const char *text)
{
	unsigned char sum = 0;
	char packet[256];
	const char *p;

	for (p = text; *p; p++)
		sum += *p;
	snprintf(packet, sizeof(packet), "$%s#%02x", text, sum);
	if (write(gdb, packet, strlen(packet)) < 0)
		exit(1);
}

static void gdb_ask(const char *text, char *reply, size_t size)
{
	gdb_put(text);
	gdb_get(reply, size);
}

/* The same for what does not run: a stop may be reported before the reply. */
static void gdb_query(const char *text, char *reply, size_t size)
{
	gdb_put(text);
	do
		gdb_get(reply, size);
	while (*reply == 'T');
}

/* RIP is the 17th of the registers, eight bytes each, low byte first. */
static uint64_t gdb_rip(void)
{
	char reply[8192];
	uint64_t rip = 0;
	int i;

	gdb_query("g", reply, sizeof(reply));
	for (i = 7; i >= 0; i--) {
		char byte[3] = { reply[16 * 16 + 2 * i], reply[16 * 16 + 2 * i + 1] };

		rip = rip << 8 | strtoul(byte, NULL, 16);
	}
	return rip;
}

static void breakpoint(char kind, uint64_t at)
{
	char text[64], reply[64];

	snprintf(text, sizeof(text), "%c1,%llx,1", kind, (unsigned long long)at);
	gdb_query(text, reply, sizeof(reply));
	if (strcmp(reply, "OK")) {
		fprintf(stderr, "inject: breakpoint: %s\n", reply);
		exit(1);
	}
}

/* Where NMIs were raised. */
static unsigned int in_nexus, in_stub, in_guest;

/* One entry after the other: an NMI at its first instruction boundary, its second ...; how many. */
static unsigned int sweep(uint64_t start, uint64_t end, uint64_t stubs)
{
	unsigned int k, i;
	char reply[8192];

	for (k = 0; k < MAX_STEPS; k++) {
		uint64_t rip;

		breakpoint('Z', start);
		gdb_ask("c", reply, sizeof(reply));
		breakpoint('z', start);
		for (i = 0; i < k; i++)
			gdb_ask("s", reply, sizeof(reply));
		rip = gdb_rip();
		/* Back in the host, after the last instruction: all is covered. */
		if (k > 100 && rip >> 47 && (rip < start || rip >= end))
			break;
		if (rip >> 47 == 0)
			in_guest++;
		else if (rip >= stubs && rip < end)
			in_stub++;
		else
			in_nexus++;
		raise_nmi();
	}
	return k;
}

static int step(const char *gdb_path, uint64_t start, uint64_t end, uint64_t stubs)
{
	unsigned int k, n, sweeps = 0;

	gdb = connect_to(gdb_path);
	gdb_rip();			/* and whatever stop comes with connecting */
	/* No entry takes just as many instructions as the one before: a stub, which is short, may be missed. */
	do {
		k = sweep(start, end, stubs);
		n = in_nexus + in_stub + in_guest;
	} while (k < MAX_STEPS && (!in_guest || !in_stub) && ++sweeps < 3);
	printf("an NMI at each of %u instruction boundaries: %u in the switch, %u in stubs, %u in the guest\n",
	       n, in_nexus, in_stub, in_guest);
	gdb_put("D");
	return k == MAX_STEPS || k < 100 || !in_guest || !in_stub;
}

int main(int argc, char **argv)
{
	signal(SIGPIPE, SIG_IGN);	/* QEMU ends while we write */
	if (argc == 4 && !strcmp(argv[1], "storm"))
		return storm(argv[2], atoi(argv[3]));
	if (argc == 7 && !strcmp(argv[1], "step")) {
		qmp_open(argv[2]);
		return step(argv[3], strtoull(argv[4], NULL, 16), strtoull(argv[5], NULL, 16),
			    strtoull(argv[6], NULL, 16));
	}
	fprintf(stderr, "Usage: inject storm QMP PER-SECOND | step QMP GDB START END STUBS\n");
	return 2;
}
