/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A slice ran natively, on copies; now Bochs is on its way to the same place.
 * Where that is can't be told from RIP alone, since a loop passes the
 * same RIP many times: it is the first instruction boundary at which RIP, all
 * registers and all pages are as native code left them.  If Bochs leaves user
 * mode, or takes absurdly long, it will never come there: a difference.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "verify.h"

/*
 * No CPU executes more instructions in a nanosecond; string instructions, whose
 * iterations are steps of their own, cost a sixteenth.  Slack: a host whose TSC is not stable
 * measures in ticks, and a slice takes none.
 */
#define INSNS_PER_NS	32
#define STEP_COST	16
#define SLACK_STEPS	50000

#define TF		(1u << 8)

int plex86_verify_init(struct plex86_verify **vp, struct plex86_world *world, uint64_t scratch,
		       const char *engine, const char *case_file)
{
	struct plex86_verify *v = calloc(1, sizeof(*v));

	if (!v)
		return -ENOMEM;
	v->before = malloc(PLEX86_VERIFY_BYTES);
	v->trace = malloc(PLEX86_VERIFY_TRACE * sizeof(*v->trace));
	v->ahead = malloc(PLEX86_VERIFY_AHEAD * sizeof(*v->ahead));
	if (!v->before || !v->trace || !v->ahead) {
		plex86_verify_fini(v);
		return -ENOMEM;
	}
	v->world = world;
	v->host = world->host;
	v->scratch = scratch;
	v->engine = engine;
	v->case_file = case_file;
	v->tcg = plex86_half_is_tcg();
	world->verify = v;
	*vp = v;
	return 0;
}

void plex86_verify_fini(struct plex86_verify *v)
{
	if (!v)
		return;
	if (v->world)
		v->world->verify = NULL;
	free(v->before);
	free(v->trace);
	free(v->ahead);
	free(v->ops);
	free(v);
}

/*
 * A store that native code has lost would leave no trace in the private pages:
 * have Bochs tell of its writes to all other pages that it may write.
 */
static void watch(struct plex86_verify *v, const struct plex86_node *n)
{
	struct plex86_world *w = v->world;
	unsigned int i;

	for (i = 0; i < n->entries; i++) {
		if (n->level > 1) {
			if (n->child[i] != PLEX86_NONE)
				watch(v, w->nodes[n->child[i]]);
		} else if ((n->prot[i] & PLEX86_PROT_WRITE) &&
			   !(w->frames[n->frame[i]].flags & PLEX86_FRAME_PRIVATE)) {
			w->host->watch_writes((plex86_gpa_t){ (uint64_t)n->frame[i]
							      << PLEX86_PAGE_SHIFT }, UINT32_MAX);
		}
	}
}

bool plex86_verify_end(struct plex86_verify *v, const struct plex86_cpu *cpu,
		       const struct plex86_vec *vec, uint64_t ran_ns, bool single_step)
{
	plex86_verify_keep_recent(v);
	/* Where TF was set, events come first, and Bochs does not ask. */
	if (single_step || (cpu->rflags & TF)) {
		v->stats.unverified[PLEX86_UNVERIFIED_STEP]++;
		plex86_verify_release(v);
		return false;
	}
	if (v->space && v->space->root != PLEX86_NONE)
		watch(v, v->world->nodes[v->space->root]);
	v->end = *cpu;
	v->end_vec = *vec;
	plex86_half_end(v);
	v->ran_ns = ran_ns;
	v->patience = (ran_ns * INSNS_PER_NS + SLACK_STEPS) * STEP_COST;
	v->steps = v->ntrace = 0;
	v->approximated = false;
	v->nearest_diff = v->nearest_count = 0;
	v->stray = v->half = false;
	v->nahead = 0;
	v->replaying = true;
	return true;
}

static const uint8_t *byte_at(const struct plex86_verify *v, uint64_t la)
{
	const struct plex86_paging *p = &v->paging;
	unsigned int level = plex86_paging_levels(p);
	plex86_gpa_t at = { p->root };
	uint64_t e;

	if (!plex86_gva_valid(p, (plex86_gva_t){ la }))
		return NULL;
	for (;; level--) {
		e = plex86_entry_read(v->world->ram, p, level, at,
				      (la >> plex86_paging_shift(p, level)) &
				      (plex86_paging_entries(p, level) - 1));
		if (!plex86_entry_usable(p, level, e))
			return NULL;
		if (plex86_entry_is_leaf(p, level, e))
			break;
		at.pa = plex86_entry_address(p, e);
	}
	at = plex86_entry_frame(p, level, e, (plex86_gva_t){ la });
	at.pa += la & ~PLEX86_PAGE_MASK;
	return plex86_ram_host(v->world->ram, at, 1);
}

unsigned int plex86_verify_code(const struct plex86_verify *v, uint64_t la, uint8_t *code,
				unsigned int len)
{
	const uint8_t *from = NULL;
	unsigned int i;

	for (i = 0; i < len; i++, la++, from++) {
		if (!i || !(la & ~PLEX86_PAGE_MASK))
			from = byte_at(v, la);
		if (!from)
			break;
		code[i] = *from;
	}
	return i;
}

bool plex86_verify_same_memory(struct plex86_verify *v)
{
	uint32_t i;

	for (i = 0; i < v->npages; i++) {
		struct plex86_private *p = &v->page[i];

		/* A loop comes by often: look first where the difference was last time. */
		if (p->shared[p->differs_at] == p->copy[p->differs_at] &&
		    !memcmp(p->shared, p->copy, PLEX86_PAGE_SIZE))
			continue;
		while (p->shared[p->differs_at] == p->copy[p->differs_at])
			p->differs_at = (p->differs_at + 1) % PLEX86_PAGE_SIZE;
		return false;
	}
	return true;
}

/* Bochs is at the right RIP: is it there?  PLEX86_DIFF_* of what is not the same. */
static uint32_t look(struct plex86_verify *v, const struct plex86_cpu *cpu)
{
	uint32_t diff = plex86_compare_cpu(v, cpu), flags;
	unsigned int count = plex86_compare_count(cpu, &v->end);
	struct plex86_vec vec;

	if (!(diff & (PLEX86_DIFF_GPR | PLEX86_DIFF_SEG))) {
		if (v->stray)
			diff |= PLEX86_DIFF_STRAY;
		if (!plex86_verify_same_memory(v))
			diff |= PLEX86_DIFF_MEMORY;
		v->host->read_vec(&vec);
		diff |= plex86_compare_vec(v, &vec);
	}
	/* Undefined ones excuse nothing else, and nothing else excuses them. */
	if ((diff & PLEX86_DIFF_FLAGS) && !(diff & (PLEX86_DIFF_GPR | PLEX86_DIFF_SEG))) {
		flags = (cpu->rflags ^ v->end.rflags) & PLEX86_USER_FLAGS;
		if (!(flags & ~PLEX86_STATUS_FLAGS) && plex86_excuse_flags(v, flags) == flags) {
			v->excused |= 1u << PLEX86_TOLERATED_FLAGS;
			diff &= ~PLEX86_DIFF_FLAGS;
		}
	}
	if (!diff)
		return 0;
	count += __builtin_popcount(diff);
	if (!v->nearest_diff || count <= v->nearest_count) {
		v->nearest = *cpu;
		v->host->read_vec(&v->nearest_vec);
		v->nearest_diff = diff;
		v->nearest_count = count;
	}
	return diff;
}

static void count_excuses(struct plex86_verify *v, uint32_t kinds)
{
	unsigned int i;

	for (i = 0; i < PLEX86_TOLERATED; i++)
		v->stats.tolerated[i] += kinds >> i & 1;
}

/* Is there a reason, on the way, why Bochs may have gone another way? */
static bool excused(struct plex86_verify *v)
{
	uint32_t kinds = plex86_excuse_kinds(v);

	/* An approximation may change what is computed, but not where that leads to. */
	if (v->nearest_diff & ~(PLEX86_DIFF_X87 | PLEX86_DIFF_VECTOR | PLEX86_DIFF_MEMORY) ||
	    !v->nearest_diff)
		kinds &= ~(1u << PLEX86_TOLERATED_APPROXIMATION);
	/* Stored x87 pointers are in memory and nowhere else. */
	if (v->nearest_diff != PLEX86_DIFF_MEMORY)
		kinds &= ~(1u << PLEX86_TOLERATED_X87_POINTERS);
	count_excuses(v, kinds);
	return kinds;
}

static void different(struct plex86_verify *v, const char *how)
{
	static const char *const names[] = {
		"RIP", "general registers", "segment registers", "flags", "x87 registers",
		"vector registers", "memory", "a page that only Bochs wrote",
	};
	const struct plex86_cpu *bochs = v->nearest_diff ? &v->nearest : &v->last;
	uint32_t diff = v->nearest_diff ? v->nearest_diff : PLEX86_DIFF_RIP;
	struct plex86_vec vec = v->nearest_vec;
	char why[160], line[PLEX86_WHY_LEN + 200];
	unsigned int i, len;
	int err;

	v->stats.differences++;
	len = snprintf(why, sizeof(why), "%s; differing:", how);
	for (i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (diff >> i & 1 && len < sizeof(why))
			len += snprintf(why + len, sizeof(why) - len, " %s,", names[i]);
	why[(len < sizeof(why) ? len : sizeof(why)) - 1] = 0;
	if (!v->nearest_diff)
		v->host->read_vec(&vec);
	err = plex86_case_write(v, why, bochs, &vec);
	if (err)
		snprintf(line, sizeof(line), "verify: engine %s and Bochs differ (%s); the case "
			 "could not be written to %.150s: %s", v->engine, why, v->case_file,
			 strerror(-err));
	else
		snprintf(line, sizeof(line), "verify: engine %s and Bochs differ (%s)%s%.200s",
			 v->engine, why, v->case_file ? "; the case is in " : "",
			 v->case_file ? v->case_file : "");
	v->host->log(PLEX86_LOG_PANIC, line);
}

static uint64_t step_cost(const struct plex86_verify *v, const struct plex86_cpu *cpu)
{
	return cpu->rip == v->last.rip && cpu->gpr[PLEX86_RCX] != v->last.gpr[PLEX86_RCX] ?
	       1 : STEP_COST;
}

static void is_same(struct plex86_verify *v)
{
	v->stats.slices++;
	v->stats.instructions += v->steps;
	v->stats.pages += v->npages;
	count_excuses(v, v->excused);
}

enum plex86_replay plex86_verify_step(struct plex86_verify *v, const struct plex86_cpu *cpu,
				      uint64_t icount)
{
	uint64_t cost = v->steps ? step_cost(v, cpu) : 0;
	uint32_t diff;
	bool same;

	/* Asked again, after an event that was none: nothing was executed. */
	if (v->steps && icount == v->icount)
		return PLEX86_REPLAY_ON;
	if (v->steps && icount != v->icount + 1) {
		v->stats.unverified[PLEX86_UNVERIFIED_EVENTS]++;
		plex86_verify_release(v);
		return PLEX86_REPLAY_BEYOND;
	}
	v->icount = icount;
	if (plex86_half_caught_up(v)) {
		is_same(v);
		plex86_verify_release(v);
		return PLEX86_REPLAY_BEYOND;
	}
	v->excused = 0;
	v->last = *cpu;
	diff = cpu->rip == v->end.rip ? look(v, cpu) : PLEX86_DIFF_RIP;
	if (!diff) {
		is_same(v);
		plex86_verify_release(v);
		return PLEX86_REPLAY_SAME;
	}
	plex86_half_boundary(v, diff);
	if (v->patience < cost) {
		if (excused(v))
			v->stats.unverified[PLEX86_UNVERIFIED_INEXACT]++;
		else
			different(v, "Bochs does not come to where native code was");
		plex86_verify_release(v);
		return PLEX86_REPLAY_BEYOND;
	}
	v->patience -= cost;
	v->steps++;
	v->ticks++;
	same = v->ntrace && cost == 1;	/* an iteration: once is enough */
	if (!same)
		v->trace[v->ntrace++ & (PLEX86_VERIFY_TRACE - 1)] = (struct plex86_traced){
			plex86_code_address(cpu).la, (uint8_t)cpu->gpr[PLEX86_RCX],
		};
	return PLEX86_REPLAY_ON;
}

uint32_t plex86_verify_ticks(struct plex86_verify *v)
{
	uint64_t ticks = v->ticks ? v->ticks : 1;

	if (ticks > UINT32_MAX)
		ticks = UINT32_MAX;
	v->ticks = 0;
	return (uint32_t)ticks;
}

void plex86_verify_left(struct plex86_verify *v, uint64_t icount)
{
	if (!v->replaying)
		return;
	if (icount != v->icount)
		v->stats.unverified[PLEX86_UNVERIFIED_EVENTS]++;
	else if (plex86_half_faulted(v))
		is_same(v);
	else if (excused(v))
		v->stats.unverified[PLEX86_UNVERIFIED_INEXACT]++;
	else
		different(v, "Bochs left user mode before it came to where native code was");
	plex86_verify_release(v);
}

void plex86_verify_written(struct plex86_verify *v, plex86_gpa_t gpa)
{
	const struct plex86_frame *f = plex86_frame_of(v->world, gpa);

	if (!v->replaying || v->stray || !f || (f->flags & PLEX86_FRAME_PRIVATE))
		return;
	v->stray = true;
	v->stray_gpa = gpa;
	v->stray_rip = v->last.rip;
}

void plex86_verify_abandon(struct plex86_verify *v)
{
	if (v->replaying)
		v->stats.unverified[PLEX86_UNVERIFIED_RESET]++;
	plex86_verify_release(v);
}
