/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Goes through the paging modes and the groups of tests.  Every test runs
 * twice: at once, and with user code that spins before it acts; the two must
 * say the same, word for word.
 */
#include "tk.h"

void keep_start(int which);
void keep_stop(void);
bool kept_same(void);
void kept_print(int which);

/* Tests use so many different frames for the root of their tables, then the first again. */
#define ROOTS	48

struct boot_param param;
u32 spin = 1, rnd_state;
bool spinning;
static u32 tests, differing;

u32 rnd(void)
{
	rnd_state ^= rnd_state << 13;
	rnd_state ^= rnd_state >> 17;
	rnd_state ^= rnd_state << 5;
	return rnd_state;
}

static void map_special_pages(void)
{
	map_new(cur, U_RO, 1, P_URO);
	map_new(cur, U_EDGE, 1, P_URW);
	map_new(cur, U_RW_RO, 1, P_URW);
	map_new(cur, U_RW_RO + PAGE, 1, P_URO);
	map_new(cur, U_NX, 1, P_URW | P_NX);
	map_new(cur, U_KERN, 1, P_P | P_W);
	/* Bit 51 is over any physical address size that our models have. */
	map(cur, U_RSVD, frame(), P_URW | (mode->nx ? 1ull << 51 : 0));
	memset(phys(user_pa(U_NX)), 0xc3, PAGE);	/* RET */
	memset(phys(user_pa(U_EDGE)), 0x90, PAGE);	/* NOP */
	memset(phys(user_pa(U_KERN)), 0xc3, PAGE);
}

void test_begin(void)
{
	frames_reset();
	use(space_new());
	map_new(cur, U_CODE, U_CODE_PAGES, P_URO);
	map_new(cur, U_DATA, U_DATA_PAGES, P_URW | P_NX);
	map_new(cur, U_STACK, U_STACK_PAGES, P_URW | P_NX);
	map_new(cur, U_AGENT, 1, P_URO);
	user_write(U_AGENT, agent_start, agent_end - agent_start);
	map_special_pages();

	set_cr0((get_cr0() | CR0_MP | CR0_WP) & ~(ulong)(CR0_TS | CR0_AM));
	set_cr4((get_cr4() & CR4_OSXSAVE) | mode->cr4);
	set_dr7(0x400);
	set_dr6(0xffff0ff0);
	set_dr0(0);		/* DR6 may have bits of breakpoints that are off */
	set_dr1(0);
	set_dr2(0);
	set_dr3(0);
	gdt_reset();
	fpu_pattern(0);
	rnd_state = param.seed ? param.seed : 1;
	run_how = RUN_IRET;

	memset(&u, 0, sizeof(u));
	u.ax = 0x11111111;
	u.bx = 0x22222222;
	u.cx = spin;
	u.dx = 0x33333333;
	u.si = 0x44444444;
	u.di = 0x55555555;
	u.bp = 0x66666666;
#ifdef __x86_64__
	u.r8 = 0x8888888888888888;
	u.r9 = 0x9999999999999999;
	u.r10 = 0xaaaaaaaaaaaaaaaa;
	u.r11 = 0xbbbbbbbbbbbbbbbb;
	u.r12 = 0xcccccccccccccccc;
	u.r13 = 0xdddddddddddddddd;
	u.r14 = 0xeeeeeeeeeeeeeeee;
	u.r15 = 0xffffffffffffffff;
#else
	u.ds = u.es = SEL_UDATA;
#endif
	u.ip = U_CODE;
	u.cs = SEL_UCODE;
	u.flags = FL_IF | 2;
	u.sp = U_STACK_TOP - 64;
	u.ss = SEL_UDATA;
}

/* By the name, so that a log does not depend on which other tests ran. */
static u32 name_hash(const char *name)
{
	u32 n = 0;

	while (name[n])
		n++;
	return fnv(FNV_START, name, n);
}

static void run_test(const char *group, const struct test *t)
{
	say("%s/%s/%s\n", mode->name, group, t->name);
	frames_skipped = name_hash(t->name) % ROOTS;
	for (int pass = 0; pass < 2; pass++) {
		spinning = pass;
		spin = pass ? param.spin : 1;
		keep_start(pass);
		test_begin();
		if (pass) {
			/* Out of the page that the first pass may have had left to Bochs. */
			u_spin();
			test_begin();
		}
		t->fn();
		keep_stop();
	}
	tests++;
	kept_print(0);
	if (!kept_same()) {
		differing++;
		say("  DIFFERS when user code spins first:\n");
		kept_print(1);
	}
}

void run_tests(const char *group, const struct test *t, u32 n)
{
	for (; n--; t++)
		if (t->envs & mode->env)
			run_test(group, t);
}

static void run_groups(void)
{
	if (param.groups & (GROUP_TRAPS | GROUP_TABLE))
		tests_traps();
	if (param.groups & GROUP_TRAPS) {
		tests_state();
		tests_debug();
		tests_dr();
		tests_dr_code();
		tests_ferr();
		tests_xstate();
		tests_xsave();
	}
	if (param.groups & GROUP_COHERENCY) {
		tests_bits();
		tests_pages();
		tests_levels();
		tests_places();
		tests_video();
		tests_control();
		tests_pkey();
		tests_code();
		tests_jit();
	}
	if (param.groups & GROUP_TIME) {
		tests_time();
		tests_signal();
	}
	if (param.groups & GROUP_SENSITIVE) {
		tests_sensitive();
		tests_selectors();
		tests_straddle();
		tests_xstate_limits();
	}
	if (param.groups & GROUP_SEGMENTS) {
		tests_segments();
		tests_gates();
		tests_outward();
		tests_rings();
		tests_fastcalls();
		tests_io();
		tests_v86();
		tests_vme();
	}
	if (param.groups & GROUP_HOSTILE) {
		tests_hostile();
		tests_ferr_irq13();
	}
	if (param.groups & GROUP_FUZZ)
		tests_fuzz();
	if (param.groups & GROUP_SERIAL)
		tests_serial();
	if (param.groups & GROUP_BOCHS_DIFFERS) {
		tests_code_bochs_differs();
		tests_fastcalls_bochs_differs();
		tests_vme_bochs_differs();
		tests_dr_bochs_differs();
		tests_ferr_bochs_differs();
		tests_xsave_bochs_differs();
		tests_pkey_bochs_differs();
	}
}

void kmain(void)
{
	memcpy(&param, phys(BOOT_PA + BOOT_PARAM), sizeof(param));
	if (memcmp(param.magic, "TKP1", 4))
		panic("no parameters in the boot sector\n");
	mmu_init();
	desc_init();
	mmu_set_mode(&modes[0]);
	fpu_init();
	dev_init();
	say("TK-BEGIN %u-bit\n", BITS64 ? 64u : 32u);
	for (u32 i = 0; i < n_modes; i++) {
		if (!(param.envs & modes[i].env) || !mmu_has(&modes[i]))
			continue;
		if (i)
			mmu_set_mode(&modes[i]);
		run_groups();
	}
	say("TK-END %u tests, %u checks, %u wrong, %u differing\n", tests, checks, wrong, differing);
	finish();
}
