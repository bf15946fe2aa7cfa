/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * An engine that has no hardware: it keeps the mappings that it is told, checks
 * each order, and executes the program through them and nothing else, as native
 * code would.  It fails on demand, at any call and in each way that the
 * interface allows.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vm.h"

struct plex86_engine engine;

/* ---- Mappings ---- */

static size_t lower_bound(const struct plex86_space *s, uint64_t la)
{
	size_t low = 0, high = s->n, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (s->map[mid].la < la)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

const struct mapping *engine_find(const struct plex86_space *s, uint64_t la)
{
	size_t i = lower_bound(s, la & ~(PAGE - 1));

	return i < s->n && s->map[i].la == (la & ~(PAGE - 1)) ? &s->map[i] : NULL;
}

uint32_t engine_prot(uint64_t la)
{
	const struct mapping *m = vm.last ? engine_find(vm.last, la) : NULL;

	return m ? m->prot : 0;
}

static void unmap(struct plex86_space *s, uint64_t la, uint64_t npages)
{
	size_t from = lower_bound(s, la), to = lower_bound(s, la + npages * PAGE);

	memmove(&s->map[from], &s->map[to], (s->n - to) * sizeof(s->map[0]));
	s->n -= to - from;
}

static void map(struct plex86_space *s, const struct plex86_map_op *op)
{
	size_t at = lower_bound(s, op->gva.la), old, i;

	old = lower_bound(s, op->gva.la + op->npages * PAGE) - at;
	while (s->n + op->npages > s->max) {
		s->max = s->max ? 2 * s->max : 256;
		s->map = realloc(s->map, s->max * sizeof(s->map[0]));
	}
	memmove(&s->map[at + op->npages], &s->map[at + old],
		(s->n - at - old) * sizeof(s->map[0]));
	s->n += op->npages - old;
	for (i = 0; i < op->npages; i++)
		s->map[at + i] = (struct mapping){ op->gva.la + i * PAGE, op->off.off + i * PAGE,
						   op->prot };
}

static bool valid(const struct plex86_map_op *op)
{
	uint64_t object = VM_OBJECT + VM_SCRATCH;
	uint64_t bytes = op->npages * PAGE;

	if (op->gva.la % PAGE || !op->npages || bytes / PAGE != op->npages ||
	    op->gva.la >= engine.caps.va_limit || engine.caps.va_limit - op->gva.la < bytes)
		return false;
	if (op->kind == PLEX86_UNMAP)
		return true;
	return op->kind == PLEX86_MAP && op->prot && op->prot < 8 &&
	       !((op->prot & PLEX86_PROT_WRITE) && (op->prot & PLEX86_PROT_EXEC)) &&
	       op->off.off % PAGE == 0 && op->off.off < object && object - op->off.off >= bytes;
}

/* ---- Failing ---- */

static bool fail(void)
{
	engine.calls++;
	if (engine.calls != engine.fail_at &&
	    !(engine.fail_chance && rng_below(&vm.rng, 1000) < engine.fail_chance))
		return false;
	engine.failed++;
	return true;
}

static bool usable(struct plex86_space *s, const char *call)
{
	struct plex86_space *i;

	for (i = engine.spaces; i && i != s; i = i->next)
		;
	if (!i)
		complain("%s of a space that is not there", call);
	else if (s->dead)
		complain("%s of a space that was lost", call);
	return i && !s->dead;
}

/* ---- The operations ---- */

static int probe(char why[PLEX86_WHY_LEN])
{
	return 0;
}

static int open(const struct plex86_engine_config *config, struct plex86_engine **e,
		char why[PLEX86_WHY_LEN])
{
	if (config->ram != vm.object || config->ram_size != VM_OBJECT + VM_SCRATCH)
		complain("open() with another RAM");
	engine.opened++;
	*e = &engine;
	return 0;
}

static void close(struct plex86_engine *e)
{
	engine.closed++;
}

static const struct plex86_caps *caps(struct plex86_engine *e)
{
	return &e->caps;
}

static int space_create(struct plex86_engine *e, struct plex86_space **s)
{
	if (fail() || e->fail_create)
		return -EAGAIN;
	*s = calloc(1, sizeof(**s));
	(*s)->next = e->spaces;
	e->spaces = *s;
	e->nspaces++;
	e->creates++;
	return 0;
}

static void space_destroy(struct plex86_space *s)
{
	struct plex86_space **link;

	for (link = &engine.spaces; *link && *link != s; link = &(*link)->next)
		;
	if (!*link) {
		complain("space_destroy() of a space that is not there");
		return;
	}
	*link = s->next;
	engine.nspaces--;
	engine.destroys++;
	if (vm.last == s)
		vm.last = NULL;
	free(s->map);
	free(s);
}

static int apply(struct plex86_space *s, const struct plex86_map_op *ops, unsigned int n,
		 unsigned int *done)
{
	unsigned int i, stop = n;
	bool failing;

	if (!usable(s, "apply()"))
		return -EINVAL;
	engine.applies++;
	failing = fail() || engine.fail_apply;
	if (failing)
		stop = rng_below(&vm.rng, n);
	for (i = 0; i < stop; i++) {
		engine.ops++;
		if (!valid(&ops[i])) {
			complain("bad operation: kind %u prot %u la %#llx off %#llx pages %llu",
				 ops[i].kind, ops[i].prot, (unsigned long long)ops[i].gva.la,
				 (unsigned long long)ops[i].off.off,
				 (unsigned long long)ops[i].npages);
			return -EINVAL;
		}
		if (ops[i].kind == PLEX86_MAP)
			map(s, &ops[i]);
		else
			unmap(s, ops[i].gva.la, ops[i].npages);
	}
	if (done)
		*done = stop;
	s->dead = failing;
	return failing ? -ENOMEM : 0;
}

static int set_traps(struct plex86_space *s, const plex86_gva_t *addrs, unsigned int n)
{
	unsigned int i;

	if (!usable(s, "set_traps()"))
		return -EINVAL;
	engine.trap_sets++;
	if (fail()) {
		s->dead = true;
		return -EIO;
	}
	if (n > engine.breakpoints_left)
		return -ENOSPC;
	if (n > engine.caps.max_traps) {
		complain("%u traps", n);
		return -EINVAL;
	}
	for (i = 0; i < n; i++)
		s->trap[i] = addrs[i].la;
	s->ntraps = n;
	return 0;
}

static int occupied(struct plex86_space *s, const uint64_t slots[PLEX86_SLOTS / 64])
{
	if (!usable(s, "occupied()"))
		return -EINVAL;
	if (fail()) {
		s->dead = true;
		return -EIO;
	}
	memcpy(s->slots, slots, sizeof(s->slots));
	return 0;
}

static int trap_tsc(struct plex86_space *s, bool on)
{
	if (!usable(s, "trap_tsc()"))
		return -EINVAL;
	engine.tsc_sets++;
	if (fail() || engine.fail_tsc)
		return -ENOTSUP;
	s->tsc = on;
	return 0;
}

static int set_descriptors(struct plex86_space *s, const uint64_t *gdt, unsigned int ngdt,
			   const uint64_t *ldt, unsigned int nldt)
{
	if (!usable(s, "set_descriptors()"))
		return -EINVAL;
	engine.describes++;
	if (fail()) {
		s->dead = true;
		return -EIO;
	}
	if (ngdt > ENGINE_GDT || nldt > ENGINE_LDT) {
		complain("%u and %u descriptors", ngdt, nldt);
		return -EINVAL;
	}
	memcpy(s->gdt, gdt, ngdt * sizeof(*gdt));
	memcpy(s->ldt, ldt, nldt * sizeof(*ldt));
	s->ngdt = ngdt;
	s->nldt = nldt;
	s->described = true;
	return 0;
}

static void kick(struct plex86_engine *e)
{
	e->kicked = true;
}

/* ---- The native CPU: @at is an offset in the object ---- */

static bool page(void *ctx, uint64_t la, uint32_t access, uint64_t *at)
{
	const struct mapping *m = engine_find(ctx, la);
	uint32_t need = access & PLEX86_ACCESS_WRITE ? PLEX86_PROT_WRITE :
			access & PLEX86_ACCESS_EXEC ? PLEX86_PROT_EXEC :
			engine.caps.flags & PLEX86_CAP_EXEC_ONLY ? PLEX86_PROT_READ : 0;

	if (!m || (m->prot & need) != need)
		return false;
	*at = m->off + la % PAGE;
	return true;
}

static uint8_t read_byte(void *ctx, uint64_t at)
{
	return vm.object[at];
}

static void write_bytes(void *ctx, uint64_t at, uint64_t value, unsigned int len)
{
	memcpy(vm.object + at, &value, len);
}

static bool trapped(const struct plex86_space *s, uint64_t rip)
{
	unsigned int i;

	for (i = 0; i < s->ntraps; i++)
		if (s->trap[i] == rip)
			return true;
	return false;
}

/* The program's instructions are not those that copies are made for: any byte will do. */
static bool copy_traps(const struct plex86_space *s, uint64_t rip)
{
	const struct mapping *m;
	uint64_t la, pa;

	for (la = rip; la < rip + LONGEST; la++) {
		m = engine_find(s, la);
		if (m && m->prot == PLEX86_PROT_EXEC && tables_allow(vm.tables, la, &pa) &&
		    vm.object[m->off + la % PAGE] != *vm_host((pa & ~(PAGE - 1)) | la % PAGE))
			return true;
	}
	return false;
}

static void execute(struct plex86_space *s, struct plex86_cpu *cpu, uint64_t budget_ns,
		    struct plex86_exit *x)
{
	const struct cpu_view view = { page, read_byte, read_byte, write_bytes, s };
	const struct act *act;
	uint32_t access;
	uint64_t addr;

	for (x->ran_ns = 0;; x->ran_ns++) {
		x->reason = engine.kicked ? PLEX86_EXIT_KICK : PLEX86_EXIT_DEADLINE;
		if (engine.kicked || x->ran_ns >= budget_ns)
			break;
		act = &vm.act[cpu->gpr[REG_NEXT]];
		x->reason = PLEX86_EXIT_TRAP;
		x->vector = PLEX86_VECTOR_UNKNOWN;
		if (cpu->gpr[REG_NEXT] < vm.nacts && act->kind == ACT_EXEC)
			cpu->rip = act->la;
		if (trapped(s, cpu->rip) || copy_traps(s, cpu->rip))
			break;
		switch (cpu_step(cpu, &view, &addr, &access)) {
		case STEP_FAULT:
			x->reason = PLEX86_EXIT_PAGE;
			x->addr = addr;
			x->access = engine.known ? access | PLEX86_ACCESS_KNOWN : 0;
			goto out;
		case STEP_SENSITIVE:
			if (engine_traps(s, access))
				goto out;
			complain("a sensitive instruction was executed at %#llx",
				 (unsigned long long)cpu->rip);
			cpu->gpr[REG_NEXT]++;
			break;
		case STEP_CALL:
			x->vector = 0x80;
			goto out;
		case STEP_END:
			goto out;
		case STEP_DONE:
			engine.acts++;
			vm.native_acts++;
			break;
		}
	}
out:
	engine.kicked = false;
	x->ran_ns += engine.caps.trip_ran_ns;
}

static int run(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec,
	       uint32_t flags, uint64_t budget_ns, struct plex86_exit *x)
{
	if (!usable(s, "run()"))
		return -EINVAL;
	engine.runs++;
	if (cpu != &vm.cpu || vec != &vm.vec)
		complain("run() with another state");
	if (!budget_ns)
		complain("run() without a budget");
	if ((cpu->xcr0 | vec->valid) & ~engine.caps.xcr0)
		complain("run() with registers that the engine does not have");
	if (cpu->cr4 & (1u << 22 | 1u << 23))
		complain("run() with CR4.PKE or CET");
	if (!vm.unchecked)
		check_space(s);
	vm.last = s;
	if (fail()) {
		switch (engine.fail_kind) {
		case FAIL_ERRNO:
			s->dead = true;
			return -EIO;
		case FAIL_REFUSED:
			x->reason = PLEX86_EXIT_REFUSED;
			x->why = "a test";
			return 0;
		case FAIL_LOST:
			execute(s, cpu, rng_below(&vm.rng, 3), x);
			x->reason = PLEX86_EXIT_LOST;
			x->why = "killed by a test";
			s->dead = true;
			return 0;
		}
	}
	if (engine.script)
		return engine.script(s, cpu, budget_ns, x);
	execute(s, cpu, budget_ns, x);
	if (engine.harm)
		engine.harm(s, cpu, vec, x);
	return 0;
}

static const struct plex86_engine_ops fake_ops = {
	.name = "fake", .probe = probe, .open = open, .close = close, .caps = caps,
	.space_create = space_create, .space_destroy = space_destroy, .apply = apply,
	.run = run, .kick = kick, .set_traps = set_traps, .trap_tsc = trap_tsc, .occupied = occupied,
	.set_descriptors = set_descriptors,
};

/* Instead of plugin/engines.c, which then stays in its archive. */
const struct plex86_engine_ops *const plex86_engines[] = { &fake_ops, NULL };
