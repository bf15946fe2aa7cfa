/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* System calls of every number, forged signal frames, descriptors, other processes. */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

#include "hostile.h"

#ifdef __x86_64__
#include <asm/prctl.h>
#endif

/* Of 32 bits. */
static long int80_call(long nr, const long arg[6])
{
	long r = nr;

#ifdef __x86_64__
	asm volatile("int $0x80" : "+a"(r) : "b"(arg[0]), "c"(arg[1]), "d"(arg[2]), "S"(arg[3]), "D"(arg[4])
		     : "r8", "r9", "r10", "r11", "memory");
#else
	asm volatile("push %%ebx; mov %1, %%ebx; int $0x80; pop %%ebx" : "+a"(r)
		     : "g"(arg[0]), "c"(arg[1]), "d"(arg[2]), "S"(arg[3]), "D"(arg[4]) : "memory");
#endif
	return r;
}

/* The CPU's own way: SYSCALL or INT 80H. */
static long raw_call(long nr, const long arg[6])
{
#ifdef __x86_64__
	register long r10 asm("r10") = arg[3], r8 asm("r8") = arg[4], r9 asm("r9") = arg[5];
	long r;

	asm volatile("syscall" : "=a"(r)
		     : "0"(nr), "D"(arg[0]), "S"(arg[1]), "d"(arg[2]), "r"(r10), "r"(r8), "r"(r9)
		     : "rcx", "r11", "memory");
	return r;
#else
	return int80_call(nr, arg);
#endif
}

/*
 * Not called: what ends this process, makes another, sleeps for ever, or answers
 * with a number that is not the same in each run.
 */
static bool is_unfit(long nr, bool of_32_bits)
{
	static const short of_64[] = {
		SYS_rt_sigreturn, SYS_exit, SYS_exit_group, SYS_pause, SYS_vhangup, SYS_getpid, SYS_gettid,
		SYS_getppid, SYS_getpgrp, SYS_setsid, SYS_set_tid_address, SYS_time, SYS_times,
		SYS_restart_syscall, SYS_sched_yield, SYS_brk, SYS_alarm,
#ifdef __x86_64__
		SYS_fork, SYS_vfork,
#else
		SYS_fork, SYS_vfork, SYS_sigreturn, SYS_sigsuspend, SYS_signal, SYS_ssetmask,
#endif
		-1
	};
	/* The same and some more, by the numbers of 32-bit Linux. */
	static const short of_32[] = {
		0, 1, 2, 13, 20, 24, 25, 27, 29, 43, 45, 48, 64, 65, 66, 69, 72, 111, 119, 158, 173, 190, 224, 252,
		258, -1
	};

	for (const short *p = of_32_bits ? of_32 : of_64; *p >= 0; p++)
		if (*p == nr)
			return true;
	return false;
}

static const long bad[6] = { -1, -1, -1, -1, -1, -1 };

static long call(unsigned long nr)
{
	return raw_call(nr, bad);
}

static long call80(unsigned long nr)
{
	return int80_call(nr, bad);
}

void hostile_calls(void)
{
	group("system call");
	for (long nr = 0; nr < 700; nr++)
		if (!is_unfit(nr, sizeof(long) == 4))
			result(nr, try(call, nr, 0));
	for (int bit = 10; bit < (int)(8 * sizeof(long)); bit++)
		result(1l << bit, try(call, 1l << bit, 0));
	group("int 80");
	for (long nr = 0; nr < 700; nr++)
		if (!is_unfit(nr, true))
			result(nr, try(call80, nr, 0));
}

/* ---- signal frames ---- */

static struct { unsigned long cs, ss, ip, sp, flags; unsigned int set; } forged;
enum { SET_CS = 1, SET_IP = 2, SET_SP = 4, SET_FLAGS = 8 };

static void forge(int nr, siginfo_t *info, void *context)
{
	greg_t *g = ((ucontext_t *)context)->uc_mcontext.gregs;

	(void)nr;
	(void)info;
#ifdef __x86_64__
	if (forged.set & SET_CS)
		g[REG_CSGSFS] = (g[REG_CSGSFS] & 0x0000ffffffff0000ul) | forged.cs | forged.ss << 48;
	if (forged.set & SET_IP)
		g[REG_RIP] = forged.ip;
	if (forged.set & SET_SP)
		g[REG_RSP] = forged.sp;
#else
	if (forged.set & SET_CS) {
		g[REG_CS] = forged.cs;
		g[REG_SS] = forged.ss;
	}
	if (forged.set & SET_IP)
		g[REG_EIP] = forged.ip;
	if (forged.set & SET_SP)
		g[REG_UESP] = g[REG_ESP] = forged.sp;
#endif
	if (forged.set & SET_FLAGS)
		g[REG_EFL] ^= forged.flags;
}

static long return_from_signal(unsigned long unused)
{
	(void)unused;
	raise(SIGUSR1);
	return 0;
}

static void frame(unsigned long which)
{
	memcpy((void *)LOW, "\x0f\x0b\x0f\x0b", 4);
	result(which, try(return_from_signal, 0, forged.ip));
}

void hostile_frames(void)
{
	static const unsigned short stacks[] = { 0, 0x2b, 0x7b, 0x18, 0x1b };
	struct sigaction a = { .sa_sigaction = forge, .sa_flags = SA_SIGINFO };

	sigaction(SIGUSR1, &a, NULL);
	group("frame, cs and ss");
	for (unsigned long cs = 0; cs < 0x90; cs++)
		for (unsigned int i = 0; i < sizeof(stacks) / sizeof(stacks[0]); i++) {
			forged = (typeof(forged)){ .cs = cs, .ss = stacks[i], .ip = LOW,
						   .set = SET_CS | SET_IP };
			frame(cs << 16 | stacks[i]);
		}
	group("frame, ip");
	for (unsigned int bit = 17; bit < 8 * sizeof(long); bit++) {
		forged = (typeof(forged)){ .ip = -(1ul << bit), .set = SET_IP };
		frame(bit);
	}
	group("frame, sp");
	for (unsigned int bit = 0; bit < 8 * sizeof(long); bit++) {
		forged = (typeof(forged)){ .sp = 1ul << bit, .ip = LOW, .set = SET_SP | SET_IP };
		frame(bit);
	}
	group("frame, flags");
	for (unsigned int bit = 0; bit < 22; bit++) {
		forged = (typeof(forged)){ .flags = 1ul << bit, .ip = LOW, .set = SET_FLAGS | SET_IP };
		frame(bit);
	}
}

/* ---- descriptors of its own ---- */

static long use_descriptor(unsigned long how)
{
	switch (how) {
	case 0:
		asm volatile("mov %0, %%es; movb %%es:0, %%al" : : "r"(7) : "eax");
		break;
	case 1:
		asm volatile("mov %0, %%es; movb $0, %%es:0x20" : : "r"(7));
		break;
	case 2:
		asm volatile("mov %0, %%es; movb %%es:0x7f0, %%al" : : "r"(7) : "eax");
		break;
	default: {
		static struct { uint32_t offset; uint16_t selector; } __attribute__((packed)) to = { 0, 7 };

		asm volatile("ljmp *%0" : : "m"(to));
	}
	}
	return 0;
}

/* Each kind of LDT entry that Linux lets a program make, read, written, and jumped to. */
void hostile_ldt(void)
{
	group("ldt");
	for (unsigned int kind = 0; kind < 128; kind++) {
		struct user_desc d = {
			.entry_number = 0, .base_addr = LOW, .limit = kind & 16 ? 0 : 0x3ff,
			.contents = kind & 3, .read_exec_only = kind >> 2 & 1, .seg_32bit = kind >> 3 & 1,
			.limit_in_pages = kind >> 4 & 1, .seg_not_present = kind >> 5 & 1,
			.useable = kind >> 6 & 1,
		};
		long r;

		memset((void *)LOW, 0x90, 0x800);
		memcpy((void *)(LOW + 0x10), "\x0f\x0b", 2);
		r = syscall(SYS_modify_ldt, 0x11, &d, sizeof(d));
		result(kind << 4 | 0xf, (struct outcome){ .value = r });
		for (unsigned long how = 0; !r && how < 4; how++)
			result(kind << 4 | how, try(use_descriptor, how, LOW));
	}
}

/* ---- processes ---- */

static long read_time(unsigned long nr)
{
	uint32_t low, high;

	prctl(PR_SET_TSC, nr);
	asm volatile("rdtsc" : "=a"(low), "=d"(high));
	return 1;
}

/* It goes on at LOW with nothing mapped above: no stack, no C library, no vDSO. */
static long unmap_all(unsigned long unused)
{
	const unsigned long end = sizeof(long) == 8 ? 0x7ffffffff000ul : 0xbfff0000ul;
	const unsigned long above = LOW + LOW_SIZE;
	uint8_t *code = (uint8_t *)LOW;

	(void)unused;
#ifdef __x86_64__
	memcpy(code, "\x0f\x05\x0f\x05\xf4", 5);	/* SYSCALL; SYSCALL; HLT */
	asm volatile("jmp *%0" : : "r"(code), "a"((long)SYS_munmap), "D"(above), "S"(end - above) : "memory");
#else
	memcpy(code, "\xcd\x80\xcd\x80\xf4", 5);	/* INT 80H; INT 80H; HLT */
	asm volatile("mov %2, %%ebx; jmp *%0" : : "d"(code), "a"((long)SYS_munmap), "S"(above), "c"(end - above)
		     : "memory");
#endif
	return 0;
}

static long no_stack(unsigned long sp)
{
#ifdef __x86_64__
	asm volatile("mov %0, %%rsp; push %%rax; pop %%rax; call 1f; 1: hlt" : : "r"(sp) : "memory");
#else
	asm volatile("mov %0, %%esp; push %%eax; pop %%eax; call 1f; 1: hlt" : : "r"(sp) : "memory");
#endif
	return 0;
}

/* A traced child's registers are set to what user code may not have; then it goes on. */
static int poke(size_t at, unsigned long value)
{
	pid_t child = fork();
	int status = -1;

	if (child == 0) {
		for (int nr = 1; nr < 32; nr++)
			signal(nr, SIG_DFL);
		ptrace(PTRACE_TRACEME, 0, 0, 0);
		raise(SIGSTOP);
		_exit(0);
	}
	waitpid(child, &status, 0);
	if (ptrace(PTRACE_POKEUSER, child, at, value)) {
		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		return 0x7f00;
	}
	ptrace(PTRACE_CONT, child, 0, 0);
	waitpid(child, &status, 0);
	if (WIFSTOPPED(status)) {
		int stopped = status;

		kill(child, SIGKILL);
		waitpid(child, &status, 0);
		return stopped;
	}
	return status;
}

void hostile_process(void)
{
	group("rdtsc");
	for (int nr = 1; nr <= 2; nr++)
		result(nr, status_outcome(try_in_child(read_time, nr)));
	group("no memory");
	result(0, status_outcome(try_in_child(unmap_all, 0)));
	group("no stack");
	for (unsigned int bit = 0; bit < 8 * sizeof(long); bit++)
		result(bit, status_outcome(try_in_child(no_stack, 1ul << bit)));
	group("poke");
	for (unsigned int i = 0; i < sizeof(struct user_regs_struct) / sizeof(long); i++)
		for (unsigned int k = 0; k < 3; k++) {
			const unsigned long values[] = { 0, -1ul, 1ul << (8 * sizeof(long) - 1) };

			result(i << 4 | k, (struct outcome){ .value = poke(i * sizeof(long), values[k]) });
		}
#ifdef __x86_64__
	group("base");
	for (unsigned int bit = 12; bit < 64; bit++) {
		result(bit, (struct outcome){ .value = syscall(SYS_arch_prctl, ARCH_SET_GS, 1ul << bit) });
		result(bit << 8, (struct outcome){ .value = syscall(SYS_arch_prctl, ARCH_SET_GS, -(1ul << bit)) });
	}
	syscall(SYS_arch_prctl, ARCH_SET_GS, 0);
#endif
}
