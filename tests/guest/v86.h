/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Where programs of virtual-8086 mode lie, and how they begin. */
#ifndef GUEST_V86_H
#define GUEST_V86_H

#include "tk.h"

#ifndef __x86_64__
#define PROGRAM(name) extern const u8 seg_v86_##name[], seg_v86_##name##_end[]

#define CODE	0x1000u			/* segments; all of the first 256 KiB is RAM */
#define DATA	0x2000u
#define STACK	0x3000u
#define HOLE	0x5000u

static inline void v86_map(void)
{
	map_new(cur, 0, 0x40, P_URW);
	map_new(cur, 0x100000, 1, P_URW);
	user_put32(0x100000, 0x1337);
}

static inline void v86_begin(u32 iopl)
{
	u.flags = 2 | FL_IF | FL_VM | iopl << 12;
	u.cs = CODE;
	u.ss = STACK;
	u.sp = 0x1000;
	u.ip = 0;
	u.bp = spin;
	u.cx = 0;
	u.ds = u.es = u.fs = u.gs = 0;
	u.v_ds = u.v_es = DATA;
	u.v_fs = HOLE;
	u.v_gs = HOLE;
}
#endif

#endif /* GUEST_V86_H */
