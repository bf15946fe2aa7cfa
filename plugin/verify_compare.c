/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Are two states the same?  Bit for bit, but for what no program can rely on: the
 * x87 pointers, which AMD's processors keep only while an exception is pending (APM
 * vol. 2, 11.4.4, FXSAVE) and Intel's only for some instructions (SDM vol. 1, 8.1.8).
 * x87 registers that are tagged empty count: MMX instructions and FXSAVE see them.
 */
#include <inttypes.h>
#include <string.h>

#include "insn.h"
#include "verify.h"

#define FX_ST	32
#define FX_XMM	160

struct x87 {
	uint16_t fcw, fsw;
	uint8_t tags;		/* bit n: physical register n is not empty */
	uint8_t pointers[18];	/* FOP, FIP, FDP */
	uint8_t st[8][10];
};

/* A component that is not valid is in its initial configuration (SDM vol. 1, 13.6). */
static void get_x87(const struct plex86_vec *v, struct x87 *x)
{
	unsigned int i;

	memset(x, 0, sizeof(*x));
	x->fcw = 0x37f;
	if (!(v->valid & PLEX86_X_X87))
		return;
	memcpy(&x->fcw, v->legacy, 2);
	memcpy(&x->fsw, v->legacy + 2, 2);
	x->tags = v->legacy[4];
	memcpy(x->pointers, v->legacy + 6, sizeof(x->pointers));
	for (i = 0; i < 8; i++)
		memcpy(x->st[i], v->legacy + FX_ST + 16 * i, 10);
}

static uint32_t get_mxcsr(const struct plex86_vec *v)
{
	uint32_t mxcsr = 0x1f80;

	if (v->valid & (PLEX86_X_SSE | PLEX86_X_AVX))
		memcpy(&mxcsr, v->legacy + 24, 4);
	return mxcsr;
}

static bool same_registers(struct plex86_verify *v, const struct x87 *a, const struct x87 *b,
			   uint32_t *excused)
{
	bool empty;
	unsigned int i;

	for (i = 0; i < 8; i++) {
		if (!memcmp(a->st[i], b->st[i], 10))
			continue;
		/* FYL2X, and FSTP of a shorter format: the same value has left different bits. */
		empty = !(a->tags >> ((i + (a->fsw >> 11)) & 7) & 1);
		if (!empty || !plex86_excuse_popped(v))
			return false;
		*excused |= 1u << PLEX86_TOLERATED_APPROXIMATION;
	}
	return true;
}

static bool same_x87(struct plex86_verify *v, const struct x87 *a, const struct x87 *b,
		     uint32_t *excused)
{
	if (a->fcw != b->fcw || a->fsw != b->fsw || a->tags != b->tags ||
	    !same_registers(v, a, b, excused))
		return false;
	if (memcmp(a->pointers, b->pointers, sizeof(a->pointers)))
		*excused |= 1u << PLEX86_TOLERATED_X87_POINTERS;
	return true;
}

/* Equal, where a side whose component is not valid has zeros. */
static bool same_part(const struct plex86_vec *a, const struct plex86_vec *b, uint64_t component,
		      const void *in_a, const void *in_b, size_t len)
{
	static const uint8_t zero[16 * 64];

	return !memcmp(a->valid & component ? in_a : zero, b->valid & component ? in_b : zero, len);
}

/*
 * An unmasked SIMD floating-point exception sets its flag before it is taken
 * (SDM vol. 1, 11.5.3.2); Bochs sets it when it executes the instruction.
 */
static bool same_mxcsr(uint32_t bochs, uint32_t native, uint32_t *excused)
{
	uint32_t flags = bochs ^ native, unmasked = ~native >> 7 & 0x3f;

	if (!flags)
		return true;
	if ((flags & ~0x3fu) || (flags & bochs) || !(native & unmasked))
		return false;
	*excused |= 1u << PLEX86_TOLERATED_TRAP;
	return true;
}

static bool same_vector(const struct plex86_vec *a, const struct plex86_vec *b, uint64_t have,
			uint32_t *excused)
{
	if (!same_mxcsr(get_mxcsr(a), get_mxcsr(b), excused) ||
	    !same_part(a, b, PLEX86_X_SSE, a->legacy + FX_XMM, b->legacy + FX_XMM, 256))
		return false;
	if ((have & PLEX86_X_AVX) &&
	    !same_part(a, b, PLEX86_X_AVX, a->ymm_hi, b->ymm_hi, sizeof(a->ymm_hi)))
		return false;
	if (!(have & PLEX86_X_AVX512))
		return true;
	return same_part(a, b, PLEX86_X_OPMASK, a->opmask, b->opmask, sizeof(a->opmask)) &&
	       same_part(a, b, PLEX86_X_ZMM_HI256, a->zmm_hi256, b->zmm_hi256,
			 sizeof(a->zmm_hi256)) &&
	       same_part(a, b, PLEX86_X_HI16_ZMM, a->hi16_zmm, b->hi16_zmm, sizeof(a->hi16_zmm));
}

uint32_t plex86_compare_vec(struct plex86_verify *v, const struct plex86_vec *vec)
{
	struct x87 a, b;
	uint32_t diff = 0;

	get_x87(vec, &a);
	get_x87(&v->end_vec, &b);
	if (!same_x87(v, &a, &b, &v->excused))
		diff |= PLEX86_DIFF_X87;
	/* What Bochs's CPU model lacks, the guest can't see. */
	if (!same_vector(vec, &v->end_vec, vec->valid, &v->excused))
		diff |= PLEX86_DIFF_VECTOR;
	return diff;
}

/*
 * Where the engine has a segment register as it got it, all of it counts.  One
 * that native code has loaded gets its hidden part from the guest's tables (see
 * bochs-glue/state.cc), and the engine's idea of it means nothing.
 */
static bool same_seg(const struct plex86_seg *start, const struct plex86_seg *native,
		     const struct plex86_seg *bochs)
{
	if (native->sel != bochs->sel)
		return false;
	if (native->attr & PLEX86_SEG_BASE)
		return native->base == bochs->base;
	if (native->sel != start->sel || native->attr != start->attr ||
	    native->limit != start->limit)
		return true;
	return native->attr == bochs->attr && native->limit == bochs->limit &&
	       native->base == bochs->base;
}

/*
 * The process engine's SYSCALL traps with RCX and R11 as the instruction leaves
 * them (docs/limits.md); Bochs executes it in any case.
 */
static uint32_t host_kernel_touched(const struct plex86_verify *v)
{
	const struct plex86_cpu *end = &v->end;
	unsigned int n, at = 0;
	uint8_t code[15];

	if (end->mode != PLEX86_MODE_64 || (v->world->caps->flags & PLEX86_CAP_SYSCALL_EXACT))
		return 0;
	n = plex86_verify_code(v, end->rip, code, sizeof(code));
	while (at < n && plex86_is_prefix(code[at], true))
		at++;
	if (at + 2 <= n && code[at] == 0x0f && code[at + 1] == 0x05 &&
	    end->gpr[PLEX86_RCX] == end->rip + at + 2 &&
	    !((end->gpr[PLEX86_R11] ^ end->rflags) & PLEX86_USER_FLAGS))
		return 1u << PLEX86_RCX | 1u << PLEX86_R11;
	return 0;
}

static uint32_t differing_gprs(const struct plex86_cpu *a, const struct plex86_cpu *b)
{
	uint32_t diff = 0;
	unsigned int i;

	for (i = 0; i < PLEX86_NGPR; i++)
		if (a->gpr[i] != b->gpr[i])
			diff |= 1u << i;
	return diff;
}

uint32_t plex86_compare_cpu(struct plex86_verify *v, const struct plex86_cpu *cpu)
{
	const struct plex86_cpu *end = &v->end;
	uint32_t gprs = differing_gprs(cpu, end), touched, diff = 0;
	unsigned int i;

	if (cpu->rip != end->rip)
		diff |= PLEX86_DIFF_RIP;
	if (gprs & (1u << PLEX86_RCX | 1u << PLEX86_R11)) {
		touched = host_kernel_touched(v);
		if (gprs & touched)
			v->excused |= 1u << PLEX86_TOLERATED_TRAP;
		gprs &= ~touched;
	}
	if (gprs)
		diff |= PLEX86_DIFF_GPR;
	for (i = 0; i < PLEX86_NSEG; i++)
		if (!same_seg(&v->start.seg[i], &end->seg[i], &cpu->seg[i]))
			diff |= PLEX86_DIFF_SEG;
	if ((cpu->rflags ^ end->rflags) & PLEX86_USER_FLAGS)
		diff |= PLEX86_DIFF_FLAGS;
	return diff;
}

unsigned int plex86_compare_count(const struct plex86_cpu *a, const struct plex86_cpu *b)
{
	return __builtin_popcount(differing_gprs(a, b));
}

/* ---- Side by side ---- */

static void line(FILE *f, const char *name, unsigned int n, const void *a, const void *b,
		 unsigned int bytes)
{
	const uint8_t *x = a, *y = b;
	unsigned int i;

	fprintf(f, "%c ", memcmp(a, b, bytes) ? '!' : ' ');
	fprintf(f, name, n);
	for (i = bytes; i-- > 0;)
		fprintf(f, "%s%02x", i == bytes - 1 ? "\t" : "", x[i]);
	for (i = bytes; i-- > 0;)
		fprintf(f, "%s%02x", i == bytes - 1 ? "\t" : "", y[i]);
	putc('\n', f);
}

static void print_vec(FILE *f, const struct plex86_vec *a, const struct plex86_vec *b)
{
	uint64_t have = a->valid | b->valid;
	uint32_t ma = get_mxcsr(a), mb = get_mxcsr(b);
	struct x87 x, y;
	unsigned int i;

	get_x87(a, &x);
	get_x87(b, &y);
	line(f, "fcw", 0, &x.fcw, &y.fcw, 2);
	line(f, "fsw", 0, &x.fsw, &y.fsw, 2);
	line(f, "tags", 0, &x.tags, &y.tags, 1);
	for (i = 0; i < 8; i++)
		line(f, "st%u", i, x.st[i], y.st[i], 10);
	line(f, "mxcsr", 0, &ma, &mb, 4);
	for (i = 0; i < 16; i++)
		line(f, "xmm%u", i, a->legacy + FX_XMM + 16 * i, b->legacy + FX_XMM + 16 * i, 16);
	for (i = 0; i < 16 && (have & PLEX86_X_AVX); i++)
		line(f, "ymm%u_hi", i, a->ymm_hi[i], b->ymm_hi[i], 16);
	for (i = 0; i < 8 && (have & PLEX86_X_OPMASK); i++)
		line(f, "k%u", i, &a->opmask[i], &b->opmask[i], 8);
	for (i = 0; i < 16 && (have & PLEX86_X_ZMM_HI256); i++)
		line(f, "zmm%u_hi", i, a->zmm_hi256[i], b->zmm_hi256[i], 32);
	for (i = 0; i < 16 && (have & PLEX86_X_HI16_ZMM); i++)
		line(f, "zmm%u", 16 + i, a->hi16_zmm[i], b->hi16_zmm[i], 64);
}

void plex86_compare_print(FILE *f, const struct plex86_cpu *a, const struct plex86_vec *avec,
			  const struct plex86_cpu *b, const struct plex86_vec *bvec)
{
	static const char *const gprs[PLEX86_NGPR] = {
		"rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi",
		"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
	};
	static const char *const segs[PLEX86_NSEG] = { "es", "cs", "ss", "ds", "fs", "gs" };
	uint64_t fa = a->rflags & PLEX86_USER_FLAGS, fb = b->rflags & PLEX86_USER_FLAGS;
	unsigned int i;

	line(f, "rip", 0, &a->rip, &b->rip, 8);
	for (i = 0; i < PLEX86_NGPR; i++)
		line(f, gprs[i], 0, &a->gpr[i], &b->gpr[i], 8);
	line(f, "rflags", 0, &fa, &fb, 4);
	for (i = 0; i < PLEX86_NSEG; i++) {
		line(f, segs[i], 0, &a->seg[i].sel, &b->seg[i].sel, 2);
		line(f, "  base", 0, &a->seg[i].base, &b->seg[i].base, 8);
	}
	print_vec(f, avec, bvec);
}
