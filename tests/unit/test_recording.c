// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Recordings: what is written is read, in one go or in parts; what is cut, damaged, hostile or
 * newer is told. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>
#include <zlib.h>
#include "model/recording_format.h"
#include "unit/recording_util.h"

/* Adds a process with two threads and n stacks; different numbers give different content. */
static void fill_profile(struct kb_profile *profile, int number, uint32_t n)
{
	char text[64];
	struct kb_process_info process = {
		sizeof(process), 1000 + number, 1,	 1, 1ull << 50 | number, 77,
		"python3",	 text,		"3.12.1"
	};
	struct kb_thread_info thread = { sizeof(thread), 0, 1000 + number, 1, "main" };
	struct kb_function_info function = { sizeof(function), KB_FRAME_PYTHON, "/a/file.py",
					     text };
	uint32_t node = KB_ID_NONE, threads[2];

	snprintf(text, sizeof(text), "python3 prog.py %d", number);
	thread.process = kb_profile__add_process(profile, &process);
	threads[0] = kb_profile__add_thread(profile, &thread);
	thread.tid += 100000;
	thread.name = "";
	threads[1] = kb_profile__add_thread(profile, &thread);
	for (uint32_t i = 0; i < n; i++) {
		snprintf(text, sizeof(text), "function_%u", i % 50);
		function.kind = i % 7 ? KB_FRAME_PYTHON : KB_FRAME_MARKER;
		function.first_line = (int32_t)i % 50 - 1;
		node = kb_profile__add_node(
			profile, i % 20 ? node : KB_ID_NONE,
			kb_profile__add_place(profile, &function, (int32_t)i / 10));
		assert_true(kb_profile__add_samples(profile, threads[i % 2], node, i + 1));
		kb_profile__ledger_add(profile, KB_L_GOOD, i + 1);
	}
	kb_profile__ledger_add(profile, KB_L_RING_FULL, 3);
}

static void write_whole(struct recording *recording, const struct kb_profile *profile)
{
	start(recording);
	assert_ok(kb_recording_writer__finish(recording->writer, profile));
}

/* ---- equality */

static void assert_meta_equal(const struct kb_profile_meta *a, const struct kb_profile_meta *b)
{
	assert_int_equal(a->size, sizeof(*a));
	assert_int_equal(a->clock, b->clock);
	assert_true(a->rate_hz == b->rate_hz && a->jitter == b->jitter);
	assert_int_equal(a->start_unix_ns, b->start_unix_ns);
	assert_int_equal(a->duration_ns, b->duration_ns);
	assert_string_equal(a->target, b->target);
	assert_string_equal(a->host, b->host);
	assert_string_equal(a->kernel, b->kernel);
	assert_string_equal(a->version, b->version);
	assert_int_equal(a->incomplete, b->incomplete);
	assert_true(a->mode == b->mode && a->unit == b->unit);
}

static void assert_processes_equal(const struct kb_profile *a, const struct kb_profile *b)
{
	assert_int_equal(kb_profile__n_processes(a), kb_profile__n_processes(b));
	for (uint32_t i = 0; i < kb_profile__n_processes(a); i++) {
		const struct kb_process_info *p = kb_profile__process(a, i);
		const struct kb_process_info *q = kb_profile__process(b, i);

		assert_true(p->pid == q->pid && p->ns_pid == q->ns_pid && p->parent == q->parent &&
			    p->start_ns == q->start_ns && p->cgroup == q->cgroup);
		assert_string_equal(p->comm, q->comm);
		assert_string_equal(p->command, q->command);
		assert_string_equal(p->python, q->python);
	}
	assert_int_equal(kb_profile__n_threads(a), kb_profile__n_threads(b));
	for (uint32_t i = 0; i < kb_profile__n_threads(a); i++) {
		const struct kb_thread_info *p = kb_profile__thread(a, i);
		const struct kb_thread_info *q = kb_profile__thread(b, i);

		assert_true(p->process == q->process && p->tid == q->tid && p->ns_tid == q->ns_tid);
		assert_string_equal(p->name, q->name);
		assert_string_equal(p->python_name, q->python_name);
	}
}

static void assert_functions_equal(const struct kb_profile *a, const struct kb_profile *b)
{
	assert_int_equal(kb_profile__n_functions(a), kb_profile__n_functions(b));
	for (uint32_t i = 0; i < kb_profile__n_functions(a); i++) {
		const struct kb_function_info *p = kb_profile__function(a, i);
		const struct kb_function_info *q = kb_profile__function(b, i);

		assert_true(p->kind == q->kind && p->first_line == q->first_line);
		assert_string_equal(p->file, q->file);
		assert_string_equal(p->name, q->name);
	}
	assert_int_equal(kb_profile__n_frames(a), kb_profile__n_frames(b));
	for (uint32_t i = 0; i < kb_profile__n_frames(a); i++) {
		const struct kb_frame_info *p = kb_profile__frame(a, i);
		const struct kb_frame_info *q = kb_profile__frame(b, i);

		assert_true(p->function == q->function && p->line == q->line);
		assert_string_equal(p->opcode, q->opcode);
	}
}

static uint64_t count_of(const struct kb_profile *profile, uint32_t thread, uint32_t node)
{
	const struct kb_sample *samples = kb_profile__samples(profile);

	for (uint32_t i = 0; i < kb_profile__n_samples(profile); i++)
		if (samples[i].thread == thread && samples[i].node == node)
			return samples[i].count;
	return 0;
}

static void assert_profiles_equal(const struct kb_profile *a, const struct kb_profile *b)
{
	const struct kb_sample *samples = kb_profile__samples(a);

	assert_meta_equal(kb_profile__meta(a), kb_profile__meta(b));
	assert_processes_equal(a, b);
	assert_functions_equal(a, b);
	assert_int_equal(kb_profile__n_nodes(a), kb_profile__n_nodes(b));
	if (kb_profile__n_nodes(a))
		assert_memory_equal(kb_profile__nodes(a), kb_profile__nodes(b),
				    kb_profile__n_nodes(a) * sizeof(struct kb_stack_node));
	assert_int_equal(kb_profile__n_samples(a), kb_profile__n_samples(b));
	for (uint32_t i = 0; i < kb_profile__n_samples(a); i++)
		assert_int_equal(samples[i].count, count_of(b, samples[i].thread, samples[i].node));
	assert_int_equal(kb_profile__total(a), kb_profile__total(b));
	assert_int_equal(kb_profile__n_moments(a), kb_profile__n_moments(b));
	if (kb_profile__n_moments(a))
		assert_memory_equal(kb_profile__moments(a), kb_profile__moments(b),
				    kb_profile__n_moments(a) * sizeof(struct kb_moment));
	for (size_t i = 0; i < kb_profile__n_ledger(a); i++)
		assert_int_equal(kb_profile__ledger(a, i).count, kb_profile__ledger(b, i).count);
}

static void assert_reads_as(const struct recording *recording, const struct kb_profile *profile)
{
	struct kb_profile *read;

	assert_ok(read_bytes(recording->bytes, recording->size, false, &read));
	assert_profiles_equal(profile, read);
	kb_profile__destroy(read);
}

/* ---- whole recordings */

static void test_round_trip(void **state)
{
	struct kb_profile *profile = make_profile();
	struct recording recording;

	fill_profile(profile, 1, 2000);
	fill_profile(profile, 2, 300);
	write_whole(&recording, profile);
	assert_reads_as(&recording, profile);
	stop(&recording);
	kb_profile__destroy(profile);
}

/* What format 1.1 added: mode and unit, opcodes, Python's names of threads, single samples. */
static void test_sampling_states(void **state)
{
	struct kb_profile *profile = make_profile();
	struct kb_profile_meta meta = *kb_profile__meta(profile);
	struct kb_thread_info named = { sizeof(named), 0, 1001, 1, "main", "MainThread" };
	struct recording recording;
	uint32_t frame, node;

	fill_profile(profile, 1, 100);
	kb_profile__add_thread(profile, &named);
	start(&recording);
	assert_ok(kb_recording_writer__flush(recording.writer, profile));
	meta.mode = KB_MODE_WALL;
	meta.unit = KB_UNIT_NS;
	assert_ok(kb_profile__set_meta(profile, &meta));
	frame = kb_profile__add_opcode(profile, 3, "LOAD_ATTR_SLOT");
	assert_int_not_equal(frame, 3);
	assert_int_equal(kb_profile__add_opcode(profile, 3, "LOAD_ATTR_SLOT"), frame);
	assert_int_equal(kb_profile__add_opcode(profile, 3, ""), 3);
	node = kb_profile__add_node(profile, 5, frame);
	for (uint32_t i = 0; i < 1000; i++) {
		struct kb_moment moment = { (uint64_t)i << 32, i + 1, i % 2, i % node, i % 16 };

		assert_true(kb_profile__add_moment(profile, &moment));
	}
	assert_false(kb_profile__add_moment(profile, &(struct kb_moment){ .thread = 2 }));
	assert_ok(kb_recording_writer__finish(recording.writer, profile));
	assert_reads_as(&recording, profile);
	stop(&recording);
	kb_profile__destroy(profile);
}

static void test_empty_profile(void **state)
{
	struct kb_profile *profile = make_profile();
	struct recording recording;

	write_whole(&recording, profile);
	assert_reads_as(&recording, profile);
	stop(&recording);
	kb_profile__destroy(profile);
}

/* More than one section of each kind, and strings that fill a section. */
static void test_large_profile(void **state)
{
	struct kb_profile *profile = make_profile();
	struct kb_process_info process = { sizeof(process) };
	struct recording recording;
	static char text[65536];

	memset(text, 'x', sizeof(text) - 1);
	for (process.pid = 0; process.pid < 60; process.pid++) {
		snprintf(text, sizeof(text), "%d", process.pid);
		text[strlen(text)] = 'x';
		process.command = text;
		kb_profile__add_process(profile, &process);
	}
	fill_profile(profile, 1, 1000);
	for (uint32_t i = 0, node = KB_ID_NONE; i < 700000; i++)
		node = kb_profile__add_node(profile, node, i % kb_profile__n_frames(profile));
	write_whole(&recording, profile);
	assert_reads_as(&recording, profile);
	stop(&recording);
	kb_profile__destroy(profile);
}

static void test_incremental(void **state)
{
	struct kb_profile *profile = make_profile();
	struct kb_profile_meta meta = *kb_profile__meta(profile);
	struct kb_process_info late = { sizeof(late), 5, .start_ns = 9, .comm = "sh" };
	struct recording recording;
	size_t before;

	start(&recording);
	kb_profile__add_process(profile, &late);
	fill_profile(profile, 1, 100);
	assert_ok(kb_recording_writer__flush(recording.writer, profile));
	before = recording.size;
	assert_ok(kb_recording_writer__flush(recording.writer, profile));
	assert_int_equal(recording.size, before);

	late.command = "sh -c true";
	kb_profile__add_process(profile, &late);
	fill_profile(profile, 1, 100);
	fill_profile(profile, 2, 200);
	assert_ok(kb_recording_writer__flush(recording.writer, profile));
	kb_profile__add_samples(profile, 0, 0, 5);
	meta.target = "pid 12 and later ones";
	meta.duration_ns *= 2;
	assert_ok(kb_profile__set_meta(profile, &meta));
	assert_ok(kb_recording_writer__finish(recording.writer, profile));
	assert_reads_as(&recording, profile);
	assert_error(kb_recording_writer__flush(recording.writer, profile), "finished");
	stop(&recording);
	kb_profile__destroy(profile);
}

static void test_flushed_part(void **state)
{
	struct kb_profile *profile = make_profile(), *read;
	struct recording recording;

	start(&recording);
	fill_profile(profile, 1, 100);
	assert_ok(kb_recording_writer__flush(recording.writer, profile));
	assert_refused(&recording, "ends too soon");
	assert_refused(&recording, "(ledger)");
	assert_ok(read_bytes(recording.bytes, recording.size, true, &read));
	assert_true(kb_profile__meta(read)->incomplete);
	/* What was incomplete stays so when it is written again. */
	stop(&recording);
	write_whole(&recording, read);
	assert_reads_as(&recording, read);
	stop(&recording);
	kb_profile__destroy(read);
	kb_profile__destroy(profile);
}

/* ---- damage */

static uint64_t reported(const struct kb_profile *profile)
{
	return kb_profile__ledger_get(profile, KB_L_GOOD) +
	       kb_profile__ledger_get(profile, KB_L_TRUNCATED);
}

static void make_small(struct recording *recording)
{
	struct kb_profile *profile = make_profile();

	start(recording);
	fill_profile(profile, 1, 12);
	assert_ok(kb_recording_writer__flush(recording->writer, profile));
	fill_profile(profile, 2, 30);
	assert_ok(kb_recording_writer__finish(recording->writer, profile));
	kb_profile__destroy(profile);
}

static void test_truncated_at_every_byte(void **state)
{
	struct kb_profile *profile = NULL;
	struct recording recording;
	uint64_t total = 0;

	make_small(&recording);
	for (size_t size = 0; size < recording.size; size++) {
		struct kb_error *err = read_bytes(recording.bytes, size, true, &profile);

		if (size < sizeof(struct kb_recording_header)) {
			assert_error(err, size ? "ends too soon" : "empty");
		} else {
			assert_ok(err);
			assert_true(kb_profile__meta(profile)->incomplete);
			assert_true(kb_profile__total(profile) >= total);
			total = kb_profile__total(profile);
			assert_true(reported(profile) >= total);
			kb_profile__destroy(profile);
		}
		assert_error(read_bytes(recording.bytes, size, false, &profile),
			     size ? "ends too soon: at byte" : "empty");
	}
	assert_int_equal(total, 12 * 13 / 2 + 30 * 31 / 2);
	stop(&recording);
}

static void test_bit_flips_at_every_byte(void **state)
{
	struct kb_profile *profile = NULL;
	struct recording recording;

	make_small(&recording);
	for (size_t bit = 0; bit < recording.size * 8; bit++) {
		struct kb_error *err;

		recording.bytes[bit / 8] ^= (char)(1 << bit % 8);
		err = read_bytes(recording.bytes, recording.size, false, &profile);
		if (!err)
			fail_msg("bit %zu was not noticed", bit);
		kb_error__destroy(err);
		err = read_bytes(recording.bytes, recording.size, true, &profile);
		if (!err) {
			assert_true(kb_profile__meta(profile)->incomplete);
			kb_profile__destroy(profile);
		}
		kb_error__destroy(err);
		recording.bytes[bit / 8] ^= (char)(1 << bit % 8);
	}
	stop(&recording);
}

static void test_trailing_bytes(void **state)
{
	struct kb_profile *profile = make_profile();
	struct recording recording;

	write_whole(&recording, profile);
	fwrite("more", 1, 4, recording.stream);
	fflush(recording.stream);
	assert_refused(&recording, "goes on after its end section");
	stop(&recording);
	kb_profile__destroy(profile);
}

static void test_other_files(void **state)
{
	struct recording text = { .bytes =
					  (char *)"{\"not\": \"a recording\", \"but\": \"JSON\"}" };

	text.size = strlen(text.bytes);
	assert_refused(&text, "not a recording");
	text.size = 3;
	assert_refused(&text, "not a recording");
}

/* ---- versions */

static void reseal(struct recording *recording, struct kb_recording_header *header)
{
	header->crc =
		(uint32_t)crc32_z(0, (void *)header, offsetof(struct kb_recording_header, crc));
	memcpy(recording->bytes, header, sizeof(*header));
}

static void test_versions(void **state)
{
	struct kb_profile *profile = make_profile();
	struct kb_recording_header header, changed;
	struct recording recording;

	write_whole(&recording, profile);
	memcpy(&header, recording.bytes, sizeof(header));
	changed = header;
	changed.major = 2;
	reseal(&recording, &changed);
	assert_refused(&recording, "format 2.3, this keelback reads 1.x: use a newer keelback");
	changed.major = 0;
	reseal(&recording, &changed);
	assert_refused(&recording, "format 0.3, this keelback reads 1.x");
	changed = header;
	changed.byte_order = __builtin_bswap32(header.byte_order);
	reseal(&recording, &changed);
	assert_refused(&recording, "byte order");
	changed = header;
	changed.flags = 4;
	reseal(&recording, &changed);
	assert_refused(&recording, "unknown flags 0x4");
	changed = header;
	changed.minor = 9;
	reseal(&recording, &changed);
	assert_reads_as(&recording, profile);
	stop(&recording);
	kb_profile__destroy(profile);
}

/* ---- files */

static void test_disk_full(void **state)
{
	struct kb_recording_writer *writer = NULL;
	FILE *full = fopen("/dev/full", "w");

	assert_non_null(full);
	assert_error(kb_recording_writer__create(full, &writer),
		     "cannot write the recording: No space left on device");
	assert_null(writer);
	fclose(full);
}

/* A disk that becomes full: writes past the limit fail as they do there. */
static ssize_t limited_write(void *cookie, const char *bytes, size_t size)
{
	size_t *left = cookie;

	if (size > *left) {
		errno = ENOSPC;
		return 0;
	}
	*left -= size;
	return (ssize_t)size;
}

static void test_disk_becomes_full(void **state)
{
	struct kb_profile *profile = make_profile();

	fill_profile(profile, 1, 3000);
	for (size_t limit = 40; limit < 8000; limit += 700) {
		cookie_io_functions_t functions = { .write = limited_write };
		struct kb_recording_writer *writer;
		size_t left = limit;
		FILE *stream = fopencookie(&left, "w", functions);

		setvbuf(stream, NULL, _IONBF, 0);
		assert_ok(kb_recording_writer__create(stream, &writer));
		assert_error(kb_recording_writer__flush(writer, profile), "No space left");
		assert_error(kb_recording_writer__finish(writer, profile), "broken");
		kb_recording_writer__destroy(writer);
		fclose(stream);
	}
	kb_profile__destroy(profile);
}

static void test_load(void **state)
{
	struct kb_profile *profile = make_profile(), *read = NULL;
	char path[] = "/tmp/keelback-test-XXXXXX";
	struct kb_recording_writer *writer;
	FILE *file = fdopen(mkstemp(path), "w");

	fill_profile(profile, 1, 5000);
	assert_ok(kb_recording_writer__create(file, &writer));
	assert_ok(kb_recording_writer__finish(writer, profile));
	kb_recording_writer__destroy(writer);
	assert_ok(kb_profile__load(path, false, &read));
	assert_profiles_equal(profile, read);
	kb_profile__destroy(read);
	assert_int_equal(ftruncate(fileno(file), 100), 0);
	assert_error(kb_profile__load(path, false, &read), "ends too soon: at byte 100");
	assert_ok(kb_profile__load(path, true, &read));
	kb_profile__destroy(read);
	/* Sparse, and larger than any recording may be. */
	assert_int_equal(ftruncate(fileno(file), 5ll << 30), 0);
	assert_error(kb_profile__load(path, false, &read), "4294967296");
	fclose(file);
	unlink(path);
	assert_error(kb_profile__load(path, false, &read), "No such file");
	assert_error(kb_profile__load("/", false, &read), "cannot read /: Is a directory");
	kb_profile__destroy(profile);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_sampling_states),
		cmocka_unit_test(test_empty_profile),
		cmocka_unit_test(test_large_profile),
		cmocka_unit_test(test_incremental),
		cmocka_unit_test(test_flushed_part),
		cmocka_unit_test(test_truncated_at_every_byte),
		cmocka_unit_test(test_bit_flips_at_every_byte),
		cmocka_unit_test(test_trailing_bytes),
		cmocka_unit_test(test_other_files),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_disk_full),
		cmocka_unit_test(test_disk_becomes_full),
		cmocka_unit_test(test_load),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
