// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Records of audit events: as the kernel writes them, cut anywhere, and not as it would. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "bpf/shared/events.h"
#include "collect/audit_decode.h"
#include "collect/audit_rules.h"

struct record {
	struct kb_data_audit head;
	uint8_t body[16384];
	size_t size;
};

static void put(struct record *r, unsigned int tag, unsigned int flags, uint64_t length,
		const void *bytes, size_t size)
{
	uint64_t header = KB_AUDIT_HEADER(tag, flags, size, length);

	memcpy(r->body + r->size, &header, sizeof(header));
	if (size)
		memcpy(r->body + r->size + 8, bytes, size);
	r->size += 8 + ((size + 7) & ~(size_t)7);
}

static void put_text(struct record *r, const char *text)
{
	put(r, KB_AUDIT_STR, 1, strlen(text), text, strlen(text));
}

static void begin(struct record *r, const char *name, uint32_t n_args)
{
	memset(r, 0, sizeof(*r));
	r->head.kind = KB_DATA_AUDIT;
	r->head.n_args = n_args;
	r->head.name_bytes = (kb_u8)strlen(name);
	memcpy(r->body, name, strlen(name));
	r->size = (strlen(name) + 7) & ~(size_t)7;
}

/* One of everything. */
static void make_record(struct record *r)
{
	uint32_t digits[] = { 7, 1 };
	int64_t number = -5;
	double real = 1.5;
	uint64_t address = 0x1234;
	uint8_t object[16] = { 0 };

	memcpy(object, &address, 8);
	memcpy(object + 8, "mod.Type", 8);
	begin(r, "unit.event", 12);
	put(r, KB_AUDIT_NONE, 0, 0, NULL, 0);
	put(r, KB_AUDIT_BOOL, 0, 1, NULL, 0);
	put(r, KB_AUDIT_INT, KB_AUDIT_NEGATIVE, 2, digits, sizeof(digits));
	put(r, KB_AUDIT_NUMBER, 0, 0, &number, sizeof(number));
	put(r, KB_AUDIT_FLOAT, 0, 0, &real, sizeof(real));
	put(r, KB_AUDIT_STR, 2, 2, "\x03\x26\x00\xd8", 4);
	put(r, KB_AUDIT_BYTES, KB_AUDIT_CUT, 9, "a\0'", 3);
	put(r, KB_AUDIT_TUPLE, 0, 2, NULL, 0);
	put(r, KB_AUDIT_LIST, 0, 1, NULL, 0);
	put_text(r, "x");
	put(r, KB_AUDIT_END, 0, 0, NULL, 0);
	put(r, KB_AUDIT_DICT, KB_AUDIT_CUT, 70, NULL, 0);
	put_text(r, "key");
	put(r, KB_AUDIT_PATH, 0, 0, NULL, 0);
	put_text(r, "/a");
	put(r, KB_AUDIT_END, 0, 0, NULL, 0);
	put(r, KB_AUDIT_END, 0, 0, NULL, 0);
	put(r, KB_AUDIT_CODE, 0, 12, NULL, 0);
	put_text(r, "f");
	put_text(r, "/tmp/f.py");
	put(r, KB_AUDIT_OBJECT, 0, 0, object, sizeof(object));
	put(r, KB_AUDIT_UNREADABLE, 0, 0, NULL, 0);
}

static bool decode(struct kb_audit_decoder *d, struct record *r, size_t size,
		   struct kb_audit_event *event)
{
	/* Exactly as large, so that a sanitizer sees what is read behind it. */
	uint8_t *copy = malloc(sizeof(r->head) + size);
	bool ok;

	memcpy(copy, &r->head, sizeof(r->head));
	memcpy(copy + sizeof(r->head), r->body, size);
	ok = kb_audit_decoder__decode(d, (const void *)copy, sizeof(r->head) + size, event);
	free(copy);
	return ok;
}

static char *args_of(const struct kb_audit_event *event)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	kb_audit_event__write_args(event, stream);
	fclose(stream);
	return text;
}

static void test_values(void **state)
{
	struct kb_audit_decoder *d = kb_audit_decoder__create();
	struct kb_audit_event event = {};
	struct record r;
	char *text;

	make_record(&r);
	assert_true(decode(d, &r, r.size, &event));
	assert_string_equal(event.name, "unit.event");
	assert_int_equal(event.n_args, 11);
	assert_int_equal(event.n_args_total, 12);
	assert_true(event.cut);
	text = args_of(&event);
	assert_string_equal(text, "None, True, -1073741831, -5, 1.5, '☃\\ud800', b\"a\\x00'\"..., "
				  "(['x'], {'key': Path('/a'), ...}), <code f at /tmp/f.py:12>, "
				  "<mod.Type at 0x1234>, <unreadable>, ...");
	free(text);
	kb_audit_decoder__destroy(d);
}

/* Wherever it ends, there are values, no more than there are, and each can be written. */
static void test_cut_anywhere(void **state)
{
	struct kb_audit_decoder *d = kb_audit_decoder__create();
	FILE *sink = fopen("/dev/null", "w");
	struct kb_process_info process = { .comm = "", .command = "", .python = "" };
	size_t last = 0;
	struct record r;

	make_record(&r);
	for (size_t size = 0; size <= r.size; size++) {
		struct kb_audit_event event = {
			.process = &process, .thread = "", .container = "", .node = KB_ID_NONE
		};
		bool ok = decode(d, &r, size, &event);

		assert_int_equal(ok, size >= 16); /* the name, padded */
		if (!ok)
			continue;
		assert_true(event.n_args >= last && event.n_args <= 11);
		last = event.n_args;
		kb_audit_event__write_text(&event, sink);
		kb_audit_event__write_json(&event, sink);
	}
	fclose(sink);
	kb_audit_decoder__destroy(d);
}

/* Any word may be anything. */
static void test_damaged(void **state)
{
	struct kb_audit_decoder *d = kb_audit_decoder__create();
	struct kb_process_info process = { .comm = "", .command = "", .python = "" };
	FILE *sink = fopen("/dev/null", "w");
	uint64_t random = 1;

	for (int i = 0; i < 20000; i++) {
		struct kb_audit_event event = {
			.process = &process, .thread = "", .container = "", .node = KB_ID_NONE
		};
		struct record r;

		make_record(&r);
		for (int j = 0; j < 3; j++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			r.body[16 + (random >> 33) % (r.size - 16)] = (uint8_t)(random >> 24);
		}
		if (!decode(d, &r, r.size, &event))
			continue;
		kb_audit_event__write_text(&event, sink);
		kb_audit_event__write_json(&event, sink);
	}
	fclose(sink);
	kb_audit_decoder__destroy(d);
}

static void test_deep_and_many(void **state)
{
	struct kb_audit_decoder *d = kb_audit_decoder__create();
	struct kb_audit_event event = {};
	struct record r;

	begin(&r, "deep", 1);
	for (int i = 0; i < 900; i++)
		put(&r, KB_AUDIT_TUPLE, 0, 1, NULL, 0);
	assert_true(decode(d, &r, r.size, &event));
	begin(&r, "many", 2000);
	for (int i = 0; i < 2000; i++)
		put(&r, KB_AUDIT_NONE, 0, 0, NULL, 0);
	assert_true(decode(d, &r, r.size, &event));
	assert_int_equal(event.n_args_total, 2000);
	assert_true(event.cut);
	kb_audit_decoder__destroy(d);
}

/* ---------------------------------------------------------------- rules */

/* What the kernel does with them. */
static bool takes(const struct kb_audit_rules *rules, const char *name)
{
	uint64_t words[KB_AUDIT_NAME_MAX / 8] = { 0 };

	memcpy(words, name, strlen(name));
	for (uint32_t i = 0; i < rules->n; i++) {
		uint64_t differs = 0;

		for (size_t j = 0; j < KB_AUDIT_NAME_MAX / 8; j++)
			differs |= (words[j] & rules->rules[i].mask[j]) ^ rules->rules[i].value[j];
		if (!differs)
			return rules->rules[i].take;
	}
	return rules->others;
}

static struct kb_audit_rules rules_of(const char *const *events, size_t n)
{
	struct kb_audit_opts opts = { .size = sizeof(opts), .events = events, .n_events = n };
	struct kb_audit_rules rules;

	assert_null(kb_audit_rules__make(&opts, &rules));
	return rules;
}

static void test_rules(void **state)
{
	const char *some[] = { "os.*", "!os.l*", "os.listdir", "open" };
	const char *not_these[] = { "!import", "!sys.*" };
	struct kb_audit_rules rules = rules_of(some, 4);

	assert_true(takes(&rules, "os.chmod") && takes(&rules, "os.listdir") &&
		    takes(&rules, "open"));
	assert_false(takes(&rules, "os.link") || takes(&rules, "openat") || takes(&rules, "ope") ||
		     takes(&rules, "os"));
	rules = rules_of(not_these, 2);
	assert_true(takes(&rules, "imports") && takes(&rules, "open"));
	assert_false(takes(&rules, "import") || takes(&rules, "sys._getframe"));
	rules = rules_of(NULL, 0);
	assert_true(takes(&rules, "anything"));
}

static void test_bad_rules(void **state)
{
	static const char *const bad[] = { "",
					   "!",
					   "a*b",
					   "a b",
					   "!!a",
					   "a,b",
					   "0123456789012345678901234567890123456789012345678901234"
					   "567890123" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		struct kb_audit_opts opts = { .size = sizeof(opts),
					      .events = &bad[i],
					      .n_events = 1 };
		struct kb_audit_rules rules;
		struct kb_error *err = kb_audit_rules__make(&opts, &rules);

		assert_int_equal(kb_error__status(err), KB_STATUS_USAGE);
		kb_error__destroy(err);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),	cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_damaged), cmocka_unit_test(test_deep_and_many),
		cmocka_unit_test(test_rules),	cmocka_unit_test(test_bad_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
