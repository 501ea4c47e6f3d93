// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* The stand-ins of env.h behave as the kernel's helpers do, where the programs rely on it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "host_bpf/env.c"

static struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 3);
	__type(key, kb_u32);
	__type(value, kb_u64);
} hash SEC(".maps");

static struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 3);
	__type(key, kb_u64);
	__type(value, kb_u32);
} lru SEC(".maps");

static struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, kb_u32);
	__type(value, kb_u64);
} array SEC(".maps");

static struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps"), other_ring SEC(".maps");

static int clear(void **state)
{
	kb_host__clear();
	kb_host.ring_bytes = SIZE_MAX;
	return 0;
}

static void test_hash(void **state)
{
	kb_u64 value = 7, *found;

	for (kb_u32 key = 0; key < 3; key++)
		assert_int_equal(bpf_map_update_elem(&hash, &key, &value, BPF_ANY), 0);
	assert_int_equal(bpf_map_update_elem(&hash, &(kb_u32){ 3 }, &value, BPF_ANY), -E2BIG);
	assert_int_equal(bpf_map_update_elem(&hash, &(kb_u32){ 1 }, &value, BPF_NOEXIST), -EEXIST);
	value = 8;
	assert_int_equal(bpf_map_update_elem(&hash, &(kb_u32){ 1 }, &value, BPF_ANY), 0);
	found = bpf_map_lookup_elem(&hash, &(kb_u32){ 1 });
	assert_non_null(found);
	assert_int_equal(*found, 8);
	*found = 9; /* in place */
	found = bpf_map_lookup_elem(&hash, &(kb_u32){ 1 });
	assert_int_equal(*found, 9);
	assert_int_equal(bpf_map_delete_elem(&hash, &(kb_u32){ 1 }), 0);
	assert_int_equal(bpf_map_delete_elem(&hash, &(kb_u32){ 1 }), -ENOENT);
	assert_null(bpf_map_lookup_elem(&hash, &(kb_u32){ 1 }));
	assert_int_equal(kb_host__count(&hash), 2);
}

static void test_lru_forgets(void **state)
{
	kb_u32 value = 1;

	for (kb_u64 key = 0; key < 10; key++)
		assert_int_equal(bpf_map_update_elem(&lru, &key, &value, BPF_ANY), 0);
	assert_int_equal(kb_host__count(&lru), 3);
	assert_null(bpf_map_lookup_elem(&lru, &(kb_u64){ 0 }));
	assert_non_null(bpf_map_lookup_elem(&lru, &(kb_u64){ 9 }));
}

static void test_array(void **state)
{
	kb_u64 value = 5, *found = bpf_map_lookup_elem(&array, &(kb_u32){ 1 });

	assert_non_null(found);
	assert_int_equal(*found, 0);
	assert_null(bpf_map_lookup_elem(&array, &(kb_u32){ 2 }));
	assert_int_equal(bpf_map_update_elem(&array, &(kb_u32){ 2 }, &value, BPF_ANY), -E2BIG);
	assert_int_equal(bpf_map_delete_elem(&array, &(kb_u32){ 1 }), -EINVAL);
}

static void test_ring(void **state)
{
	void *cursor = NULL;
	const char *record;
	size_t size;

	kb_host.ring_bytes = 10;
	assert_int_equal(bpf_ringbuf_output(&ring, "one", 4, 0), 0);
	assert_int_equal(bpf_ringbuf_output(&other_ring, "two", 4, 0), 0);
	assert_int_equal(bpf_ringbuf_output(&ring, "three", 6, 0), -EAGAIN);
	assert_int_equal(bpf_ringbuf_output(&ring, "x", 2, 0), 0);
	record = kb_host__next_record(&ring, &cursor, &size);
	assert_string_equal(record, "one");
	assert_int_equal(size, 4);
	assert_string_equal(kb_host__next_record(&ring, &cursor, &size), "x");
	assert_null(kb_host__next_record(&ring, &cursor, &size));
}

static long count_to(kb_u64 index, kb_u64 *stop)
{
	return index == *stop;
}

static void test_loops(void **state)
{
	struct bpf_iter_num it;
	kb_u64 stop = 5;
	int n = 0;

	assert_int_equal(bpf_loop(5, count_to, &stop, 0), 5);
	assert_int_equal(bpf_loop(100, count_to, &stop, 0), 6); /* the one that stopped counts */
	assert_int_equal(bpf_loop(KB_HOST_LOOPS_MAX + 1, count_to, &stop, 0), -E2BIG);
	bpf_iter_num_new(&it, 3, 7);
	for (int *value; (value = bpf_iter_num_next(&it)); n++)
		assert_int_equal(*value, 3 + n);
	bpf_iter_num_destroy(&it);
	assert_int_equal(n, 4);
	assert_null(bpf_iter_num_next(&it));
}

static bool no_memory(kb_u64 address, void *to, kb_u64 size, void *context)
{
	memset(to, 0xff, size);
	return false;
}

static void test_failed_read_clears(void **state)
{
	kb_u64 value = 1;

	kb_host.read = no_memory;
	assert_int_equal(kb_read_user(&value, sizeof(value), 0x1000), -EFAULT);
	assert_int_equal(value, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_hash, clear, clear),
		cmocka_unit_test_setup_teardown(test_lru_forgets, clear, clear),
		cmocka_unit_test_setup_teardown(test_array, clear, clear),
		cmocka_unit_test_setup_teardown(test_ring, clear, clear),
		cmocka_unit_test_setup_teardown(test_loops, clear, clear),
		cmocka_unit_test(test_failed_read_clears),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
