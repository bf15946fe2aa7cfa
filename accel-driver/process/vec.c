// SPDX-License-Identifier: LGPL-2.1-or-later
/*
 * Vector and x87 state of a child, by ptrace's XSAVE image.  The state belongs to
 * the guest's CPU, not to the process: each space has registers of its own that
 * are stale as soon as another space, or Bochs, has run.  So the question at
 * entry is what this child holds, and only if that is certainly the same is the
 * copy saved.  At exit the copy can't be saved: nothing tells what changed.
 */
#define _GNU_SOURCE
#include <cpuid.h>
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

#include "process.h"

/* Enough for any host of today (AMX: 11 KiB), a multiple of pages. */
#define IMAGE_ROOM	32768

#define LEGACY		(PLEX86_X_X87 | PLEX86_X_SSE)
#define XSTATE_LEAF	0xd
#define PKRU_KEY_0	0x55555554u	/* no access but by key 0: Linux's default too */
#define CPUID1_ECX_OSXSAVE	(1u << 27)
#define CPUIDD1_EAX_XSAVES	(1u << 3)

static uint64_t host_xcr0(void)
{
	uint32_t a, b, c, d, lo, hi;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & CPUID1_ECX_OSXSAVE))
		return PLEX86_X_X87 | PLEX86_X_SSE;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
	return lo | (uint64_t)hi << 32;
}

int vec_init(struct plex86_engine *e, char why[PLEX86_WHY_LEN])
{
	struct plex86_xstate_leaf leaf[PLEX86_XSTATE_NCOMP] = { { 0 } };
	uint32_t a = 0, b, c, d;
	unsigned int i;

	for (i = 2; i < PLEX86_XSTATE_NCOMP; i++)
		if (__get_cpuid_count(XSTATE_LEAF, i, &a, &b, &c, &d))
			leaf[i] = (struct plex86_xstate_leaf){ .size = a, .offset = b };
	a = 0;
	__get_cpuid_count(XSTATE_LEAF, 1, &a, &b, &c, &d);
	if (plex86_xstate_layout_init(&e->xlayout, host_xcr0(), leaf,
				      !!(a & CPUIDD1_EAX_XSAVES))) {
		process_why(why,
			    "this CPU describes its XSAVE area in a way that isn't understood");
		return -ENODEV;
	}
	e->ximage = aligned_alloc(64, IMAGE_ROOM);
	if (!e->ximage) {
		process_why(why, "out of memory");
		return -ENOMEM;
	}
	return 0;
}

/*
 * Are the components where the kernel has them?  Our CPUID is the CPU's where a hypervisor does
 * not virtualize it for user code, and the kernel's may be another's.
 */
static int probe_places(struct plex86_space *s)
{
	const uint64_t xcr0 = s->engine->xlayout.xcr0;
	const bool avx512 = (xcr0 & PLEX86_X_AVX512) == PLEX86_X_AVX512;
	struct user_regs_struct in;
	struct plex86_vec vec;
	struct stop out;
	int err;

	if (!(xcr0 & PLEX86_X_AVX))
		return 0;
	process_try_regs(s->engine, s->stub + (avx512 ? STUB_OFFSET(stub_avx512) :
						       STUB_OFFSET(stub_avx)), &in);
	plex86_vec_init(&vec);
	vec.valid = xcr0 & (PLEX86_X_SSE | PLEX86_X_AVX | PLEX86_X_AVX512);
	memcpy(vec.ymm_hi[1], &in.r8, 8);
	memcpy(vec.zmm_hi256[2], &in.r9, 8);
	memcpy(vec.hi16_zmm[1], &in.r10, 8);
	vec.opmask[3] = (uint16_t)(in.r11 >> 16);
	err = vec_load(s, &vec, xcr0, false);
	if (!err)
		err = process_try(s, &in, &out);
	s->vec_known = false;
	if (err)
		return err;
	if (out.regs.rcx != in.r8 ||
	    (avx512 && (out.regs.rdx != in.r9 || out.regs.rbx != in.r10 ||
			out.regs.rsi != vec.opmask[3])))
		return -EINVAL;
	return 0;
}

/* The image has the size that the kernel says, and its parts are where the CPU says. */
int vec_probe(struct plex86_space *s)
{
	struct plex86_engine *e = s->engine;
	struct iovec iov = { .iov_base = e->ximage, .iov_len = IMAGE_ROOM };

	if (ptrace(PTRACE_GETREGSET, s->pid, NT_X86_XSTATE, &iov))
		return -errno;
	if (iov.iov_len < e->xlayout.size)
		return -EINVAL;
	e->xsize = (uint32_t)iov.iov_len;
	if (e->xlayout.xcr0 & PLEX86_X_PKRU)
		e->pkru = plex86_xstate_pkru(&e->xlayout, e->ximage);
	return probe_places(s);
}

/* The components that the guest can see. */
static uint64_t guest_mask(const struct plex86_engine *e, uint64_t xcr0)
{
	/* Without CR4.OSXSAVE XCR0 says nothing of SSE; x87 is always there. */
	return (xcr0 | PLEX86_X_X87 | PLEX86_X_SSE) & e->xlayout.xcr0 & ~(uint64_t)PLEX86_X_PKRU;
}

/*
 * The child's state becomes the image; @known: but for x87 and SSE state it is, as mostly.  For the
 * whole of it Linux maps and unmaps a page of its own each time, which flushes TLBs: in a virtual
 * machine under PVM it takes 33 us of a round trip, the other one less than 1.
 */
static int set_image(struct plex86_space *s, bool known)
{
	struct plex86_engine *e = s->engine;
	struct iovec iov = { .iov_base = e->ximage, .iov_len = e->xsize };

	if (known)
		return ptrace(PTRACE_SETFPREGS, s->pid, 0, e->ximage) ? -errno : 0;
	return ptrace(PTRACE_SETREGSET, s->pid, NT_X86_XSTATE, &iov) ? -errno : 0;
}

int vec_load(struct plex86_space *s, const struct plex86_vec *vec, uint64_t xcr0, bool same)
{
	struct plex86_engine *e = s->engine;
	uint64_t mask = guest_mask(e, xcr0);
	bool known = s->vec_known && !(s->held.valid & ~mask);
	int err;

	/* @same: the caller vouches that *vec is what the last run() returned. */
	if (known && ((same && e->last_run == s) || plex86_vec_equal(vec, &s->held)))
		return 0;
	known = known && (vec->valid & LEGACY) == LEGACY && plex86_vec_equal_but_legacy(vec, &s->held);
	plex86_xstate_from_vec(&e->xlayout, vec, mask, e->ximage, e->xsize);
	/*
	 * An image without PKRU allows all, and what can be executed could be read.  Guest
	 * pages have key 0, or the one that Linux gives to pages that are only executed.
	 */
	if (e->caps.flags & PLEX86_CAP_EXEC_ONLY)
		plex86_xstate_set_pkru(&e->xlayout, e->ximage, PKRU_KEY_0);
	s->vec_known = false;
	err = set_image(s, known);
	if (err)
		return err;
	s->held = *vec;
	s->held.valid &= mask;
	s->vec_known = true;
	return 0;
}

int vec_store(struct plex86_space *s, struct plex86_vec *vec, uint64_t xcr0)
{
	struct plex86_engine *e = s->engine;
	struct iovec iov = { .iov_base = e->ximage, .iov_len = e->xsize };
	uint64_t lost;
	uint32_t pkru;

	s->vec_known = false;
	if (ptrace(PTRACE_GETREGSET, s->pid, NT_X86_XSTATE, &iov))
		return -errno;
	lost = plex86_xstate_to_vec(&e->xlayout, e->ximage, guest_mask(e, xcr0), vec);
	if (e->xlayout.xcr0 & PLEX86_X_PKRU) {
		/* The host's own default is no change by the guest. */
		pkru = plex86_xstate_pkru(&e->xlayout, e->ximage);
		if (pkru == e->pkru ||
		    ((e->caps.flags & PLEX86_CAP_EXEC_ONLY) && pkru == PKRU_KEY_0))
			lost &= ~(uint64_t)PLEX86_X_PKRU;
	}
	s->held = *vec;
	s->vec_known = !lost;
	return 0;
}
