// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * The world switch by ioctl: which events come back, with what state.  Runs in
 * the QEMU host (tests/kmod/run), needs /dev/plex86.
 */
#include <cpuid.h>
#include "kmod.h"
#include "../tap.h"

static struct machine m;

/* One check of an exit, shown with what came when it fails. */
static void check(int pass, const char *name)
{
	const struct plex86_run *r = &m.run;

	if (!tap_ok(pass, "%s", name))
		tap_diag("reason %u why %u vector %u error %#x addr %#llx rip %#llx rax %#llx rsp %#llx flags %#llx",
			 r->reason, r->why, r->vector, r->error_code,
			 (unsigned long long)r->addr, (unsigned long long)r->cpu.rip,
			 (unsigned long long)r->cpu.gpr[0],
			 (unsigned long long)r->cpu.gpr[PLEX86_RSP],
			 (unsigned long long)r->cpu.rflags);
}

#define REG(n) (m.run.cpu.gpr[PLEX86_##n])
#define AT(off) (m.run.cpu.rip == CODE + (off))
#define TRAP(v, off) (m.run.reason == PLEX86_RUN_TRAP && m.run.vector == (v) && AT(off))
#define PF(a, e) (m.run.reason == PLEX86_RUN_PAGE && m.run.addr == (a) && m.run.error_code == (e))

#define signature_TCG 0x54474354	/* "TCGT" */

/* QEMU 7.2 reports INT n through a DPL-0 gate in long mode as n * 16 + 2. */
static int int_error(unsigned int n)
{
	return m.run.error_code == n * 8 + 2 || m.run.error_code == n * 16 + 2;
}

static int under_tcg(void)
{
	unsigned int a, b, c, d;

	__cpuid(0x40000000, a, b, c, d);
	return b == signature_TCG;
}

static void traps64(void)
{
	int i, same = 1;

	load(&m, 64, BYTES(0x48, 0xc7, 0xc0, 0x34, 0x12, 0, 0, 0xcd, 0x80));
	go(&m);
	check(TRAP(13, 7) && int_error(0x80) && REG(RAX) == 0x1234, "64-bit: int 0x80 traps at itself");

	load(&m, 64, BYTES(0x0f, 0x0b));
	for (i = 0; i < 16; i++)
		if (i != PLEX86_RSP)
			m.run.cpu.gpr[i] = 0x1111111111111111ull * i + 5;
	go(&m);
	for (i = 0; i < 16; i++)
		if (i != PLEX86_RSP)
			same &= m.run.cpu.gpr[i] == 0x1111111111111111ull * i + 5;
	check(TRAP(6, 0) && same && REG(RSP) == STACK + 0x800 && m.run.cpu.rflags == 0x202,
	      "64-bit: ud2, all registers kept");

	load(&m, 64, BYTES(0x48, 0x8b, 0x04, 0x25, 0, 0, 0x20, 0));
	go(&m);
	check(PF(0x200000, 4) && AT(0), "64-bit: read of an unmapped page");
	load(&m, 64, BYTES(0xc7, 0x04, 0x25, 0, 0x80, 0x04, 0x08, 1, 0, 0, 0));
	go(&m);
	check(PF(CODE, 7) && AT(0), "64-bit: write to a read-only page");
	load(&m, 64, BYTES(0xff, 0xe0));
	REG(RAX) = DATA;
	go(&m);
	check(PF(DATA, 0x15) && m.run.cpu.rip == DATA, "64-bit: fetch from a page that is not executable");
	load(&m, 64, BYTES(0x48, 0x8b, 0));
	REG(RAX) = 0xffffffff81000000ull;
	go(&m);
	check(m.run.reason == PLEX86_RUN_PAGE && m.run.addr == 0xffffffff81000000ull && AT(0),
	      "64-bit: read of a kernel address");
	load(&m, 64, BYTES(0xff, 0xe0));
	REG(RAX) = 0xffffffff81000000ull;
	go(&m);
	check(m.run.reason == PLEX86_RUN_PAGE && m.run.addr == 0xffffffff81000000ull,
	      "64-bit: jump to a kernel address");
	load(&m, 64, BYTES(0x48, 0x8b, 0));
	REG(RAX) = 0x8000000000000000ull;
	go(&m);
	check(TRAP(13, 0), "64-bit: non-canonical address");
	load(&m, 64, BYTES(0x31, 0xc9, 0xf7, 0xf1));
	go(&m);
	check(TRAP(0, 2), "64-bit: division by zero");
}

static void privileged(void)
{
	static const struct {
		const char *name;
		unsigned char code[8];
		unsigned int n, vector;
	} list[] = {
		{ "hlt", { 0xf4 }, 1, 13 },
		{ "cli", { 0xfa }, 1, 13 },
		{ "sti", { 0xfb }, 1, 13 },
		{ "in al, dx", { 0xec }, 1, 13 },
		{ "out 0x80, al", { 0xe6, 0x80 }, 2, 13 },
		{ "mov rax, cr3", { 0x0f, 0x20, 0xd8 }, 3, 13 },
		{ "mov rax, dr7", { 0x0f, 0x21, 0xf8 }, 3, 13 },
		{ "wrmsr", { 0x0f, 0x30 }, 2, 13 },
		{ "rdtsc", { 0x0f, 0x31 }, 2, 13 },
		{ "rdpmc", { 0x0f, 0x33 }, 2, 13 },
		{ "invlpg", { 0x0f, 0x01, 0x38 }, 3, 13 },
		{ "syscall", { 0x0f, 0x05 }, 2, 6 },
		{ "int3", { 0xcc }, 1, 13 },
		{ "int 0xec (a host interrupt)", { 0xcd, 0xec }, 2, 13 },
		{ "int 2 (NMI)", { 0xcd, 0x02 }, 2, 13 },
		{ "int 0x12 (machine check)", { 0xcd, 0x12 }, 2, 13 },
		{ "lgdt", { 0x0f, 0x01, 0x10 }, 3, 13 },
		{ "ltr", { 0x0f, 0x00, 0xd8 }, 3, 13 },
		{ "swapgs", { 0x0f, 0x01, 0xf8 }, 3, 13 },
	};
	char name[64];
	size_t i;

	memset(m.stack, 0, PAGE);
	for (i = 0; i < sizeof(list) / sizeof(*list); i++) {
		load(&m, 64, list[i].code, list[i].n);
		REG(RAX) = DATA;
		REG(RCX) = 0;
		go(&m);
		snprintf(name, sizeof(name), "64-bit: %s traps", list[i].name);
		check(TRAP(list[i].vector, 0) && REG(RAX) == DATA && REG(RCX) == 0, name);
	}
	load(&m, 64, BYTES(0x0f, 0x34));
	go(&m);
	check(TRAP(m.run.vector, 0) && (m.run.vector == 13 || m.run.vector == 6), "64-bit: sysenter traps");
	load(&m, 32, BYTES(0x0f, 0x34));
	go(&m);
	check(TRAP(m.run.vector, 0) && (m.run.vector == 13 || m.run.vector == 6), "32-bit: sysenter traps");
	load(&m, 32, BYTES(0x0f, 0x05));
	go(&m);
	check(TRAP(6, 0), "32-bit: syscall traps");
	load(&m, 32, BYTES(0xce));
	m.run.cpu.rflags |= 0x800;
	go(&m);
	check(TRAP(13, 0) && int_error(4), "32-bit: into traps");
}

static void sensitive(void)
{
	static const struct {
		const char *name;
		unsigned char code[8];
		unsigned int n;
	} list[] = {
		{ "sgdt", { 0x0f, 0x01, 0x00 }, 3 },
		{ "sidt", { 0x0f, 0x01, 0x08 }, 3 },
		{ "smsw", { 0x0f, 0x01, 0xe0 }, 3 },
		{ "sldt", { 0x0f, 0x00, 0xc0 }, 3 },
		{ "str", { 0x0f, 0x00, 0xc8 }, 3 },
	};
	struct plex86_info info = { .size = sizeof(info) };
	char name[64];
	size_t i;

	call(m.dev, PLEX86_GET_INFO, &info);
	for (i = 0; i < sizeof(list) / sizeof(*list); i++) {
		snprintf(name, sizeof(name), "%s traps", list[i].name);
		if (!(info.caps & PLEX86_HOST_UMIP)) {
			tap_skip(name, "the CPU has no UMIP");
			continue;
		}
		load(&m, 64, list[i].code, list[i].n);
		REG(RAX) = DATA;
		go(&m);
		check(TRAP(13, 0), name);
	}
	if (info.caps & PLEX86_HOST_CPUID_FAULT) {
		load(&m, 64, BYTES(0x0f, 0xa2));
		go(&m);
		check(TRAP(13, 0), "cpuid traps");
	} else {
		tap_skip("cpuid traps", "the CPU has no CPUID faulting");
	}
}

static void state64(void)
{
	uint64_t x;

	load(&m, 64, BYTES(0x9c, 0x58, 0x0f, 0x0b));
	go(&m);
	check(TRAP(6, 2) && REG(RAX) == 0x202, "64-bit: pushf shows IF");
	load(&m, 64, BYTES(0x90, 0x90));
	m.run.cpu.rflags |= 0x100;
	go(&m);
	check(TRAP(1, 1) && m.run.addr & 0x4000, "64-bit: single step, DR6.BS");
	load(&m, 64, BYTES(0x65, 0x48, 0x8b, 0x04, 0x25, 8, 0, 0, 0,
			   0x64, 0x48, 0x8b, 0x1c, 0x25, 0x10, 0, 0, 0, 0x0f, 0x0b));
	m.run.cpu.seg[PLEX86_GS].base = DATA;
	m.run.cpu.seg[PLEX86_FS].base = DATA + 0x100;
	*(uint64_t *)(m.data + 8) = 0x1111;
	*(uint64_t *)(m.data + 0x110) = 0x2222;
	go(&m);
	check(TRAP(6, 18) && REG(RAX) == 0x1111 && REG(RBX) == 0x2222 &&
	      m.run.cpu.seg[PLEX86_GS].base == DATA && m.run.cpu.seg[PLEX86_FS].base == DATA + 0x100,
	      "64-bit: FS and GS base");
	load(&m, 64, BYTES(0xb8, 0x2b, 0, 0, 0, 0x8e, 0xe0, 0x8e, 0xd8, 0x8c, 0xe1, 0x0f, 0x0b));
	go(&m);
	check(TRAP(6, 11) && m.run.cpu.seg[PLEX86_FS].sel == 0x2b &&
	      m.run.cpu.seg[PLEX86_DS].sel == 0x2b && REG(RCX) == 0x2b, "64-bit: segment loads");
	load(&m, 64, BYTES(0x66, 0x48, 0x0f, 0x6e, 0xc0, 0x0f, 0x0b));
	REG(RAX) = 0x123456789aull;
	go(&m);
	asm volatile("movq %%xmm0, %0" : "=r"(x));
	check(TRAP(6, 5) && x == 0x123456789aull, "64-bit: vector registers are the thread's");
	load(&m, 64, BYTES(0x66, 0x48, 0x0f, 0x6e, 0xc0, 0x0f, 0x0b));
	m.run.cpu.cr0 |= 8;
	go(&m);
	check(TRAP(7, 0), "64-bit: CR0.TS gives #NM");
	load(&m, 64, BYTES(0x66, 0x48, 0x0f, 0x6e, 0xc0, 0x0f, 0x0b));
	m.run.cpu.cr4 &= ~0x200ull;
	go(&m);
	check(TRAP(6, 0), "64-bit: SSE without CR4.OSFXSR gives #UD");
	load(&m, 64, BYTES(0xf3, 0x48, 0x0f, 0xae, 0xc0));
	go(&m);
	check(TRAP(6, 0), "64-bit: rdfsbase without CR4.FSGSBASE gives #UD");
	load(&m, 64, BYTES(0x31, 0xc9, 0x0f, 0x01, 0xd0));
	go(&m);
	check(TRAP(6, 2), "64-bit: xgetbv without CR4.OSXSAVE gives #UD");
}

static void xcr0(void)
{
	struct plex86_info info = { .size = sizeof(info) };

	call(m.dev, PLEX86_GET_INFO, &info);
	if (!(info.caps & PLEX86_HOST_XSAVE)) {
		tap_skip("the guest's XCR0", "the CPU has no XSAVE");
		return;
	}
	load(&m, 64, BYTES(0x31, 0xc9, 0x0f, 0x01, 0xd0, 0x0f, 0x0b));
	m.run.cpu.cr4 |= 1ull << 18;
	m.run.cpu.xcr0 = 3;
	go(&m);
	check(TRAP(6, 5) && REG(RAX) == 3 && REG(RDX) == 0, "xgetbv gives the guest's XCR0");
	load(&m, 64, BYTES(0xc5, 0xfc, 0x58, 0xc0, 0x0f, 0x0b));
	m.run.cpu.cr4 |= 1ull << 18;
	m.run.cpu.xcr0 = 3;
	go(&m);
	check(TRAP(6, 0), "AVX without its XCR0 bit gives #UD");
	load(&m, 64, BYTES(0x0f, 0x0b));
	m.run.cpu.cr4 |= 1ull << 18;
	m.run.cpu.xcr0 = info.xcr0;
	go(&m);
	check(TRAP(6, 0), "all of the host's XCR0 is taken");
}

static void debug(void)
{
	load(&m, 64, BYTES(0x48, 0x89, 0x04, 0x25, 0x20, 0x00, 0x05, 0x08, 0x0f, 0x0b));
	m.run.cpu.dr[1] = DATA + 0x20;
	m.run.cpu.dr7 = 0x400 | 1 << 2 | 1 << 20 | 3 << 22;	/* L1, write, 4 bytes */
	go(&m);
	check(TRAP(1, 8) && (m.run.addr & 15) == 2, "data breakpoint: #DB after the store, DR6");
	load(&m, 64, BYTES(0x90, 0x90, 0x0f, 0x0b));
	m.run.cpu.dr[0] = CODE + 1;
	m.run.cpu.dr7 = 0x400 | 1;
	go(&m);
	check(TRAP(1, 1) && (m.run.addr & 15) == 1, "instruction breakpoint: #DB before it");
	load(&m, 64, BYTES(0x90, 0x0f, 0x0b));
	m.run.cpu.dr[0] = 0xffff888000000000ull;
	m.run.cpu.dr7 = 0x400 | 3 << 16 | 1;
	go(&m);
	check(TRAP(6, 1), "a breakpoint on a kernel address is left out");
}

static void refusals(void)
{
	static const struct {
		const char *name;
		int seg;
		uint16_t sel;
		uint32_t why;
	} list[] = {
		{ "CS in the host's slot", PLEX86_CS, 0x13, PLEX86_WHY_LOAD },
		{ "CS with RPL 0", PLEX86_CS, 0x10, PLEX86_WHY_SELECTOR },
		{ "CS is null", PLEX86_CS, 3, PLEX86_WHY_LOAD },
		{ "SS is code", PLEX86_SS, 0x33, PLEX86_WHY_LOAD },
		{ "SS with RPL 0", PLEX86_SS, 0x28, PLEX86_WHY_SELECTOR },
		{ "SS not there", PLEX86_SS, 0x73, PLEX86_WHY_LOAD },
		{ "DS not there", PLEX86_DS, 0x53, PLEX86_WHY_LOAD },
		{ "GS beyond the limit", PLEX86_GS, 0x1003, PLEX86_WHY_LOAD },
		{ "FS is the TSS", PLEX86_FS, 0x3e3, PLEX86_WHY_LOAD },
		{ "DS in an empty LDT slot", PLEX86_DS, 7, PLEX86_WHY_LOAD },
		{ "CS is the TSS", PLEX86_CS, 0x3e3, PLEX86_WHY_LOAD },
	};
	char name[64];
	size_t i;

	for (i = 0; i < sizeof(list) / sizeof(*list); i++) {
		load(&m, 64, BYTES(0x0f, 0x0b));
		m.run.cpu.seg[list[i].seg].sel = list[i].sel;
		REG(RBX) = 0x77;
		go(&m);
		snprintf(name, sizeof(name), "refused: %s", list[i].name);
		check(m.run.reason == PLEX86_RUN_REFUSED && m.run.why == list[i].why && AT(0) &&
		      REG(RBX) == 0x77, name);
	}
	load(&m, 64, BYTES(0x0f, 0x0b));
	m.run.cpu.rip = 0x8000000000000000ull;
	go(&m);
	check((m.run.reason == PLEX86_RUN_REFUSED && m.run.why == PLEX86_WHY_LOAD) ||
	      (m.run.reason == PLEX86_RUN_TRAP && m.run.vector == 13), "non-canonical RIP");
	load(&m, 64, BYTES(0x0f, 0x0b));
	m.run.cpu.seg[PLEX86_GS].base = 0x8000000000000000ull;
	go(&m);
	/* QEMU 7.2 does not check; hardware refuses the base. */
	check(m.run.reason == PLEX86_RUN_REFUSED || TRAP(6, 0), "non-canonical GS base");
	load(&m, 64, BYTES(0x0f, 0x0b));
	go(&m);
	check(TRAP(6, 0), "and all is well afterwards");
}

static void code32(void)
{
	uint32_t *data = (uint32_t *)m.data;

	load(&m, 32, BYTES(0xb8, 0x78, 0x56, 0x34, 0x12, 0x50, 0x5b, 0x0f, 0x0b));
	go(&m);
	check(TRAP(6, 7) && REG(RBX) == 0x12345678 && REG(RSP) == STACK + 0x800, "32-bit: push, pop");
	load(&m, 32, BYTES(0xa1, 0, 0, 0xf0, 0xff));
	go(&m);
	check(PF(0xfff00000, 4), "32-bit: page fault at the top");
	load(&m, 32, BYTES(0x40, 0x48, 0x0f, 0x0b));
	go(&m);
	check(TRAP(6, 2), "32-bit: 40 and 48 are inc and dec");
	load(&m, 32, BYTES(0x9a, 0, 0, 0, 0, 0x13, 0));
	go(&m);
	check(TRAP(13, 0) && (m.run.error_code & ~3u) == 0x10, "32-bit: far call to the nexus's code segment");
	load(&m, 32, BYTES(0xb8, 0xe3, 0x03, 0, 0, 0x8e, 0xd8));
	go(&m);
	check(TRAP(13, 5) && (m.run.error_code & ~3u) == 0x3e0, "32-bit: loading the TSS selector");
	load(&m, 32, BYTES(0xb8, 0x10, 0, 0, 0, 0x0f, 0x02, 0xd8, 0x0f, 0x94, 0xc1, 0x0f, 0x0b));
	go(&m);
	check(TRAP(6, 11) && (REG(RCX) & 0xff) == 0, "32-bit: lar does not see the nexus's code segment");

	m.gdt[20] = 0x00cffb000000ffffull | (CODE & 0xffffff) << 16 | (CODE >> 24) << 56;
	m.gdt[21] = 0x00cff3000000ffffull | (DATA & 0xffffff) << 16 | (DATA >> 24) << 56;
	m.gdt[22] = 0x0000fb000000ffffull | (CODE & 0xffffff) << 16 | (CODE >> 24) << 56;
	m.gdt[23] = 0x0000f3000000ffffull | (STACK & 0xffffff) << 16 | (STACK >> 24) << 56;
	m.gdt[8] = m.gdt[21];
	m.ldt[1] = m.gdt[21];
	m.ldt[2] = 0x0040f30000000fffull | (DATA & 0xffffff) << 16 | (DATA >> 24) << 56;
	is(set_tables(&m), 0, "descriptors are taken");

	data[8] = 0xabcd;
	load(&m, 32, BYTES(0xa1, 0x20, 0, 0, 0, 0x0f, 0x0b));
	m.run.cpu.seg[PLEX86_CS].sel = 20 * 8 + 3;
	m.run.cpu.seg[PLEX86_DS].sel = 21 * 8 + 3;
	m.run.cpu.rip = 0;
	go(&m);
	check(m.run.vector == 6 && m.run.cpu.rip == 5 && REG(RAX) == 0xabcd, "32-bit: based CS and DS");
	load(&m, 32, BYTES(0xa1, 0x20, 0, 0, 0, 0x0f, 0x0b));
	m.run.cpu.seg[PLEX86_DS].sel = 8 * 8 + 3;
	go(&m);
	check(TRAP(6, 5) && REG(RAX) == 0xabcd, "32-bit: a descriptor in the host TSS's slot");
	load(&m, 32, BYTES(0xa1, 0x20, 0, 0, 0, 0x0f, 0x0b));
	m.run.cpu.seg[PLEX86_DS].sel = 1 * 8 + 7;
	go(&m);
	check(TRAP(6, 5) && REG(RAX) == 0xabcd, "32-bit: DS in the LDT");
	load(&m, 32, BYTES(0xb8, 0x17, 0, 0, 0, 0x8e, 0xd8, 0xa1, 0x20, 0, 0, 0, 0x0f, 0x0b));
	go(&m);
	check(TRAP(6, 12) && REG(RAX) == 0xabcd && m.run.cpu.seg[PLEX86_DS].sel == 0x17,
	      "32-bit: loading an LDT selector");
	load(&m, 32, BYTES(0xa1, 0, 0x10, 0, 0));
	m.run.cpu.seg[PLEX86_DS].sel = 0x17;
	go(&m);
	if (under_tcg() && m.run.reason == PLEX86_RUN_PAGE)
		tap_skip("32-bit: access beyond a segment's limit", "TCG does not check limits");
	else
		check(TRAP(13, 0), "32-bit: access beyond a segment's limit");

	load(&m, 32, BYTES(0xb8, 0x34, 0x12, 0x66, 0xbb, 1, 0, 0, 0, 0x0f, 0x0b));
	m.run.cpu.seg[PLEX86_CS].sel = 22 * 8 + 3;
	m.run.cpu.rip = 0;
	go(&m);
	check(m.run.vector == 6 && m.run.cpu.rip == 9 && (REG(RAX) & 0xffff) == 0x1234 && REG(RBX) == 1,
	      "16-bit: code segment");
	load(&m, 32, BYTES(0x6a, 0x55, 0x5b, 0x89, 0xe2, 0x0f, 0x0b));
	m.run.cpu.seg[PLEX86_CS].sel = 20 * 8 + 3;
	m.run.cpu.seg[PLEX86_SS].sel = 23 * 8 + 3;
	m.run.cpu.rip = 0;
	REG(RSP) = 0xdeaf0100;
	go(&m);
	check(m.run.vector == 6 && m.run.cpu.rip == 5 && REG(RBX) == 0x55 && REG(RSP) == 0xdeaf0100 &&
	      REG(RDX) == 0xdeaf0100, "16-bit stack: the upper half of ESP is kept");
}

static void spaces(void)
{
	struct plex86_op op[3] = {
		{ .kind = PLEX86_OP_UNMAP_ALL },
		{ .kind = PLEX86_OP_MAP, .prot = PLEX86_PAGE_EXEC, .gva = 0, .off = 0, .npages = 1 },
		{ .kind = PLEX86_OP_MAP, .prot = PLEX86_PAGE_WRITE, .gva = (1ull << 47) - 2 * PAGE,
		  .off = PAGE, .npages = 1 },
	};
	struct plex86_apply a = { .size = sizeof(a), .n = 3, .ops = (uintptr_t)op };
	int first = m.space;

	load(&m, 64, BYTES(0x48, 0x8b, 0x04, 0x25, 0, 0, 0x05, 0x08, 0x0f, 0x0b));
	*(uint64_t *)m.data = 0x5555;
	go(&m);
	check(TRAP(6, 8) && REG(RAX) == 0x5555, "a mapped page is read");
	is(unmap(&m, DATA, 1), 0, "unmap");
	load(&m, 64, BYTES(0x48, 0x8b, 0x04, 0x25, 0, 0, 0x05, 0x08, 0x0f, 0x0b));
	go(&m);
	check(PF(DATA, 4), "and is gone when it is unmapped");
	is(map(&m, DATA, 3 * PAGE, 1, PLEX86_PAGE_READ), 0, "map another");
	*(uint64_t *)(m.ram + 3 * PAGE) = 0x6666;
	load(&m, 64, BYTES(0x48, 0x8b, 0x04, 0x25, 0, 0, 0x05, 0x08, 0x0f, 0x0b));
	go(&m);
	check(TRAP(6, 8) && REG(RAX) == 0x6666, "a replaced page shows the new one");
	is(map(&m, DATA, PAGE, 1, PLEX86_PAGE_WRITE), 0, "map the first again");

	m.space = call(m.vm, PLEX86_SPACE_CREATE, NULL);
	ok(m.space >= 0);
	is(set_tables(&m), 0, "a second space");
	is(call(m.space, PLEX86_SPACE_APPLY, &a), 0, "the first and the last page that can be mapped");
	is(a.done, 3, "all done");
	load(&m, 64, BYTES(0x48, 0xa3, 0xf8, 0xef, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0x0f, 0x0b));
	m.run.cpu.rip = 0;
	REG(RAX) = 0x7777;
	go(&m);
	check(m.run.vector == 6 && m.run.cpu.rip == 10 && *(uint64_t *)(m.data + PAGE - 8) == 0x7777,
	      "code at linear 0 writes to the last page");
	close(m.space);
	m.space = first;
	load(&m, 64, BYTES(0x48, 0x8b, 0x04, 0x25, 0xf8, 0x0f, 0x05, 0x08, 0x0f, 0x0b));
	go(&m);
	check(TRAP(6, 8) && REG(RAX) == 0x7777, "the first space still works");
}

static void budget(void)
{
	load(&m, 64, BYTES(0x48, 0xff, 0xc0, 0xeb, 0xfb));
	m.run.budget_ns = 50000000;
	go(&m);
	check(m.run.reason == PLEX86_RUN_DEADLINE && REG(RAX) > 1000 && m.run.ran_ns >= 50000000,
	      "a spinning guest ends at its deadline");
	tap_diag("%.1f M iterations/s, %u host interrupts", REG(RAX) * 1e3 / m.run.ran_ns,
		 m.run.host_irqs);
	load(&m, 64, BYTES(0x48, 0xff, 0xc0, 0xeb, 0xfb));
	m.run.budget_ns = 0;
	go(&m);
	check(m.run.reason == PLEX86_RUN_DEADLINE && AT(0) && REG(RAX) == 0, "no budget, no run");
	is(call(m.vcpu, PLEX86_VCPU_KICK, NULL), 0, "kick");
	load(&m, 64, BYTES(0x48, 0xff, 0xc0, 0xeb, 0xfb));
	go(&m);
	check(m.run.reason == PLEX86_RUN_KICK && AT(0), "a kick ends the next run");
	load(&m, 64, BYTES(0x0f, 0x0b));
	go(&m);
	check(TRAP(6, 0), "and only that");
}

int main(void)
{
	long ret = machine_open(&m);

	if (ret) {
		tap_ok(0, "a machine: %s", strerror(-ret));
		return tap_done();
	}
	traps64();
	privileged();
	sensitive();
	state64();
	xcr0();
	debug();
	refusals();
	code32();
	spaces();
	budget();
	machine_close(&m);
	return tap_done();
}
