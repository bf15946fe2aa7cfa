// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Every error that include/plex86/uapi.h documents, each from a call that is
 * valid but for one thing, and that a refusal leaves all as it was.  What depends
 * on who calls, and on what else is going on, is in callers.c.
 */
#include <asm/ldt.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kmod.h"
#include "../tap.h"

static struct machine m;

static const unsigned char ud2[] = { 0x0f, 0x0b };

static int still_works(void)
{
	load(&m, 64, ud2, sizeof(ud2));
	return !go(&m) && m.run.reason == PLEX86_RUN_TRAP && m.run.vector == 6;
}

static void test_numbers(void)
{
	int fd[4] = { m.dev, m.vm, m.space, m.vcpu };
	unsigned long cmds[] = {
		PLEX86_GET_INFO, PLEX86_VM_CREATE, PLEX86_VM_ADD_RAM, PLEX86_SPACE_CREATE,
		PLEX86_VCPU_CREATE, PLEX86_SPACE_APPLY, PLEX86_SPACE_DESCRIPTORS,
		PLEX86_VCPU_RUN, PLEX86_VCPU_KICK,
	};
	int owner[] = { 0, 0, 1, 1, 1, 2, 2, 3, 3 };
	int i, j, good = 1;

	for (i = 0; i < 4; i++)
		good &= call(fd[i], _IO(PLEX86_IOC, 0xff), NULL) == -ENOTTY &&
			call(fd[i], _IO('x', 1), NULL) == -ENOTTY;
	tap_ok(good, "unknown commands: ENOTTY");
	for (i = 0, good = 1; i < 9; i++)
		for (j = 0; j < 4; j++)
			if (j != owner[i])
				good &= call(fd[j], cmds[i], NULL) == -ENOTTY;
	tap_ok(good, "another object's commands: ENOTTY");
	is(call(m.dev, PLEX86_VM_CREATE, (void *)1), -EINVAL, "VM_CREATE with an argument");
	is(call(m.vm, PLEX86_SPACE_CREATE, (void *)1), -EINVAL, "SPACE_CREATE with an argument");
	is(call(m.vm, PLEX86_VCPU_CREATE, (void *)1), -EINVAL, "VCPU_CREATE with an argument");
	is(call(m.vcpu, PLEX86_VCPU_KICK, (void *)1), -EINVAL, "VCPU_KICK with an argument");
}

/* The rules for all structures, tried on one call each. */
static void head(int fd, unsigned long cmd, void *good, uint32_t size, const char *name)
{
	uint32_t room[1024 + 64] = { 0 };
	char text[80];

	memcpy(room, good, size);
	room[0] = size - 4;
	snprintf(text, sizeof(text), "%s: shorter than version 1", name);
	is(call(fd, cmd, room), -EINVAL, text);
	room[0] = 0;
	snprintf(text, sizeof(text), "%s: no size", name);
	is(call(fd, cmd, room), -EINVAL, text);
	room[0] = size;
	room[1] = 1;
	snprintf(text, sizeof(text), "%s: unknown flags", name);
	is(call(fd, cmd, room), -EINVAL, text);
	room[1] = 0;
	snprintf(text, sizeof(text), "%s: a bad pointer", name);
	is(call(fd, cmd, (void *)16), -EFAULT, text);
	if (cmd == PLEX86_VCPU_RUN) {
		room[0] = size + 8;
		snprintf(text, sizeof(text), "%s: longer than known", name);
		is(call(fd, cmd, room), -E2BIG, text);
		return;
	}
	room[0] = size + 8;
	room[size / 4 + 1] = 1;
	snprintf(text, sizeof(text), "%s: longer, with something in it", name);
	is(call(fd, cmd, room), -E2BIG, text);
	room[0] = 8192;
	snprintf(text, sizeof(text), "%s: absurdly long", name);
	is(call(fd, cmd, room), -E2BIG, text);
}

static void test_heads(void)
{
	struct plex86_info info = { .size = sizeof(info) };
	struct plex86_ram ram = { .size = sizeof(ram), .offset = 1 << 30, .bytes = PAGE };
	struct plex86_apply apply = { .size = sizeof(apply) };
	struct plex86_descriptors tables = { .size = sizeof(tables) };
	struct { struct plex86_info i; uint64_t more; } longer = { .i.size = sizeof(longer) };

	ram.addr = (uintptr_t)m.ram;
	head(m.dev, PLEX86_GET_INFO, &info, sizeof(info), "GET_INFO");
	head(m.vm, PLEX86_VM_ADD_RAM, &ram, sizeof(ram), "VM_ADD_RAM");
	head(m.space, PLEX86_SPACE_APPLY, &apply, sizeof(apply), "SPACE_APPLY");
	head(m.space, PLEX86_SPACE_DESCRIPTORS, &tables, sizeof(tables), "SPACE_DESCRIPTORS");
	load(&m, 64, ud2, sizeof(ud2));
	head(m.vcpu, PLEX86_VCPU_RUN, &m.run, sizeof(m.run), "VCPU_RUN");
	is(call(m.dev, PLEX86_GET_INFO, &longer), 0, "GET_INFO: longer, with zeroes");
	is(longer.i.size, sizeof(info), "and says how much it knows");
	is(call(m.dev, PLEX86_GET_INFO, &info), 0, "GET_INFO");
	ok(info.va_limit == (1ull << 47) - PAGE && (info.xcr0 & 3) == 3 && info.max_gdt && info.max_ops);
}

static void test_ram(void)
{
	const struct plex86_ram good = { .size = sizeof(good), .offset = 1 << 30,
					 .addr = (uintptr_t)m.ram, .bytes = PAGE };
	struct plex86_ram r;
	unsigned int i;
	long ret = 0;

#define RAM(change, want, name) do {						\
		r = good;							\
		change;								\
		is(call(m.vm, PLEX86_VM_ADD_RAM, &r), want, name);		\
	} while (0)
	RAM(r.offset += 8, -EINVAL, "RAM: offset misaligned");
	RAM(r.addr += 8, -EINVAL, "RAM: address misaligned");
	RAM(r.bytes += 8, -EINVAL, "RAM: size misaligned");
	RAM(r.bytes = 0, -EINVAL, "RAM: empty");
	RAM(r.bytes = -PAGE, -EINVAL, "RAM: wraps");
	RAM(r.offset = -PAGE, -EINVAL, "RAM: offset wraps");
	RAM(r.addr = 0xffffffff80000000ull, -EFAULT, "RAM: the kernel's memory");
	RAM(r.offset = 0, -EEXIST, "RAM: overlaps");
	RAM(r.offset = (NPAGES - 1) * PAGE, -EEXIST, "RAM: overlaps at the end");
	for (i = 1; i < 100 && !ret; i++) {
		r = good;
		r.offset += i * (1 << 20);
		ret = call(m.vm, PLEX86_VM_ADD_RAM, &r);
	}
	is(ret, -ENOSPC, "RAM: too many ranges");
	is(i, 16, "which are more than 16, with two that were there");
}

static long one(struct plex86_op op, uint32_t *done)
{
	struct plex86_apply a = { .size = sizeof(a), .n = 1, .done = 77, .ops = (uintptr_t)&op };
	long ret = call(m.space, PLEX86_SPACE_APPLY, &a);

	*done = a.done;
	return ret;
}

static void test_apply(void)
{
	const struct plex86_op good = { .kind = PLEX86_OP_MAP, .prot = PLEX86_PAGE_READ,
					.gva = 1 << 20, .off = PAGE, .npages = 1 };
	struct plex86_apply a = { .size = sizeof(a), .n = 1, .ops = 16 };
	struct plex86_op three[3] = { good, good, good };
	struct plex86_op op;
	uint32_t done;

#define OP(change, want, name) do {						\
		op = good;							\
		change;								\
		is(one(op, &done), want, name);					\
		is(done, 0, name ": nothing done");				\
	} while (0)
	OP(op.kind = 0, -EINVAL, "apply: kind 0");
	OP(op.kind = 4, -EINVAL, "apply: kind 4");
	OP(op.prot = 0, -EINVAL, "apply: no protection");
	OP(op.prot = 8, -EINVAL, "apply: unknown protection");
	OP(op.gva++, -EINVAL, "apply: address misaligned");
	OP(op.off++, -EINVAL, "apply: offset misaligned");
	OP(op.npages = 0, -EINVAL, "apply: no pages");
	OP(op.off = NPAGES * PAGE, -EINVAL, "apply: behind the RAM");
	OP((op.off = (NPAGES - 1) * PAGE, op.npages = 2), -EINVAL, "apply: over the RAM's end");
	OP(op.off = -PAGE, -EINVAL, "apply: offset -1 page");
	OP(op.gva = 1ull << 47, -EINVAL, "apply: above the user half");
	OP(op.gva = (1ull << 47) - PAGE, -EINVAL, "apply: the last page of the user half");
	OP((op.gva = (1ull << 47) - 2 * PAGE, op.npages = 2), -EINVAL, "apply: into the last page");
	OP((op.kind = PLEX86_OP_UNMAP, op.gva = (1ull << 47) - PAGE), -EINVAL, "apply: unmap the last page");
	OP(op.gva = 0xffff800000000000ull, -EINVAL, "apply: the upper half");
	OP(op.gva = 0xffffffff81000000ull, -EINVAL, "apply: the kernel");
	OP(op.npages = 1ull << 52, -EINVAL, "apply: wraps");
	OP((op.kind = PLEX86_OP_UNMAP, op.gva = 0xffff800000000000ull), -EINVAL,
	   "apply: unmap the nexus");
	is(call(m.space, PLEX86_SPACE_APPLY, &a), -EFAULT, "apply: operations at a bad address");
	a.n = 1u << 20;
	is(call(m.space, PLEX86_SPACE_APPLY, &a), -EINVAL, "apply: too many operations");
	three[1].off = 1;
	a.n = 3;
	a.ops = (uintptr_t)three;
	is(call(m.space, PLEX86_SPACE_APPLY, &a), -EINVAL, "apply: the second of three is bad");
	is(a.done, 1, "the first was done");
}

static long tables(unsigned int slot, uint64_t value, int ldt)
{
	uint64_t t[256] = { 0 };
	struct plex86_descriptors d = { .size = sizeof(d) };

	t[slot] = value;
	if (ldt) {
		d.nldt = slot + 1;
		d.ldt = (uintptr_t)t;
	} else {
		d.ngdt = slot + 1;
		d.gdt = (uintptr_t)t;
	}
	return call(m.space, PLEX86_SPACE_DESCRIPTORS, &d);
}

static void test_descriptors(void)
{
	struct plex86_info info = { .size = sizeof(info) };
	struct plex86_descriptors d = { .size = sizeof(d), .ngdt = 4, .gdt = 16 };

	call(m.dev, PLEX86_GET_INFO, &info);
	is(tables(0, D_CODE64, 0), -EINVAL, "GDT: the null descriptor");
	is(tables(2, D_CODE64, 0), -EINVAL, "GDT: the module's slot");
	is(tables(6, 0x00af9b000000ffffull, 0), -EINVAL, "GDT: DPL 0");
	is(tables(6, 0x00afdb000000ffffull, 0), -EINVAL, "GDT: DPL 2");
	is(tables(6, 0x00af7b000000ffffull, 0), -EINVAL, "GDT: not present");
	is(tables(6, 0x00affa000000ffffull, 0), -EINVAL, "GDT: not accessed");
	is(tables(6, 0x0000ec0000100000ull, 0), -EINVAL, "GDT: a call gate");
	is(tables(6, 0x0000e90000000067ull, 0), -EINVAL, "GDT: a TSS");
	is(tables(6, 0x0000e20000000fffull, 1), -EINVAL, "LDT: an LDT");
	is(tables(6, 0x0000ee0000100000ull, 1), -EINVAL, "LDT: an interrupt gate");
	is(call(m.space, PLEX86_SPACE_DESCRIPTORS, &d), -EFAULT, "GDT: bad address");
	d.ngdt = info.max_gdt + 1;
	is(call(m.space, PLEX86_SPACE_DESCRIPTORS, &d), -E2BIG, "GDT: too long");
	d.ngdt = 0;
	d.nldt = info.max_ldt + 1;
	is(call(m.space, PLEX86_SPACE_DESCRIPTORS, &d), -E2BIG, "LDT: too long");
	tap_ok(still_works(), "the old tables are still there");
}

static int modify_ldt(uint64_t descriptor_flags)
{
	struct user_desc d = { .entry_number = 0 };

	if (descriptor_flags) {
		d.limit = 0xfffff;
		d.limit_in_pages = d.seg_32bit = d.useable = 1;
	} else {
		d.read_exec_only = d.seg_not_present = 1;	/* how to say: none */
	}
	return (int)syscall(SYS_modify_ldt, 0x11, &d, sizeof(d));
}

/* Linux leaves it in GS when the entry goes, and to load it again would fault. */
static void test_ldt_selector(void)
{
	unsigned int was, stale = 7;
	int present, gone;

	if (modify_ldt(1)) {
		tap_skip("a selector of the caller's LDT", "this kernel has no modify_ldt()");
		return;
	}
	load(&m, 64, ud2, sizeof(ud2));
	asm volatile("mov %%gs, %0" : "=r"(was));
	asm volatile("mov %0, %%gs" : : "r"(stale));
	present = go(&m);
	modify_ldt(0);
	gone = go(&m);
	asm volatile("mov %0, %%gs" : : "r"(was));
	is(present, -EOPNOTSUPP, "run: with a selector of the caller's LDT in GS");
	is(gone, -EOPNOTSUPP, "run: with one whose entry is gone");
	tap_ok(still_works(), "and without it all is well");
}

/* set_thread_area() of 32-bit code, as a 64-bit program can have it; @d below 4 GiB. */
static int set_tls(struct user_desc *d, unsigned int entry, bool empty)
{
	int ret;

	*d = (struct user_desc){ .entry_number = entry };
	if (empty) {
		d->read_exec_only = d->seg_not_present = 1;
	} else {
		d->limit = 0xfffff;
		d->limit_in_pages = d->seg_32bit = d->useable = 1;
	}
	asm volatile("int $0x80" : "=a"(ret) : "a"(243), "b"(d) : "r8", "r9", "r10", "r11", "memory");
	return ret;
}

/* The same with TLS entries: it looks for selectors with RPL 3, and any RPL can be loaded. */
static void test_tls_selector(void)
{
	struct user_desc *d = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	unsigned int was, rpl, reg, entry, tries;
	int present, gone;

	if (d == MAP_FAILED || set_tls(d, -1u, false)) {
		tap_skip("a selector of a TLS entry that has gone", "this kernel has no 32-bit calls");
		return;
	}
	entry = d->entry_number;
	for (reg = 0; reg < 2; reg++) {
		for (rpl = 0; rpl < 4; rpl++) {
			asm volatile("mov %%gs, %0" : "=r"(was));
			/* A context switch in between loads it again, as null: not each time. */
			for (tries = 0; tries < 20; tries++) {
				set_tls(d, entry, false);
				load(&m, 64, ud2, sizeof(ud2));
				if (reg)
					asm volatile("mov %0, %%es" : : "r"(entry << 3 | rpl));
				else
					asm volatile("mov %0, %%gs" : : "r"(entry << 3 | rpl));
				present = go(&m);
				set_tls(d, entry, true);
				gone = go(&m);
				asm volatile("mov %0, %%gs; mov %1, %%es" : : "r"(was), "r"(0));
				if (rpl == 3 || gone)
					break;
			}
			is(present, rpl == 3 ? 0 : -EOPNOTSUPP, reg ? "run: ES in a TLS entry" :
			   "run: GS in a TLS entry");
			is(gone, rpl == 3 ? 0 : -EOPNOTSUPP, "run: in one that has gone");
		}
	}
	munmap(d, 4096);
	tap_ok(still_works(), "and without it all is well");
}

static void test_run(void)
{
	struct machine other;

#define RUN(change, want_ret, name) do {						\
		load(&m, 64, ud2, sizeof(ud2));					\
		change;								\
		is(go(&m), want_ret, name);					\
	} while (0)
#define REFUSED(change, want, name) do {					\
		load(&m, 64, ud2, sizeof(ud2));					\
		change;								\
		is(go(&m), 0, name);						\
		tap_ok(m.run.reason == PLEX86_RUN_REFUSED && m.run.why == (want),	\
		       name ": refused");					\
	} while (0)
	RUN(m.run.space = -1, -EBADF, "run: no such fd");
	RUN(m.run.space = m.vm, -EBADF, "run: not a space");
	RUN(m.run.space = 0, -EBADF, "run: stdin");
	RUN(m.run.cpu.reserved = 1, -EINVAL, "run: reserved field");
	is(machine_open(&other), 0, "a second machine");
	RUN(m.run.space = other.space, -EBADF, "run: another VM's space");
	machine_close(&other);
	REFUSED(m.run.cpu.mode = 0, PLEX86_WHY_MODE, "run: mode 0");
	REFUSED(m.run.cpu.mode = 4, PLEX86_WHY_MODE, "run: mode 4");
	REFUSED(m.run.cpu.rflags &= ~0x200ull, PLEX86_WHY_FLAGS, "run: IF clear");
	REFUSED(m.run.cpu.rflags |= 0x3000, PLEX86_WHY_FLAGS, "run: IOPL 3");
	REFUSED(m.run.cpu.rflags |= 0x20000, PLEX86_WHY_FLAGS, "run: VM");
	REFUSED(m.run.cpu.rflags |= 0x180000, PLEX86_WHY_FLAGS, "run: VIF, VIP");
	REFUSED(m.run.cpu.cr4 |= 1 << 22, PLEX86_WHY_PKE, "run: PKE");
	REFUSED((m.run.cpu.cr4 |= 1 << 18, m.run.cpu.xcr0 = 0), PLEX86_WHY_XCR0, "run: XCR0 without x87");
	REFUSED((m.run.cpu.cr4 |= 1 << 18, m.run.cpu.xcr0 = 5), PLEX86_WHY_XCR0, "run: AVX without SSE");
	REFUSED((m.run.cpu.cr4 |= 1 << 18, m.run.cpu.xcr0 = 0x23), PLEX86_WHY_XCR0, "run: AVX-512 in parts");
	REFUSED((m.run.cpu.cr4 |= 1 << 18, m.run.cpu.xcr0 = 0x203), PLEX86_WHY_XCR0, "run: PKRU in XCR0");
	REFUSED((m.run.cpu.cr4 |= 1 << 18, m.run.cpu.xcr0 = 1ull << 63 | 3), PLEX86_WHY_XCR0, "run: XCR0 bit 63");
	tap_ok(still_works(), "and a good one runs");
}

/* RAM that is given when it is there, and gone or read-only when it is mapped. */
static void test_ram_gone(void)
{
	struct plex86_op op = { .kind = PLEX86_OP_MAP, .prot = PLEX86_PAGE_READ, .gva = 1 << 20,
				.off = 1 << 30, .npages = 1 };
	struct plex86_ram ram = { .size = sizeof(ram), .offset = 1 << 30, .bytes = 3 * PAGE };
	unsigned char *p = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE,
				MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint32_t done;

	ram.addr = (uintptr_t)p;
	is(call(m.vm, PLEX86_VM_ADD_RAM, &ram), 0, "RAM: three more pages");
	munmap(p + PAGE, PAGE);
	mprotect(p + 2 * PAGE, PAGE, PROT_READ);
	is(one(op, &done), 0, "apply: the first is there");
	op.off += PAGE;
	is(one(op, &done), -EFAULT, "apply: the second is gone");
	op.off += PAGE;
	is(one(op, &done), -EFAULT, "apply: the third can't be written");
	munmap(p, 3 * PAGE);
}

/* The state can be read but not written back: the run is lost, and nothing else. */
static void test_run_read_only(void)
{
	struct plex86_run *run = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	load(&m, 64, ud2, sizeof(ud2));
	*run = m.run;
	mprotect(run, PAGE, PROT_READ);
	is(call(m.vcpu, PLEX86_VCPU_RUN, run), -EFAULT, "run: state that can't be written");
	munmap(run, PAGE);
}

/* The state that the CPU itself refuses; test "switch" has each kind of it. */
static void test_load_refused(void)
{
	load(&m, 64, ud2, sizeof(ud2));
	m.run.cpu.seg[PLEX86_DS].sel = 0x7b;
	is(go(&m), 0, "run: DS that has no descriptor");
	tap_ok(m.run.reason == PLEX86_RUN_REFUSED && m.run.why == PLEX86_WHY_LOAD &&
	       m.run.vector == 13, "the CPU refuses it: #GP");
}

int main(void)
{
	long ret = machine_open(&m);

	if (ret) {
		tap_ok(0, "a machine: %s", strerror(-ret));
		return tap_done();
	}
	test_numbers();
	test_heads();
	test_apply();
	test_descriptors();
	test_run();
	test_ldt_selector();
	test_tls_selector();
	test_run_read_only();
	test_load_refused();
	test_ram_gone();
	test_ram();
	machine_close(&m);
	return tap_done();
}
