// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Errors that depend on who calls and on what else goes on: another process, a
 * user without rights, a limit that is reached, objects in use.  See ioctl.c.
 */
#include <grp.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kmod.h"
#include "../tap.h"

static struct machine m;

static const unsigned char ud2[] = { 0x0f, 0x0b };

static int still_works(void)
{
	load(&m, 64, ud2, sizeof(ud2));
	return !go(&m) && m.run.reason == PLEX86_RUN_TRAP && m.run.vector == 6;
}

static void test_owner(void)
{
	struct plex86_ram ram = { .size = sizeof(ram), .offset = 1 << 30, .bytes = PAGE };
	int status;
	pid_t pid;

	ram.addr = (uintptr_t)m.ram;
	pid = fork();
	if (!pid) {
		int bad = call(m.vm, PLEX86_SPACE_CREATE, NULL) != -EIO;

		bad |= call(m.vm, PLEX86_VCPU_CREATE, NULL) != -EIO;
		bad |= call(m.vm, PLEX86_VM_ADD_RAM, &ram) != -EIO;
		bad |= map(&m, DATA, PAGE, 1, PLEX86_PAGE_READ) != -EIO;
		bad |= set_tables(&m) != -EIO;
		load(&m, 64, ud2, sizeof(ud2));
		bad |= go(&m) != -EIO;
		bad |= call(m.vcpu, PLEX86_VCPU_KICK, NULL) != -EIO;
		_exit(bad);
	}
	waitpid(pid, &status, 0);
	is(status, 0, "a child's calls through inherited descriptors: EIO");
}

static int become_nobody(void)
{
	return setgroups(0, NULL) || setgid(65534) || setuid(65534);
}

/* As a user without CAP_IPC_LOCK, with a little memory to lock. */
static void test_limit(void)
{
	struct rlimit limit = { 256 << 10, 256 << 10 };
	struct machine small;
	int status, i;
	pid_t pid;
	long ret = 0;

	pid = fork();
	if (!pid) {
		int fd = open("/dev/plex86", O_RDWR);

		setrlimit(RLIMIT_MEMLOCK, &limit);
		if (fd < 0 || become_nobody())
			_exit(2);
		close(fd);
		_exit(open("/dev/plex86", O_RDWR) >= 0 ? 3 : errno == EACCES ? 0 : 4);
	}
	waitpid(pid, &status, 0);
	is(WEXITSTATUS(status), 0, "an ordinary user may not open /dev/plex86 (mode 0660)");
	if (chmod("/dev/plex86", 0666)) {
		tap_ok(0, "chmod");
		return;
	}
	pid = fork();
	if (!pid) {
		setrlimit(RLIMIT_MEMLOCK, &limit);
		if (become_nobody() || machine_open(&small))
			_exit(2);
		/* 64 pages may be locked; some of it went into tables. */
		ret = map(&small, 1 << 20, 0, NPAGES, PLEX86_PAGE_READ);
		if (ret != -ENOMEM)
			_exit(3);
		/* Scattered mappings cost tables. */
		for (i = 0, ret = 0; i < 1000 && !ret; i++)
			ret = map(&small, (uint64_t)i << 30, 0, 1, PLEX86_PAGE_READ);
		if (ret != -ENOMEM || i > 64)
			_exit(4);
		/* What there is still works. */
		m = small;
		if (!still_works())
			_exit(5);
		for (i = 0, ret = 0; i < 1000 && ret >= 0; i++)
			ret = call(small.vm, PLEX86_SPACE_CREATE, NULL);
		if (ret != -ENOMEM)
			_exit(6);
		_exit(0);
	}
	waitpid(pid, &status, 0);
	is(WEXITSTATUS(status), 0, "RLIMIT_MEMLOCK bounds pins, tables and spaces");
	chmod("/dev/plex86", 0660);
}

static void *spin(void *arg)
{
	(void)arg;
	go(&m);
	return NULL;
}

/* One thread is in the guest, another calls. */
static void test_busy(void)
{
	struct plex86_run spinning;
	struct machine second = m;
	pthread_t thread;

	load(&m, 64, (const unsigned char[]){ 0xeb, 0xfe }, 2);
	m.run.budget_ns = 1000000000;
	pthread_create(&thread, NULL, spin, NULL);
	usleep(100000);
	is(unmap(&second, DATA, 1), -EBUSY, "apply: the space is in use");
	is(set_tables(&second), -EBUSY, "descriptors: the space is in use");
	spinning = m.run;
	is(call(m.vcpu, PLEX86_VCPU_RUN, &spinning), -EBUSY, "run: the vCPU is in use");
	second.vcpu = call(m.vm, PLEX86_VCPU_CREATE, NULL);
	is(call(second.vcpu, PLEX86_VCPU_RUN, &spinning), -EBUSY, "run: the space is in use");
	close(second.vcpu);
	is(call(m.vcpu, PLEX86_VCPU_KICK, NULL), 0, "a kick from another thread");
	pthread_join(thread, NULL);
	tap_ok(m.run.reason == PLEX86_RUN_KICK && m.run.ran_ns < 1000000000, "ends the run");
}

static void test_vcpus(void)
{
	int fd[32], n = 0;
	long ret = 0;

	while (n < 32 && ret >= 0) {
		ret = call(m.vm, PLEX86_VCPU_CREATE, NULL);
		if (ret >= 0)
			fd[n++] = ret;
	}
	is(ret, -ENOSPC, "too many vCPUs");
	is(n, 15, "which are more than 16");
	while (n)
		close(fd[--n]);
	ret = call(m.vm, PLEX86_VCPU_CREATE, NULL);
	ok(ret >= 0);
	close(ret);
	tap_ok(still_works(), "the first vCPU still works");
}

#define SLOW_OFF	(UINT64_C(2) << 30)

static int mapped, released;

static void *map_slow(void *arg)
{
	*(long *)arg = map(&m, 0x20000000, SLOW_OFF, 1, PLEX86_PAGE_READ);
	__atomic_store_n(&mapped, 1, __ATOMIC_RELEASE);
	return NULL;
}

static void *release(void *arg)
{
	close(*(int *)arg);
	__atomic_store_n(&released, 1, __ATOMIC_RELEASE);
	return NULL;
}

/* Within five seconds. */
static int comes(const int *what)
{
	int i;

	for (i = 0; i < 50 && !__atomic_load_n(what, __ATOMIC_ACQUIRE); i++)
		usleep(100000);
	return i < 50;
}

/* A page of RAM that its provider doesn't give, for as long as that likes. */
static void test_slow_memory(void)
{
	struct plex86_ram ram = { .size = sizeof(ram), .offset = SLOW_OFF, .bytes = PAGE };
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), space, vcpu, other;
	pthread_t mapper, closer;
	struct uffd_msg fault;
	long ret = -1;

	if (uffd < 0) {
		tap_skip("slow memory", "no userfaultfd here");
		return;
	}
	other = call(m.vm, PLEX86_SPACE_CREATE, NULL);
	ram.addr = (uintptr_t)mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	reg.range = (struct uffdio_range){ ram.addr, PAGE };
	ok(!ioctl(uffd, UFFDIO_API, &api) && !ioctl(uffd, UFFDIO_REGISTER, &reg));
	is(call(m.vm, PLEX86_VM_ADD_RAM, &ram), 0, "RAM that is slow to come");
	pthread_create(&mapper, NULL, map_slow, &ret);
	while (read(uffd, &fault, sizeof(fault)) != sizeof(fault) &&
	       !__atomic_load_n(&mapped, __ATOMIC_ACQUIRE))
		usleep(10000);
	if (__atomic_load_n(&mapped, __ATOMIC_ACQUIRE)) {
		/* Before Linux 6.3 whoever pins does not wait for userfaultfd. */
		is(ret, -EFAULT, "memory that can't be had");
		tap_skip("slow memory", "this kernel does not wait for it");
		pthread_join(mapper, NULL);
		close(uffd);
		close(other);
		return;
	}
	pthread_create(&closer, NULL, release, &other);
	if (comes(&released)) {
		tap_ok(1, "while it is mapped, another space is closed");
		space = call(m.vm, PLEX86_SPACE_CREATE, NULL);
		vcpu = call(m.vm, PLEX86_VCPU_CREATE, NULL);
		tap_ok(space >= 0 && vcpu >= 0 && !close(space) && !close(vcpu),
		       "and a space and a vCPU are made and closed");
	} else {
		tap_ok(0, "while it is mapped, another space is closed");
	}
	close(uffd);
	pthread_join(mapper, NULL);
	pthread_join(closer, NULL);
	is(ret, 0, "mapped when it has come");
}

int main(void)
{
	long ret = machine_open(&m);

	if (ret) {
		tap_ok(0, "a machine: %s", strerror(-ret));
		return tap_done();
	}
	test_owner();
	test_vcpus();
	test_busy();
	test_slow_memory();
	test_limit();
	machine_close(&m);
	return tap_done();
}
