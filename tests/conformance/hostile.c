// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Code that tries to get out.  Every attempt must end as TRAP or PAGE, change
 * nothing outside the pages it was given, and leave the space usable.
 */
#define _GNU_SOURCE
#include <stdlib.h>
#include <unistd.h>

#include "children.h"
#include "harness.h"

#define PROG(sym) extern const uint8_t sym[]
PROG(g64_syscall); PROG(g64_int80); PROG(g32_int80); PROG(g64_hlt); PROG(g64_store_rax);
PROG(g64_load_rax); PROG(g64_jmp_rax);

/* Memory that is in no space: a guest kernel's, so to speak. */
#define RAM_SECRET	UINT64_C(0x800000)

static void init_trial(struct trial *t, uint64_t rip)
{
	init_cpu64(&t->cpu, rip);
	plex86_vec_init(&t->vec);
}

/*
 * What a system call that got through would most likely have changed: of the process that
 * guest code runs in, which is the engine's or, where it has none, ours.
 */
struct host_state {
	pid_t pid;
	char text[16384];
	uint8_t secret;
};

static bool note_host(struct host_state *h)
{
	pid_t engines;

	memset(h, 0, sizeof(*h));
	h->secret = ram[RAM_SECRET];
	h->pid = children_of(getpid(), &engines, 1) ? find_container() : getpid();
	return h->pid && describe_process(h->pid, h->text, sizeof(h->text));
}

/* Puts both texts' first lines that differ into the log. */
static bool host_same(const struct host_state *a, const struct host_state *b)
{
	const char *p = a->text, *q = b->text;

	if (!memcmp(a, b, sizeof(*a)))
		return true;
	while (*p && *p == *q)
		p++, q++;
	while (p > a->text && p[-1] != '\n')
		p--, q--;
	note("process %d, secret %#x: %.*s", (int)a->pid, a->secret, (int)strcspn(p, "\n"), p);
	note("process %d, secret %#x: %.*s", (int)b->pid, b->secret, (int)strcspn(q, "\n"), q);
	return false;
}

/* Every number in both ABIs, with arguments that would do harm if they could. */
static void test_every_call(struct plex86_space *s)
{
	static const struct {
		const char *name;
		const uint8_t *at;
		bool code32;
	} gate[] = {
		{ "SYSCALL", g64_syscall, false },
		{ "INT 80H in 64-bit code", g64_int80, false },
		{ "INT 80H in 32-bit code", g32_int80, true },
	};
	static struct host_state before, after;
	bool good;
	struct trial t;
	unsigned int g, nr;
	uint64_t rip;

	for (g = 0; g < 3; g++) {
		if (gate[g].code32 && !(caps->flags & PLEX86_CAP_COMPAT)) {
			skip(gate[g].name, "no 32-bit code here");
			continue;
		}
		good = note_host(&before);
		for (nr = 0; nr < 512 && good; nr++) {
			init_trial(&t, AT64(gate[g].at));
			rip = t.cpu.rip;
			if (gate[g].code32) {
				rip = AT32(gate[g].at);
				init_cpu32(&t.cpu, rip);
			}
			t.cpu.gpr[PLEX86_RAX] = nr;
			t.cpu.gpr[PLEX86_RDI] = t.cpu.gpr[PLEX86_RBX] = 0;
			t.cpu.gpr[PLEX86_RSI] = t.cpu.gpr[PLEX86_RCX] = VA_DATA;
			t.cpu.gpr[PLEX86_RDX] = 7;
			run_to_trap(s, &t);
			good &= is_trap(&t, ANY_VECTOR) && t.cpu.rip == rip &&
				t.cpu.gpr[PLEX86_RAX] == nr;
		}
		good = good && note_host(&after) && host_same(&before, &after);
		report(good, "hostile: %s with every number: swallowed, the host unchanged",
		       gate[g].name);
	}
}

/* mmap() as an engine's own code might call it, tried from guest code. */
static void test_forged_calls(struct plex86_space *s)
{
	static const struct {
		const char *name;
		uint64_t nr, arg[6];
	} call[] = {
		{ "mmap of guest memory, fd 0", 9,
		  { 0x40000000, 4096, 7, 0x11, 0, RAM_SECRET } },
		{ "mmap of guest memory, fd 3", 9,
		  { 0x40000000, 4096, 7, 0x11, 3, RAM_SECRET } },
		{ "mprotect of its code", 10, { VA_CODE64, 4096, 7 } },
		{ "mremap", 25, { VA_DATA, 4096, 8192, 1 } },
		{ "munmap of everything", 11, { 0, UINT64_C(0x7ffffffff000) } },
		{ "clone", 56, { 17 } },
		{ "modify_ldt", 154, { 1, VA_DATA, 16 } },
		{ "rt_sigreturn with a forged frame", 15, { 0 } },
		{ "seccomp", 317, { 1 } },
		{ "ptrace", 101, { 0 } },
		{ "exit", 60, { 0 } },
		{ "exit_group", 231, { 0 } },
	};
	struct trial t;
	unsigned int i;
	bool good;

	for (i = 0; i < sizeof(call) / sizeof(call[0]); i++) {
		memset(ram + RAM_STACK, 0x55, PAGE(STACK_PAGES));	/* the frame */
		init_trial(&t, AT64(g64_syscall));
		t.cpu.gpr[PLEX86_RAX] = call[i].nr;
		t.cpu.gpr[PLEX86_RDI] = call[i].arg[0];
		t.cpu.gpr[PLEX86_RSI] = call[i].arg[1];
		t.cpu.gpr[PLEX86_RDX] = call[i].arg[2];
		t.cpu.gpr[PLEX86_R10] = call[i].arg[3];
		t.cpu.gpr[PLEX86_R8] = call[i].arg[4];
		t.cpu.gpr[PLEX86_R9] = call[i].arg[5];
		run_to_trap(s, &t);
		good = is_trap(&t, ANY_VECTOR) && t.cpu.rip == AT64(g64_syscall);
		init_trial(&t, AT64(g64_load_rax));
		t.cpu.gpr[PLEX86_RAX] = 0x40000000;
		run_to_trap(s, &t);
		good &= is_page(&t, 0x40000000);
		report(good, "hostile: %s: has no effect", call[i].name);
	}
}

/* Addresses where something of the host's or the engine's may be. */
static void test_probing(struct plex86_space *s)
{
	static const uint64_t around[] = { UINT64_C(0x7ffffffff000), UINT64_C(0x7ffffffde000),
		UINT64_C(0x7fff00000000), UINT64_C(0x7f0000000000), UINT64_C(0x7ffe00000000),
		UINT64_C(0x555555554000), UINT64_C(0x560000000000), 0x100000000, 0xffffe000,
		0x10000, 0x1000, 0, UINT64_C(0xffffffffff600000), UINT64_C(0xffffffff81000000),
		UINT64_C(0xfffffe0000000000), UINT64_C(0xffff888000000000) };
	bool good = true;
	struct trial t;
	unsigned int i;
	uint64_t va;

	for (i = 0; i < sizeof(around) / sizeof(around[0]) * 3; i++) {
		va = around[i / 3] + i % 3 * PLEX86_PAGE_SIZE - PLEX86_PAGE_SIZE;
		init_trial(&t, AT64(i % 2 ? g64_store_rax : g64_load_rax));
		t.cpu.gpr[PLEX86_RAX] = va;
		run_to_trap(s, &t);
		/* Some of these aren't canonical. */
		good &= (t.exit.reason == PLEX86_EXIT_PAGE && t.exit.addr == va) ||
			t.exit.reason == PLEX86_EXIT_TRAP;
		good &= t.cpu.rip == t.before.rip;
	}
	srand(1);
	for (i = 0; i < 3000 && good; i++) {
		va = ((uint64_t)rand() << 31 ^ (uint64_t)rand() << 12) & UINT64_C(0x7ffffffff000);
		if (va < VA_STACK + PAGE(64))
			continue;
		init_trial(&t, AT64(i % 2 ? g64_store_rax : g64_load_rax));
		t.cpu.gpr[PLEX86_RAX] = va;
		run_to_trap(s, &t);
		good &= is_page(&t, va) & same_state(&t, t.before.rip, 0);
	}
	report(good, "hostile: 3000 random and all likely addresses: nothing is there");
}

/* Random bytes as a program: whatever they do, they do it to their own pages. */
static void test_random_code(struct plex86_space *s)
{
	uint8_t *secret = ram + RAM_SECRET;
	static struct host_state before, after;
	struct trial t;
	unsigned int i, j, n = 4000;
	bool good;

	memset(secret, 0x5a, PAGE(16));
	good = note_host(&before);
	srand(4711);
	for (i = 0; i < n && good; i++) {
		for (j = 0; j < 64; j++)
			ram[RAM_PATCH + j] = (uint8_t)(rand() >> 7);
		/* Bytes that process.h asks the core to keep out: SYSENTER, VMMCALL. */
		for (j = 0; j < 63; j++)
			if (ram[RAM_PATCH + j] == 0x0f &&
			    (ram[RAM_PATCH + j + 1] == 0x34 || ram[RAM_PATCH + j + 1] == 1))
				ram[RAM_PATCH + j] = 0x90;
		ram[RAM_PATCH + 64] = 0xf4;
		init_trial(&t, VA_PATCH);
		init_vec(&t.vec, i, caps->xcr0);
		for (j = 0; j < PLEX86_NGPR; j++)
			if (rand() & 1)
				t.cpu.gpr[j] = VA_DATA + (uint64_t)(rand() % 4096);
		run_trial(s, &t, 0, 3000000);
		if (t.err) {
			note("run() failed (%d) at case %u", t.err, i);
			good = false;
		} else if (t.exit.reason != PLEX86_EXIT_TRAP &&
			   t.exit.reason != PLEX86_EXIT_PAGE &&
			   t.exit.reason != PLEX86_EXIT_DEADLINE) {
			good = is_reason(&t, PLEX86_EXIT_TRAP);
		}
	}
	for (j = 0; j < PAGE(16); j++)
		good &= secret[j] == 0x5a;
	good &= !memcmp(ram + RAM_CODE64, guest64_start, (size_t)(guest64_end - guest64_start));
	good = good && note_host(&after) && host_same(&before, &after);
	report(good, "hostile: %u programs of random bytes: each ends in an exit, nothing else changed", n);
	init_trial(&t, AT64(g64_hlt));
	run_to_trap(s, &t);
	report(is_trap(&t, 13) & same_state(&t, AT64(g64_hlt), 0),
	       "hostile: and the space still works");
}

void test_hostile(void)
{
	struct plex86_space *s = fresh_space();
	struct trial t;

	/* What is mapped at the first run is there from now on. */
	init_trial(&t, AT64(g64_hlt));
	run_to_trap(s, &t);
	test_every_call(s);
	test_forged_calls(s);
	test_probing(s);
	test_random_code(s);
	ops->space_destroy(s);
}
