/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The rules that hold whenever native code is about to run, checked against the
 * guest's tables, RAM and Bochs's traces as they are, not against what the core
 * believes about them.
 */
#include <stdarg.h>
#include <string.h>

#include "vm.h"

void complain(const char *fmt, ...)
{
	char line[300];
	va_list ap;

	if (vm.complaints++ >= 10)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	tap_diag("%s", line);
}

enum sensitive sensitive_kind(const uint8_t *op, unsigned int left)
{
	const enum sensitive xsave = engine.caps.flags & PLEX86_CAP_XCR0 ? HARMLESS : FORBIDDEN;
	unsigned int reg;

	if (left < 2 || op[0] != 0x0f)
		return HARMLESS;
	if (op[1] == 0xa2)
		return FORBIDDEN;
	if (op[1] == 0x31)
		return READS_TSC;
	if (left < 3)
		return HARMLESS;
	reg = op[2] >> 3 & 7;
	switch (op[1]) {
	case 0x01:
		if (op[2] == 0xf9)
			return READS_TSC;
		if (op[2] == 0xd0)
			return xsave;
		return op[2] == 0xc1 || op[2] == 0xd9 ? FORBIDDEN : HARMLESS;
	case 0xae:
		return op[2] < 0xc0 && reg >= 4 && reg <= 6 ? xsave : HARMLESS;
	case 0xc7:
		if (op[2] >= 0xf8)
			return READS_PID;
		return op[2] < 0xc0 && reg >= 3 && reg <= 5 ? xsave : HARMLESS;
	}
	return HARMLESS;
}

bool engine_traps(const struct plex86_space *s, enum sensitive kind)
{
	bool all = engine.caps.flags & PLEX86_CAP_TRAP_TSC;

	return kind == READS_TSC ? all || s->tsc : kind == READS_PID ? all && !vm.env.tsc_aux : false;
}

static bool prefix(uint8_t b)
{
	return b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3 || b == 0x2e ||
	       b == 0x36 || b == 0x3e || b == 0x26 || b == 0x64 || b == 0x65 ||
	       (vm.cpu.mode == PLEX86_MODE_64 && (b & 0xf0) == 0x40);
}

/* The guest's bytes behind a page of code that may be a copy. */
static const uint8_t *original(const struct mapping *m)
{
	uint64_t pa;

	if (m->prot != PLEX86_PROT_EXEC)
		return vm.object + m->off;
	tables_allow(vm.tables, m->la, &pa);
	return vm_host(pa & ~(PAGE - 1));
}

/* I7: a copy is the page, but for places that trap; and it must not be readable. */
static bool is_copy(const struct mapping *m)
{
	const uint8_t *page = original(m), *copy = vm.object + m->off;
	unsigned int i;

	if (!(engine.caps.flags & PLEX86_CAP_EXEC_ONLY) || m->off < VM_OBJECT)
		return false;
	for (i = 0; i < PAGE; i++)
		if (copy[i] != page[i] && copy[i] != 0xf4)
			return false;
	return true;
}

static bool has_trap(const struct plex86_space *s, uint64_t la)
{
	const struct mapping *m = engine_find(s, la);
	unsigned int i;

	if (m && m->prot == PLEX86_PROT_EXEC && vm.object[m->off + la % PAGE] == 0xf4)
		return true;
	for (i = 0; i < s->ntraps; i++)
		if (s->trap[i] == la)
			return true;
	return false;
}

/* LAR, LSL, VERR, VERW */
static bool looks_at_tables(const uint8_t *op, unsigned int left)
{
	if (left < 2)
		return false;
	return op[1] == 2 || op[1] == 3 || (op[1] == 0 && left > 2 && (op[2] & 0x30) == 0x20);
}

/*
 * SDM vol. 2, LAR: does ring 3 see this?  Then the engine must have it as it is,
 * which it can for present and accessed code and data alone.
 */
static bool table_is_hidden(const struct plex86_table *t, unsigned int max, bool gdt)
{
	unsigned int i, type, dpl;
	bool seen, shown;
	uint64_t d;

	for (i = gdt; i < t->bytes / 8; i++) {
		if (!vm_descriptor(t, i, &d))
			return true;
		type = d >> 40 & 31;
		dpl = d >> 45 & 3;
		if (type >= 16)
			seen = dpl == 3 || (type & 12) == 12;
		else
			seen = dpl == 3 && type != 0 && type != 8 && type != 10 && type != 13;
		shown = i < max && !(gdt && i == 2) && dpl == 3 && type >= 16 && type % 2 && d >> 47 & 1 &&
			!(vm.cpu.mode == PLEX86_MODE_32 && type & 8 && d >> 53 & 1);
		if (seen && !shown)
			return true;
	}
	return false;
}

static bool tables_are_hidden(void)
{
	return (engine.caps.flags & PLEX86_CAP_DESCRIPTORS) &&
	       (table_is_hidden(&vm.slice.tables.gdt, ENGINE_GDT, true) ||
		table_is_hidden(&vm.slice.tables.ldt, ENGINE_LDT, false));
}

/* I7: each place where a sensitive instruction can begin must trap. */
static void check_code(const struct plex86_space *s, const struct mapping *m)
{
	const struct mapping *next = engine_find(s, m->la + PAGE);
	const uint8_t *page = original(m), *found;
	bool hidden = tables_are_hidden();
	uint8_t b[3];
	unsigned int i, j, left;
	enum sensitive kind;
	uint64_t at;

	for (found = page; (found = memchr(found, 0x0f, page + PAGE - found)); found++) {
		i = found - page;
		left = 3;
		for (j = 0; j < 3; j++) {
			if (i + j < PAGE)
				b[j] = page[i + j];
			else if (next && (next->prot & PLEX86_PROT_EXEC))
				b[j] = vm.object[next->off + i + j - PAGE];
			else
				left = left < j ? left : j;
		}
		kind = sensitive_kind(b, left);
		if ((kind == HARMLESS || engine_traps(s, kind)) && !(hidden && looks_at_tables(b, left)))
			continue;
		if (kind == READS_TSC && vm.within && m->la + i == vm.within)
			continue;
		for (at = i;; at--) {
			if (!has_trap(s, m->la + at)) {
				complain("I7: native code at %#llx", (unsigned long long)m->la + at);
				return;
			}
			if (!at || !prefix(page[at - 1]))
				break;
		}
	}
}

/* Do the tables of @s, as they are now, lead through @frame to what it has mapped? */
static bool leads_through(const struct plex86_space *s, uint64_t frame)
{
	struct translation o;
	unsigned int k;
	size_t i;

	for (i = 0; i < s->n; i++) {
		tables_translate(s->tables, s->map[i].la, &o);
		for (k = 0; k < o.n; k++)
			if (o.entry_at[k] / PAGE == frame)
				return true;
	}
	return false;
}

static bool is_table(uint64_t frame)
{
	const struct plex86_space *s;

	for (s = engine.spaces; s; s = s->next)
		if (s->table[frame] && leads_through(s, frame))
			return true;
	return false;
}

static void check_mapping(const struct plex86_space *s, const struct mapping *m)
{
	unsigned long long la = m->la;
	uint64_t pa, frame;
	uint32_t allow = tables_allow(vm.tables, m->la, &pa);

	/* I2, I3: the guest's tables, as they are now, allow it, and lead there. */
	if (!allow || (m->prot & ~allow)) {
		complain("I2: %#llx has rights %x, allowed are %x", la, m->prot, allow);
		return;
	}
	/* A page that the slice being verified writes is a copy; nothing else can be written. */
	if (m->prot == PLEX86_PROT_EXEC) {
		if (!is_copy(m))
			complain("I7: %#llx is not a copy of its page", la);
		return;
	}
	if (vm.verify && m->off >= VM_OBJECT) {
		if (m->prot & PLEX86_PROT_EXEC)
			complain("%#llx: a private copy can be executed", la);
		return;
	}
	if (vm.verify && (m->prot & PLEX86_PROT_WRITE))
		complain("%#llx: a shared page is writable in verify mode", la);
	if (vm_frame_of_offset(m->off) != (pa & ~(PAGE - 1))) {
		complain("I3: %#llx shows another page than %#llx", la, (unsigned long long)pa);
		return;
	}
	/* I6 */
	frame = pa / PAGE;
	if (!vm_host(pa) || vm.device[frame] || (pa >= 0xa0000 && pa < 0x100000))
		complain("I6: %#llx shows %#llx, which is not RAM", la, (unsigned long long)pa);
	else if (m->la < engine.caps.va_first || m->la >= engine.caps.va_limit)
		complain("I6: %#llx can't be mapped by this engine", la);
	else if ((m->prot & PLEX86_PROT_WRITE) && is_table(frame))
		complain("I4: page table %#llx is writable at %#llx", (unsigned long long)pa, la);
	else if ((m->prot & PLEX86_PROT_WRITE) && vm.decoded[frame])
		complain("I5: %#llx is writable and has traces", la);
}

/* Descriptor @i of a table by the book; false: it can't be read. */
bool vm_descriptor(const struct plex86_table *t, unsigned int i, uint64_t *d)
{
	struct translation o;
	unsigned int b;

	*d = 0;
	for (b = 0; b < 8; b++) {
		uint64_t la = t->base + 8 * i + b;

		if (vm.cpu.mode == PLEX86_MODE_32)
			la &= UINT32_MAX;
		tables_translate(vm.tables, la, &o);
		if (!o.present || o.reserved || !vm_host(o.pa) || (o.pa >= 0xa0000 && o.pa < 0x100000))
			return false;
		*d |= bochs_read(o.pa, 1) << (8 * b);
	}
	return true;
}

/* I3, I4: the engine has the guest's descriptors as they are now, and nobody can write them. */
static void check_table(const struct plex86_table *t, const uint64_t *has, unsigned int n,
			unsigned int max, const char *name)
{
	unsigned int slots = t->bytes / 8, i;
	uint64_t d;

	if (n != (slots < max ? slots : max))
		complain("I3: the engine has %u entries of the %s, of %u", n, name, slots);
	for (i = 0; i < n && i < slots; i++) {
		vm_descriptor(t, i, &d);
		if (i == 0 && name[0] == 'G')
			d = 0;		/* nobody can load it */
		if (has[i] != d) {
			complain("I3: %s entry %u is %#llx, the engine has %#llx", name, i,
				 (unsigned long long)d, (unsigned long long)has[i]);
			return;
		}
	}
}

static bool in_table(const struct plex86_table *t, uint64_t pa)
{
	struct translation o;
	uint64_t la;

	for (la = t->base & ~(PAGE - 1); la < t->base + t->bytes; la += PAGE) {
		tables_translate(vm.tables, vm.cpu.mode == PLEX86_MODE_32 ? la & UINT32_MAX : la, &o);
		if (o.present && (o.pa & ~(PAGE - 1)) == pa)
			return true;
	}
	return false;
}

static void check_descriptors(const struct plex86_space *s, const uint8_t *rights)
{
	const struct plex86_tables *t = &vm.slice.tables;
	uint64_t i;

	if (s->described != !!(engine.caps.flags & PLEX86_CAP_DESCRIPTORS)) {
		complain("the space has%s descriptors", s->described ? "" : " no");
		return;
	}
	if (!s->described)
		return;
	check_table(&t->gdt, s->gdt, s->ngdt, ENGINE_GDT, "GDT");
	check_table(&t->ldt, s->ldt, s->nldt, ENGINE_LDT, "LDT");
	for (i = 0; i < VM_FRAMES; i++)
		if ((rights[i] & PLEX86_PROT_WRITE) &&
		    (in_table(&t->gdt, i * PAGE) || in_table(&t->ldt, i * PAGE)))
			complain("I4: page %#llx holds descriptors and is writable",
				 (unsigned long long)i * PAGE);
}

/* The tables that a mapping came from belong to the space until it runs again. */
static void note_tables(struct plex86_space *s, const struct mapping *m)
{
	struct translation o;
	unsigned int i;

	tables_translate(vm.tables, m->la, &o);
	for (i = 0; i < o.n; i++)
		if (o.entry_at[i] < VM_RAM)
			s->table[o.entry_at[i] / PAGE] = 1;
}

void check_space(struct plex86_space *s)
{
	static uint8_t rights[VM_FRAMES];
	size_t i;

	if (!s->ran)
		s->cr3 = vm.tables->cr3;
	s->ran = true;
	s->tables = vm.tables;
	if (s->cr3 != vm.tables->cr3)
		complain("the space of %#llx runs for %#llx", (unsigned long long)s->cr3,
			 (unsigned long long)vm.tables->cr3);
	memset(rights, 0, sizeof(rights));
	memset(s->table, 0, sizeof(s->table));
	for (i = 0; i < s->n; i++)
		note_tables(s, &s->map[i]);
	for (i = 0; i < s->n; i++) {
		uint64_t pa = vm_frame_of_offset(s->map[i].off);

		check_mapping(s, &s->map[i]);
		if (pa < VM_RAM)
			rights[pa / PAGE] |= s->map[i].prot;
		if (s->map[i].prot & PLEX86_PROT_EXEC)
			check_code(s, &s->map[i]);
		if (s->map[i].prot == PLEX86_PROT_EXEC && tables_allow(vm.tables, s->map[i].la, &pa))
			rights[pa / PAGE] |= PLEX86_PROT_EXEC;
	}
	check_descriptors(s, rights);
	for (i = 0; i < VM_FRAMES; i++)
		if ((rights[i] & PLEX86_PROT_WRITE) && (rights[i] & PLEX86_PROT_EXEC))
			complain("I5: page %#llx is writable and executable",
				 (unsigned long long)i * PAGE);
}
