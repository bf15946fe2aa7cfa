// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Runs a command and writes each line it says with the host's time in front, so
 * that what happens in a guest is measured with a clock that the guest cannot
 * bend.  Bochs writes its serial port into a FIFO that this program reads; a
 * native run says the same lines on its standard output.
 *
 *   watch [-f FIFO | -p] [-c] [-o OUTPUT] [-t SECONDS] [-q SECONDS] [-l LABEL] -- COMMAND...
 *
 *   -f  make FIFO and read lines from it
 *   -p  read lines from the command's standard output
 *   -c  in front of each line: CPU time, not time, of the command and all that it starts.
 *       For commands that share a processor to be compared; see bench/run --together
 *   -o  file for the command's other output (default: this program's stderr)
 *   -t  stop the command after so many seconds
 *   -q  stop it after so many seconds without a line
 *   -l  tell on stderr what begins: LABEL and the rest of each line "@ start ..."
 *
 * Each line leaves as "SECONDS<TAB>LINE", seconds since the command was started (or, with -c,
 * that it has used).
 * The last is "SECONDS<TAB># exit STATUS cpu SECONDS".  Exit status: the command's,
 * 124 after a time-out, 128 + n when killed by signal n.  No process survives:
 * the command has its own process group, which dies with this program.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double started;
static pid_t child;
static const char *label;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec * 1e-9;
}

__attribute__((noreturn, format(printf, 1, 2)))
static void die(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	fputs("watch: ", stderr);
	vfprintf(stderr, fmt, ap);
	fputc('\n', stderr);
	va_end(ap);
	if (child > 0)
		kill(-child, SIGKILL);
	exit(2);
}

static int cpu_clock = -1;

/*
 * A counter for this process and its children to come, dead ones too: nobody need wait for
 * them, as getrusage() wants it (perf_event_open(2), "inherit").
 */
static void count_cpu(void)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_TASK_CLOCK,
		.inherit = 1,
	};

	cpu_clock = syscall(SYS_perf_event_open, &attr, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
	if (cpu_clock < 0)
		die("-c cannot count CPU time: %s (kernel.perf_event_paranoid may be 1 at most)",
		    strerror(errno));
}

/* What goes in front of a line. */
static double stamp(void)
{
	uint64_t ns;

	if (cpu_clock < 0)
		return now() - started;
	if (read(cpu_clock, &ns, sizeof(ns)) != sizeof(ns))
		die("cannot read the CPU time: %s", strerror(errno));
	return ns * 1e-9;
}

static double seconds(const char *text, char option)
{
	char *end;
	double s = strtod(text, &end);

	if (*end || end == text || !(s > 0))
		die("-%c wants a number of seconds, not '%s'", option, text);
	return s;
}

static int partial_line;	/* the last line has no end yet */

/* Lines as they grow: a line's time is that of its first byte. */
static void take(const char *buf, size_t n, double at)
{
	static char line[4096];
	static size_t len;
	static double first;

	for (size_t i = 0; i < n; i++) {
		if (buf[i] == '\r')
			continue;
		if (!len)
			first = at;
		if (buf[i] != '\n')
			line[len++] = buf[i];
		if (buf[i] == '\n' || len == sizeof(line)) {
			printf("%.6f\t%.*s\n", len ? first : at, (int)len, line);
			if (label && len > 8 && !memcmp(line, "@ start ", 8))
				fprintf(stderr, "%s: %.*s\n", label, (int)len - 8, line + 8);
			len = 0;
		}
	}
	partial_line = len > 0;
	fflush(stdout);
}

/* Reads all there is; 0 when the writers have gone. */
static int drain(int fd)
{
	char buf[4096];
	ssize_t n;

	while ((n = read(fd, buf, sizeof(buf))) > 0)
		take(buf, n, stamp());
	return n < 0 && errno == EAGAIN;
}

static pid_t start(char **argv, const int *pipe_out, const char *output)
{
	pid_t parent = getpid(), pid = fork();
	sigset_t none;
	int fd;

	if (pid)
		return pid;
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	fd = open("/dev/null", O_RDONLY);
	dup2(fd, 0);
	if (output) {
		fd = open(output, O_WRONLY | O_CREAT | O_TRUNC, 0644);
		if (fd < 0) {
			fprintf(stderr, "watch: cannot write %s: %s\n", output, strerror(errno));
			_exit(126);
		}
		dup2(fd, 2);
	}
	dup2(pipe_out ? pipe_out[1] : 2, 1);
	execvp(argv[0], argv);
	fprintf(stderr, "watch: cannot run %s: %s\n", argv[0], strerror(errno));
	_exit(127);
}

/* Ends the command's whole group, and waits for the command itself. */
static void stop(int *status)
{
	const struct timespec tick = { .tv_nsec = 20 * 1000 * 1000 };

	kill(-child, SIGTERM);
	for (int i = 0; i < 50; i++) {
		if (waitpid(child, status, WNOHANG) == child)
			return;
		nanosleep(&tick, NULL);
	}
	kill(-child, SIGKILL);
	waitpid(child, status, 0);
}

int main(int argc, char **argv)
{
	const char *fifo = NULL, *output = NULL, *why = NULL;
	double total = 0, quiet = 0, heard;
	int use_pipe = 0, p[2] = { -1, -1 }, in, sig, opt, status = 0, code;
	struct rusage ru;
	sigset_t set;

	while ((opt = getopt(argc, argv, "+f:pco:t:q:l:")) != -1) {
		switch (opt) {
		case 'f': fifo = optarg; break;
		case 'p': use_pipe = 1; break;
		case 'c': count_cpu(); break;
		case 'o': output = optarg; break;
		case 't': total = seconds(optarg, 't'); break;
		case 'q': quiet = seconds(optarg, 'q'); break;
		case 'l': label = optarg; break;
		default: return 2;
		}
	}
	if (!argv[optind] || !fifo == !use_pipe)
		die("usage: watch [-f FIFO | -p] [-c] [-o OUTPUT] [-t SECONDS] [-q SECONDS] "
		    "[-l LABEL] -- COMMAND...");

	if (fifo) {
		unlink(fifo);
		if (mkfifo(fifo, 0600))
			die("cannot make the FIFO %s: %s", fifo, strerror(errno));
		/* Read and write: nobody blocks in open(), and no end of file between writers. */
		in = open(fifo, O_RDWR | O_NONBLOCK | O_CLOEXEC);
	} else {
		if (pipe2(p, O_CLOEXEC))
			die("pipe: %s", strerror(errno));
		in = p[0];
		fcntl(in, F_SETFL, O_NONBLOCK);
	}
	if (in < 0)
		die("cannot open %s: %s", fifo, strerror(errno));

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);	/* a killed script leaves nothing behind */
	sig = signalfd(-1, &set, SFD_CLOEXEC);

	started = heard = now();
	child = start(argv + optind, use_pipe ? p : NULL, output);
	if (child < 0)
		die("fork: %s", strerror(errno));
	setpgid(child, child);
	if (use_pipe)
		close(p[1]);

	for (int open_in = 1;;) {
		struct pollfd fds[2] = {
			{ .fd = sig, .events = POLLIN },
			{ .fd = open_in ? in : -1, .events = POLLIN },
		};
		double t = now(), wait = 1e6;

		if (total && started + total - t < wait)
			wait = started + total - t;
		if (quiet && heard + quiet - t < wait)
			wait = heard + quiet - t;
		if (wait <= 0) {
			why = total && started + total <= t ? "took too long" : "fell silent";
			stop(&status);
			break;
		}
		poll(fds, 2, (int)(wait * 1e3) + 1);
		if (fds[1].revents) {
			open_in = drain(in);
			heard = now();
		}
		if (fds[0].revents) {
			struct signalfd_siginfo si;

			if (read(sig, &si, sizeof(si)) == sizeof(si) && si.ssi_signo != SIGCHLD) {
				why = "was interrupted";
				stop(&status);
				break;
			}
			if (waitpid(child, &status, WNOHANG) == child)
				break;
		}
	}
	kill(-child, SIGKILL);		/* whatever it left behind */
	drain(in);
	take("\n", partial_line, stamp());
	if (fifo)
		unlink(fifo);

	code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	if (why) {
		fprintf(stderr, "watch: %s %s after %.0f s\n", argv[optind], why, now() - started);
		code = strcmp(why, "was interrupted") ? 124 : 130;
	}
	getrusage(RUSAGE_CHILDREN, &ru);
	printf("%.6f\t# exit %d cpu %.2f\n", stamp(), code,
	       ru.ru_utime.tv_sec + ru.ru_stime.tv_sec +
	       (ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1e-6);
	return code;
}
