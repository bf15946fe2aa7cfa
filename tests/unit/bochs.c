/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What Bochs does, as far as the core can see it: page write stamps with one
 * shot for each 128-byte line, told before the write; traces that are executed
 * as they were decoded, so that a stale one shows; page walks that set A and D.
 */
#include <string.h>

#include "vm.h"

static uint32_t lines_of(uint64_t pa, unsigned int len)
{
	return 1u << (pa % PAGE / 128) | 1u << ((pa + len - 1) % PAGE / 128);
}

/* Bochs's handleSMC(): the core first; it may say that there are no traces. */
static void handle_smc(uint64_t frame, uint32_t mask)
{
	if (vm.core && plex86_core_page_written(vm.core, (plex86_gpa_t){ frame * PAGE }, mask)) {
		if (vm.decoded[frame] & mask)
			complain("page %#llx has traces, but the core said no",
				 (unsigned long long)frame * PAGE);
		return;
	}
	vm.decoded[frame] &= ~mask;
}

static void dec_write_stamp(uint64_t frame, uint32_t mask)
{
	if (vm.stamp[frame] & mask) {
		handle_smc(frame, mask);
		vm.stamp[frame] &= ~mask;
	}
}

void bochs_write(uint64_t pa, uint64_t value, unsigned int len)
{
	uint8_t *host = vm_host(pa);

	if (!host)
		return;
	dec_write_stamp(pa / PAGE, lines_of(pa, len));
	memcpy(host, &value, len);
}

uint64_t bochs_read(uint64_t pa, unsigned int len)
{
	uint8_t *host = vm_host(pa);
	uint64_t value = 0;

	if (host)
		memcpy(&value, host, len);
	return value;
}

void bochs_dma_page(uint64_t pa, const void *data)
{
	if (vm.stamp[pa / PAGE]) {
		handle_smc(pa / PAGE, UINT32_MAX);
		vm.stamp[pa / PAGE] = 0;
	}
	memcpy(vm_host(pa), data, PAGE);
}

void bochs_flush_icache(void)
{
	memset(vm.stamp, 0, sizeof(vm.stamp));
	memset(vm.decoded, 0, sizeof(vm.decoded));
	if (vm.core)
		plex86_core_stamps_reset(vm.core);
}

static void watch_writes(plex86_gpa_t gpa, uint32_t mask)
{
	if (gpa.pa % PAGE || gpa.pa >= VM_RAM)
		complain("watch_writes(%#llx)", (unsigned long long)gpa.pa);
	else
		vm.stamp[gpa.pa / PAGE] |= mask;
}

static void forget_code(plex86_gpa_t gpa)
{
	if (gpa.pa % PAGE || gpa.pa >= VM_RAM) {
		complain("forget_code(%#llx)", (unsigned long long)gpa.pa);
		return;
	}
	if (vm.stamp[gpa.pa / PAGE]) {
		handle_smc(gpa.pa / PAGE, UINT32_MAX);
		vm.stamp[gpa.pa / PAGE] = 0;
	}
	if (vm.decoded[gpa.pa / PAGE])
		complain("page %#llx: traces are left", (unsigned long long)gpa.pa);
}

static bool translate(plex86_gva_t la, plex86_gpa_t *gpa)
{
	struct translation o;

	if (vm.tables->mode < PAGING_LONG && la.la > UINT32_MAX)
		complain("translate(%#llx) in 32-bit mode", (unsigned long long)la.la);
	tables_translate(vm.tables, la.la, &o);
	gpa->pa = o.pa;
	return o.present && !o.reserved;
}

static bool is_plain_ram(plex86_gpa_t gpa, const void *host)
{
	if (host != vm_host(gpa.pa))
		complain("is_plain_ram(%#llx) with a wrong address", (unsigned long long)gpa.pa);
	return !vm.device[gpa.pa / PAGE];
}

static void log_line(enum plex86_log_level level, const char *message)
{
	vm.log_errors += level == PLEX86_LOG_ERROR;
	vm.log_panics += level == PLEX86_LOG_PANIC;
	if (vm.log_count < LOG_LINES)
		snprintf(vm.log[vm.log_count], sizeof(vm.log[0]), "%s", message);
	vm.log_count++;
}

static void read_vec(struct plex86_vec *vec)
{
	*vec = vm.vec;
}

static void disassemble(const struct plex86_cpu *cpu, uint64_t la, const uint8_t *code,
			char *text, size_t len)
{
	snprintf(text, len, "%s", vm.disassemble ? vm.disassemble(la) : "mov eax, ebx");
}

static void walk_again(plex86_gva_t la)
{
	struct translation o;

	tables_translate(vm.tables, la.la, &o);
	if (!o.present || o.reserved || !o.user || (o.accessed && (o.dirty || !o.write)))
		complain("walk_again(%#llx), but it is not for A or D", (unsigned long long)la.la);
	vm.walks_again++;
}

const struct plex86_host_ops bochs_host_ops = {
	watch_writes, forget_code, translate, walk_again, is_plain_ram, log_line, read_vec, disassemble
};

bool bochs_access(uint64_t la, uint32_t access, uint64_t *pa)
{
	struct tables *t = vm.tables;
	struct translation o;
	unsigned int i;
	uint64_t e, bits;

	tables_translate(t, la, &o);
	if (!o.present || o.reserved || !o.user || ((access & PLEX86_ACCESS_WRITE) && !o.write) ||
	    ((access & PLEX86_ACCESS_EXEC) && !o.exec))
		return false;
	for (i = 0; i < o.n; i++) {
		if (o.entry_at[i] == ~UINT64_C(0))
			continue;
		bits = P_A;
		if (i == o.n - 1 && (access & PLEX86_ACCESS_WRITE))
			bits |= P_D;
		e = tables_entry_read(t, o.entry_at[i]);
		if ((e & bits) != bits)
			tables_entry_write(t, o.entry_at[i], e | bits);
	}
	*pa = o.pa;
	return true;
}

/* ---- Its execution ---- */

static bool page(void *ctx, uint64_t la, uint32_t access, uint64_t *at)
{
	return bochs_access(la, access, at);
}

static uint8_t device_byte(uint64_t pa)
{
	return (uint8_t)(pa * 37 + 11);
}

static uint8_t read_byte(void *ctx, uint64_t pa)
{
	uint8_t *host = vm_host(pa);

	return host && !vm.device[pa / PAGE] ? *host : device_byte(pa);
}

void bochs_decode(uint64_t pa)
{
	uint64_t frame = pa / PAGE, start = pa % PAGE & ~UINT64_C(127);
	uint32_t line = lines_of(pa, 1);

	if (vm.decoded[frame] & line)
		return;
	if (vm.core)
		plex86_core_page_decoded(vm.core, (plex86_gpa_t){ frame * PAGE });
	memcpy(vm.trace[frame] + start, vm_host(frame * PAGE) + start, 128);
	vm.decoded[frame] |= line;
	vm.stamp[frame] |= line;
}

/* Code comes from the trace. */
static uint8_t fetch_byte(void *ctx, uint64_t pa)
{
	if (!vm_host(pa) || vm.device[pa / PAGE])
		return device_byte(pa);
	bochs_decode(pa);
	return vm.trace[pa / PAGE][pa % PAGE];
}

static void write_bytes(void *ctx, uint64_t pa, uint64_t value, unsigned int len)
{
	if (pa < VM_RAM && !vm.device[pa / PAGE])
		bochs_write(pa, value, len);
}

static const struct cpu_view view = { page, fetch_byte, read_byte, write_bytes, NULL };

/* Only verify mode cares. */
static void leave_user_mode(void)
{
	if (!vm.core || !vm.verify)
		return;
	plex86_core_kernel_mode(vm.core, vm.icount - 1);
	plex86_core_user_mode(vm.core, vm.tables->cr3, vm.icount);
}

void bochs_step(void)
{
	uint64_t fault, arg = vm.act[vm.cpu.gpr[REG_NEXT]].arg;
	uint32_t access;

	vm.icount++;
	vm.emulated_acts++;
	switch (cpu_step(&vm.cpu, &view, &fault, &access)) {
	case STEP_FAULT:
		leave_user_mode();
		if (vm.on_fault && vm.on_fault(fault, access))
			return;
		vm.faults++;
		vm.cpu.gpr[REG_HASH] = mix64(vm.cpu.gpr[REG_HASH], fault ^ access);
		vm.cpu.gpr[REG_NEXT]++;
		break;
	case STEP_CALL:
		leave_user_mode();
		vm.cpu.gpr[REG_NEXT]++;
		vm.on_call(arg);
		break;
	case STEP_SENSITIVE:
		cpu_answer(&vm.cpu);
		break;
	default:
		break;
	}
}
