/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * I5: a page is natively writable, or code (in Bochs's traces, natively), never
 * both; and a page that changes sides all the time is left to Bochs for a while.
 */
#include "plugin/core_internal.h"

#include "vm.h"

#define LA	UINT64_C(0x40000000)
#define ALIAS	UINT64_C(0x50000000)
#define EPOCH	UINT64_C(25000000)

static struct tables t, other;
static uint64_t frame;

static void begin(void)
{
	vm_init(11);
	tables_init(&t, PAGING_LONG);
	tables_init(&other, PAGING_LONG);
	frame = frame_alloc();
	tables_map(&t, LA, frame, P_USER);
	tables_map(&t, ALIAS, frame, P_USER);
	tables_map(&other, LA, frame, P_USER);
	tables_map(&t, LA + 8 * PAGE, frame_alloc(), P_USER);
	vm.bare = true;
	vm.ticks_left = 1000;
	vm.tables = &t;
	vm_core(3, false);
}

static void end(const char *name)
{
	vm_close();
	tap_ok(vm_is_clean(), "%s", name);
}

/* Anything at all, so that the engine hears of what was queued. */
static void poke(void)
{
	ok(vm_native(ACT_READ, LA + 8 * PAGE));
}

static void decoding_revokes(void)
{
	uint64_t at, flips;

	begin();
	ok(vm_native(ACT_WRITE, LA));
	bochs_decode(frame + 0x200);
	poke();
	ok(!(engine_prot(LA) & PLEX86_PROT_WRITE));
	ok(vm_native(ACT_READ, LA));
	ok(!(engine_prot(LA) & PLEX86_PROT_WRITE));	/* reading takes nothing away */
	is(vm.decoded[frame / PAGE], 1u << 4, "the trace is still there");
	/* Nor does it if the kernel writes the entry next to that page's. */
	at = tables_entry(&t, LA + PAGE, 1, true);
	flips = vm.core->world.stats.flips;
	tables_entry_write(&t, at, frame_alloc() | P_USER);
	poke();
	ok(!(engine_prot(LA) & PLEX86_PROT_WRITE));
	is(vm.decoded[frame / PAGE], 1u << 4, "the trace is still there");
	is(vm.core->world.stats.flips, flips, "and nothing has changed sides");
	end("decoding takes native writing away");
}

static void writing_invalidates(void)
{
	begin();
	bochs_decode(frame + 0x80);
	bochs_decode(frame + 0xf80);
	/* One line is written by Bochs and loses its trace; the other must go too. */
	bochs_write(frame + 0x80, 1, 8);
	is(vm.decoded[frame / PAGE], 1u << 31, "one trace is left");
	ok(vm_native(ACT_WRITE, LA));
	is(vm.decoded[frame / PAGE], 0, "no trace is left once native code may write");
	end("native writing takes traces away");
}

static void aliases(void)
{
	begin();
	ok(vm_native(ACT_EXEC, LA));
	ok(vm_native(ACT_WRITE, ALIAS));
	ok(!(engine_prot(LA) & PLEX86_PROT_EXEC));
	ok(vm_native(ACT_EXEC, LA));
	ok(!(engine_prot(ALIAS) & PLEX86_PROT_WRITE));
	/* Native code at one address that is read at the other stays code. */
	ok(vm_native(ACT_READ, ALIAS));
	tables_entry_write(&t, tables_entry(&t, ALIAS + PAGE, 1, true), frame_alloc() | P_USER);
	poke();
	is(engine_prot(LA) & PLEX86_PROT_EXEC, PLEX86_PROT_EXEC, "still code");
	/* Code that writes to its own page. */
	ok(vm_native(ACT_WRITE, LA));
	ok(vm_native(ACT_EXEC, LA));
	/* In another space, while this one sleeps. */
	vm.tables = &other;
	ok(vm_native(ACT_WRITE, LA));
	vm.tables = &t;
	poke();
	ok(!(engine_prot(LA) & PLEX86_PROT_EXEC));
	ok(vm_native(ACT_EXEC, LA));
	vm.tables = &other;
	vm_native(ACT_READ, LA);
	ok(!(engine_prot(LA) & PLEX86_PROT_WRITE));
	end("code and data through two addresses, and in two spaces");
}

/* A write by Bochs to native code must reach its next check of the bytes. */
static void bochs_writes_code(void)
{
	begin();
	ok(vm_native(ACT_EXEC, LA));
	bochs_write(frame + 0x345, 0x90, 1);
	poke();
	ok(!(engine_prot(LA) & PLEX86_PROT_EXEC));
	ok(vm_native(ACT_EXEC, LA));
	bochs_write(frame + 0x345, 0x91, 1);	/* the line was reported: was it watched again? */
	poke();
	ok(!(engine_prot(LA) & PLEX86_PROT_EXEC));
	end("Bochs writes to native code");
}

/* Both ways, with what is executed in the result. */
static uint64_t self_modifying(bool native)
{
	static struct act act[2000];
	struct rng r = { 99 };
	uint64_t digest;
	unsigned int i;

	begin();
	if (!native) {
		plex86_core_close(vm.core);
		vm.core = NULL;
	}
	for (i = 0; i < 2000; i++) {
		unsigned int k = rng_below(&r, 10);

		act[i].kind = k < 4 ? ACT_EXEC : k < 9 ? ACT_WRITE : ACT_READ;
		act[i].la = (rng_below(&r, 2) ? LA : ALIAS) + rng_below(&r, 64) * 8;
		act[i].arg = 0;
	}
	vm_run(act, 1000);
	vm.icount += EPOCH;
	vm_run(act + 1000, 1000);
	digest = vm_digest();
	vm_close();
	return digest;
}

/* The page is code and data in turn; how often out of @n times that ran natively. */
static unsigned int changes(unsigned int n)
{
	unsigned int i, native = 0;

	for (i = 0; i < n; i++)
		native += vm_native(i % 2 ? ACT_WRITE : ACT_EXEC, LA);
	return native;
}

static void tire(void)
{
	unsigned int epoch;

	for (epoch = 0; epoch < 50; epoch++) {
		vm.icount += EPOCH;
		changes(20);
	}
}

static void bounded(void)
{
	unsigned int i, native = 0, epoch;
	uint64_t ops = 0, flips;

	begin();
	vm.icount = EPOCH * 100;
	native = changes(1000);
	ops = engine.ops;
	tap_diag("%u of 1000 changes, %llu operations", native, (unsigned long long)ops);
	ok(native >= 2 && native < 30);
	ok(ops < 60);
	/* If that goes on it is tried less and less often. */
	flips = vm.core->world.stats.flips;
	ops = engine.ops;
	tire();
	flips = vm.core->world.stats.flips - flips;
	ops = engine.ops - ops;
	tap_diag("then %llu changes in 50 epochs, %llu operations", (unsigned long long)flips, (unsigned long long)ops);
	ok(flips > 0 && flips < 8 * PLEX86_MAX_FLIPS);
	ok(ops < 3 * flips);
	vm.icount += 100 * EPOCH;
	for (epoch = 0; epoch < 3; epoch++) {
		vm.icount += EPOCH;
		is(changes(4), 4, "and a while later it may change again");
	}
	/* How tired it was is forgotten then, however often it changes at once. */
	tire();
	vm.icount += 100 * EPOCH;
	changes(20);
	vm.icount += EPOCH;
	is(changes(4), 4, "as if it had not been before");
	/* So it is as soon as the page changes less often. */
	tire();
	for (epoch = 0; epoch < 64 && changes(2) < 2; epoch++)
		vm.icount += EPOCH;
	tap_diag("%u epochs later", epoch);
	ok(epoch > 1 && epoch < 64);
	vm.icount += EPOCH;
	changes(20);
	vm.icount += EPOCH;
	is(changes(4), 4, "as if it had not been before");
	/* It is not left for ever, however long that goes on. */
	for (epoch = 0; epoch < 1100; epoch++) {
		changes(20);
		vm.icount += EPOCH;
	}
	for (native = epoch = 0; epoch < 130; epoch++) {
		native += changes(20);
		vm.icount += EPOCH;
	}
	tap_diag("%u changes in 130 epochs after 1100", native);
	ok(native >= PLEX86_MAX_FLIPS && native < 30 * PLEX86_MAX_FLIPS);
	/* The page that flips does not spoil another. */
	changes(100);
	vm.cpu.rip = 0;		/* no longer in that page */
	ok(vm_native(ACT_WRITE, LA + 8 * PAGE));
	end("changes between code and data are few");

	/* The same within one slice, where nobody looks at RIP in between. */
	begin();
	{
		static struct act act[400];

		for (i = 0; i < 400; i++)
			act[i] = (struct act){ i % 2 ? ACT_WRITE : ACT_EXEC, LA, 0 };
		vm.ticks_left = 1000000;
		vm_run(act, 400);
	}
	tap_diag("%llu operations", (unsigned long long)engine.ops);
	ok(engine.ops < 60);
	end("in one slice too");
}

/* More mappings of one page than fit into 16 bits. */
static void many_mappings(void)
{
	const unsigned int n = 65536;
	unsigned int i;
	uint64_t missing = 0;

	begin();
	for (i = 0; i < n; i++)
		tables_map(&t, UINT64_C(0x100000000) + i * PAGE, frame, P_USER);
	vm.unchecked = true;
	for (i = 0; i < n; i++)
		missing += !vm_native(ACT_WRITE, UINT64_C(0x100000000) + i * PAGE);
	is(missing, 0, "65536 writable mappings of one page");
	bochs_decode(frame);
	vm.unchecked = false;
	poke();
	end("and decoding takes all of them away");
}

int main(void)
{
	uint64_t digest;

	decoding_revokes();
	writing_invalidates();
	aliases();
	bochs_writes_code();
	digest = self_modifying(false);
	ok(self_modifying(true) == digest);
	ok(vm.native_acts > 20 && vm_is_clean());
	bounded();
	many_mappings();
	return tap_done();
}
