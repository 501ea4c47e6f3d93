// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Allocations: how interpreters allocate, the model, its recording, and what views make of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "model/memory.h"
#include "model/section_writer.h"
#include "python/allocator.h"
#include "pythons.h"
#include "recording_util.h"

static void test_allocators(void **state)
{
	struct python pythons[PYTHONS_MAX];
	size_t n = pythons__find(pythons);

	for (size_t i = 0; i < n; i++) {
		struct kb_allocator allocator;
		int fd = open(pythons[i].image, O_RDONLY);

		assert_true(fd >= 0);
		assert_ok(kb_allocator__find(fd, pythons[i].image, pythons[i].minor, &allocator));
		close(fd);
		if (allocator.called != pythons[i].pyenv)
			fail_msg("%s: the allocator's functions are %scalled", pythons[i].image,
				 allocator.called ? "" : "not ");
		/* pyenv's builds have it inlined in the one function that allocates. */
		assert_int_equal(allocator.new_pool != 0, !pythons[i].pyenv);
		assert_true(allocator.pymalloc_free && allocator.raw_free);
		assert_true(allocator.object_table && allocator.raw_table);
		assert_int_equal(allocator.arena_bytes,
				 pythons[i].minor < 10 ? 256 << 10 : 1 << 20);
	}
}

/* One process, and a stack of two frames: the inner one is node 1. */
static struct kb_profile *make_memory(struct kb_memory **memory)
{
	struct kb_profile *profile = make_profile();
	struct kb_process_info process = { sizeof(process), 12, 12, 1, 5, 0, "python", "", "3.11" };
	struct kb_function_info outer = { sizeof(outer), KB_FRAME_PYTHON, "/a.py", "outer", 1 };
	struct kb_function_info inner = { sizeof(inner), KB_FRAME_PYTHON, "/b.py", "inner", 1 };
	struct kb_memory_head head = { .frames_max = 7, .taken_ns = 100000000000 };
	struct kb_memory_process_info info = { .way = KB_MEMORY_WAY_LIBC,
					       .sums[0] = { 30, 3, 50, 5, 70, 7 },
					       .lost_blocks = 2 };
	uint32_t root;

	assert_int_equal(kb_profile__add_process(profile, &process), 0);
	root = kb_profile__add_node(profile, KB_ID_NONE, kb_profile__add_place(profile, &outer, 3));
	assert_int_equal(
		kb_profile__add_node(profile, root, kb_profile__add_place(profile, &inner, 9)), 1);
	*memory = kb_memory__begin(profile, &head);
	assert_non_null(*memory);
	assert_true(kb_memory__add_process(*memory, &info));
	return profile;
}

static const struct kb_memory_entry entry = { .node = 1,
					      .domain = KB_MEMORY_OBJECT,
					      .live_bytes = 30,
					      .live_blocks = 3,
					      .peak_bytes = 50,
					      .peak_blocks = 5,
					      .total_bytes = 70,
					      .total_blocks = 7 };

static void test_model(void **state)
{
	struct kb_memory *memory;
	struct kb_profile *profile = make_memory(&memory);
	struct kb_memory_entry other = entry;
	struct kb_memory_blocks blocks = {
		.size = 10, .count = 2, .oldest_ns = 99, .newest_ns = 99
	};
	struct kb_memory_process_info nobody = { .process = 1 };

	assert_int_equal(kb_memory__add_entry(memory, &entry), 0);
	assert_int_equal(kb_memory__add_entry(memory, &entry), 0);
	assert_int_equal(kb_memory__entries(memory)[0].live_bytes, 60);
	other.domain = KB_MEMORY_RAW;
	assert_int_equal(kb_memory__add_entry(memory, &other), 1);
	other.node = 2;
	assert_int_equal(kb_memory__add_entry(memory, &other), KB_ID_NONE);
	other.node = 0;
	other.process = 1;
	assert_int_equal(kb_memory__add_entry(memory, &other), KB_ID_NONE);
	assert_false(kb_memory__add_process(memory, &nobody));

	assert_true(kb_memory__add_blocks(memory, &blocks));
	blocks.newest_ns = 1000;
	assert_true(kb_memory__add_blocks(memory, &blocks));
	assert_int_equal(kb_memory__n_blocks(memory), 1);
	assert_int_equal(kb_memory__blocks(memory)[0].count, 4);
	assert_int_equal(kb_memory__blocks(memory)[0].newest_ns, 1000);
	/* Much younger ones are apart. */
	blocks.oldest_ns = blocks.newest_ns = 99000000000;
	assert_true(kb_memory__add_blocks(memory, &blocks));
	assert_int_equal(kb_memory__n_blocks(memory), 2);
	blocks.count = KB_MEMORY_BLOCKS_MAX;
	assert_false(kb_memory__add_blocks(memory, &blocks));
	kb_profile__destroy(profile);
}

static void test_round_trip(void **state)
{
	struct kb_memory *memory;
	struct kb_profile *profile = make_memory(&memory), *read = NULL;
	struct kb_memory_blocks blocks = { .size = 10, .count = 3, .oldest_ns = 1, .newest_ns = 2 };
	const struct kb_memory *again;
	struct recording recording;

	assert_int_equal(kb_memory__add_entry(memory, &entry), 0);
	assert_true(kb_memory__add_blocks(memory, &blocks));
	start(&recording);
	assert_ok(kb_recording_writer__flush(recording.writer, profile));
	assert_ok(kb_recording_writer__finish(recording.writer, profile));
	assert_ok(read_bytes(recording.bytes, recording.size, false, &read));
	again = kb_profile__memory(read);
	assert_non_null(again);
	assert_int_equal(kb_memory__frames_max(again), 7);
	assert_int_equal(kb_memory__taken_ns(again), 100000000000);
	/* It was written twice, and the last counts. */
	assert_int_equal(kb_memory__n_processes(again), 1);
	assert_memory_equal(kb_memory__process(again, 0), kb_memory__process(memory, 0),
			    sizeof(struct kb_memory_process_info));
	assert_int_equal(kb_memory__n_entries(again), 1);
	assert_memory_equal(kb_memory__entries(again), &entry, sizeof(entry));
	assert_memory_equal(kb_memory__blocks(again), &blocks, sizeof(blocks));
	kb_profile__destroy(read);
	kb_profile__destroy(profile);
	stop(&recording);
}

/* A recording of one section. */
static void refuse(enum kb_section_type type, const char *contents, size_t size, const char *text)
{
	struct kb_section_writer writer = {};
	struct recording recording = {};

	recording.stream = open_memstream(&recording.bytes, &recording.size);
	assert_ok(kb_section_writer__init(&writer, recording.stream));
	kb_buf__append(&writer.raw, contents, size);
	assert_ok(kb_section_writer__emit(&writer, type));
	assert_ok(kb_section_writer__flush(&writer));
	kb_section_writer__free(&writer);
	assert_refused(&recording, text);
	fclose(recording.stream);
	free(recording.bytes);
}

static void test_hostile(void **state)
{
	refuse(KB_SECTION_MEMORY, "\1", 1, "end within an entry");
	refuse(KB_SECTION_MEMORY, "\xff\xff\x7f\0", 4, "number of frames");
	refuse(KB_SECTION_MEMORY_ENTRIES, "\0\0\0", 3, "no section of type 64 before it");
	refuse(KB_SECTION_MEMORY_BLOCKS, "\0\0\0", 3, "no section of type 64 before it");
	refuse(KB_SECTION_MEMORY_PROCESSES, "\0", 1, "no section of type 64 before it");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allocators),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_hostile),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
