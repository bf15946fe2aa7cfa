/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Frames, page tables and spaces for every paging mode.  One walker serves
 * them all: a mode is a number of levels, bits per level and an entry size.
 */
#include "tk.h"

#define MAX_FRAMES	((RAM_SIZE - FRAMES_PA) / PAGE)
#define MAX_SPACES	64

#define MSR_EFER	0xc0000080
#define EFER_NXE	0x800

#define CPUID_7_ECX_LA57	0x10000u

#define CR4_COMMON	(CR4_OSFXSR | CR4_OSXMM)

const struct paging modes[] = {
#ifdef __x86_64__
	{ "l4", ENV_L4, 4, 9, 8, true, 0x200000, CR4_COMMON | CR4_PAE | CR4_PGE },
	{ "l5", ENV_L5, 5, 9, 8, true, 0x200000, CR4_COMMON | CR4_PAE | CR4_PGE | CR4_LA57 },
#else
	{ "p32", ENV_P32, 2, 10, 4, false, 0, CR4_COMMON },
	{ "pse", ENV_PSE, 2, 10, 4, false, 0x400000, CR4_COMMON | CR4_PSE | CR4_PGE },
	{ "pae", ENV_PAE, 3, 9, 8, true, 0x200000, CR4_COMMON | CR4_PAE | CR4_PGE },
#endif
};
const u32 n_modes = ARRAY_SIZE(modes);
const struct paging *mode;
struct space *cur;

static u64 masters[ARRAY_SIZE(modes)];	/* roots whose user half is empty */
static struct space spaces[MAX_SPACES];
static u32 n_spaces;

/* Frames: a watermark and a stack of freed ones, last freed first reused. */
static u64 next_frame = FRAMES_PA, kept_frames;
u32 frames_skipped;
static u32 freed[MAX_FRAMES], n_freed;

u64 frame(void)
{
	u64 pa;

	if (n_freed) {
		pa = (u64)freed[--n_freed] * PAGE;
	} else {
		if (next_frame >= RAM_SIZE)
			panic("no frame left\n");
		pa = next_frame;
		next_frame += PAGE;
	}
	memset(phys(pa), 0, PAGE);
	return pa;
}

void frame_free(u64 pa)
{
	freed[n_freed++] = pa / PAGE;
}

/* The frames include the tables in use: leave them first. */
void frames_reset(void)
{
	cur = NULL;
	set_cr3(masters[mode - modes]);
	next_frame = kept_frames + frames_skipped * PAGE;
	n_freed = 0;
	n_spaces = 0;
}

static u64 read_entry(u64 pa)
{
	return mode->entry_size == 8 ? *(volatile u64 *)phys(pa) : *(volatile u32 *)phys(pa);
}

static void write_entry(u64 pa, u64 e)
{
	if (mode->entry_size == 8)
		*(volatile u64 *)phys(pa) = e;
	else
		*(volatile u32 *)phys(pa) = e;
}

static u32 shift_of(int level)
{
	return 12 + (level - 1) * mode->bits;
}

static u64 slot(u64 table, u64 va, int level)
{
	u32 index = va >> shift_of(level) & ((1u << mode->bits) - 1);

	return table + index * mode->entry_size;
}

/* PAE keeps its four top entries in the CPU: they change by a load of CR3 only. */
static bool is_pdpte(int level)
{
	return mode->levels == 3 && level == 3;
}

u64 entry_pa(struct space *s, u64 va, int level, bool make)
{
	u64 table = s->root;

	for (int l = mode->levels; l > level; l--) {
		u64 pa = slot(table, va, l), e = read_entry(pa);

		if (!(e & P_P)) {
			if (!make)
				return 0;
			e = frame() | (is_pdpte(l) ? P_P : P_URW);
			write_entry(pa, e);
			if (is_pdpte(l) && s == cur)
				set_cr3(s->root);
		}
		if (e & P_PS && l > 1)
			return 0;
		table = e & P_ADDR;
	}
	return slot(table, va, level);
}

u64 entry_get(struct space *s, u64 va, int level)
{
	u64 pa = entry_pa(s, va, level, false);

	return pa ? read_entry(pa) : 0;
}

void entry_set(struct space *s, u64 va, int level, u64 e)
{
	write_entry(entry_pa(s, va, level, true), mode->nx ? e : e & ~P_NX);
}

void map_level(struct space *s, u64 va, u64 pa, u64 flags, int level)
{
	entry_set(s, va, level, pa | flags | (level > 1 ? P_PS : 0));
}

void map(struct space *s, u64 va, u64 pa, u64 flags)
{
	map_level(s, va, pa, flags, 1);
}

u64 map_new(struct space *s, u64 va, u32 pages, u64 flags)
{
	u64 first = 0;

	for (u32 i = 0; i < pages; i++) {
		u64 pa = frame();

		map(s, va + i * PAGE, pa, flags);
		if (!i)
			first = pa;
	}
	return first;
}

struct space *space_new(void)
{
	u32 bytes = 1u << mode->bits, from;
	struct space *s;

	if (n_spaces == MAX_SPACES)
		panic("no space left\n");
	s = &spaces[n_spaces++];
	s->root = frame();
	bytes *= mode->entry_size;
	from = slot(0, PHYSMAP, mode->levels);
	if (mode->levels == 3) {
		from = 3 * 8;
		bytes = 4 * 8;
	}
	memcpy(phys(s->root + from), phys(masters[mode - modes] + from), bytes - from);
	return s;
}

void use(struct space *s)
{
	cur = s;
	set_cr3(s->root);
}

void touch_pages(u64 va, u32 pages)
{
	for (; pages--; va += PAGE)
		for (int l = mode->levels; l; l--)
			if (!is_pdpte(l))		/* has no such bits */
				entry_set(cur, va, l, entry_get(cur, va, l) | (l == 1 ? P_A | P_D : P_A));
}

u64 user_pa(u64 va)
{
	for (int l = 1; l <= mode->levels; l++) {
		u64 e = entry_get(cur, va, l);

		if (!(e & P_P) || (l > 1 && !(e & P_PS)))
			continue;
		return (e & P_ADDR & ~((1ull << shift_of(l)) - 1)) | (va & ((1ull << shift_of(l)) - 1));
	}
	return 0;
}

void user_write(u64 va, const void *p, u32 n)
{
	const u8 *b = p;

	while (n--)
		*(u8 *)phys(user_pa(va++)) = *b++;
}

void user_read(u64 va, void *p, u32 n)
{
	u8 *b = p;

	while (n--)
		*b++ = *(u8 *)phys(user_pa(va++));
}

u32 user_get32(u64 va)
{
	u32 v;

	user_read(va, &v, 4);
	return v;
}

void user_put32(u64 va, u32 v)
{
	user_write(va, &v, 4);
}

static void build_master(const struct paging *m)
{
	u64 global = m->cr4 & CR4_PGE ? P_G : 0;
	struct space s;

	mode = m;
	s.root = frame();
	masters[m - modes] = s.root;
	for (u64 pa = 0; pa < RAM_SIZE; pa += m->large ? m->large : PAGE)
		map_level(&s, PHYSMAP + pa, pa, P_P | P_W | global, m->large ? 2 : 1);
	map(&s, LAPIC_VA, LAPIC_PA, P_P | P_W | P_PCD);
}

void mmu_init(void)
{
	for (u32 i = 0; i < n_modes; i++)
		build_master(&modes[i]);
	kept_frames = next_frame;
}

static void allow_nx(void)
{
	if (mode->nx)
		wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_NXE);
}

bool mmu_has(const struct paging *m)
{
	u32 r[4] = { 0 };

	cpuid(0, 0, r);
	if (r[0] >= 7)
		cpuid(7, 0, r);
	else
		r[2] = 0;
	return m->levels < 5 || r[2] & CPUID_7_ECX_LA57;
}

void switch_paging(ulong cr3, ulong cr4);

/*
 * Paging must be off in between, so the code runs at its physical address;
 * the master of the mode we leave and of the one we enter get that page.
 */
void mmu_set_mode(const struct paging *m)
{
	static struct space from, to;
	const struct paging *old = mode;
	ulong cr4 = (get_cr4() & CR4_OSXSAVE) | m->cr4;

	frames_skipped = 0;
	if (cur) {
		frames_reset();
		from.root = masters[old - modes];
		use(&from);
		map(&from, KERNEL_PA, KERNEL_PA, P_P | P_W);
	}
	mode = m;
	to.root = masters[m - modes];
	map(&to, KERNEL_PA, KERNEL_PA, P_P | P_W);
	switch_paging(to.root, cr4);
	use(&to);
	allow_nx();
	if (kept_frames < next_frame)
		kept_frames = next_frame;	/* the tables of those two pages stay */
}
