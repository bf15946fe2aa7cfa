/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What an executor does not survive.  On the emulated host cases run on QEMU's CPU, and there
 * are instructions that QEMU 7.2 dies of: a "tcg fatal error", a failed assertion, a call of
 * address 0; or that do to the host what no CPU does.  For runs there each becomes something
 * else of the same length, wherever it may begin.
 */
#include <string.h>

#include "fuzz.h"

enum { VEX_L = 4, VEX_PP = 3, PP_66 = 1 };

/* BT, BTS, BTR, BTC with LOCK and a register operand: @code from behind the LOCK on. */
static bool locked_bit(const uint8_t *code, uint32_t len)
{
	static const char prefixes[] = "\x26\x2e\x36\x3e\x64\x65\x66\x67\xf0\xf2\xf3";
	static const char opcodes[] = "\xa3\xab\xb3\xba\xbb";
	uint32_t at = 0;

	while (at < len && (memchr(prefixes, code[at], sizeof(prefixes) - 1) ||
			    (code[at] & 0xf0) == 0x40))
		at++;
	return at + 2 < len && code[at] == 0x0f && code[at + 2] >= 0xc0 &&
	       memchr(opcodes, code[at + 1], sizeof(opcodes) - 1);
}

/* @last: the byte of the VEX prefix with L and pp. */
static void vex(uint8_t map, uint8_t *last, uint8_t opcode)
{
	bool insert = (map == 3 && ((opcode >= 0x14 && opcode <= 0x17) ||
				    (opcode >= 0x20 && opcode <= 0x22))) ||
		      (map == 1 && (opcode == 0xc4 || opcode == 0xc5));

	/* VPINSR*, VPEXTR*, VEXTRACTPS, VROUNDSS, VROUNDSD */
	if (insert || (map == 3 && (opcode == 0x0a || opcode == 0x0b)))
		*last &= ~VEX_L;
	/* Maps 2 and 3 have nothing without the prefix but integer instructions, from F0 on. */
	if (insert || ((map == 2 || map == 3) && opcode < 0xf0))
		*last = (*last & ~VEX_PP) | PP_66;
}

static bool may_be_mmx(uint8_t opcode)
{
	return (opcode >= 0x60 && opcode <= 0x7f) || opcode == 0xc4 || opcode == 0xc5 || opcode >= 0xd0 ||
	       opcode == 0x38 || opcode == 0x3a || opcode == 0x2a || opcode == 0x2c || opcode == 0x2d;
}

void spare_qemu(uint8_t *code, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		uint8_t *p = code + i;
		uint32_t left = len - i;

		if (p[0] == 0xf0 && locked_bit(p + 1, left - 1))
			p[0] = 0x3e;
		if (left > 3 && p[0] == 0xc4)
			vex(p[1] & 0x1f, p + 2, p[3]);
		if (left > 2 && p[0] == 0xc5)
			vex(1, p + 1, p[2]);
		/* VPERMILPS and its neighbours, without VEX */
		if (left > 2 && p[0] == 0x0f && p[1] == 0x38 && (p[2] & 0xfc) == 0x0c)
			p[2] &= 3;
		/* ADCX, ADOX: the flags that come out are any 32 bits, with NT, TF, AC and IOPL */
		if (left > 2 && p[0] == 0x0f && p[1] == 0x38 && p[2] == 0xf6)
			p[2] = 0;
		/* Not death: with REX.R or REX.B it takes MMX registers 8 to 15, other parts of its state */
		if (left > 2 && (p[0] & 0xf0) == 0x40 && p[1] == 0x0f && may_be_mmx(p[2]) &&
		    !(i && memchr("\x66\xf2\xf3", p[-1], 3)))
			p[0] &= ~5;
		/* IRET of ring 3 goes where no CPU would, into the test kernel: INTO, or an operand */
		if (p[0] == 0xcf)
			p[0] = 0xce;
	}
}
