/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Prints a difference: how to make the case again, its code, and both states. */
#include <string.h>

#include "table.h"

#define FX_ST	32
#define FX_XMM	160

static const char *const gpr_name[] = {
	"ax", "cx", "dx", "bx", "sp", "bp", "si", "di",
	"r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
};

static void hex(FILE *to, const uint8_t *p, int n)
{
	while (n--)
		fprintf(to, "%02x", p[n]);
}

static void code(FILE *to, const struct narrowed *n, const struct kind *k)
{
	const struct fuzz_case *c = n->c;
	ZydisFormatter fmt;
	ZydisDecoder d;
	uint8_t at = 0;

	decoder_init(&d, k);
	ZydisFormatterInit(&fmt, ZYDIS_FORMATTER_STYLE_ATT);
	while (at < c->len) {
		ZydisDecodedOperand op[ZYDIS_MAX_OPERAND_COUNT];
		ZydisDecodedInstruction i;
		char text[128] = "(not an instruction)";
		int len = 1;

		if (ZYAN_SUCCESS(ZydisDecoderDecodeFull(&d, c->code + at, c->len - at, &i, op))) {
			len = i.length;
			ZydisFormatterFormatInstruction(&fmt, &i, op, i.operand_count_visible, text,
							sizeof(text),
							FUZZ_CODE + c->slot * FUZZ_SLOT + at, NULL);
		}
		fprintf(to, " %c %2x ", at == n->insn_at ? '>' : ' ', at);
		for (int j = 0; j < len; j++)
			fprintf(to, " %02x", c->code[at + j]);
		fprintf(to, "%*s %s\n", 3 * (12 - (len < 12 ? len : 12)), "", text);
		at += len;
	}
}

static void pair(FILE *to, const char *name, uint64_t was, uint64_t a, uint64_t b)
{
	fprintf(to, "   %-8s %16llx -> plain %16llx native %16llx\n", name,
		(unsigned long long)was, (unsigned long long)a, (unsigned long long)b);
}

static void wide(FILE *to, const char *name, int i, const uint8_t *a, const uint8_t *b, int n)
{
	fprintf(to, "   %s%-2d plain  ", name, i);
	hex(to, a, n);
	fprintf(to, "\n   %*s native ", (int)strlen(name) + 2, "");
	hex(to, b, n);
	fprintf(to, "\n");
}

static uint64_t word(const uint8_t *fx, int at, int n)
{
	uint64_t v = 0;

	memcpy(&v, fx + at, n);
	return v;
}

static void vectors(FILE *to, const struct narrowed *n)
{
	const struct fuzz_record *a = n->a, *b = n->b;
	const uint8_t *x = (const uint8_t *)a, *y = (const uint8_t *)b;

	for (int i = 0; i < 8; i++)
		if (n->diff.st & 1u << i)
			wide(to, "st", i, a->fx + FX_ST + 16 * i, b->fx + FX_ST + 16 * i, 10);
	for (int i = 0; i < 16; i++) {
		if (!(n->diff.vec & 1u << i))
			continue;
		wide(to, "xmm", i, a->fx + FX_XMM + 16 * i, b->fx + FX_XMM + 16 * i, 16);
		if (memcmp(a->ymm_high + 16 * i, b->ymm_high + 16 * i, 16))
			wide(to, "ymm", i, a->ymm_high + 16 * i, b->ymm_high + 16 * i, 16);
		if (n->avx512 && memcmp(x + FUZZ_ZMM_HIGH + 32 * i, y + FUZZ_ZMM_HIGH + 32 * i, 32))
			wide(to, "zmm", i, x + FUZZ_ZMM_HIGH + 32 * i, y + FUZZ_ZMM_HIGH + 32 * i, 32);
	}
	for (int i = 0; i < 16; i++)
		if (n->diff.vec & 1u << (16 + i))
			wide(to, "zmm", 16 + i, x + FUZZ_ZMM_16 + 64 * i, y + FUZZ_ZMM_16 + 64 * i, 64);
	for (int i = 0; i < 8; i++)
		if (n->diff.opmask & 1u << i)
			wide(to, "k", i, x + FUZZ_OPMASK + 8 * i, y + FUZZ_OPMASK + 8 * i, 8);
}

static void memory(FILE *to, const char *who, const struct fuzz_record *r)
{
	fprintf(to, "   memory, %s: %u words changed", who, r->changes);
	for (uint32_t i = 0; i < r->changes && i < FUZZ_CHANGES; i++)
		fprintf(to, " [%x]=%016llx", r->changed_at[i] * 8,
			(unsigned long long)r->changed[i].value);
	fprintf(to, "\n");
}

static void registers(FILE *to, const struct narrowed *n)
{
	const struct fuzz_record *a = n->a, *b = n->b, *w = n->before;
	const struct diff *d = &n->diff;

	fprintf(to, "   before: flags %llx",
		(unsigned long long)(w ? w->rflags : n->c->rflags));
	for (int i = 0; i < 16; i++)
		fprintf(to, " %s=%llx", gpr_name[i],
			(unsigned long long)(w ? w->gpr[i] : n->c->gpr[i]));
	fprintf(to, "\n");
	for (int i = 0; i < 16; i++)
		if (d->gpr & 1u << i)
			pair(to, gpr_name[i], w ? w->gpr[i] : n->c->gpr[i], a->gpr[i], b->gpr[i]);
	if (d->flags)
		pair(to, "flags", w ? w->rflags : n->c->rflags, a->rflags, b->rflags);
	if (d->fcw)
		pair(to, "fcw", w ? word(w->fx, 0, 2) : 0, word(a->fx, 0, 2), word(b->fx, 0, 2));
	if (d->fsw)
		pair(to, "fsw", w ? word(w->fx, 2, 2) : 0, word(a->fx, 2, 2), word(b->fx, 2, 2));
	if (d->ftw)
		pair(to, "ftw", w ? word(w->fx, 4, 1) : 0, word(a->fx, 4, 1), word(b->fx, 4, 1));
	if (d->mxcsr)
		pair(to, "mxcsr", w ? word(w->fx, 24, 4) : 0, word(a->fx, 24, 4), word(b->fx, 24, 4));
	for (int i = 0; i < 6; i++)
		if (a->sel[i] != b->sel[i])
			pair(to, (const char *[]){ "es", "cs", "ss", "ds", "fs", "gs" }[i], 0, a->sel[i],
			     b->sel[i]);
	if (d->bases) {
		pair(to, "fs_base", 0, a->fs_base, b->fs_base);
		pair(to, "gs_base", 0, a->gs_base, b->gs_base);
	}
}

/* Where the third executor did not do as the second, and how (third.c). */
static void third(FILE *to, const struct narrowed *n, const struct kind *k)
{
	static const char *const name[3] = { "alone", "then Bochs", "whole" };

	for (int i = 0; i < 3; i++) {
		const struct fuzz_record *r = n->third[i];
		struct narrowed m = *n;

		if (!r || compare(r, n->b, k->avx512, &m.diff))
			continue;
		m.a = r;
		fprintf(to, "   third, %s: vector %u error %x at %llx, is not as native in", name[i],
			r->vector, r->error, (unsigned long long)r->ip);
		fields_print(to, &m);
		fprintf(to, "\n");
	}
}

static const char *kind_name(const struct kind *k)
{
	if (k->code16)
		return k->kernel64 ? "compat16" : "code16";
	return k->code32 ? k->kernel64 ? "compat" : "code32" : "code64";
}

void show(FILE *to, const struct narrowed *n, const struct kind *k, uint64_t seed)
{
	const struct fuzz_record *a = n->a, *b = n->b;

	fprintf(to, "case %u of seed %llu, %s%s, state %u, record %u%s\n", n->origin->id,
		(unsigned long long)seed, kind_name(k),
		k->bytes ? ", random bytes" : "", n->c->state, n->record,
		n->vanished ? ": does not differ when it is run again" : "");
	code(to, n, k);
	fprintf(to, "   %s differs in",
		n->decoded ? ZydisMnemonicGetString(n->insn.mnemonic) : "undecodable");
	fields_print(to, n);
	fprintf(to, "\n");
	if (n->diff.outcome || n->diff.error || n->diff.cr2 || n->diff.dr6) {
		fprintf(to, "   plain:  vector %u error %x at %llx cr2=%llx dr6=%x\n", a->vector, a->error,
			(unsigned long long)a->ip, (unsigned long long)a->cr2, a->dr6);
		fprintf(to, "   native: vector %u error %x at %llx cr2=%llx dr6=%x\n", b->vector, b->error,
			(unsigned long long)b->ip, (unsigned long long)b->cr2, b->dr6);
	}
	third(to, n, k);
	registers(to, n);
	vectors(to, n);
	if (n->diff.memory) {
		memory(to, "plain", a);
		memory(to, "native", b);
	}
}
