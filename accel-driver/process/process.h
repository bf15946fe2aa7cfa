/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The process engine: each guest address space is a traced, sandboxed child
 * process that holds nothing but guest pages and the stub.  It needs no driver
 * and no privilege, and pays for that with a ptrace round trip per trap.
 *
 * Reading order: engine.c (the table of operations), parked.c, zygote.c and sandbox.c
 * (where children come from), stub.S and inject.c (how a child is made to map),
 * space.c (the address space), entry.c, vec.c and segs.c (registers), run.c and
 * decode.c (what happens and what it means), together.c (on which core), deadline.c
 * (how it ends); measure.c and flaws.c (what this host is).
 *
 * Limits, which the core must know because no engine of this kind can lift them:
 *
 * - The thread that calls open() is the tracer: only it may use the engine.
 * - The host's control registers are in force.  run() refuses CR0.TS and EM,
 *   CR4.TSD, PKE and CET, armed breakpoints, AC without AM, SCE=0 in 64-bit mode.
 *   It can't see, and the core must refuse or keep off executable pages:
 *   guest OSFXSR=0 or OSXSAVE=0 (SSE and AVX would run), FSGSBASE=0 (RDFSBASE and
 *   its like would run), XCR0 other than the host's (XGETBV, XSAVE), CPUID
 *   (unless CAP_TRAP_CPUID), RDTSC, RDTSCP, RDPID, RDPKRU, UMIP=1 (SGDT, SIDT,
 *   SLDT, STR, SMSW are answered by the host kernel), VMMCALL in a virtual host.
 * - A host that is not all that a CPU is (flaws.c) says so in its capabilities, as
 *   hindrances.
 * - SYSCALL in 32-bit code, and SYSENTER in any mode on Intel, destroy the state that
 *   they trap from.  The core keeps them out of pages that it maps executable;
 *   in 64-bit spaces too, as a far jump to 0x23 leads to 32-bit code
 *   (CAP_SYSENTER_UD).  If one runs all the same, run() says EXIT_BROKEN.
 * - SYSCALL in 64-bit mode returns RCX and R11 as the instruction leaves them, and
 *   INT 0x80 in 64-bit mode returns RAX[63:32] = 0: the host kernel overwrites
 *   them.  So does a call to the three entry points of the vsyscall page with RAX.
 * - Selectors are the host's.  A register that holds what the engine loaded in
 *   place of the guest's selector is reported as the guest's; one that guest code
 *   loaded is reported with the selector it loaded and the descriptor that the
 *   *host* has there.  The core compares that with the guest's tables and, where
 *   they differ, loads the guest's descriptor instead (exact if the program has
 *   not yet used the register; a use without a trap can't be seen).
 * - A far jump to 0x33 from 32-bit code enters 64-bit mode.  It is reported as CS
 *   with L=1 at the next trap; if the guest has no such descriptor there, the
 *   program has run on a machine that doesn't exist, and the core should treat
 *   it as killed.  It reaches nothing beyond its own pages.
 * - TF set by guest code (POPF) traps after the next instruction: vector 1 means
 *   "#DB pending at this boundary", RIP is behind the instruction, TF is set.
 * - A child killed from outside within the microseconds in which its own INT3,
 *   INTO or single step was being reported is LOST with RIP behind it.
 */
#ifndef PLEX86_PROCESS_H
#define PLEX86_PROCESS_H

#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/user.h>
#include <time.h>

#include <plex86/engine.h>

#include "../common/xstate.h"
#include "stub.h"

/* Container and tracer are x86-64 Linux; first address that user code can't have. */
#define PROCESS_VA_LIMIT	UINT64_C(0x7ffffffff000)

#define PROCESS_RAM_FD	0	/* in the container; it has no other descriptor */

/* What a child tells its tracer at the first stop (RAX). */
#define PROCESS_HAS_CPUID_FAULT	(1u << 0)

#define PROCESS_NTLS	3	/* GDT entries that set_thread_area() may write */

struct plex86_space {
	struct plex86_engine *engine;
	struct plex86_space *next, **link;
	pid_t pid;
	clockid_t clock;		/* its CPU time */
	uint64_t cpu_ns;		/* as it was at the last stop of run() */
	bool dead;			/* known to be gone, or not to be trusted */
	int cpu;			/* where it was last told to run, or -1 */
	bool crowded;			/* in its last run it had to wait for its core */
	bool stays;			/* where it is: see together.c */
	int error;			/* of a deferred operation, for the next run() */
	uint64_t stub;			/* where the stub is in this space */
	uint64_t slots[PLEX86_SLOTS / 64]; /* of the guest's: it should be elsewhere */

	/* What the child holds, so that setting it again can be saved. */
	struct user_regs_struct regs;
	bool regs_known;
	bool flag_id;			/* EFLAGS.ID: ptrace can't set it */
	bool vec_known;			/* held is all of its vector state */
	struct plex86_vec held;
	struct plex86_seg tls[PROCESS_NTLS];
	bool tls_known[PROCESS_NTLS];
	struct plex86_seg ldt[PLEX86_NSEG];
	bool ldt_known[PLEX86_NSEG];
};

struct plex86_engine {
	struct plex86_engine_config config;
	struct plex86_caps caps;
	pid_t tracer;			/* thread that opened the engine */
	unsigned int icebp_len;		/* bytes that RIP moves on over F1 */
	uint32_t vdso;			/* of the containers, bits 31:0 */
	bool fsgsbase;			/* FS and GS base are independent of selectors */

	/* The stub, as the tracer sees it. */
	int stub_fd;
	uint8_t *stub;
	uint64_t secret;		/* in bits 63:32 */

	pid_t parked;			/* first process of the containers' namespace */
	pid_t zygote;
	uint64_t zygote_stub;		/* of both */
	struct user_regs_struct clean;	/* registers to start the stub from */
	uint32_t features;		/* PROCESS_HAS_* */

	struct plex86_space *spaces, *last_run;
	unsigned int nspaces;
	pid_t *dying;			/* killed, not yet reaped; config.max_spaces of them */
	unsigned int ndying;

	/* Commands in the table that their space hasn't executed yet. */
	struct plex86_space *queue_owner;
	unsigned int queued;
	struct stub_cmd queue[STUB_COMMANDS];	/* containers see them while they execute them only */

	struct plex86_xstate_layout xlayout;
	uint8_t *ximage;
	uint32_t xsize;			/* as this kernel's regset wants it, exactly */
	uint32_t pkru;			/* of a fresh child */

	/* together.c */
	int core;			/* where the tracer was when the run began */
	unsigned int hold_runs;		/* it stays there for so many more */
	bool held;
	cpu_set_t cores;		/* where it may be, if held */

	/* deadline.c */
	int signo;
	timer_t timer;
	bool timer_made, mask_known;
	sigset_t old_mask;
	volatile pid_t running;		/* child to interrupt, or 0 */
	volatile sig_atomic_t expired;
	volatile sig_atomic_t doubt;	/* perhaps: when the child has stopped, its clock says */
	volatile uint64_t deadline;	/* CLOCK_MONOTONIC ns, UINT64_MAX: none */
	clockid_t clock;		/* of the child that runs */
	int child_core;			/* where it does */
	uint64_t cpu_start, budget;	/* its CPU time, ns */
	volatile uint64_t armed;	/* when the timer fires, 0: it is not armed */
	int kicked;			/* atomic */
};

/* ---- parked.c: the first process, of which the zygote is a clone */

/* Sets parked, zygote_stub, features and clean. */
int process_park(struct plex86_engine *e, char why[PLEX86_WHY_LEN]);

/* ---- zygote.c: where containers come from */

int zygote_start(struct plex86_engine *e, char why[PLEX86_WHY_LEN]);
void zygote_stop(struct plex86_engine *e);

/* The zygote is gone: another.  May have to let all spaces go; then they are dead. */
int zygote_replace(struct plex86_engine *e);

/* A new container with nothing but the stub in it, stopped.  Sets pid and stub. */
int zygote_spawn(struct plex86_engine *e, struct plex86_space *s);

/* Kill without waiting; process_reap() collects, all of them if @wait. */
void process_bury(struct plex86_engine *e, pid_t pid);
void process_reap(struct plex86_engine *e, bool wait);

/* Kill and reap now. */
void process_end(const struct plex86_engine *e, pid_t pid);

/* Is this the thread that opened the engine?  No other can do anything to a child. */
bool process_is_tracer(const struct plex86_engine *e);

/* waitpid() for one tracee, restarted; 0 or -errno. */
int process_wait(pid_t pid, int *status);

/* ---- sandbox.c: runs in the child, after fork */

struct sandbox_report {
	int step_errno;
	char step[60];
};

/* Waits for a byte from the pipe @go, and tells @report what fails. */
void sandbox_enter(const int go[2], const int report[2], int ram_fd, int stub_fd, uint64_t stub)
	__attribute__((noreturn));

/* ---- filter.c: which system calls exist in a container */

struct sock_filter;
#define FILTER_MAX 40	/* room that filter_build() may use, instructions */
unsigned int filter_build(struct sock_filter *out, uint64_t secret);

/* ---- inject.c: make a stopped child run the stub */

/* Run @n commands of the table; *done (may be NULL) is how many succeeded. */
int inject_batch(struct plex86_engine *e, pid_t pid, uint64_t stub, unsigned int n,
		 unsigned int *done);

/* One system call; returns its result or -errno (-ESRCH: the child is gone). */
int64_t inject_call(struct plex86_engine *e, pid_t pid, uint64_t stub, uint64_t nr,
		    const uint64_t arg[6]);

/* Have @pid clone itself; *born is the new process, also where an error follows. */
int inject_clone(struct plex86_engine *e, pid_t pid, uint64_t stub, pid_t *born);

/* Set EFLAGS.ID of the child. */
int inject_flag_id(struct plex86_engine *e, struct plex86_space *s, bool id);

/* Move the stub; @occupied: there may be guest pages at the new place. */
int inject_move(struct plex86_engine *e, struct plex86_space *s, bool occupied);

/* A random place for the stub. */
int stub_place(uint64_t *where);

/* Would it be where the guest may have pages that are not mapped yet? */
bool stub_in_the_way(const struct plex86_space *s, uint64_t where);

/* ---- space.c */

int space_create(struct plex86_engine *e, struct plex86_space **space);
void space_destroy(struct plex86_space *s);
int space_apply(struct plex86_space *s, const struct plex86_map_op *ops, unsigned int n,
		unsigned int *done);
int space_flush(struct plex86_space *s);
int space_occupied(struct plex86_space *s, const uint64_t slots[PLEX86_SLOTS / 64]);

/* ---- traps.c: instructions that must trap */

int space_set_traps(struct plex86_space *s, const plex86_gva_t *addrs, unsigned int n);

int space_trap_tsc(struct plex86_space *s, bool on);

/* How many this host has and honours, tried on a space that nothing runs in yet. */
unsigned int traps_supported(struct plex86_space *s);

/* ---- entry.c: guest registers -> child */

/* NULL, or why the state can't be entered. */
const char *entry_refuse(const struct plex86_engine *e, const struct plex86_cpu *cpu);

/* ---- vec.c */

int vec_init(struct plex86_engine *e, char why[PLEX86_WHY_LEN]);
int vec_probe(struct plex86_space *s);
int vec_load(struct plex86_space *s, const struct plex86_vec *vec, uint64_t xcr0, bool same);
int vec_store(struct plex86_space *s, struct plex86_vec *vec, uint64_t xcr0);

/* ---- segs.c: segment registers in both directions */

/* Fill in selectors and bases of @r.  0, -errno, or 1 with a reason in *why. */
int segs_load(struct plex86_space *s, const struct plex86_cpu *cpu,
	      struct user_regs_struct *r, const char **why);
void segs_store(const struct plex86_space *s, const struct user_regs_struct *in,
		const struct user_regs_struct *out, struct plex86_cpu *cpu);

/* ---- run.c, decode.c */

/* Everything that a stop of the child tells. */
struct stop {
	int status;			/* of waitpid() */
	struct user_regs_struct regs;
	bool syscall;			/* PTRACE_SYSEMU has swallowed a call */
	siginfo_t info;			/* otherwise: the signal that an instruction raised */
	bool gone;			/* killed while we looked */
};

int process_run(struct plex86_space *s, struct plex86_cpu *cpu, struct plex86_vec *vec,
		uint32_t flags, uint64_t budget_ns, struct plex86_exit *exit);

enum stop_kind {
	STOP_TRAP,	/* decode_stop() has filled in the exit */
	STOP_NOTHING,	/* nothing of the guest's: resume */
};

/* True: the host kernel has destroyed the state.  *exit says so, and RIP is a 32-bit one. */
bool decode_broken(const struct plex86_engine *e, struct user_regs_struct *r, bool code64,
		   struct plex86_exit *exit);

/* What the stop means; moves *regs back to the instruction that trapped. */
enum stop_kind decode_stop(struct plex86_space *s, struct stop *stop, bool code64,
			   struct plex86_exit *exit);

/* ---- flaws.c: what hosts say they do, and don't */

/* Something to be tried at @rip, with another value in each register. */
void process_try_regs(const struct plex86_engine *e, uint64_t rip, struct user_regs_struct *r);

/* Run @s from @in until something of its own stops it.  0 or -errno. */
int process_try(struct plex86_space *s, const struct user_regs_struct *in, struct stop *out);

/* Did an instruction at @rip raise @signo? */
bool process_stopped_at(const struct stop *stop, int signo, uint64_t rip);

/*
 * Adds what it finds to the engine's capabilities and hindrances, and sets .fsgsbase.
 */
int flaws_probe(struct plex86_space *s);

/* The same for SYSENTER, which on Intel's CPUs leaves a space that is not to be trusted. */
int flaws_probe_sysenter(struct plex86_space *s);

/* ---- together.c: tracer and child on one core */

/* Around a run, with its space following in between.  @trapped: code of its own ended it. */
void together_begin(struct plex86_engine *e);
void together_follow(struct plex86_space *s);
void together_end(struct plex86_space *s, bool trapped);

/* ---- deadline.c */

int deadline_open(struct plex86_engine *e, char why[PLEX86_WHY_LEN]);
void deadline_close(struct plex86_engine *e);
/* From now on @s may run until its CPU time, which was @cpu_start, has grown by @budget_ns. */
void deadline_begin(struct plex86_engine *e, const struct plex86_space *s, uint64_t cpu_start,
		    uint64_t budget_ns);
void deadline_end(struct plex86_engine *e);

/* The child has stopped: settles whether its budget is used, if that was in doubt. */
void deadline_settle(struct plex86_engine *e);

void deadline_kick(struct plex86_engine *e);
bool deadline_kicked(const struct plex86_engine *e);
void deadline_unkick(struct plex86_engine *e);
uint64_t process_now(void);		/* CLOCK_MONOTONIC, ns */
uint64_t process_cpu_ns(clockid_t clock); /* CPU time, ns */

/* ---- measure.c: what only trying can tell */

int measure_host(struct plex86_engine *e, char why[PLEX86_WHY_LEN]);

void process_why(char why[PLEX86_WHY_LEN], const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#endif /* PLEX86_PROCESS_H */
