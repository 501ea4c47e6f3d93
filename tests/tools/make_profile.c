// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * usage: make_profile PROFILE FORMAT [OPTION…] > FILE
 *
 * Writes a profile that is always the same, for the tests of the formats.
 *
 *   small    two processes, three threads, recursion, two files of one name, a marker, a ledger
 *   hostile  names that try to break out of each format
 *   deep     one stack of 20,000 frames
 *   large    about 50,000 nodes of 4,000 functions
 *   medium   as large, 2 MB as collapsed stacks
 *   huge     about 600,000 nodes, more than a flame graph draws one by one
 *   empty    no samples
 *   mixed    wall clock in nanoseconds: native and kernel frames, markers, opcodes, named threads
 *   timeline single samples of two threads with their times, waits, a collection, opcodes
 *   before   1,000 samples, and
 *   after    2,000 of a later version: functions that grew, shrank, moved, are new, have gone
 *
 * Options: lines threads processes color no-summary sort=KEY limit=N title=TEXT
 * and of the profile: mode=NUMBER unit=NUMBER rate=HZ, app=PATH instead of /srv/shop/app.py
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/error.h"
#include "keelback/format.h"
#include "model/profile.h"

#define JSON "/usr/lib/python3.12/json/__init__.py"
#define LOG  "/usr/lib/python3.12/logging/__init__.py"

static struct kb_profile *profile;
static const char *app = "/srv/shop/app.py";

static void fail_on(struct kb_error *err)
{
	if (!err)
		return;
	fprintf(stderr, "make_profile: %s\n", kb_error__text(err));
	exit(1);
}

static uint32_t checked(uint32_t id)
{
	if (id != KB_ID_NONE)
		return id;
	fputs("make_profile: a limit was reached\n", stderr);
	exit(1);
}

static void create_as(const char *target, enum kb_sample_mode mode, enum kb_unit unit)
{
	struct kb_profile_meta meta = {
		.size = sizeof(meta),
		.clock = KB_CLOCK_CPU,
		.rate_hz = 1000,
		.jitter = true,
		.start_unix_ns = 1767225600000000000, /* 2026-01-01 00:00 UTC */
		.duration_ns = 4020000000,
		.target = target,
		.host = "build-7",
		.kernel = "6.1.0-31-amd64",
		.version = "0.1.0",
		.mode = mode,
		.unit = unit,
	};

	fail_on(kb_profile__create(&meta, &profile));
}

static void create(const char *target)
{
	create_as(target, KB_MODE_CPU, KB_UNIT_SAMPLES);
}

static uint32_t add_named_thread(int32_t pid, const char *comm, int32_t tid, const char *name,
				 const char *python_name)
{
	struct kb_process_info process = {
		.size = sizeof(process),
		.pid = pid,
		.ns_pid = pid,
		.start_ns = (uint64_t)pid * 1000,
		.comm = comm,
		.command = comm,
		.python = "3.12.1",
	};
	struct kb_thread_info thread = { .size = sizeof(thread), .tid = tid, .ns_tid = tid };

	thread.process = checked(kb_profile__add_process(profile, &process));
	thread.name = name;
	thread.python_name = python_name;
	return checked(kb_profile__add_thread(profile, &thread));
}

static uint32_t add_thread(int32_t pid, const char *comm, int32_t tid, const char *name)
{
	return add_named_thread(pid, comm, tid, name, "");
}

static uint32_t call_kind(uint32_t parent, enum kb_frame_kind kind, const char *name,
			  const char *file, int32_t first_line, int32_t line)
{
	struct kb_function_info function = {
		.size = sizeof(function),
		.kind = kind,
		.file = file,
		.name = name,
		.first_line = first_line,
	};

	return checked(kb_profile__add_node(
		profile, parent, checked(kb_profile__add_place(profile, &function, line))));
}

static uint32_t call(uint32_t parent, const char *name, const char *file, int32_t first_line,
		     int32_t line)
{
	return call_kind(parent, KB_FRAME_PYTHON, name, file, first_line, line);
}

static void count(uint32_t thread, uint32_t node, uint64_t n)
{
	if (!kb_profile__add_samples(profile, thread, node, n))
		checked(KB_ID_NONE);
	/* The ledger counts samples, also where the profile counts nanoseconds: 1 kHz. */
	if (kb_profile__meta(profile)->unit == KB_UNIT_NS)
		n /= 1000000;
	kb_profile__ledger_add(profile, KB_L_GOOD, n);
}

static void make_small(void)
{
	uint32_t main_thread, worker, other, module, serve, dumps, walk;

	create("python3 app.py");
	main_thread = add_thread(100, "python3", 100, "python3");
	worker = add_thread(100, "python3", 101, "worker-1");
	other = add_thread(200, "cron", 200, "cron");

	module = call(KB_ID_NONE, "<module>", app, 1, 40);
	serve = call(module, "Server.serve", app, 10, 14);
	count(main_thread, serve, 150);
	count(main_thread, call(module, "Server.serve", app, 10, 16), 50);
	dumps = call(serve, "dumps", JSON, 183, 231);
	count(main_thread, dumps, 1000);
	count(worker, dumps, 200);
	count(main_thread, call(serve, "info", LOG, 1500, 1501), 100);
	/* walk calls itself three times: 700 stacks have it, not 1,500. */
	walk = call(module, "walk", app, 20, 22);
	count(main_thread, walk, 100);
	walk = call(walk, "walk", app, 20, 22);
	count(main_thread, walk, 400);
	walk = call(walk, "walk", app, 20, 24);
	count(main_thread, walk, 200);
	count(other, call(KB_ID_NONE, "<module>", "/etc/cron.d/clean.py", 1, 3), 25);

	walk = call_kind(KB_ID_NONE, KB_FRAME_MARKER, "<truncated>", "", 0, 0);
	if (!kb_profile__add_samples(profile, worker, call(walk, "walk", app, 20, 22), 7))
		checked(KB_ID_NONE);
	kb_profile__ledger_add(profile, KB_L_TRUNCATED, 7);
	kb_profile__ledger_add(profile, KB_L_NO_FRAME, 12);
	kb_profile__ledger_add(profile, KB_L_BAD_FRAME, 3);
	kb_profile__ledger_add(profile, KB_L_UNNAMED_FRAMES, 2);
}

static uint32_t execute(uint32_t parent, const char *name, int32_t first_line, int32_t line,
			const char *opcode)
{
	struct kb_function_info function = {
		.size = sizeof(function), .file = app, .name = name, .first_line = first_line
	};
	uint32_t frame = checked(kb_profile__add_place(profile, &function, line));

	return checked(kb_profile__add_node(
		profile, parent, checked(kb_profile__add_opcode(profile, frame, opcode))));
}

/* All times are ms. */
static void make_mixed(void)
{
	static const uint64_t ms = 1000000;
	uint32_t main_thread, worker, module, pack, native, kernel;

	create_as("python3 pack.py", KB_MODE_WALL, KB_UNIT_NS);
	main_thread = add_named_thread(600, "python3", 600, "python3", "MainThread");
	worker = add_named_thread(600, "python3", 601, "python3", "packer_1");
	module = call(KB_ID_NONE, "<module>", app, 1, 40);
	pack = call(module, "pack", app, 10, 12);
	count(main_thread, execute(module, "add", 30, 31, "BINARY_OP_ADD_INT"), 300 * ms);
	count(main_thread, execute(module, "add", 30, 31, "LOAD_FAST"), 100 * ms);
	native = call_kind(pack, KB_FRAME_NATIVE, "zlib_compress", "/usr/lib/zlib.so", 0, 0);
	native = call_kind(native, KB_FRAME_NATIVE, "deflate", "/usr/lib/libz.so.1", 0, 0);
	count(worker, native, 900 * ms);
	kernel = call_kind(native, KB_FRAME_KERNEL, "asm_exc_page_fault", "", 0, 0);
	kernel = call_kind(kernel, KB_FRAME_KERNEL, "clear_page_erms", "", 0, 0);
	count(worker, kernel, 200 * ms);
	count(worker, call_kind(pack, KB_FRAME_MARKER, "<native>", "", 0, 0), 250 * ms);
	count(main_thread, call_kind(pack, KB_FRAME_MARKER, "<GC>", "", 0, 0), 50 * ms);
	count(main_thread, call(module, "wait", "/usr/lib/python3.12/threading.py", 355, 359),
	      2200 * ms);
}

/* A sample at a time, and in the sums; both in ms. */
static void sample_at(uint32_t thread, uint32_t node, uint64_t at, uint64_t n, uint32_t flags)
{
	static const uint64_t ms = 1000000;
	struct kb_moment moment = {
		.time_ns = at * ms, .count = n * ms, .thread = thread, .node = node, .flags = flags
	};

	count(thread, node, n * ms);
	if (!kb_profile__add_moment(profile, &moment))
		checked(KB_ID_NONE);
}

/*
 * The main thread works for 100 ms, waits for 50, collects garbage for 20, is not seen until
 * 300 and handles an exception for 10. The other waits for 150 and compresses for 50.
 */
static void make_timeline(void)
{
	uint32_t main_thread, worker, module, wait, work[2], collect, handle, native;

	create_as("python3 steps.py", KB_MODE_WALL, KB_UNIT_NS);
	main_thread = add_named_thread(700, "python3", 700, "python3", "MainThread");
	worker = add_named_thread(700, "python3", 701, "python3", "zipper");
	module = call(KB_ID_NONE, "<module>", app, 1, 50);
	work[0] = execute(module, "work", 10, 12, "LOAD_FAST");
	work[1] = execute(module, "work", 10, 12, "BINARY_OP");
	wait = call(module, "wait", app, 20, 21);
	collect = call_kind(call(module, "work", app, 10, 14), KB_FRAME_MARKER, "<GC>", "", 0, 0);
	handle = call(module, "handle", app, 30, 33);
	native = call_kind(module, KB_FRAME_NATIVE, "deflate", "/usr/lib/libz.so.1", 0, 0);
	for (uint64_t at = 0; at < 100; at++)
		sample_at(main_thread, work[at >= 60], at, 1, KB_MOMENT_GIL);
	for (uint64_t at = 150; at < 170; at++)
		sample_at(main_thread, collect, at, 1, KB_MOMENT_GIL | KB_MOMENT_GC);
	/* A wait is known when it is over. */
	sample_at(main_thread, wait, 100, 50, KB_MOMENT_OFF_CPU);
	sample_at(worker, wait, 0, 150, KB_MOMENT_OFF_CPU);
	for (uint64_t at = 150; at < 200; at++)
		sample_at(worker, native, at, 1, 0);
	for (uint64_t at = 300; at < 310; at++)
		sample_at(main_thread, handle, at, 1, KB_MOMENT_GIL | KB_MOMENT_EXCEPTION);
}

static void make_hostile(void)
{
	static const char *const names[] = {
		"</script><script>window.hacked=1</script>",
		"<!--<script>",
		"<img src=x onerror=window.hacked=1>",
		"\"};window.hacked=1;//",
		"a;b c\nd 12\r\te",
		"\033[31mred\033]0;title\007",
		"bad \xff\xc0\xaf\xed\xa0\x80 bytes",
		"\xe2\x80\xaegnp.exe\xe2\x80\xa8 bidi \xc2\x9b",
		"größe_日本語_🐍",
		"back\\slash \\u003c $& $` ${x}",
		"",
	};
	uint32_t thread, root;

	create("</title><script>window.hacked=1</script>");
	thread = add_thread(300, "a;b\n\033[2J", 301, "<b>t</b>;\xff");
	root = call(KB_ID_NONE, "<module>", "/tmp/<i>;\n.py", 1, 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		count(thread, call(root, names[i], names[i], (int32_t)i, (int32_t)i), 20 - i);
}

static void make_deep(void)
{
	uint32_t thread, node = KB_ID_NONE;

	create("deep");
	thread = add_thread(400, "python3", 400, "python3");
	for (int i = 0; i < 20000; i++) {
		node = call(node, i % 3 ? "even" : "odd", app, i % 3 ? 10 : 20, 30);
		if (i % 1000 == 999)
			count(thread, node, 1);
	}
}

/* The same numbers on every machine. */
static uint32_t next_random(void)
{
	static uint64_t seed = 42;

	seed = seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(seed >> 33);
}

static void make_large(uint32_t n_nodes)
{
	static const char *const words[] = {
		"parse", "load",  "Session.get", "render", "encode",
		"walk",	 "_bind", "Query.all",	 "write",  "<lambda>"
	};
	uint32_t *nodes = calloc(n_nodes, sizeof(*nodes)), n = 0, thread;

	create("gunicorn: worker [shop.wsgi]");
	thread = add_thread(500, "gunicorn", 500, "gunicorn");
	for (; nodes && n < n_nodes; n++) {
		uint32_t function = next_random() % 4000, parent = KB_ID_NONE;
		char name[64], file[64];

		/* Recent nodes and early ones are parents: some deep stacks, some wide frames. */
		if (n > 2)
			parent = nodes[next_random() % 3 ? n - 1 - next_random() % (n < 40 ? n : 40)
							 : next_random() % n];
		snprintf(name, sizeof(name), "%s_%u", words[function % 10], function);
		snprintf(file, sizeof(file), "/srv/shop/lib/package%u/module%u.py", function % 13,
			 function % 97);
		nodes[n] = call(parent, name, file, (int32_t)function + 1, (int32_t)function + 5);
		count(thread, nodes[n],
		      1 + (next_random() % 50 ? next_random() % 4 : next_random() % 400));
	}
	free(nodes);
}

/* moved: all functions stand so many lines further down. */
static void make_version(const char *target, int32_t moved, const uint64_t counts[5])
{
	uint32_t thread, module, parse;

	create(target);
	thread = add_thread(moved + 700, "python3", moved + 700, "python3");
	module = call(KB_ID_NONE, "<module>", app, 1, 90 + moved);
	parse = call(module, "parse", app, 10 + moved, 12 + moved);
	count(thread, parse, counts[0]);
	count(thread, call(parse, "tokenize", app, 20 + moved, 23 + moved), counts[1]);
	count(thread, call(module, "render", app, 30 + moved, 35 + moved), counts[2]);
	if (counts[3])
		count(thread, call(module, "old_helper", app, 40, 41), counts[3]);
	if (counts[4])
		count(thread, call(module, "new_helper", app, 45, 46), counts[4]);
}

static void make(const char *name)
{
	static const uint64_t before[] = { 100, 200, 500, 200, 0 };
	static const uint64_t after[] = { 200, 1000, 500, 0, 300 };

	if (!strcmp(name, "small"))
		make_small();
	else if (!strcmp(name, "hostile"))
		make_hostile();
	else if (!strcmp(name, "deep"))
		make_deep();
	else if (!strcmp(name, "large"))
		make_large(50000);
	else if (!strcmp(name, "medium"))
		make_large(2800);
	else if (!strcmp(name, "huge"))
		make_large(600000);
	else if (!strcmp(name, "mixed"))
		make_mixed();
	else if (!strcmp(name, "timeline"))
		make_timeline();
	else if (!strcmp(name, "before"))
		make_version("python3 app.py", 0, before);
	else if (!strcmp(name, "after"))
		make_version("python3 app.py --new", 7, after);
	else if (!strcmp(name, "empty"))
		create("nothing");
	else
		fail_on(kb_usage("no such profile: %s", name));
}

static bool is_of_profile(const char *text)
{
	return !strncmp(text, "mode=", 5) || !strncmp(text, "unit=", 5) ||
	       !strncmp(text, "rate=", 5) || !strncmp(text, "app=", 4);
}

static void change_meta(const char *text)
{
	struct kb_profile_meta meta = *kb_profile__meta(profile);

	if (*text == 'm')
		meta.mode = (enum kb_sample_mode)atoi(text + 5);
	else if (*text == 'u')
		meta.unit = (enum kb_unit)atoi(text + 5);
	else if (*text == 'r')
		meta.rate_hz = atof(text + 5);
	fail_on(kb_profile__set_meta(profile, &meta));
}

static void set_option(struct kb_format_opts *opts, const char *text)
{
	if (is_of_profile(text))
		return;
	if (!strcmp(text, "lines"))
		opts->lines = true;
	else if (!strcmp(text, "threads"))
		opts->threads = true;
	else if (!strcmp(text, "processes"))
		opts->processes = true;
	else if (!strcmp(text, "color"))
		opts->color = true;
	else if (!strcmp(text, "no-summary"))
		opts->summary = false;
	else if (!strncmp(text, "sort=", 5))
		opts->sort = text + 5;
	else if (!strncmp(text, "limit=", 6))
		opts->limit = (unsigned)strtoul(text + 6, NULL, 10);
	else if (!strncmp(text, "title=", 6))
		opts->title = text + 6;
	else
		fail_on(kb_usage("no such option: %s", text));
}

int main(int argc, char **argv)
{
	struct kb_format_opts opts = { .size = sizeof(opts), .summary = true };

	if (argc < 3) {
		fputs("usage: make_profile PROFILE FORMAT [OPTION…]\n", stderr);
		return 2;
	}
	for (int i = 3; i < argc; i++)
		set_option(&opts, argv[i]);
	for (int i = 3; i < argc; i++)
		if (!strncmp(argv[i], "app=", 4))
			app = argv[i] + 4;
	make(argv[1]);
	for (int i = 3; i < argc; i++)
		if (is_of_profile(argv[i]))
			change_meta(argv[i]);
	fail_on(kb_format__write(kb_format__by_name(argv[2]), profile, &opts, stdout));
	kb_profile__destroy(profile);
	return 0;
}
