/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * plugin/verify_excuse.c: who wrote a flag last, and did the manual say what?  An
 * excuse too many hides a bug, one too few stops a guest that did nothing wrong.
 */
#include <stdlib.h>
#include <string.h>

#include "plugin/core_internal.h"
#include "vm.h"

#define CODE	UINT64_C(0x400000)
#define CF	0x001u
#define PF	0x004u
#define AF	0x010u
#define ZF	0x040u
#define SF	0x080u
#define OF	0x800u
#define ALL	(CF | PF | AF | ZF | SF | OF)

static struct tables t;
static const char *const *program;

static const char *text_at(uint64_t la)
{
	return program[la - CODE];
}

static void begin(void)
{
	vm_init(31);
	tables_init(&t, PAGING_LONG);
	tables_map(&t, CODE, frame_alloc(), P_USER & ~P_W);
	vm.tables = &t;
	vm.bare = vm.verify = true;
	vm.case_file = "verify-excuse.case";
	vm.ticks_left = 1000;
	vm.cpu.rip = CODE;
	vm_core(2, false);
	vm_do(ACT_READ, CODE);
	vm.disassemble = text_at;
}

static uint8_t cl;

/* As if Bochs had executed these, with .cl in CL. */
static struct plex86_verify *executed(const char *const *texts)
{
	struct plex86_verify *v = vm.core->verify;

	program = texts;
	for (v->ntrace = 0; texts[v->ntrace]; v->ntrace++)
		v->trace[v->ntrace] = (struct plex86_traced){ CODE + v->ntrace, cl };
	return v;
}
#define EXECUTED(...) executed((const char *const []){ __VA_ARGS__, NULL })

static void one_instruction(void)
{
	static const struct { const char *text; uint32_t undefined; uint8_t cl; } cases[] = {
		{ "add eax, ebx", 0, 0 },
		{ "cmp eax, ebx", 0, 0 },
		{ "and eax, ebx", AF, 0 },
		{ "lock and dword ptr ds:[rax], ebx", AF, 0 },
		{ "imul eax, ebx", SF | ZF | AF | PF, 0 },
		{ "mul ebx", SF | ZF | AF | PF, 0 },
		{ "idiv ebx", ALL, 0 },
		{ "bsf eax, ebx", ALL & ~ZF, 0 },
		{ "bt eax, ebx", OF | SF | AF | PF, 0 },
		{ "aam 0x0a", OF | AF | CF, 0 },
		{ "tzcnt rax, rbx", OF | SF | PF | AF, 0 },
		{ "shl eax, 1", AF, 0 },
		{ "shl eax, 0x01", AF, 0 },
		{ "shl eax, 0x04", OF | AF, 0 },
		{ "shr r10, cl", OF | AF, 63 },
		{ "shr r10d, cl", OF | AF, 31 },
		{ "shr r10b, cl", OF | AF | CF, 8 },
		{ "shl al, cl", OF | AF | CF, 31 },
		{ "shl al, cl", OF | AF, 7 },
		{ "shl al, cl", AF, 1 },
		{ "shl al, cl", AF, 0x21 },
		{ "shl al, cl", 0, 0x20 },
		{ "shl rax, cl", OF | AF, 0x20 },
		{ "shl eax, 0x20", 0, 0 },
		{ "shl eax, 0x21", AF, 0 },
		{ "rol qword ptr ds:[rax], 0x21", OF, 0 },
		{ "shr rax, 0x21", OF | AF, 0 },
		{ "shl ah, 0x07", OF | AF, 0 },
		{ "shl al, 0x08", OF | AF | CF, 0 },
		{ "shl r9b, 0x27", OF | AF, 0 },
		{ "shl byte ptr ds:[rax], 0x09", OF | AF | CF, 0 },
		{ "shl ax, 0x0f", OF | AF, 0 },
		{ "shr r9w, 0x10", OF | AF | CF, 0 },
		{ "shld ax, bx, 0x05", OF | AF, 0 },
		{ "shld word ptr ds:[rax], bx, 0x11", ALL, 0 },
		{ "rol bl, 0x0a", OF, 0 },
		{ "shl spl, cl", OF | AF | CF, 9 },
		{ "shl word ptr ds:[rax], cl", OF | AF | CF, 16 },
		{ "shl dword ptr ds:[rax], cl", OF | AF, 5 },
		{ "shl dword ptr ds:0x0804a010, 0x10", OF | AF, 0 },
		{ "sar ax, cl", OF | AF, 5 },
		{ "rol eax, 0x05", OF, 0 },
		{ "rcr eax, 1", 0, 0 },
		{ "shld eax, ebx, 0x01", AF, 0 },
		{ "shld eax, ebx, 0x05", OF | AF, 0 },
		{ "shrd ax, bx, cl", ALL, 17 },
		{ "shrd ax, bx, cl", OF | AF, 16 },
		{ "andn eax, ebx, ecx", AF | PF, 0 },
		{ "android", 0, 0 },
	};
	unsigned int i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		is(plex86_undefined_flags(cases[i].text, cases[i].cl), cases[i].undefined, cases[i].text);
}

static void who_wrote_it(void)
{
	is(plex86_excuse_flags(EXECUTED("imul eax, ebx"), ALL), SF | ZF | AF | PF, "just now");
	is(plex86_excuse_flags(EXECUTED("imul eax, ebx"), ZF), ZF, "only what was asked for");
	is(plex86_excuse_flags(EXECUTED("imul eax, ebx", "mov eax, ecx", "jz .+5", "push rax",
					"movaps xmm0, xmm1", "fld st0"), ZF), ZF,
	   "what comes behind touches no flag");
	is(plex86_excuse_flags(EXECUTED("imul eax, ebx", "add eax, ebx"), ALL), 0,
	   "until a flag is written");
	is(plex86_excuse_flags(EXECUTED("imul eax, ebx", "inc eax"), ALL), 0, "or all but one");
	is(plex86_excuse_flags(EXECUTED("div ebx", "inc eax"), ALL), CF, "which is kept");
	is(plex86_excuse_flags(EXECUTED("div ebx", "rol eax, 1"), ALL), SF | ZF | AF | PF,
	   "a rotation keeps four");
	is(plex86_excuse_flags(EXECUTED("div ebx", "shl eax, cl"), ALL), ALL,
	   "a shift by CL keeps all, if CL is 0");
	is(plex86_excuse_flags(EXECUTED("div ebx", "shl eax, 0x02"), ALL), OF | AF, "and by 2 none");
	is(plex86_excuse_flags(EXECUTED("div ebx", "popf"), ALL), 0, "POPF writes all");
	is(plex86_excuse_flags(EXECUTED("div ebx", "popcnt eax, ebx"), ALL), 0, "and so does POPCNT");
	is(plex86_excuse_flags(EXECUTED("div ebx", "ucomiss xmm0, xmm1"), ALL), 0, "and UCOMISS");
	is(plex86_excuse_flags(EXECUTED("div ebx", "pcmpistri xmm0, xmm1, 0x0c"), ALL), 0,
	   "and PCMPISTRI");
	is(plex86_excuse_flags(EXECUTED("div ebx", "pcmpeqd xmm0, xmm0", "vpcmpgtb ymm0, ymm1, ymm2",
					"vmovdqa ymm0, ymm1"), ALL), ALL,
	   "packed comparisons and moves write none");
	is(plex86_excuse_flags(EXECUTED("bzhi ecx, ecx, edx", "kmovd k1, ecx", "kandw k1, k2, k3"), ALL),
	   AF | PF, "nor do moves of opmasks");
	is(plex86_excuse_flags(EXECUTED("div ebx", "kortestd k1, k1"), ALL), 0, "but KORTEST does");
	is(plex86_excuse_flags(EXECUTED("div ebx", "ktestb k1, k1"), ALL), 0, "and KTEST");
	is(plex86_excuse_flags(EXECUTED("div ebx", "cmpsd xmm0, xmm1, 0x01", "cmpss xmm0, xmm1, 0x01"),
			       ALL), ALL, "nor do CMPSS and CMPSD of XMM registers");
	is(plex86_excuse_flags(EXECUTED("div ebx", "cmpsd dword ptr ds:[rsi], dword ptr es:[rdi]"), ALL),
	   0, "but CMPSD of strings does");
	is(plex86_excuse_flags(EXECUTED("div ebx", "cvttsd2si eax, xmm0", "crc32 eax, ebx", "loop .-5",
					"cld", "xlat", "emms", "aesenc xmm0, xmm1", "sha256rnds2 xmm0, xmm1",
					"lddqu xmm0, xmmword ptr ds:[rsi]", "stmxcsr dword ptr ds:[rsi]",
					"clflush byte ptr ds:[rsi]", "wrfsbase rax", "lahf"), ALL), ALL,
	   "nor do others that only look like it");
	is(plex86_excuse_flags(EXECUTED("div ebx", "stc", "adox eax, ecx", "cmpxchg8b qword ptr ds:[rsi]"),
			       ALL), SF | AF | PF, "each of these writes one");
	is(plex86_excuse_flags(EXECUTED("div ebx", "sahf"), ALL), OF, "and SAHF all but one");
	is(plex86_excuse_flags(EXECUTED("div ebx", "shl eax, 0x02", "sha1msg1 xmm0, xmm1"), ALL), OF | AF,
	   "a shift is no SHA");
	is(plex86_excuse_flags(EXECUTED("div ebx", "something new"), ALL), 0,
	   "what is not known writes all");
	is(plex86_excuse_flags(EXECUTED("mov eax, ebx"), ALL), 0, "before the slice: not excused");
}

static void kinds(void)
{
	is(plex86_excuse_kinds(EXECUTED("mov eax, ebx", "mulps xmm0, xmm1", "push rax")), 0,
	   "exact instructions");
	is(plex86_excuse_kinds(EXECUTED("rcpps xmm0, xmm1", "mov eax, ebx")),
	   1u << PLEX86_TOLERATED_APPROXIMATION, "an approximation");
	is(plex86_excuse_kinds(EXECUTED("fsin")), 1u << PLEX86_TOLERATED_APPROXIMATION, "FSIN");
	is(plex86_excuse_kinds(EXECUTED("rdseed rax", "rdrand rcx")), 1u << PLEX86_TOLERATED_RANDOM,
	   "random numbers");
	is(plex86_excuse_kinds(EXECUTED("fnstenv ss:[rsp]")), 1u << PLEX86_TOLERATED_X87_POINTERS,
	   "stored x87 pointers");
	engine.caps.flags &= ~PLEX86_CAP_SELECTORS;
	is(plex86_excuse_kinds(EXECUTED("mov ax, ds", "sgdt ds:[rax]", "callf ds:0x10100000")), 0,
	   "what would show the host's tables is Bochs's");
	engine.caps.flags |= PLEX86_CAP_SELECTORS;
}

/* A long replay is a ring: only what is in it is looked at. */
static void long_trace(void)
{
	static const char *const texts[] = { "mov eax, ebx", "div ebx", NULL };
	struct plex86_verify *v = executed(texts);
	uint64_t i;

	for (i = 0; i < PLEX86_VERIFY_TRACE; i++)
		v->trace[i].la = CODE;
	v->trace[4].la = CODE + 1;
	v->ntrace = PLEX86_VERIFY_TRACE + 5;
	is(plex86_excuse_flags(v, ZF), ZF, "the newest wraps round");
	v->trace[4].la = CODE;
	v->trace[5].la = CODE + 1;
	is(plex86_excuse_flags(v, ZF), ZF, "so does the oldest");
	v->trace[5].la = CODE;
	is(plex86_excuse_flags(v, ZF), 0, "none");
}

static void names(void)
{
	unsigned int i, good = 0;

	for (i = 0; i < PLEX86_TOLERATED; i++)
		good += plex86_tolerated_name(i) && plex86_tolerated_name(i)[0];
	for (i = 0; i < PLEX86_UNVERIFIED; i++)
		good += plex86_unverified_name(i) && plex86_unverified_name(i)[0];
	is(good, PLEX86_TOLERATED + PLEX86_UNVERIFIED, "each has a name");
}

int main(void)
{
	begin();
	one_instruction();
	who_wrote_it();
	kinds();
	long_trace();
	names();
	vm_close();
	ok(vm_is_clean());
	return tap_done();
}
