// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * The BPF walker over recorded memory of every supported version: what it finds must be what the
 * interpreters said of themselves. Run in the directory of the Makefile.
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

static struct recorded_thread *thread_named(struct recording *recording, const char *name)
{
	for (unsigned i = 0; i < recording->n_threads; i++)
		if (!strcmp(recording->threads[i].name, name))
			return &recording->threads[i];
	return NULL;
}

static bool is_sub(const struct recorded_thread *thread)
{
	return !strcmp(thread->name, "sub");
}

/* The recording's name ends with the thread that holds the GIL. */
static bool holds_gil(const struct recording *recording, const struct recorded_thread *thread)
{
	return !strcmp(strrchr(recording->interpreter, '-') + 1, thread->name);
}

/* ---------------------------------------------------------------- replaying */

static void assert_frames(const struct recording *recording, const struct recorded_thread *thread,
			  unsigned ways, const recorded_frame *frames, unsigned n)
{
	char text[RECORDING_FRAME_LENGTH];

	if (walked.status != KB_WALK_OK || walked.code_status != KB_CODE_OK || walked.n != n)
		fail_msg("%s, thread %s, ways %u: status %d, code status %d, %u frames of %u",
			 recording->interpreter, thread->name, ways, walked.status,
			 walked.code_status, walked.n, n);
	for (unsigned i = 0; i < n; i++) {
		assert_true(walker__format(&walked.frames[i], text, sizeof(text)));
		if (strcmp(text, frames[i]))
			fail_msg("%s, thread %s, ways %u, frame %u: %s, not %s",
				 recording->interpreter, thread->name, ways, i, text, frames[i]);
	}
}

/*
 * Up to 3.11 only the global current thread state knows of a sub-interpreter: its thread is found
 * in the calling interpreter once it has given up the GIL.
 */
static void test_names_and_lines(void **state)
{
	unsigned minors = 0;

	for (unsigned i = 0; i < n_recordings; i++) {
		struct recording *recording = &recordings[i];
		unsigned minor = recording->layout.version_minor;

		minors |= 1u << minor;
		for (unsigned t = 0; t < recording->n_threads; t++) {
			struct recorded_thread *thread = &recording->threads[t];

			sample(recording, thread->tp, WAYS_ALL);
			if (minor <= 11 && is_sub(thread) && !holds_gil(recording, thread))
				assert_frames(recording, thread, WAYS_ALL, thread->outer,
					      thread->n_outer);
			else
				assert_frames(recording, thread, WAYS_ALL, thread->frames,
					      thread->n_frames);
		}
	}
	/* 3.6 to 3.15, each with all the kinds of code. */
	assert_int_equal(minors, 0xffc0);
}

/* Recursion, a name of each width and a file that is not ASCII are in every main thread's stack. */
static void test_recordings_are_telling(void **state)
{
	static const char *const wanted[] = { "größe|",	    "名前|", "𠮷野|",	 "|ausgeführt.py|",
					      "generator|", "Body|", "<lambda>|" };

	for (unsigned i = 0; i < n_recordings; i++) {
		struct recorded_thread *thread = thread_named(&recordings[i], "main");

		assert_non_null(thread);
		assert_in_range(thread->n_frames, 90, RECORDING_FRAMES_MAX);
		assert_non_null(thread_named(&recordings[i], "sleeper"));
		for (size_t w = 0; w < COUNT(wanted); w++) {
			bool found = false;

			for (unsigned f = 0; f < thread->n_frames; f++)
				found |= strstr(thread->frames[f], wanted[w]) != NULL;
			assert_true(found);
		}
	}
}

/* ---------------------------------------------------------------- ways to the thread state */

enum found { FOUND_NOTHING, FOUND_FRAMES, FOUND_OUTER, FOUND_SUB };

/* The table in bpf/python/thread.bpf.c, as code. */
static enum found expected(const struct recording *recording, const struct recorded_thread *thread,
			   unsigned ways)
{
	unsigned minor = recording->layout.version_minor;

	if (holds_gil(recording, thread) && (ways & (minor >= 12 ? WAY_TLS : WAY_CURRENT)))
		return FOUND_FRAMES;
	if (ways & WAY_GILSTATE && recording->proc.tss_key | recording->proc.gilstate_tls.kind)
		return minor <= 11 && is_sub(thread) ? FOUND_OUTER : FOUND_FRAMES;
	if (!(ways & WAY_LIST))
		return FOUND_NOTHING;
	/* 3.12 runs a sub-interpreter with the thread state, and id, of the thread that created it.
	 */
	if (minor == 12)
		return is_sub(thread)		       ? FOUND_OUTER
		       : !strcmp(thread->name, "main") ? FOUND_SUB
						       : FOUND_FRAMES;
	return FOUND_FRAMES;
}

static void check_ways(struct recording *recording, struct recorded_thread *thread, unsigned ways,
		       enum found what)
{
	struct recorded_thread *sub = thread_named(recording, "sub");

	sample(recording, thread->tp, ways);
	switch (what) {
	case FOUND_NOTHING:
		assert_int_equal(walked.status, KB_WALK_NOT_PYTHON_THREAD);
		break;
	case FOUND_FRAMES:
		assert_frames(recording, thread, ways, thread->frames, thread->n_frames);
		break;
	case FOUND_OUTER:
		assert_frames(recording, thread, ways, thread->outer, thread->n_outer);
		break;
	case FOUND_SUB:
		assert_frames(recording, thread, ways, sub->frames, sub->n_frames);
	}
}

static void test_every_way(void **state)
{
	unsigned found[4] = { 0 };

	for (unsigned i = 0; i < n_recordings; i++) {
		struct recording *recording = &recordings[i];

		for (unsigned t = 0; t < recording->n_threads; t++) {
			for (unsigned ways = 0; ways <= WAYS_ALL; ways++) {
				struct recorded_thread *thread = &recording->threads[t];
				enum found what = expected(recording, thread, ways);

				check_ways(recording, thread, ways, what);
				found[what]++;
			}
		}
	}
	print_message("thread states: %u right, %u and %u of another interpreter, %u not found\n",
		      found[FOUND_FRAMES], found[FOUND_OUTER], found[FOUND_SUB],
		      found[FOUND_NOTHING]);
	for (int what = 0; what < 4; what++)
		assert_true(found[what]);
}

static struct kb_walk walk;

static int find_again(struct recording *recording, struct kb_proc *proc, kb_u64 tp, kb_u64 *reads)
{
	kb_u64 before = kb_host.reads;
	int status = kb_find_thread(&walk, proc, &recording->layout, tp, 1);

	*reads = kb_host.reads - before;
	return status;
}

/* A search of the lists is remembered, also when it finds nothing. */
static void test_list_is_cached(void **state)
{
	kb_u64 first, again;

	for (unsigned i = 0; i < n_recordings; i++) {
		struct recording *recording = &recordings[i];
		struct kb_proc proc = recording->proc;
		kb_u64 tp = thread_named(recording, "main")->tp, sum = 0;

		walker__clear();
		kb_host.context = recording;
		walker__restrict(&proc, WAY_LIST);
		assert_int_equal(find_again(recording, &proc, tp, &first), KB_WALK_OK);
		assert_int_equal(find_again(recording, &proc, tp, &again), KB_WALK_OK);
		assert_in_range(again, 1, 2);
		assert_true(again < first);

		/* Another thread under the same id: the first one ended. */
		assert_int_equal(find_again(recording, &proc, tp + 64, &first),
				 KB_WALK_NOT_PYTHON_THREAD);
		for (int n = 1; n < MISSES_PER_SEARCH; n++) {
			assert_int_equal(find_again(recording, &proc, tp + 64, &again),
					 KB_WALK_NOT_PYTHON_THREAD);
			sum += again;
		}
		assert_int_equal(sum, 0);
		/* By now it may have one. */
		assert_int_equal(find_again(recording, &proc, tp, &again), KB_WALK_OK);
	}
}

/* ---------------------------------------------------------------- thread-local variables */

/* One page with a GOT pair, and a dtv below a thread pointer in the same page. */
static void test_tls_models(void **state)
{
	struct recording memory;
	struct kb_proc_tls out = { 0 };
	struct kb_tls tls = { .kind = KB_TLS_DYNAMIC, .value = 0x10, .displacement = 0x28 };
	struct recorded_page *page;
	uint64_t got[2] = { 3, 0x40 }, dtv = 0x5200, block = 0x5800;

	recording__init(&memory);
	page = recording__add_page(&memory, 0x5000);
	assert_non_null(page);
	kb_host.context = &memory;
	memcpy(page->bytes + 0x10, got, sizeof(got));
	memcpy(page->bytes + 0x900 + KB_DTV_OFFSET, &dtv, 8);
	memcpy(page->bytes + 0x200 + 3 * KB_DTV_ENTRY_SIZE, &block, 8);

	kb_proc__set_tls(&out, &tls, 0x5000);
	assert_int_equal(kb_tls_address(&out, 0x5900), 0x5800 + 0x40 + 0x28);
	/* Blocks right below the thread pointer lie there in every thread. */
	assert_int_equal(out.kind, KB_STATIC_TLS_BELOW ? KB_TLS_STATIC : KB_TLS_DYNAMIC);
	assert_int_equal(kb_tls_address(&out, 0x5900), 0x5800 + 0x40 + 0x28);

	tls.kind = KB_TLS_GOT;
	kb_proc__set_tls(&out, &tls, 0x5000);
	assert_int_equal(kb_tls_address(&out, 0x9000), 0x9000 + 3 + 0x28);

	/* A process that starts: the dynamic linker has not been there, then it has. */
	for (tls.kind = KB_TLS_DYNAMIC; tls.kind <= KB_TLS_GOT; tls.kind++) {
		memset(page->bytes + 0x10, 0, 8);
		kb_proc__set_tls(&out, &tls, 0x5000);
		assert_int_equal(kb_tls_address(&out, 0x5900), 0);
		memcpy(page->bytes + 0x10, got, 8);
		assert_int_not_equal(kb_tls_address(&out, 0x5900), 0);
	}

	for (tls.kind = KB_TLS_DYNAMIC; tls.kind <= KB_TLS_GOT; tls.kind++) {
		tls.value = 0x8000; /* not there */
		kb_proc__set_tls(&out, &tls, 0x5000);
		assert_int_equal(kb_tls_address(&out, 0x5900), 0);
	}
	tls = (struct kb_tls){ .kind = KB_TLS_STATIC, .value = -16 };
	kb_proc__set_tls(&out, &tls, 0x5000);
	assert_int_equal(kb_tls_address(&out, 0x9000), 0x9000 - 16);

	/* This thread has not allocated the block yet. */
	out = (struct kb_proc_tls){ .kind = KB_TLS_DYNAMIC, .module = 3 };
	for (block = 0; block + 1 < 2; block--) {
		memcpy(page->bytes + 0x200 + 3 * KB_DTV_ENTRY_SIZE, &block, 8);
		assert_int_equal(kb_tls_address(&out, 0x5900), 0);
	}
	recording__free(&memory);
}

/* pthread_getspecific(): 32 keys in the thread's own block, the others behind pointers. */
static void test_thread_specific(void **state)
{
	static const struct {
		uint32_t key;
		uint64_t expected;
	} cases[] = {
		{ 0, 0xa0 }, { 31, 0xa1 }, { 32, 0xb0 }, { 40, 0xb8 }, { 64, 0 }, { 1024, 0 }
	};
	uint64_t tp = 0x5800, block = 0x5000, value;
	struct recording memory;
	struct recorded_page *page;

	recording__init(&memory);
	page = recording__add_page(&memory, 0x5000);
	assert_non_null(page);
	kb_host.context = &memory;
	memcpy(page->bytes + 0x800 + KB_PTHREAD_SPECIFIC_BLOCKS + 8, &block, 8);
	for (size_t i = 0; i < 2; i++) {
		value = cases[i].expected;
		memcpy(page->bytes + 0x800 + KB_PTHREAD_SPECIFIC_INLINE + cases[i].key * 16 + 8,
		       &value, 8);
		value = cases[i + 2].expected;
		memcpy(page->bytes + cases[i + 2].key % 32 * 16 + 8, &value, 8);
	}
	for (size_t i = 0; i < COUNT(cases); i++) {
		memcpy(page->bytes + 0x400, &cases[i].key, 4);
		assert_int_equal(thread_specific(0x5400, tp), cases[i].expected);
	}
	assert_int_equal(thread_specific(0x9000, tp), 0);
	recording__free(&memory);
}

/* ---------------------------------------------------------------- records of code objects */

static unsigned records_of_code(void)
{
	void *cursor = NULL;
	const void *record;
	unsigned n = 0;
	size_t size;

	while ((record = kb_host__next_record(&data, &cursor, &size)))
		n += *(const kb_u32 *)record == KB_DATA_CODE;
	return n;
}

/* What did not fit is sent again, what was sent is not. */
static void test_code_is_sent_once(void **state)
{
	for (unsigned i = 0; i < n_recordings; i++) {
		struct recording *recording = &recordings[i];
		struct recorded_thread *thread = thread_named(recording, "main");
		kb_u64 address;

		sample(recording, thread->tp, WAYS_ALL);
		address = walked.frames[0].code->address;
		walker__clear();
		kb_host.ring_bytes = 8;
		assert_int_equal(kb_code_seen(&recording->proc, &recording->layout, address),
				 KB_CODE_RING_FULL);
		kb_host.ring_bytes = SIZE_MAX;
		for (int n = 0; n < 3; n++) {
			assert_int_equal(
				kb_code_seen(&recording->proc, &recording->layout, address),
				KB_CODE_OK);
			assert_int_equal(records_of_code(), 1);
		}
		assert_int_equal(kb_code_seen(&recording->proc, &recording->layout, thread->tp),
				 KB_CODE_NOT_CODE);
	}
}

/* The name's pointer of one code object is set into another: a new object at a known address. */
static void test_replaced_code_is_noticed(void **state)
{
	for (unsigned i = 0; i < n_recordings; i++) {
		struct recording *recording = &recordings[i];
		const struct kb_layout *layout = &recording->layout;
		struct recorded_thread *thread = thread_named(recording, "main");
		kb_u64 leaf, caller, old, new;
		struct recorded_page *page;

		sample(recording, thread->tp, WAYS_ALL);
		leaf = walked.frames[0].code->address;
		caller = walked.frames[2].code->address;
		assert_true(kb_code_unchanged(&recording->proc, layout, leaf));
		assert_true(recording__read(leaf + layout->code_name, &old, 8, recording));
		assert_true(recording__read(caller + layout->code_name, &new, 8, recording));
		page = recording__page(recording, leaf + layout->code_name);
		memcpy(page->bytes + (leaf + layout->code_name) % RECORDING_PAGE, &new, 8);
		assert_false(kb_code_unchanged(&recording->proc, layout, leaf));
		assert_int_equal(kb_code_seen(&recording->proc, layout, leaf), KB_CODE_OK);
		assert_true(kb_code_unchanged(&recording->proc, layout, leaf));

		sample(recording, thread->tp, WAYS_ALL);
		assert_string_equal(walked.frames[0].code->name, walked.frames[2].code->name);
		memcpy(page->bytes + (leaf + layout->code_name) % RECORDING_PAGE, &old, 8);
	}
}

/*
 * The entry frame in which a chain ended is not read each time, and the stack is the same. When
 * another frame calls from there one day, that is noticed.
 */
static void test_known_end(void **state)
{
	for (unsigned i = 0; i < n_recordings; i++) {
		struct recording *recording = &recordings[i];
		struct kb_proc proc = recording->proc;
		const struct kb_layout *layout = &recording->layout;
		struct recorded_page *page;
		kb_u64 hash, full, at, old;
		int status = KB_WALK_OK;

		if (!layout->skip_owner)
			continue;
		kb_host.context = recording;
		walker__clear();
		memset(&walk, 0, sizeof(walk));
		kb_find_thread(&walk, &proc, layout, thread_named(recording, "main")->tp, 1);
		full = kb_host.reads;
		assert_int_equal(kb_walk_frames(&walk, layout, 1), KB_WALK_OK);
		full = kb_host.reads - full;
		hash = walk.head.hash;
		for (unsigned n = 1; n <= 2 * END_USES + 2; n++) {
			kb_u64 before = kb_host.reads;

			assert_int_equal(kb_walk_frames(&walk, layout, 1), KB_WALK_OK);
			assert_true(walk.head.hash == hash);
			assert_int_equal(kb_host.reads - before, full - (n % (END_USES + 1) != 0));
		}
		at = walk.end_frame + layout->frame_previous;
		assert_true(recording__read(at, &old, 8, recording));
		page = recording__page(recording, at);
		memcpy(page->bytes + at % RECORDING_PAGE, &walk.frame, 8);
		for (unsigned n = 0; n <= END_USES; n++)
			status = kb_walk_frames(&walk, layout, 1);
		assert_int_equal(status, KB_WALK_TRUNCATED);
		memcpy(page->bytes + at % RECORDING_PAGE, &old, 8);
	}
}

/* Without the seed, processes forked from one parent would share stacks. */
static void test_hash_tells_stacks_apart(void **state)
{
	for (unsigned i = 0; i < n_recordings; i++) {
		struct recording *recording = &recordings[i];
		struct kb_proc proc = recording->proc;
		kb_u64 hash, main_frame;

		kb_host.context = recording;
		walker__clear();
		kb_find_thread(&walk, &proc, &recording->layout, recording->threads[0].tp, 1);
		main_frame = walk.frame;
		assert_int_equal(kb_walk_frames(&walk, &recording->layout, 1), KB_WALK_OK);
		hash = walk.head.hash;
		assert_int_equal(kb_walk_frames(&walk, &recording->layout, 1), KB_WALK_OK);
		assert_int_equal(walk.head.hash, hash);
		assert_int_equal(kb_walk_frames(&walk, &recording->layout, 2), KB_WALK_OK);
		assert_true(walk.head.hash != hash);
		kb_find_thread(&walk, &proc, &recording->layout, recording->threads[1].tp, 2);
		assert_true(walk.frame != main_frame);
		assert_int_equal(kb_walk_frames(&walk, &recording->layout, 1), KB_WALK_OK);
		assert_true(walk.head.hash != hash);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recordings_are_telling),
		cmocka_unit_test(test_names_and_lines),
		cmocka_unit_test(test_every_way),
		cmocka_unit_test(test_list_is_cached),
		cmocka_unit_test(test_tls_models),
		cmocka_unit_test(test_thread_specific),
		cmocka_unit_test(test_code_is_sent_once),
		cmocka_unit_test(test_replaced_code_is_noticed),
		cmocka_unit_test(test_hash_tells_stacks_apart),
		cmocka_unit_test(test_known_end),
	};

	return run_with_each_loop(tests);
}
