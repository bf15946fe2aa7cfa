/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the fuzzer (tools/fuzz) and the test kernel (tests_fuzz.c) exchange by
 * disk: behind the kernel's image a head, memory contents, vector states and
 * cases; behind those the kernel writes a record for each case.  Fixed-width
 * types only, no holes: both sides are compiled for 32 and 64 bits.
 */
#ifndef GUEST_FUZZCASE_H
#define GUEST_FUZZCASE_H

#include <stdint.h>

#define FUZZ_MAGIC	"PLEX86FZ"
#define FUZZ_LBA	2880		/* of the head: behind a floppy's image */
#define FUZZ_SECTOR	512

/* A case's code is at FUZZ_CODE + slot * FUZZ_SLOT; some slots straddle pages. */
#define FUZZ_CODE	0x30000000
#define FUZZ_SLOTS	256
#define FUZZ_SLOT	120
#define FUZZ_CODE_MAX	96
#define FUZZ_FILLER	0xcc		/* INT3 where no code is */
/*
 * 16-bit code has a segment that begins at FUZZ_CODE; in odd slots a 16-bit stack segment that
 * begins at FUZZ_STACK, in the others the flat one.
 */
/* UD2 ends a case: the one trap that all engines report without side effects. */

/* Pages that cases find, each with the contents of a template; see fuzz_space(). */
#define FUZZ_DATA	0x10100000	/* holes around it */
#define FUZZ_EDGE	0x20005000	/* executable, holes around it */
#define FUZZ_RW_RO	0x20008000	/* then a read-only page */
#define FUZZ_STACK	0x10200000	/* holes around it */
#define FUZZ_RO		0x20000000	/* read-only, then a hole */
#define FUZZ_KERN	0x2000d000	/* supervisor */
#define FUZZ_RSVD	0x2000f000	/* reserved bit set */
#define FUZZ_LOW	0x00008000	/* FUZZ_DATA's frame again, for 16-bit addresses */
#define FUZZ_HIGH	0x00007fffffffe000 /* FUZZ_EDGE's frame again, below the hole of long mode */
#define FUZZ_WRITABLE	4		/* templates 0-3: DATA, EDGE, RW_RO, STACK */
#define FUZZ_TEMPLATES	6		/* 4: after RW_RO; 5: RO and KERN */
#define FUZZ_PAGE	4096

#define FUZZ_STATE_SIZE	4096		/* an XSAVE image in standard form */
#define FUZZ_STATES_MAX	256

struct fuzz_head {
	char magic[8];
	uint32_t cases;
	uint32_t states;
	uint32_t code_bits;		/* 64, 32 or 16; the latter two also if the kernel is 64-bit */
	uint32_t max_ticks;		/* then a case is taken for endless */
	uint32_t templates_at;		/* sectors from the head */
	uint32_t states_at;
	uint32_t cases_at;
	uint32_t records_at;
	uint32_t record_size;		/* FUZZ_RECORD or FUZZ_RECORD_512 */
	uint32_t own_states;		/* one for each case, with a fuzz_start */
	uint64_t fs_base, gs_base;	/* 64-bit code */
};

/* Index into gpr[], as instructions encode them. */
enum { FUZZ_AX, FUZZ_CX, FUZZ_DX, FUZZ_BX, FUZZ_SP, FUZZ_BP, FUZZ_SI, FUZZ_DI };

struct fuzz_case {
	uint32_t id;			/* number within its seed */
	uint16_t slot;
	uint8_t len, insns;
	uint16_t state;
	uint16_t prefix;		/* narrowing: only so many instructions are left, 0: all */
	uint32_t rflags;
	uint64_t gpr[16];
	uint8_t code[FUZZ_CODE_MAX];
	uint8_t apart;			/* runs in pages that hold only such cases */
	uint8_t unused[15];
};

#define FUZZ_FX		416		/* FXSAVE up to XMM15 */
#define FUZZ_CHANGES	14

/* In a state of a case's own, behind the XSAVE image: it begins where another has ended. */
#define FUZZ_START	3072
struct fuzz_start {
	uint32_t valid;			/* 0: begins as others do */
	uint32_t changes;		/* words of the writable pages: as in fuzz_record */
	uint64_t ip;
	uint64_t fs_base, gs_base;
	uint16_t sel[6];
	uint16_t unused[2];
	uint64_t changed[FUZZ_CHANGES];
	uint16_t changed_at[FUZZ_CHANGES];
	uint16_t unused2[2];
};

struct fuzz_record {
	uint32_t id;
	uint32_t vector;		/* FUZZ_ENDLESS: none in time, nothing else is set */
	uint32_t error;
	uint32_t dr6;			/* of #DB */
	uint64_t cr2;			/* of #PF */
	uint64_t ip;			/* from the beginning of the slot */
	uint64_t rflags;
	uint64_t gpr[16];
	uint16_t sel[6];		/* ES CS SS DS FS GS */
	uint16_t unused[2];
	uint64_t fs_base, gs_base;
	uint8_t fx[FUZZ_FX];
	uint8_t ymm_high[256];
	/* Words of the writable pages that are not as their template. */
	uint32_t changes;
	uint32_t change_hash;		/* over all of them */
	struct {
		uint64_t value;
	} changed[FUZZ_CHANGES];	/* the first ones */
	uint16_t changed_at[FUZZ_CHANGES]; /* in words from template 0 */
};
#define FUZZ_ENDLESS	0xffff

#define FUZZ_RECORD	1024
#define FUZZ_RECORD_512	3072		/* with AVX-512: behind it ... */
#define FUZZ_ZMM_HIGH	1024		/* ZMM0-15, upper halves */
#define FUZZ_ZMM_16	1536		/* ZMM16-31 */
#define FUZZ_OPMASK	2560
/* ... and in an XSAVE image */
#define FUZZ_XS_YMM	576
#define FUZZ_XS_HEADER	512
#define FUZZ_XS_OPMASK	1088
#define FUZZ_XS_ZMM	1152		/* both of the above, one after the other ... */
#define FUZZ_XS_HI16	1664		/* ... where the second begins */
#define FUZZ_XS_END	2688

_Static_assert(sizeof(struct fuzz_head) == 64, "fuzz_head");
_Static_assert(sizeof(struct fuzz_case) == 256, "fuzz_case");
_Static_assert(sizeof(struct fuzz_start) == 192, "fuzz_start");
_Static_assert(sizeof(struct fuzz_record) <= FUZZ_RECORD, "fuzz_record");

#endif /* GUEST_FUZZCASE_H */
