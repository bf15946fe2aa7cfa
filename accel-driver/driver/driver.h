/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The driver engine inside: the user-space half of plex86.ko.  The module has
 * the mechanism; here is what it takes to stand behind the engine interface:
 * vector registers around the call, hidden parts of segment registers, sentences.
 */
#ifndef PLEX86_DRIVER_H
#define PLEX86_DRIVER_H

#include <stdatomic.h>
#include <stdbool.h>

#include <accel-driver/common/xstate.h>
#include <plex86/engine.h>
#include <plex86/uapi.h>

#define DRV_DEVICE	"/dev/plex86"
#define DRV_NGDT	120	/* most that we use of what the module takes */
#define DRV_NLDT	1536
#define DRV_OWN_SLOT	2	/* of the GDT: the module's code segment */
#define DRV_NTRAPS	4	/* debug registers */

struct plex86_engine {
	int dev, vm, vcpu;
	struct plex86_info info;
	struct plex86_caps caps;
	struct plex86_space *spaces;
	uint32_t nspaces, max_spaces;
	atomic_bool kicked;	/* kick() was called, and no run() has said so yet */
	struct plex86_xstate_layout layout;
	uint64_t load_mask;	/* components that XRSTOR and XSAVE may name */
	void *image;		/* of the guest's vector registers after the last run ... */
	bool image_valid;	/* ... unless that was refused */
	bool has_xsave;
	unsigned int int_shift;	/* of n in the error code that INT n gives */
};

struct plex86_space {
	struct plex86_engine *engine;
	struct plex86_space *next;
	int fd;
	bool described;		/* set_descriptors() was called: guest_* are the law */
	bool dirty;		/* gdt, ldt differ from what the module has */
	uint32_t filtered_for;	/* the mode that gdt, ldt were made for, 0: none */
	unsigned int ntraps;
	uint64_t trap[DRV_NTRAPS];	/* set_traps(): one breakpoint each */
	unsigned int guest_ngdt, guest_nldt;
	uint64_t guest_gdt[DRV_NGDT], guest_ldt[DRV_NLDT];
	uint64_t gdt[DRV_NGDT], ldt[DRV_NLDT];
};

/* engine.c: the engine interface's operations of these names. */
int drv_space_create(struct plex86_engine *engine, struct plex86_space **space);
void drv_space_destroy(struct plex86_space *space);
int drv_apply(struct plex86_space *space, const struct plex86_map_op *ops, unsigned int n,
	      unsigned int *done);

/* caps.c: all of engine->caps but the costs; these, by trips. 0 or a negative errno. */
void drv_fill_caps(struct plex86_engine *engine);
int drv_measure(struct plex86_engine *engine);

/* INT n through a closed gate gives the error code (n << this) + 2 here. */
unsigned int drv_int_error_shift(void);

/*
 * segs.c: make the space's descriptors such that loading @cpu's selectors gives
 * its hidden parts.  Returns NULL, or a phrase that says why it can't be.
 */
const char *drv_segs_prepare(struct plex86_space *space, const struct plex86_cpu *cpu);

/* The same backwards: selectors of @ran -> registers with hidden parts in @cpu. */
void drv_segs_finish(const struct plex86_space *space, const struct plex86_cpu *ran,
		     struct plex86_cpu *cpu);

int drv_set_descriptors(struct plex86_space *space, const uint64_t *gdt, unsigned int ngdt,
			const uint64_t *ldt, unsigned int nldt);

/* run.c */
int drv_set_traps(struct plex86_space *space, const plex86_gva_t *addrs, unsigned int n);
int drv_run(struct plex86_space *space, struct plex86_cpu *cpu, struct plex86_vec *vec,
	    uint32_t flags, uint64_t budget_ns, struct plex86_exit *exit);

/* vec.c: what XSAVE looks like here.  Returns 0 or a negative errno. */
int drv_vec_init(struct plex86_engine *engine);

/*
 * Load @vec, store it again, with @run in between: only the components that the
 * guest has enabled count, the others are in their initial state.  @same: the
 * image has @vec already.  Returns what the kernel did.
 */
long drv_vec_enter(struct plex86_engine *engine, struct plex86_run *run,
		   struct plex86_vec *vec, bool same);

/*
 * enter.S: ioctl(fd, command, run) with the registers in @image loaded before
 * and stored after; the caller's control words are kept.  Returns what the
 * kernel did.
 */
long drv_enter_xsave(int fd, unsigned long command, struct plex86_run *run, void *image,
		     uint64_t load, uint64_t store);
long drv_enter_fxsave(int fd, unsigned long command, struct plex86_run *run, void *image);

#endif /* PLEX86_DRIVER_H */
