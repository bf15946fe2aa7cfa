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
static u64 gdt_at_boot[GDT_SLOTS];
static u64 idt[IDT_VECTORS * (BITS64 ? 2 : 1)] __attribute__((aligned(16)));

/* Fields that both forms of the TSS have in the same place are all we need, and SS0 to SS2. */
static struct {
	u8 hw[104];
	u8 redirect[32];		/* right before the I/O bitmap, wherever that is */
	u8 iopb[IOPB_BYTES + 1];
} tss __attribute__((aligned(4096)));
#define TSS_SS0		8
#define TSS_RING	8		/* from one ring's stack to the next one's, in both forms */
#define TSS_IOPB	102
#define IOPB_AT		offsetof(__typeof__(tss), iopb)

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

/* The first 8 bytes of a gate, in the GDT or in the IDT. */
static u64 gate_low(u16 cs, ulong target, u8 type_attr, u8 params)
{
	return (u64)(target >> 16 & 0xffff) << 48 | (u64)type_attr << 40 | (u64)params << 32 |
	       (u64)cs << 16 | (target & 0xffff);
}

void gdt_set_gate(u16 sel, u16 cs, ulong target, u8 type_attr, u8 params)
{
	gdt[sel >> 3] = gate_low(cs, target, type_attr, params);
#ifdef __x86_64__
	gdt[(sel >> 3) + 1] = target >> 32;
#endif
}

void idt_set_gate(u8 vec, u16 cs, ulong target, u8 type_attr)
{
#ifdef __x86_64__
	idt[vec * 2] = gate_low(cs, target, type_attr, 0);
	idt[vec * 2 + 1] = target >> 32;
#else
	idt[vec] = gate_low(cs, target, type_attr, 0);
#endif
}

/* The kernel's own gate of this vector, for programs of ring dpl too. */
void idt_dpl(u8 vec, u8 dpl)
{
	idt_set_gate(vec, SEL_KCODE, (ulong)stubs + vec * STUB_SIZE, 0x8e | dpl << 5);
}

void set_ring_stack(u32 ring, u16 ss, ulong sp)
{
	memcpy(tss.hw + TSS_SP0 + ring * TSS_RING, &sp, sizeof(sp));
	if (!BITS64)
		memcpy(tss.hw + TSS_SS0 + ring * TSS_RING, &ss, sizeof(ss));
}

void set_sp0(ulong top)
{
	set_ring_stack(0, SEL_KDATA, top);
	cur_top = top;
}

void redirect(u8 vec, bool yes)
{
	if (yes)
		tss.redirect[vec / 8] &= ~(1u << vec % 8);
	else
		tss.redirect[vec / 8] |= 1u << vec % 8;
}

void tss_limit(u32 limit)
{
	gdt_set(SEL_TSS, seg_desc((ulong)&tss, limit, 0x0089));
	__asm__ volatile("ltr %w0" : : "r"(SEL_TSS));
}

/* Where the TSS says that the bitmap is, and how many bytes of it are within its limit. */
void iopb_place(int off, u32 bytes)
{
	u16 at = IOPB_AT + off;

	memcpy(tss.hw + TSS_IOPB, &at, sizeof(at));
	tss_limit(IOPB_AT + bytes - 1);
}

void iopb_reset(void)
{
	memset(tss.redirect, 0xff, sizeof(tss.redirect));
	memset(tss.iopb, 0xff, sizeof(tss.iopb));
	iopb_place(0, sizeof(tss.iopb));
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
	gdt_set(SEL_KCODE, BITS64 ? 0x00af9b000000ffff : 0x00cf9b000000ffff);
	gdt_set(SEL_KDATA, 0x00cf93000000ffff);
	gdt_set(SEL_UCODE32, 0x00cffb000000ffff);
	gdt_set(SEL_UDATA, 0x00cff3000000ffff);
	gdt_set(SEL_UCODE64, 0x00affb000000ffff);
	gdt_set(SEL_UDATA2, 0x00cff3000000ffff);
#ifdef __x86_64__
	gdt[(SEL_TSS >> 3) + 1] = (u64)(ulong)&tss >> 32;
#endif
	gdt_set(SEL_NP_DATA, 0x00cf73000000ffff);
	gdt_set(SEL_NP_CODE, BITS64 ? 0x00af7b000000ffff : 0x00cf7b000000ffff);
	gdt_set(SEL_DATA0, 0x00cf93000000ffff);
	gdt_set(SEL_XONLY, BITS64 ? 0x00aff9000000ffff : 0x00cff9000000ffff);
	gdt_set(SEL_RODATA, seg_desc(0, 0, 0x40f5));
	gdt_set(SEL_CONF, BITS64 ? 0x00af9f000000ffff : 0x00cf9f000000ffff);
	gdt_set_gate(SEL_GATE, SEL_KCODE, (ulong)gate_entry, 0xec, 0);
	gdt_set_gate(SEL_NPGATE, SEL_KCODE, (ulong)gate_entry, 0x6c, 0);
	memcpy(gdt_at_boot, gdt, sizeof(gdt));
}

/* What a test has put there is gone for the next one.  The TSS stays as it is, with its busy bit. */
void gdt_reset(void)
{
	for (u32 i = 0; i < GDT_SLOTS; i++)
		if (i != SEL_TSS >> 3 && gdt[i] != gdt_at_boot[i])
			gdt[i] = gdt_at_boot[i];
}

void desc_init(void)
{
	struct table_reg g = { sizeof(gdt) - 1, (ulong)gdt };
	struct table_reg i = { sizeof(idt) - 1, (ulong)idt };

	gdt_init();
	for (u32 v = 0; v < IDT_VECTORS; v++)
		idt_dpl(v, v == 3 || v == 4 || v == VEC_INT80 ? 3 : 0);
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
	iopb_reset();
	sysenter_init();
	syscall_init();
}
