// SPDX-License-Identifier: GPL-2.0
/*
 * The VM: whose memory is the guest's RAM, and who pays.  RAM pages are pinned
 * one by one when they are first mapped, never all at once, and stay pinned
 * until the VM goes; they, page tables and nexus blocks are charged to the
 * owner's pinned memory, and to what its user has locked, which RLIMIT_MEMLOCK
 * limits: a VM may outlive the process that made it, and its pins with it.
 */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/slab.h>
#include "plex86.h"

#define PIN_BATCH 32

u64 plex86_unique_id(void)
{
	static atomic64_t last;

	return atomic64_inc_return(&last);
}

int plex86_vm_charge(struct plex86_vm *vm, long pages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;

	if (atomic_long_add_return(pages, &vm->user->locked_vm) > limit && !capable(CAP_IPC_LOCK)) {
		atomic_long_sub(pages, &vm->user->locked_vm);
		return -ENOMEM;
	}
	atomic64_add(pages, &vm->mm->pinned_vm);
	atomic64_add(pages, &vm->charged);
	return 0;
}

void plex86_vm_uncharge(struct plex86_vm *vm, long pages)
{
	atomic_long_sub(pages, &vm->user->locked_vm);
	atomic64_sub(pages, &vm->mm->pinned_vm);
	atomic64_sub(pages, &vm->charged);
}

struct plex86_vm *plex86_vm_get(struct plex86_vm *vm)
{
	kref_get(&vm->ref);
	return vm;
}

static void vm_free(struct kref *ref)
{
	struct plex86_vm *vm = container_of(ref, struct plex86_vm, ref);
	struct page *page;
	unsigned long i;

	xa_for_each(&vm->pins, i, page) {
		unpin_user_pages_dirty_lock(&page, 1, true);
		plex86_vm_uncharge(vm, 1);
		cond_resched();
	}
	xa_destroy(&vm->pins);
	if (vm->upper) {
		plex86_table_free_all(vm, vm->upper);
		plex86_table_free(vm, vm->upper);
	}
	for (i = 0; i < PLEX86_MAX_VCPUS; i++) {
		if (!vm->nexus[i])
			continue;
		free_pages((unsigned long)vm->nexus[i], get_order(sizeof(struct nexus)));
		plex86_vm_uncharge(vm, sizeof(struct nexus) >> PAGE_SHIFT);
	}
	WARN_ON(atomic64_read(&vm->charged));
	mmdrop(vm->mm);
	free_uid(vm->user);
	kfree(vm);
}

void plex86_vm_put(struct plex86_vm *vm)
{
	kref_put(&vm->ref, vm_free);
}

/* The range that holds RAM offset @off, with vm->pin_lock held. */
static const struct plex86_range *find_range(struct plex86_vm *vm, u64 off)
{
	unsigned int i;

	for (i = 0; i < vm->nranges; i++)
		if (off - vm->range[i].offset < vm->range[i].bytes)
			return &vm->range[i];
	return NULL;
}

/* Pin up to @n pages from @off on; returns how many, or a negative errno. */
static long pin_some(struct plex86_vm *vm, u64 off, u64 n)
{
	const struct plex86_range *range = find_range(vm, off);
	struct page *pages[PIN_BATCH];
	long got, i, ret = 0;

	if (!range)
		return -EINVAL;
	n = min_t(u64, n, PIN_BATCH);
	n = min_t(u64, n, (range->offset + range->bytes - off) >> PAGE_SHIFT);
	for (i = 0; i < n; i++)
		if (xa_load(&vm->pins, (off >> PAGE_SHIFT) + i))
			break;
	if (!i)
		return 1;		/* the first one has its pin */
	n = i;

	if (plex86_vm_charge(vm, n))
		return -ENOMEM;
	got = pin_user_pages_fast(range->addr + (off - range->offset), n,
				  FOLL_WRITE | FOLL_LONGTERM, pages);
	if (got <= 0) {
		plex86_vm_uncharge(vm, n);
		return got ?: -EFAULT;
	}
	plex86_vm_uncharge(vm, n - got);
	for (i = 0; i < got; i++) {
		ret = xa_err(xa_store(&vm->pins, (off >> PAGE_SHIFT) + i, pages[i],
				      GFP_KERNEL_ACCOUNT));
		if (ret)
			break;
	}
	if (i < got) {
		unpin_user_pages_dirty_lock(pages + i, got - i, false);
		plex86_vm_uncharge(vm, got - i);
	}
	return i ?: ret;
}

static int pin_all(struct plex86_vm *vm, u64 off, u64 npages)
{
	while (npages) {
		long n = pin_some(vm, off, npages);

		if (n < 0)
			return n;
		off += n << PAGE_SHIFT;
		npages -= n;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

/* Have RAM pages pinned, all or an error; those that were stay. */
int plex86_vm_pin(struct plex86_vm *vm, u64 off, u64 npages)
{
	int ret;

	if (mutex_lock_killable(&vm->pin_lock))
		return -EINTR;
	ret = pin_all(vm, off, npages);
	mutex_unlock(&vm->pin_lock);
	return ret;
}

static long add_ram(struct plex86_vm *vm, void __user *arg)
{
	struct plex86_ram ram;
	unsigned int i;
	long ret = plex86_get_struct(&ram, arg);

	if (ret)
		return ret;
	if (ram.flags || !ram.bytes || !PAGE_ALIGNED(ram.offset | ram.addr | ram.bytes) ||
	    ram.offset + ram.bytes < ram.offset || ram.addr + ram.bytes < ram.addr ||
	    ram.offset + ram.bytes > PLEX86_VA_LIMIT)
		return -EINVAL;
	if (!access_ok((void __user *)(unsigned long)ram.addr, ram.bytes))
		return -EFAULT;
	if (mutex_lock_killable(&vm->pin_lock))
		return -EINTR;
	for (i = 0; i < vm->nranges && !ret; i++)
		if (ram.offset < vm->range[i].offset + vm->range[i].bytes &&
		    vm->range[i].offset < ram.offset + ram.bytes)
			ret = -EEXIST;
	if (!ret && vm->nranges == PLEX86_MAX_RANGES)
		ret = -ENOSPC;
	if (!ret)
		vm->range[vm->nranges++] = (struct plex86_range) {
			.offset = ram.offset, .addr = ram.addr, .bytes = ram.bytes,
		};
	mutex_unlock(&vm->pin_lock);
	return ret;
}

static long vm_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct plex86_vm *vm = file->private_data;

	if (current->mm != vm->mm)
		return -EIO;
	switch (cmd) {
	case PLEX86_VM_ADD_RAM:
		return add_ram(vm, (void __user *)arg);
	case PLEX86_SPACE_CREATE:
		return arg ? -EINVAL : plex86_space_create(vm);
	case PLEX86_VCPU_CREATE:
		return arg ? -EINVAL : plex86_vcpu_create(vm);
	default:
		return -ENOTTY;
	}
}

static int vm_release(struct inode *inode, struct file *file)
{
	plex86_vm_put(file->private_data);
	return 0;
}

static const struct file_operations vm_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = vm_ioctl,
	.release = vm_release,
};

/* The parts of the nexus that all vCPUs share: its text and the IDT. */
static int map_shared(struct plex86_vm *vm)
{
	u64 npages = (nexus_text_end - nexus_text) >> PAGE_SHIFT;
	u64 va = (unsigned long)nexus_text;
	int ret = plex86_table_alloc(vm, vm->upper, va, npages);

	for (; npages && !ret; npages--, va += PAGE_SIZE)
		*plex86_table_slot(vm->upper, va) =
			__sme_set((u64)vmalloc_to_pfn((void *)va) << PAGE_SHIFT) |
			_PAGE_PRESENT | _PAGE_ACCESSED;
	if (ret)
		return ret;
	va = (unsigned long)plex86_host.idt;
	ret = plex86_table_alloc(vm, vm->upper, va, 1);
	if (!ret)
		*plex86_table_slot(vm->upper, va) = __sme_set(__pa(va)) |
			_PAGE_PRESENT | _PAGE_ACCESSED | _PAGE_NX;
	return ret;
}

long plex86_vm_create(void)
{
	struct plex86_vm *vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	long ret = -ENOMEM;

	if (!vm)
		return -ENOMEM;
	kref_init(&vm->ref);
	mutex_init(&vm->pin_lock);
	mutex_init(&vm->lock);
	xa_init(&vm->pins);
	INIT_LIST_HEAD(&vm->spaces);
	vm->mm = current->mm;
	mmgrab(vm->mm);
	vm->user = get_uid(current_user());
	vm->id = plex86_unique_id();
	vm->upper = plex86_table_new(vm);
	if (vm->upper)
		ret = map_shared(vm);
	if (!ret)
		ret = anon_inode_getfd("plex86-vm", &vm_fops, vm, O_RDWR | O_CLOEXEC);
	if (ret < 0)
		plex86_vm_put(vm);
	return ret;
}
