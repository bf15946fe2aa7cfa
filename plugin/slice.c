/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One slice: from "Bochs is about to execute user code" to "Bochs goes on".
 * plex86_core_slice() has its way in reading order: may this state run natively;
 * its space, as the guest's tables are now; run; what ended it?
 */
#include <string.h>

#include "insn.h"
#include "slice.h"

/* Guest time after which a page that flipped too often gets another chance, at first. */
#define EPOCH_NS 20000000u

/* In break-evens: natively it is certainly worth it to go so far from a page for Bochs. */
#define LONG_LAP 4

/* Native re-entries after page faults before events get a look, at the latest. */
#define MAX_FAULTS 64

/* Code of the page of @rip is for Bochs. */
static void stuck_in(struct plex86_run *run, uint64_t rip)
{
	struct plex86_core *core = run->core;

	core->stuck = true;
	core->stuck_rip = rip;
	core->stuck_icount = core->blamed_icount = run->slice->icount + run->slice->ticks;
}

/* The page that code is in: natively, natively with traps, or why not. */
static enum plex86_code may_execute(struct plex86_core *core, struct plex86_shadow *s,
				    plex86_gva_t rip)
{
	enum plex86_code code = plex86_code_check(s, rip);
	const uint64_t trip = core->policy.break_even;

	if (code == PLEX86_CODE_REFUSED &&
	    plex86_traps_earned(&s->traps, rip, trip, trip * plex86_code_price(s, rip)) &&
	    plex86_map_trapped(s, rip))
		return PLEX86_CODE_OK;
	return code;
}

/* Does the code at RIP lead to an instruction for Bochs that nobody had found? */
static bool surprised(struct plex86_run *run)
{
	/* What INT 0x80 loses is RAX's upper half. */
	return plex86_code_surprises(run->space, plex86_code_address(run->cpu),
				     run->cpu->mode == PLEX86_MODE_64,
				     run->cpu->gpr[PLEX86_RAX] >> 32 ? 0 : PLEX86_FOUND_INT80_64);
}

/* The slice is over; @how tells the policy whether going native was worth it. */
static enum plex86_verdict end(struct plex86_run *run, enum plex86_slice_end how)
{
	struct plex86_core *core = run->core;
	struct plex86_slice *slice = run->slice;
	uint64_t icount = slice->icount + slice->ticks;

	/* Bochs would take an interrupt here, where a CPU may not. */
	if (how == PLEX86_SLICE_ASYNC && slice->changed &&
	    (!run->space || plex86_behind_mov_ss(run->space, run->cpu)))
		how = PLEX86_SLICE_FAULT;
	core->stats.native_ticks += slice->ticks;
	core->accounted = icount;
	core->sample_ns = 0;
	core->emulating = PLEX86_BY_TRAP;
	plex86_policy_ran(&core->policy, how, run->own_ns, run->cost_ns, slice->cr3, run->cpu->rip,
			  slice->icount, icount);
	if (how == PLEX86_SLICE_ASYNC)
		return PLEX86_RAN;
	core->stats.steps++;
	return PLEX86_STEP;
}

/* The engine failed, with the state as it was before. */
static enum plex86_verdict fail(struct plex86_run *run, int err)
{
	plex86_lose(run, plex86_failure(err));
	if (run->slice->changed)
		return end(run, PLEX86_SLICE_ASYNC);
	return plex86_refuse(run, PLEX86_REFUSE_ENGINE, "the space was lost");
}

/* The space to run in, made if need be; PLEX86_GO_ON, or why not. */
static enum plex86_verdict find_space(struct plex86_run *run, const struct plex86_paging *paging)
{
	struct plex86_core *core = run->core;
	struct plex86_world *w = &core->world;
	int err;

	w->epoch = run->slice->icount / (core->clock.ips * EPOCH_NS / 1000000000u + 1);
	run->space = plex86_space_find(w, paging);
	if (!run->space) {
		run->slice->wait.ticks = plex86_spared_ticks(run);
		if (run->slice->wait.ticks) {
			core->emulating = PLEX86_REFUSE_ENGINE;
			return PLEX86_EMULATE;
		}
		core->last = NULL;	/* may be evicted */
		err = plex86_space_make(w, paging, &run->space);
		if (err)
			return plex86_no_space(run, err);
		if (core->no_room && core->losses)
			core->losses--;
		core->no_room = false;
	}
	run->space->account = run->slice->cr3;
	return PLEX86_GO_ON;
}

/* All is gone: the guest has a new process in the old one's page tables. */
static enum plex86_verdict reborn(struct plex86_run *run)
{
	struct plex86_core *core = run->core;
	struct plex86_shadow *s = run->space;

	s->lived = s->populated = false;
	s->filter = s->filter_low = 0;
	plex86_policy_reborn(&core->policy, run->slice->cr3);
	core->emulating = PLEX86_BY_POLICY;
	run->slice->wait.ticks = core->policy.break_even;
	return PLEX86_EMULATE;
}

static enum plex86_verdict refuse_page(struct plex86_run *run, enum plex86_code why)
{
	struct plex86_core *core = run->core;
	struct plex86_slice *slice = run->slice;

	/* Not for nothing: state was exported, tables were read. */
	plex86_policy_ran(&core->policy, PLEX86_SLICE_STUCK, 0, PLEX86_SLICE_NS, slice->cr3,
			  run->cpu->rip, slice->icount, slice->icount);
	/* Beyond a place that traps the page may be as good as any. */
	if (why != PLEX86_CODE_TRAP)
		stuck_in(run, run->cpu->rip);
	plex86_core_leave_page(core, &slice->wait);
	return PLEX86_EMULATE;
}

/* PLEX86_GO_ON: the space is ready to run this state. */
static enum plex86_verdict enter(struct plex86_run *run)
{
	struct plex86_core *core = run->core;
	struct plex86_slice *slice = run->slice;
	const struct plex86_cpu *cpu = run->cpu;
	struct plex86_paging paging;
	enum plex86_verdict verdict;
	enum plex86_refusal r;
	enum plex86_code code;
	int err;

	if (!core->ops)
		return plex86_refuse(run, PLEX86_REFUSE_ENGINE, "engine=none");

	/* 1. May this state run natively at all? */
	r = plex86_entry_check(cpu, slice->env, core->caps, core->config.strict);
	if (r)
		return plex86_refuse(run, r, NULL);
	if (core->config.strict && !(core->caps->flags & PLEX86_CAP_SELECTORS) && !plex86_linux_tables(run))
		return plex86_refuse(run, PLEX86_REFUSE_SELECTORS, "the GDT is not 64-bit Linux's");
	if (!plex86_beyond_idle(plex86_beyond(cpu, core->caps), run->vec, core->caps))
		return plex86_refuse(run, PLEX86_REFUSE_XCR0,
				     "the upper halves of ZMM registers are in use");
	if (!plex86_mxcsr_loads(run->vec, core->caps))
		return plex86_refuse(run, PLEX86_REFUSE_XCR0,
				     "MXCSR has a bit that this host's CPU does not know");
	if (plex86_paging_from_cr(&paging, cpu->cr0, slice->cr3, cpu->cr4, cpu->efer, slice->pdpte))
		return plex86_refuse(run, PLEX86_REFUSE_PAGING, NULL);
	paging.huge1g = core->config.huge1g;
	paging.phys_bits = core->config.phys_bits;

	/* 2. Its space, as the guest's tables are now. */
	verdict = find_space(run, &paging);
	if (verdict != PLEX86_GO_ON)
		return verdict;
	plex86_slice_filter(run, paging.mode == PLEX86_PAGING_LONG);
	plex86_shadow_sync(run->space, &paging);
	if (run->space->lived && !run->space->mapped)
		return reborn(run);
	if (!run->space->populated) {
		plex86_shadow_populate(run->space);
		/* That is part of what a space costs, not of what this slice does. */
		err = plex86_space_flush(run->space);
		if (err)
			return fail(run, err);
	}
	code = may_execute(core, run->space, plex86_code_address(cpu));
	if (code == PLEX86_CODE_OK && surprised(run))
		code = PLEX86_CODE_REFUSED;
	return code == PLEX86_CODE_OK ? PLEX86_GO_ON : refuse_page(run, code);
}

/* Once through the engine.  PLEX86_GO_ON: something ran, and @exit says what ended it. */
static enum plex86_verdict go(struct plex86_run *run, struct plex86_exit *exit)
{
	struct plex86_core *core = run->core;
	struct plex86_slice *slice = run->slice;
	struct plex86_shadow *s = run->space;
	uint64_t ticks = slice->ticks_left > slice->ticks ? slice->ticks_left - slice->ticks : 1;
	uint64_t budget_ns, took;
	int err;

	/* Time that has passed already comes first, and may be all that there is. */
	if (core->clock.debt >= ticks) {
		slice->ticks += ticks;
		core->clock.debt -= ticks;
		return end(run, PLEX86_SLICE_ASYNC);
	}
	ticks -= core->clock.debt;
	plex86_cost_of_maps(run);
	err = plex86_space_flush(s);
	if (err)
		return fail(run, err);
	budget_ns = core->verify ? plex86_verify_budget(core->verify, ticks) :
				   plex86_clock_ns(&core->clock, ticks);
	memset(exit, 0, sizeof(*exit));
	plex86_beyond_hold(&core->beyond, run->cpu, run->vec, core->caps);
	took = plex86_now_ns();
	err = core->ops->run(s->engine, run->cpu, run->vec,
			     slice->vec_same ? PLEX86_RUN_VEC_SAME : 0, budget_ns, exit);
	took = plex86_now_ns() - took;
	plex86_beyond_return(&core->beyond, run->cpu, run->vec);
	if (err)
		return fail(run, err);
	core->stats.exits[exit->reason % PLEX86_EXIT_REASONS]++;
	if (exit->reason == PLEX86_EXIT_REFUSED)
		return slice->changed ? end(run, PLEX86_SLICE_STUCK) :
		       plex86_refuse(run, PLEX86_REFUSE_ENGINE, exit->why);
	core->stats.slices++;
	if (!core->ran)
		core->stats.entries_native++;
	core->ran = true;
	slice->changed = true;
	core->last = s;
	s->lived = s->mapped;
	s->trips++;
	slice->vec_same = true;
	plex86_cost_of_run(run, exit, budget_ns, took);
	return PLEX86_GO_ON;
}

static bool time_is_up(const struct plex86_run *run)
{
	return run->slice->ticks >= run->slice->ticks_left;
}

/* Native code has come to a page for Bochs; @code: to execute it. */
static enum plex86_verdict stuck_at(struct plex86_run *run, plex86_gva_t at, bool code)
{
	struct plex86_core *core = run->core;
	const uint64_t most = LONG_LAP * core->policy.break_even;
	struct plex86_laps *laps = &run->space->laps;
	enum plex86_verdict verdict;

	if (code) {
		stuck_in(run, run->cpu->rip + (at.la - plex86_code_address(run->cpu).la));
		run->own_ns = plex86_laps_work(laps, at, run->own_ns * PLEX86_NATIVE_INSNS_PER_NS,
					       most) / PLEX86_NATIVE_INSNS_PER_NS;
	} else if (run->own_ns < core->caps->round_trip_ns) {
		run->own_ns = 0;	/* nothing tells it from noise */
	}
	verdict = end(run, PLEX86_SLICE_STUCK);
	if (code)
		plex86_laps_begin(laps, &core->lap, at, core->accounted, core->policy.now->wait, most);
	plex86_traps_blame(&run->space->traps, at, core->policy.now->wait);
	core->blamed_icount += core->policy.now->wait;
	return verdict;
}

/* Natively at RIP, unless what is there is for Bochs. */
static enum plex86_verdict go_on(struct plex86_run *run)
{
	return surprised(run) ? stuck_at(run, plex86_code_address(run->cpu), true) : PLEX86_GO_ON;
}

/* PLEX86_GO_ON: what the fault was about is mapped now. */
static enum plex86_verdict page_fault(struct plex86_run *run, const struct plex86_exit *exit)
{
	plex86_gva_t at = { exit->addr }, rip = plex86_code_address(run->cpu);
	struct plex86_core *core = run->core;
	int copied = 0;

	if (core->verify)
		copied = plex86_verify_write(core->verify, run->space, at);
	if (copied)
		return copied > 0 && !time_is_up(run) ? go_on(run) : end(run, PLEX86_SLICE_FAULT);
	switch (plex86_shadow_fault(run->space, at, rip, exit->access)) {
	case PLEX86_FAULT_MAPPED:
		core->stats.faults_mapped++;
		if (time_is_up(run) || run->mapped++ >= MAX_FAULTS)
			return end(run, PLEX86_SLICE_FAULT);
		return go_on(run);
	case PLEX86_FAULT_GUEST:
		core->stats.faults_guest++;
		/* If Bochs's TLB knows the page it sets no A or D bit, and each access would trap. */
		if (plex86_tree_wants_walk(run->space, at))
			core->host->walk_again(at);
		return end(run, PLEX86_SLICE_STEP);
	default:
		break;
	}
	core->stats.faults_stuck++;
	if (plex86_code_check(run->space, at) == PLEX86_CODE_REFUSED &&
	    may_execute(core, run->space, at) == PLEX86_CODE_OK)
		return go_on(run);
	/* Of the page itself, or of an instruction that runs over into it. */
	return stuck_at(run, at, ((at.la ^ rip.la) & PLEX86_PAGE_MASK) == 0 ||
			plex86_fault_is_fetch(at, rip, exit->access));
}

static enum plex86_verdict run_slice(struct plex86_run *run)
{
	enum plex86_verdict verdict;
	struct plex86_seg entered[PLEX86_NSEG];
	struct plex86_exit exit;

	run->slice->ticks = 0;
	run->slice->changed = false;
	run->slice->wait.leave_page = run->slice->wait.surely = false;
	run->core->stuck = false;

	memcpy(entered, run->cpu->seg, sizeof(entered));
	verdict = enter(run);
	if (verdict == PLEX86_GO_ON && run->core->verify)
		plex86_verify_prefault(run->core->verify, run->space);

	/* 3. Run until something happens or the next timer event is due. */
	while (verdict == PLEX86_GO_ON) {
		verdict = go(run, &exit);
		if (verdict != PLEX86_GO_ON)
			break;

		/* 4. What ended it decides what Bochs does next. */
		switch (exit.reason) {
		case PLEX86_EXIT_PAGE:
			verdict = plex86_entry_holds(entered, run->cpu->seg) ?
				  page_fault(run, &exit) : end(run, PLEX86_SLICE_FAULT);
			break;
		case PLEX86_EXIT_TRAP:
			if (exit.vector != PLEX86_VECTOR_DB && exit.vector != PLEX86_VECTOR_GP)
				plex86_back_to_prefixes(run->space, run->cpu);
			plex86_copy_stopped(run->space, plex86_code_address(run->cpu));
			/* A trap, not a fault: RIP is behind the instruction already. */
			run->slice->single_step = exit.vector == PLEX86_VECTOR_DB;
			/* An instruction that the host lacks: its kind comes in packs. */
			run->core->pause = exit.vector == PLEX86_VECTOR_UD;
			verdict = end(run, PLEX86_SLICE_STEP);
			if (run->slice->single_step)
				verdict = PLEX86_RAN;	/* #DB first */
			break;
		case PLEX86_EXIT_BROKEN:
			plex86_broken(run, exit.why);
			/* fall through */
		case PLEX86_EXIT_LOST:
			plex86_lose(run, exit.why);
			verdict = end(run, PLEX86_SLICE_ASYNC);
			break;
		default:
			verdict = end(run, PLEX86_SLICE_ASYNC);
			break;
		}
	}
	return verdict;
}

enum plex86_verdict plex86_core_slice(struct plex86_core *core, struct plex86_cpu *cpu,
				      struct plex86_vec *vec, struct plex86_slice *slice)
{
	struct plex86_run run = { .core = core, .slice = slice, .cpu = cpu, .vec = vec };
	enum plex86_verdict verdict;

	if (core->verify)
		plex86_hold(&run);
	verdict = run_slice(&run);
	return core->verify ? plex86_held(&run, verdict) : verdict;
}
