// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * The BPF walker in a small world built by hand, in every recorded interpreter's layout, whose
 * memory is made to harm: chains without an end, wild pointers, counts and lengths of any size,
 * objects at the very end of what is in memory.
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

#define LARGEST_FRAME_CHAIN 20000

#define TP	   0x7f0000000000 /* of a thread whose state only the list has */
#define HEAD	   0x10000
#define INTERP	   0x20000 /* spans the offsets of large interpreter states */
#define TSTATE	   0x40000
#define CFRAME	   0x41000
#define CODE	   0x50000
#define CODE_TYPE  0x12345678
#define FILE_NAME  0x60000
#define NAME	   0x64000
#define LINES	   0x68000
#define FRAMES	   0x1000000
#define FRAME_STEP 0x88 /* not a divisor of a page: frames lie across pages */

static struct recording world;

static void poke(uint64_t address, const void *from, size_t size)
{
	const uint8_t *bytes = from;

	for (size_t i = 0; i < size; i++) {
		struct recorded_page *page = recording__page(&world, address + i);

		if (!page)
			page = recording__add_page(&world, address + i);
		assert_non_null(page);
		page->bytes[(address + i) % RECORDING_PAGE] = bytes[i];
	}
}

static void poke_word(uint64_t address, uint64_t value)
{
	poke(address, &value, 8);
}

static void put_string(uint64_t at, uint64_t length, unsigned kind, bool ascii, const void *bytes,
		       size_t n)
{
	const struct kb_layout *layout = &world.layout;
	uint32_t state = (kind | 1u << 3 | (uint32_t)ascii << 4) << layout->unicode_kind_shift;

	poke_word(at + layout->unicode_length, length);
	poke(at + layout->unicode_state, &state, 4);
	poke(at + (ascii ? layout->unicode_ascii_data : layout->unicode_compact_data), bytes, n);
}

static void put_code(uint64_t at)
{
	const struct kb_layout *layout = &world.layout;
	uint32_t line = 42;

	poke_word(at + layout->object_type, CODE_TYPE);
	poke_word(at + layout->code_filename, FILE_NAME);
	poke_word(at + layout->code_name, NAME);
	poke_word(at + layout->code_linetable, LINES);
	poke(at + layout->code_firstlineno, &line, 4);
}

static void put_frame(uint64_t at, uint64_t previous)
{
	const struct kb_layout *layout = &world.layout;
	uint8_t owner = 0;

	poke_word(at + layout->frame_previous, previous);
	poke_word(at + layout->frame_code, CODE);
	if (layout->lasti_kind == KB_LASTI_POINTER)
		poke_word(at + layout->frame_instr, CODE + layout->code_instructions);
	else
		poke(at + layout->frame_instr, &(int){ 0 }, 4);
	if (layout->frame_owner != KB_NO_OFFSET)
		poke(at + layout->frame_owner, &owner, 1);
}

static void start_with(uint64_t frame)
{
	const struct kb_layout *layout = &world.layout;

	if (layout->cframe_current_frame != KB_NO_OFFSET)
		poke_word(CFRAME + layout->cframe_current_frame, frame);
	else
		poke_word(TSTATE + layout->tstate_frame, frame);
}

/* One thread with one frame of f() in a.py, of the layout of a recorded interpreter. */
static void build(const struct recording *like)
{
	const struct kb_layout *layout = &like->layout;

	recording__free(&world);
	recording__init(&world);
	world.layout = *layout;
	world.proc = (struct kb_proc){ .interp_head = HEAD, .code_type = CODE_TYPE, .id = 1 };
	poke_word(HEAD, INTERP);
	poke_word(INTERP + layout->interp_threads_head, TSTATE);
	poke_word(INTERP + layout->interp_next, 0);
	poke(TSTATE, (uint8_t[KB_TSTATE_SPAN]){ 0 }, KB_TSTATE_SPAN);
	poke_word(TSTATE + layout->tstate_thread_id, KB_PTHREAD_SELF(TP));
	if (layout->cframe_current_frame != KB_NO_OFFSET)
		poke_word(TSTATE + layout->tstate_frame, CFRAME);
	put_string(FILE_NAME, 5, 1, true, "/a.py", 5);
	put_string(NAME, 1, 1, true, "f", 1);
	poke_word(LINES + layout->bytes_size, 0);
	put_code(CODE);
	put_frame(FRAMES, 0);
	start_with(FRAMES);
}

static void assert_world(unsigned n, const char *text)
{
	char frame[RECORDING_FRAME_LENGTH];

	sample(&world, TP, WAYS_ALL);
	if (walked.status != KB_WALK_OK || walked.code_status != KB_CODE_OK || walked.n != n)
		fail_msg("3.%u: status %d, code status %d, %u frames of %u",
			 world.layout.version_minor, walked.status, walked.code_status, walked.n,
			 n);
	assert_true(walker__format(&walked.frames[0], frame, sizeof(frame)));
	*strrchr(frame, '|') = '\0'; /* an empty table means the first line up to 3.9 */
	assert_string_equal(frame, text);
}

static void each_layout(void (*check)(void))
{
	for (unsigned i = 0; i < n_recordings; i++) {
		/* Several recordings of one interpreter follow each other. */
		if (i && !memcmp(&recordings[i].layout, &recordings[i - 1].layout,
				 sizeof(struct kb_layout)))
			continue;
		build(&recordings[i]);
		assert_world(1, "f|a.py");
		check();
	}
	recording__free(&world);
}

/* ---------------------------------------------------------------- chains and circles */

static void assert_truncated(void)
{
	sample(&world, TP, WAYS_ALL);
	assert_int_equal(walked.status, KB_WALK_TRUNCATED);
	assert_int_equal(walked.n, KB_FRAMES_MAX);
	assert_int_equal(walked.code_status, KB_CODE_OK);
}

static void check_long_chains(void)
{
	static const unsigned lengths[] = { 2, 100, KB_FRAMES_MAX };

	for (unsigned i = 1; i < LARGEST_FRAME_CHAIN; i++)
		put_frame(FRAMES + i * FRAME_STEP, FRAMES + (i - 1) * FRAME_STEP);
	for (unsigned i = 0; i < COUNT(lengths); i++) {
		start_with(FRAMES + (lengths[i] - 1) * FRAME_STEP);
		assert_world(lengths[i], "f|a.py");
	}
	start_with(FRAMES + KB_FRAMES_MAX * FRAME_STEP);
	assert_truncated();
	start_with(FRAMES + (LARGEST_FRAME_CHAIN - 1) * FRAME_STEP);
	assert_truncated();
}

static void test_long_chains(void **state)
{
	each_layout(check_long_chains);
}

static void check_circles(void)
{
	put_frame(FRAMES, FRAMES);
	assert_truncated();
	put_frame(FRAMES, FRAMES + 0x400);
	put_frame(FRAMES + 0x400, FRAMES + 0x100000);
	put_frame(FRAMES + 0x100000, FRAMES);
	assert_truncated();
}

static void test_circles(void **state)
{
	each_layout(check_circles);
}

/* ---------------------------------------------------------------- marks */

static struct kb_walk marked;

static int walk_marked(uint32_t want)
{
	struct kb_proc proc = world.proc;
	int status;

	kb_host.context = &world;
	walker__clear();
	config.want = want;
	memset(&marked, 0xa5, sizeof(marked));
	status = kb_find_thread(&marked, &proc, &world.layout, TP, 1);
	if (status == KB_WALK_OK)
		status = kb_walk_frames(&marked, &world.layout, 1);
	config.want = 0;
	return status;
}

/* C code called the interpreter with the frame, whose caller is `previous` (0: the root). */
static void put_entered_frame(uint64_t at, uint64_t previous)
{
	const struct kb_layout *layout = &world.layout;
	uint64_t shim = at + FRAME_STEP;
	uint8_t owner = layout->skip_owner, entry = 1;

	put_frame(at, layout->skip_owner ? shim : previous);
	if (layout->frame_is_entry != KB_NO_OFFSET)
		poke(at + layout->frame_is_entry, &entry, 1);
	if (!layout->skip_owner)
		return;
	put_frame(shim, previous);
	poke(shim + layout->frame_owner, &owner, 1);
}

static unsigned count_marks(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < marked.n_frames; i++)
		n += marked.words[i] == KB_WORD(KB_WORD_NATIVE_MARK, 0);
	return n;
}

/* Between frames, not at the root; counted like frames, so that no room is written beyond. */
static void check_marks(void)
{
	bool tells = world.layout.version_minor >= 11;
	uint64_t at = FRAMES;

	/* Recordings of 3.11 are older than the field. */
	if (world.layout.version_minor == 11)
		world.layout.frame_is_entry = world.layout.frame_owner - 1;
	put_entered_frame(at, 0);
	for (unsigned i = 1; i < 3; i++, at += 2 * FRAME_STEP)
		put_entered_frame(at + 2 * FRAME_STEP, at);
	start_with(at);
	assert_int_equal(walk_marked(0), KB_WALK_OK);
	assert_int_equal(marked.n_frames, 3);
	assert_int_equal(walk_marked(KB_WANT_NATIVE_MARKS), KB_WALK_OK);
	assert_int_equal(marked.n_frames, tells ? 5 : 3);
	assert_int_equal(count_marks(), tells ? 2 : 0);
	assert_int_equal(marked.words[1] == KB_WORD(KB_WORD_NATIVE_MARK, 0), tells);

	for (unsigned i = 0; i < KB_FRAMES_MAX; i++, at += 2 * FRAME_STEP)
		put_entered_frame(at + 2 * FRAME_STEP, at);
	start_with(at);
	assert_int_equal(walk_marked(KB_WANT_NATIVE_MARKS), KB_WALK_TRUNCATED);
	assert_in_range(marked.n_frames, KB_FRAMES_MAX - 2, KB_FRAMES_MAX);
	assert_in_range(count_marks(), tells ? KB_FRAMES_MAX / 2 - 2 : 0, KB_FRAMES_MAX / 2);
}

static void test_marks(void **state)
{
	each_layout(check_marks);
}

/* A tail ends where its room does. */
static void check_full_tail(void)
{
	uint64_t hash;

	assert_int_equal(walk_marked(0), KB_WALK_OK);
	hash = marked.head.hash;
	for (unsigned i = 0; i < 2 * KB_WORDS_MAX; i++)
		kb_walk_append(&marked, KB_WORD(KB_WORD_GC, 0));
	assert_int_equal(marked.head.n_words, KB_WORDS_MAX);
	assert_int_equal(marked.n_frames, 1);
	assert_true(marked.head.hash != hash);
}

static void test_full_tail(void **state)
{
	each_layout(check_full_tail);
}

/* Callees below their callers, each right behind what the window holds. */
static void check_adjacent_frames(void)
{
	unsigned step = world.layout.frame_size, n = 100;

	for (unsigned i = 0; i < n; i++)
		put_frame(FRAMES + i * step, i + 1 < n ? FRAMES + (i + 1) * step : 0);
	assert_world(n, "f|a.py");
}

static void test_adjacent_frames(void **state)
{
	each_layout(check_adjacent_frames);
}

/* From 3.14 the low bits of a reference in a frame say how it is counted. */
static void check_tagged_code(void)
{
	static const uint8_t one_range[] = { 2, 0 }, one_location[] = { 0x80 | 13 << 3, 0 };
	const struct kb_layout *layout = &world.layout;
	char frame[RECORDING_FRAME_LENGTH];

	/* Tables in which only the first unit has a line; up to 3.9 none is needed for that. */
	if (layout->linetable_kind != KB_LINETABLE_LNOTAB) {
		poke_word(LINES + layout->bytes_size, 2);
		poke(LINES + layout->bytes_data,
		     layout->linetable_kind == KB_LINETABLE_RANGES ? one_range : one_location, 2);
	}
	for (unsigned tag = 0; tag < 8; tag++) {
		poke_word(FRAMES + layout->frame_code, CODE | tag);
		assert_world(1, "f|a.py");
		assert_true(walker__format(&walked.frames[0], frame, sizeof(frame)));
		assert_string_equal(frame, "f|a.py|42");
	}
}

static void test_tagged_code(void **state)
{
	each_layout(check_tagged_code);
}

/* Frames that are no Python frames count towards the limit, too. */
static void check_skipped_frames(void)
{
	uint8_t owner = world.layout.skip_owner;

	if (!owner)
		return;
	put_frame(FRAMES + 0x400, FRAMES);
	start_with(FRAMES + 0x400);
	poke(FRAMES + 0x400 + world.layout.frame_owner, &owner, 1);
	assert_world(1, "f|a.py");
	poke(FRAMES + world.layout.frame_owner, &owner, 1);
	sample(&world, TP, WAYS_ALL);
	assert_int_equal(walked.status, KB_WALK_NO_FRAME);
	poke_word(FRAMES + world.layout.frame_previous, FRAMES);
	sample(&world, TP, WAYS_ALL);
	assert_int_equal(walked.status, KB_WALK_TRUNCATED);
	assert_int_equal(walked.n, 0);
}

static void test_skipped_frames(void **state)
{
	each_layout(check_skipped_frames);
}

static void check_wild_pointers(void)
{
	static const uint64_t wild[] = { 1,  7,	   0xfff, 0x1000, INT64_MAX,	  INT64_MIN, -1,
					 -8, -128, -129,  -4096,  0x7ffffffffff8, 0xdeadbeef };

	for (size_t i = 0; i < COUNT(wild); i++) {
		put_frame(FRAMES, wild[i]);
		sample(&world, TP, WAYS_ALL);
		assert_int_equal(walked.status, KB_WALK_FRAME_UNREADABLE);
		put_frame(FRAMES, 0);
		poke_word(FRAMES + world.layout.frame_code, wild[i]);
		sample(&world, TP, WAYS_ALL);
		assert_null(walked.frames[0].code);
		put_frame(FRAMES, 0);
		poke_word(FRAMES + world.layout.frame_code, NAME); /* is there and is no code */
		sample(&world, TP, WAYS_ALL);
		assert_int_equal(walked.code_status, KB_CODE_NOT_CODE);
		put_frame(FRAMES, 0);
		start_with(wild[i]);
		sample(&world, TP, WAYS_ALL);
		assert_int_equal(walked.status, KB_WALK_FRAME_UNREADABLE);
		start_with(FRAMES);
	}
	/* Into the middle of itself, at every alignment. */
	for (unsigned i = 1; i < 2 * KB_FRAME_SPAN; i++) {
		put_frame(FRAMES, FRAMES + i);
		sample(&world, TP, WAYS_ALL);
	}
}

static void test_wild_pointers(void **state)
{
	each_layout(check_wild_pointers);
}

/* 3.11 and 3.12 while they enter the eval loop: the newest cframe holds what lay on the C stack. */
static void check_unfilled_cframe(void)
{
	const struct kb_layout *layout = &world.layout;
	uint64_t newest = CFRAME + 0x100, current = layout->cframe_current_frame;

	if (current == KB_NO_OFFSET)
		return;
	poke_word(TSTATE + layout->tstate_frame, newest);
	poke_word(newest + current, 0xdeadbeef);
	poke_word(newest + current + 8, CFRAME);
	assert_world(1, "f|a.py");
	poke_word(newest + current + 8, newest); /* no caller but itself */
	sample(&world, TP, WAYS_ALL);
	assert_int_equal(walked.status, KB_WALK_FRAME_UNREADABLE);
	poke_word(newest + current + 8, 0);
	sample(&world, TP, WAYS_ALL);
	assert_int_equal(walked.status, KB_WALK_FRAME_UNREADABLE);
	/* What lay there may well look like a frame, which leads astray. */
	poke_word(newest + current + 8, CFRAME);
	poke_word(newest + current, FRAMES + 0x400);
	put_frame(FRAMES + 0x400, 0xdeadbee8);
	assert_world(1, "f|a.py");
}

static void test_unfilled_cframe(void **state)
{
	each_layout(check_unfilled_cframe);
}

/* ---------------------------------------------------------------- lists of threads */

static void check_lists(void)
{
	const struct kb_layout *layout = &world.layout;

	/* One that is not ours in front, in an interpreter before. */
	poke_word(HEAD, INTERP + 0x8000);
	poke_word(INTERP + 0x8000 + layout->interp_threads_head, TSTATE + 0x2000);
	poke_word(INTERP + 0x8000 + layout->interp_next, INTERP);
	poke(TSTATE + 0x2000, (uint8_t[KB_TSTATE_SPAN]){ 0 }, KB_TSTATE_SPAN);
	assert_world(1, "f|a.py");
	/* Threads in a circle, then interpreters in one. */
	poke_word(TSTATE + 0x2000 + layout->tstate_next, TSTATE + 0x2000);
	sample(&world, TP, WAYS_ALL);
	assert_int_equal(walked.status, KB_WALK_NOT_PYTHON_THREAD);
	poke_word(TSTATE + 0x2000 + layout->tstate_next, 0);
	poke_word(INTERP + 0x8000 + layout->interp_next, INTERP + 0x8000);
	sample(&world, TP, WAYS_ALL);
	assert_int_equal(walked.status, KB_WALK_NOT_PYTHON_THREAD);
	poke_word(INTERP + 0x8000 + layout->interp_threads_head, 0);
	sample(&world, TP, WAYS_ALL);
	assert_int_equal(walked.status, KB_WALK_NOT_PYTHON_THREAD);
}

static void test_lists(void **state)
{
	each_layout(check_lists);
}

/* ---------------------------------------------------------------- strings and tables */

static void check_strings(void)
{
	static const uint16_t two[] = { 0x540d, 0x524d };
	static const uint32_t four[] = { 0x20bb7, 0x91ce };
	static const uint64_t huge[] = { KB_QUALNAME_MAX + 1, 1 << 20,	 UINT32_MAX,
					 INT64_MAX,	      INT64_MIN, -1 };
	uint8_t many[4 * KB_QUALNAME_MAX];

	put_string(NAME, 2, 2, false, two, sizeof(two));
	assert_world(1, "名前|a.py");
	put_string(NAME, 2, 4, false, four, sizeof(four));
	assert_world(1, "𠮷野|a.py");
	put_string(NAME, 3, 1, false,
		   "\xfc"
		   "ber",
		   3);
	assert_world(1, "übe|a.py");
	put_string(NAME, 0, 1, true, "", 0);
	assert_world(1, "|a.py");
	for (unsigned kind = 1; kind <= 4; kind *= 2) {
		memset(many, 0, sizeof(many));
		for (size_t i = 0; i < sizeof(many); i += kind)
			many[i] = 'x';
		for (size_t i = 0; i < COUNT(huge); i++) {
			put_string(NAME, huge[i], kind, false, many, sizeof(many));
			sample(&world, TP, WAYS_ALL);
			assert_int_equal(walked.code_status, KB_CODE_OK);
			assert_true(walked.frames[0].code->flags & KB_CODE_NAME_CUT);
			assert_int_equal(strspn(walked.frames[0].code->name, "x"),
					 KB_QUALNAME_MAX / kind);
		}
	}
	for (unsigned kind = 0; kind < 8; kind++) {
		if (kind == 1 || kind == 2 || kind == 4)
			continue;
		put_string(NAME, 1, kind, true, "f", 1);
		sample(&world, TP, WAYS_ALL);
		assert_int_equal(walked.code_status, KB_CODE_OK);
		assert_true(walked.frames[0].code->flags & KB_CODE_INCOMPLETE);
	}
}

static void test_strings(void **state)
{
	each_layout(check_strings);
}

static void check_line_tables(void)
{
	static const uint64_t huge[] = { KB_LINES_CHUNK * KB_LINES_CHUNKS + 1, UINT32_MAX,
					 INT64_MAX, -1, INT64_MIN };
	uint8_t *table = malloc(KB_LINES_CHUNK * KB_LINES_CHUNKS);

	for (size_t i = 0; i < KB_LINES_CHUNK * KB_LINES_CHUNKS; i++)
		table[i] = i * 7 + (i >> 8);
	poke(LINES + world.layout.bytes_data, table, KB_LINES_CHUNK * KB_LINES_CHUNKS);
	for (uint64_t n = 1; n <= KB_LINES_CHUNK * KB_LINES_CHUNKS; n = n * 8 + (n == 1)) {
		poke_word(LINES + world.layout.bytes_size, n);
		sample(&world, TP, WAYS_ALL);
		assert_int_equal(walked.frames[0].code->lines_received, n);
		assert_memory_equal(walked.frames[0].code->lines, table, n);
	}
	free(table);
	for (size_t i = 0; i < COUNT(huge); i++) {
		poke_word(LINES + world.layout.bytes_size, huge[i]);
		assert_world(1, "f|a.py");
	}
	/* The size is there, the table is not: a name without lines, not a failure. */
	put_code(CODE);
	poke_word(CODE + world.layout.code_linetable, 0xff0000 - world.layout.bytes_data);
	poke_word(0xff0000 - world.layout.bytes_data + world.layout.bytes_size, 100);
	assert_world(1, "f|a.py");
}

static void test_line_tables(void **state)
{
	each_layout(check_line_tables);
}

/* ---------------------------------------------------------------- the end of memory */

/* Whatever lies at the end of what is mapped or resident must not need the bytes behind it. */
static void check_last_bytes(void)
{
	const struct kb_layout *layout = &world.layout;
	uint64_t end = 0x3001000, frame = end - layout->frame_size;

	put_frame(frame, 0);
	start_with(frame);
	assert_world(1, "f|a.py");
	put_frame(frame, FRAMES);
	assert_world(2, "f|a.py");
	start_with(FRAMES);

	end = 0x4001000 - ((layout->code_size + 15) & ~15);
	put_code(end);
	poke_word(FRAMES + layout->frame_code, end);
	assert_world(1, "f|a.py");
	put_frame(FRAMES, 0);

	end = 0x5001000 - ((layout->unicode_ascii_data + 2 + 15) & ~15);
	put_string(end, 1, 1, true, "g", 2);
	poke_word(CODE + layout->code_name, end);
	assert_world(1, "g|a.py");
}

static void test_last_bytes(void **state)
{
	each_layout(check_last_bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_long_chains),	cmocka_unit_test(test_circles),
		cmocka_unit_test(test_adjacent_frames), cmocka_unit_test(test_tagged_code),
		cmocka_unit_test(test_skipped_frames),	cmocka_unit_test(test_wild_pointers),
		cmocka_unit_test(test_unfilled_cframe), cmocka_unit_test(test_lists),
		cmocka_unit_test(test_strings),		cmocka_unit_test(test_line_tables),
		cmocka_unit_test(test_last_bytes),	cmocka_unit_test(test_marks),
		cmocka_unit_test(test_full_tail),
	};

	return run_with_each_loop(tests);
}
