// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The second wall of the process engine's containers, by itself (filter.c): the first one
 * swallows every call of guest code, so no test of an engine that works comes near it.
 * Each attempt is a process that puts itself behind the filter and makes one call; if that
 * comes back, the process dies of UD2, as there is no other call that it could still make.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tap.h"
#include "../../accel-driver/process/process.h"

#define SECRET		UINT64_C(0x9e3779b900000000)
#define X32_BIT		UINT64_C(0x40000000)
#define VSYSCALL	UINT64_C(0xffffffffff600000)	/* its first entry is gettimeofday() */
#define I386_GETSCHEDULER SYS_prctl	/* the same number in the other table */
#define SECONDS		20	/* an attempt that waits for something is let through, too */

enum { R8 = 4, R9 = 5 };	/* arguments, from 0 */

struct call {
	uint64_t nr, arg[6];
};

/* What an attempt leaves behind. */
struct result {
	bool back;		/* behind the filter, the call came back ... */
	uint64_t before, got;	/* ... with that, and without a filter with that */
};

static struct result *result;
static uint8_t *code, *victim;	/* pages: with one call; to do something to */

/* The stub's calls, each with an effect that doesn't matter. */
#define NCALLS 6
static struct call stub_call_of(unsigned int i)
{
	const uint64_t at = (uint64_t)(uintptr_t)victim;
	const struct call call[NCALLS] = {
		{ SYS_mmap, { at, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED } },
		{ SYS_munmap, { at, 4096 } },
		{ SYS_clone, { CLONE_SIGHAND } },	/* without CLONE_VM: an error */
		{ SYS_modify_ldt, { 0, at, 0 } },	/* reads none of it */
		{ SYS_prctl, { PR_GET_DUMPABLE } },
		{ SYS_mremap, { at, 4096, 4096, 0 } },
	};

	return call[i];
}

/* Where filter.c wants the secret: what the call has no use for. */
static unsigned int secret_in(const struct call *call)
{
	return call->nr == SYS_mremap ? R9 : R8;
}

/* Two bytes that make a call and a RET, so that the RET is @behind in its page. */
static void place_code(unsigned int behind, uint8_t first, uint8_t second)
{
	memset(code, 0xcc, PLEX86_PAGE_SIZE);
	code[behind - 2] = first;
	code[behind - 1] = second;
	code[behind] = 0xc3;
}

/* RBX, RCX: INT 80H's first two arguments. */
static uint64_t make(const struct call *call, uint64_t where)
{
	register uint64_t r10 __asm__("r10") = call->arg[3];
	register uint64_t r8 __asm__("r8") = call->arg[4];
	register uint64_t r9 __asm__("r9") = call->arg[5];
	register uint64_t r12 __asm__("r12") = where;
	uint64_t rax = call->nr, rcx = 0;

	__asm__ volatile("sub $128, %%rsp\n\tcall *%%r12\n\tadd $128, %%rsp"
			 : "+a"(rax), "+c"(rcx), "+r"(r10), "+r"(r8), "+r"(r9)
			 : "D"(call->arg[0]), "S"(call->arg[1]), "d"(call->arg[2]), "b"(UINT64_C(0)),
			   "r"(r12)
			 : "r11", "memory", "cc");
	return rax;
}

static bool install(uint64_t secret)
{
	struct sock_filter filter[FILTER_MAX];
	struct sock_fprog program = { .filter = filter };

	program.len = (unsigned short)filter_build(filter, secret);
	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* The signal that ended a process which has done that, or 0. */
static int attempt(const struct call *call, uint64_t where, uint64_t secret, bool known)
{
	const struct rlimit none = { 0, 0 };
	int status;
	pid_t pid;

	memset(result, 0, sizeof(*result));
	pid = fork();
	if (!pid) {
		alarm(SECONDS);
		setrlimit(RLIMIT_CORE, &none);
		setsid();
		if (known)
			result->before = make(call, where);
		if (!install(secret))
			_exit(1);
		result->got = make(call, where);
		result->back = true;
		__builtin_trap();
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
		return 0;
	return WTERMSIG(status);
}

static uint64_t stub_place_in(const uint8_t *page)
{
	return (uint64_t)(uintptr_t)page + STUB_OFFSET(stub_called) - 2;
}

static bool is_let_through(const struct call *call)
{
	int signo = attempt(call, stub_place_in(code), SECRET, true);

	if (signo == SIGILL && result->back && result->got == result->before)
		return true;
	tap_diag("call %llu: signal %d, %#llx without a filter, %#llx behind it",
		 (unsigned long long)call->nr, signo, (unsigned long long)result->before,
		 (unsigned long long)result->got);
	return false;
}

static bool is_stopped(const struct call *call, uint64_t where, uint64_t secret)
{
	int signo = attempt(call, where, secret, false);

	if (signo == SIGSYS && !result->back)
		return true;
	tap_diag("call %llu, R8 %#llx, R9 %#llx, from %#llx: signal %d%s", (unsigned long long)call->nr,
		 (unsigned long long)call->arg[R8], (unsigned long long)call->arg[R9],
		 (unsigned long long)where, signo, result->back ? ", it came back" : "");
	return false;
}

static struct call with_secret(unsigned int i, uint64_t secret)
{
	struct call call = stub_call_of(i);

	call.arg[secret_in(&call)] |= secret;
	return call;
}

static void test_allowed(void)
{
	struct call call;
	bool good = true;
	unsigned int i;

	place_code(STUB_OFFSET(stub_called), 0x0f, 0x05);
	for (i = 0; i < NCALLS; i++) {
		call = with_secret(i, SECRET);
		good &= is_let_through(&call);
	}
	tap_ok(good, "the stub's calls, from the stub's place, with the secret: made");
}

static void test_secret(void)
{
	bool none = true, bits = true, other = true;
	struct call call;
	unsigned int i;

	place_code(STUB_OFFSET(stub_called), 0x0f, 0x05);
	for (i = 0; i < NCALLS; i++) {
		call = with_secret(i, 0);
		none &= is_stopped(&call, stub_place_in(code), SECRET);
		call.arg[secret_in(&call) ^ R8 ^ R9] |= SECRET;
		other &= is_stopped(&call, stub_place_in(code), SECRET);
	}
	for (i = 32; i < 64; i++) {
		call = with_secret(i % NCALLS, SECRET ^ UINT64_C(1) << i);
		bits &= is_stopped(&call, stub_place_in(code), SECRET);
	}
	tap_ok(none, "the same without the secret: SIGSYS");
	tap_ok(bits, "with a secret that is wrong in one bit: SIGSYS");
	tap_ok(other, "with the secret in the register that this call does use: SIGSYS");
}

static void test_place(void)
{
	static const int off[] = { -1, 1, 0x100, 0x800 };
	bool good = true;
	struct call call;
	unsigned int i;

	for (i = 0; i < NCALLS * sizeof(off) / sizeof(off[0]); i++) {
		call = with_secret(i % NCALLS, SECRET);
		place_code(STUB_OFFSET(stub_called) + (unsigned int)off[i / NCALLS], 0x0f, 0x05);
		good &= is_stopped(&call, stub_place_in(code) + (uint64_t)off[i / NCALLS], SECRET);
	}
	tap_ok(good, "with the secret from any other place in a page: SIGSYS");
}

/* Neighbours of what is allowed, and what would be of most use; harmless if it were made. */
static void test_numbers(void)
{
	static const uint64_t other[] = { SYS_read, SYS_write, SYS_open, SYS_close, SYS_lseek, SYS_mprotect,
		SYS_brk, SYS_rt_sigreturn, SYS_ioctl, SYS_sched_yield, SYS_msync, SYS_dup, SYS_pause,
		SYS_getpid, SYS_socket, SYS_getsockopt, SYS_fork, SYS_execve, SYS_exit, SYS_kill, SYS_ptrace,
		SYS_setuid, SYS_pivot_root, SYS_arch_prctl, SYS_exit_group, SYS_openat, SYS_seccomp,
		SYS_bpf, SYS_remap_file_pages, SYS_process_vm_writev, 435 /* clone3 */, 511, 0xffffffff };
	bool good = true, x32 = true;
	struct call call;
	unsigned int i;

	place_code(STUB_OFFSET(stub_called), 0x0f, 0x05);
	for (i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		call = (struct call){ other[i], { 0, 0, 0, 0, SECRET, SECRET } };
		good &= is_stopped(&call, stub_place_in(code), SECRET);
	}
	for (i = 0; i < NCALLS; i++) {
		call = with_secret(i, SECRET);
		call.nr |= X32_BIT;
		x32 &= is_stopped(&call, stub_place_in(code), SECRET);
	}
	tap_ok(good, "other numbers, with the place and the secret: SIGSYS");
	tap_ok(x32, "the stub's numbers of the x32 ABI: SIGSYS");
}

/* Its arguments have 32 bits: only with a secret of 0 can the arch alone keep it out. */
static void test_int80(void)
{
	static const char name[] = "INT 80H with a number, a place and a secret of the stub's: SIGSYS";
	const struct call call = { I386_GETSCHEDULER, { 0 } };

	place_code(STUB_OFFSET(stub_called), 0xcd, 0x80);
	if (attempt(&call, stub_place_in(code), 0, true) == SIGSEGV)
		tap_skip(name, "this kernel has no 32-bit calls");
	else
		tap_ok(is_stopped(&call, stub_place_in(code), 0), "%s", name);
}

/* The one call that SYSEMU doesn't see. */
static void test_vsyscall(void)
{
	static const char name[] = "a call of the vsyscall page, with the secret: SIGSYS";
	const struct call call = { 0, { 0, 0, 0, 0, SECRET, SECRET } };

	if (attempt(&call, VSYSCALL, SECRET, true) == SIGSEGV)
		tap_skip(name, "this kernel has no vsyscall page");
	else
		tap_ok(is_stopped(&call, VSYSCALL, SECRET), "%s", name);
}

static void *pages(int prot, int flags)
{
	void *at = mmap(NULL, PLEX86_PAGE_SIZE, prot, flags | MAP_ANONYMOUS, -1, 0);

	return at == MAP_FAILED ? NULL : at;
}

int main(void)
{
	if (prctl(PR_GET_SECCOMP) < 0)
		tap_skip_all("this kernel has no seccomp");
	result = pages(PROT_READ | PROT_WRITE, MAP_SHARED);
	code = pages(PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE);
	victim = pages(PROT_READ | PROT_WRITE, MAP_PRIVATE);
	if (!tap_ok(result && code && victim, "memory"))
		return tap_done();
	test_allowed();
	test_secret();
	test_place();
	test_numbers();
	test_int80();
	test_vsyscall();
	return tap_done();
}
