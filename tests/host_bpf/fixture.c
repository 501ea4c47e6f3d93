// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * What the tests of the walker have in common, for inclusion after cmocka.h, recording.c and
 * walker.c. They run in the directory of the Makefile.
 */

/* Of one sample: every thread state, then every frame, its code object and all of its line table.
 */
#define READS_MAX (3 * LIST_STEPS_MAX + KB_FRAMES_MAX * (8 + KB_LINES_CHUNKS) + 64)

static struct recording *recordings;
static unsigned n_recordings;
static struct walked walked;

/* All recordings, and memory reads from what kb_host.context then points to. */
static int load_recordings(void **state)
{
	struct kb_error *err = recording__load_all("tests/recordings", &recordings, &n_recordings);

	if (err)
		print_error("%s\n", kb_error__text(err));
	kb_host.read = recording__read;
	return err ? -1 : 0;
}

static int free_recordings(void **state)
{
	walker__clear();
	for (unsigned i = 0; i < n_recordings; i++)
		recording__free(&recordings[i]);
	free(recordings);
	return 0;
}

/* Into `walked`: ends with a status that exists, after a bounded number of reads. */
static void sample(struct recording *recording, kb_u64 tp, unsigned ways)
{
	struct kb_proc proc = recording->proc;
	kb_u64 before = kb_host.reads, iterators = kb_host.iterators;

	kb_host.context = recording;
	kb_host.ring_bytes = SIZE_MAX;
	walker__restrict(&proc, ways);
	walker__sample(&proc, &recording->layout, tp, 1, &walked);
	assert_in_range(walked.status, KB_WALK_OK, KB_WALK_NO_FRAME);
	assert_in_range(walked.code_status, KB_CODE_OK, KB_CODE_RING_FULL);
	assert_in_range(kb_host.reads - before, ways ? 1 : 0, READS_MAX);
	if (walked.status <= KB_WALK_TRUNCATED)
		assert_int_equal(kb_host.iterators == iterators, kb_host.no_iterators);
}

/* All tests twice: the walk by an iterator, and by bpf_loop as on kernels before 6.4. */
#define run_with_each_loop(tests)                                                                  \
	({                                                                                         \
		int kb_failed_ = cmocka_run_group_tests_name("iterator", tests, load_recordings,   \
							     free_recordings);                     \
		kb_host.no_iterators = true;                                                       \
		kb_failed_ + cmocka_run_group_tests_name("bpf_loop", tests, load_recordings,       \
							 free_recordings);                         \
	})
