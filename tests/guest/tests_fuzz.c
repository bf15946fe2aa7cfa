/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Differential fuzzing, the guest's part: runs the cases that the fuzzer put
 * on the disk, each from a state that it gives, and writes down what each
 * left.  Nothing is judged here; two executors' records are compared outside.
 */
#include "tk.h"
#include "fuzzcase.h"

#define CODE_PAGES	((FUZZ_SLOTS * FUZZ_SLOT + PAGE - 1) / PAGE)
#define IO_SECTORS	128u		/* of one command */
#define PER_SECTOR	(FUZZ_SECTOR / sizeof(struct fuzz_case))
#define COOLING_TICKS	25		/* of 1 ms */

static struct fuzz_head head;
static u8 head_sector[FUZZ_SECTOR];
static u8 templates[FUZZ_TEMPLATES][PAGE] __attribute__((aligned(64)));
static u8 states[FUZZ_STATES_MAX][FUZZ_STATE_SIZE] __attribute__((aligned(64)));
static u8 own_state[FUZZ_STATE_SIZE] __attribute__((aligned(64)));
static u8 area[FUZZ_STATE_SIZE] __attribute__((aligned(64)));
static struct fuzz_case cases[FUZZ_SLOTS + PER_SECTOR] __attribute__((aligned(16)));
static u8 records[FUZZ_SLOTS * FUZZ_RECORD_512] __attribute__((aligned(16)));
static u64 *pages[FUZZ_WRITABLE];	/* by the kernel's own mapping */
static u8 *code;
static u32 endless;

#define SEL_CODE16	(SEL_FREE | 3)
#define SEL_STACK16	((SEL_FREE + 8) | 3)

static void io(bool write, u32 at, void *buf, u32 sectors)
{
	u8 *p = buf;

	while (sectors) {
		u32 n = sectors < IO_SECTORS ? sectors : IO_SECTORS;

		if (!disk_sectors(write, FUZZ_LBA + at, p, n))
			panic("the disk does not do as it is told, sector %x\n", FUZZ_LBA + at);
		at += n;
		p += n * FUZZ_SECTOR;
		sectors -= n;
	}
}

static void read_head(void)
{
	io(false, 0, head_sector, 1);
	memcpy(&head, head_sector, sizeof(head));
	if (memcmp(head.magic, FUZZ_MAGIC, sizeof(head.magic)) ||
	    (head.states > FUZZ_STATES_MAX && !head.own_states) ||
	    (head.record_size != FUZZ_RECORD && head.record_size != FUZZ_RECORD_512))
		panic("there are no cases on the disk\n");
	io(false, head.templates_at, templates, sizeof(templates) / FUZZ_SECTOR);
	if (!head.own_states)
		io(false, head.states_at, states, head.states * (FUZZ_STATE_SIZE / FUZZ_SECTOR));
}

static u8 *page_from(u64 va, u32 template, u64 flags)
{
	u8 *p = phys(map_new(cur, va, 1, flags));

	memcpy(p, templates[template], PAGE);
	return p;
}

static bool code16(void)
{
	return head.code_bits == 16;
}

static void segments16(void)
{
	/* Access byte; D/B is 0. */
	gdt_set(SEL_CODE16, seg_desc(FUZZ_CODE, 0xffff, 0xfb));
	gdt_set(SEL_STACK16, seg_desc(FUZZ_STACK, 0xffff, 0xf3));
}

/* Where instruction pointers of this case count from. */
static u32 slot_ip(const struct fuzz_case *c)
{
	return (code16() ? 0 : FUZZ_CODE) + c->slot * FUZZ_SLOT;
}

static void fuzz_space(void)
{
	static const u32 at[FUZZ_WRITABLE] = { FUZZ_DATA, FUZZ_EDGE, FUZZ_RW_RO, FUZZ_STACK };

	test_begin();
	if (code16())
		segments16();
	use(space_new());		/* without the other tests' pages */
	for (u32 i = 0; i < FUZZ_WRITABLE; i++)
		pages[i] = (u64 *)page_from(at[i], i, P_URW | (at[i] == FUZZ_EDGE ? 0 : P_NX));
	page_from(FUZZ_RW_RO + PAGE, 4, P_URO | P_NX);
	page_from(FUZZ_RO, 5, P_URO);
	page_from(FUZZ_KERN, 5, P_P | P_W);
	map(cur, FUZZ_RSVD, frame(), P_URW | (mode->nx ? 1ull << 51 : 0));
	map(cur, FUZZ_LOW, user_pa(FUZZ_DATA), P_URW | P_NX);
	if (BITS64)
		map(cur, FUZZ_HIGH, user_pa(FUZZ_EDGE), P_URW);
	/* Frames one after the other, so that the kernel sees them as one block. */
	entry_pa(cur, FUZZ_CODE, 1, true);
	code = phys(map_new(cur, FUZZ_CODE, 1, P_URO));
	for (u32 i = 1; i < CODE_PAGES; i++)
		if (phys(map_new(cur, FUZZ_CODE + i * PAGE, 1, P_URO)) != code + i * PAGE)
			panic("the frames for code are not one block\n");
}

/*
 * Accessed and dirty from the start, at all levels: what would set a bit is
 * left to Bochs, and a case runs only once.
 */
static void touch_all(void)
{
	static const u64 at[] = { FUZZ_DATA, FUZZ_EDGE, FUZZ_RW_RO, FUZZ_RW_RO + PAGE, FUZZ_STACK,
				  FUZZ_RO, FUZZ_LOW };

	for (u32 i = 0; i < ARRAY_SIZE(at); i++)
		touch_pages(at[i], 1);
	touch_pages(FUZZ_CODE, CODE_PAGES);
	if (BITS64)
		touch_pages(FUZZ_HIGH, 1);
}

/*
 * A page that changes between code and data too often is left to Bochs for a
 * while: so much time must go by before it has the next code.
 */
static void let_time_pass(void)
{
	u32 until = ticks + COOLING_TICKS;

	while (ticks - until > 0x80000000u)
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

static void registers_set(const struct fuzz_case *c)
{
	const u64 *r = c->gpr;

	memset(&u, 0, sizeof(u));
	u.ax = r[FUZZ_AX];
	u.cx = r[FUZZ_CX];
	u.dx = r[FUZZ_DX];
	u.bx = r[FUZZ_BX];
	u.sp = r[FUZZ_SP];
	u.bp = r[FUZZ_BP];
	u.si = r[FUZZ_SI];
	u.di = r[FUZZ_DI];
#ifdef __x86_64__
	u.r8 = r[8];
	u.r9 = r[9];
	u.r10 = r[10];
	u.r11 = r[11];
	u.r12 = r[12];
	u.r13 = r[13];
	u.r14 = r[14];
	u.r15 = r[15];
	u.fs_base = head.fs_base;
	u.gs_base = head.gs_base;
#endif
	u.cs = code16() ? SEL_CODE16 : head.code_bits == 32 ? SEL_UCODE32 : SEL_UCODE;
	u.ss = code16() && (c->slot & 1) ? SEL_STACK16 : SEL_UDATA;
	if (head.code_bits < 64)
		u.ds = u.es = u.gs = SEL_UDATA;
	u.ip = slot_ip(c);
	u.flags = c->rflags | FL_IF | 2;
}

static void start_set(const struct fuzz_start *s)
{
	u.ip = s->ip;
	u.es = s->sel[0];
	u.cs = s->sel[1];
	u.ss = s->sel[2];
	u.ds = s->sel[3];
	u.fs = s->sel[4];
	u.gs = s->sel[5];
#ifdef __x86_64__
	u.fs_base = s->fs_base;
	u.gs_base = s->gs_base;
#endif
	for (u32 i = 0; i < s->changes && i < FUZZ_CHANGES; i++) {
		u32 at = s->changed_at[i] % (FUZZ_WRITABLE * (PAGE / 8));

		pages[at / (PAGE / 8)][at % (PAGE / 8)] = s->changed[i];
	}
}

static u8 *state_of(const struct fuzz_case *c)
{
	const struct fuzz_start *s = (const struct fuzz_start *)(own_state + FUZZ_START);

	if (!head.own_states)
		return states[c->state % head.states];
	io(false, head.states_at + c->state * (FUZZ_STATE_SIZE / FUZZ_SECTOR), own_state,
	   FUZZ_STATE_SIZE / FUZZ_SECTOR);
	if (s->valid)
		start_set(s);
	return own_state;
}

static void registers_get(struct fuzz_record *r, const struct fuzz_case *c)
{
	u64 *g = r->gpr;

	g[FUZZ_AX] = u.ax;
	g[FUZZ_CX] = u.cx;
	g[FUZZ_DX] = u.dx;
	g[FUZZ_BX] = u.bx;
	g[FUZZ_SP] = u.sp;
	g[FUZZ_BP] = u.bp;
	g[FUZZ_SI] = u.si;
	g[FUZZ_DI] = u.di;
#ifdef __x86_64__
	g[8] = u.r8;
	g[9] = u.r9;
	g[10] = u.r10;
	g[11] = u.r11;
	g[12] = u.r12;
	g[13] = u.r13;
	g[14] = u.r14;
	g[15] = u.r15;
	r->fs_base = u.fs_base;
	r->gs_base = u.gs_base;
#endif
	if (code16())		/* above ESP is what IRET made of the kernel's RSP, on QEMU's CPU */
		g[FUZZ_SP] = (u32)u.sp;
	r->sel[0] = u.es;
	r->sel[1] = u.cs;
	r->sel[2] = u.ss;
	r->sel[3] = u.ds;
	r->sel[4] = u.fs;
	r->sel[5] = u.gs;
	r->ip = u.ip - slot_ip(c);
	r->rflags = u.flags;
}

/* The header says what to load: bits beyond XCR0 would be a #GP. */
static void vectors_set(u8 *image)
{
	if (!fpu_xcr0) {
		__asm__ volatile("fxrstor (%0)" : : "r"(image) : "memory");
		return;
	}
	image[FUZZ_XS_HEADER] = fpu_xcr0;
	__asm__ volatile("xrstor (%0)" : : "r"(image), "a"(-1), "d"(-1) : "memory");
}

static void vectors_get(u8 *record, struct fuzz_record *r)
{
	if (fpu_xcr0) {
		/* XSAVE skips what is in its reset state; the legacy part FXSAVE has whole. */
		memset(area + FUZZ_XS_HEADER, 0,
		       (head.record_size == FUZZ_RECORD ? FUZZ_XS_YMM + 256 : FUZZ_XS_END) -
		       FUZZ_XS_HEADER);
		__asm__ volatile("xsave (%0)" : : "r"(area), "a"(-1), "d"(-1) : "memory");
		memcpy(r->ymm_high, area + FUZZ_XS_YMM, BITS64 ? 256 : 128);
	}
	if (head.record_size == FUZZ_RECORD_512) {
		memcpy(record + FUZZ_ZMM_HIGH, area + FUZZ_XS_ZMM, FUZZ_XS_END - FUZZ_XS_ZMM);
		memcpy(record + FUZZ_OPMASK, area + FUZZ_XS_OPMASK, 64);
	}
	__asm__ volatile("fxsave (%0)" : : "r"(area) : "memory");
	memcpy(r->fx, area, BITS64 ? FUZZ_FX : FUZZ_FX - 128);
}

static void note_change(struct fuzz_record *r, u64 *word, u64 was, u32 at)
{
	r->change_hash = fnv(fnv(r->change_hash, &at, 4), word, 8);
	if (r->changes < FUZZ_CHANGES) {
		r->changed[r->changes].value = *word;
		r->changed_at[r->changes] = at;
	}
	r->changes++;
	*word = was;
}

/* What the case wrote goes into the record, and memory is again as it was. */
static void memory_get(struct fuzz_record *r)
{
	r->change_hash = FNV_START;
	for (u32 k = 0; k < FUZZ_WRITABLE; k++) {
		u64 *p = pages[k];
		const u64 *t = (const u64 *)templates[k];

		for (u32 i = 0; i < PAGE / 8; i += 4) {
			if (!((p[i] ^ t[i]) | (p[i + 1] ^ t[i + 1]) | (p[i + 2] ^ t[i + 2]) |
			      (p[i + 3] ^ t[i + 3])))
				continue;
			for (u32 j = i; j < i + 4; j++)
				if (p[j] != t[j])
					note_change(r, p + j, t[j], k * (PAGE / 8) + j);
		}
	}
}

static bool ends_in_time(void)
{
	for (u32 n = 0; n < head.max_ticks;) {
		run_to_tick();
		if (u.vec == VEC_IRQ)
			n++;
		else if (u.vec != VEC_IRQ + 7 && u.vec != VEC_SPURIOUS)
			return true;
	}
	return false;
}

static void run_case(const struct fuzz_case *c, u8 *record)
{
	struct fuzz_record *r = (struct fuzz_record *)record;
	static struct fuzz_record unseen;
	bool done;

	memset(record, 0, head.record_size);
	registers_set(c);
	vectors_set(state_of(c));
	done = ends_in_time();
	memory_get(done ? r : &unseen);
	r->id = c->id;
	if (!done) {
		r->vector = FUZZ_ENDLESS;
		r->change_hash = 0;
		endless++;
		return;
	}
	r->vector = u.vec;
	r->error = u.err;
	if (u.vec == 14)
		r->cr2 = trap_cr2;
	if (u.vec == 1)
		r->dr6 = trap_dr6;
	registers_get(r, c);
	vectors_get(record, r);
}

/* As many as have rising slots: their code does not overlap. */
static u32 batch_length(const struct fuzz_case *c, u32 left)
{
	u32 n = 1;

	while (n < left && n < FUZZ_SLOTS && c[n].slot > c[n - 1].slot)
		n++;
	return n;
}

/* Of @n cases those that are, or are not, to run apart; and runs them. */
static void run_together(const struct fuzz_case *c, u32 n, bool apart, u8 *record)
{
	let_time_pass();
	memset(code, FUZZ_FILLER, CODE_PAGES * PAGE);
	for (u32 i = 0; i < n; i++) {
		u8 *to = code + c[i].slot * FUZZ_SLOT;

		if (c[i].apart != apart)
			continue;
		memcpy(to, c[i].code, c[i].len);
		to[c[i].len] = 0x0f;
		to[c[i].len + 1] = 0x0b;
	}
	for (u32 i = 0; i < n; i++)
		if (c[i].apart == apart)
			run_case(&c[i], record + i * head.record_size);
}

void tests_fuzz(void)
{
	u32 done = 0, before;

	read_head();
	fuzz_space();
	touch_all();
	before = kernel_sum();
	while (done < head.cases) {
		u32 left = head.cases - done, skip = done % PER_SECTOR, n, bytes, sectors;
		u32 want = left < FUZZ_SLOTS ? left : FUZZ_SLOTS;

		io(false, head.cases_at + done / PER_SECTOR, cases,
		   (skip + want + PER_SECTOR - 1) / PER_SECTOR);
		n = batch_length(cases + skip, want);
		run_together(cases + skip, n, false, records);
		run_together(cases + skip, n, true, records);
		bytes = n * head.record_size;
		sectors = bytes / FUZZ_SECTOR;
		io(true, head.records_at + done * (head.record_size / FUZZ_SECTOR), records, sectors);
		done += n;
	}
	expect(kernel_sum() == before);
	say("%s/fuzz/code%u: %u cases, %u endless\n", mode->name, head.code_bits, done, endless);
}
