// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <elf.h>
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "symbols/symbolizer.h"
#include "symbols/variant_names.h"
#include "unit/pythons.h"

static struct kb_modules *modules;
static struct kb_unwind_store *store;
static struct kb_symbolizer *symbolizer;

static int setup(void **state)
{
	struct kb_unwind_store_opts store_opts = { .size = sizeof(store_opts), .no_cache = true };
	struct kb_symbolizer_opts opts = { .size = sizeof(opts) };

	assert_null(kb_modules__create(&modules));
	assert_null(kb_unwind_store__create(&store_opts, &store));
	opts.store = store;
	assert_null(kb_symbolizer__create(&opts, &symbolizer));
	return 0;
}

static int teardown(void **state)
{
	kb_symbolizer__destroy(symbolizer);
	kb_unwind_store__destroy(store);
	kb_modules__destroy(modules);
	return 0;
}

/* The mapping of a process that contains an address; its path must be freed. */
static struct kb_map map_of(pid_t pid, uint64_t address)
{
	struct kb_map found = { 0 };
	struct kb_maps maps;

	assert_null(kb_maps__read(pid, &maps));
	for (size_t i = 0; i < maps.count; i++)
		if (address >= maps.entries[i].start && address < maps.entries[i].end) {
			found = maps.entries[i];
			found.path = strdup(found.path);
		}
	kb_maps__free(&maps);
	assert_non_null(found.path);
	return found;
}

static const struct kb_module *module_at(pid_t pid, uint64_t address, uint64_t *relative)
{
	struct kb_map map = map_of(pid, address);
	const struct kb_module *module;

	assert_null(kb_modules__of_mapping(modules, pid, &map, &module));
	if (module) {
		assert_true(kb_module__relative(module, map.offset, relative));
		*relative += address - map.start;
	}
	free(map.path);
	return module;
}

static struct kb_symbol symbol_at(uint64_t address)
{
	uint64_t relative = 0;
	const struct kb_module *module = module_at(getpid(), address, &relative);
	struct kb_symbol symbol;

	assert_non_null(module);
	kb_symbolizer__module(symbolizer, module, relative, &symbol);
	return symbol;
}

/* ---------------------------------------------------------------- modules */

static __attribute__((noinline)) int own_static_function(int x)
{
	__asm__ volatile("" : "+r"(x));
	return x + 1;
}

static void test_own_symbols(void **state)
{
	struct kb_symbol symbol = symbol_at((uintptr_t)own_static_function + 2);

	assert_string_equal(symbol.name, "own_static_function");
	assert_string_equal(symbol.linkage, "own_static_function");
	assert_int_equal(symbol.source, KB_SYMBOL_ELF);
	assert_non_null(strstr(symbol.file, "test_symbolizer"));
	assert_int_equal(own_static_function(1), 2);
}

/* Every symbol that the dynamic linker finds in libc is found here at the same place. */
static void test_libc(void **state)
{
	static const char *const names[] = { "qsort", "getline", "regexec", "getaddrinfo" };

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		uint64_t address = (uintptr_t)dlsym(RTLD_DEFAULT, names[i]), start, size, relative;
		struct kb_symbol symbol;

		assert_true(address);
		symbol = symbol_at(address + 1);
		assert_string_equal(symbol.name, names[i]);
		assert_true(kb_symbolizer__find(symbolizer, module_at(getpid(), address, &relative),
						names[i], &start, &size));
		assert_int_equal(start, relative);
		assert_int_equal(symbol.start, relative);
	}
}

/* Where the dynamic linker has bound a function of libc that has variants, one is found. */
static void test_variants(void **state)
{
	static const struct {
		const char *name, *alias;
	} names[] = { { "strlen", NULL }, { "strchr", "index" }, { "memcpy", "memmove" } };
	struct kb_symbol_table variants;
	/* By its name: sanitizers put functions of their own before libc's. */
	void *libc = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
	const struct kb_module *module;
	uint64_t relative;

	assert_non_null(libc);
	module = module_at(getpid(), (uintptr_t)dlsym(libc, "qsort"), &relative);
	kb_symbol_table__init(&variants);
	kb_variant_names__read(kb_module__elf(module), &variants);
	kb_symbol_table__close(&variants);
#if defined(__x86_64__)
	assert_true(variants.n > 50);
#endif
	for (size_t i = 0; variants.n && i < sizeof(names) / sizeof(*names); i++) {
		const struct kb_symbol_entry *entry;
		const char *name;

		module_at(getpid(), (uintptr_t)dlsym(libc, names[i].name), &relative);
		entry = kb_symbol_table__before(&variants, relative);
		assert_non_null(entry);
		assert_int_equal(entry->start, relative);
		name = kb_symbol_table__name(&variants, entry);
		if (!names[i].alias || strcmp(name, names[i].alias))
			assert_string_equal(name, names[i].name);
	}
	kb_symbol_table__free(&variants);
	dlclose(libc);
}

/*
 * In a file with exported symbols only, no address gets the name of a function that does not
 * contain it; parts go by the function that they belong to.
 */
static void check_stripped(const struct kb_module *module)
{
	uint32_t by_source[KB_SYMBOL_KERNEL + 1] = { 0 }, parts = 0;
	const struct kb_unwind_table *table;

	assert_null(kb_unwind_store__get(store, module, &table));
	for (uint32_t i = 0; i < table->n_functions; i += 7) {
		struct kb_unwind_function function = table->functions[i], owner;
		struct kb_symbol symbol;

		kb_symbolizer__module(symbolizer, module, function.end - 1, &symbol);
		assert_int_not_equal(symbol.source, KB_SYMBOL_NONE);
		assert_true(kb_unwind_table__function_range(table, symbol.start, &owner));
		if (owner.start != function.start) {
			parts++;
			assert_int_not_equal(kb_unwind_table__rule(table, function.start),
					     KB_UNWIND_RULE(KB_UNWIND_RSP, 1, 0));
			assert_int_equal(kb_unwind_table__rule(table, owner.start),
					 KB_UNWIND_RULE(KB_UNWIND_RSP, 1, 0));
		}
		by_source[symbol.source]++;
		assert_int_equal(symbol.linkage != NULL, symbol.source == KB_SYMBOL_ELF);
		assert_int_equal(strstr(symbol.name, "+0x") != NULL,
				 symbol.source == KB_SYMBOL_RANGE);
	}
	kb_unwind_store__put(store, module);
	print_message("%s: %u with symbols, %u by Python's names, %u without a name; %u parts\n",
		      kb_module__name(module), by_source[KB_SYMBOL_ELF],
		      by_source[KB_SYMBOL_METHOD], by_source[KB_SYMBOL_RANGE], parts);
	assert_true(by_source[KB_SYMBOL_ELF] > table->n_functions / 7 / 10);
	assert_true(by_source[KB_SYMBOL_METHOD] > table->n_functions / 7 / 5);
	assert_true(parts > table->n_functions / 7 / 10);
}

static void test_stripped(void **state)
{
	struct python pythons[PYTHONS_MAX];
	size_t n = pythons__find(pythons), checked = 0;

	for (size_t i = 0; i < n; i++) {
		const struct kb_module *module;
		int fd;

		if (pythons[i].pyenv)
			continue;
		fd = open(pythons[i].image, O_RDONLY | O_CLOEXEC);
		assert_true(fd >= 0);
		assert_null(kb_modules__of_file(modules, fd, pythons[i].image, &module));
		close(fd);
		assert_non_null(module);
		check_stripped(module);
		checked++;
	}
	assert_true(checked > 0);
}

/* The same content twice is one module; what is no ELF file, is none. */
static void test_modules(void **state)
{
	static const char text[] = "no ELF";
	const struct kb_module *first, *second;
	char path[] = "/tmp/kb-module-XXXXXX", bytes[4096];
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), copy = mkstemp(path);
	uint32_t count;
	ssize_t n;

	assert_null(kb_modules__of_file(modules, fd, "/a/first", &first));
	assert_non_null(first);
	assert_true(kb_module__id(first)->is_build_id);
	count = kb_modules__count(modules);
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(copy, bytes, n), n);
	assert_null(kb_modules__of_file(modules, copy, "/b/second", &second));
	assert_ptr_equal(first, second);
	assert_int_equal(kb_modules__count(modules), count);
	assert_ptr_equal(kb_modules__at(modules, kb_module__index(first)), first);
	assert_null(kb_modules__at(modules, count));
	assert_int_equal(ftruncate(copy, 0), 0);
	assert_int_equal(pwrite(copy, text, sizeof(text), 0), sizeof(text));
	assert_null(kb_modules__of_file(modules, copy, path, &second));
	assert_null(second);
	unlink(path);
	close(copy);
	close(fd);
}

/* A library whose file is gone, in another process, which then is gone, too. */
static void test_deleted(void **state)
{
	char path[] = "/tmp/kb-deleted-XXXXXX", bytes[4096];
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC), copy = mkstemp(path), ready[2];
	const struct kb_module *module;
	struct kb_symbol symbol;
	uint64_t address, relative;
	Elf64_Ehdr header;
	ssize_t n;
	void *at;
	pid_t pid;

	/* Without its build id, or it would be this program's. */
	while ((n = read(fd, bytes, sizeof(bytes))) > 0)
		assert_int_equal(write(copy, bytes, n), n);
	assert_int_equal(pread(copy, &header, sizeof(header), 0), sizeof(header));
	for (int i = 0; i < header.e_phnum; i++) {
		Elf64_Phdr segment;
		off_t place = header.e_phoff + i * sizeof(segment);

		assert_int_equal(pread(copy, &segment, sizeof(segment), place), sizeof(segment));
		if (segment.p_type == PT_NOTE) {
			segment.p_type = PT_NULL;
			assert_int_equal(pwrite(copy, &segment, sizeof(segment), place),
					 sizeof(segment));
		}
	}
	module_at(getpid(), (uintptr_t)own_static_function, &relative);
	at = mmap(NULL, 1 << 20, PROT_READ | PROT_EXEC, MAP_PRIVATE, copy, 0);
	assert_true(at != MAP_FAILED);
	unlink(path);
	close(copy);
	assert_int_equal(pipe(ready), 0);
	pid = fork();
	if (!pid) {
		close(ready[1]);
		_exit((int)read(ready[0], bytes, 1));
	}
	address = (uintptr_t)at + relative;
	module = module_at(pid, address, &relative);
	munmap(at, 1 << 20);
	close(ready[1]);
	close(ready[0]);
	waitpid(pid, NULL, 0);
	/* map_files needs a capability that a plain user does not have. */
	if (!module && geteuid())
		skip();
	assert_non_null(module);
	assert_false(kb_module__id(module)->is_build_id);
	kb_symbolizer__module(symbolizer, module, relative, &symbol);
	assert_string_equal(symbol.name, "own_static_function");
	close(fd);
}

static void test_vdso(void **state)
{
	uint64_t vdso = getauxval(AT_SYSINFO_EHDR), relative, start, size;
	const struct kb_module *module;
	struct kb_symbol symbol;

	if (!vdso)
		skip();
	module = module_at(getpid(), vdso, &relative);
	assert_non_null(module);
	assert_int_equal(relative, 0);
	assert_string_equal(kb_module__name(module), "[vdso]");
#if defined(__x86_64__)
	const struct kb_unwind_table *table;
	struct kb_unwind_function function;

	assert_true(kb_symbolizer__find(symbolizer, module, "__vdso_clock_gettime", &start, &size));
	kb_symbolizer__module(symbolizer, module, start, &symbol);
	assert_non_null(strstr(symbol.name, "clock_gettime"));
	assert_null(kb_unwind_store__get(store, module, &table));
	assert_true(kb_unwind_table__function_range(table, start, &function));
	assert_int_equal(function.start, start);
	assert_int_equal(kb_unwind__base(kb_unwind_table__rule(table, start)), KB_UNWIND_RSP);
	assert_int_equal(kb_unwind__cfa_offset(kb_unwind_table__rule(table, start)), 8);
	kb_unwind_store__put(store, module);
#endif
}

static void test_anonymous(void **state)
{
	void *at = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint64_t relative;

	assert_null(module_at(getpid(), (uintptr_t)at, &relative));
	munmap(at, 4096);
}

static void test_store(void **state)
{
	const struct kb_unwind_table *first, *second;
	struct kb_unwind_store_stats before, held, after;
	const struct kb_module *module;
	int fd = open("/usr/lib/x86_64-linux-gnu/libz.so.1", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		skip();
	assert_null(kb_modules__of_file(modules, fd, "/lib/libz.so.1", &module));
	close(fd);
	kb_unwind_store__stats(store, &before);
	assert_null(kb_unwind_store__get(store, module, &first));
	assert_null(kb_unwind_store__get(store, module, &second));
	assert_ptr_equal(first, second);
	kb_unwind_store__stats(store, &held);
	assert_int_equal(held.held, before.held + 1);
	assert_int_equal(held.built, before.built + 1);
	assert_int_equal(held.rows, before.rows + first->n_rows);
	kb_unwind_store__put(store, module);
	kb_unwind_store__put(store, module);
	kb_unwind_store__stats(store, &after);
	assert_int_equal(after.held, before.held);
	assert_int_equal(after.rows, before.rows);
}

/* ---------------------------------------------------------------- perf maps and the kernel */

static pid_t sleeper(void)
{
	pid_t pid = fork();

	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	return pid;
}

static void write_map(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void expect_of(struct kb_symbolizer *names, pid_t pid, uint64_t address, const char *name)
{
	struct kb_symbol symbol;

	kb_symbolizer__process(names, pid, address, "[anonymous]", &symbol);
	assert_string_equal(symbol.name, name);
	assert_string_equal(symbol.file, "");
}

/* By one that knows nothing of the process yet. */
static void expect(pid_t pid, uint64_t address, const char *name)
{
	struct kb_symbolizer *fresh;

	assert_null(kb_symbolizer__create(NULL, &fresh));
	expect_of(fresh, pid, address, name);
	kb_symbolizer__destroy(fresh);
}

static void test_perf_map(void **state)
{
	pid_t pid = sleeper();
	char path[64];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", pid);
	unlink(path);
	expect(pid, 0x1010, "0x1010 in [anonymous]");
	write_map(path, "1000 20 py::work:/srv/app.py\nbad line\n2000 zz x\n3000 10 \n"
			"1100 10 jit with blanks\n");
	expect(pid, 0x1010, "py::work:/srv/app.py");
	expect(pid, 0x1105, "jit with blanks");
	expect(pid, 0x1020, "0x1020 in [anonymous]");
	/* Not through a link, and not somebody else's. */
	assert_int_equal(rename(path, "/tmp/kb-perf-map"), 0);
	assert_int_equal(symlink("/tmp/kb-perf-map", path), 0);
	expect(pid, 0x1010, "0x1010 in [anonymous]");
	unlink(path);
	assert_int_equal(rename("/tmp/kb-perf-map", path), 0);
	expect(pid, 0x1010, "py::work:/srv/app.py");
	if (!geteuid()) {
		assert_int_equal(chown(path, 12345, 0), 0);
		expect(pid, 0x1010, "0x1010 in [anonymous]");
	}
	unlink(path);
	python__kill(pid);
}

/* Another name for the same address later on: the map is read again. */
static void test_perf_map_grows(void **state)
{
	struct kb_symbol symbol;
	pid_t pid = sleeper();
	char path[64];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", pid);
	write_map(path, "1000 20 first\n");
	expect_of(symbolizer, pid, 0x1000, "first");
	write_map(path, "1000 20 first\n2000 20 second\n");
	for (int i = 0; i < 40; i++) {
		kb_symbolizer__process(symbolizer, pid, 0x2000, "x", &symbol);
		if (symbol.source == KB_SYMBOL_PERF_MAP)
			break;
		usleep(100000);
	}
	assert_string_equal(symbol.name, "second");
	unlink(path);
	python__kill(pid);
}

/* What is known of a process stays until it has ended and its last stacks have been named. */
static void test_perf_map_is_given_back(void **state)
{
	pid_t pid = sleeper();
	char path[64];

	snprintf(path, sizeof(path), "/tmp/perf-%d.map", pid);
	write_map(path, "1000 20 first\n");
	expect_of(symbolizer, pid, 0x1000, "first");
	unlink(path);
	kb_symbolizer__forget_ended(symbolizer);
	expect_of(symbolizer, pid, 0x1000, "first");
	python__kill(pid);
	expect_of(symbolizer, pid, 0x1000, "first");
	kb_symbolizer__forget_ended(symbolizer);
	expect_of(symbolizer, pid, 0x1000, "0x1000 in [anonymous]");
}

static void test_kernel(void **state)
{
	char line[512], type, name[256] = "";
	unsigned long long address = 0;
	struct kb_symbol symbol;
	FILE *file = fopen("/proc/kallsyms", "re");

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "%llx %c %255s", &address, &type, name) == 3 &&
		    !strcmp(name, "schedule"))
			break;
	if (file)
		fclose(file);
	if (!address || strcmp(name, "schedule")) {
		kb_symbolizer__kernel(symbolizer, 0xffffffff81000000, &symbol);
		assert_string_equal(symbol.name, "0xffffffff81000000 in [kernel]");
		return;
	}
	kb_symbolizer__kernel(symbolizer, address + 5, &symbol);
	assert_string_equal(symbol.name, "schedule");
	assert_int_equal(symbol.source, KB_SYMBOL_KERNEL);
	assert_int_equal(symbol.start, address);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_own_symbols),
		cmocka_unit_test(test_libc),
		cmocka_unit_test(test_variants),
		cmocka_unit_test(test_stripped),
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_deleted),
		cmocka_unit_test(test_vdso),
		cmocka_unit_test(test_anonymous),
		cmocka_unit_test(test_store),
		cmocka_unit_test(test_perf_map),
		cmocka_unit_test(test_perf_map_grows),
		cmocka_unit_test(test_perf_map_is_given_back),
		cmocka_unit_test(test_kernel),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
