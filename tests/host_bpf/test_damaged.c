// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * The BPF walker over recordings with pages taken away or overwritten: it must end, within its
 * limits, and never claim what is not there. Sanitizers see what goes beyond a buffer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "host_bpf/env.c"
#include "host_bpf/recording.c"
#include "host_bpf/walker.c"
#include "host_bpf/fixture.c"

#define MUTATIONS 150 /* for each recording and kind */

static uint64_t random_state = 88172645463325252;

/* xorshift64: the same numbers on every run. */
static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static bool is_frame_of(const struct recorded_thread *thread, const char *text)
{
	for (unsigned i = 0; i < thread->n_frames; i++)
		if (!strcmp(thread->frames[i], text))
			return true;
	for (unsigned i = 0; i < thread->n_outer; i++)
		if (!strcmp(thread->outer[i], text))
			return true;
	return false;
}

/* In 3.12 the list alone may take a sub-interpreter's thread for its creator's: see test_walk.c. */
static bool is_true(const struct recording *recording, const struct recorded_thread *thread,
		    const char *text)
{
	bool any = is_frame_of(thread, text);

	for (unsigned i = 0; i < recording->n_threads && recording->layout.version_minor == 12; i++)
		any |= is_frame_of(&recording->threads[i], text);
	return any;
}

/* Where memory is missing, names and lines may be unknown, but what is said is true. */
static void test_each_page_missing(void **state)
{
	unsigned complete = 0, failed = 0, unnamed = 0;
	char text[RECORDING_FRAME_LENGTH];

	for (unsigned i = 0; i < n_recordings; i++) {
		struct recording *recording = &recordings[i];

		for (unsigned p = 0; p < recording->n_pages * recording->n_threads; p++) {
			struct recorded_page *page = &recording->pages[p / recording->n_threads];
			const struct recorded_thread *thread =
				&recording->threads[p % recording->n_threads];

			page->missing = true;
			sample(recording, thread->tp, WAYS_ALL);
			page->missing = false;
			if (walked.status != KB_WALK_OK || walked.code_status != KB_CODE_OK) {
				assert_int_not_equal(walked.code_status, KB_CODE_RING_FULL);
				failed++;
				continue;
			}
			complete++;
			for (unsigned f = 0; f < walked.n; f++) {
				const struct walked_code *code = walked.frames[f].code;

				if (!code || code->flags & KB_CODE_INCOMPLETE ||
				    !walked.frames[f].line) {
					unnamed++;
					continue;
				}
				assert_true(walker__format(&walked.frames[f], text, sizeof(text)));
				if (!is_true(recording, thread, text))
					fail_msg("%s %s without page %llx: %s",
						 recording->interpreter, thread->name,
						 (unsigned long long)page->address, text);
			}
		}
	}
	print_message("%u stacks, %u frames without name or line in them, %u failures\n", complete,
		      unnamed, failed);
	assert_true(complete && failed && unnamed);
}

/* What pointers and counts are replaced with: nothing, edges, the page itself, noise. */
static uint64_t hostile_word(const struct recorded_page *page)
{
	static const uint64_t edges[] = {
		0, 1, 7, -1, -8, -4096, INT64_MAX, INT64_MIN, UINT32_MAX, 0xfffff000, 1 << 20,
	};

	switch (next_random() % 3) {
	case 0:
		return edges[next_random() % COUNT(edges)];
	case 1:
		return page->address + next_random() % RECORDING_PAGE;
	default:
		return next_random() >> next_random() % 64;
	}
}

static void damage(struct recorded_page *page, unsigned kind)
{
	uint64_t word = hostile_word(page);

	switch (kind) {
	case 0: /* a word */
		memcpy(page->bytes + next_random() % (RECORDING_PAGE / 8) * 8, &word, 8);
		break;
	case 1: /* a byte */
		page->bytes[next_random() % RECORDING_PAGE] ^= 1 << next_random() % 8;
		break;
	case 2: /* noise */
		for (int i = 0; i < RECORDING_PAGE; i++)
			page->bytes[i] = next_random();
		break;
	default: /* every word: a pointer into the page, a page of lists that end in themselves */
		for (int i = 0; i < RECORDING_PAGE; i += 8) {
			word = page->address + next_random() % RECORDING_PAGE / 8 * 8;
			memcpy(page->bytes + i, &word, 8);
		}
	}
}

static void test_damaged_pages(void **state)
{
	struct recorded_page saved;
	unsigned statuses[KB_WALK_NO_FRAME + 1] = { 0 };

	for (unsigned i = 0; i < n_recordings; i++) {
		struct recording *recording = &recordings[i];

		for (unsigned n = 0; n < 4 * MUTATIONS; n++) {
			struct recorded_page *page =
				&recording->pages[next_random() % recording->n_pages];

			saved = *page;
			damage(page, n % 4);
			sample(recording, recording->threads[n / 4 % recording->n_threads].tp,
			       WAYS_ALL);
			*page = saved;
			statuses[walked.status]++;
		}
	}
	for (unsigned status = 0; status <= KB_WALK_NO_FRAME; status++)
		print_message("status %u: %u times\n", status, statuses[status]);
	assert_true(statuses[KB_WALK_OK] && statuses[KB_WALK_FRAME_UNREADABLE]);
}

/* All pages at once: nothing of it is an interpreter any more. */
static void test_noise(void **state)
{
	for (unsigned i = 0; i < n_recordings; i++) {
		struct recording *recording = &recordings[i];

		for (unsigned t = 0; t < recording->n_threads; t++) {
			for (unsigned p = 0; p < recording->n_pages; p++)
				damage(&recording->pages[p], 3 - t % 2);
			sample(recording, recording->threads[t].tp, WAYS_ALL);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_page_missing), cmocka_unit_test(test_damaged_pages),
		cmocka_unit_test(test_noise), /* leaves nothing whole behind */
	};

	return run_with_each_loop(tests);
}
