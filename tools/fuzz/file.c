/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Files of cases and records, in the order that the test kernel expects on its disk. */
#include <stdlib.h>
#include <string.h>

#include "fuzz.h"

#define SECTORS(n) (((uint32_t)(n) + FUZZ_SECTOR - 1) / FUZZ_SECTOR)

static void *sector(const struct case_file *f, uint32_t n)
{
	return f->bytes + (size_t)n * FUZZ_SECTOR;
}

/* Makes the parts that the head describes; contents are the caller's. */
static void lay_out(struct case_file *f)
{
	struct fuzz_head *h = &f->head;

	h->templates_at = 1;
	h->states_at = h->templates_at + SECTORS(FUZZ_TEMPLATES * FUZZ_PAGE);
	h->cases_at = h->states_at + SECTORS(h->states * FUZZ_STATE_SIZE);
	h->records_at = h->cases_at + SECTORS(h->cases * sizeof(struct fuzz_case)) + 1;
	f->size = ((size_t)h->records_at + h->cases * (h->record_size / FUZZ_SECTOR)) * FUZZ_SECTOR;
	f->bytes = calloc(1, f->size);
	if (!f->bytes) {
		fprintf(stderr, "fuzzer: out of memory\n");
		exit(2);
	}
	f->cases = sector(f, h->cases_at);
}

void file_begin(const struct maker *m, struct case_file *f, uint32_t block, uint32_t cases)
{
	make_head(m, &f->head);
	f->head.cases = cases;
	lay_out(f);
	for (uint32_t i = 0; i < FUZZ_TEMPLATES; i++)
		make_template(m, block, i, (uint8_t *)sector(f, f->head.templates_at) + i * FUZZ_PAGE);
	for (uint32_t i = 0; i < f->head.states; i++)
		make_state(m, block, i, (uint8_t *)sector(f, f->head.states_at) + i * FUZZ_STATE_SIZE);
}

/* The same memory and states for other cases. */
void file_like(const struct case_file *f, struct case_file *out, uint32_t cases)
{
	out->head = f->head;
	out->head.cases = cases;
	lay_out(out);
	memcpy(sector(out, 1), sector(f, 1), (size_t)(f->head.cases_at - 1) * FUZZ_SECTOR);
}

/* The same memory, and a state for each case. */
void file_own_states(const struct case_file *f, struct case_file *out, uint32_t cases)
{
	out->head = f->head;
	out->head.cases = out->head.states = cases;
	out->head.own_states = 1;
	lay_out(out);
	memcpy(sector(out, 1), sector(f, 1), FUZZ_TEMPLATES * FUZZ_PAGE);
}

bool file_write(const struct case_file *f, const char *path)
{
	FILE *to = fopen(path, "wb");
	bool ok;

	memcpy(f->bytes, &f->head, sizeof(f->head));
	ok = to && fwrite(f->bytes, 1, f->size, to) == f->size;
	if (to && fclose(to))
		ok = false;
	if (!ok)
		perror(path);
	return ok;
}

bool file_read(struct case_file *f, const char *path)
{
	FILE *from = fopen(path, "rb");
	bool ok = from && fread(&f->head, 1, sizeof(f->head), from) == sizeof(f->head) &&
		  !memcmp(f->head.magic, FUZZ_MAGIC, 8) &&
		  f->head.states <= (f->head.own_states ? f->head.cases : FUZZ_STATES_MAX) &&
		  f->head.cases <= 1u << 24 &&
		  (f->head.record_size == FUZZ_RECORD || f->head.record_size == FUZZ_RECORD_512);

	if (ok) {
		lay_out(f);
		rewind(from);
		ok = fread(f->bytes, 1, f->size, from) == f->size;
	}
	if (from)
		fclose(from);
	if (!ok)
		fprintf(stderr, "fuzzer: %s is no complete file of cases\n", path);
	return ok;
}

const struct fuzz_record *file_record(const struct case_file *f, uint32_t n)
{
	return (const void *)(f->bytes + (size_t)f->head.records_at * FUZZ_SECTOR +
			      (size_t)n * f->head.record_size);
}

const uint8_t *file_state(const struct case_file *f, uint32_t n)
{
	return (uint8_t *)sector(f, f->head.states_at) + (size_t)(n % f->head.states) * FUZZ_STATE_SIZE;
}
