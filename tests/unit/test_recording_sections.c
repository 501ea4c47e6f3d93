// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Recordings whose sections are whole, with right checksums, and hold what no writer wrote. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <cmocka.h>
#include <zlib.h>
#include <zstd.h>
#include "model/recording_format.h"
#include "unit/recording_util.h"

static void put_section_sized(struct recording *recording, uint32_t type, uint32_t flags,
			      uint32_t sequence, const void *raw, size_t size, uint64_t raw_size)
{
	struct kb_recording_section section = { type, flags, .raw_size = raw_size,
						.sequence = sequence };
	char packed[4096];

	section.packed_size = ZSTD_compress(packed, sizeof(packed), raw, size, 1);
	assert_false(ZSTD_isError(section.packed_size));
	section.packed_crc = (uint32_t)crc32_z(0, (void *)packed, section.packed_size);
	section.crc =
		(uint32_t)crc32_z(0, (void *)&section, offsetof(struct kb_recording_section, crc));
	fwrite(&section, sizeof(section), 1, recording->stream);
	fwrite(packed, section.packed_size, 1, recording->stream);
	fflush(recording->stream);
}

static void put_section(struct recording *recording, uint32_t type, uint32_t flags,
			uint32_t sequence, const void *raw, size_t size)
{
	put_section_sized(recording, type, flags, sequence, raw, size, size);
}

/* A recording of these sections; the strings section has "", "a", "b". */
struct part {
	uint32_t type;
	const char *raw;
	size_t size;
};

#define STRINGS                                                                                    \
	{                                                                                          \
		KB_SECTION_STRINGS, "\0\0\1a\1b", 6                                                \
	}
#define PROCESS                                                                                    \
	{                                                                                          \
		KB_SECTION_PROCESSES, "\0\2\2\0\5\0\1\1\1", 9                                      \
	}
#define THREAD                                                                                     \
	{                                                                                          \
		KB_SECTION_THREADS, "\0\0\2\0\1", 5                                                \
	}
#define FUNCTION                                                                                   \
	{                                                                                          \
		KB_SECTION_FUNCTIONS, "\0\0\1\2\2", 5                                              \
	}
#define FRAME                                                                                      \
	{                                                                                          \
		KB_SECTION_FRAMES, "\0\0\2", 3                                                     \
	}
#define NODE                                                                                       \
	{                                                                                          \
		KB_SECTION_NODES, "\0\0\0\1\0", 5                                                  \
	}
#define META                                                                                       \
	{                                                                                          \
		KB_SECTION_META, "\0\0\0\0\0\0\0\0\0\0\0\0\1\1\1\1", 16                            \
	}
#define PART(type, literal)                                                                        \
	{                                                                                          \
		KB_SECTION_##type, literal, sizeof(literal) - 1                                    \
	}

static void check_parts(const struct part *parts, size_t n, const char *text)
{
	struct kb_profile *profile = NULL;
	struct recording recording;

	start(&recording);
	for (size_t i = 0; i < n; i++)
		put_section(&recording, parts[i].type, 0, (uint32_t)i, parts[i].raw, parts[i].size);
	if (text) {
		assert_refused(&recording, text);
		/* Whole sections that make no sense are not forgiven. */
		assert_error(read_bytes(recording.bytes, recording.size, true, &profile), text);
	} else {
		assert_ok(read_bytes(recording.bytes, recording.size, false, &profile));
		kb_profile__destroy(profile);
	}
	stop(&recording);
}

#define CHECK_PARTS(text, ...)                                                                     \
	check_parts((const struct part[]){ __VA_ARGS__ },                                          \
		    sizeof((const struct part[]){ __VA_ARGS__ }) / sizeof(struct part), text)

static void test_hand_made(void **state)
{
	CHECK_PARTS(NULL, STRINGS, META, PROCESS, THREAD, FUNCTION, FRAME, NODE,
		    PART(SAMPLES, "\0\1\5"), PART(LEDGER, "\4good\5"), PART(END, "\5"));
	CHECK_PARTS("5 samples were read and 6 written", STRINGS, META, PROCESS, THREAD, FUNCTION,
		    FRAME, NODE, PART(SAMPLES, "\0\1\5"), PART(END, "\6"));
	CHECK_PARTS("no meta section", STRINGS, PART(END, "\0"));
}

static void test_hostile_strings(void **state)
{
	CHECK_PARTS("first entry is 1, not 0", PART(STRINGS, "\1\0"));
	CHECK_PARTS("end within an entry", PART(STRINGS, ""));
	CHECK_PARTS("end within an entry", PART(STRINGS, "\0\5abcd"));
	CHECK_PARTS("end within an entry",
		    PART(STRINGS, "\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\1a"));
	CHECK_PARTS("zero byte", PART(STRINGS, "\0\3a\0b"));
	CHECK_PARTS("string 1 is not UTF-8", PART(STRINGS, "\0\0\1\xff"));
	CHECK_PARTS("string 3 of 3", STRINGS, PART(PROCESSES, "\0\2\2\0\5\0\3\1\1"));
}

static void test_hostile_meta(void **state)
{
	CHECK_PARTS("clock 3 of 3", STRINGS, PART(META, "\3\0\0\0\0\0\0\0\0\0\0\0\1\1\1\1"));
	CHECK_PARTS("rate", STRINGS, PART(META, "\0\0\0\0\0\0\0\xf0\x7f\0\0\0\1\1\1\1"));
	CHECK_PARTS("rate", STRINGS, PART(META, "\0\0\0\0\0\0\0\xf0\xbf\0\0\0\1\1\1\1"));
	CHECK_PARTS("longer than their meaning", STRINGS,
		    PART(META, "\0\0\0\0\0\0\0\0\0\0\0\0\1\1\1\1\1"));
}

static void test_hostile_tables(void **state)
{
	CHECK_PARTS("process 1 of 1", STRINGS, PART(PROCESSES, "\1\2\2\0\5\0\1\1\1"));
	CHECK_PARTS("process 1 repeats 0", STRINGS, PROCESS, PART(PROCESSES, "\1\2\2\0\5\0\1\1\1"));
	CHECK_PARTS("PID", STRINGS, PART(PROCESSES, "\0\x80\x80\x80\x80\x10\2\0\5\0\1\1\1"));
	CHECK_PARTS("process 0 of 0", STRINGS, THREAD);
	CHECK_PARTS("thread 1 repeats 0", STRINGS, PROCESS, PART(THREADS, "\0\0\2\0\1\1\0\2\0\1"));
	CHECK_PARTS("kind of function 4 of 4", STRINGS, PART(FUNCTIONS, "\0\4\1\2\2"));
	CHECK_PARTS("function 1 repeats 0", STRINGS, FUNCTION, PART(FUNCTIONS, "\1\0\1\2\2"));
	CHECK_PARTS("first entry is 0, not 1", STRINGS, FUNCTION, FUNCTION);
	CHECK_PARTS("function 1 of 1", STRINGS, FUNCTION, PART(FRAMES, "\0\1\2"));
	CHECK_PARTS("frame 1 repeats 0", STRINGS, FUNCTION, FRAME, PART(FRAMES, "\1\0\2"));
	CHECK_PARTS("distance to the parent 1 of 1", STRINGS, FUNCTION, FRAME,
		    PART(NODES, "\0\1\0"));
	CHECK_PARTS("frame 1 of 1", STRINGS, FUNCTION, FRAME, PART(NODES, "\0\0\1"));
	CHECK_PARTS("node 1 repeats 0", STRINGS, FUNCTION, FRAME, PART(NODES, "\0\0\0\0\0"));
}

static void test_hostile_samples(void **state)
{
#define TREE STRINGS, PROCESS, THREAD, FUNCTION, FRAME, NODE
	CHECK_PARTS("thread 1 of 1", TREE, PART(SAMPLES, "\1\1\1"));
	CHECK_PARTS("node 2 of 2", TREE, PART(SAMPLES, "\0\2\1"));
	CHECK_PARTS("counts nothing", TREE, PART(SAMPLES, "\0\1\0"));
	CHECK_PARTS("more samples than fit", TREE,
		    PART(SAMPLES, "\0\1\1\0\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"));
	CHECK_PARTS("newer keelback", STRINGS, PART(LEDGER, "\3bad\5"));
	CHECK_PARTS("end within an entry", STRINGS, PART(LEDGER, "\4goo"));
}

static void test_unknown_sections(void **state)
{
	struct kb_profile *profile = make_profile();
	struct recording recording;

	start(&recording);
	assert_ok(kb_recording_writer__flush(recording.writer, profile));
	put_section(&recording, 99, 0, 2, "x", 1);
	assert_refused(&recording, "of a type 99.0 unknown here: use a newer keelback");
	stop(&recording);

	start(&recording);
	put_section(&recording, 99, KB_SECTION_SKIPPABLE, 0, "x", 1);
	put_section(&recording, KB_SECTION_STRINGS, 0, 1, "\0\0\1a", 4);
	put_section(&recording, KB_SECTION_META, 0, 2, "\0\0\0\0\0\0\0\0\0\0\0\0\1\1\1\1", 16);
	put_section(&recording, KB_SECTION_END, 0, 3, "\0", 1);
	kb_profile__destroy(profile);
	assert_ok(read_bytes(recording.bytes, recording.size, false, &profile));
	assert_string_equal(kb_profile__meta(profile)->host, "a");
	kb_profile__destroy(profile);
	stop(&recording);
}

static void test_section_frames(void **state)
{
	struct recording recording;

	start(&recording);
	put_section(&recording, KB_SECTION_STRINGS, 0, 1, "\0", 1);
	assert_refused(&recording, "missing or out of order");
	stop(&recording);
	start(&recording);
	put_section(&recording, KB_SECTION_STRINGS, 2, 0, "\0", 1);
	assert_refused(&recording, "use a newer keelback");
	stop(&recording);
	start(&recording);
	put_section_sized(&recording, KB_SECTION_STRINGS, 0, 0, "\0", 1, UINT64_MAX);
	assert_refused(&recording, "too large when unpacked");
	stop(&recording);
	start(&recording);
	put_section_sized(&recording, KB_SECTION_STRINGS, 0, 0, "\0", 1, 2);
	assert_refused(&recording, "shorter when unpacked");
	stop(&recording);
	start(&recording);
	put_section_sized(&recording, KB_SECTION_STRINGS, 0, 0, "\0\0\1a", 4, 2);
	assert_refused(&recording, "section 0 at byte 32");
	stop(&recording);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hand_made),	cmocka_unit_test(test_hostile_strings),
		cmocka_unit_test(test_hostile_meta),	cmocka_unit_test(test_hostile_tables),
		cmocka_unit_test(test_hostile_samples), cmocka_unit_test(test_unknown_sections),
		cmocka_unit_test(test_section_frames),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
