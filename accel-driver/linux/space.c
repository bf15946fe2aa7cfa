// SPDX-License-Identifier: GPL-2.0
/*
 * A space: one guest address space, built only from map requests, and the
 * descriptors that its code may load.  Each request is checked against the
 * VM's RAM, the user half and the bits it may set; nothing is looked up in
 * guest memory.
 */
#include <linux/anon_inodes.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <asm/io.h>
#include "plex86.h"

#define DESCRIPTORS_SIZE	((NX_GDT_GUEST + NX_LDT_SLOTS) * sizeof(u64))
#define DESCRIPTORS_PAGES	((long)(PAGE_ALIGN(DESCRIPTORS_SIZE) >> PAGE_SHIFT))

/* Fill in [gva, ...): tables and pins are there, so it can't fail. */
static void fill(struct plex86_space *s, const struct plex86_op *op)
{
	u64 bits = _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED;
	bool took = false;
	u64 *slot = NULL;
	u64 i;

	if (op->prot & PLEX86_PAGE_WRITE)
		bits |= _PAGE_RW | _PAGE_DIRTY;
	if (!(op->prot & PLEX86_PAGE_EXEC))
		bits |= _PAGE_NX;
	if (op->prot == PLEX86_PAGE_EXEC && plex86_host.caps & PLEX86_HOST_EXEC_ONLY) {
		bits |= (u64)PLEX86_EXEC_ONLY_KEY << _PAGE_BIT_PKEY_BIT0;
		s->exec_only = true;
	}
	for (i = 0; i < op->npages; i++) {
		u64 va = op->gva + (i << PAGE_SHIFT);
		struct page *page = xa_load(&s->vm->pins, (op->off >> PAGE_SHIFT) + i);

		if (!slot || !(va & (PMD_SIZE - 1))) {
			slot = plex86_table_slot(s->top, va);
			cond_resched();
		}
		took |= *slot != 0;
		WRITE_ONCE(*slot++, __sme_set((u64)page_to_phys(page)) | bits);
	}
	if (took)
		s->flushed = plex86_unique_id();
}

static int apply_map(struct plex86_space *s, const struct plex86_op *op)
{
	int ret;

	if (!op->prot || op->prot & ~(PLEX86_PAGE_READ | PLEX86_PAGE_WRITE | PLEX86_PAGE_EXEC) ||
	    !PAGE_ALIGNED(op->off))
		return -EINVAL;
	ret = plex86_vm_pin(s->vm, op->off, op->npages);
	if (!ret)
		ret = plex86_table_alloc(s->vm, s->top, op->gva, op->npages);
	if (!ret)
		fill(s, op);
	return ret;
}

static int apply_one(struct plex86_space *s, const struct plex86_op *op)
{
	if (op->kind == PLEX86_OP_UNMAP_ALL) {
		plex86_table_free_user(s->vm, s->top);
		s->flushed = plex86_unique_id();
		s->exec_only = false;
		return 0;
	}
	if (!op->npages || !PAGE_ALIGNED(op->gva) || op->gva >= PLEX86_VA_LIMIT ||
	    op->npages > (PLEX86_VA_LIMIT - op->gva) >> PAGE_SHIFT)
		return -EINVAL;
	switch (op->kind) {
	case PLEX86_OP_MAP:
		return apply_map(s, op);
	case PLEX86_OP_UNMAP:
		plex86_table_clear(s->top, op->gva, op->npages);
		s->flushed = plex86_unique_id();
		return 0;
	default:
		return -EINVAL;
	}
}

static long apply(struct plex86_space *s, struct plex86_apply __user *arg)
{
	struct plex86_op __user *ops;
	struct plex86_apply a;
	struct plex86_op op;
	u32 i;
	long ret = plex86_get_struct(&a, arg);

	if (ret)
		return ret;
	if (a.flags || a.n > PLEX86_MAX_OPS)
		return -EINVAL;
	ops = (struct plex86_op __user *)(unsigned long)a.ops;
	for (i = 0; i < a.n; i++) {
		ret = copy_from_user(&op, ops + i, sizeof(op)) ? -EFAULT : apply_one(s, &op);
		if (ret)
			break;
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			break;
		}
		cond_resched();
	}
	if (put_user(i, &arg->done))
		ret = -EFAULT;
	return ret;
}

/* May ring 3 find this in its GDT or LDT?  Nothing else ever gets there. */
static bool descriptor_ok(u64 d)
{
	u32 access = d >> 40;

	return !d || ((access & 0xf1) == 0xf1);	/* P, DPL 3, S, accessed */
}

static int get_descriptors(u64 *to, u64 from, u32 n)
{
	u32 i;

	if (copy_from_user(to, (void __user *)(unsigned long)from, n * sizeof(u64)))
		return -EFAULT;
	for (i = 0; i < n; i++)
		if (!descriptor_ok(to[i]))
			return -EINVAL;
	return 0;
}

static long set_descriptors(struct plex86_space *s, void __user *arg)
{
	struct plex86_descriptors d;
	u64 *fresh;
	long ret = plex86_get_struct(&d, arg);

	if (ret)
		return ret;
	if (d.flags)
		return -EINVAL;
	if (d.ngdt > NX_GDT_GUEST || d.nldt > NX_LDT_SLOTS)
		return -E2BIG;
	/* New ones take the place of the old, which are freed. */
	if (!s->descriptors)
		ret = plex86_vm_charge(s->vm, DESCRIPTORS_PAGES);
	if (ret)
		return ret;
	ret = -ENOMEM;
	fresh = kzalloc(DESCRIPTORS_SIZE, GFP_KERNEL_ACCOUNT);
	if (fresh)
		ret = get_descriptors(fresh, d.gdt, d.ngdt) ?:
			get_descriptors(fresh + NX_GDT_GUEST, d.ldt, d.nldt);
	if (!ret && (fresh[0] || fresh[NX_GDT_CODE]))
		ret = -EINVAL;
	if (!ret) {
		swap(s->descriptors, fresh);
		s->ngdt = d.ngdt;
		s->nldt = d.nldt;
		s->generation = plex86_unique_id();
	}
	if (!s->descriptors)
		plex86_vm_uncharge(s->vm, DESCRIPTORS_PAGES);
	kfree(fresh);
	return ret;
}

static long space_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct plex86_space *s = file->private_data;
	long ret;

	if (current->mm != s->vm->mm)
		return -EIO;
	if (cmd != PLEX86_SPACE_APPLY && cmd != PLEX86_SPACE_DESCRIPTORS)
		return -ENOTTY;
	if (!mutex_trylock(&s->lock))
		return -EBUSY;
	if (cmd == PLEX86_SPACE_APPLY)
		ret = apply(s, (void __user *)arg);
	else
		ret = set_descriptors(s, (void __user *)arg);
	mutex_unlock(&s->lock);
	return ret;
}

static void space_free(struct plex86_space *s)
{
	mutex_lock(&s->vm->lock);
	list_del(&s->link);
	mutex_unlock(&s->vm->lock);
	plex86_table_free_user(s->vm, s->top);
	plex86_table_free(s->vm, s->top);
	if (s->descriptors)
		plex86_vm_uncharge(s->vm, DESCRIPTORS_PAGES);
	kfree(s->descriptors);
	plex86_vm_put(s->vm);
	kfree(s);
}

static int space_release(struct inode *inode, struct file *file)
{
	space_free(file->private_data);
	return 0;
}

const struct file_operations plex86_space_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = space_ioctl,
	.release = space_release,
};

long plex86_space_create(struct plex86_vm *vm)
{
	struct plex86_space *s = kzalloc(sizeof(*s), GFP_KERNEL_ACCOUNT);
	long ret;

	if (!s)
		return -ENOMEM;
	s->top = plex86_table_new(vm);
	if (!s->top) {
		kfree(s);
		return -ENOMEM;
	}
	mutex_init(&s->lock);
	s->id = plex86_unique_id();
	s->generation = plex86_unique_id();
	s->vm = plex86_vm_get(vm);
	mutex_lock(&vm->lock);
	memcpy(s->top + 256, vm->upper + 256, 256 * sizeof(u64));
	list_add(&s->link, &vm->spaces);
	mutex_unlock(&vm->lock);
	ret = anon_inode_getfd("plex86-space", &plex86_space_fops, s, O_RDWR | O_CLOEXEC);
	if (ret < 0)
		space_free(s);
	return ret;
}
