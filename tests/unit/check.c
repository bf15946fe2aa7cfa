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
		return op[2] == 0xd0 || op[2] == 0xc1 || op[2] == 0xd9 ? FORBIDDEN : HARMLESS;
	case 0xae:
		return op[2] < 0xc0 && reg >= 4 && reg <= 6 ? FORBIDDEN : HARMLESS;
	case 0xc7:
		if (op[2] >= 0xf8)
			return READS_PID;
		return op[2] < 0xc0 && reg >= 3 && reg <= 5 ? FORBIDDEN : HARMLESS;
	}
	return HARMLESS;
}

bool engine_traps(const struct plex86_space *s, enum sensitive kind)
{
	bool all = engine.caps.flags & PLEX86_CAP_TRAP_TSC;

	return kind == READS_TSC ? all || s->tsc : kind == READS_PID ? all : false;
}

static bool prefix(uint8_t b)
{
	return b == 0x66 || b == 0x67 || b == 0xf0 || b == 0xf2 || b == 0xf3 || b == 0x2e ||
	       b == 0x36 || b == 0x3e || b == 0x26 || b == 0x64 || b == 0x65 ||
	       (vm.cpu.mode == PLEX86_MODE_64 && (b & 0xf0) == 0x40);
}

static bool has_trap(const struct plex86_space *s, uint64_t la)
{
	unsigned int i;

	for (i = 0; i < s->ntraps; i++)
		if (s->trap[i] == la)
			return true;
	return false;
}

/* I7: each place where a sensitive instruction can begin must trap. */
static void check_code(const struct plex86_space *s, const struct mapping *m)
{
	const struct mapping *next = engine_find(s, m->la + PAGE);
	const uint8_t *page = vm.object + m->off, *found;
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
		if (kind == HARMLESS || engine_traps(s, kind))
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

static bool is_table(uint64_t frame)
{
	const struct plex86_space *s;

	for (s = engine.spaces; s; s = s->next)
		if (s->table[frame])
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
	else if (m->la >= engine.caps.va_limit ||
		 (m->la < 0x10000 && !(engine.caps.flags & PLEX86_CAP_PAGE_ZERO)))
		complain("I6: %#llx can't be mapped by this engine", la);
	else if ((m->prot & PLEX86_PROT_WRITE) && is_table(frame))
		complain("I4: page table %#llx is writable at %#llx", (unsigned long long)pa, la);
	else if ((m->prot & PLEX86_PROT_WRITE) && vm.decoded[frame])
		complain("I5: %#llx is writable and has traces", la);
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
	}
	for (i = 0; i < VM_FRAMES; i++)
		if ((rights[i] & PLEX86_PROT_WRITE) && (rights[i] & PLEX86_PROT_EXEC))
			complain("I5: page %#llx is writable and executable",
				 (unsigned long long)i * PAGE);
}
