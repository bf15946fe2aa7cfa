// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * What only the process engine has: a stub in the guest's address space that must
 * get out of the way and stay unreachable, a sandbox that can be inspected from
 * outside, and resources that must all be given back.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "children.h"
#include "harness.h"

#define PROG(sym) extern const uint8_t sym[]
PROG(g64_hlt); PROG(g64_spin); PROG(g64_load_rdi); PROG(g64_load_rdi_trap); PROG(g64_jmp_rax);

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

static unsigned int count_entries(const char *path, char last[64])
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned int n = 0;

	while (dir && (entry = readdir(dir)))
		if (entry->d_name[0] != '.') {
			n++;
			snprintf(last, 64, "%.63s", entry->d_name);
		}
	if (dir)
		closedir(dir);
	return n;
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

static void *run_elsewhere(void *arg)
{
	struct trial *t = arg;
	struct plex86_space *s = NULL;

	t->err = ops->space_create(engine, &s);
	if (!t->err)
		ops->space_destroy(s);
	return NULL;
}

static void *run_elsewhere_space;

static void *run_in_thread(void *arg)
{
	run_trial(run_elsewhere_space, arg, 0, FOREVER);
	return NULL;
}

static void test_threads(void)
{
	struct plex86_space *s = fresh_space();
	pthread_t thread;
	struct trial t;

	init_cpu64(&t.cpu, AT64(g64_hlt));
	plex86_vec_init(&t.vec);
	run_to_trap(s, &t);
	init_cpu64(&t.cpu, AT64(g64_hlt));
	run_elsewhere_space = s;
	pthread_create(&thread, NULL, run_in_thread, &t);
	pthread_join(thread, NULL);
	report(t.err == -EPERM && !memcmp(&t.cpu, &t.before, sizeof(t.cpu)),
	       "run() from a thread that didn't open the engine: -EPERM");
	pthread_create(&thread, NULL, run_elsewhere, &t);
	pthread_join(thread, NULL);
	report(t.err == -EPERM, "space_create() from it: -EPERM");
	init_cpu64(&t.cpu, AT64(g64_hlt));
	run_to_trap(s, &t);
	report(is_trap(&t, 13), "and the space still works");
	ops->space_destroy(s);
}

/* Everything that a process can run out of. */
struct resources {
	unsigned int fds, children;
	sigset_t mask;
	unsigned int handlers;
};

static void take_stock(struct resources *r)
{
	struct sigaction action;
	pid_t pid[8];
	char last[64];
	int sig;

	memset(r, 0, sizeof(*r));
	r->fds = count_entries("/proc/self/fd", last);
	r->children = children_of(getpid(), pid, 8);
	pthread_sigmask(SIG_BLOCK, NULL, &r->mask);
	for (sig = 1; sig < NSIG; sig++)
		if (!sigaction(sig, NULL, &action) && action.sa_handler != SIG_DFL)
			r->handlers++;
}

static void test_leaks(void)
{
	struct plex86_engine_config config = { .ram_fd = ram_fd, .ram = ram,
					       .ram_size = RAM_SIZE, .max_spaces = 8 };
	struct resources before, after;
	char why[PLEX86_WHY_LEN];
	struct plex86_engine *e;
	struct plex86_space *s;
	bool good = true;
	unsigned int i, n;

	take_stock(&before);
	for (i = 0; i < 100 && good; i++) {
		good = !ops->open(&config, &e, why);
		for (n = 0; good && n < i % 4; n++)
			good = !ops->space_create(e, &s);
		if (good)
			ops->close(e);
		else
			note("%s", why);
	}
	take_stock(&after);
	report(good && !memcmp(&before, &after, sizeof(before)),
	       "100 times open(), spaces, close(): no descriptor, child, handler or mask left");
	report(waitpid(-1, NULL, WNOHANG) < 0 && errno == ECHILD, "and no zombie");
	good = !ops->probe(why);
	take_stock(&after);
	report(good && !memcmp(&before, &after, sizeof(before)), "nor by probe()");
}

/* A child of the caller's own is none of the engine's business. */
static void test_other_children(void)
{
	struct plex86_space *s;
	struct trial t;
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(42);
	s = fresh_space();
	init_cpu64(&t.cpu, AT64(g64_hlt));
	plex86_vec_init(&t.vec);
	run_to_trap(s, &t);
	ops->space_destroy(s);
	report(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 42,
	       "a child that isn't the engine's is left to the one who made it");
}

/* The tracer may hold on to a core for a run, and must not show it afterwards. */
static void test_affinity(void)
{
	cpu_set_t before, now;
	struct plex86_space *s = fresh_space();
	bool same = true, read = !sched_getaffinity(0, sizeof(before), &before);
	struct trial t;

	for (unsigned int i = 0; read && same && i < 500; i++) {
		init_cpu64(&t.cpu, AT64(g64_hlt));
		plex86_vec_init(&t.vec);
		run_to_trap(s, &t);
		same = !sched_getaffinity(0, sizeof(now), &now) && CPU_EQUAL(&before, &now);
	}
	ops->space_destroy(s);
	report(read && same, "the tracer may run where it might before");
}

/* Runs @code for 2 ms at most, with the tracer on core @core; true if its container is on @want. */
static bool runs_on(struct plex86_space *s, uint64_t code, int core, int want)
{
	cpu_set_t one, is;
	struct trial t;

	CPU_ZERO(&one);
	CPU_SET((size_t)core, &one);
	init_cpu64(&t.cpu, code);
	plex86_vec_init(&t.vec);
	if (sched_setaffinity(0, sizeof(one), &one))
		return false;
	run_trial(s, &t, 0, 2000000);
	return !sched_getaffinity(find_container(), sizeof(is), &is) &&
	       CPU_COUNT(&is) == 1 && CPU_ISSET((size_t)want, &is);
}

/* What makes trips follows the tracer; what only computes keeps its caches (together.c). */
static void test_cores(void)
{
	static const char name[] = "code that runs until its deadline stays on its core, and only that";
	struct plex86_space *s = fresh_space();
	int core[2], found = 0, i;
	bool good = false;
	double load = 0;
	cpu_set_t before;

	if (sched_getaffinity(0, sizeof(before), &before))
		CPU_ZERO(&before);
	for (i = 0; i < CPU_SETSIZE && found < 2; i++)
		if (CPU_ISSET((size_t)i, &before))
			core[found++] = i;
	/* On a core that is wanted by somebody else it does not stay: again, then. */
	for (i = 0; found == 2 && !good && i < 1000; i++)
		good = runs_on(s, AT64(g64_spin), core[0], core[0]) &&
		       runs_on(s, AT64(g64_spin), core[1], core[0]) &&
		       runs_on(s, AT64(g64_hlt), core[1], core[0]) &&
		       runs_on(s, AT64(g64_hlt), core[1], core[1]);
	getloadavg(&load, 1);
	if (found < 2)
		skip(name, "there is only one core");
	else if (!good && load > 2)
		skip(name, "others want the cores, too");
	else
		report(good, "%s", name);
	sched_setaffinity(0, sizeof(before), &before);
	ops->space_destroy(s);
}

/* Again as nobody: Bochs isn't run by root. */
static void test_unprivileged(void)
{
	char why[PLEX86_WHY_LEN] = "";
	int status = 0;
	pid_t pid;

	if (geteuid()) {
		skip("without privileges", "all of this ran without");
		return;
	}
	pid = fork();
	if (!pid) {
		/* A program that nobody starts is one that nobody may trace. */
		if (setgid(65534) || setuid(65534) || prctl(PR_SET_DUMPABLE, 1, 0, 0, 0))
			_exit(2);
		status = ops->probe(why);
		if (status)
			note("%s", why);
		_exit(!!status);
	}
	report(waitpid(pid, &status, 0) == pid && !status, "probe() without privileges");
}

/* As before Linux 5.9, or in containers that forbid it. */
static bool forbid_close_range(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_close_range, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { .len = 4, .filter = filter };

	return !prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) &&
	       !prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) &&
	       syscall(SYS_close_range, 1000, 1000, 0) && errno == ENOSYS;
}

/* 0: all of the engine's processes have the guest's memory alone. */
static int descriptors_left(void)
{
	struct plex86_engine_config config = { .ram_fd = ram_fd, .ram = ram,
					       .ram_size = RAM_SIZE, .max_spaces = 8 };
	char why[PLEX86_WHY_LEN], path[40], last[64];
	struct plex86_engine *e;
	struct plex86_space *s;
	unsigned int left = 0, i;
	pid_t pid[3];

	if (!forbid_close_range() || dup2(1, 100) < 0 || ops->open(&config, &e, why) ||
	    ops->space_create(e, &s))
		return 2;
	pid[0] = find_parked();
	pid[1] = find_zygote();
	pid[2] = find_container();
	for (i = 0; i < 3; i++) {
		snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid[i]);
		left += count_entries(path, last) != 1 || strcmp(last, "0");
	}
	ops->close(e);
	return !!left;
}

static void test_without_close_range(void)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid)
		_exit(descriptors_left());
	report(waitpid(pid, &status, 0) == pid && !status,
	       "without close_range(), too, a container's only descriptor is the guest's memory");
}

int main(void)
{
	open_or_skip(&plex86_engine_process, 16);
	test_sandbox();
	test_stub_moves();
	test_stub_called();
	test_truncated();
	test_threads();
	test_other_children();
	test_affinity();
	test_cores();
	close_engine();

	/* These want no engine but their own. */
	ram_fd = memfd_create("guest", MFD_CLOEXEC);
	ram = ftruncate(ram_fd, RAM_SIZE) ? MAP_FAILED :
	      mmap(NULL, RAM_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, ram_fd, 0);
	if (report(ram != MAP_FAILED, "guest memory")) {
		test_leaks();
		test_without_close_range();
		test_unprivileged();
	}
	return finish();
}
