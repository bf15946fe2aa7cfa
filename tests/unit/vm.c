/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The machine's life, and the loop that stands for Bochs's glue. */
#include <stdlib.h>
#include <string.h>

#include "plugin/now.h"

#include "vm.h"

struct vm vm;

#define CR0_USUAL	0x80000031u	/* PG, NE, ET, PE */
#define CR4_OSFXSR	(1u << 9)
#define CR4_PSE		(1u << 4)
#define CR4_PAE		(1u << 5)
#define CR4_LA57	(1u << 12)
#define CR4_FSGSBASE	(1u << 16)
#define EFER_SCE	(1u << 0)
#define EFER_LMA	(1u << 10)
#define EFER_NXE	(1u << 11)

void vm_init(uint64_t seed)
{
	uint64_t i;

	memset(&vm, 0, sizeof(vm));
	memset(&engine, 0, sizeof(engine));
	vm.object = aligned_alloc(PAGE, VM_OBJECT + VM_SCRATCH);
	vm.trace = aligned_alloc(PAGE, VM_RAM);
	memset(vm.object, 0, VM_OBJECT + VM_SCRATCH);
	/* Guest-physical order is not the object's, and there is room around the blocks. */
	for (i = 0; i < VM_RAM / VM_BLOCK; i++) {
		vm.block[i] = (2 + (i * 37) % (VM_RAM / VM_BLOCK)) * VM_BLOCK;
		vm.at[vm.block[i] / VM_BLOCK] = i + 1;
	}
	frames_init();
	vm.rng.s = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	vm.ticks_left = TICKS_RANDOM;
	engine.known = true;
	engine.breakpoints_left = PLEX86_MAX_TRAPS;
	engine.caps = (struct plex86_caps){
		.flags = PLEX86_CAP_COMPAT | PLEX86_CAP_SEGMENTS | PLEX86_CAP_SELECTORS |
			 PLEX86_CAP_TSC_SWITCH |
			 PLEX86_CAP_DESCRIPTORS | PLEX86_CAP_TRAP_TSC | PLEX86_CAP_TRAP_UMIP |
			 PLEX86_CAP_TRAP_SYSENTER | PLEX86_CAP_ERRORCODE | PLEX86_CAP_SYSCALL_EXACT,
		.max_batch = 64,
		.xcr0 = 7,
		.mxcsr_mask = 0xffff,
		.va_limit = UINT64_C(1) << 47,
		.round_trip_ns = 100,
		.trip_ran_ns = 100,
		.max_traps = PLEX86_MAX_TRAPS,
		.max_gdt = ENGINE_GDT,
		.max_ldt = ENGINE_LDT,
		.gdt_taken = 2,
	};
}

uint8_t *vm_host(uint64_t pa)
{
	if (pa >= VM_RAM)
		return NULL;
	return vm.object + vm.block[pa / VM_BLOCK] + pa % VM_BLOCK;
}

uint64_t vm_frame_of_offset(uint64_t off)
{
	uint64_t i = off < VM_OBJECT ? vm.at[off / VM_BLOCK] : 0;

	return i ? (i - 1) * VM_BLOCK + off % VM_BLOCK : ~UINT64_C(0);
}

void vm_core_config(struct plex86_core_config *config)
{
	*config = (struct plex86_core_config){
		.engine = "auto", .ram_fd = -1, .ram = vm.object, .ram_size = VM_OBJECT + VM_SCRATCH,
		.guest_size = VM_RAM, .block_size = VM_BLOCK, .ips = 1000000000,
		.max_spaces = 4, .populate = vm.populate, .huge1g = true, .phys_bits = 40,
	};
}

void vm_core(unsigned int spaces, bool strict)
{
	struct plex86_core_config config;
	char why[PLEX86_WHY_LEN];
	uint64_t i;

	vm_core_config(&config);
	config.max_spaces = spaces;
	config.strict = strict;
	config.verify = vm.verify;
	config.scratch_size = VM_SCRATCH;
	config.case_file = vm.case_file;
	if (plex86_core_open(&config, &bochs_host_ops, &vm.core, why)) {
		printf("Bail out! The core does not open: %s\n", why);
		exit(1);
	}
	for (i = 0; i < VM_RAM / VM_BLOCK; i++)
		if (plex86_core_set_block(vm.core, i, vm.object + vm.block[i]))
			complain("set_block(%llu)", (unsigned long long)i);
}

void vm_close(void)
{
	plex86_core_close(vm.core);
	vm.core = NULL;
	free(vm.object);
	free(vm.trace);
	vm.object = NULL;
}

bool vm_is_clean(void)
{
	if (vm.complaints)
		tap_diag("%u complaints", vm.complaints);
	if (engine.nspaces || engine.creates != engine.destroys)
		tap_diag("%u spaces were left", engine.nspaces);
	return !vm.complaints && !engine.nspaces && engine.creates == engine.destroys &&
	       engine.opened == engine.closed;
}

static void load_tables(void)
{
	const struct tables *t = vm.tables;
	struct plex86_cpu *cpu = &vm.cpu;

	cpu->rflags = 0x202;
	cpu->cr0 = CR0_USUAL;
	cpu->cr4 = CR4_OSFXSR | CR4_FSGSBASE | (t->pse ? CR4_PSE : 0) |
		   (t->mode == PAGING_32 ? 0 : CR4_PAE) | (t->mode == PAGING_LONG5 ? CR4_LA57 : 0) |
		   vm.more_cr4;
	cpu->cr4 &= ~vm.less_cr4;
	cpu->efer = EFER_SCE | (t->nxe ? EFER_NXE : 0) | (t->mode >= PAGING_LONG ? EFER_LMA : 0);
	if (!cpu->mode)
		cpu->mode = t->mode >= PAGING_LONG ? PLEX86_MODE_64 : PLEX86_MODE_32;
	cpu->xcr0 = 7 | vm.more_xcr0;
	cpu->seg[PLEX86_CS].sel = cpu->mode == PLEX86_MODE_64 ? 0x33 : 0x23;
	cpu->seg[PLEX86_SS].sel = 0x2b;
	vm.slice.env = &vm.env;
	vm.slice.pdpte = t->pdpte;
	vm.slice.cr3 = t->cr3;
}

/* Bochs, one instruction at a time; a jump and what it leads to are two here. */
static enum plex86_verdict replay(void)
{
	enum plex86_verdict verdict;
	const struct act *act;

	do {
		act = &vm.act[vm.cpu.gpr[REG_NEXT]];
		if (vm.slice.changed || vm.slice.ticks)
			complain("a replay has changed something");
		if (vm.cpu.gpr[REG_NEXT] < vm.nacts && act->kind == ACT_EXEC &&
		    vm.cpu.rip != act->la) {
			vm.cpu.rip = act->la;
			vm.icount++;
		} else {
			bochs_step();
		}
		/* The kernel was called, and what it returned to is another slice's. */
		if (!plex86_core_replaying(vm.core))
			return PLEX86_RAN;
		vm.slice.icount = vm.icount;
		verdict = plex86_core_replay(vm.core, &vm.cpu, &vm.slice);
	} while (verdict == PLEX86_REPLAY);
	return verdict;
}

enum plex86_verdict vm_slice_only(void)
{
	struct plex86_cpu before = vm.cpu;

	load_tables();
	before = vm.cpu;
	vm.slices++;
	vm.slice.icount = vm.icount;
	vm.slice.ticks_left = vm.ticks_left == TICKS_RANDOM ? 1 + rng_below(&vm.rng, 500)
							    : vm.ticks_left;
	vm.verdict = plex86_core_slice(vm.core, &vm.cpu, &vm.vec, &vm.slice);
	if (!vm.slice.changed && memcmp(&before, &vm.cpu, sizeof(before)))
		complain("the state was changed, and nobody said so");
	if (vm.verdict == PLEX86_REPLAY)
		vm.verdict = replay();
	vm.icount += vm.slice.ticks;
	if (vm.verdict == PLEX86_EMULATE && vm.slice.changed)
		complain("EMULATE, but something ran");
	return vm.verdict;
}

enum plex86_verdict vm_slice(void)
{
	uint64_t n;

	switch (vm_slice_only()) {
	case PLEX86_STEP:
		if (vm.cpu.gpr[REG_NEXT] < vm.nacts)
			bochs_step();
		break;
	case PLEX86_EMULATE:
		for (n = 0; n < vm.slice.wait.ticks && n < 2 && vm.cpu.gpr[REG_NEXT] < vm.nacts; n++)
			bochs_step();
		break;
	case PLEX86_RAN:
	case PLEX86_GO_ON:	/* not for Bochs */
	case PLEX86_REPLAY:	/* vm_slice_only() has done it */
		break;
	}
	return vm.verdict;
}

void vm_run(const struct act *act, uint64_t n)
{
	uint64_t idle = 0, before;

	vm.act = act;
	vm.nacts = n;
	vm.cpu.gpr[REG_NEXT] = 0;
	while (vm.cpu.gpr[REG_NEXT] < n && vm.complaints < 100) {
		before = vm.cpu.gpr[REG_NEXT];
		if (vm.core)
			vm_slice();
		else
			bochs_step();
		/* A slice may be too short for one act; a thousand in a row can't be. */
		idle = vm.cpu.gpr[REG_NEXT] == before ? idle + 1 : 0;
		if (idle > 1000) {
			complain("act %llu never ends", (unsigned long long)before);
			return;
		}
	}
}

void vm_do(enum act_kind kind, uint64_t la)
{
	struct act act = { kind, la, 0 };

	vm_run(&act, 1);
}

bool vm_native(enum act_kind kind, uint64_t la)
{
	struct act act = { kind, la, 0 };

	vm.act = &act;
	vm.nacts = 1;
	vm.cpu.gpr[REG_NEXT] = 0;
	/* A space that has lost all its pages is taken for a new process, once. */
	if (vm_slice_only() == PLEX86_EMULATE)
		vm_slice_only();
	return vm.cpu.gpr[REG_NEXT] == 1;
}

/* Nothing that is measured may depend on how busy the host is: no time passes here. */
uint64_t plex86_now_ns(void)
{
	return 0;
}

uint64_t plex86_thread_ns(void)
{
	return 0;
}

uint64_t vm_digest(void)
{
	uint64_t h = mix64(vm.cpu.rip, vm.faults), pa;
	unsigned int i;

	for (i = 0; i < PLEX86_NGPR; i++)
		h = mix64(h, vm.cpu.gpr[i]);
	for (pa = 0; pa < VM_RAM; pa += 8)
		h = mix64(h, bochs_read(pa, 8));
	return h;
}
