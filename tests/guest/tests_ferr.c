/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Floating-point errors and the control bits around them: CR0.NE (#MF, or IRQ 13 as in a PC of
 * old), CR0.EM, MP and TS, CR4.OSFXSR and OSXMMEXCPT.  Outcomes by SDM 3A, table 2-2 and 13.1,
 * SDM 1, 8.7 and 11.5, and the exception classes of SDM 2A, 2.4.
 */
#include "tk.h"

#define CR0_EM		4u
#define CR0_NE		0x20u
#define XCR0_AVX	4u
#define XCR0_AVX512	0xe0u
#define PIC1		0x20
#define PIC2		0xa0
#define PIC_EOI		0x20
#define VEC_FERR	(VEC_IRQ + 13)
#define FERR_CLEAR	0xf0		/* port */
#define FSW_ES		0x80
#define FSW_ZE		4

enum kind { WAIT, X87, MMX, SSE, VEX, EVEX, FXSAVE, XSAVE, PLAIN };

struct program {
	const char *name;
	const u8 *start, *mark, *end;
	enum kind kind;
};
#define PROGRAM(name) extern const u8 ferr_##name[], ferr_##name##_mark[], ferr_##name##_end[]
#define P(name, kind) { #name, ferr_##name, ferr_##name##_mark, ferr_##name##_end, kind }

PROGRAM(wait);
PROGRAM(fld1);
PROGRAM(fnstsw);
PROGRAM(fninit);
PROGRAM(paddb);
PROGRAM(emms);
PROGRAM(addps);
PROGRAM(movdqa);
PROGRAM(pshufb);
PROGRAM(stmxcsr);
PROGRAM(fxsave);
PROGRAM(movnti);
PROGRAM(sfence);
PROGRAM(prefetch);
PROGRAM(popcnt);
PROGRAM(xsave);
PROGRAM(vaddps);
PROGRAM(vzeroupper);
PROGRAM(vaddps512);
PROGRAM(kmovw);
static const struct program ones[] = {
	P(wait, WAIT), P(fld1, X87), P(fnstsw, X87), P(fninit, X87), P(paddb, MMX), P(emms, MMX),
	P(addps, SSE), P(movdqa, SSE), P(pshufb, SSE), P(stmxcsr, SSE), P(fxsave, FXSAVE),
	P(movnti, PLAIN), P(sfence, PLAIN), P(prefetch, PLAIN), P(popcnt, PLAIN),
	P(xsave, XSAVE), P(vaddps, VEX), P(vzeroupper, VEX), P(vaddps512, EVEX), P(kmovw, EVEX),
};

PROGRAM(p_wait);
PROGRAM(p_fld1);
PROGRAM(p_fldcw);
PROGRAM(p_ffree);
PROGRAM(p_paddb);
PROGRAM(p_emms);
PROGRAM(p_fnclex);
PROGRAM(p_fninit);
PROGRAM(p_fnstsw);
PROGRAM(p_fnstcw);
PROGRAM(p_fnstenv);
PROGRAM(p_fnsave);
PROGRAM(p_fxsave);
PROGRAM(p_addps);
static const struct program pending[] = {		/* WAIT: waits for the exception */
	P(p_wait, WAIT), P(p_fld1, WAIT), P(p_fldcw, WAIT), P(p_ffree, WAIT), P(p_paddb, WAIT),
	P(p_emms, WAIT), P(p_fnclex, PLAIN), P(p_fninit, PLAIN), P(p_fnstsw, PLAIN),
	P(p_fnstcw, PLAIN), P(p_fnstenv, PLAIN), P(p_fnsave, PLAIN), P(p_fxsave, PLAIN),
	P(p_addps, PLAIN),
};

PROGRAM(divss);
PROGRAM(divps);
PROGRAM(sqrtsd);
PROGRAM(cvttss2si);
PROGRAM(comiss);
PROGRAM(vdivps);
static const struct program raising[] = {
	P(divss, SSE), P(divps, SSE), P(sqrtsd, SSE), P(cvttss2si, SSE), P(comiss, SSE),
	P(vdivps, VEX),
};

static void load(const struct program *p)
{
	load_blob(p->start, p->end);
	u.bx = U_DATA;
	memset(phys(user_pa(U_DATA)), 0, PAGE);
}

static ulong mark(const struct program *p)
{
	return U_BLOB + (ulong)(p->mark - p->start);
}

static bool there(const struct program *p)
{
	switch (p->kind) {
	case XSAVE:
		return fpu_xcr0 != 0;
	case VEX:
		return fpu_xcr0 & XCR0_AVX;
	case EVEX:
		return (fpu_xcr0 & XCR0_AVX512) == XCR0_AVX512;
	default:
		return true;
	}
}

static u32 outcome(enum kind kind, ulong cr0, ulong cr4)
{
	bool em = cr0 & CR0_EM, mp = cr0 & CR0_MP, ts = cr0 & CR0_TS;

	switch (kind) {
	case WAIT:
		return mp && ts ? 7 : VEC_INT80;
	case X87:
	case FXSAVE:
		return em || ts ? 7 : VEC_INT80;
	case MMX:
		return em ? 6 : ts ? 7 : VEC_INT80;
	case SSE:
		return em || !(cr4 & CR4_OSFXSR) ? 6 : ts ? 7 : VEC_INT80;
	case VEX:
	case EVEX:
	case XSAVE:
		return ts ? 7 : VEC_INT80;
	case PLAIN:
		break;
	}
	return VEC_INT80;
}

/* Which trap each instruction ends in, for all values of EM, MP, TS and OSFXSR. */
static void control_bits(void)
{
	const ulong cr0 = get_cr0() & ~(ulong)(CR0_EM | CR0_MP | CR0_TS), cr4 = get_cr4();
	u32 h = FNV_START, keep = spin;

	for (u32 bits = 0; bits < 16; bits++) {
		ulong c0 = cr0 | (bits & 7) * CR0_MP;
		ulong c4 = bits & 8 ? cr4 & ~(ulong)CR4_OSFXSR : cr4;
		u32 bad = 0;

		for (u32 i = 0; i < ARRAY_SIZE(ones); i++) {
			const struct program *p = &ones[i];
			u32 want = outcome(p->kind, c0, c4);

			if (!there(p))
				continue;
			fpu_pattern(0);
			load(p);
			set_cr4(c4);
			set_cr0(c0);
			run();
			set_cr0(cr0);
			set_cr4(cr4);
			spin = 1;
			if (u.vec != want || (want != VEC_INT80 && u.ip != mark(p)))
				say("  %s with EM=%u MP=%u TS=%u OSFXSR=%u: vec=%x\n", p->name,
				    bits >> 1 & 1, bits & 1, bits >> 2 & 1, !(bits & 8),
				    (u32)u.vec);
			bad += u.vec != want;
			if (p->kind != VEX && p->kind != EVEX && p->kind != XSAVE)
				h = fnv(h, &u.vec, 1);
		}
		spin = keep;
		expect(bad == 0);
	}
	set_cr0(cr0 | CR0_MP);
	say("  hash %h\n", h);
}

static u16 status(void)
{
	u16 sw;

	__asm__ volatile("fnstsw %0" : "=a"(sw));
	return sw;
}

/* NE=1: each instruction that waits is refused with #MF, and the others are not. */
static void native_errors(void)
{
	for (u32 i = 0; i < ARRAY_SIZE(pending); i++) {
		const struct program *p = &pending[i];
		bool waits = p->kind == WAIT;

		load(p);
		run();
		say("  %s: vec=%x status=%x\n", p->name, (u32)u.vec, (u32)status() & 0x3fff);
		expect(u.vec == (waits ? 16 : VEC_INT80));
		expect((u32)u.si == (waits ? 1 : 2));
		if (waits) {
			expect(u.ip == mark(p));
			expect((status() & (FSW_ES | FSW_ZE)) == (FSW_ES | FSW_ZE));
			__asm__ volatile("fnclex");
			expect(run() == VEC_INT80 && (u32)u.si == 2);
		}
		__asm__ volatile("fninit");
	}
}

static void ferr_on(bool on)
{
	outb(PIC1 + 1, on ? 0xfa : 0xfe);
	outb(PIC2 + 1, on ? 0xdf : 0xff);
}

/* As PCs do: lower the interrupt and assert IGNNE#, which ends with the exception. */
static void ferr_eoi(void)
{
	outb(FERR_CLEAR, 0);
	__asm__ volatile("fnclex");
	outb(PIC2, PIC_EOI);
	outb(PIC1, PIC_EOI);
}

/*
 * NE=0: the same by an interrupt.  IP is before the instruction that waits, says the manual,
 * behind it, says Bochs (ip_of_irq13, in group 64).
 */
static void external_errors(void)
{
	const ulong cr0 = get_cr0();

	set_cr0(cr0 & ~(ulong)CR0_NE);
	ferr_on(true);
	for (u32 round = 0; round < 2; round++)
		for (u32 i = 0; i < ARRAY_SIZE(pending); i++) {
			const struct program *p = &pending[i];
			bool waits = p->kind == WAIT;

			load(p);
			run();
			say("  %s: vec=%x\n", p->name, (u32)u.vec);
			expect(u.vec == (waits ? VEC_FERR : VEC_INT80));
			if (!waits) {
				__asm__ volatile("fninit");
				continue;
			}
			expect(status() & FSW_ZE);
			expect(u.ip >= mark(p) && u.ip < U_BLOB + (ulong)(p->end - p->start));
			ferr_eoi();
			expect(run() == VEC_INT80 && (u32)u.si == 2);
			__asm__ volatile("fninit");
		}
	/* With NE set again nobody asks for IRQ 13. */
	set_cr0(cr0);
	load(&pending[1]);
	expect(run() == 16);
	__asm__ volatile("fnclex");
	expect(run() == VEC_INT80);
	ferr_on(false);
	__asm__ volatile("fninit");
}

/* An error that nobody waited for is there for whoever waits later, in the mode of then. */
static void mode_changed_meanwhile(void)
{
	const ulong cr0 = get_cr0();
	const struct program *quiet = &pending[8], *wait = &ones[0];

	for (u32 i = 0; i < 2; i++) {
		set_cr0(i ? cr0 & ~(ulong)CR0_NE : cr0);
		load(quiet);
		expect(run() == VEC_INT80);
		expect(status() & FSW_ES);
		set_cr0(i ? cr0 : cr0 & ~(ulong)CR0_NE);
		ferr_on(true);
		load(wait);
		expect(run() == (i ? 16 : VEC_FERR));
		if (i)
			__asm__ volatile("fnclex");
		else
			ferr_eoi();
		expect(run() == VEC_INT80);
		ferr_on(false);
	}
	set_cr0(cr0);
	__asm__ volatile("fninit");
}

/* An unmasked SSE exception is #XM, or #UD where the system does not know that one. */
static void simd_errors(void)
{
	static const u32 operands[8] = {
		0, 0x7f800001, 0, 0x80000000,			/* 0, SNaN, 0, -0 */
		0x3f800000, 0xbff00000, 0x00000001, 0x40000000,	/* 1 (or -1.0), denormal, 2 */
	};
	const ulong cr4 = get_cr4();

	for (u32 on = 0; on < 2; on++)
		for (u32 i = 0; i < ARRAY_SIZE(raising); i++)
			for (u32 masks = 0; masks < 2; masks++) {
				const struct program *p = &raising[i];
				u32 mxcsr;

				if (!there(p))
					continue;
				load(p);
				user_write(U_DATA, operands, sizeof(operands));
				/* CVTTSS2SI: a number too large for it. */
				if (p->start == ferr_cvttss2si)
					user_put32(U_DATA + 16, 0x7f000000);
				if (p->start == ferr_comiss)
					user_put32(U_DATA, 0x7fc00000);
				u.dx = masks ? 0x1f80 : 0;
				set_cr4(on ? cr4 : cr4 & ~(ulong)CR4_OSXMM);
				run();
				set_cr4(cr4);
				__asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
				say("  %s, %s, OSXMMEXCPT=%u: vec=%x mxcsr=%x\n", p->name,
				    masks ? "masked" : "unmasked", on, (u32)u.vec, mxcsr);
				expect(u.vec == (masks ? VEC_INT80 : on ? 19 : 6));
				if (!masks)
					expect(u.ip == mark(p));
			}
	fpu_pattern(0);
}

void tests_ferr(void)
{
	static const struct test t[] = {
		{ "control_bits", ENV_ALL, control_bits },
		{ "native_errors", ENV_ALL, native_errors },
		{ "simd_errors", ENV_ALL, simd_errors },
	};

	run_tests("ferr", t, ARRAY_SIZE(t));
}

/* With the hostile ones, which QEMU does not run: it aborts where Bochs raises IRQ 13. */
void tests_ferr_irq13(void)
{
	static const struct test t[] = {
		{ "errors_by_irq13", ENV_ALL, external_errors },
		{ "errors_between_modes", ENV_ALL, mode_changed_meanwhile },
	};

	run_tests("hostile", t, ARRAY_SIZE(t));
}

/* The CPU freezes before the instruction until the interrupt comes (SDM 1, appendix D.2). */
static void ip_of_irq13(void)
{
	const ulong cr0 = get_cr0();

	set_cr0(cr0 & ~(ulong)CR0_NE);
	ferr_on(true);
	load(&pending[1]);
	expect(run() == VEC_FERR && u.ip == mark(&pending[1]));
	ferr_eoi();
	run();
	ferr_on(false);
	set_cr0(cr0);
	__asm__ volatile("fninit");
}

void tests_ferr_bochs_differs(void)
{
	static const struct test t[] = {
		{ "ip_of_irq13", ENV_ALL, ip_of_irq13 },
	};

	run_tests("ferr", t, ARRAY_SIZE(t));
}
