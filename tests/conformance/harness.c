// SPDX-License-Identifier: LGPL-2.1-or-later
/* See harness.h. */
#define _GNU_SOURCE
#include <errno.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../tap.h"
#include "harness.h"

const struct plex86_engine_ops *ops;
struct plex86_engine *engine;
const struct plex86_caps *caps;
uint8_t *ram;
int ram_fd = -1;

bool report(bool pass, const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return tap_ok(pass, "%s", text);
}

void note(const char *fmt, ...)
{
	char text[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	tap_diag("%s", text);
}

void skip(const char *name, const char *why)
{
	tap_skip(name, why);
}

int finish(void)
{
	return tap_done();
}

bool open_engine(const struct plex86_engine_ops *candidate, uint32_t max_spaces)
{
	struct plex86_engine_config config = { .ram_size = RAM_SIZE, .max_spaces = max_spaces };
	char why[PLEX86_WHY_LEN] = "no reason given";
	int err;

	ops = candidate;
	ram_fd = memfd_create("guest", MFD_CLOEXEC);
	if (ram_fd < 0 || ftruncate(ram_fd, RAM_SIZE)) {
		report(0, "%s: guest memory (%s)", ops->name, strerror(errno));
		return false;
	}
	ram = mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, 0);
	if (ram == MAP_FAILED) {
		report(0, "%s: guest memory (%s)", ops->name, strerror(errno));
		return false;
	}
	config.ram_fd = ram_fd;
	config.ram = ram;
	err = ops->open(&config, &engine, why);
	if (!report(!err, "%s: open", ops->name)) {
		note("%s (%d)", why, err);
		return false;
	}
	caps = ops->caps(engine);
	reset_ram();
	return true;
}

void open_or_skip(const struct plex86_engine_ops *candidate, uint32_t max_spaces)
{
	char why[PLEX86_WHY_LEN] = "";

	alarm(300);	/* a hang is a failure */
	if (candidate->probe(why)) {
		printf("1..0 # SKIP %s\n", why);
		exit(0);
	}
	if (!open_engine(candidate, max_spaces))
		exit(finish());
}

void close_engine(void)
{
	ops->close(engine);
	engine = NULL;
	munmap(ram, RAM_SIZE);
	close(ram_fd);
}

void reset_ram(void)
{
	memset(ram + RAM_PATCH, 0xcc, PAGE(PATCH_PAGES));
	memset(ram + RAM_DATA, 0, PAGE(DATA_PAGES));
	memset(ram + RAM_STACK, 0, PAGE(STACK_PAGES));
	memcpy(ram + RAM_CODE64, guest64_start, (size_t)(guest64_end - guest64_start));
	memcpy(ram + RAM_CODE32, guest32_start, (size_t)(guest32_end - guest32_start));
}

int map_pages(struct plex86_space *s, uint64_t va, uint64_t off, uint64_t pages, uint32_t prot)
{
	const struct plex86_map_op op = { .kind = PLEX86_MAP, .prot = prot, .gva = { va },
					  .off = { off }, .npages = pages };

	return ops->apply(s, &op, 1, NULL);
}

int unmap_pages(struct plex86_space *s, uint64_t va, uint64_t pages)
{
	const struct plex86_map_op op = { .kind = PLEX86_UNMAP, .gva = { va }, .npages = pages };

	return ops->apply(s, &op, 1, NULL);
}

struct plex86_space *fresh_space(void)
{
	const struct plex86_map_op map[] = {
		{ PLEX86_MAP, RX, { VA_CODE64 }, { RAM_CODE64 }, CODE_PAGES },
		{ PLEX86_MAP, RX, { VA_CODE32 }, { RAM_CODE32 }, CODE_PAGES },
		{ PLEX86_MAP, RX, { VA_PATCH }, { RAM_PATCH }, PATCH_PAGES },
		{ PLEX86_MAP, RW, { VA_DATA }, { RAM_DATA }, DATA_PAGES },
		{ PLEX86_MAP, RW, { VA_STACK }, { RAM_STACK }, STACK_PAGES },
	};
	struct plex86_space *s = NULL;
	int err;

	reset_ram();
	err = ops->space_create(engine, &s);
	if (!err)
		err = ops->apply(s, map, sizeof(map) / sizeof(map[0]), NULL);
	if (err) {
		printf("Bail out! can't make a space (%d)\n", err);
		exit(1);
	}
	return s;
}

static void init_common(struct plex86_cpu *cpu, uint64_t rip)
{
	memset(cpu, 0, sizeof(*cpu));
	cpu->gpr[PLEX86_RSP] = STACK_TOP;
	cpu->rip = rip;
	cpu->rflags = FLAG_IF | 2;
	cpu->cr0 = 0x80050033;		/* PG AM WP NE ET MP PE */
	cpu->cr4 = 0x506f0;		/* OSXSAVE FSGSBASE OSXMMEXCPT OSFXSR PGE MCE PAE PSE */
	cpu->dr6 = 0xffff0ff0;
	cpu->dr7 = 0x400;
	cpu->xcr0 = caps->xcr0;
}

void init_cpu64(struct plex86_cpu *cpu, uint64_t rip)
{
	const struct plex86_seg data = { .sel = 0x2b, .attr = 0xc0f3, .limit = 0xffffffff };
	unsigned int i;

	init_common(cpu, rip);
	for (i = 0; i < PLEX86_NGPR; i++)
		if (i != PLEX86_RSP)
			cpu->gpr[i] = UINT64_C(0x0123456700000001) * (i + 1);
	for (i = 0; i < PLEX86_NSEG; i++)
		cpu->seg[i] = (struct plex86_seg){ .attr = PLEX86_SEG_NULL };
	cpu->seg[PLEX86_CS] = (struct plex86_seg){ .sel = 0x33, .attr = 0xa0fb,
						   .limit = 0xffffffff };
	cpu->seg[PLEX86_SS] = data;
	cpu->seg[PLEX86_FS].base = VA_DATA + 0x100;
	cpu->seg[PLEX86_GS].base = VA_DATA + 0x200;
	cpu->efer = 0xd01;		/* NXE LMA LME SCE */
	cpu->mode = PLEX86_MODE_64;
}

/* As Linux on i386 has it: selectors that no 64-bit host has. */
void init_cpu32(struct plex86_cpu *cpu, uint64_t rip)
{
	const struct plex86_seg data = { .sel = 0x7b, .attr = 0xc0f3, .limit = 0xffffffff };
	unsigned int i;

	init_common(cpu, rip);
	for (i = 0; i < 8; i++)
		if (i != PLEX86_RSP)
			cpu->gpr[i] = 0x01234567u * (i + 1) & 0xffffffff;
	for (i = 0; i < PLEX86_NSEG; i++)
		cpu->seg[i] = data;
	cpu->seg[PLEX86_CS] = (struct plex86_seg){ .sel = 0x73, .attr = 0xc0fb,
						   .limit = 0xffffffff };
	cpu->seg[PLEX86_FS] = (struct plex86_seg){ .attr = PLEX86_SEG_NULL };
	cpu->seg[PLEX86_GS] = (struct plex86_seg){ .sel = 0x33, .attr = 0xd0f3,
						   .limit = 0xffffffff,
						   .base = VA_DATA + 0x200 };
	cpu->mode = PLEX86_MODE_32;
}

/* @components of the vector state in use, each byte depending on @seed. */
void init_vec(struct plex86_vec *vec, uint64_t seed, uint64_t components)
{
	uint8_t *p = (uint8_t *)vec;
	unsigned int i;

	plex86_vec_init(vec);
	/* Registers only: from XMM0 to the end of ZMM31, and the x87 stack below. */
	for (i = 32; i < 416; i++)
		p[i] = (uint8_t)(seed * 7 + i * 13);
	for (i = offsetof(struct plex86_vec, ymm_hi); i < offsetof(struct plex86_vec, valid); i++)
		p[i] = (uint8_t)(seed * 7 + i * 13);
	for (i = 0; i < 8; i++)		/* the tenth byte of ST is its last */
		memset(vec->legacy + 32 + i * 16 + 10, 0, 6);
	vec->legacy[0] = 0x7f;		/* FCW: all masked, extended precision */
	vec->legacy[1] = 0x03;
	vec->legacy[3] = (uint8_t)(seed % 8 << 3);	/* FSW.TOP */
	vec->legacy[4] = 0xff;		/* FTW: all in use */
	vec->legacy[25] = 0x1f + (uint8_t)(seed % 4 << 5);	/* MXCSR: masked, a rounding mode */
	vec->legacy[24] = 0x80;
	vec->valid = components & caps->xcr0;
}

void init_trial32(struct trial *t, const uint8_t *at, uint32_t mode)
{
	init_cpu32(&t->cpu, AT32(at));
	init_vec(&t->vec, 2, caps->xcr0);
	t->cpu.mode = mode;
	if (mode == PLEX86_MODE_COMPAT)
		t->cpu.efer = 0xd01;
}

void run_trial(struct plex86_space *s, struct trial *t, uint32_t flags, uint64_t budget_ns)
{
	t->before = t->cpu;
	t->vec_before = t->vec;
	memset(&t->exit, 0xa5, sizeof(t->exit));
	t->err = ops->run(s, &t->cpu, &t->vec, flags, budget_ns, &t->exit);
}

void run_to_trap(struct plex86_space *s, struct trial *t)
{
	struct plex86_cpu before = t->cpu;
	struct plex86_vec vec_before = t->vec;

	run_trial(s, t, 0, FOREVER);
	while (!t->err && t->exit.reason == PLEX86_EXIT_DEADLINE)
		run_trial(s, t, PLEX86_RUN_VEC_SAME, FOREVER);
	t->before = before;
	t->vec_before = vec_before;
}

static bool diag64(const char *what, uint64_t got, uint64_t want)
{
	note("%s: got %#llx, want %#llx", what, (unsigned long long)got,
		 (unsigned long long)want);
	return false;
}

bool same_state(const struct trial *t, uint64_t rip, uint32_t may)
{
	static const char *const gpr[] = { "RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI",
					   "R8", "R9", "R10", "R11", "R12", "R13", "R14", "R15" };
	static const char *const sreg[] = { "ES", "CS", "SS", "DS", "FS", "GS" };
	const struct plex86_cpu *a = &t->before, *b = &t->cpu;
	bool good = true;
	unsigned int i;

	if (t->err)
		return diag64("run() failed, -errno", (uint64_t)-t->err, 0);
	for (i = 0; i < PLEX86_NGPR; i++)
		if (!(may >> i & 1) && a->gpr[i] != b->gpr[i])
			good = diag64(gpr[i], b->gpr[i], a->gpr[i]);
	if (b->rip != rip)
		good = diag64("RIP", b->rip, rip);
	if (!(may & MAY_FLAGS) && a->rflags != b->rflags)
		good = diag64("RFLAGS", b->rflags, a->rflags);
	for (i = 0; i < PLEX86_NSEG; i++) {
		if (a->seg[i].sel != b->seg[i].sel || a->seg[i].attr != b->seg[i].attr ||
		    a->seg[i].limit != b->seg[i].limit)
			good = diag64(sreg[i], b->seg[i].sel, a->seg[i].sel);
		if (!(may & MAY_BASES) && a->seg[i].base != b->seg[i].base)
			good = diag64(sreg[i], b->seg[i].base, a->seg[i].base);
	}
	if (memcmp(&a->cr0, &b->cr0, sizeof(*a) - offsetof(struct plex86_cpu, cr0))) {
		note("control registers were written to");
		good = false;
	}
	if (!(may & MAY_VEC) && !plex86_vec_equal(&t->vec_before, &t->vec)) {
		note("vector state changed (valid %#llx, was %#llx)",
			 (unsigned long long)t->vec.valid, (unsigned long long)t->vec_before.valid);
		good = false;
	}
	return good;
}

bool is_reason(const struct trial *t, uint32_t reason)
{
	if (t->err)
		return diag64("run() failed, -errno", (uint64_t)-t->err, 0);
	if (t->exit.reason != reason) {
		diag64("exit reason", t->exit.reason, reason);
		note("at RIP %#llx, address %#llx, vector %#x%s%s",
			 (unsigned long long)t->cpu.rip, (unsigned long long)t->exit.addr,
			 t->exit.vector, t->exit.why ? ", " : "", t->exit.why ? t->exit.why : "");
		return false;
	}
	return true;
}

bool is_trap(const struct trial *t, uint32_t vector)
{
	if (!is_reason(t, PLEX86_EXIT_TRAP))
		return false;
	if (vector != ANY_VECTOR && t->exit.vector != vector &&
	    (caps->flags & PLEX86_CAP_ERRORCODE || t->exit.vector != PLEX86_VECTOR_UNKNOWN))
		return diag64("vector", t->exit.vector, vector);
	return true;
}

bool is_page(const struct trial *t, uint64_t addr)
{
	if (!is_reason(t, PLEX86_EXIT_PAGE))
		return false;
	return t->exit.addr == addr || diag64("address", t->exit.addr, addr);
}
