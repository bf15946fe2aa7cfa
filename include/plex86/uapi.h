/* SPDX-License-Identifier: (GPL-2.0 WITH Linux-syscall-note) OR LGPL-2.1-or-later */
/*
 * The ABI of plex86.ko: everything that crosses the line between user space
 * and the module, and nothing else.
 *
 * /dev/plex86 --VM_CREATE--> VM --SPACE_CREATE--> space (one address space)
 *                              \--VCPU_CREATE---> vCPU  (runs code in a space)
 *
 * Each object is a file descriptor (close-on-exec); the last close frees what
 * hangs on it.  A VM belongs to the process that made it: through an inherited
 * or passed descriptor every call fails with -EIO.
 *
 * Rules for all calls: structures start with their own size, so that they can
 * grow (a longer one is taken if what this module does not know is zero, else
 * -E2BIG; a shorter one than version 1 is -EINVAL); unknown flags and non-zero
 * reserved fields are -EINVAL, as is an argument where there is none; an unknown
 * command is -ENOTTY; a bad pointer is -EFAULT; -ENOMEM is out of memory, or over
 * RLIMIT_MEMLOCK.  There is no version number: ask PLEX86_GET_INFO for capabilities.
 */
#ifndef PLEX86_UAPI_H
#define PLEX86_UAPI_H

#include <linux/ioctl.h>
#include <linux/types.h>
#include <plex86/cpu.h>

#define PLEX86_IOC			0xb9

/* On /dev/plex86 */
#define PLEX86_GET_INFO			_IO(PLEX86_IOC, 0x00)	/* struct plex86_info */
#define PLEX86_VM_CREATE		_IO(PLEX86_IOC, 0x01)	/* arg 0; returns an fd */
/* On a VM */
#define PLEX86_VM_ADD_RAM		_IO(PLEX86_IOC, 0x10)	/* struct plex86_ram */
#define PLEX86_SPACE_CREATE		_IO(PLEX86_IOC, 0x11)	/* arg 0; returns an fd */
#define PLEX86_VCPU_CREATE		_IO(PLEX86_IOC, 0x12)	/* the same; -ENOSPC: 16 are open */
/* On a space */
#define PLEX86_SPACE_APPLY		_IO(PLEX86_IOC, 0x20)	/* struct plex86_apply */
#define PLEX86_SPACE_DESCRIPTORS	_IO(PLEX86_IOC, 0x21)	/* struct plex86_descriptors */
/* On a vCPU */
#define PLEX86_VCPU_RUN			_IO(PLEX86_IOC, 0x30)	/* struct plex86_run */
#define PLEX86_VCPU_KICK		_IO(PLEX86_IOC, 0x31)	/* arg 0 */

/* plex86_info.caps: what this module can do on this host. */
#define PLEX86_HOST_UMIP	(1ull << 0)	/* SGDT, SIDT, SLDT, STR, SMSW trap */
#define PLEX86_HOST_CPUID_FAULT	(1ull << 1)	/* CPUID traps */
#define PLEX86_HOST_XSAVE	(1ull << 2)	/* runs with the guest's XCR0 */
#define PLEX86_HOST_PCID	(1ull << 3)	/* translations survive exits */
#define PLEX86_HOST_FSGSBASE	(1ull << 4)	/* bases switched without MSR writes */
#define PLEX86_HOST_EXEC_ONLY	(1ull << 5)	/* PLEX86_PAGE_EXEC alone can't be read */

/* The result of PLEX86_GET_INFO; flags must be zero. */
struct plex86_info {
	__u32 size;
	__u32 flags;
	__u64 caps;		/* PLEX86_HOST_* */
	__u64 xcr0;		/* what plex86_cpu.xcr0 may hold */
	__u64 va_limit;		/* first linear address that can't be mapped */
	__u32 max_gdt;		/* descriptors that PLEX86_SPACE_DESCRIPTORS takes */
	__u32 max_ldt;
	__u32 max_ops;		/* operations per PLEX86_SPACE_APPLY */
	__u32 max_ranges;	/* RAM ranges per VM */
};

/*
 * One stretch of guest RAM: the bytes at [addr, addr + bytes) of the calling
 * process are the VM's RAM [offset, offset + bytes).  Pages are pinned when
 * they are first mapped, charged to RLIMIT_MEMLOCK, and stay so until the VM
 * goes.  -EINVAL: not page aligned, empty, wrapping; -EFAULT: not in the user
 * half; -EEXIST: overlaps an earlier range; -ENOSPC: more than max_ranges.
 */
struct plex86_ram {
	__u32 size;
	__u32 flags;		/* zero */
	__u64 offset;
	__u64 addr;
	__u64 bytes;
};

#define PLEX86_OP_MAP		1	/* [gva, gva + npages) shows RAM [off, ...) */
#define PLEX86_OP_UNMAP		2	/* nothing there afterwards */
#define PLEX86_OP_UNMAP_ALL	3	/* the whole space; the rest of the op is ignored */

#define PLEX86_PAGE_READ	1u
#define PLEX86_PAGE_WRITE	2u
#define PLEX86_PAGE_EXEC	4u

/* The same layout as the engine interface's struct plex86_map_op. */
struct plex86_op {
	__u32 kind;		/* PLEX86_OP_* */
	__u32 prot;		/* PLEX86_PAGE_*, not 0 for MAP; all but EXEC imply READ, and
				 * so does that without PLEX86_HOST_EXEC_ONLY */
	__u64 gva;		/* page aligned */
	__u64 off;		/* page aligned */
	__u64 npages;		/* not 0 */
};

/*
 * Apply n operations in order.  On failure `done' is the number that were
 * applied, and the one that failed changed no mapping.  -EINVAL: unknown kind,
 * bad prot, misaligned, outside RAM or va_limit, more than max_ops; -EFAULT: the
 * RAM is not there, or can't be written; -EBUSY: the space is in use by another
 * thread; -EINTR: a fatal signal, so that nobody ever sees it.
 */
struct plex86_apply {
	__u32 size;
	__u32 flags;		/* zero */
	__u32 n;
	__u32 done;		/* out */
	__u64 ops;		/* pointer to struct plex86_op[n] */
};

/*
 * The descriptors that the code in this space finds in its GDT and LDT, by
 * index.  Each is zero or a present, accessed code or data descriptor of DPL 3
 * (anything else: -EINVAL).  GDT entries 0 and 2 must be zero: a null selector
 * needs the one, the module uses the other.  -E2BIG: more than max_gdt, max_ldt;
 * -EBUSY: the space is in use by another thread.
 */
struct plex86_descriptors {
	__u32 size;
	__u32 flags;		/* zero */
	__u32 ngdt;
	__u32 nldt;
	__u64 gdt;		/* pointer to __u64[ngdt] */
	__u64 ldt;		/* pointer to __u64[nldt] */
};

/* plex86_run.reason; the numbers are those of enum plex86_exit_reason. */
#define PLEX86_RUN_TRAP		1	/* exception .vector with .error_code */
#define PLEX86_RUN_PAGE		2	/* page fault at .addr with .error_code */
#define PLEX86_RUN_DEADLINE	3	/* budget_ns is used up */
#define PLEX86_RUN_KICK		4	/* PLEX86_VCPU_KICK or a signal */
#define PLEX86_RUN_REFUSED	5	/* can't be entered; nothing ran; see .why */
#define PLEX86_RUN_BROKEN	7	/* code has run, and a fault of the host's (.vector, .error_code) at
					 * .addr in the nexus has lost its registers: .cpu is not written */

/* plex86_run.why, for REFUSED */
#define PLEX86_WHY_MODE		1	/* cpu.mode is none of the three */
#define PLEX86_WHY_FLAGS	2	/* RFLAGS: IF clear, or IOPL, VM, VIF, VIP set */
#define PLEX86_WHY_SELECTOR	3	/* CS or SS without RPL 3 */
#define PLEX86_WHY_XCR0		4	/* XCR0 has what the host has not, or is malformed */
#define PLEX86_WHY_PKE		5	/* CR4.PKE: protection keys are not carried */
#define PLEX86_WHY_LOAD		6	/* the CPU refused a segment, base or RIP: .vector */

/*
 * Run code in a space.  Vector and x87 registers are those of the calling
 * thread, before and after: load them, call, store them.  In .cpu the module
 * reads everything but hidden segment parts (it takes FS and GS base), and
 * writes gpr, rip, rflags, the selectors, and the FS and GS base.
 *
 * Returns 0 with .reason; a signal is a KICK and state is written back first.
 * -EBADF: .space is not a space of this VM; -EBUSY: the vCPU or the space is
 * in use by another thread; -EOPNOTSUPP: the calling thread has a selector in DS, ES,
 * FS or GS that is of its LDT or whose RPL is not 3.
 */
struct plex86_run {
	__u32 size;		/* exactly sizeof(struct plex86_run) */
	__u32 flags;		/* zero */
	__s32 space;		/* fd */
	__u32 repeat;		/* for measuring: enter so often from this state; 0 is 1 */
	__u64 budget_ns;	/* return DEADLINE after about this much host time, or 1 s */
	/* From here on: out */
	__u32 reason;		/* PLEX86_RUN_* */
	__u32 why;		/* PLEX86_WHY_* */
	__u32 vector;
	__u32 error_code;
	__u64 addr;		/* PAGE: CR2; #DB: DR6; REFUSED by LOAD: offset in the switch */
	__u64 ran_ns;
	__u64 cycles;		/* TSC cycles of all .repeat entries */
	__u32 host_irqs;	/* host interrupts that came meanwhile */
	__u32 host_nmis;	/* NMIs and machine checks that came meanwhile */
	struct plex86_cpu cpu;	/* in and out */
};

PLEX86_STATIC_ASSERT(sizeof(struct plex86_info) == 48, "plex86_info ABI");
PLEX86_STATIC_ASSERT(sizeof(struct plex86_ram) == 32, "plex86_ram ABI");
PLEX86_STATIC_ASSERT(sizeof(struct plex86_op) == 32, "plex86_op ABI");
PLEX86_STATIC_ASSERT(sizeof(struct plex86_apply) == 24, "plex86_apply ABI");
PLEX86_STATIC_ASSERT(sizeof(struct plex86_descriptors) == 32, "plex86_descriptors ABI");
PLEX86_STATIC_ASSERT(offsetof(struct plex86_run, cpu) == 72, "plex86_run ABI");
PLEX86_STATIC_ASSERT(sizeof(struct plex86_run) == 400, "plex86_run ABI");

#endif /* PLEX86_UAPI_H */
