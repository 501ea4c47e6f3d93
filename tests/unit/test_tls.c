// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Thread-local variables in libraries built in each way that compilers know:
 * what kb_tls__find() says must lead to the variable itself in this process.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/error.h"
#include "python/tls.h"

static char directory[] = "/tmp/keelback-tls-XXXXXX";

/* A getter like PyThreadState_GetUnchecked, which may go through a helper, and the truth. */
static const char source[] =
	"static __thread long other = 3;\n"
	"MODEL __thread void *variable;\n"
	"static __attribute__((noinline)) void *helper(void) { return variable; }\n"
	"void *get_direct(void) { return variable; }\n"
	"void *get_by_helper(void) { return helper(); }\n"
	"void *get_by_export(void) { return get_direct(); }\n"
	"void *get_nothing(void) { return 0; }\n"
	"long *get_other(void) { return &other; }\n"
	"void **address(void) { return &variable; }\n";

typedef struct {
	unsigned long module, offset;
} tls_index;
extern void *__tls_get_addr(tls_index *);

static uint64_t thread_pointer(void)
{
	return (uintptr_t)__builtin_thread_pointer();
}

/* The variable's address in this thread, by the walker's rules. */
static uint64_t resolve(const struct kb_tls *tls, uint64_t bias)
{
	tls_index *pair = (tls_index *)(uintptr_t)(tls->value + bias);

	switch (tls->kind) {
	case KB_TLS_STATIC:
		return thread_pointer() + tls->value;
	case KB_TLS_GOT:
		return thread_pointer() + pair->module + tls->displacement;
	case KB_TLS_DYNAMIC:
		return (uintptr_t)__tls_get_addr(pair) + tls->displacement;
	}
	return 0;
}

static void check_library(const char *path, enum kb_tls_kind kind)
{
	static const char *const getters[] = { "get_direct", "get_by_helper", "get_by_export",
					       "no_such_function" };
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	void **(*address)(void);
	struct kb_elf_file *file;
	struct link_map *map;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (!library)
		fail_msg("%s", dlerror());
	address = (void **(*)(void))(uintptr_t)dlsym(library, "address");
	assert_int_equal(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
	assert_null(kb_elf_file__open(fd, &file));
	assert_non_null(file);
	for (size_t i = 0; i < sizeof(getters) / sizeof(getters[0]); i++) {
		/* The last one is found by the variable's name, for which a pair serves as well. */
		struct kb_tls tls = kb_tls__find(file, getters[i], "variable");

		if (i < 3)
			assert_int_equal(tls.kind, kind);
		else if (kind != KB_TLS_DYNAMIC)
			continue;
		assert_int_equal(resolve(&tls, map->l_addr), (uintptr_t)address());
	}
	assert_int_equal(kb_tls__find(file, "get_nothing", "none").kind, KB_TLS_NONE);
	/* Its address, not what is stored there. */
	assert_int_equal(kb_tls__find(file, "get_other", "none").kind, KB_TLS_NONE);
	kb_elf_file__close(file);
	close(fd);
	dlclose(library);
}

static void compile(const char *name, const char *options, char *path, size_t size)
{
	char command[1024];
	FILE *file;

	snprintf(path, size, "%s/%s.c", directory, name);
	file = fopen(path, "w");
	assert_non_null(file);
	fputs(source, file);
	fclose(file);
	snprintf(path, size, "%s/%s", directory, name);
	snprintf(command, sizeof(command), "cc -O2 %s -o %s %s.c", options, path, path);
	assert_int_equal(system(command), 0);
}

static void test_models(void **state)
{
	static const struct {
		const char *name, *options;
		enum kb_tls_kind kind;
	} models[] = {
		{ "global-dynamic.so", "-shared -fPIC -DMODEL=", KB_TLS_DYNAMIC },
		{ "no-plt.so", "-shared -fPIC -fno-plt -DMODEL=", KB_TLS_DYNAMIC },
		{ "local-dynamic.so", "-shared -fPIC -DMODEL=static", KB_TLS_DYNAMIC },
		{ "initial-exec.so",
		  "-shared -fPIC -ftls-model=initial-exec -DMODEL=", KB_TLS_GOT },
		{ "unoptimized.so", "-shared -fPIC -O1 -DMODEL=", KB_TLS_DYNAMIC },
		{ "control-flow.so",
		  "-shared -fPIC -fcf-protection=full -DMODEL=", KB_TLS_DYNAMIC },
		{ "frame-pointer.so", "-shared -fPIC -fno-omit-frame-pointer -DMODEL=static",
		  KB_TLS_DYNAMIC },
	};
	char path[256];

#if !defined(__x86_64__)
	print_message("skipped: not decoded on this processor\n");
	skip();
#endif
	for (size_t i = 0; i < sizeof(models) / sizeof(models[0]); i++) {
		compile(models[i].name, models[i].options, path, sizeof(path));
		check_library(path, models[i].kind);
	}
}

/* In an executable: the getter's code and the variable's symbol lead to the same place. */
static void test_executables(void **state)
{
	static const char *const options[] = { "-no-pie", "-pie -fPIE", "-static" };
	char path[256], all[128];

#if !defined(__x86_64__)
	print_message("skipped: not decoded on this processor\n");
	skip();
#endif
	for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
		struct kb_tls decoded, named;
		struct kb_elf_file *file;
		int fd;

		snprintf(all, sizeof(all), "%s -DMODEL= -Wl,--export-dynamic -Dget_nothing=main",
			 options[i]);
		compile("program", all, path, sizeof(path));
		fd = open(path, O_RDONLY | O_CLOEXEC);
		assert_null(kb_elf_file__open(fd, &file));
		assert_non_null(file);
		decoded = kb_tls__find(file, "get_direct", "none");
		named = kb_tls__find(file, "none", "variable");
		assert_int_equal(decoded.kind, KB_TLS_STATIC);
		assert_int_equal(named.kind, KB_TLS_STATIC);
		assert_true(decoded.value < 0);
		assert_int_equal(decoded.value, named.value);
		kb_elf_file__close(file);
		close(fd);
	}
}

static int setup(void **state)
{
	return mkdtemp(directory) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", directory);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_models),
		cmocka_unit_test(test_executables),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
