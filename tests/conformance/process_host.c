// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Does the process engine find out what this host can?  What it claims is compared with
 * the same things done by ordinary processes: an engine that said no to everything would
 * pass all other tests, as they skip what it hasn't got.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <linux/capability.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include "children.h"
#include "harness.h"

#define HWCAP2_FSGSBASE_BIT	(1u << 1)
#define GDT_ENTRY_TLS_MIN	12	/* as in the engine */
#define CS32			0x23
#define SOME_BASE		UINT64_C(0x123456789000)
#define LOWEST_LIMIT		UINT64_C(0x10000000)	/* the engine wants pages below */
#define NOT_SO			0
#define SO			1
#define CANNOT			2
#define SECONDS			20

#ifndef ARCH_SET_CPUID
#define ARCH_SET_CPUID	0x1012
#endif

extern const uint8_t process_host_target[];
__asm__(".text\nprocess_host_target:\n\tnop\n\tret\n");

static int reads_tsc(void)
{
	uint32_t lo, hi;

	if (prctl(PR_SET_TSC, PR_TSC_SIGSEGV))
		return NOT_SO;
	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return NOT_SO;
}

static void sleep_a_little(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
}

/* GS is nobody's in 64-bit programs. */
static int keeps_base(void)
{
	uint64_t base;
	int i;

	if (!(getauxval(AT_HWCAP2) & HWCAP2_FSGSBASE_BIT))
		return NOT_SO;
	__asm__ volatile("wrgsbase %0" : : "r"(SOME_BASE));
	for (i = 0; i < 10; i++)
		sleep_a_little();
	__asm__ volatile("rdgsbase %0" : "=r"(base));
	return base == SOME_BASE ? SO : NOT_SO;
}

/* Through a tenth of a second of timer interrupts. */
static int keeps_nt(void)
{
	uint64_t now = 0;
	clock_t end = clock() + CLOCKS_PER_SEC / 10;

	while (clock() < end) {
		__asm__ volatile("pushfq\n\torq $0x4000, (%%rsp)\n\tpopfq\n\t"
				 "mov $200000, %%ecx\n1:\tdec %%ecx\n\tjnz 1b\n\t"
				 "pushfq\n\tmov (%%rsp), %0\n\tandq $~0x4000, (%%rsp)\n\tpopfq"
				 : "=r"(now) : : "rcx", "cc", "memory");
		if (!(now & 0x4000))
			return NOT_SO;
	}
	return SO;
}

static uint8_t *code;
static volatile sig_atomic_t faulted;

static void passes_it(int signo, siginfo_t *info, void *context)
{
	greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)info;
	faulted = signo == SIGSEGV && r[REG_RIP] == (greg_t)(uintptr_t)code;
	if (!faulted)
		_exit(NOT_SO);
	r[REG_RIP] += 2;
}

static int intn_faults(void)
{
	const struct sigaction act = { .sa_sigaction = passes_it, .sa_flags = SA_SIGINFO };
	unsigned int n;

	code = mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0);
	if (code == MAP_FAILED || sigaction(SIGSEGV, &act, NULL) || sigaction(SIGILL, &act, NULL))
		return NOT_SO;
	for (n = 0; n < 256; n++) {
		if (n == 3 || n == 4 || n == 0x80)
			continue;
		code[0] = 0xcd;
		code[1] = (uint8_t)n;
		code[2] = 0xc3;
		faulted = 0;
		__asm__ volatile("call *%0" : : "r"(code)
				 : "rax", "rbx", "rcx", "rdx", "memory", "cc");
		if (!faulted)
			return NOT_SO;
	}
	return SO;
}

static int executes_sysenter(void)
{
	__asm__ volatile("xor %%ebp, %%ebp\n\tsysenter" : : : "memory");
	return NOT_SO;
}

/* A 16-bit segment, loaded and read through. */
static int has_segments(void)
{
	struct user_desc d = { .entry_number = 0, .limit = 31 };
	uint32_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	uint32_t word;

	if (page == MAP_FAILED)
		return CANNOT;
	page[7] = 0x5eed5eed;
	d.base_addr = (unsigned int)(uintptr_t)page;
	if (syscall(SYS_modify_ldt, 0x11, &d, sizeof(d)))
		return NOT_SO;
	/* GS: 64-bit code has no other with a base that is nobody's. */
	__asm__ volatile("mov %w1, %%gs\n\tmovl %%gs:28, %0" : "=r"(word) : "r"(7));
	return word == 0x5eed5eed ? SO : NOT_SO;
}

static int executes_cpuid(void)
{
	uint32_t a = 0, b, c = 0, d;

	if (syscall(SYS_arch_prctl, ARCH_SET_CPUID, 0))
		return NOT_SO;
	__asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
	return NOT_SO;
}

/* Executed, which works, and read. */
static int reads_code(void)
{
	volatile uint8_t *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return CANNOT;
	page[0] = 0xc3;
	if (mprotect((void *)(uintptr_t)page, 4096, PROT_EXEC))
		return CANNOT;
	__asm__ volatile("sub $128, %%rsp\n\tcall *%0\n\tadd $128, %%rsp" : : "r"(page) : "memory", "cc");
	return page[0] == 0xc3 ? NOT_SO : CANNOT;
}

static bool can_map(uint64_t va)
{
	return mmap((void *)(uintptr_t)va, 4096, PROT_READ, MAP_SHARED | MAP_FIXED, ram_fd, 0) ==
	       (void *)(uintptr_t)va;
}

/* As one without capabilities, which containers are: from where the engine says on, and not before. */
static int maps_from_first(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	const struct __user_cap_data_struct none[2] = { { 0 } };
	const uint64_t first = caps->va_first;

	if (syscall(SYS_capset, &header, none))
		return CANNOT;
	if (first >= LOWEST_LIMIT || !can_map(first))
		return NOT_SO;
	/* It tries 0, and each power of two. */
	return first && can_map(first > PLEX86_PAGE_SIZE ? first / 2 : 0) ? NOT_SO : SO;
}

/* A child that calls process_host_target all the time, stopped before that. */
static pid_t traced(void)
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		((void (*)(void))(uintptr_t)process_host_target)();
		_exit(0);
	}
	return pid > 0 && waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) ? pid : -1;
}

static void end(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static bool has_breakpoints(void)
{
	const size_t dr = offsetof(struct user, u_debugreg);
	pid_t pid = traced();
	int status = 0;
	bool stops;

	if (pid < 0)
		return false;
	stops = !ptrace(PTRACE_POKEUSER, pid, dr, process_host_target) &&
		!ptrace(PTRACE_POKEUSER, pid, dr + 7 * 8, 1) && !ptrace(PTRACE_CONT, pid, 0, 0) &&
		waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
		WSTOPSIG(status) == SIGTRAP;
	end(pid);
	return stops;
}

/* CS of Linux's 32-bit programs, and a kernel that is built for them. */
static bool has_compat(void)
{
	uint64_t desc[2] = { 0 };
	struct user_regs_struct r;
	pid_t pid = traced();
	int status = 0;
	bool can;

	if (pid < 0)
		return false;
	can = !ptrace(PTRACE_GET_THREAD_AREA, pid, GDT_ENTRY_TLS_MIN, desc) &&
	      !ptrace(PTRACE_GETREGS, pid, 0, &r);
	r.cs = CS32;
	r.rip = 0x1000;		/* nothing is there */
	can = can && !ptrace(PTRACE_SETREGS, pid, 0, &r) && !ptrace(PTRACE_CONT, pid, 0, 0) &&
	      waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) &&
	      WSTOPSIG(status) == SIGSEGV && !ptrace(PTRACE_GETREGS, pid, 0, &r) &&
	      r.cs == CS32 && r.rip == 0x1000;
	end(pid);
	return can;
}

/* What @it returns, or -signal. */
static int elsewhere(int (*it)(void))
{
	return in_fork(it, SECONDS);
}

static void agrees(uint32_t cap, bool host, const char *what)
{
	report(!!(caps->flags & cap) == host, "%s: %s, as the engine says", what,
	       host ? "yes" : "no");
}

/* A Bochs whose file has capabilities is such a program, and one that changes its user. */
static int opens_untraceable(void)
{
	char why[PLEX86_WHY_LEN] = "";

	if ((!geteuid() && (setgid(65534) || setuid(65534))) || prctl(PR_SET_DUMPABLE, 0))
		return CANNOT;
	return plex86_engine_process.probe(why) == -EPERM && strstr(why, "may not be traced") ? SO : NOT_SO;
}

/* The engine's @flag is said if, and only if, @attempt gives @wanted, or (@unless) anything else. */
static void agrees_with(uint32_t flag, int (*attempt)(void), int wanted, bool unless, const char *name)
{
	int got = elsewhere(attempt);

	if (got == CANNOT)
		skip(name, "it could not be tried");
	else
		agrees(flag, (got == wanted) != unless, name);
}

int main(void)
{
	int told;

	open_or_skip(&plex86_engine_process, 4);
	report((caps->max_traps > 0) == has_breakpoints(), "breakpoints: %u", caps->max_traps);
	agrees(PLEX86_CAP_COMPAT, has_compat(), "32-bit code");
	agrees_with(PLEX86_CAP_SEGMENTS, has_segments, SO, false, "16-bit segments of its own");
	agrees_with(PLEX86_CAP_EXEC_ONLY, reads_code, -SIGSEGV, false, "code that can't be read");
	agrees_with(PLEX86_CAP_TRAP_CPUID, executes_cpuid, -SIGSEGV, false, "CPUID can be made to trap");
	report(elsewhere(maps_from_first) == SO, "the first page that can be mapped is at %#llx",
	       (unsigned long long)caps->va_first);
	agrees_with(PLEX86_CAP_TSC_SWITCH, reads_tsc, -SIGSEGV, false, "RDTSC can be made to trap");
	agrees_with(PLEX86_CAP_BASES_LOST, keeps_base, SO, true, "FS and GS base are lost");
	agrees_with(PLEX86_CAP_NT_LOST, keeps_nt, SO, true, "EFLAGS.NT is lost");
	agrees_with(PLEX86_CAP_INTN_TAKEN, intn_faults, SO, true, "some INT n are taken");
	agrees_with(PLEX86_CAP_SYSENTER_UD, executes_sysenter, -SIGILL, false, "SYSENTER is #UD");
	close_engine();
	told = elsewhere(opens_untraceable);
	if (told == CANNOT)
		skip("a program that may not be traced is told so", "this root can't become another user");
	else
		report(told == SO, "a program that may not be traced is told so");
	return finish();
}
