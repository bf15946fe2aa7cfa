/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Bits of the debug registers, and the programs of dr.S. */
#ifndef GUEST_DR_H
#define GUEST_DR_H

#include "tk.h"

#define FIXED		0x400u
#define LOCAL(n)	(1u << 2 * (n))
#define GLOBAL(n)	(2u << 2 * (n))
#define EXACT		0x300u			/* LE and GE */
#define GD		0x2000u
#define TYPE(n, t)	((u32)(t) << (16 + 4 * (n)))
#define EXEC		0
#define WRITE		1
#define IO		2
#define RW		3
#define LEN1		0
#define LEN2		4
#define LEN4		12
#define LEN8		8
#define DR6_IDLE	0xffff0ff0
#define DR6_BD		0x2000u
#define DR6_BS		0x4000u

#define PROGRAM(name) extern const u8 dr_##name[], dr_##name##_mark[], dr_##name##_end[]
#define LOAD(name) load_blob(dr_##name, dr_##name##_end)
#define MARK(name) ((ulong)U_BLOB + (dr_##name##_mark - dr_##name))

#endif /* GUEST_DR_H */
