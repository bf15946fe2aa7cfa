/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One slice: from "Bochs is about to execute user code" to "Bochs goes on".
 *
 *   plex86_core_user_mode()  CPL became 3: when shall we look?
 *   plex86_core_plan()       now: is it worth it?  (cheap, no state exported)
 *   plex86_core_slice()      may it run; sync the space; run; what ended it?
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core_internal.h"

#define CR4_FSGSBASE	(1u << 16)

/* Guest time after which a page that flipped too often gets another chance. */
#define EPOCH_NS 20000000u

/* Native re-entries after page faults before events get a look, at the latest. */
#define MAX_FAULTS 64

/* Speeds of emulation outside of this are errors of measurement. */
#define INSN_NS_MIN 0.2
#define INSN_NS_MAX 20.0

/* What a slice costs besides the engine's trip: state out and in, bookkeeping. */
#define SLICE_NS 1500

/* What caches that the switch has emptied take of a run: nothing that emulation would. */
#define COLD_NS 1000

/* Short runs after which the least of them counts. */
#define TRIP_WINDOW 64

/* A page must have cost this many round trips in Bochs to get traps. */
#define TRAPS_ROUND_TRIPS 40

/* How long a burst stays with Bochs after a state that can't be entered. */
#define REFUSED_TICKS 20000u

/*
 * Lost spaces that are made again at once; each one after them doubles the time
 * without, up to some seconds.  Forgotten when there was none for a while.
 */
#define LOSSES_FREE 3
#define LOSSES_DOUBLED 14
#define LOSSES_FORGOTTEN_TICKS 200000000u

void plex86_core_account(struct plex86_core *core, uint64_t icount)
{
	if (core->user && icount > core->accounted)
		core->stats.emulated[core->emulating] += icount - core->accounted;
	core->accounted = icount;
}

/* Whether speed does not matter, since tests are to see all that can run natively. */
static bool always(const struct plex86_core *core)
{
	return (core->config.eager && core->ops) || core->verify;
}

uint64_t plex86_core_user_mode(struct plex86_core *core, uint64_t cr3, uint64_t icount)
{
	uint64_t after;

	core->stats.user_entries++;
	core->user = true;
	core->was_asked = core->ran = false;
	core->sample_ns = 0;
	core->accounted = icount;
	core->emulating = PLEX86_BY_POLICY;
	after = plex86_policy_user(&core->policy, cr3, icount);
	return always(core) ? 0 : after;
}

void plex86_core_kernel_mode(struct plex86_core *core, uint64_t icount)
{
	if (core->verify)
		plex86_verify_left(core->verify, icount);
	plex86_core_account(core, icount);
	plex86_policy_kernel(&core->policy, icount);
	core->user = false;
	core->sample_ns = 0;
}

/*
 * Measures emulation speed over stretches that plan() asked for: both ends are
 * in user mode with nothing else in between.
 */
static void sample_speed(struct plex86_core *core, uint64_t icount)
{
	uint64_t insns = icount - core->sample_icount, now;
	double ns;

	if (core->samples++ % 16 > 1)
		return;
	now = plex86_thread_ns();
	if (core->sample_ns && insns > 1000) {
		ns = (double)(now - core->sample_ns) / insns;
		if (ns > INSN_NS_MIN && ns < INSN_NS_MAX)
			plex86_policy_speed(&core->policy, ns);
	}
	core->sample_ns = now;
	core->sample_icount = icount;
}

/* The root alone is enough for a guess; the slice looks at the whole key. */
static bool is_root(const struct plex86_shadow *s, uint64_t cr3)
{
	return ((s->paging.root ^ cr3) & PLEX86_PTE_ADDR) == 0;
}

static bool any_space(struct plex86_core *core, uint64_t cr3)
{
	uint32_t i;

	if (core->last && core->last->lived && is_root(core->last, cr3))
		return true;
	for (i = 0; i < core->world.nspaces; i++)
		if (core->world.spaces[i]->lived && is_root(core->world.spaces[i], cr3))
			return true;
	return false;
}

/* The page at hand is for Bochs: ask again when it has been left. */
static void leave_page(struct plex86_core *core, struct plex86_wait *wait)
{
	core->emulating = PLEX86_BY_FILTER;
	wait->ticks = core->policy.break_even;
	wait->leave_page = true;
}

bool plex86_core_plan(struct plex86_core *core, uint64_t cr3, uint64_t rip, uint64_t icount,
		      struct plex86_wait *wait)
{
	struct plex86_shadow *s = core->last;

	plex86_core_account(core, icount);
	core->stats.asked++;
	if (!core->was_asked)
		core->stats.entries_asked++;
	core->was_asked = true;
	if (core->stats_requested) {
		core->stats_requested = 0;
		plex86_core_report(core);
	}
	wait->leave_page = false;
	if (plex86_policy_plan(&core->policy, cr3, rip, icount, core->ops && any_space(core, cr3),
			       &wait->ticks) == PLEX86_PLAN_EMULATE && !always(core)) {
		core->emulating = PLEX86_BY_POLICY;
		sample_speed(core, icount);
		return false;
	}
	/* Still in the page that stopped the last slice?  Saves the export. */
	if (core->stuck && s && is_root(s, cr3) &&
	    ((rip ^ core->stuck_rip) & PLEX86_PAGE_MASK) == 0) {
		leave_page(core, wait);
		return false;
	}
	return true;
}

/* Each reason goes to the log once; an engine's own reasons are static strings. */
static bool first_time(struct plex86_core *core, enum plex86_refusal r, const char *detail)
{
	unsigned int i;

	if (!detail) {
		if (core->told & (1u << r))
			return false;
		core->told |= 1u << r;
		return true;
	}
	for (i = 0; i < TOLD_DETAILS; i++) {
		if (core->told_detail[i] == detail)
			return false;
		if (!core->told_detail[i]) {
			core->told_detail[i] = detail;
			return true;
		}
	}
	return false;
}

static enum plex86_verdict refuse(struct plex86_core *core, struct plex86_slice *slice,
				  enum plex86_refusal r, const char *detail)
{
	char line[200];

	core->stats.refused[r]++;
	core->emulating = r;
	if (first_time(core, r, detail)) {
		snprintf(line, sizeof(line), "user code is left to Bochs: %s%s%s",
			 plex86_refusal_name(r), detail ? ": " : "", detail ? detail : "");
		core->host->log(PLEX86_LOG_INFO, line);
	}
	slice->wait.ticks = REFUSED_TICKS;
	return PLEX86_EMULATE;
}

/* What a slice's runs took: the guest's own time, warm, and the rest. */
struct ran {
	uint64_t own_ns, cost_ns;
};

/* The space to run in.  NULL: not to be had. */
static struct plex86_shadow *prepare(struct plex86_core *core, const struct plex86_paging *paging,
				     uint64_t icount)
{
	struct plex86_world *w = &core->world;
	struct plex86_shadow *s = plex86_space_find(w, paging);

	if (!s && icount >= core->spare_until) {
		core->last = NULL;	/* may be evicted */
		s = plex86_space_make(w, paging);
	}
	return s;
}

static void lose(struct plex86_core *core, struct plex86_shadow *s, const char *why,
		 uint64_t icount)
{
	unsigned int doubled;
	char line[200];

	if (!core->world.stats.spaces_lost++) {
		snprintf(line, sizeof(line),
			 "a space was lost (%s); the guest goes on, the space is made again", why);
		core->host->log(PLEX86_LOG_ERROR, line);
	}
	if (icount > core->spare_until + LOSSES_FORGOTTEN_TICKS)
		core->losses = 0;
	core->spare_until = icount;
	if (++core->losses > LOSSES_FREE) {
		doubled = core->losses - LOSSES_FREE;
		core->spare_until += (uint64_t)REFUSED_TICKS
				     << (doubled < LOSSES_DOUBLED ? doubled : LOSSES_DOUBLED);
		if (doubled == LOSSES_DOUBLED)
			core->host->log(PLEX86_LOG_ERROR, "spaces are lost again and again: "
					"user code is left to Bochs most of the time");
	}
	core->last = NULL;
	plex86_space_kill(s);
}

/* What a negative errno of the engine means for who reads the log. */
static const char *failure(int err)
{
	if (err == -ENOMEM)
		return "out of memory, or of memory that may be locked (ulimit -l)";
	return strerror(-err);
}

static uint64_t segment_base(const struct plex86_cpu *cpu)
{
	return cpu->mode == PLEX86_MODE_64 ? 0 : cpu->seg[PLEX86_CS].base;
}

static plex86_gva_t linear_rip(const struct plex86_cpu *cpu)
{
	uint64_t la = segment_base(cpu) + cpu->rip;

	if (cpu->mode != PLEX86_MODE_64)
		la &= UINT32_MAX;
	return (plex86_gva_t){ la };
}

static void stuck_in(struct plex86_core *core, const struct plex86_cpu *cpu)
{
	core->stuck = true;
	core->stuck_rip = cpu->rip;
}

/* The page that code is in: natively, natively with traps, or not. */
static bool may_execute(struct plex86_core *core, struct plex86_shadow *s, plex86_gva_t rip)
{
	enum plex86_code code = plex86_code_check(s, rip);

	if (code != PLEX86_CODE_REFUSED)
		return code == PLEX86_CODE_OK;
	return plex86_traps_earned(&s->traps, rip, core->policy.break_even,
				   TRAPS_ROUND_TRIPS * core->policy.break_even) &&
	       plex86_map_trapped(s, rip);
}

/* How much dearer a trip to this space is than to one without traps. */
static uint64_t extra_ns(const struct plex86_caps *caps, const struct plex86_shadow *s)
{
	return (s->traps.npages ? caps->traps_extra_ns : 0) +
	       (s->tsc_traps ? caps->tsc_extra_ns : 0);
}

/* What the operations that are queued for @s will take. */
static uint64_t map_cost(const struct plex86_caps *caps, const struct plex86_shadow *s)
{
	return s->nops ? caps->round_trip_ns + s->nops * caps->map_page_ns : 0;
}

/*
 * What of a run's time is the engine's own, in this space: the least of the last
 * short runs, so that neither a cold cache nor code that really ran counts.
 */
static void learn_trip(const struct plex86_caps *caps, struct plex86_shadow *s, uint64_t ran_ns)
{
	if (ran_ns > 4 * (caps->trip_ran_ns + extra_ns(caps, s)))
		return;
	if (!s->trip_runs || ran_ns < s->trip_least)
		s->trip_least = ran_ns;
	if (ran_ns < s->trip_ns || ++s->trip_runs == TRIP_WINDOW) {
		s->trip_ns = s->trip_least;
		s->trip_runs = 0;
	}
}

/* Charges the guest for what ran, and the slice for what that took. */
static void charge(struct plex86_core *core, struct plex86_slice *slice, struct plex86_shadow *s,
		   const struct plex86_exit *exit, uint64_t budget_ns, struct ran *ran)
{
	uint64_t total, own;

	learn_trip(core->caps, s, exit->ran_ns);
	own = exit->ran_ns > s->trip_ns ? exit->ran_ns - s->trip_ns : 0;
	ran->own_ns += own > COLD_NS ? own - COLD_NS : 0;
	ran->cost_ns += core->caps->round_trip_ns + extra_ns(core->caps, s) + SLICE_NS;
	/* A deadline that has passed has passed, or it would never be reached. */
	if (exit->reason == PLEX86_EXIT_DEADLINE && own < budget_ns)
		own = budget_ns;
	total = (uint64_t)slice->ticks + plex86_clock_charge(&core->clock, own);
	slice->ticks = total > UINT32_MAX ? UINT32_MAX : (uint32_t)total;
	core->stats.native_ns += exit->ran_ns;
}

static enum plex86_verdict end(struct plex86_core *core, struct plex86_slice *slice,
			       const struct plex86_cpu *cpu, enum plex86_slice_end how,
			       const struct ran *ran)
{
	uint64_t icount = slice->icount + slice->ticks;

	core->stats.native_ticks += slice->ticks;
	core->accounted = icount;
	core->sample_ns = 0;
	core->emulating = PLEX86_BY_TRAP;
	plex86_policy_ran(&core->policy, how, ran->own_ns, ran->cost_ns, slice->cr3, cpu->rip,
			  slice->icount, icount);
	if (how == PLEX86_SLICE_ASYNC)
		return PLEX86_RAN;
	core->stats.steps++;
	return PLEX86_STEP;
}

static enum plex86_verdict run_slice(struct plex86_core *core, struct plex86_cpu *cpu,
				     struct plex86_vec *vec, struct plex86_slice *slice)
{
	struct plex86_world *w = &core->world;
	struct plex86_paging paging;
	struct plex86_exit exit;
	struct plex86_shadow *s;
	enum plex86_refusal r;
	uint64_t budget, budget_ns;
	struct ran ran = { 0, 0 };
	unsigned int faults;
	uint16_t filter;
	uint32_t flags;
	int err;

	slice->ticks = 0;
	slice->changed = false;
	slice->wait.leave_page = false;
	core->stuck = false;
	if (!core->ops)
		return refuse(core, slice, PLEX86_REFUSE_ENGINE, "engine=none");

	/* 1. May this state run natively at all? */
	r = plex86_entry_check(cpu, slice->env, core->caps, core->config.strict);
	if (r)
		return refuse(core, slice, r, NULL);
	if (plex86_paging_from_cr(&paging, cpu->cr0, slice->cr3, cpu->cr4, cpu->efer, slice->pdpte))
		return refuse(core, slice, PLEX86_REFUSE_PAGING, NULL);
	paging.huge1g = core->config.huge1g;
	paging.phys_bits = core->config.phys_bits;

	/* 2. Its space, as the guest's tables are now. */
	w->epoch = slice->icount / (core->clock.ips * EPOCH_NS / 1000000000u + 1);
	s = prepare(core, &paging, slice->icount);
	if (!s && slice->icount < core->spare_until) {
		core->emulating = PLEX86_REFUSE_ENGINE;
		slice->wait.ticks = core->spare_until - slice->icount;
		return PLEX86_EMULATE;
	}
	if (!s)
		return refuse(core, slice, PLEX86_REFUSE_ENGINE, "no space can be made");
	plex86_descriptors_sync(w, &slice->tables, paging.mode == PLEX86_PAGING_LONG);
	filter = plex86_filter_mask(core->caps->flags, cpu->mode, cpu->cr4 & CR4_FSGSBASE, w->strict);
	if (plex86_descriptors_hidden(w))
		filter |= PLEX86_FOUND_SELECTOR;
	plex86_shadow_filter(s, filter);
	plex86_shadow_sync(s, &paging);
	if (s->lived && !s->mapped) {
		/* All is gone: the guest has a new process in the old one's page tables. */
		s->lived = s->populated = false;
		s->filter = 0;
		plex86_policy_reborn(&core->policy, slice->cr3);
		core->emulating = PLEX86_BY_POLICY;
		slice->wait.ticks = core->policy.break_even;
		return PLEX86_EMULATE;
	}
	if (!s->populated) {
		plex86_shadow_populate(s);
		/* That is part of what a space costs, not of what this slice does. */
		err = plex86_space_flush(s);
		if (err) {
			lose(core, s, failure(err), slice->icount);
			return refuse(core, slice, PLEX86_REFUSE_ENGINE, "the space was lost");
		}
	}
	if (!may_execute(core, s, linear_rip(cpu))) {
		/* Not for nothing: state was exported, tables were read. */
		plex86_policy_ran(&core->policy, PLEX86_SLICE_STUCK, 0, SLICE_NS, slice->cr3,
				  cpu->rip, slice->icount, slice->icount);
		stuck_in(core, cpu);
		leave_page(core, &slice->wait);
		return PLEX86_EMULATE;
	}

	if (core->verify)
		plex86_verify_prefault(core->verify, s);

	for (faults = 0;; faults++) {
		/* 3. Run until something happens or the next timer event is due. */
		ran.cost_ns += map_cost(core->caps, s);
		err = plex86_space_flush(s);
		if (err) {
			lose(core, s, failure(err), slice->icount);
			return slice->changed ? end(core, slice, cpu, PLEX86_SLICE_ASYNC, &ran) :
			       refuse(core, slice, PLEX86_REFUSE_ENGINE, "the space was lost");
		}
		budget = slice->ticks_left > slice->ticks ? slice->ticks_left - slice->ticks : 1;
		flags = slice->vec_same ? PLEX86_RUN_VEC_SAME : 0;
		memset(&exit, 0, sizeof(exit));
		budget_ns = plex86_clock_ns(&core->clock, budget);
		if (core->verify)
			budget_ns = plex86_verify_budget(core->verify, budget);
		err = core->ops->run(s->engine, cpu, vec, flags, budget_ns, &exit);
		if (err) {
			lose(core, s, failure(err), slice->icount);
			return slice->changed ? end(core, slice, cpu, PLEX86_SLICE_ASYNC, &ran) :
			       refuse(core, slice, PLEX86_REFUSE_ENGINE, "the space was lost");
		}
		core->stats.exits[exit.reason & 7]++;
		if (exit.reason == PLEX86_EXIT_REFUSED) {
			if (slice->changed)
				return end(core, slice, cpu, PLEX86_SLICE_STUCK, &ran);
			return refuse(core, slice, PLEX86_REFUSE_ENGINE, exit.why);
		}
		core->stats.slices++;
		if (!core->ran)
			core->stats.entries_native++;
		core->ran = true;
		slice->changed = true;
		core->last = s;
		s->lived = s->mapped;
		slice->vec_same = true;
		charge(core, slice, s, &exit, budget_ns, &ran);

		/* 4. What ended it decides what Bochs does next. */
		switch (exit.reason) {
		case PLEX86_EXIT_PAGE:
			if (core->verify) {
				err = plex86_verify_write(core->verify, s, (plex86_gva_t){ exit.addr });
				if (err < 0 || (err > 0 && slice->ticks >= slice->ticks_left))
					return end(core, slice, cpu, PLEX86_SLICE_ASYNC, &ran);
				if (err > 0)
					continue;
			}
			switch (plex86_shadow_fault(s, (plex86_gva_t){ exit.addr }, linear_rip(cpu),
						    exit.access)) {
			case PLEX86_FAULT_MAPPED:
				core->stats.faults_mapped++;
				if (slice->ticks >= slice->ticks_left || faults >= MAX_FAULTS)
					return end(core, slice, cpu, PLEX86_SLICE_ASYNC, &ran);
				continue;
			case PLEX86_FAULT_GUEST:
				core->stats.faults_guest++;
				return end(core, slice, cpu, PLEX86_SLICE_STEP, &ran);
			case PLEX86_FAULT_STUCK:
				core->stats.faults_stuck++;
				if (plex86_code_check(s, (plex86_gva_t){ exit.addr }) ==
				    PLEX86_CODE_REFUSED &&
				    may_execute(core, s, (plex86_gva_t){ exit.addr }))
					continue;
				if (((exit.addr ^ linear_rip(cpu).la) & PLEX86_PAGE_MASK) == 0)
					stuck_in(core, cpu);
				return end(core, slice, cpu, PLEX86_SLICE_STUCK, &ran);
			}
			break;
		case PLEX86_EXIT_TRAP:
			/* A trap, not a fault: RIP is behind the instruction already. */
			slice->single_step = exit.vector == 1;
			return end(core, slice, cpu, PLEX86_SLICE_STEP, &ran);
		case PLEX86_EXIT_LOST:
			lose(core, s, exit.why, slice->icount);
			return end(core, slice, cpu, PLEX86_SLICE_ASYNC, &ran);
		default:
			return end(core, slice, cpu, PLEX86_SLICE_ASYNC, &ran);
		}
	}
}

bool plex86_core_replaying(const struct plex86_core *core)
{
	return core->verify && core->verify->replaying;
}

enum plex86_verdict plex86_core_replay(struct plex86_core *core, const struct plex86_cpu *cpu,
				       struct plex86_slice *slice)
{
	slice->changed = false;
	slice->ticks = 0;
	switch (plex86_verify_step(core->verify, cpu, slice->icount)) {
	case PLEX86_REPLAY_ON:
		return PLEX86_REPLAY;
	case PLEX86_REPLAY_DIFFERENT:
		core->held = PLEX86_RAN;	/* Bochs is somewhere, and that is right */
		break;
	case PLEX86_REPLAY_SAME:
		break;
	}
	slice->ticks = plex86_verify_ticks(core->verify);
	core->accounted = slice->icount + slice->ticks;
	return core->held;
}

enum plex86_verdict plex86_core_slice(struct plex86_core *core, struct plex86_cpu *cpu,
				      struct plex86_vec *vec, struct plex86_slice *slice)
{
	struct plex86_verify *v = core->verify;
	uint64_t native_ns = core->stats.native_ns;
	bool same;

	if (!v)
		return run_slice(core, cpu, vec, slice);
	slice->vec_same = false;
	plex86_verify_begin(v, cpu, vec);
	core->held = run_slice(core, cpu, vec, slice);
	if (!slice->changed)
		return core->held;
	same = plex86_verify_end(v, cpu, vec, core->stats.native_ns - native_ns, slice->single_step);
	*cpu = v->start;
	*vec = v->start_vec;
	/* Nothing has happened yet: Bochs goes there, and then time has passed. */
	slice->changed = slice->single_step = false;
	slice->ticks = 0;
	if (same)
		return plex86_core_replay(core, cpu, slice);
	slice->wait.ticks = core->policy.break_even;
	return PLEX86_EMULATE;
}
