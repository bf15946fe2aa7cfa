// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * An address space: a container, and the queue of mapping commands that it
 * hasn't executed yet.  Operations are checked at once and executed in batches,
 * at the latest before guest code runs again, because making a child execute
 * anything costs as much as a trap.  The queue lies in the command table itself,
 * which all containers share; it belongs to one space at a time.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "process.h"

_Static_assert(sizeof(struct stub_cmd) == STUB_CMD_SIZE, "stub.S walks the table");
_Static_assert(offsetof(struct stub_cmd, nr) == STUB_CMD_NR, "stub.S");
_Static_assert(offsetof(struct stub_cmd, arg[0]) == STUB_CMD_RDI, "stub.S");
_Static_assert(offsetof(struct stub_cmd, arg[1]) == STUB_CMD_RSI, "stub.S");
_Static_assert(offsetof(struct stub_cmd, arg[2]) == STUB_CMD_RDX, "stub.S");
_Static_assert(offsetof(struct stub_cmd, arg[3]) == STUB_CMD_R10, "stub.S");
_Static_assert(offsetof(struct stub_cmd, arg[4]) == STUB_CMD_R8, "stub.S");
_Static_assert(offsetof(struct stub_cmd, arg[5]) == STUB_CMD_R9, "stub.S");
_Static_assert(STUB_COMMANDS * STUB_CMD_SIZE == STUB_SIZE - STUB_TABLE, "the table's room");

/*
 * Fill the page tables too where a run of pages is mapped: its pages are mapped
 * because the guest uses them, and a fault in the container costs more.
 */
#define POPULATE_FROM	2

int space_create(struct plex86_engine *e, struct plex86_space **space)
{
	struct plex86_space *s;
	int err;

	if (!process_is_tracer(e))
		return -EPERM;
	process_reap(e, false);
	if (e->nspaces == e->config.max_spaces)
		return -ENOSPC;
	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->engine = e;
	s->cpu = -1;
	err = zygote_spawn(e, s);
	if (err == -ESRCH) {
		err = zygote_replace(e);
		if (!err)
			err = zygote_spawn(e, s);
	}
	if (err)
		goto free_space;
	err = -clock_getcpuclockid(s->pid, &s->clock);
	if (err) {
		process_bury(e, s->pid);
		goto free_space;
	}
	s->next = e->spaces;
	s->link = &e->spaces;
	if (s->next)
		s->next->link = &s->next;
	e->spaces = s;
	e->nspaces++;
	*space = s;
	return 0;

free_space:
	free(s);
	return err;
}

void space_destroy(struct plex86_space *s)
{
	struct plex86_engine *e;

	if (!s)
		return;
	e = s->engine;
	if (e->queue_owner == s) {
		e->queue_owner = NULL;
		e->queued = 0;
	}
	if (e->last_run == s)
		e->last_run = NULL;
	*s->link = s->next;
	if (s->next)
		s->next->link = s->link;
	e->nspaces--;
	if (s->pid)
		process_bury(e, s->pid);
	free(s);
	process_reap(e, false);
}

/* Execute what is queued for @s, if anything. */
static int execute(struct plex86_space *s)
{
	struct plex86_engine *e = s->engine;
	unsigned int n = e->queued;
	int err;

	if (e->queue_owner != s || !n)
		return 0;
	if (!process_is_tracer(e))
		return -EPERM;
	e->queued = 0;
	s->regs_known = false;
	memcpy(e->stub + STUB_TABLE, e->queue, n * sizeof(*e->queue));
	err = inject_batch(e, s->pid, s->stub, n, NULL);
	memset(e->stub + STUB_TABLE, 0, n * sizeof(*e->queue));
	if (err == -ESRCH)
		s->dead = true;
	return err;
}

int space_flush(struct plex86_space *s)
{
	int err = execute(s);

	if (err && !s->error)
		s->error = err;
	err = s->error;
	s->error = 0;
	return err;
}

/* The next free command, with the queue made ours. */
static int next_command(struct plex86_space *s, struct stub_cmd **cmd)
{
	struct plex86_engine *e = s->engine;
	int err;

	if (e->queue_owner != s) {
		if (e->queue_owner && e->queued) {
			err = execute(e->queue_owner);
			if (err && !e->queue_owner->error)
				e->queue_owner->error = err;
		}
		e->queue_owner = s;
		e->queued = 0;
	}
	if (e->queued == STUB_COMMANDS) {
		err = execute(s);
		if (err)
			return err;
	}
	*cmd = &e->queue[e->queued++];
	return 0;
}

/* The last command queued for @s, if it can still be changed. */
static struct stub_cmd *last_command(struct plex86_space *s)
{
	struct plex86_engine *e = s->engine;

	return e->queue_owner == s && e->queued ? &e->queue[e->queued - 1] : NULL;
}

static int queue_munmap(struct plex86_space *s, uint64_t from, uint64_t to)
{
	struct stub_cmd *cmd = last_command(s);
	int err;

	if (from >= to)
		return 0;
	if (cmd && cmd->nr == SYS_munmap && cmd->arg[0] + cmd->arg[1] == from) {
		cmd->arg[1] += to - from;
		return 0;
	}
	err = next_command(s, &cmd);
	if (err)
		return err;
	*cmd = (struct stub_cmd){ .nr = SYS_munmap, .arg = { from, to - from } };
	return 0;
}

/* Unmap [from, to) but the stub. */
static int unmap(struct plex86_space *s, uint64_t from, uint64_t to)
{
	uint64_t after_stub = s->stub + STUB_SIZE;
	int err;

	if (to <= s->stub || from >= after_stub)
		return queue_munmap(s, from, to);
	err = queue_munmap(s, from, s->stub);
	return err ? err : queue_munmap(s, after_stub, to);
}

static int unmap_all(struct plex86_space *s)
{
	struct plex86_engine *e = s->engine;

	/* Whatever was to be mapped before needn't be. */
	if (e->queue_owner == s)
		e->queued = 0;
	return unmap(s, 0, PROCESS_VA_LIMIT);
}

static int map(struct plex86_space *s, const struct plex86_map_op *op)
{
	uint64_t gva = op->gva.la, len = op->npages << PLEX86_PAGE_SHIFT, off = op->off.off;
	uint64_t flags = MAP_SHARED | MAP_FIXED;
	uint64_t prot = PROT_READ;
	struct stub_cmd *cmd;
	int err;

	if (op->prot & PLEX86_PROT_WRITE)
		prot |= PROT_WRITE;
	if (op->prot & PLEX86_PROT_EXEC)
		prot |= PROT_EXEC;
	/* Linux has a protection key for this alone (Documentation/core-api/protection-keys). */
	if (op->prot == PLEX86_PROT_EXEC && s->engine->caps.flags & PLEX86_CAP_EXEC_ONLY)
		prot = PROT_EXEC;
	if (gva < s->stub + STUB_SIZE && s->stub < gva + len) {
		err = execute(s);
		if (!err)
			err = inject_move(s->engine, s, true);
		if (!err && gva < s->stub + STUB_SIZE && s->stub < gva + len)
			err = -EADDRINUSE;
		if (err)
			return err;
	}
	cmd = last_command(s);
	if (cmd && cmd->nr == SYS_mmap && cmd->arg[2] == prot && cmd->arg[0] + cmd->arg[1] == gva &&
	    cmd->arg[5] + cmd->arg[1] == off) {
		cmd->arg[1] += len;
		cmd->arg[3] |= MAP_POPULATE;
		return 0;
	}
	err = next_command(s, &cmd);
	if (err)
		return err;
	if (op->npages >= POPULATE_FROM)
		flags |= MAP_POPULATE;
	*cmd = (struct stub_cmd){ .nr = SYS_mmap,
				  .arg = { gva, len, prot, flags, PROCESS_RAM_FD, off } };
	return 0;
}

int space_occupied(struct plex86_space *s, const uint64_t slots[PLEX86_SLOTS / 64])
{
	int err;

	if (!s || !slots)
		return -EINVAL;
	if (s->dead)
		return -ESRCH;
	memcpy(s->slots, slots, sizeof(s->slots));
	if (!stub_in_the_way(s, s->stub))
		return 0;
	err = execute(s);
	return err ? err : inject_move(s->engine, s, true);
}

/* Is [at, at + npages) inside [0, size), all without overflow? */
static bool inside(uint64_t at, uint64_t npages, uint64_t size)
{
	return !(at & ~PLEX86_PAGE_MASK) && at <= size &&
	       npages <= (size - at) >> PLEX86_PAGE_SHIFT;
}

static int apply_one(struct plex86_space *s, const struct plex86_map_op *op)
{
	const struct plex86_engine *e = s->engine;

	if (op->kind == PLEX86_UNMAP_ALL)
		return unmap_all(s);
	if (!op->npages || !inside(op->gva.la, op->npages, PROCESS_VA_LIMIT))
		return -EINVAL;
	switch (op->kind) {
	case PLEX86_MAP:
		if (!op->prot || op->prot & ~(PLEX86_PROT_READ | PLEX86_PROT_WRITE |
					      PLEX86_PROT_EXEC))
			return -EINVAL;
		if (!inside(op->off.off, op->npages, e->config.ram_size))
			return -EINVAL;
		if (op->gva.la < e->caps.va_first)
			return -EPERM;
		return map(s, op);
	case PLEX86_UNMAP:
		return unmap(s, op->gva.la, op->gva.la + (op->npages << PLEX86_PAGE_SHIFT));
	default:
		return -EINVAL;
	}
}

int space_apply(struct plex86_space *s, const struct plex86_map_op *ops, unsigned int n,
		unsigned int *done)
{
	unsigned int i;
	int err = 0;

	if (done)
		*done = 0;
	if (!s || (n && !ops))
		return -EINVAL;
	if (s->dead)
		return -ESRCH;
	for (i = 0; i < n && !err; i++)
		err = apply_one(s, &ops[i]);
	if (done)
		*done = err ? i - 1 : n;
	return err;
}
