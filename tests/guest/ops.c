/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * One user operation per call: sets up registers, runs agent.S, and writes in
 * the log what came of it.  True when the operation was done without a trap.
 */
#include "tk.h"

extern const u8 agent_spin[], agent_load[], agent_store[], agent_rmw[], agent_call[], agent_copy[];

static bool op(const u8 *entry, const char *what, ulong va)
{
	u.ip = U_AGENT + (entry - agent_start);
	u.cs = SEL_UCODE;
	u.sp = U_STACK_TOP - 64;
	u.cx = spin;
	u.di = u.bp = spin;
	u.bx = va;
	if (run() == VEC_INT80)
		return true;
	say("  %s %X: trap %x err=%x", what, (u64)va, (u32)u.vec, (u32)u.err);
	if (u.vec == 14)
		say(" cr2=%X", (u64)trap_cr2);
	if (u.ip < U_AGENT || u.ip >= U_AGENT + PAGE)
		say(" ip=%X", (u64)u.ip);
	say("\n");
	return false;
}

bool u_spin(void)
{
	return op(agent_spin, "spin", 0);
}

bool u_load(ulong va, u32 *val)
{
	u32 dummy;

	if (!op(agent_load, "load", va))
		return false;
	val = val ? val : &dummy;
	*val = u.ax;
	say("  load %X = %x\n", (u64)va, *val);
	return true;
}

bool u_store(ulong va, u32 val)
{
	u.dx = val;
	if (!op(agent_store, "store", va))
		return false;
	say("  store %X = %x\n", (u64)va, val);
	return true;
}

/* A page-table entry: which frame is in it depends on what ran before, so the log has none. */
bool u_store_entry(ulong va, u32 entry)
{
	u.dx = entry;
	return op(agent_store, "store", va);
}

bool u_rmw(ulong va, u32 add)
{
	u.dx = add;
	if (!op(agent_rmw, "add", va))
		return false;
	say("  add %X + %x\n", (u64)va, add);
	return true;
}

bool u_call(ulong va, ulong *ax)
{
	ulong dummy;

	if (!op(agent_call, "call", va))
		return false;
	ax = ax ? ax : &dummy;
	*ax = u.ax;
	say("  call %X = %X\n", (u64)va, (u64)*ax);
	return true;
}

bool u_copy(ulong to, ulong from, u32 n)
{
	u.si = from;
	u.dx = n;
	if (!op(agent_copy, "copy", to))
		return false;
	say("  copy %X <- %X, %x bytes\n", (u64)to, (u64)from, n);
	return true;
}

/*
 * The test's own code goes behind a prologue, LOOP, which spins for cx rounds
 * and leaves cx = 0 and the flags as they were.
 */
void load_blob(const u8 *start, const u8 *end)
{
	static const u8 prologue[U_BLOB - U_CODE] = {
		0xe2, 0xfe,			/* loop . */
		0xeb, U_BLOB - U_CODE - 4,	/* jmp U_BLOB */
	};

	static const u8 ud2[] = { 0x0f, 0x0b };

	if (end - start > (int)(U_CODE_PAGES * PAGE - sizeof(prologue) - sizeof(ud2)))
		panic("a user program is too long\n");
	user_write(U_CODE, prologue, sizeof(prologue));
	user_write(U_BLOB, start, end - start);
	user_write(U_BLOB + (end - start), ud2, sizeof(ud2));
	u.ip = U_CODE;
	u.cx = spin;
}
