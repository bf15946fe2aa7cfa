/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Verify mode: with an engine that works, it changes nothing and finds nothing;
 * whatever an engine gets wrong, it finds each time, and what the guest sees is
 * right all the same.
 */
#include <errno.h>

#include "verify_vm.h"

static struct act act[ACTS];
static struct act stores[MANY];

static void make_programs(void)
{
	struct rng r = { 21 };
	unsigned int i, k;

	for (i = 0; i < ACTS; i++) {
		k = rng_below(&r, 20);
		act[i].kind = k < 8 ? ACT_READ : k < 16 ? ACT_WRITE : k < 19 ? ACT_EXEC : ACT_CALL;
		act[i].la = act[i].kind == ACT_EXEC ? CODE + rng_below(&r, 2 * PAGE)
						    : DATA + rng_below(&r, PAGES * PAGE);
		act[i].arg = act[i].kind == ACT_CALL ? rng_next(&r) : 0;
	}
	for (i = 0; i < MANY; i++)
		stores[i] = (struct act){ ACT_WRITE, DATA + i * PAGE, 0 };
}

static void nothing_to_find(void)
{
	struct plex86_verify_stats s;
	uint64_t digest;
	unsigned int i;

	begin(false);
	for (i = 0; i < 20; i++)
		vm_run(act, ACTS);
	digest = vm_digest();
	vm_close();

	begin(true);
	for (i = 0; i < 20; i++)
		vm_run(act, ACTS);
	s = *stats();
	ok(vm_digest() == digest);
	is(s.differences, 0, "an engine that works: no difference");
	ok(!vm.log_panics && access(case_file, F_OK));
	tap_diag("%llu slices, %llu instructions, %llu pages", (unsigned long long)s.slices,
		 (unsigned long long)s.instructions, (unsigned long long)s.pages);
	ok(s.slices > 100 && s.pages > 100);
	/* What ran natively is what Bochs then executed; a jump is two of its steps. */
	ok(s.instructions >= vm.native_acts && s.instructions <= 2 * vm.native_acts);
	ok(!s.unverified[PLEX86_UNVERIFIED_EVENTS] && !s.unverified[PLEX86_UNVERIFIED_INEXACT]);
	vm_close();
	ok(vm_is_clean());
}

/* A slice that writes more pages than there are copies ends, and the next goes on. */
static void many_pages(void)
{
	uint64_t digest;

	begin(false);
	vm_run(stores, MANY);
	digest = vm_digest();
	vm_close();
	begin(true);
	vm.ticks_left = 1000000;
	vm_run(stores, MANY);
	vm_run(stores, MANY);
	ok(stats()->slices >= 2 && stats()->pages >= MANY && !stats()->differences);
	ok(vm.native_acts > MANY);
	vm_close();
	ok(vm_is_clean());
	begin(true);
	vm_run(stores, MANY);
	ok(vm_digest() == digest);
	vm_close();
}

/* ---- Engines that are wrong ---- */

static void harm(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec,
		 struct plex86_exit *x)
{
	if (!when || --when)
		return;
	/* A page fault may be no end: native code goes on, and may undo the harm. */
	if (x->reason == PLEX86_EXIT_PAGE) {
		when = 1;
		return;
	}
	if (how(s, cpu, vec))
		harmed++;
	else
		when = 1;
}

static bool a_register(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec)
{
	return flip(cpu->gpr, sizeof(cpu->gpr), rng_next(&dice) >> 20);
}

static bool rip(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec)
{
	return flip(&cpu->rip, 6, rng_next(&dice) >> 20);
}

static bool a_flag(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec)
{
	static const uint8_t bits[] = { 0, 2, 4, 6, 7, 10, 11, 14, 18, 21 };

	cpu->rflags ^= 1u << bits[rng_below(&dice, sizeof(bits))];
	return true;
}

static bool a_selector(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec)
{
	return flip(&cpu->seg[rng_below(&dice, PLEX86_NSEG)].sel, 2, rng_next(&dice) >> 20);
}

static bool fs_base(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec)
{
	return flip(&cpu->seg[PLEX86_FS].base, 6, rng_next(&dice) >> 20);
}

static bool x87(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec)
{
	return rng_below(&dice, 2) ? flip(vec->legacy, 5, rng_next(&dice) >> 20)
				   : flip(vec->legacy + 32, 10, rng_next(&dice) >> 20);
}

static bool mxcsr(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec)
{
	return flip(vec->legacy + 24, 2, rng_next(&dice) >> 20);
}

static bool xmm(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec)
{
	return flip(vec->legacy + 160, 256, rng_next(&dice) >> 20);
}

static bool ymm(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec)
{
	return flip(vec->ymm_hi, sizeof(vec->ymm_hi), rng_next(&dice) >> 20);
}

/* The last store was not made; it is to the page that REG_NEXT's predecessor names. */
static bool lost_store(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec)
{
	const struct act *last = cpu->gpr[REG_NEXT] ? &vm.act[cpu->gpr[REG_NEXT] - 1] : NULL;
	const struct mapping *m;

	if (!last || last->kind != ACT_WRITE || last->la % PAGE > PAGE - 8)
		return false;
	m = engine_find(s, last->la);
	if (!m || m->off < VM_OBJECT)
		return false;
	memset(vm.object + m->off + last->la % PAGE, 0, 8);
	return true;
}

/* The page that was written is not the one that is mapped: nothing arrives. */
static bool lost_page(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec)
{
	struct plex86_verify *v = vm.core->verify;
	uint32_t i;

	/* Only where the copy's bytes have changed, or the loss would not be one. */
	for (i = 0; i < v->npages; i++) {
		struct plex86_private *p = &v->page[i];

		if (memcmp(p->copy, p->shared, PAGE)) {
			memcpy(p->copy, p->shared, PAGE);
			return true;
		}
	}
	return false;
}

static bool one_act_too_many(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec)
{
	cpu->gpr[REG_NEXT]++;
	return true;
}

static const struct {
	const char *name;
	bool (*how)(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec);
} harms[] = {
	{ "a bit of a register", a_register },
	{ "a bit of RIP", rip },
	{ "a flag", a_flag },
	{ "a bit of a selector", a_selector },
	{ "a bit of FS's base", fs_base },
	{ "a bit of the x87 state", x87 },
	{ "a bit of MXCSR", mxcsr },
	{ "a bit of an XMM register", xmm },
	{ "a bit of a YMM register's upper half", ymm },
	{ "a bit of a page that was written", memory },
	{ "a store that was lost", lost_store },
	{ "a page of stores that was lost", lost_page },
	{ "an instruction left out", one_act_too_many },
};

static void harm_once(unsigned int i, uint64_t digest, uint64_t at, unsigned int *missed,
		      unsigned int *wrong)
{
	begin(true);
	how = harms[i].how;
	when = at;
	harmed = 0;
	engine.harm = harm;
	vm_run(act, ACTS);
	if (harmed) {
		if (stats()->differences != 1 || vm.log_panics != 1 || access(case_file, R_OK)) {
			tap_diag("%s, run %llu: %llu differences", harms[i].name,
				 (unsigned long long)at,
				 (unsigned long long)stats()->differences);
			++*missed;
		}
		*wrong += vm_digest() != digest;
	}
	vm_close();
	*wrong += !vm_is_clean();
}

static void each_harm(void)
{
	unsigned int i, missed, wrong, done;
	uint64_t digest, runs, at;

	begin(false);
	vm_run(act, ACTS);
	digest = vm_digest();
	vm_close();
	begin(true);
	vm_run(act, ACTS);
	runs = engine.runs;
	vm_close();
	dice.s = 23;
	for (i = 0; i < sizeof(harms) / sizeof(harms[0]); i++) {
		missed = wrong = done = 0;
		for (at = 1; at <= runs && missed < 5; at += 3) {
			harm_once(i, digest, at, &missed, &wrong);
			done += harmed;
		}
		tap_ok(!missed && done > runs / 9, "%s: found %u times of %u", harms[i].name,
		       done - missed, done);
		is(wrong, 0, "and the guest has not noticed");
	}
}

static void no_case_file(void)
{
	begin(true);
	vm.core->verify->case_file = NULL;
	how = harms[0].how;
	when = 1;
	harmed = 0;
	engine.harm = harm;
	vm_run(act, ACTS);
	ok(harmed && stats()->differences == 1);
	ok(vm.log_panics == 1 && access(case_file, F_OK));
	vm_close();
	ok(vm_is_clean());
}

/* ---- What can't be verified, and what may differ ---- */

static int half_a_step(struct plex86_space *s, struct plex86_cpu *cpu, uint64_t budget_ns,
		       struct plex86_exit *x)
{
	cpu->gpr[REG_NEXT] = 1;
	x->reason = PLEX86_EXIT_TRAP;
	x->vector = 1;
	return 0;
}

/* Reports the state that it was given: the slice is empty, and right. */
static int nothing(struct plex86_space *s, struct plex86_cpu *cpu, uint64_t budget_ns,
		   struct plex86_exit *x)
{
	x->reason = PLEX86_EXIT_KICK;
	return 0;
}

/* Reports a state that is never reached, so that the replay goes on. */
static int elsewhere(struct plex86_space *s, struct plex86_cpu *cpu, uint64_t budget_ns,
		     struct plex86_exit *x)
{
	cpu->gpr[REG_HASH]++;
	x->reason = PLEX86_EXIT_KICK;
	return 0;
}

static enum plex86_verdict first_slice(void)
{
	enum plex86_verdict verdict;

	vm.act = act;
	vm.nacts = ACTS;
	vm.cpu.gpr[REG_NEXT] = 0;
	vm.slice.icount = vm.icount;
	vm.slice.ticks_left = 1000;
	verdict = plex86_core_slice(vm.core, &vm.cpu, &vm.vec, &vm.slice);
	return verdict;
}

static void not_to_verify(void)
{
	begin(true);
	engine.script = half_a_step;
	vm_slice_only();
	vm.act = act;
	ok(vm.verdict == PLEX86_EMULATE && vm.slice.wait.ticks && !vm.slice.single_step);
	is(stats()->unverified[PLEX86_UNVERIFIED_STEP], 1, "a single step is left to Bochs");
	is(vm.cpu.gpr[REG_NEXT], 0, "from the start");

	engine.script = nothing;
	vm_slice_only();
	ok(vm.verdict == PLEX86_RAN && stats()->slices == 1);

	engine.script = elsewhere;
	ok(first_slice() == PLEX86_REPLAY && plex86_core_replaying(vm.core));
	plex86_core_drop_all(vm.core);
	ok(!plex86_core_replaying(vm.core));
	is(stats()->unverified[PLEX86_UNVERIFIED_RESET], 1, "a reset ends the replay");

	/* An event that Bochs handled without asking. */
	ok(first_slice() == PLEX86_REPLAY);
	vm.slice.icount = vm.icount + 2;
	is(plex86_core_replay(vm.core, &vm.cpu, &vm.slice), PLEX86_RAN, "a missed boundary ends it");
	is(stats()->unverified[PLEX86_UNVERIFIED_EVENTS], 1, "and is counted");
	ok(first_slice() == PLEX86_REPLAY);
	plex86_core_kernel_mode(vm.core, vm.icount + 2);
	is(stats()->unverified[PLEX86_UNVERIFIED_EVENTS], 2, "so is one before the kernel");
	is(stats()->differences, 0, "none of this is a difference");

	/* Endless: Bochs stands still. */
	ok(first_slice() == PLEX86_REPLAY);
	do
		vm.slice.icount = ++vm.icount;
	while (plex86_core_replay(vm.core, &vm.cpu, &vm.slice) == PLEX86_REPLAY &&
	       vm.icount < 1000000);
	tap_diag("given up after %llu steps", (unsigned long long)vm.icount);
	ok(stats()->differences == 1 && vm.icount > 1000 && vm.icount < 1000000);
	vm_close();
	ok(vm_is_clean());
}

static const char *text;

static const char *always(uint64_t la)
{
	return text;
}

static void flip_flags(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec,
		       struct plex86_exit *x)
{
	cpu->rflags ^= harmed;
}

static void flip_xmm(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec,
		     struct plex86_exit *x)
{
	vec->legacy[160] ^= 1;
}

static void flip_empty(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec,
		       struct plex86_exit *x)
{
	vec->legacy[32 + 16] ^= 1;	/* ST1, which is empty */
}

static void flip_rcx(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec,
		     struct plex86_exit *x)
{
	cpu->gpr[PLEX86_RCX] ^= 1;
}

static void flip_unseen(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec,
			struct plex86_exit *x)
{
	vec->legacy[6] ^= 1;		/* FOP */
	vec->legacy[8] ^= 1;		/* FIP */
	vec->legacy[28] ^= 1;		/* MXCSR_MASK */
}

/* Runs some acts, all of which are this instruction, with this harm. */
static const struct plex86_verify_stats *run_as(const char *instruction, uint32_t flags,
	void (*what)(struct plex86_space *, struct plex86_cpu *, struct plex86_vec *,
		     struct plex86_exit *))
{
	static struct plex86_verify_stats s;

	begin(true);
	text = instruction;
	vm.disassemble = always;
	harmed = flags;
	engine.harm = what;
	vm_run(act, 20);
	s = *stats();
	vm_close();
	return &s;
}

static void may_differ(void)
{
	const struct plex86_verify_stats *s;

	s = run_as("imul eax, ebx", 0x40, flip_flags);
	ok(!s->differences && s->slices && s->tolerated[PLEX86_TOLERATED_FLAGS] >= 1);
	s = run_as("imul eax, ebx", 0x41, flip_flags);
	ok(s->differences > 0 && !s->tolerated[PLEX86_TOLERATED_FLAGS]);
	s = run_as("add eax, ebx", 0x40, flip_flags);
	ok(s->differences > 0 && !s->tolerated[PLEX86_TOLERATED_FLAGS]);
	s = run_as("and eax, ebx", 0x10, flip_flags);
	ok(!s->differences && s->tolerated[PLEX86_TOLERATED_FLAGS] >= 1);
	s = run_as("and eax, ebx", 0x400, flip_flags);
	ok(s->differences > 0);

	s = run_as("mov eax, ebx", 0, flip_unseen);
	ok(!s->differences && s->tolerated[PLEX86_TOLERATED_X87_POINTERS]);
	s = run_as("mov eax, ebx", 0, flip_empty);
	ok(s->differences > 0);
	s = run_as("fyl2x", 0, flip_empty);
	ok(!s->differences && s->slices && s->tolerated[PLEX86_TOLERATED_APPROXIMATION] &&
	   !s->unverified[PLEX86_UNVERIFIED_INEXACT]);

	s = run_as("rcpps xmm0, xmm1", 0, flip_xmm);
	ok(!s->differences && s->tolerated[PLEX86_TOLERATED_APPROXIMATION] &&
	   s->unverified[PLEX86_UNVERIFIED_INEXACT]);
	s = run_as("rcpps xmm0, xmm1", 0, flip_rcx);
	ok(s->differences > 0);
	s = run_as("mulps xmm0, xmm1", 0, flip_xmm);
	ok(s->differences > 0);
	s = run_as("rdrand ecx", 0, flip_rcx);
	ok(!s->differences && s->tolerated[PLEX86_TOLERATED_RANDOM]);
}

/* ---- The case ---- */

static void bochs_and_native(void)
{
	struct plex86_case *c = NULL;
	unsigned int i, code = 0, written = 0, different = 0;
	FILE *f;

	begin(true);
	how = memory;
	when = 10;
	engine.harm = harm;
	vm_run(act, ACTS);
	is(plex86_case_read(case_file, &c), 0, "a case can be read");
	ok(c && !strcmp(c->engine, "fake") && strstr(c->why, "memory"));
	for (i = 0; c && i < c->npages; i++) {
		const struct plex86_case_page *p = &c->page[i];

		code += p->la.la >= CODE && p->la.la < CODE + 2 * PAGE &&
			(p->prot & PLEX86_PROT_EXEC);
		written += !!p->native;
		different += p->native && memcmp(p->native, p->bochs, PAGE);
	}
	ok(code >= 1 && written >= 1);
	is(different, 1, "one page differs");
	ok(c && c->start.mode == PLEX86_MODE_64 && c->start.gpr[REG_NEXT] < c->native.gpr[REG_NEXT]);
	ok(c && !memcmp(&c->native_vec, &c->bochs_vec, sizeof(c->native_vec)));
	plex86_case_free(c);

	/* Cut off, and with something else in it. */
	ok(truncate(case_file, 3000) == 0 && plex86_case_read(case_file, &c) == -EINVAL);
	f = fopen(case_file, "w");
	fprintf(f, "plex86-case 2\n");
	fclose(f);
	is(plex86_case_read(case_file, &c), -EINVAL, "another version");
	unlink(case_file);
	is(plex86_case_read(case_file, &c), -ENOENT, "no file");

	vm_close();
}

/* A file that can't be written takes nothing away from the difference. */
static void no_case(void)
{
	case_file = "/nonexistent/case";
	begin(true);
	how = a_register;
	when = 10;
	engine.harm = harm;
	vm_run(act, ACTS);
	ok(stats()->differences == 1 && vm.log_panics == 1);
	vm_close();
	ok(vm_is_clean());
}

int main(void)
{
	case_file = "verify-unit.case";
	make_programs();
	nothing_to_find();
	many_pages();
	each_harm();
	no_case_file();
	not_to_verify();
	may_differ();
	bochs_and_native();
	no_case();
	return tap_done();
}
