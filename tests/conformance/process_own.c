// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What only the process engine has: a stub in the guest's address space that must
 * get out of the way and stay unreachable, and a sandbox that can be inspected from
 * outside.
 */
#define _GNU_SOURCE
#include <linux/capability.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "children.h"
#include "harness.h"

#define PROG(sym) extern const uint8_t sym[]
PROG(g64_hlt); PROG(g64_load_rdi); PROG(g64_jmp_rax);

#define VA_TEST	UINT64_C(0x7000000000)

/* Where the stub is in @pid: [*from, *to).  Other mappings that aren't ours: counted. */
static bool find_stub(pid_t pid, uint64_t *from, uint64_t *to, unsigned int *strange)
{
	char path[40], line[512], perms[8];
	unsigned long long a, b;
	bool found = false;
	FILE *f;

	*strange = 0;
	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	f = fopen(path, "re");
	if (!f)
		return false;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%llx-%llx %7s", &a, &b, perms) != 3)
			continue;
		if (strstr(line, "plex86-stub")) {
			found = !found && !strcmp(perms, "r-xs");
			*from = a;
			*to = b;
		} else if (!strstr(line, "memfd:guest") && !strstr(line, "[vsyscall]")) {
			note("%s", line);
			++*strange;
		}
	}
	fclose(f);
	return found;
}

static bool status_has(pid_t pid, const char *want)
{
	char path[40], line[256];
	bool found = false;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	f = fopen(path, "re");
	while (f && fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = 0;
		found |= !strcmp(line, want);
	}
	if (f)
		fclose(f);
	if (!found)
		note("not in /proc/%d/status: %s", (int)pid, want);
	return found;
}

static bool may_trace_all(void)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { 0 } };

	return !syscall(SYS_capget, &header, data) && data[0].effective & 1u << CAP_SYS_PTRACE;
}

static void test_sandbox(void)
{
	struct plex86_space *s = fresh_space();
	uint64_t from = 0, to = 0;
	unsigned int strange = 1;
	char path[40], last[64];
	struct trial t;
	bool good;
	pid_t pid;

	init_cpu64(&t.cpu, AT64(g64_hlt));
	plex86_vec_init(&t.vec);
	run_to_trap(s, &t);
	pid = find_container();
	if (!report(pid > 0, "the container can be found"))
		return;
	report(find_stub(pid, &from, &to, &strange) && !strange,
	       "it maps guest memory and the stub, nothing else; the stub isn't writable");
	report(from >= UINT64_C(1) << 32, "the stub is out of reach of 32-bit code");
	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	report(count_entries(path, last) == 1 && !strcmp(last, "0"),
	       "its only descriptor is the guest's memory");
	good = status_has(pid, "NoNewPrivs:\t1") & status_has(pid, "Seccomp:\t2") &
	       status_has(pid, "CapEff:\t0000000000000000") &
	       status_has(pid, "CapPrm:\t0000000000000000") &
	       status_has(pid, "CapBnd:\t0000000000000000");
	/* Elsewhere it keeps them, or its tracer couldn't read its code. */
	if (may_trace_all())
		good &= status_has(pid, "Uid:\t65534\t65534\t65534\t65534") &
			status_has(pid, "Gid:\t65534\t65534\t65534\t65534");
	report(good, "no privileges, a filter, no_new_privs");
	report(getpgid(pid) != getpgid(0),
	       "a process group of its own: the terminal's Ctrl-C doesn't reach it");
	report(getsid(pid) == getsid(0), "and no session, to share what the scheduler gives Bochs");
	ops->space_destroy(s);
}

static bool loads(struct plex86_space *s, uint64_t va, uint64_t want)
{
	struct trial t;

	init_cpu64(&t.cpu, AT64(g64_load_rdi));
	plex86_vec_init(&t.vec);
	t.cpu.gpr[PLEX86_RDI] = va;
	run_to_trap(s, &t);
	return is_trap(&t, 13) && t.cpu.gpr[PLEX86_RDX] == want;
}

/* Guest pages are wanted where the stub is. */
static void test_stub_moves(void)
{
	struct plex86_space *s = fresh_space(), *other;
	uint64_t from = 0, to = 0, was, i, two = 2, slots[PLEX86_SLOTS / 64] = { 0 };
	unsigned int strange;
	bool good = true;
	pid_t pid = find_container();

	for (i = 0; i < DATA_PAGES; i++)
		memcpy(ram + RAM_DATA + PAGE(i), &i, 8);
	for (i = 0; i < 20 && good; i++) {
		loads(s, VA_DATA, 0);
		good = find_stub(pid, &from, &to, &strange);
		was = from;
		good &= !map_pages(s, from - PAGE(2) + PAGE(i % 8), RAM_DATA + PAGE(1), 8, R);
		good &= loads(s, from - PAGE(2) + PAGE(i % 8), 1) &&
			loads(s, from - PAGE(2) + PAGE(i % 8 + 7), 8) && loads(s, VA_DATA, 0);
		good &= find_stub(pid, &from, &to, &strange) && from != was && !strange;
	}
	report(good, "a page mapped over the stub: the stub moves, 20 times");

	for (i = 0; i < 20; i++) {
		good &= find_stub(pid, &from, &to, &strange);
		was = from / PLEX86_SLOT_SIZE;
		slots[was / 64] |= UINT64_C(1) << was % 64;
		good &= !ops->occupied(s, slots);
		good &= find_stub(pid, &from, &to, &strange) && from / PLEX86_SLOT_SIZE != was && !strange;
		good &= !(slots[from / PLEX86_SLOT_SIZE / 64] >> from / PLEX86_SLOT_SIZE % 64 & 1);
		good &= loads(s, VA_DATA, 0);
	}
	was = from;
	good &= !ops->occupied(s, slots) && find_stub(pid, &from, &to, &strange) && from == was;
	report(good, "the guest has pages of its own where the stub is, not mapped yet: it moves, 20 times");
	memset(slots, 0xff, sizeof(slots));
	good = !ops->occupied(s, slots) && loads(s, VA_DATA, 0);
	report(good, "it has some everywhere: the stub stays somewhere");

	good = find_stub(pid, &from, &to, &strange);
	good &= !unmap_pages(s, from - PAGE(100), 200);
	good &= !map_pages(s, from - PAGE(100), RAM_DATA + PAGE(2), 1, R);
	good &= loads(s, from - PAGE(100), 2);
	report(good, "pages unmapped all around the stub: it stays");
	other = fresh_space();
	memcpy(ram + RAM_DATA + PAGE(2), &two, 8);
	good = loads(other, VA_DATA, 0) && loads(s, from - PAGE(100), 2);
	report(good, "and another space has its own");
	ops->space_destroy(s);
	s = NULL;
	pid = find_container();
	was = from;
	report(pid > 0 && find_stub(pid, &from, &to, &strange) && from != was,
	       "each space has the stub elsewhere");
	ops->space_destroy(other);
}

/* Jump to @at, with registers as if to map a page of the guest kernel's at VA_TEST. */
static bool jump_is_vain(struct plex86_space *s, uint64_t at, uint64_t from)
{
	struct trial t;
	bool good;

	init_cpu64(&t.cpu, AT64(g64_jmp_rax));
	plex86_vec_init(&t.vec);
	t.cpu.gpr[PLEX86_RAX] = at;
	t.cpu.gpr[PLEX86_RDI] = VA_TEST;
	t.cpu.gpr[PLEX86_RSI] = PLEX86_PAGE_SIZE;
	t.cpu.gpr[PLEX86_RDX] = 7;
	t.cpu.gpr[PLEX86_R10] = MAP_SHARED | MAP_FIXED;
	t.cpu.gpr[PLEX86_R8] = 0;
	t.cpu.gpr[PLEX86_R9] = 0x800000;
	t.cpu.gpr[PLEX86_R12] = 1;
	t.cpu.gpr[PLEX86_RBX] = from + 0x2000;
	run_trial(s, &t, 0, 100000000);
	good = !t.err && (t.exit.reason == PLEX86_EXIT_TRAP || t.exit.reason == PLEX86_EXIT_PAGE);
	/* VA_TEST must still be empty. */
	init_cpu64(&t.cpu, AT64(g64_load_rdi));
	t.cpu.gpr[PLEX86_RDI] = VA_TEST;
	run_to_trap(s, &t);
	return good & is_page(&t, VA_TEST);
}

/* An address with SYSENTER in it, which the engine has to tell the stub to map there. */
#define VA_SYSENTER	UINT64_C(0x340f0000)

/* Guest code that has found the stub runs it, to no avail. */
static void test_stub_called(void)
{
	struct plex86_space *s = fresh_space(), *other;
	uint64_t from = 0, to = 0, at;
	unsigned int strange, page;
	struct trial t;
	bool good;

	good = loads(s, VA_DATA, 0) && find_stub(find_container(), &from, &to, &strange);
	/* Code, scratch and table; and what waits to be mapped elsewhere. */
	other = fresh_space();
	good &= !map_pages(other, VA_SYSENTER, RAM_DATA, 1, R);
	for (page = 0; page < 3; page++) {
		good &= !map_pages(s, VA_SYSENTER, RAM_DATA, 1, R) && loads(s, VA_SYSENTER, 0);
		for (at = from + page * PLEX86_PAGE_SIZE; good && at < from + page * PLEX86_PAGE_SIZE + 256; at++)
			good &= jump_is_vain(s, at, from);
		good &= !unmap_pages(s, VA_SYSENTER, 1);
	}
	report(good, "guest code that jumps into the stub, anywhere: maps nothing, ends in an exit");

	for (at = from; good && at < to; at += PLEX86_PAGE_SIZE) {
		/* MOV [RAX], RCX at the start of the patch page. */
		memcpy(ram + RAM_PATCH, (const uint8_t[]){ 0x48, 0x89, 0x08 }, 3);
		init_cpu64(&t.cpu, VA_PATCH);
		plex86_vec_init(&t.vec);
		t.cpu.gpr[PLEX86_RAX] = at;
		run_to_trap(s, &t);
		good &= is_page(&t, at) & same_state(&t, VA_PATCH, 0);
	}
	report(good, "guest code that writes to the stub: PAGE");
	ops->space_destroy(other);
	ops->space_destroy(s);
}

/* The memory object cut short behind our back: not a trap of the guest's. */
static void test_truncated(void)
{
	struct plex86_space *s = fresh_space();
	struct trial t;
	bool good;

	map_pages(s, VA_TEST, RAM_SIZE - PAGE(1), 1, R);
	good = loads(s, VA_DATA, 0);
	good &= !ftruncate(ram_fd, (off_t)(RAM_SIZE - PAGE(1)));
	init_cpu64(&t.cpu, AT64(g64_load_rdi));
	plex86_vec_init(&t.vec);
	t.cpu.gpr[PLEX86_RDI] = VA_TEST;
	run_to_trap(s, &t);
	report(good && is_reason(&t, PLEX86_EXIT_LOST) && t.exit.why &&
	       same_state(&t, AT64(g64_load_rdi), 0),
	       "guest memory that the host can't provide: LOST, state exact");
	good = !ftruncate(ram_fd, RAM_SIZE);
	ops->space_destroy(s);
	s = fresh_space();
	report(good && loads(s, VA_DATA, 0), "the next space works");
	ops->space_destroy(s);
}

int main(void)
{
	open_or_skip(&plex86_engine_process, 16);
	test_sandbox();
	test_stub_moves();
	test_stub_called();
	test_truncated();
	close_engine();
	return finish();
}
