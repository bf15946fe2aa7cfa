/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Video memory that user code has mapped (I6): text, planes behind latches, where one address is four
 * bytes and reading changes what is written next, and a linear frame buffer.
 */
#include "pages.h"

#define SEQ		0x3c4
#define SEQ_MAP_MASK	2
#define SEQ_MEMORY_MODE	4
#define GFX		0x3ce
#define GFX_SET_RESET	0
#define GFX_ENABLE_SR	1
#define GFX_COMPARE	2
#define GFX_READ_MAP	4
#define GFX_MODE	5
#define GFX_MISC	6
#define GFX_DONT_CARE	7

#define PLANES		0xa8000		/* text and its font are not there */

#define DISPI		0x1ce		/* then data */
#define DISPI_XRES	1
#define DISPI_YRES	2
#define DISPI_BPP	3
#define DISPI_ENABLE	4
#define DISPI_LINEAR	0x41
#define FRAME_BUFFER	0xe0000000u

/* What says how memory is reached. */
static const struct { u16 port; u8 index; } kept[] = {
	{ SEQ, SEQ_MAP_MASK }, { SEQ, SEQ_MEMORY_MODE }, { GFX, GFX_READ_MAP }, { GFX, GFX_MODE }, { GFX, GFX_MISC },
};

static void vga_set(u16 port, u8 index, u8 value)
{
	outb(port, index);
	outb(port + 1, value);
}

static void vga_save(u8 *was)
{
	for (u32 i = 0; i < ARRAY_SIZE(kept); i++) {
		outb(kept[i].port, kept[i].index);
		was[i] = inb(kept[i].port + 1);
	}
}

static void vga_restore(const u8 *was)
{
	for (u32 i = 0; i < ARRAY_SIZE(kept); i++)
		vga_set(kept[i].port, kept[i].index, was[i]);
}

static void dispi(u16 index, u16 value)
{
	outw(DISPI, index);
	outw(DISPI + 1, value);
}

static void text(void)
{
	u32 v = 0;

	map(cur, VA, 0xb8000, P_URW);
	map(cur, VB, 0xa0000, P_URW);
	expect(u_store(VA + 160, 0x07420741));
	expect(u_load(VA + 160, &v) && v == 0x07420741);
	expect(*(volatile u32 *)phys(0xb8000 + 160) == 0x07420741);
	*(volatile u32 *)phys(0xb8000 + 160) = 0x07440743;
	expect(u_load(VA + 160, &v) && v == 0x07440743);
	expect(u_copy(VA + 320, VA + 160, 4));
	expect(u_load(VA + 320, &v) && v == 0x07440743);
	expect(u_store(VB, 0x11223344));
	expect(u_load(VB, &v));				/* text mode: nothing is there */
	expect(bits(VA) == (A | D));
}

/* What user code reads at @va in each plane. */
static void expect_planes(ulong va, u32 p0, u32 p1, u32 p2, u32 p3)
{
	const u32 want[4] = { p0, p1, p2, p3 };
	u32 v = 0;

	for (u8 i = 0; i < 4; i++) {
		vga_set(GFX, GFX_READ_MAP, i);
		expect(u_load(va, &v) && v == want[i]);
	}
}

static void planes(void)
{
	u8 was[ARRAY_SIZE(kept)];
	u32 v = 0;

	vga_save(was);
	vga_set(SEQ, SEQ_MAP_MASK, 1);
	vga_set(SEQ, SEQ_MEMORY_MODE, 6);
	vga_set(GFX, GFX_MODE, 0);
	vga_set(GFX, GFX_MISC, 5);
	map(cur, VA, PLANES, P_URW);
	expect(u_store(VA, 0x11121314));
	vga_set(SEQ, SEQ_MAP_MASK, 4);
	expect(u_store(VA, 0x44434241));
	vga_set(SEQ, SEQ_MAP_MASK, 0xa);
	expect(u_store(VA, 0xa1a2a3a4));
	expect_planes(VA, 0x11121314, 0xa1a2a3a4, 0x44434241, 0xa1a2a3a4);

	/* All planes of each byte that is read are written where the next one goes. */
	vga_set(SEQ, SEQ_MAP_MASK, 0xf);
	vga_set(GFX, GFX_MODE, 1);
	expect(u_copy(VA + 32, VA, 4));
	vga_set(GFX, GFX_MODE, 0);
	expect_planes(VA + 32, 0x11121314, 0xa1a2a3a4, 0x44434241, 0xa1a2a3a4);

	/* Writes of a colour, whatever the value, and reads that compare colours. */
	vga_set(GFX, GFX_SET_RESET, 5);
	vga_set(GFX, GFX_ENABLE_SR, 0xf);
	expect(u_store(VA + 64, 0));
	vga_set(GFX, GFX_ENABLE_SR, 0);
	vga_set(GFX, GFX_SET_RESET, 0);
	expect_planes(VA + 64, ~0u, 0, ~0u, 0);
	vga_set(GFX, GFX_COMPARE, 5);
	vga_set(GFX, GFX_DONT_CARE, 0xf);
	vga_set(GFX, GFX_MODE, 8);
	expect(u_load(VA + 64, &v) && v == ~0u);
	vga_set(GFX, GFX_COMPARE, 0);
	expect(u_load(VA + 64, &v) && v == 0);

	vga_restore(was);
}

static void frame_buffer(void)
{
	u32 dev = pci_find(PCI_STDVGA), was, v = 1;
	u8 vga[ARRAY_SIZE(kept)];

	if (dev == -1u) {
		say("  there is no PCI video adapter\n");
		return;
	}
	vga_save(vga);			/* QEMU's adapter sets these along */
	was = pci_bar(dev, FRAME_BUFFER);
	dispi(DISPI_XRES, 640);
	dispi(DISPI_YRES, 480);
	dispi(DISPI_BPP, 32);
	dispi(DISPI_ENABLE, DISPI_LINEAR);
	map(cur, VA, FRAME_BUFFER + PAGE, P_URW);
	map(cur, VA + PAGE, FRAME_BUFFER + 2 * PAGE, P_URW);
	map(cur, VB, FRAME_BUFFER + PAGE, P_URO);
	expect(u_load(VA, &v) && v == 0);		/* cleared as it was switched on */
	expect(u_store(VA, 0x00112233));
	expect(u_load(VB, &v) && v == 0x00112233);
	expect(!u_store(VB, 0x00445566) && u.err == 7);
	expect(u_copy(VA + 0x123, VA, 4));
	expect(u_load(VB + 0x123, &v) && v == 0x00112233);
	expect(u_store(VA + PAGE - 2, 0x778899aa));	/* two pages */
	expect(u_load(VA + PAGE - 2, &v) && v == 0x778899aa);
	expect(u_load(VA + PAGE, &v) && v == 0x7788);
	expect(bits(VA) == (A | D) && bits(VB) == A);
	dispi(DISPI_ENABLE, 0);
	vga_restore(vga);
	pci_bar(dev, was);
}

void tests_video(void)
{
	static const struct test t[] = {
		{ "text", ENV_ALL, text },
		{ "planes", ENV_ALL, planes },
		{ "frame_buffer", ENV_ALL, frame_buffer },
	};

	run_tests("video", t, ARRAY_SIZE(t));
}
