// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Makes a stopped child run the stub: the only way by which anything in a
 * container changes other than by guest code.  The child's general registers are
 * lost (callers know), its vector state isn't touched.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "process.h"

#define EFLAGS_ID	(UINT64_C(1) << 21)

/*
 * Let the child run from @r until the stub's final trap.  Returns 0, 1 where a
 * call failed, 2 where the child faulted (having moved its own code away does
 * that), or -errno.  @born (may be NULL) is the process that it has cloned.
 */
static int run_stub(pid_t pid, struct user_regs_struct *r, pid_t *born)
{
	unsigned long message;
	siginfo_t info;
	int status, err;

	r->orig_rax = ~0ull;
	if (ptrace(PTRACE_SETREGS, pid, 0, r))
		return -errno;
	for (;;) {
		if (ptrace(PTRACE_CONT, pid, 0, 0))
			return -errno;
		err = process_wait(pid, &status);
		if (err)
			return err;
		if (!WIFSTOPPED(status) || status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8))
			return -ESRCH;
		if (born && status >> 8 == (SIGTRAP | PTRACE_EVENT_FORK << 8)) {
			if (ptrace(PTRACE_GETEVENTMSG, pid, 0, &message))
				return -errno;
			*born = (pid_t)message;
			continue;
		}
		if (status >> 16)
			continue;	/* a late interrupt, a group stop */
		if (ptrace(PTRACE_GETSIGINFO, pid, 0, &info))
			return -errno;
		if (info.si_code <= 0 || info.si_signo == SIGXCPU)
			continue;	/* somebody's kill(): not for us */
		switch (WSTOPSIG(status)) {
		case SIGTRAP:
			return 0;
		case SIGILL:
			return 1;
		default:
			return 2;
		}
	}
}

/* 0 or -ESRCH: killed since it stopped. */
static int peek_user(pid_t pid, size_t offset, uint64_t *value)
{
	errno = 0;
	*value = (uint64_t)ptrace(PTRACE_PEEKUSER, pid, offset, 0);
	return errno ? -ESRCH : 0;
}

/* What the stub's last system call has returned, or -ESRCH. */
static int64_t returned(pid_t pid)
{
	uint64_t rax;
	int err = peek_user(pid, offsetof(struct user_regs_struct, rax), &rax);

	return err ? err : (int64_t)rax;
}

int inject_batch(struct plex86_engine *e, pid_t pid, uint64_t stub, unsigned int n,
		 unsigned int *done)
{
	struct user_regs_struct r = e->clean;
	uint64_t left;
	int err;

	if (done)
		*done = 0;
	r.rip = stub + STUB_OFFSET(stub_batch);
	r.rbx = stub + STUB_TABLE;
	r.r12 = n;
	r.r15 = e->secret;
	err = run_stub(pid, &r, NULL);
	if (err == 0) {
		if (done)
			*done = n;
		return 0;
	}
	if (err < 0)
		return err;
	if (err == 2)
		return -EIO;
	err = peek_user(pid, offsetof(struct user_regs_struct, r12), &left);
	if (err)
		return err;
	if (done && left <= n)
		*done = n - (unsigned int)left;
	return (int)returned(pid);
}

static void call_regs(const struct plex86_engine *e, uint64_t stub, uint64_t nr,
		      const uint64_t arg[6], struct user_regs_struct *r)
{
	*r = e->clean;
	r->rip = stub + STUB_OFFSET(stub_call);
	r->r12 = 1;
	r->rax = nr;
	r->rdi = arg[0];
	r->rsi = arg[1];
	r->rdx = arg[2];
	r->r10 = arg[3];
	r->r8 = arg[4];
	r->r9 = arg[5];
	/* mremap() has a use for all of R8; see filter.c. */
	if (nr == SYS_mremap)
		r->r9 |= e->secret;
	else
		r->r8 |= e->secret;
}

int64_t inject_call(struct plex86_engine *e, pid_t pid, uint64_t stub, uint64_t nr,
		    const uint64_t arg[6])
{
	struct user_regs_struct r;
	int err;

	call_regs(e, stub, nr, arg, &r);
	err = run_stub(pid, &r, NULL);
	if (err < 0)
		return err;
	if (err == 2)
		return -EIO;
	return returned(pid);
}

int inject_clone(struct plex86_engine *e, pid_t pid, uint64_t stub, pid_t *born)
{
	struct user_regs_struct r;
	int err;

	*born = 0;
	call_regs(e, stub, SYS_clone, (const uint64_t[6]){ SIGCHLD }, &r);
	err = run_stub(pid, &r, born);
	if (err == 1)
		return (int)returned(pid);
	if (err == 2 || (!err && !*born))
		return -EIO;
	return err;
}

int inject_flag_id(struct plex86_engine *e, struct plex86_space *s, bool id)
{
	struct user_regs_struct r = e->clean;
	uint64_t flags = (r.eflags & ~EFLAGS_ID) | (id ? EFLAGS_ID : 0);
	int err;

	*(uint64_t *)(e->stub + STUB_SCRATCH) = flags;
	r.rip = s->stub + STUB_OFFSET(stub_popf);
	r.rsp = s->stub + STUB_SCRATCH;
	s->regs_known = false;
	err = run_stub(s->pid, &r, NULL);
	*(uint64_t *)(e->stub + STUB_SCRATCH) = 0;
	if (err > 0)
		err = -EIO;
	if (!err)
		s->flag_id = id;
	return err;
}

int stub_place(uint64_t *where)
{
	const uint64_t first = UINT64_C(1) << 32;	/* out of reach of 32-bit code */
	uint64_t page;

	if (getrandom(&page, sizeof(page), 0) != sizeof(page))
		return -EIO;
	page %= (PROCESS_VA_LIMIT - first - STUB_SIZE) >> PLEX86_PAGE_SHIFT;
	*where = first + (page << PLEX86_PAGE_SHIFT);
	return 0;
}

/* Is there room?  A mapping that refuses to replace anything finds out. */
static int reserve(struct plex86_engine *e, struct plex86_space *s, uint64_t where)
{
	const uint64_t arg[6] = { where, STUB_SIZE, PROT_NONE,
				  MAP_SHARED | MAP_FIXED_NOREPLACE, PROCESS_RAM_FD, 0 };
	int64_t got = inject_call(e, s->pid, s->stub, SYS_mmap, arg);

	if (got < 0 || (uint64_t)got == where)
		return got < 0 ? (int)got : 0;
	/* A kernel that doesn't know the flag has put it elsewhere. */
	inject_call(e, s->pid, s->stub, SYS_munmap, (const uint64_t[6]){ (uint64_t)got, STUB_SIZE });
	return -EEXIST;
}

bool stub_in_the_way(const struct plex86_space *s, uint64_t where)
{
	const unsigned int first = where / PLEX86_SLOT_SIZE;
	const unsigned int last = (where + STUB_SIZE - 1) / PLEX86_SLOT_SIZE;

	return (s->slots[first / 64] >> first % 64 & 1) || (s->slots[last / 64] >> last % 64 & 1);
}

/* Places to try, of which the second half may be where the guest has something, too. */
#define MOVE_TRIES 32

int inject_move(struct plex86_engine *e, struct plex86_space *s, bool occupied)
{
	struct user_regs_struct r;
	uint64_t where;
	int64_t got;
	int err, tries;

	s->regs_known = false;
	for (tries = 0; tries < MOVE_TRIES; tries++) {
		err = stub_place(&where);
		if (err)
			return err;
		if (where < s->stub + STUB_SIZE && s->stub < where + STUB_SIZE)
			continue;
		if (tries < MOVE_TRIES / 2 && stub_in_the_way(s, where))
			continue;
		if (occupied) {
			err = reserve(e, s, where);
			if (err == -EEXIST)
				continue;
			if (err)
				return err;
		}
		/*
		 * The code moves itself away: on return from the call it faults
		 * at the old place, and that is the sign of success.
		 */
		call_regs(e, s->stub, SYS_mremap, (const uint64_t[6]){ s->stub, STUB_SIZE,
			  STUB_SIZE, MREMAP_MAYMOVE | MREMAP_FIXED, where, 0 }, &r);
		err = run_stub(s->pid, &r, NULL);
		if (err < 0)
			return err;
		got = returned(s->pid);
		if (err == 2 && got == (int64_t)where) {
			s->stub = where;
			return 0;
		}
		return got < 0 ? (int)got : -EADDRINUSE;
	}
	return -EADDRINUSE;
}
