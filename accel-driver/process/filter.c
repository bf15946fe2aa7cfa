// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The seccomp filter of every container: the second wall.  The first is
 * PTRACE_SYSEMU, which swallows every system call of running guest code before
 * any filter sees it; but SYSEMU doesn't see calls to the vsyscall page, and a
 * second wall shouldn't depend on the first.
 *
 * Allowed are the stub's calls: the 64-bit ABI, from the one place in a page
 * where the stub has its SYSCALL, with a secret in an argument bit field that
 * the call in question doesn't use.  A guest's own code can satisfy the first
 * two, so it is the secret that counts; it is never in the container's memory,
 * only in registers while the stub runs.
 */
#define _GNU_SOURCE
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#include "process.h"

#define ARG(n)		((uint32_t)offsetof(struct seccomp_data, args[n]))
#define ARG_HI(n)	(ARG(n) + 4)

/* Jump targets are relative; these are the distances to the block at the end. */
#define LOAD(off)	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (off))
#define AND(k)		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (k))
#define IF(k, t, f)	BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)(k), (t), (f))
#define RETURN(what)	BPF_STMT(BPF_RET | BPF_K, (what))

unsigned int filter_build(struct sock_filter *out, uint64_t secret)
{
	const struct sock_filter filter[] = {
		/* The stub's ABI and place, or a trap. */
		/*  0 */ LOAD(offsetof(struct seccomp_data, arch)),
		/*  1 */ IF(AUDIT_ARCH_X86_64, 0, 14),
		/*  2 */ LOAD(offsetof(struct seccomp_data, instruction_pointer)),
		/*  3 */ AND(PLEX86_PAGE_SIZE - 1),
		/*  4 */ IF(STUB_OFFSET(stub_called), 0, 11),
		/* Which register's upper half is free depends on the call. */
		/*  5 */ LOAD(offsetof(struct seccomp_data, nr)),
		/*  6 */ IF(SYS_mmap, 5, 0),
		/*  7 */ IF(SYS_munmap, 4, 0),
		/*  8 */ IF(SYS_clone, 3, 0),
		/*  9 */ IF(SYS_modify_ldt, 2, 0),
		/* 10 */ IF(SYS_prctl, 1, 0),
		/* 11 */ IF(SYS_mremap, 2, 4),
		/* 12 */ LOAD(ARG_HI(4)),
		/* 13 */ IF(secret >> 32, 3, 2),
		/* 14 */ LOAD(ARG_HI(5)),
		/* 15 */ IF(secret >> 32, 1, 0),
		/* 16 */ RETURN(SECCOMP_RET_TRAP),
		/* 17 */ RETURN(SECCOMP_RET_ALLOW),
	};
	unsigned int i;

	_Static_assert(sizeof(filter) / sizeof(filter[0]) <= FILTER_MAX, "filter fits");
	for (i = 0; i < sizeof(filter) / sizeof(filter[0]); i++)
		out[i] = filter[i];
	return i;
}
