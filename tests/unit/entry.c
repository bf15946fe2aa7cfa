/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugin/entry.c: each reason to refuse, with everything else in order, so that
 * no check can hide behind another; and what must not be refused.
 */
#include <string.h>

#include "plugin/entry.h"
#include "tests/tap.h"

#define ALL_CAPS 0x3fffu
#define DATA (PLEX86_SEG_P | PLEX86_SEG_S | PLEX86_SEG_WRITE | PLEX86_SEG_ACCESSED | \
	      PLEX86_SEG_DB | PLEX86_SEG_G | 3 << PLEX86_SEG_DPL_SHIFT)

struct input {
	struct plex86_cpu cpu;
	struct plex86_env env;
	struct plex86_caps caps;
	bool strict;
};

static struct input valid(uint32_t mode, uint32_t caps)
{
	struct input in;
	unsigned int i;

	memset(&in, 0, sizeof(in));
	in.caps.flags = caps;
	in.caps.xcr0 = 7;
	in.cpu.mode = mode;
	in.cpu.rflags = 0x202;
	in.cpu.cr0 = 0x80050033;
	in.cpu.cr4 = 1u << 5 | 1u << 9 | 1u << 10 | 1u << 18;
	in.cpu.efer = mode == PLEX86_MODE_32 ? 0 : 0xd01;
	in.cpu.xcr0 = 7;
	in.cpu.dr7 = 0x400;
	for (i = 0; i < PLEX86_NSEG; i++)
		in.cpu.seg[i] = (struct plex86_seg){ 0x2b, DATA, UINT32_MAX, 0 };
	in.cpu.seg[PLEX86_CS].attr |= PLEX86_SEG_CODE;
	in.cpu.seg[PLEX86_CS].sel = mode == PLEX86_MODE_64 ? 0x33 : 0x23;
	return in;
}

static enum plex86_refusal check(const struct input *in)
{
	return plex86_entry_check(&in->cpu, &in->env, &in->caps, in->strict);
}

static void expect(struct input *in, enum plex86_refusal want, const char *why)
{
	enum plex86_refusal got = check(in);

	if (!tap_ok(got == want, "%s: %s", plex86_refusal_name(want), why))
		tap_diag("got %s", plex86_refusal_name(got));
}

/* With one thing changed: refused; and as it was: not. */
#define REFUSED(mode, caps, change, want) do {				\
		struct input in = valid(mode, caps), was = in;		\
		change;							\
		expect(&in, want, #change);				\
		if (check(&was))					\
			tap_ok(0, "valid input is not refused");	\
	} while (0)

#define ACCEPTED(mode, caps, change) do {				\
		struct input in = valid(mode, caps);			\
		change;							\
		expect(&in, PLEX86_OK, #change);			\
	} while (0)

#define M64 PLEX86_MODE_64
#define M32 PLEX86_MODE_32
#define COMPAT PLEX86_MODE_COMPAT

static void refusals(void)
{
	REFUSED(M64, ALL_CAPS, in.cpu.seg[PLEX86_CS].sel = 0x10, PLEX86_REFUSE_NOT_USER);
	REFUSED(M32, ALL_CAPS, in.cpu.cr0 &= ~1ull, PLEX86_REFUSE_NOT_USER);
	REFUSED(M32, ALL_CAPS, in.cpu.rflags |= 1u << 17, PLEX86_REFUSE_VM86);
	REFUSED(M64, ALL_CAPS, in.cpu.rflags |= 1u << 8, PLEX86_REFUSE_TRAP_FLAG);
	REFUSED(M64, ALL_CAPS, in.cpu.rflags |= 3u << 12, PLEX86_REFUSE_IOPL);
	REFUSED(M64, ALL_CAPS, in.cpu.rflags &= ~0x200ull, PLEX86_REFUSE_IOPL);
	REFUSED(M32, ALL_CAPS, in.cpu.cr4 |= 2, PLEX86_REFUSE_VIRTUAL_IF);
	REFUSED(M64, ALL_CAPS, in.env.a20_off = true, PLEX86_REFUSE_A20);
	REFUSED(M64, ALL_CAPS, in.env.smm = true, PLEX86_REFUSE_SMM);
	REFUSED(M64, ALL_CAPS, in.env.nested = true, PLEX86_REFUSE_NESTED);
	REFUSED(M64, ALL_CAPS, in.env.inhibited = true, PLEX86_REFUSE_INHIBITED);
	REFUSED(M64, ALL_CAPS, in.env.monitor = true, PLEX86_REFUSE_MONITOR);
	REFUSED(M64, ALL_CAPS, in.cpu.dr7 |= 1, PLEX86_REFUSE_BREAKPOINT);
	REFUSED(M64, ALL_CAPS, in.cpu.dr7 |= 0x80, PLEX86_REFUSE_BREAKPOINT);
	REFUSED(M64, ALL_CAPS, in.cpu.cr0 |= 4, PLEX86_REFUSE_FPU_OFF);
	REFUSED(M64, ALL_CAPS, in.cpu.cr0 |= 8, PLEX86_REFUSE_FPU_OFF);
	REFUSED(M64, ALL_CAPS, in.cpu.cr0 &= ~0x20ull, PLEX86_REFUSE_FPU_OFF);
	REFUSED(M64, ALL_CAPS, in.cpu.cr4 &= ~0x200ull, PLEX86_REFUSE_SSE_OFF);
	REFUSED(M64, ALL_CAPS, in.cpu.xcr0 |= 3u << 3, PLEX86_REFUSE_XCR0);		/* MPX */
	REFUSED(M64, ALL_CAPS, in.cpu.xcr0 |= 3u << 17, PLEX86_REFUSE_XCR0);	/* AMX */
	REFUSED(M64, ALL_CAPS & ~PLEX86_CAP_SYSCALL_EXACT, in.cpu.efer &= ~1ull,
		PLEX86_REFUSE_SYSCALL_OFF);
	REFUSED(M64, ALL_CAPS, (in.cpu.cr0 &= ~(1ull << 18), in.cpu.rflags |= 1u << 18),
		PLEX86_REFUSE_ALIGNMENT);
	REFUSED(M64, ALL_CAPS, in.cpu.rflags |= 1u << 14, PLEX86_REFUSE_FEATURE);
	REFUSED(M64, ALL_CAPS, (in.cpu.cr4 |= 1u << 23, in.env.user_cet = true),
		PLEX86_REFUSE_FEATURE);
	REFUSED(M64, ALL_CAPS, in.cpu.cr4 |= 1u << 25, PLEX86_REFUSE_FEATURE);
	REFUSED(M64, ALL_CAPS,
		(in.cpu.cr4 |= 1u << 22, in.env.key_0_denied = true), PLEX86_REFUSE_FEATURE);
	REFUSED(COMPAT, ALL_CAPS, in.caps.flags &= ~PLEX86_CAP_COMPAT, PLEX86_REFUSE_COMPAT);
	REFUSED(M32, ALL_CAPS, in.caps.flags &= ~PLEX86_CAP_COMPAT, PLEX86_REFUSE_COMPAT);
}

static void segments(void)
{
	const uint32_t caps = ALL_CAPS & ~PLEX86_CAP_SEGMENTS;
	unsigned int i;

	for (i = 0; i < 4; i++) {	/* ES, CS, SS, DS */
		REFUSED(M32, caps, in.cpu.seg[i].base = 0x1000, PLEX86_REFUSE_SEGMENTS);
		REFUSED(COMPAT, caps, in.cpu.seg[i].limit = 0xfffff, PLEX86_REFUSE_SEGMENTS);
		REFUSED(M32, caps, in.cpu.seg[i].attr |= PLEX86_SEG_EXPAND_DOWN,
			PLEX86_REFUSE_SEGMENTS);
		REFUSED(M32, caps, in.cpu.seg[i].attr |= PLEX86_SEG_NULL, PLEX86_REFUSE_SEGMENTS);
		ACCEPTED(M64, caps, in.cpu.seg[i].base = 0x1000);
		ACCEPTED(M32, ALL_CAPS, in.cpu.seg[i].base = 0x1000);
	}
	REFUSED(M32, caps, in.cpu.seg[PLEX86_CS].attr &= ~PLEX86_SEG_DB, PLEX86_REFUSE_SEGMENTS);
	REFUSED(M32, caps, in.cpu.seg[PLEX86_SS].attr &= ~PLEX86_SEG_DB, PLEX86_REFUSE_SEGMENTS);
	REFUSED(M32, caps, in.cpu.seg[PLEX86_CS].attr &= ~PLEX86_SEG_WRITE, PLEX86_REFUSE_SEGMENTS);
	REFUSED(M32, caps, in.cpu.seg[PLEX86_DS].attr &= ~PLEX86_SEG_WRITE, PLEX86_REFUSE_SEGMENTS);
	REFUSED(M32, caps, in.cpu.seg[PLEX86_ES].attr &= ~PLEX86_SEG_WRITE, PLEX86_REFUSE_SEGMENTS);
	ACCEPTED(M32, caps, in.cpu.seg[PLEX86_GS].base = 0xb7000000);
	ACCEPTED(M32, caps, in.cpu.seg[PLEX86_FS].attr |= PLEX86_SEG_NULL);
}

static void selectors(void)
{
	const uint32_t caps = ALL_CAPS & ~PLEX86_CAP_SELECTORS;

	REFUSED(M64, caps, (in.strict = true, in.cpu.seg[PLEX86_CS].sel = 0x73),
		PLEX86_REFUSE_SELECTORS);
	REFUSED(M64, caps, (in.strict = true, in.cpu.seg[PLEX86_SS].sel = 0x7b),
		PLEX86_REFUSE_SELECTORS);
	REFUSED(M64, caps, (in.strict = true, in.cpu.seg[PLEX86_DS].sel = 0x7b),
		PLEX86_REFUSE_SELECTORS);
	REFUSED(M64, caps, (in.strict = true, in.cpu.seg[PLEX86_ES].sel = 0x63),
		PLEX86_REFUSE_SELECTORS);
	REFUSED(M64, caps, (in.strict = true, in.cpu.seg[PLEX86_FS].sel = 0x53),
		PLEX86_REFUSE_SELECTORS);
	REFUSED(M64, ALL_CAPS & ~PLEX86_CAP_XCR0, (in.strict = true, in.cpu.xcr0 = 3),
		PLEX86_REFUSE_XCR0);
	for (unsigned int i = 0; i < 4; i++) {	/* ES, CS, SS, DS: not strict */
		REFUSED(M32, caps, in.cpu.seg[i].base = 0x1000, PLEX86_REFUSE_SELECTORS);
		REFUSED(COMPAT, caps, in.cpu.seg[i].limit = 0xffff, PLEX86_REFUSE_SELECTORS);
		ACCEPTED(M64, caps, in.cpu.seg[i].base = 0x1000);
	}
	REFUSED(M32, caps, in.cpu.seg[PLEX86_SS].attr &= ~PLEX86_SEG_DB, PLEX86_REFUSE_SELECTORS);
	ACCEPTED(M32, caps, in.cpu.seg[PLEX86_GS].base = 0xb7000000);
	ACCEPTED(M64, caps, in.cpu.seg[PLEX86_CS].sel = 0x73);
	ACCEPTED(M64, caps, in.strict = true);
	ACCEPTED(COMPAT, caps, in.strict = true);
	ACCEPTED(M64, caps, (in.strict = true, in.cpu.seg[PLEX86_DS].sel = in.cpu.seg[PLEX86_ES].sel = 0));
	REFUSED(M64, caps, (in.strict = true, in.cpu.seg[PLEX86_GS].sel = 0x63),
		PLEX86_REFUSE_SELECTORS);
	REFUSED(COMPAT, caps, (in.strict = true, in.cpu.seg[PLEX86_FS].sel = 0x0f),
		PLEX86_REFUSE_SELECTORS);
	ACCEPTED(M64, ALL_CAPS, (in.strict = true, in.cpu.seg[PLEX86_SS].sel = 0x7b));
}

/* Which of a program's FS and GS an engine without selectors shows as they are. */
static void thread_selectors(void)
{
	static const struct { uint16_t fs, gs; uint32_t fs_base, gs_base; bool shown; } cases[] = {
		{ 0x2b, 0x2b, 0, 0, true },
		{ 0x63, 0x2b, 0xf7000000, 0, true },
		{ 0x2b, 0x6b, 0, 0xf7000000, true },
		{ 0x63, 0x73, 0x1000, 0x2000, true },
		{ 0x63, 0x63, 0x1000, 0x1000, false },	/* one of them has to go elsewhere */
		{ 0x0f, 0x2b, 0x1000, 0, false },
		{ 0x2b, 0x33, 0, 0xb7000000, false },
		{ 0x63, 0x2b, 0, 0, false },		/* flat: 0x2b */
		{ 0x2b, 0x07, 0, 0, false },
		{ 0x2b, 0x63, 0, 0xf7000000, true },
	};
	static const struct { uint16_t fs, gs; bool shown; } wide[] = {
		{ 0, 0, true }, { 0x2b, 0, true }, { 0, 0x2b, true },
		{ 0x63, 0, false }, { 0, 0x6b, false }, { 0x0f, 0, false },
	};
	unsigned int i;

	for (i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
		struct input in = valid(M64, 0);

		in.cpu.seg[PLEX86_FS].sel = wide[i].fs;
		in.cpu.seg[PLEX86_FS].base = 0x7f0012345000;
		in.cpu.seg[PLEX86_GS].sel = wide[i].gs;
		tap_ok(plex86_linux_selectors(&in.cpu) == wide[i].shown,
		       "64-bit: FS %#x, GS %#x: %s", wide[i].fs, wide[i].gs,
		       wide[i].shown ? "the host's" : "not the host's");
	}
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct input in = valid(COMPAT, 0);

		in.cpu.seg[PLEX86_FS] = in.cpu.seg[PLEX86_GS] = in.cpu.seg[PLEX86_DS];
		in.cpu.seg[PLEX86_FS].sel = cases[i].fs;
		in.cpu.seg[PLEX86_FS].base = cases[i].fs_base;
		in.cpu.seg[PLEX86_GS].sel = cases[i].gs;
		in.cpu.seg[PLEX86_GS].base = cases[i].gs_base;
		tap_ok(plex86_linux_selectors(&in.cpu) == cases[i].shown,
		       "FS %#x, GS %#x: %s", cases[i].fs, cases[i].gs,
		       cases[i].shown ? "the host's" : "not the host's");
	}
}

static void accepted(void)
{
	ACCEPTED(M64, 0, (void)0);
	ACCEPTED(COMPAT, PLEX86_CAP_COMPAT, (void)0);
	ACCEPTED(M32, PLEX86_CAP_COMPAT, (void)0);
	ACCEPTED(M64, 0, in.cpu.dr7 |= 0x2700);		/* no breakpoint enabled */
	ACCEPTED(M64, ALL_CAPS, in.cpu.cr4 |= 1u << 22);
	ACCEPTED(M64, 0, in.cpu.cr4 |= 1u << 23);	/* CET, for the kernel alone */
	ACCEPTED(M64, 0, in.cpu.xcr0 |= PLEX86_X_AVX512 | PLEX86_X_PKRU);
	ACCEPTED(M64, 0, (in.strict = true, in.cpu.xcr0 |= PLEX86_X_AVX512));
	ACCEPTED(M64, ALL_CAPS, in.cpu.efer &= ~1ull);
	ACCEPTED(M32, PLEX86_CAP_COMPAT, in.cpu.efer = 0);
	ACCEPTED(M64, 0, in.cpu.rflags |= 1u << 18);	/* AC, as CR0.AM says */
	ACCEPTED(M64, 0, in.cpu.rflags |= 0xcd5);	/* arithmetic flags, DF */
	ACCEPTED(M64, 0, in.cpu.rflags |= 1u << 21);
	ACCEPTED(M64, 0, in.cpu.rflags |= 2u << 12);	/* IOPL 2 is none of CPL 3's */
	ACCEPTED(M64, 0, (in.cpu.cr4 &= ~(1ull << 18), in.cpu.xcr0 |= PLEX86_X_AVX512));
	ACCEPTED(M64, 0, in.cpu.xcr0 = 3);
}

/* Keys of the statistics file: changing one breaks somebody's script. */
static void the_names(void)
{
	static const char *const want[] = {
		"ok", "not-user", "virtual-8086", "trap-flag", "iopl-3", "virtual-if", "a20-off",
		"smm", "nested-guest", "inhibited", "monitor", "breakpoint", "fpu-off", "sse-off",
		"xcr0", "syscall-off", "alignment-check", "cpu-feature", "paging-mode", "32-bit-code",
		"upper-half",
		"segments", "selectors", "engine",
	};
	unsigned int i, wrong = 0;

	is(PLEX86_REFUSALS, sizeof(want) / sizeof(want[0]), "number of names");
	for (i = 0; i < PLEX86_REFUSALS; i++)
		wrong += !plex86_refusal_name(i) || strcmp(plex86_refusal_name(i), want[i]);
	is(wrong, 0, "the names are what they were");
	ok(!strcmp(plex86_refusal_name(PLEX86_REFUSALS), "unknown"));
	ok(!strcmp(plex86_refusal_name((enum plex86_refusal)-1), "unknown"));
}

int main(void)
{
	refusals();
	segments();
	selectors();
	thread_selectors();
	accepted();
	the_names();
	return tap_done();
}
