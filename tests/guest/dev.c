/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* PIC, PIT, local APIC timer, ATA disk (PIO and bus-master DMA), A20 gate. */
#include "tk.h"

#define PIC1		0x20
#define PIC2		0xa0
#define PIC_EOI		0x20
#define PIT_CH0		0x40
#define PIT_CMD		0x43
#define PIT_HZ		1193182u
#define PORT_A20	0x92

#define LAPIC_EOI	0xb0
#define LAPIC_SVR	0xf0
#define LAPIC_LVT_TIMER	0x320
#define LAPIC_INIT	0x380
#define LAPIC_DIVIDE	0x3e0
#define LVT_PERIODIC	0x20000
#define LVT_MASKED	0x10000

#define ATA		0x1f0
#define ATA_CTL		0x3f6
#define ATA_NIEN	2
#define ATA_BSY		0x80
#define ATA_DRQ		0x08
#define ATA_ERR		0x01
#define ATA_READ_PIO	0x20
#define ATA_WRITE_PIO	0x30
#define ATA_READ_DMA	0xc8
#define SECTOR		512

#define PCI_COMMAND	4
#define PCI_MEMORY_ON	2
#define PCI_BAR0	0x10

#define BM_CMD		0
#define BM_STATUS	2
#define BM_PRDT		4
#define BM_START	1
#define BM_READ		8		/* from disk to memory */
#define BM_ERROR	2
#define BM_IRQ		4

static volatile u32 *lapic(u32 reg)
{
	return (volatile u32 *)(LAPIC_VA + reg);
}

static void pic_init(void)
{
	outb(PIC1, 0x11);
	outb(PIC2, 0x11);
	outb(PIC1 + 1, VEC_IRQ);
	outb(PIC2 + 1, VEC_IRQ + 8);
	outb(PIC1 + 1, 4);
	outb(PIC2 + 1, 2);
	outb(PIC1 + 1, 1);
	outb(PIC2 + 1, 1);
	outb(PIC1 + 1, 0xfe);		/* the timer only */
	outb(PIC2 + 1, 0xff);
}

void pit_hz(u32 hz)
{
	u32 n = PIT_HZ / hz;

	outb(PIT_CMD, 0x34);
	outb(PIT_CH0, n);
	outb(PIT_CH0, n >> 8);
}

void eoi(u32 vec)
{
	if (vec == VEC_LAPIC)
		*lapic(LAPIC_EOI) = 0;
	else if (vec < VEC_IRQ + 16)
		outb(PIC1, PIC_EOI);
}

void lapic_timer(u32 count)
{
	*lapic(LAPIC_SVR) = 0x100 | VEC_SPURIOUS;
	*lapic(LAPIC_DIVIDE) = 0xb;	/* by 1 */
	*lapic(LAPIC_LVT_TIMER) = VEC_LAPIC | (count ? LVT_PERIODIC : LVT_MASKED);
	*lapic(LAPIC_INIT) = count;
}

void a20(bool on)
{
	u8 v = inb(PORT_A20) & ~1u;

	outb(PORT_A20, on ? v | 2 : v & ~2u);
}

static bool ata_wait(u8 want)
{
	for (u32 i = 0; i < 10000000; i++) {
		u8 s = inb(ATA + 7);

		if (s & ATA_BSY)
			continue;
		if (s & ATA_ERR)
			return false;
		if ((s & want) == want)
			return true;
	}
	return false;
}

static bool ata_command(u32 lba, u8 sectors, u8 cmd)
{
	outb(ATA + 6, 0xe0 | (lba >> 24 & 15));
	if (!ata_wait(0))
		return false;
	outb(ATA + 2, sectors);		/* 0 stands for 256 */
	outb(ATA + 3, lba);
	outb(ATA + 4, lba >> 8);
	outb(ATA + 5, lba >> 16);
	outb(ATA + 7, cmd);
	return true;
}

/* Up to 256 sectors, by the CPU. */
bool disk_sectors(bool write, u32 lba, void *buf, u32 sectors)
{
	if (inb(ATA + 7) == 0xff)
		return false;
	outb(ATA_CTL, ATA_NIEN);
	if (!ata_command(lba, sectors, write ? ATA_WRITE_PIO : ATA_READ_PIO))
		return false;
	while (sectors--) {
		u32 words = SECTOR / 2;

		if (!ata_wait(ATA_DRQ))
			return false;
		if (write)
			__asm__ volatile("rep outsw" : "+S"(buf), "+c"(words) : "d"(ATA) : "memory");
		else
			__asm__ volatile("rep insw" : "+D"(buf), "+c"(words) : "d"(ATA) : "memory");
	}
	return ata_wait(0);
}

bool disk_read_pio(u32 lba, void *to)
{
	return disk_sectors(false, lba, to, 1);
}

static u32 pci_read(u32 dev, u32 fn, u32 reg)
{
	outl(0xcf8, 0x80000000 | dev << 11 | fn << 8 | reg);
	return inl(0xcfc);
}

static void pci_write(u32 dev, u32 fn, u32 reg, u32 v)
{
	outl(0xcf8, 0x80000000 | dev << 11 | fn << 8 | reg);
	outl(0xcfc, v);
}

/* The bus-master registers of the first PCI IDE controller on bus 0, or 0. */
static u16 bus_master(void)
{
	for (u32 dev = 0; dev < 32; dev++)
		for (u32 fn = 0; fn < 8; fn++) {
			if (pci_read(dev, fn, 8) >> 16 != 0x0101)
				continue;
			pci_write(dev, fn, 4, (pci_read(dev, fn, 4) & 0xffff) | 5);
			return pci_read(dev, fn, 0x20) & 0xfff0;
		}
	return 0;
}

/* Where device and vendor are on bus 0, as pci_bar() takes it; -1: nowhere. */
u32 pci_find(u32 id)
{
	for (u32 dev = 0; dev < 32; dev++)
		if (pci_read(dev, 0, 0) == id)
			return dev;
	return -1u;
}

/* Gives the device's first registers another address; returns what it was. */
u32 pci_bar(u32 dev, u32 pa)
{
	u32 was = pci_read(dev, 0, PCI_BAR0);

	pci_write(dev, 0, PCI_COMMAND, (pci_read(dev, 0, PCI_COMMAND) & 0xffff) | PCI_MEMORY_ON);
	pci_write(dev, 0, PCI_BAR0, pa);
	return was & ~15u;
}

/* One sector, by the device. */
u32 disk_lba(const void *of_kernel)
{
	return 1 + ((ulong)of_kernel - PHYSMAP - KERNEL_PA) / SECTOR;
}

bool disk_read_dma(u32 lba, u64 to_pa)
{
	static struct { u32 pa, count; } prd __attribute__((aligned(8)));
	u16 bm = bus_master();
	bool ok = false;

	if (!bm || inb(ATA + 7) == 0xff)
		return false;
	prd.pa = to_pa;
	prd.count = 0x80000000 | SECTOR;
	outb(ATA_CTL, 0);
	outb(bm + BM_CMD, 0);
	outb(bm + BM_STATUS, BM_IRQ | BM_ERROR);
	outl(bm + BM_PRDT, (u32)((ulong)&prd - PHYSMAP));
	if (!ata_command(lba, 1, ATA_READ_DMA))
		return false;
	outb(bm + BM_CMD, BM_READ | BM_START);
	for (u32 i = 0; i < 10000000 && !ok; i++) {
		u8 s = inb(bm + BM_STATUS);

		if (s & BM_ERROR)
			break;
		ok = s & BM_IRQ;
	}
	outb(bm + BM_CMD, 0);
	outb(bm + BM_STATUS, BM_IRQ | BM_ERROR);
	inb(ATA + 7);
	return ok && ata_wait(0);
}

void dev_init(void)
{
	pic_init();
	pit_hz(1000);
	lapic_timer(0);
}
