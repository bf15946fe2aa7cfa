/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Signals as a kernel delivers them from its timer: the frame of the interrupted program goes to
 * its own stack, and the tick returns to a handler on that stack, which may be interrupted
 * itself; in the end a system call has the frame back.  The program notices nothing of it.
 */
#include "tk.h"

#define SIGNALS		30u
#define NESTED		2u		/* handlers at once */
#define RED_ZONE	128
#define MULTIPLIER	1664525u	/* signal.S */
#define INCREMENT	1013904223u

extern const u8 sig_main[], sig_main_done[], sig_handler[], sig_return[], sig_end[];
#define AT(label)	((ulong)U_BLOB + (label - sig_main))

struct frame {
	struct uctx ctx;
	u8 fpu[FPU_AREA] __attribute__((aligned(64)));
};
static struct frame saved;
static ulong frames[NESTED];
static u32 depth, outermost;

static void deliver(void)
{
	ulong at = (u.sp - RED_ZONE - sizeof(saved)) & ~63ul;

	saved.ctx = u;
	fpu_save(saved.fpu);
	saved.fpu[512] = fpu_xcr0;			/* all of it counts: XSTATE_BV */
	user_write(at, &saved, sizeof(saved));
	outermost += !depth;
	frames[depth++] = at;
	u.ip = AT(sig_handler);
	u.flags = FL_IF | 2;
	u.sp = at - 8;
	u.bx = at;
	u.dx = offsetof(struct uctx, bp);
	u.cx = spin;
}

/* False when what the handler left is not what it should. */
static bool come_back(void)
{
	ulong at = frames[--depth];
	bool ok = u.bx == at && u.sp == at - 8 && (u32)u.dx == 0x5aa55aa5 &&
		  (u32)u.si == 0x5aa55aa5 && u.flags & FL_DF && u.flags & FL_CF;

	user_read(at, &saved, sizeof(saved));
	u = saved.ctx;
	fpu_load(saved.fpu);
	return ok;
}

static u32 after_rounds(u32 x, u32 n)
{
	while (n--)
		x = x * MULTIPLIER + INCREMENT;
	return x;
}

static void signals_by_tick(void)
{
	const ulong sp = u.sp;
	u32 delivered = 0, returned = 0, n, lanes[4];
	bool ok = true;

	fpu_pattern_of(0, 0);
	load_blob(sig_main, sig_end);
	u.ip = AT(sig_main);
	u.ax = 12345;
	u.si = 0;
	u.bp = 0x6000;
	__asm__ volatile("fldz; pxor %xmm0, %xmm0; pcmpeqd %xmm1, %xmm1; psrld $31, %xmm1");
	depth = outermost = 0;
	pit_hz(4000);
	while (ok) {
		u32 v = run_to_tick();

		if (v == VEC_IRQ + 7 || v == VEC_SPURIOUS)
			continue;
		if (v == VEC_IRQ) {
			if (depth < NESTED && delivered < SIGNALS) {
				delivered++;
				deliver();
			}
			continue;
		}
		if (v != VEC_INT80)
			break;
		if (depth) {
			ok = come_back();
			if (++returned == SIGNALS)
				user_put32(U_DATA, 1);
			continue;
		}
		break;
	}
	pit_hz(1000);
	n = u.si;
	expect(ok && u.vec == VEC_INT80 && depth == 0);
	expect(returned == SIGNALS && user_get32(U_DATA + 4) == SIGNALS);
	expect(n && (u32)u.ax == after_rounds(12345, n));
	expect(user_get32(U_DATA + 64) == n && user_get32(U_DATA + 8) == n);
	user_read(U_DATA + 16, lanes, sizeof(lanes));
	expect(lanes[0] == n && lanes[1] == n && lanes[2] == n && lanes[3] == n);
	expect(u.sp == sp && u.bp == 0x6000 + outermost && !(u.flags & FL_DF));
}

void tests_signal(void)
{
	static const struct test t[] = {
		{ "signals_by_tick", ENV_ALL, signals_by_tick },
	};

	run_tests("time", t, ARRAY_SIZE(t));
}
