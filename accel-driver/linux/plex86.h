/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The objects of the module and who may touch what.
 *
 *   VM     RAM ranges, pins, nexus blocks; counted by the files that need it
 *   space  page tables and descriptors of one guest address space
 *   vCPU   a nexus and the run loop
 *
 * A space's lock is held by whoever changes it and by the vCPU that runs in it,
 * so tables never change under a running CPU.  Both a space and a vCPU refuse a
 * second user with -EBUSY.  Inside it come vm->pin_lock, under which user memory is
 * touched: that can take as long as whoever provides the memory likes, so it is waited
 * for killably, and never by a release; and vm->lock, which is held for short.
 */
#ifndef PLEX86_LINUX_H
#define PLEX86_LINUX_H

#include <linux/bits.h>
#include <linux/fs.h>
#include <linux/hrtimer.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/uaccess.h>
#include <linux/xarray.h>
#include <plex86/uapi.h>
#include "nexus.h"

#define PLEX86_MAX_RANGES	16
#define PLEX86_MAX_VCPUS	16
#define PLEX86_MAX_OPS		4096
/* Not the last canonical page: some AMD CPUs that execute code there go astray (asm/page_64.h). */
#define PLEX86_VA_LIMIT		(BIT_ULL(47) - PAGE_SIZE)
#define PLEX86_MAX_MSRS		4

/* Pages that can be executed only have this key, whose pages PKRU forbids to read and write. */
#define PLEX86_EXEC_ONLY_KEY	1
#define PLEX86_GUEST_PKRU	(1u << 2 * PLEX86_EXEC_ONLY_KEY)

/* What this host is and needs; filled in once by plex86_host_init(). */
struct plex86_host {
	u64 caps;		/* PLEX86_HOST_* */
	u64 xcr0;
	u64 cr4_guest;		/* CR4 bits that follow the guest's, as far as the CPU has them */
	u64 cr4_on;		/* CR4 bits that are on while the guest runs */
	u64 cr4_off;		/* and off */
	int levels;		/* of page tables: 4 or 5 */
	bool pcid;		/* PCIDs of our own can be used */
	bool clear_buffers;	/* VERW before entry */
	bool ibrs;		/* SPEC_CTRL to be written after an exit */
	unsigned int nmsr;
	struct {
		u32 msr;
		u64 clear, set;
	} msr[PLEX86_MAX_MSRS];	/* MSRs that differ while the guest runs */
	gate_desc *idt;
};

extern struct plex86_host plex86_host;
int plex86_host_init(void);
void plex86_host_exit(void);
int plex86_host_refuses_task(void);
bool plex86_task_has_stale(void);

struct plex86_range {
	u64 offset, addr, bytes;
};

struct plex86_vm {
	struct kref ref;
	struct mm_struct *mm;		/* the owner; pins are charged to it ... */
	struct user_struct *user;	/* ... and to its user, since they may outlive it */
	struct mutex pin_lock;		/* range, nranges, and who adds to pins */
	struct plex86_range range[PLEX86_MAX_RANGES];
	unsigned int nranges;
	struct xarray pins;		/* RAM page number -> struct page */
	struct mutex lock;		/* all below */
	u64 *upper;			/* top table with the nexus; spaces copy its upper half */
	struct nexus *nexus[PLEX86_MAX_VCPUS];
	u32 nexus_used;			/* bitmap */
	struct list_head spaces;
	u64 id;
	atomic64_t charged;		/* pages charged to both */
};

struct plex86_space {
	struct plex86_vm *vm;
	struct list_head link;
	struct mutex lock;		/* all below; held while a vCPU runs here */
	u64 *top;
	u64 id;				/* never used again */
	u64 flushed;			/* changes when translations were taken away */
	bool exec_only;			/* there are, or were, pages with the key */
	u64 *descriptors;		/* NX_GDT_GUEST of the GDT, then NX_LDT_SLOTS */
	unsigned int ngdt, nldt;
	u64 generation;			/* of descriptors; unique over all spaces */
};

/* What one entry needs beside the nexus. */
struct plex86_entry {
	u64 guest_cr4, xcr0;
	u64 dr[4], dr7;
	bool cr0_ts;
	u64 dr6;			/* out */
};

/* The run in progress; here and not on the stack, which kernels clear. */
struct plex86_loop {
	struct plex86_space *s;
	struct plex86_entry entry;
	struct nexus_frame saved;	/* what is entered again after a host event */
	u64 start, now, deadline;	/* local_clock(); now: when this stay began */
	u32 left;			/* repeats to go */
	bool ran;			/* something did, and .saved is valid */
	struct plex86_run run;		/* copy of the caller's */
};

struct plex86_vcpu {
	struct plex86_vm *vm;
	struct mm_struct *mm;		/* vm->mm, vm->id: at hand */
	u64 vm_id;
	struct mutex lock;		/* held while running */
	struct nexus *nx;
	int index;			/* in vm->nexus */
	int cpu;			/* host CPU that nx's copies of host state are of */
	u64 generation;			/* of the descriptors in nx */
	unsigned int ngdt, nldt;	/* how many of them */
	int kicked;
	int running_on;			/* CPU, or -1; for the kick */
	struct hrtimer timer;
	bool timer_armed;
	int timer_cpu;
	u64 timer_expiry;
	unsigned long switches;		/* of this thread, up to the last stay */
	bool host_debug;		/* the host has breakpoints armed */
	u64 saved_msr[PLEX86_MAX_MSRS];
	u32 msr_changed;		/* bitmap: saved_msr[] must be written back */
	struct plex86_loop loop;
};

/* vm.c */
struct plex86_vm *plex86_vm_get(struct plex86_vm *vm);
void plex86_vm_put(struct plex86_vm *vm);
long plex86_vm_create(void);
int plex86_vm_charge(struct plex86_vm *vm, long pages);
void plex86_vm_uncharge(struct plex86_vm *vm, long pages);
int plex86_vm_pin(struct plex86_vm *vm, u64 off, u64 npages);
u64 plex86_unique_id(void);

/* table.c: page tables.  @vm is who is charged. */
u64 *plex86_table_new(struct plex86_vm *vm);
void plex86_table_free(struct plex86_vm *vm, u64 *table);
int plex86_table_alloc(struct plex86_vm *vm, u64 *top, u64 va, u64 npages);
u64 *plex86_table_slot(u64 *top, u64 va);
void plex86_table_clear(u64 *top, u64 va, u64 npages);
void plex86_table_free_user(struct plex86_vm *vm, u64 *top);
void plex86_table_free_all(struct plex86_vm *vm, u64 *top);
int plex86_table_alias(struct plex86_vm *vm, u64 *top, u64 va, u64 entry);

/* space.c */
extern const struct file_operations plex86_space_fops;
long plex86_space_create(struct plex86_vm *vm);

/* vcpu.c */
long plex86_vcpu_create(struct plex86_vm *vm);
struct nexus *plex86_nexus_new(struct plex86_vm *vm, int index);

/* state.c: registers between v->loop.run.cpu and v->nx */
u32 plex86_state_refused(const struct plex86_cpu *cpu);
void plex86_state_import(struct plex86_vcpu *v);
void plex86_state_export(struct plex86_vcpu *v, const struct nexus_frame *f);
void plex86_state_choose_stack(struct plex86_vcpu *v);

/* switch.c: one entry into the guest; IRQs off */
void plex86_switch_begin(struct plex86_vcpu *v, struct plex86_space *s);
void plex86_switch(struct plex86_vcpu *v, struct plex86_space *s, struct plex86_entry *e);
bool plex86_switch_serve_host(struct plex86_vcpu *v);
void plex86_switch_end(struct plex86_vcpu *v);

/* The alias of a nexus's first page, one per 64 KiB of a 4 GiB window; see state.c. */
#define PLEX86_ALIAS_BASE	0xffff800000000000ull
#define PLEX86_ALIAS_SIZE	BIT_ULL(32)

static inline u64 plex86_alias(int index, u32 esp)
{
	return PLEX86_ALIAS_BASE + index * PLEX86_ALIAS_SIZE + (esp & 0xffff0000u);
}

/* Common head of all our structures: copies, checks size and zero tail. */
#define plex86_get_struct(dst, uptr) \
	plex86_get_struct_((dst), sizeof(*(dst)), (void __user *)(uptr))

static inline int plex86_get_struct_(void *dst, u32 known, void __user *uptr)
{
	u32 size;

	if (get_user(size, (u32 __user *)uptr))
		return -EFAULT;
	if (size < known)
		return -EINVAL;
	if (size > PAGE_SIZE)
		return -E2BIG;
	return copy_struct_from_user(dst, known, uptr, size);
}

#endif /* PLEX86_LINUX_H */
