/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process engine with a defect, linked into a plugin of its own: now and then,
 * when a slice has ended, it flips one bit of what native code left.  Verify mode has
 * to find each of them.
 *
 * PLEX86_BREAK=WHERE[,EVERY]	register, flag, vector, any of these in turn, or memory; at each
 *				EVERY-th end of a slice at which that can be done
 * PLEX86_BREAK_LOG=FILE	a line for each bit that was flipped, and for what verify mode says
 *				of each slice that it does not find to be the same
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <plex86/engine.h>

#include "plugin/verify.h"

#define FLAG_TF		(UINT64_C(1) << 8)
#define FLAG_DF		(UINT64_C(1) << 10)
#define DR7_ARMED	0xff
#define MXCSR_AT	24		/* in an FXSAVE area */
#define ST_AT		32
#define SSE_AT		160
#define VECTOR_DB	1

struct defect {
	const char *name;
	bool (*can)(const struct plex86_vec *vec);	/* NULL: always */
	void (*flip)(struct plex86_cpu *cpu, struct plex86_vec *vec, unsigned int n);
};

static const struct defect *defect;
static unsigned int every = 5, chances, flipped;
static uint8_t *ram;
static uint8_t *written;		/* a page that native code could write this time */
static FILE *log_file;

static void flip_register(struct plex86_cpu *cpu, struct plex86_vec *vec, unsigned int n)
{
	/* Not those that a trapping SYSCALL may lose (docs/limits.md). */
	static const uint8_t kept[] = { 0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 13, 14, 15 };
	unsigned int count = cpu->mode == PLEX86_MODE_64 ? sizeof(kept) : 7;
	unsigned int bits = cpu->mode == PLEX86_MODE_64 ? 64 : 32;

	(void)vec;
	/* Not to another instruction of the same loop, where the rest may be right as well. */
	if (n % 8 == 7) {
		cpu->rip ^= 0x100u << n / 8 % 4;
		return;
	}
	cpu->gpr[kept[n % count]] ^= UINT64_C(1) << n * 7 % bits;
}

/* DF, which no instruction leaves undefined, and the others, which most define. */
static void flip_flag(struct plex86_cpu *cpu, struct plex86_vec *vec, unsigned int n)
{
	static const uint8_t others[] = { 0, 2, 4, 6, 7, 11 };	/* CF, PF, AF, ZF, SF, OF */

	(void)vec;
	cpu->rflags ^= n % 2 ? FLAG_DF : UINT64_C(1) << others[n / 2 % sizeof(others)];
}

static bool has_vector(const struct plex86_vec *vec)
{
	return vec->valid & PLEX86_X_SSE;
}

/* XMM, x87 (ST0 to ST7, though they be empty), MXCSR's flags, and of YMM what there is. */
static void flip_vector(struct plex86_cpu *cpu, struct plex86_vec *vec, unsigned int n)
{
	unsigned int count = cpu->mode == PLEX86_MODE_64 ? 16 : 8, bit = n / 4 % 8;

	if (n % 4 == 1 && (vec->valid & PLEX86_X_X87))
		vec->legacy[ST_AT + n / 4 % 8 * 16 + n / 4 % 8] ^= 1u << bit;
	else if (n % 4 == 2)
		vec->legacy[MXCSR_AT] ^= 1u << bit % 6;
	else if (n % 4 == 3 && (vec->valid & PLEX86_X_AVX))
		vec->ymm_hi[n / 4 % count][n / 4 % 16] ^= 1u << bit;
	else
		vec->legacy[SSE_AT + n / 4 % count * 16 + n / 4 % 16] ^= 1u << bit;
}

static void flip_any(struct plex86_cpu *cpu, struct plex86_vec *vec, unsigned int n)
{
	if (n % 3 == 0)
		flip_register(cpu, vec, n / 3);
	else if (n % 3 == 1)
		flip_flag(cpu, vec, n / 3);
	else
		flip_vector(cpu, vec, n / 3);
}

static bool has_memory(const struct plex86_vec *vec)
{
	(void)vec;
	return written;
}

static void flip_memory(struct plex86_cpu *cpu, struct plex86_vec *vec, unsigned int n)
{
	(void)cpu;
	(void)vec;
	written[n * 811 % 4096] ^= 1u << n % 8;
}

static const struct defect defects[] = {
	{ "register", NULL, flip_register },
	{ "flag", NULL, flip_flag },
	{ "vector", has_vector, flip_vector },
	{ "any", has_vector, flip_any },
	{ "memory", has_memory, flip_memory },
};

static void choose(void)
{
	const char *wanted = getenv("PLEX86_BREAK"), *name = getenv("PLEX86_BREAK_LOG");

	for (size_t i = 0; wanted && i < sizeof(defects) / sizeof(defects[0]); i++) {
		size_t len = strlen(defects[i].name);

		if (strncmp(wanted, defects[i].name, len))
			continue;
		defect = &defects[i];
		if (wanted[len] == ',')
			every = strtoul(wanted + len + 1, NULL, 0);
	}
	if (!defect || !every || !name) {
		fprintf(stderr, "broken engine: set PLEX86_BREAK and PLEX86_BREAK_LOG\n");
		exit(1);
	}
	log_file = fopen(name, "w");
	if (!log_file) {
		perror(name);
		exit(1);
	}
	setlinebuf(log_file);
}

static int broken_open(const struct plex86_engine_config *config, struct plex86_engine **engine,
		       char why[PLEX86_WHY_LEN])
{
	choose();
	ram = config->ram;
	return plex86_engine_process.open(config, engine, why);
}

static int broken_apply(struct plex86_space *space, const struct plex86_map_op *ops, unsigned int n,
			unsigned int *done)
{
	for (unsigned int i = 0; i < n; i++)
		if (ops[i].kind == PLEX86_MAP && (ops[i].prot & PLEX86_PROT_WRITE))
			written = ram + ops[i].off.off;
	return plex86_engine_process.apply(space, ops, n, done);
}

/*
 * Slices that end at a deadline are compared, but for code that debugs itself.  Those that end at a trap may be
 * some that verify mode says it can't compare, but few others write to memory; and a
 * page fault may be the private copy that is made of a page: then the slice goes on.
 */
static bool ends_slice(const struct plex86_exit *exit, const struct plex86_cpu *cpu)
{
	if (exit->reason == PLEX86_EXIT_TRAP)
		return defect->can == has_memory && exit->vector != VECTOR_DB && !(cpu->rflags & FLAG_TF);
	return exit->reason == PLEX86_EXIT_DEADLINE && !(cpu->dr7 & DR7_ARMED);
}

static int broken_run(struct plex86_space *space, struct plex86_cpu *cpu, struct plex86_vec *vec,
		      uint32_t flags, uint64_t budget_ns, struct plex86_exit *exit)
{
	int ret = plex86_engine_process.run(space, cpu, vec, flags, budget_ns, exit);

	if (!ret && ends_slice(exit, cpu) &&
	    (!defect->can || defect->can(vec)) && chances++ % every == 0) {
		defect->flip(cpu, vec, flipped);
		flipped++;
		fprintf(log_file, "flip %u: %s, at rip %llx\n", flipped, defect->name,
			(unsigned long long)cpu->rip);
	}
	written = NULL;
	return ret;
}

/*
 * The three ways in which a slice's comparison ends, wrapped by the linker: each
 * says what it has counted.
 */
static uint64_t differences, not_compared, undefined;

static void say(const struct plex86_verify *v)
{
	uint64_t sum = 0;

	for (int i = 0; i < PLEX86_UNVERIFIED; i++)
		sum += v->stats.unverified[i];
	if (v->stats.differences != differences)
		fprintf(log_file, "found\n");
	if (sum != not_compared)
		fprintf(log_file, "not compared\n");
	else if (v->stats.tolerated[PLEX86_TOLERATED_FLAGS] != undefined)
		fprintf(log_file, "a flag that is undefined\n");
	undefined = v->stats.tolerated[PLEX86_TOLERATED_FLAGS];
	differences = v->stats.differences;
	not_compared = sum;
}

__typeof__(plex86_verify_end) __real_plex86_verify_end, __wrap_plex86_verify_end;
__typeof__(plex86_verify_step) __real_plex86_verify_step, __wrap_plex86_verify_step;
__typeof__(plex86_verify_left) __real_plex86_verify_left, __wrap_plex86_verify_left;

bool __wrap_plex86_verify_end(struct plex86_verify *v, const struct plex86_cpu *cpu,
			      const struct plex86_vec *vec, uint64_t ran_ns, bool single_step)
{
	bool ret = __real_plex86_verify_end(v, cpu, vec, ran_ns, single_step);

	say(v);
	return ret;
}

enum plex86_replay __wrap_plex86_verify_step(struct plex86_verify *v, const struct plex86_cpu *cpu,
					     uint64_t icount)
{
	enum plex86_replay ret = __real_plex86_verify_step(v, cpu, icount);

	say(v);
	return ret;
}

void __wrap_plex86_verify_left(struct plex86_verify *v, uint64_t icount)
{
	__real_plex86_verify_left(v, icount);
	say(v);
}

static struct plex86_engine_ops broken;

/* The rest of it is the process engine's. */
__attribute__((constructor)) static void make_broken(void)
{
	broken = plex86_engine_process;
	broken.open = broken_open;
	broken.apply = broken_apply;
	broken.run = broken_run;
}

const struct plex86_engine_ops *const plex86_engines[] = { &broken, NULL };
