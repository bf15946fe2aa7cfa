/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Isolation (I9) under Linux: each try ends as it would on the plain CPU, with
 * the same signal, trap number, error code and address.  The program says how;
 * hostile.t compares what it says accelerated with what it says in plain Bochs.
 */
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "hostile.h"

#ifdef __x86_64__
#define GREG_IP	REG_RIP
#include <asm/prctl.h>
static unsigned long own_fs;
#else
#define GREG_IP	REG_EIP
#define LINUX_DS	0x7b		/* reading SS could give the host's: docs/limits.md */
static unsigned short own_gs;
#endif

static sigjmp_buf back;
static volatile bool trying;
static struct outcome caught;
static unsigned long wanted;

/* Thread-local storage, without which nothing of the C library works; and no AC. */
static inline void own_tls(void)
{
	asm volatile("push $2; popf" : : : "memory", "cc");
#ifdef __x86_64__
	long r;

	asm volatile("syscall" : "=a"(r)
		     : "0"((long)SYS_arch_prctl), "D"((long)ARCH_SET_FS), "S"(own_fs)
		     : "rcx", "r11", "memory");
#else
	asm volatile("mov %0, %%gs" : : "r"(own_gs));
	asm volatile("mov %0, %%ds; mov %0, %%es" : : "r"(LINUX_DS));
#endif
}

static void on_signal(int nr, siginfo_t *info, void *context)
{
	const ucontext_t *u = context;
	unsigned long ip;

	own_tls();
	ip = u->uc_mcontext.gregs[GREG_IP];
	if (!trying)
		_exit(100 + nr);
	trying = false;
	caught = (struct outcome){ .signal = nr };
	caught.trap = u->uc_mcontext.gregs[REG_TRAPNO];
	caught.error = u->uc_mcontext.gregs[REG_ERR];
	caught.ip = ip - LOW < LOW_SIZE ? ip - LOW : 1 << 20;
	caught.address = !info->si_addr ? 0 : (unsigned long)info->si_addr == wanted ? 1 : 2;
	siglongjmp(back, 1);
}

static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGTRAP, SIGFPE, SIGSYS };
#define SIGNALS (sizeof(signals) / sizeof(signals[0]))

static void catch_signals(void)
{
	static uint8_t stack[65536];
	stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction a = { .sa_sigaction = on_signal,
			       .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };

	sigaltstack(&alternate, NULL);
	for (unsigned int i = 0; i < SIGNALS; i++)
		sigaction(signals[i], &a, NULL);
}

struct outcome try(long (*fn)(unsigned long arg), unsigned long arg, unsigned long address)
{
	wanted = address;
	if (sigsetjmp(back, 1) == 0) {
		trying = true;
		caught = (struct outcome){ .value = fn(arg) };
		own_tls();
		trying = false;
	}
	return caught;
}

static long call_low(unsigned long unused)
{
	(void)unused;
#ifdef __x86_64__
	asm volatile("call *%0" : : "r"(LOW), "a"(-1l), "b"(LOW), "S"(LOW), "D"(LOW)
		     : "rcx", "rdx", "r8", "r9", "r10", "r11", "memory", "cc");
#else
	asm volatile("push %%ebx; mov %0, %%ebx; call *%%ebx; pop %%ebx"
		     : : "S"(LOW), "D"(LOW), "a"(-1l) : "ecx", "edx", "memory", "cc");
#endif
	return 0;
}

struct outcome try_bytes(const uint8_t *code, int n)
{
	static const uint8_t ud2[] = { 0x0f, 0x0b };
	uint8_t *low = (uint8_t *)LOW;

	memcpy(low, code, n);
	memcpy(low + n, ud2, sizeof(ud2));
	return try(call_low, 0, LOW + n);
}

int try_in_child(long (*fn)(unsigned long arg), unsigned long arg)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		for (unsigned int i = 0; i < SIGNALS; i++)
			signal(signals[i], SIG_DFL);
		_exit(fn(arg) & 0x7f);
	}
	if (child > 0)
		waitpid(child, &status, 0);
	return status;
}

struct outcome status_outcome(int status)
{
	return WIFSIGNALED(status) ? (struct outcome){ .signal = WTERMSIG(status) } :
				     (struct outcome){ .value = WEXITSTATUS(status) };
}

/* ---- results ---- */

static const char *group_name;
static struct outcome run;
static unsigned long run_first, run_last;
static unsigned long tries;

static void say(void)
{
	if (!group_name || !tries)
		return;
	printf("= %s %lx", group_name, run_first);
	if (run_last != run_first)
		printf("..%lx", run_last);
	if (run.signal)
		printf(": signal %d trap %d error %x ip %lx address %d\n", run.signal, run.trap,
		       run.error, run.ip, run.address);
	else
		printf(": %lx\n", run.value);
}

void group(const char *name)
{
	say();
	fflush(stdout);
	group_name = name;
	tries = 0;
}

void result(unsigned long which, struct outcome o)
{
	if (tries && memcmp(&o, &run, sizeof(o))) {
		say();
		tries = 0;
	}
	if (!tries)
		run_first = which;
	run = o;
	run_last = which;
	tries++;
}

int main(int argc, char **argv)
{
	if (!(personality(0xffffffff) & ADDR_NO_RANDOMIZE) && argc == 1) {
		/* The same addresses in each run. */
		personality(ADDR_NO_RANDOMIZE);
		execl(argv[0], argv[0], "fixed", NULL);
		perror(argv[0]);
		return 1;
	}
#ifdef __x86_64__
	syscall(SYS_arch_prctl, ARCH_GET_FS, &own_fs);
#else
	asm("mov %%gs, %0" : "=r"(own_gs));
#endif
	if (mmap((void *)LOW, LOW_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED) {
		perror("mmap");
		return 1;
	}
	setvbuf(stdout, NULL, _IOLBF, 0);
	catch_signals();
	hostile_code();
	hostile_selectors();
#ifdef __x86_64__
	hostile_entries();
#endif
	hostile_addresses();
	hostile_calls();
	hostile_frames();
	hostile_ldt();
	hostile_process();
	group("end");
	printf("= end\n");
	return 0;
}
