// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Segment registers.  User code can load exactly what the host's GDT and this
 * child's TLS and LDT entries hold, so each guest segment is run under a host
 * selector with the same meaning:
 *
 *   flat code, flat data		the host's own: 0x33, 0x23, 0x2b
 *   FS or GS with a base, 32-bit	a TLS entry, set from outside by ptrace, under the
 *				guest's own selector if that is one of them
 *   anything else, 32-bit		an LDT entry, set by the stub
 *
 * On the way back a register that still has the selector it was given means the
 * guest's own again.  Otherwise guest code has loaded it, and the host's
 * descriptor is what it got; see process.h for what the core makes of that.
 */
#define _GNU_SOURCE
#include <asm/ldt.h>
#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>

#include "process.h"

#ifndef PTRACE_SET_THREAD_AREA
#define PTRACE_SET_THREAD_AREA 26
#endif

/* arch/x86/include/asm/segment.h; part of the kernel's ABI by long custom. */
#define HOST_CS32	0x23
#define HOST_DS		0x2b
#define HOST_CS64	0x33
#define HOST_CPUNODE	0x7b
#define HOST_TLS_FIRST	12

#define RPL_USER	3
#define TI_LDT		4

/*
 * The first of our LDT entries: higher than guests use, so that a selector which
 * the guest's own tables refuse traps here too, and low enough for a small LDT.
 */
#define LDT_FIRST	1016
#define SEL(index, ti)	((uint16_t)((index) << 3 | (ti) | RPL_USER))

#define WRITE_LDT	0x11	/* modify_ldt(): the format with the "useable" bit */

#define ATTR_USER	(PLEX86_SEG_P | PLEX86_SEG_S | 3u << PLEX86_SEG_DPL_SHIFT | \
			 PLEX86_SEG_ACCESSED)

static bool flat(const struct plex86_seg *g)
{
	return !g->base && g->limit == 0xffffffff;
}

static bool is_code(const struct plex86_seg *g)
{
	return g->attr & PLEX86_SEG_CODE;
}

/* Readable and writable data that grows upwards. */
static bool plain_data(const struct plex86_seg *g)
{
	return (g->attr & (PLEX86_SEG_CODE | PLEX86_SEG_EXPAND_DOWN | PLEX86_SEG_WRITE)) ==
	       PLEX86_SEG_WRITE;
}

static bool same_desc(const struct plex86_seg *a, const struct plex86_seg *b)
{
	return a->base == b->base && a->limit == b->limit && a->attr == b->attr;
}

static void user_desc(const struct plex86_seg *g, unsigned int entry, struct user_desc *d)
{
	bool pages = g->attr & PLEX86_SEG_G;

	memset(d, 0, sizeof(*d));
	d->entry_number = entry;
	d->base_addr = (uint32_t)g->base;
	d->limit = (pages ? g->limit >> PLEX86_PAGE_SHIFT : g->limit) & 0xfffff;
	d->seg_32bit = !!(g->attr & PLEX86_SEG_DB);
	d->contents = (is_code(g) ? 2u : 0u) | (g->attr & PLEX86_SEG_EXPAND_DOWN ? 1u : 0u);
	d->read_exec_only = !(g->attr & PLEX86_SEG_WRITE);
	d->limit_in_pages = pages;
	d->useable = !!(g->attr & PLEX86_SEG_AVL);
}

static int use_tls(struct plex86_space *s, unsigned int slot, const struct plex86_seg *g,
		   uint16_t *sel)
{
	struct user_desc d;

	if (!s->tls_known[slot] || !same_desc(&s->tls[slot], g)) {
		s->tls_known[slot] = false;
		user_desc(g, HOST_TLS_FIRST + slot, &d);
		if (ptrace(PTRACE_SET_THREAD_AREA, s->pid, HOST_TLS_FIRST + slot, &d))
			return -errno;
		s->tls[slot] = *g;
		s->tls_known[slot] = true;
	}
	*sel = SEL(HOST_TLS_FIRST + slot, 0);
	return 0;
}

/*
 * What a TLS entry stood for, the guest's tables may have no more: a later load of its
 * selector has to trap.
 */
static int drop_stale_tls(struct plex86_space *s, const uint16_t sel[PLEX86_NSEG])
{
	/* The kernel's own idea of an empty one (LDT_empty(), asm/desc.h). */
	struct user_desc empty = { .read_exec_only = 1, .seg_not_present = 1 };
	unsigned int slot;

	for (slot = 0; slot < PROCESS_NTLS; slot++) {
		const uint16_t own = SEL(HOST_TLS_FIRST + slot, 0);

		if (!s->tls_known[slot] || sel[PLEX86_FS] == own || sel[PLEX86_GS] == own)
			continue;
		empty.entry_number = HOST_TLS_FIRST + slot;
		if (ptrace(PTRACE_SET_THREAD_AREA, s->pid, HOST_TLS_FIRST + slot, &empty))
			return -errno;
		s->tls_known[slot] = false;
	}
	return 0;
}

static int use_ldt(struct plex86_space *s, unsigned int slot, const struct plex86_seg *g,
		   uint16_t *sel, const char **why)
{
	struct plex86_engine *e = s->engine;
	struct user_desc d;
	int64_t ret;

	if (!(e->caps.flags & PLEX86_CAP_SEGMENTS)) {
		*why = "the segment isn't flat, and this host has no modify_ldt()";
		return 1;
	}
	if (is_code(g) && g->attr & PLEX86_SEG_EXPAND_DOWN) {
		*why = "conforming code segments can't be made by modify_ldt()";
		return 1;
	}
	if (!s->ldt_known[slot] || !same_desc(&s->ldt[slot], g)) {
		s->ldt_known[slot] = false;
		s->regs_known = false;
		user_desc(g, LDT_FIRST + slot, &d);
		memcpy(e->stub + STUB_SCRATCH, &d, sizeof(d));
		ret = inject_call(e, s->pid, s->stub, SYS_modify_ldt,
				  (const uint64_t[6]){ WRITE_LDT, s->stub + STUB_SCRATCH,
				  sizeof(d) });
		memset(e->stub + STUB_SCRATCH, 0, sizeof(d));
		/* The kernel cuts this call's error off at 32 bits. */
		ret = (int32_t)ret;
		if (ret == -ESRCH)
			return -ESRCH;
		if (ret) {
			*why = "the host kernel refuses this kind of segment";
			return 1;
		}
		s->ldt[slot] = *g;
		s->ldt_known[slot] = true;
	}
	*sel = SEL(LDT_FIRST + slot, TI_LDT);
	return 0;
}

#define NO_SLOT PROCESS_NTLS

/* The guest's own entry where it is Linux's. */
static unsigned int own_slot(const struct plex86_seg *g)
{
	unsigned int index = g->sel >> 3;

	if (!(g->sel & TI_LDT) && index >= HOST_TLS_FIRST && index < HOST_TLS_FIRST + PROCESS_NTLS)
		return index - HOST_TLS_FIRST;
	return NO_SLOT;
}

/* FS and GS that the host's flat segments do not do for. */
static bool wants_tls(const struct plex86_seg *g)
{
	return !(g->attr & PLEX86_SEG_NULL) && !(flat(g) && plain_data(g)) && !is_code(g) &&
	       g->attr & PLEX86_SEG_DB;
}

/* Its own entry, unless FS has it; else any but the other's.  Three are enough for two. */
static unsigned int tls_slot(const struct plex86_cpu *cpu, unsigned int i)
{
	const struct plex86_seg *other = &cpu->seg[i == PLEX86_FS ? PLEX86_GS : PLEX86_FS];
	unsigned int own = own_slot(&cpu->seg[i]), taken = NO_SLOT;

	if (wants_tls(other))
		taken = i == PLEX86_GS ? tls_slot(cpu, PLEX86_FS) : own_slot(other);
	if (own != NO_SLOT && (i == PLEX86_FS || own != taken))
		return own;
	return taken == 0 ? 1 : 0;
}

/* One register of 32-bit code. */
static int load32(struct plex86_space *s, const struct plex86_cpu *cpu, unsigned int i,
		  uint16_t *sel, const char **why)
{
	const struct plex86_seg *g = &cpu->seg[i];

	if (i == PLEX86_CS) {
		if (flat(g) && g->attr & PLEX86_SEG_DB && g->attr & PLEX86_SEG_WRITE &&
		    !(g->attr & PLEX86_SEG_EXPAND_DOWN)) {
			*sel = HOST_CS32;
			return 0;
		}
		return use_ldt(s, i, g, sel, why);
	}
	if (g->attr & PLEX86_SEG_NULL) {
		*sel = 0;
		return 0;
	}
	if (flat(g) && plain_data(g) && (i != PLEX86_SS || g->attr & PLEX86_SEG_DB)) {
		*sel = HOST_DS;
		return 0;
	}
	if (flat(g) && is_code(g) && g->attr & PLEX86_SEG_WRITE && i != PLEX86_SS) {
		*sel = HOST_CS32;
		return 0;
	}
	if ((i == PLEX86_FS || i == PLEX86_GS) && wants_tls(g))
		return use_tls(s, tls_slot(cpu, i), g, sel);
	return use_ldt(s, i, g, sel, why);
}

/* One data register of 64-bit code, which ignores all of it but FS and GS base. */
static uint16_t load64(const struct plex86_engine *e, unsigned int i, const struct plex86_seg *g)
{
	bool base = i == PLEX86_FS || i == PLEX86_GS;

	if (g->attr & PLEX86_SEG_NULL || g->sel < TI_LDT)
		return 0;
	if (base && !e->fsgsbase)
		return 0;	/* any other selector would bring its own base */
	if (g->sel == HOST_CS32 || g->sel == HOST_CS64)
		return g->sel;
	return HOST_DS;
}

int segs_load(struct plex86_space *s, const struct plex86_cpu *cpu,
	      struct user_regs_struct *r, const char **why)
{
	bool code64 = cpu->mode == PLEX86_MODE_64;
	uint16_t sel[PLEX86_NSEG];
	unsigned int i;
	int err;

	for (i = 0; i < PLEX86_NSEG; i++) {
		/* Null too; but a program that put it there wants to read it back. */
		if (i != PLEX86_SS && cpu->seg[i].sel > 0 && cpu->seg[i].sel <= RPL_USER) {
			*why = "the host makes a null selector with an RPL 0 when it returns";
			return 1;
		}
		if (!code64) {
			err = load32(s, cpu, i, &sel[i], why);
			if (err)
				return err;
		} else if (i == PLEX86_CS) {
			sel[i] = HOST_CS64;
		} else if (i == PLEX86_SS) {
			sel[i] = HOST_DS;
		} else {
			sel[i] = load64(s->engine, i, &cpu->seg[i]);
		}
	}
	err = drop_stale_tls(s, sel);
	if (err)
		return err;
	r->es = sel[PLEX86_ES];
	r->cs = sel[PLEX86_CS];
	r->ss = sel[PLEX86_SS];
	r->ds = sel[PLEX86_DS];
	r->fs = sel[PLEX86_FS];
	r->gs = sel[PLEX86_GS];
	r->fs_base = cpu->seg[PLEX86_FS].base;
	r->gs_base = cpu->seg[PLEX86_GS].base;
	return 0;
}

/* The host's descriptor under a selector that guest code could load; @base: if that is null. */
static void host_seg(const struct plex86_space *s, uint16_t sel, uint64_t base,
		     struct plex86_seg *g)
{
	unsigned int index = sel >> 3;

	*g = (struct plex86_seg){ .limit = 0xffffffff };
	if (sel < TI_LDT) {
		g->limit = 0;
		g->base = base;		/* as the CPU leaves it */
		g->attr = PLEX86_SEG_NULL;
	} else if (sel & TI_LDT) {
		if (index >= LDT_FIRST && index < LDT_FIRST + PLEX86_NSEG &&
		    s->ldt_known[index - LDT_FIRST])
			*g = s->ldt[index - LDT_FIRST];
	} else if (index >= HOST_TLS_FIRST && index < HOST_TLS_FIRST + PROCESS_NTLS) {
		if (s->tls_known[index - HOST_TLS_FIRST])
			*g = s->tls[index - HOST_TLS_FIRST];
	} else {
		g->attr = ATTR_USER | PLEX86_SEG_G;
		switch (sel | RPL_USER) {
		case HOST_CS32:
			g->attr |= PLEX86_SEG_CODE | PLEX86_SEG_WRITE | PLEX86_SEG_DB;
			break;
		case HOST_CS64:
			g->attr |= PLEX86_SEG_CODE | PLEX86_SEG_WRITE | PLEX86_SEG_L;
			break;
		case HOST_DS:
			g->attr |= PLEX86_SEG_WRITE | PLEX86_SEG_DB;
			break;
		case HOST_CPUNODE:
			g->attr = ATTR_USER | PLEX86_SEG_EXPAND_DOWN | PLEX86_SEG_DB;
			g->limit = 0;
			break;
		}
	}
	g->sel = sel;
}

/* What guest code has loaded into the segment register @i, whose base is @base if it has its own. */
static void loaded_seg(const struct plex86_space *s, unsigned int i, uint16_t sel, uint64_t base,
		       struct plex86_seg *g)
{
	host_seg(s, sel, base, g);
	if ((i == PLEX86_FS || i == PLEX86_GS) && s->engine->fsgsbase && g->base != base) {
		g->base = base;
		g->attr |= PLEX86_SEG_BASE;
	}
}

void segs_store(const struct plex86_space *s, const struct user_regs_struct *in,
		const struct user_regs_struct *out, struct plex86_cpu *cpu)
{
	const uint64_t before[PLEX86_NSEG] = { in->es, in->cs, in->ss, in->ds, in->fs, in->gs };
	const uint64_t after[PLEX86_NSEG] = { out->es, out->cs, out->ss, out->ds, out->fs,
					      out->gs };
	const uint64_t old_base[PLEX86_NSEG] = { [PLEX86_FS] = in->fs_base,
						 [PLEX86_GS] = in->gs_base };
	const uint64_t base[PLEX86_NSEG] = { [PLEX86_FS] = out->fs_base,
					     [PLEX86_GS] = out->gs_base };
	bool code64 = out->cs == HOST_CS64;
	/* WRFSBASE may have come before a far jump to 32-bit code. */
	bool was64 = in->cs == HOST_CS64;
	unsigned int i;

	/* IRET to a 16-bit stack leaves a piece of a kernel address in RSP[63:32]. */
	if (!code64 && out->ss & TI_LDT)
		cpu->gpr[PLEX86_RSP] &= 0xffffffff;
	for (i = 0; i < PLEX86_NSEG; i++) {
		if (after[i] != before[i])
			loaded_seg(s, i, (uint16_t)after[i], base[i], &cpu->seg[i]);
		else if ((code64 || was64) && (i == PLEX86_FS || i == PLEX86_GS))
			cpu->seg[i].base = base[i];
		else if (after[i] == HOST_CS64 && i != PLEX86_CS && base[i] != old_base[i])
			loaded_seg(s, i, HOST_CS64, base[i], &cpu->seg[i]);	/* loaded again */
		else if (s->engine->fsgsbase && base[i] != old_base[i])
			cpu->seg[i].base = base[i];	/* loaded again, or in 64-bit code meanwhile */
	}
}
