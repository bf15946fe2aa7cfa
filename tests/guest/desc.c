/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* GDT, LDT slot, IDT and TSS with its I/O bitmap. */
#include "tk.h"

#define IDT_VECTORS	256
#define STUB_SIZE	16
#define IOPB_BYTES	8192

#define MSR_SYSENTER_CS	0x174
#define MSR_SYSENTER_SP	0x175
#define MSR_SYSENTER_IP	0x176
#define MSR_EFER	0xc0000080
#define MSR_STAR	0xc0000081
#define MSR_LSTAR	0xc0000082
#define MSR_CSTAR	0xc0000083
#define MSR_FMASK	0xc0000084
#define EFER_SCE	1
#define CPUID_1_SEP	(1u << 11)

extern u8 stubs[], sysenter_entry[], syscall_entry[], gate_entry[];
#ifdef __x86_64__
extern u8 syscall32_entry[];
#endif

static u64 gdt[GDT_SLOTS] __attribute__((aligned(16)));
static u64 idt[IDT_VECTORS * (BITS64 ? 2 : 1)] __attribute__((aligned(16)));

/* The fields that both forms of the TSS have in the same place are all we need. */
static struct {
	u8 hw[104];
	u8 iopb[IOPB_BYTES + 1];
} tss __attribute__((aligned(4096)));
#define TSS_SS0		8
#define TSS_IOPB	102

struct table_reg {
	u16 limit;
	ulong base;
} __attribute__((packed));

u64 seg_desc(u32 base, u32 limit, u16 attr)
{
	return (u64)(base >> 24) << 56 | (u64)(attr >> 12) << 52 | (u64)(limit >> 16 & 15) << 48 |
	       (u64)(attr & 0xff) << 40 | (u64)(base & 0xffffff) << 16 | (limit & 0xffff);
}

void gdt_set(u16 sel, u64 descriptor)
{
	gdt[sel >> 3] = descriptor;
}

u64 gdt_get(u16 sel)
{
	return gdt[sel >> 3];
}

/* The first 8 bytes of a gate to SEL_KCODE, in the GDT or in the IDT. */
static u64 gate_low(ulong target, u8 type_attr)
{
	return (u64)(target >> 16 & 0xffff) << 48 | (u64)type_attr << 40 |
	       (u64)SEL_KCODE << 16 | (target & 0xffff);
}

void gdt_set_gate(u16 sel, ulong target, u8 type_attr)
{
	gdt[sel >> 3] = gate_low(target, type_attr);
#ifdef __x86_64__
	gdt[(sel >> 3) + 1] = target >> 32;
#endif
}

static void idt_set(u8 vec, u8 dpl)
{
	ulong target = (ulong)stubs + vec * STUB_SIZE;
	u8 attr = 0x8e | dpl << 5;

#ifdef __x86_64__
	idt[vec * 2] = gate_low(target, attr);
	idt[vec * 2 + 1] = target >> 32;
#else
	idt[vec] = gate_low(target, attr);
#endif
}

void idt_dpl(u8 vec, u8 dpl)
{
	idt_set(vec, dpl);
}

void set_sp0(ulong top)
{
	memcpy(tss.hw + TSS_SP0, &top, sizeof(top));
	cur_top = top;
}

void iopb_allow(u16 port, bool yes)
{
	if (yes)
		tss.iopb[port / 8] &= ~(1u << port % 8);
	else
		tss.iopb[port / 8] |= 1u << port % 8;
}

static void sysenter_init(void)
{
	u32 r[4];

	cpuid(1, 0, r);
	if (!(r[3] & CPUID_1_SEP))
		return;
	wrmsr(MSR_SYSENTER_CS, SEL_KCODE);
	wrmsr(MSR_SYSENTER_SP, (ulong)&tss);	/* the entry takes cur_top at once */
	wrmsr(MSR_SYSENTER_IP, (ulong)sysenter_entry);
}

static void syscall_init(void)
{
#ifdef __x86_64__
	wrmsr(MSR_EFER, rdmsr(MSR_EFER) | EFER_SCE);
	wrmsr(MSR_STAR, (u64)(SEL_UCODE32) << 48 | (u64)SEL_KCODE << 32);
	wrmsr(MSR_LSTAR, (ulong)syscall_entry);
	wrmsr(MSR_CSTAR, (ulong)syscall32_entry);
	wrmsr(MSR_FMASK, FL_IF | FL_TF | FL_DF | FL_AC | FL_NT);
#endif
}

static void gdt_init(void)
{
	ulong base = (ulong)&tss;

	gdt_set(SEL_KCODE, BITS64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff);
	gdt_set(SEL_KDATA, 0x00cf93000000ffff);
	gdt_set(SEL_UCODE32, 0x00cffb000000ffff);
	gdt_set(SEL_UDATA, 0x00cff3000000ffff);
	gdt_set(SEL_UCODE64, 0x00affb000000ffff);
	gdt_set(SEL_UDATA2, 0x00cff3000000ffff);
	gdt_set(SEL_TSS, seg_desc(base, sizeof(tss) - 1, 0x0089));
#ifdef __x86_64__
	gdt[(SEL_TSS >> 3) + 1] = base >> 32;
#endif
	gdt_set(SEL_NP_DATA, 0x00cf73000000ffff);
	gdt_set(SEL_NP_CODE, BITS64 ? 0x00af7b000000ffff : 0x00cf7b000000ffff);
	gdt_set(SEL_DATA0, 0x00cf93000000ffff);
	gdt_set(SEL_XONLY, BITS64 ? 0x00aff9000000ffff : 0x00cff9000000ffff);
	gdt_set(SEL_RODATA, seg_desc(0, 0, 0x40f5));
	gdt_set(SEL_CONF, BITS64 ? 0x00af9f000000ffff : 0x00cf9f000000ffff);
	gdt_set_gate(SEL_GATE, (ulong)gate_entry, 0xec);
	gdt_set_gate(SEL_NPGATE, (ulong)gate_entry, 0x6c);
}

void desc_init(void)
{
	struct table_reg g = { sizeof(gdt) - 1, (ulong)gdt };
	struct table_reg i = { sizeof(idt) - 1, (ulong)idt };
	u16 iopb_at = offsetof(__typeof__(tss), iopb);

	gdt_init();
	for (u32 v = 0; v < IDT_VECTORS; v++)
		idt_set(v, v == 3 || v == 4 || v == VEC_INT80 ? 3 : 0);
	memset(tss.iopb, 0xff, sizeof(tss.iopb));
	memcpy(tss.hw + TSS_IOPB, &iopb_at, 2);
	if (!BITS64)
		tss.hw[TSS_SS0] = SEL_KDATA;
	__asm__ volatile("lgdt %0" : : "m"(g));
	__asm__ volatile("lidt %0" : : "m"(i));
	__asm__ volatile(
#ifdef __x86_64__
		"push %0\n\tlea 1f(%%rip), %%rax\n\tpush %%rax\n\tlretq\n1:\n\t"
#else
		"ljmp %0, $1f\n1:\n\t"
#endif
		: : "i"(SEL_KCODE) : "eax", "memory");
	__asm__ volatile("mov %0, %%ds; mov %0, %%es; mov %0, %%ss" : : "r"(SEL_KDATA));
	__asm__ volatile("mov %0, %%fs; mov %0, %%gs" : : "r"(0));
	__asm__ volatile("lldt %w0" : : "r"(0));
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
	sysenter_init();
	syscall_init();
}
