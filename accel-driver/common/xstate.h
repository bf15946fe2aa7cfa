/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Conversion between the XSAVE image of one particular host and struct
 * plex86_vec, which no host's layout shows through.  Pure logic: the caller
 * gives CPUID leaf 0xD, so Intel's and AMD's layouts can both be tested
 * anywhere, and the process engine and the driver share it.
 */
#ifndef PLEX86_XSTATE_H
#define PLEX86_XSTATE_H

#include <plex86/cpu.h>

#define PLEX86_XSTATE_NCOMP	10	/* x87 to PKRU; later components are left alone */
#define PLEX86_XSTATE_MIN	576	/* legacy area and header, bytes */

/* What conversion understands; no engine here loads a guest's PKRU. */
#define PLEX86_XSTATE_KNOWN	(PLEX86_X_X87 | PLEX86_X_SSE | PLEX86_X_AVX | \
				 PLEX86_X_AVX512 | PLEX86_X_PKRU)

/* CPUID leaf 0xD, sub-leaf i (2 <= i < NCOMP): EAX and EBX. */
struct plex86_xstate_leaf {
	uint32_t size;
	uint32_t offset;
};

struct plex86_xstate_layout {
	uint64_t xcr0;		/* components that the image can hold and we know */
	uint32_t size;		/* bytes of an image that holds all of them */
	uint32_t mxcsr_tracked;	/* the saver sets SSE's bit whenever MXCSR isn't 1F80H */
	uint32_t offset[PLEX86_XSTATE_NCOMP];
};

/*
 * Fill @layout.  @xcr0: the host's.  @tracked: non-zero where images are made by
 * XSAVEC or XSAVES (SDM vol. 1, 13.10, 13.11), which never leave a changed MXCSR
 * under a clear SSE bit.  Returns 0, or -1 where the leaf contradicts the
 * architecture (a component of the wrong size, or overlapping the header).
 */
int plex86_xstate_layout_init(struct plex86_xstate_layout *layout, uint64_t xcr0,
			      const struct plex86_xstate_leaf leaf[PLEX86_XSTATE_NCOMP],
			      int tracked);

/*
 * Write the standard-format image of @vec, @size bytes (>= layout->size; the
 * rest is zeroed).  Only components in @mask are loaded; all others come out in
 * their initial configuration.  XSTATE_BV is plex86_xstate_in_use(), which user code sees.
 */
void plex86_xstate_from_vec(const struct plex86_xstate_layout *layout,
			    const struct plex86_vec *vec, uint64_t mask,
			    void *image, uint32_t size);

/*
 * Read @image into @vec.  Only components in @mask become valid.  Returns the
 * components that were in use in the image but are not valid in @vec: 0 means
 * that loading @vec again would give the same machine.
 */
uint64_t plex86_xstate_to_vec(const struct plex86_xstate_layout *layout,
			      const void *image, uint64_t mask, struct plex86_vec *vec);

/*
 * The components of @image's XSTATE_BV that are not in their initial configuration: what
 * Bochs calls in use (xsave.cc, xsave_*_xinuse()).  Loaded with only these, a CPU tells user
 * code the same by XSAVE and XGETBV, as far as it tracks what changes (SDM vol. 1, 13.6).
 */
uint64_t plex86_xstate_in_use(const struct plex86_xstate_layout *layout, const void *image);

/* PKRU of @image; the layout must have it. */
uint32_t plex86_xstate_pkru(const struct plex86_xstate_layout *layout, const void *image);
void plex86_xstate_set_pkru(const struct plex86_xstate_layout *layout, void *image, uint32_t pkru);

/*
 * Do both describe the same registers?  Bytes that no register stands for
 * (MXCSR_MASK, the area left to software) don't count, and neither does whether
 * a component in its initial configuration is called valid: CPUs may say either
 * (SDM vol. 1, 13.6).
 */
int plex86_vec_equal(const struct plex86_vec *a, const struct plex86_vec *b);

/* The same of all but x87 and SSE state, which may differ. */
int plex86_vec_equal_but_legacy(const struct plex86_vec *a, const struct plex86_vec *b);

/* All components in their initial configuration, with FCW and MXCSR filled in. */
void plex86_vec_init(struct plex86_vec *vec);

#endif /* PLEX86_XSTATE_H */
