/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The log: port 0xE9 (Bochs's port_e9_hack, QEMU's debugcon).  The text of a
 * test can be kept aside, so that two runs of it can be compared in place.
 */
#include <stdarg.h>
#include "tk.h"

#define PORT_LOG	0xe9
#define PORT_SHUTDOWN	0x8900		/* Bochs */
#define PORT_QEMU_EXIT	0xf4		/* isa-debug-exit */
#define TEXT_MAX	(64 * 1024)

u32 wrong, checks;

static char kept[2][TEXT_MAX];
static u32 kept_len[2];
static int keep_in = -1;
static bool quiet;

static void put(char c)
{
	if (quiet)
		return;
	if (keep_in < 0) {
		outb(PORT_LOG, c);
	} else if (kept_len[keep_in] < TEXT_MAX) {
		kept[keep_in][kept_len[keep_in]++] = c;
	}
}

static void put_hex(u64 v, int digits)
{
	for (int i = digits - 1; i >= 0; i--)
		put("0123456789abcdef"[v >> (4 * i) & 15]);
}

static int hex_digits(u64 v)
{
	int n = 1;

	while (v >>= 4)
		n++;
	return n;
}

static void put_uint(u32 v)
{
	char buf[10];
	int n = 0;

	do {
		buf[n++] = '0' + v % 10;
		v /= 10;
	} while (v);
	while (n)
		put(buf[--n]);
}

static void vsay(const char *fmt, va_list ap)
{
	for (; *fmt; fmt++) {
		if (*fmt != '%') {
			put(*fmt);
			continue;
		}
		switch (*++fmt) {
		case 's':
			for (const char *s = va_arg(ap, const char *); *s; s++)
				put(*s);
			break;
		case 'x': {
			u32 v = va_arg(ap, u32);

			put_hex(v, hex_digits(v));
			break;
		}
		case 'h':
			put_hex(va_arg(ap, u32), 8);
			break;
		case 'X': {
			u64 v = va_arg(ap, u64);

			put_hex(v, hex_digits(v));
			break;
		}
		case 'u':
			put_uint(va_arg(ap, u32));
			break;
		case 'c':
			put(va_arg(ap, int));
			break;
		default:
			put(*fmt);
		}
	}
}

void say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
}

void log_quiet(bool on)
{
	quiet = on;
}

void keep_start(int which)
{
	keep_in = which;
	kept_len[which] = 0;
}

void keep_stop(void)
{
	if (keep_in >= 0 && kept_len[keep_in] == TEXT_MAX)
		panic("the text of one test does not fit its buffer\n");
	keep_in = -1;
}

bool kept_same(void)
{
	return kept_len[0] == kept_len[1] && !memcmp(kept[0], kept[1], kept_len[0]);
}

void kept_print(int which)
{
	for (u32 i = 0; i < kept_len[which]; i++)
		outb(PORT_LOG, kept[which][i]);
}

void finish(void)
{
	for (const char *s = "Shutdown"; *s; s++)
		outb(PORT_SHUTDOWN, *s);
	outb(PORT_QEMU_EXIT, 0);
	for (;;)
		__asm__ volatile("cli; hlt");
}

void panic(const char *fmt, ...)
{
	va_list ap;

	if (keep_in >= 0) {		/* what the test said until here is worth seeing */
		int which = keep_in;

		keep_in = -1;
		kept_print(which);
	}
	quiet = false;
	say("TK-PANIC ");
	va_start(ap, fmt);
	vsay(fmt, ap);
	va_end(ap);
	finish();
}

u32 fnv(u32 h, const void *p, u32 n)
{
	const u8 *b = p;

	while (n--)
		h = (h ^ *b++) * 0x01000193u;
	return h;
}

void *memset(void *p, int c, size_t n)
{
	void *to = p;

	__asm__ volatile("rep stosb" : "+D"(to), "+c"(n) : "a"(c) : "memory");
	return p;
}

void *memcpy(void *to, const void *from, size_t n)
{
	void *d = to;

	__asm__ volatile("rep movsb" : "+D"(d), "+S"(from), "+c"(n) : : "memory");
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *p = a, *q = b;

	for (; n--; p++, q++)
		if (*p != *q)
			return *p - *q;
	return 0;
}
