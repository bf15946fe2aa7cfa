/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Runs the user program at hand until it traps, and takes timer ticks meanwhile. */
#include "tk.h"

_Static_assert(offsetof(struct uctx, cs) == CTX_CS, "CTX_CS");
_Static_assert(offsetof(struct uctx, ss) + sizeof(ulong) == CTX_TOP, "CTX_TOP");

struct user_area user_area;
ulong trap_cr2, trap_dr6;
volatile ulong trap_db;
u32 ticks, lapic_ticks;
enum run_how run_how;

void run_user(struct uctx *c);
void run_user_sysret(struct uctx *c);
void run_user_sysexit(struct uctx *c);
#ifdef __x86_64__
void run_user_sysret32(struct uctx *c);
void run_user_sysexit32(struct uctx *c);
#else
#define run_user_sysret32	run_user_sysret
#define run_user_sysexit32	run_user_sysexit
#endif
void ktry_recover(void);
extern const u8 user_iret[], user_iret_failed[];
extern ulong try_sp;
extern u32 try_vec;

static u32 bad_frame;		/* vector and error code of an IRET that failed */

/* True when the trap was a timer tick, which is then done with. */
static bool take_tick(u32 vec)
{
	if (vec == VEC_IRQ)
		ticks++;
	else if (vec == VEC_LAPIC)
		lapic_ticks++;
	else if (vec == VEC_IRQ + 7 || vec == VEC_SPURIOUS)
		return true;		/* a tick withdrawn while on its way: no EOI */
	else
		return false;
	eoi(vec);
	return true;
}

#ifdef __x86_64__
#define MSR_FS_BASE	0xc0000100
#define MSR_GS_BASE	0xc0000101

static void segs_load(void)
{
	__asm__ volatile("mov %0, %%ds; mov %1, %%es; mov %2, %%fs; mov %3, %%gs"
			 : : "r"(u.ds), "r"(u.es), "r"(u.fs), "r"(u.gs));
	if (!u.fs)
		wrmsr(MSR_FS_BASE, u.fs_base);
	if (!u.gs)
		wrmsr(MSR_GS_BASE, u.gs_base);
}

static void segs_save(void)
{
	__asm__ volatile("mov %%ds, %0; mov %%es, %1; mov %%fs, %2; mov %%gs, %3"
			 : "=r"(u.ds), "=r"(u.es), "=r"(u.fs), "=r"(u.gs));
	u.fs_base = rdmsr(MSR_FS_BASE);
	u.gs_base = rdmsr(MSR_GS_BASE);
}
#else
static void segs_load(void) { }
static void segs_save(void) { }
#endif

/* Virtual-8086 mode pushes the data segments first, above ss. */
static ulong stack_top(void)
{
	ulong top = (ulong)&u + CTX_TOP;

	return !BITS64 && u.flags & FL_VM ? top + 4 * sizeof(ulong) : top;
}

/* The end of a program of the 64-bit kernel (regs.h) is one like all others, in any ring. */
static void take_finish(void)
{
	static const u8 finish[] = { FINISH_0, FINISH_1, FINISH_2 };
	u8 at[sizeof(finish)];

	if (!BITS64 || u.vec != 6)
		return;
	for (u32 i = 0; i < sizeof(finish); i++)
		if (!user_pa(u.ip + i))
			return;
	user_read(u.ip, at, sizeof(at));
	if (memcmp(at, finish, sizeof(at)))
		return;
	u.vec = VEC_INT80;
	u.ip += sizeof(finish);
	u.flags &= ~(ulong)FL_RF;
}

static void run_once(void)
{
	bad_frame = 0;
	set_sp0(stack_top());
	segs_load();
	switch (run_how) {
	case RUN_IRET:
		run_user(&u);
		break;
	case RUN_SYSRET:
		run_user_sysret(&u);
		break;
	case RUN_SYSEXIT:
		run_user_sysexit(&u);
		break;
	case RUN_SYSRET32:
		run_user_sysret32(&u);
		break;
	case RUN_SYSEXIT32:
		run_user_sysexit32(&u);
		break;
	}
	trap_cr2 = get_cr2();
	trap_dr6 = get_dr6();
	if (u.vec == 1)
		set_dr6(0xffff0ff0);
	segs_save();
	if (bad_frame) {
		u.es = u.ds = BITS64 ? 0 : SEL_UDATA;
		u.fs = u.gs = 0;
		u.vec = VEC_BAD_FRAME;
		u.err = bad_frame;
	}
	take_finish();
	run_how = RUN_IRET;	/* after a tick only IRET can go back */
}

u32 run(void)
{
	do
		run_once();
	while (take_tick(u.vec));
	return u.vec;
}

u32 run_to_tick(void)
{
	run_once();
	take_tick(u.vec);
	return u.vec;
}

/* Called with the kernel's own frame; what is not expected ends everything. */
void ktrap(struct uctx *f)
{
	if (take_tick(f->vec))
		return;
	if (f->ip == (ulong)user_iret) {	/* u's registers are lost, but not the run */
		bad_frame = f->vec << 16 | (f->err & 0xffff);
		f->ip = (ulong)user_iret_failed;
		return;
	}
	if (f->vec == 1) {		/* TF came along through a gate or SYSENTER; tests_dr.c */
		trap_db = get_dr6();
		f->flags &= ~(ulong)FL_TF;
		set_dr6(0xffff0ff0);
		return;
	}
	if (try_sp) {
		try_vec = f->vec;
		f->ip = (ulong)ktry_recover;
		return;
	}
	panic("trap in the kernel: vec=%x err=%x ip=%X cr2=%X\n", (u32)f->vec, (u32)f->err,
	      (u64)f->ip, (u64)get_cr2());
}

u32 ctx_hash(void)
{
	u32 h = FNV_START, flags = u.flags & FL_SHOWN & ~FL_RF;	/* RF is for the log to show */

#ifdef __x86_64__
	h = fnv(h, &u, offsetof(struct uctx, vec));
	h = fnv(h, &u.es, 8);
	h = fnv(h, &u.fs_base, 16);
#else
	u32 sp = u.unused_sp;

	u.unused_sp = 0;		/* the kernel's own */
	h = fnv(h, &u, offsetof(struct uctx, vec));
	u.unused_sp = sp;
	if (u.flags & FL_VM)
		h = fnv(h, &u.v_es, 16);
#endif
	h = fnv(h, &u.ip, 2 * sizeof(ulong));
	h = fnv(h, &flags, sizeof(flags));
	return fnv(h, &u.sp, 2 * sizeof(ulong));
}
