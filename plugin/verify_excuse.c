/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What two exact processors may do differently.  Each entry is a place in the
 * manual that leaves a result undefined or says how far an approximation may be
 * off.  SDM: Intel's Software Developer's Manual.
 */
#include <stdlib.h>
#include <string.h>

#include "verify.h"

#define CF	0x001u
#define PF	0x004u
#define AF	0x010u
#define ZF	0x040u
#define SF	0x080u
#define OF	0x800u

struct mnemonic {
	const char *name;
	uint32_t undefined;	/* left undefined */
	uint32_t kept;		/* not touched: an earlier instruction's */
};

/*
 * SDM vol. 1, appendix A.2 ("EFLAGS cross-reference", entries "-"), and for what
 * came later the "Flags affected" paragraph of the instruction in vol. 2.  For
 * shifts and rotates see below.
 */
static const struct mnemonic mnemonics[] = {
	{ "aaa", OF | SF | ZF | PF, 0 },
	{ "aad", OF | AF | CF, 0 },
	{ "aam", OF | AF | CF, 0 },
	{ "aas", OF | SF | ZF | PF, 0 },
	{ "adcx", 0, OF | SF | ZF | AF | PF },
	{ "adox", 0, SF | ZF | AF | PF | CF },
	{ "and", AF, 0 },
	{ "andn", AF | PF, 0 },
	{ "bextr", AF | SF | PF, 0 },
	{ "blsi", AF | PF, 0 },
	{ "blsmsk", AF | PF, 0 },
	{ "blsr", AF | PF, 0 },
	{ "bsf", CF | OF | SF | AF | PF, 0 },
	{ "bsr", CF | OF | SF | AF | PF, 0 },
	{ "bt", OF | SF | AF | PF, ZF },
	{ "btc", OF | SF | AF | PF, ZF },
	{ "btr", OF | SF | AF | PF, ZF },
	{ "bts", OF | SF | AF | PF, ZF },
	{ "bzhi", AF | PF, 0 },
	{ "clc", 0, OF | SF | ZF | AF | PF },
	{ "cmc", 0, OF | SF | ZF | AF | PF },
	{ "cmpxchg16b", 0, OF | SF | AF | PF | CF },
	{ "cmpxchg8b", 0, OF | SF | AF | PF | CF },
	{ "daa", OF, 0 },
	{ "das", OF, 0 },
	{ "dec", 0, CF },
	{ "div", CF | OF | SF | ZF | AF | PF, 0 },
	{ "idiv", CF | OF | SF | ZF | AF | PF, 0 },
	{ "imul", SF | ZF | AF | PF, 0 },
	{ "inc", 0, CF },
	{ "lar", 0, OF | SF | AF | PF | CF },
	{ "lsl", 0, OF | SF | AF | PF | CF },
	{ "lzcnt", OF | SF | PF | AF, 0 },
	{ "mul", SF | ZF | AF | PF, 0 },
	{ "or", AF, 0 },
	{ "rcl", OF, SF | ZF | AF | PF },
	{ "rcr", OF, SF | ZF | AF | PF },
	{ "rol", OF, SF | ZF | AF | PF },
	{ "ror", OF, SF | ZF | AF | PF },
	{ "sahf", 0, OF },
	{ "sar", OF | AF, 0 },
	{ "shl", OF | AF | CF, 0 },
	{ "shld", CF | OF | SF | ZF | AF | PF, 0 },
	{ "shr", OF | AF | CF, 0 },
	{ "shrd", CF | OF | SF | ZF | AF | PF, 0 },
	{ "stc", 0, OF | SF | ZF | AF | PF },
	{ "test", AF, 0 },
	{ "tzcnt", OF | SF | PF | AF, 0 },
	{ "verr", 0, OF | SF | AF | PF | CF },
	{ "verw", 0, OF | SF | AF | PF | CF },
	{ "xor", AF, 0 },
};

/* Begin so and touch no status flag.  Whatever is not here counts as writing all. */
static const char *const neutral[] = {
	"mov", "lea", "push ", "pop ", "j", "call", "ret", "nop", "set", "cmov", "xchg", "bswap",
	"not", "cbw", "cwd", "cdq", "cqo", "leave", "enter", "endbr", "pause", "multibyte", "prefetch",
	"lodsb", "lodsw", "lodsd", "lodsq", "stosb", "stosw", "stosd", "stosq",
	"rep movs", "rep stos", "rep lods", "sarx", "shlx", "shrx", "rorx", "mulx", "pdep", "pext",
	"lfence", "mfence", "sfence", "clflush", "clwb", "serialize", "cld", "std", "loop", "xlat", "lahf",
	"crc32", "cvt", "emms", "femms", "aes", "sha1", "sha256", "gf2p8", "lddqu", "maskmov", "extrq",
	"insertq", "ldmxcsr", "stmxcsr", "rdfsbase", "rdgsbase", "wrfsbase", "wrgsbase", "rdpid",
	"lds ", "les ", "lfs ", "lgs ", "lss ", "bound ", "salc",
};

/* SDM vol. 2: RCPPS, RSQRTPS (relative error up to 1.5 * 2^-12) and their later forms. */
static const char *const approximations[] = {
	"rcpps", "rcpss", "rsqrtps", "rsqrtss", "vrcp", "vrsqrt", "vexp2",
	/* SDM vol. 1, 8.3.10: transcendental instructions, accurate to 1 ulp. */
	"fsin", "fcos", "fptan", "fpatan", "f2xm1", "fyl2x",
};

/* What stores FIP, FDP and FOP, and FXSAVE MXCSR_MASK too: see verify_compare.c. */
static const char *const pointers[] = { "fnstenv", "fstenv", "fnsave", "fsave", "fxsave" };

static bool starts(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

static bool any(const char *text, const char *const *list, unsigned int n)
{
	while (n--)
		if (starts(text, list[n]))
			return true;
	return false;
}
#define ANY(text, list) any(text, list, sizeof(list) / sizeof(*(list)))

static const struct mnemonic *find(const char *text)
{
	size_t len = strcspn(text, " "), i;

	for (i = 0; i < sizeof(mnemonics) / sizeof(*mnemonics); i++)
		if (strlen(mnemonics[i].name) == len && !strncmp(text, mnemonics[i].name, len))
			return &mnemonics[i];
	return NULL;
}

static const char *without_lock(const char *text)
{
	return starts(text, "lock ") ? text + 5 : text;
}

/* Bits of the first operand. */
static unsigned int width(const char *text)
{
	const char *operand = strchr(text, ' ');
	size_t len;

	if (!operand)
		return 32;
	len = strcspn(++operand, ",");
	if (starts(operand, "byte ptr"))
		return 8;
	if (starts(operand, "word ptr"))
		return 16;
	if (starts(operand, "qword ptr"))
		return 64;
	if (starts(operand, "dword ptr"))
		return 32;
	if (memchr(operand, '[', len))
		return 32;
	if (operand[0] == 'r' && operand[1] >= '0' && operand[1] <= '9')
		return operand[len - 1] == 'w' ? 16 : strchr("bl", operand[len - 1]) ? 8 :
		       operand[len - 1] == 'd' ? 32 : 64;
	if (operand[0] == 'e' || operand[0] == 'r')
		return operand[0] == 'e' ? 32 : 64;
	return strchr("lh", operand[len - 1]) ? 8 : 16;
}

/* By how much it shifts or rotates; @cl is what CL was. */
static unsigned int count_of(const char *text, uint8_t cl)
{
	const char *by = strrchr(text, ',');
	unsigned long count = 1;

	if (by && !strcmp(by, ", cl"))
		count = cl;
	else if (by)
		count = strtoul(by + 2, NULL, 0);
	return count & (width(text) == 64 ? 63 : 31);
}

/*
 * SDM vol. 2, SAL/SAR/SHL/SHR, SHLD, SHRD, RCL/RCR/ROL/ROR: a count of 0 leaves all flags as they
 * were; OF is defined for a count of 1; the others are (but AF) where the count is below the
 * operand's size, or not above that of SHLD and SHRD.
 */
static uint32_t of_shift(const char *text, uint32_t undefined, uint8_t cl)
{
	unsigned int count = count_of(text, cl);
	bool two = starts(text, "shld ") || starts(text, "shrd ");

	if (!count)
		return 0;
	if (count == 1)
		return undefined & AF;
	return count >= width(text) + two ? undefined : undefined & (OF | AF);
}

static bool shifts(const char *text)
{
	static const char *const names[] = {
		"rcl ", "rcr ", "rol ", "ror ", "sar ", "shl ", "shld ", "shr ", "shrd ",
	};

	return ANY(text, names);
}

uint32_t plex86_undefined_flags(const char *text, uint8_t cl)
{
	const struct mnemonic *m;

	text = without_lock(text);
	m = find(text);
	if (!m)
		return 0;
	return shifts(text) ? of_shift(text, m->undefined, cl) : m->undefined;
}

/* SIMD, opmasks and x87 write no flags, but for comparisons. */
static bool is_vector(const char *text)
{
	static const char *const comparing[] = {
		"popf", "ptest", "pcmpestr", "pcmpistr", "popcnt", "vptest ", "vpcmpestr",
		"vpcmpistr", "vtest", "vcomi", "vucomi", "vcomx", "vucomx", "verr", "verw", "fcomi", "fucomi", "comi",
		"ucomi", "cmpsb", "cmpsw", "cmpsq", "cmpsxadd", "scas", "kortest", "ktest",
	};
	size_t len = strcspn(text, " ");

	/* CMPSD is two instructions. */
	if (ANY(text, comparing) || (!strncmp(text, "cmpsd ", 6) && strncmp(text + 6, "xmm", 3)))
		return false;
	return strchr("pvfk", text[0]) ||
	       (len > 3 && strchr("sp", text[len - 2]) && strchr("sd", text[len - 1]));
}

/* Status flags that it leaves as they were, for certain or perhaps. */
static uint32_t kept_flags(const char *text, uint8_t cl)
{
	const struct mnemonic *m = find(text = without_lock(text));

	if (m)
		return shifts(text) && !count_of(text, cl) ? PLEX86_STATUS_FLAGS : m->kept;
	return is_vector(text) || ANY(text, neutral) ? PLEX86_STATUS_FLAGS : 0;
}

static bool text_at(const struct plex86_verify *v, uint64_t la, char *text, size_t len)
{
	uint8_t code[15 + 1] = { 0 };

	if (!plex86_verify_code(v, la, code, 15))
		return false;
	v->host->disassemble(&v->last, la, code, text, len);
	return true;
}

uint32_t plex86_excuse_flags(struct plex86_verify *v, uint32_t flags)
{
	uint64_t i, first = v->ntrace > PLEX86_VERIFY_TRACE ? v->ntrace - PLEX86_VERIFY_TRACE : 0;
	uint32_t open = flags, excused = 0;
	char text[128];

	/* Who wrote each of them last? */
	for (i = v->ntrace; i > first && open; i--) {
		const struct plex86_traced *t = &v->trace[(i - 1) & (PLEX86_VERIFY_TRACE - 1)];

		if (!text_at(v, t->la, text, sizeof(text)))
			break;
		excused |= open & plex86_undefined_flags(text, t->cl);
		open &= kept_flags(text, t->cl) & ~excused;
	}
	return excused;
}

static uint32_t kinds_of(const char *text)
{
	text = without_lock(text);
	if (ANY(text, approximations))
		return 1u << PLEX86_TOLERATED_APPROXIMATION;
	if (ANY(text, pointers))
		return 1u << PLEX86_TOLERATED_X87_POINTERS;
	if (starts(text, "rdrand") || starts(text, "rdseed"))
		return 1u << PLEX86_TOLERATED_RANDOM;
	return 0;
}

uint32_t plex86_excuse_kinds(struct plex86_verify *v)
{
	/* A loop is many times the same addresses: those looked at lately are skipped. */
	static uint64_t seen[4096];
	uint64_t i, first = v->ntrace > PLEX86_VERIFY_TRACE ? v->ntrace - PLEX86_VERIFY_TRACE : 0;
	uint32_t kinds = 0;
	char text[128];

	memset(seen, 0xff, sizeof(seen));
	for (i = first; i < v->ntrace; i++) {
		uint64_t la = v->trace[i & (PLEX86_VERIFY_TRACE - 1)].la;

		if (seen[la % 4096] == la)
			continue;
		seen[la % 4096] = la;
		if (text_at(v, la, text, sizeof(text)))
			kinds |= kinds_of(text);
	}
	return kinds;
}

bool plex86_excuse_popped(struct plex86_verify *v)
{
	if (!v->approximated)
		v->approximated = v->ntrace > PLEX86_VERIFY_TRACE ||
				  (plex86_excuse_kinds(v) & 1u << PLEX86_TOLERATED_APPROXIMATION);
	return v->approximated;
}

const char *plex86_tolerated_name(enum plex86_tolerated t)
{
	static const char *const names[] = {
		[PLEX86_TOLERATED_FLAGS] = "undefined-flags",
		[PLEX86_TOLERATED_X87_POINTERS] = "x87-pointers",
		[PLEX86_TOLERATED_TRAP] = "trapping-instruction",
		[PLEX86_TOLERATED_APPROXIMATION] = "approximations",
		[PLEX86_TOLERATED_RANDOM] = "random-numbers",
		[PLEX86_TOLERATED_HALF] = "fault-half-way",
	};

	return names[t];
}

const char *plex86_unverified_name(enum plex86_unverified u)
{
	static const char *const names[] = {
		[PLEX86_UNVERIFIED_STEP] = "single-step",
		[PLEX86_UNVERIFIED_EVENTS] = "events",
		[PLEX86_UNVERIFIED_INEXACT] = "inexact",
		[PLEX86_UNVERIFIED_RESET] = "reset",
	};

	return names[u];
}
