// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <string.h>
#include "base/error.h"
#include "collect/memory_plan.h"
#include "python/probe_address.h"
#include "system/memory.h"

_Static_assert((int)KB_DOMAIN_RAW == (int)KB_MEMORY_RAW &&
		       (int)KB_DOMAIN_MEM == (int)KB_MEMORY_MEM &&
		       (int)KB_DOMAIN_OBJECT == (int)KB_MEMORY_OBJECT &&
		       (int)KB_DOMAIN_LIBC == (int)KB_MEMORY_LIBC &&
		       (int)KB_DOMAIN_MMAP == (int)KB_MEMORY_MMAP &&
		       (int)KB_DOMAIN_POOL == (int)KB_MEMORY_POOL &&
		       (int)KB_DOMAIN_ARENA == (int)KB_MEMORY_ARENA &&
		       (int)KB_DOMAIN_NATIVE == (int)KB_MEMORY_BY_NATIVE &&
		       (int)KB_DOMAIN_IDS == (int)KB_MEMORY_DOMAINS,
	       "one number per domain");
_Static_assert((int)KB_GROUP_HEAP == (int)KB_MEMORY_HEAP &&
		       (int)KB_GROUP_MAPPED == (int)KB_MEMORY_MAPPED &&
		       (int)KB_GROUP_NATIVE == (int)KB_MEMORY_NATIVE &&
		       (int)KB_GROUP_IDS == (int)KB_MEMORY_GROUPS,
	       "one number per group");

struct kb_error *kb_memory_plan__choose(const struct kb_memory_plan_opts *opts,
					const struct kb_memory_facts *facts,
					enum kb_memory_way *way)
{
	if (facts->image->free_threaded)
		return kb_unsupported("free-threaded builds allocate by mimalloc, which is not "
				      "traced yet");
	if (opts->want != KB_MEMORY_GROWTH && facts->allocator->called) {
		*way = KB_MEMORY_WAY_API;
		return NULL;
	}
	if (facts->replaced)
		return kb_unsupported("its malloc is not libc's, and this build of Python cannot "
				      "be traced otherwise");
	if (opts->want != KB_MEMORY_GROWTH && facts->uses_malloc) {
		*way = KB_MEMORY_WAY_LIBC;
		return NULL;
	}
	if (opts->want == KB_MEMORY_EXACT)
		return kb_unsupported(
			"this build of Python has its allocator inlined: exact traces "
			"need PYTHONMALLOC=malloc from its start ('--exact -- COMMAND' "
			"sets it); without --exact its growth can be traced");
	*way = KB_MEMORY_WAY_GROWTH;
	return NULL;
}

/* A file's functions, as they are found. */
struct list {
	struct kb_elf_file *elf;
	struct kb_memory_probe *functions;
	uint32_t n;
	uint64_t addresses[KB_MEMORY_FUNCTIONS_MAX];
};

struct function {
	enum kb_memory_op op;
	enum kb_memory_domain_id domain;
	enum kb_memory_group_id group;
	unsigned arguments; /* that must be there at the probe */
	bool shifted, apart;
	uint32_t bytes;
};

static struct kb_error *put(struct list *list, uint64_t address, const struct function *f)
{
	kb_register_set intact =
		kb_registers__arguments(f->arguments + f->shifted) | KB_REGISTER_STACK;
	struct kb_probe_address at;

	if (!address)
		return NULL;
	/* Several names may be one function. */
	for (uint32_t i = 0; i < list->n; i++)
		if (list->addresses[i] == address)
			return NULL;
	if (list->n == KB_MEMORY_FUNCTIONS_MAX)
		return kb_failed("too many functions to probe");
	KB_TRY(kb_probe_address__find(list->elf, address, 0, intact, &at));
	list->addresses[list->n] = address;
	list->functions[list->n] = (struct kb_memory_probe){
		.offset = at.offset,
		.cookie = KB_COOKIE(f->op, f->domain, f->group, list->n, f->shifted, f->apart,
				    f->bytes),
	};
	list->n++;
	return NULL;
}

static struct kb_error *put_api(struct list *list, const struct kb_memory_facts *facts)
{
	static const struct {
		enum kb_memory_op op;
		unsigned arguments;
	} calls[KB_ALLOCATOR_CALLS] = {
		[KB_ALLOCATOR_MALLOC] = { KB_OP_MALLOC, 1 },
		[KB_ALLOCATOR_CALLOC] = { KB_OP_CALLOC, 2 },
		[KB_ALLOCATOR_REALLOC] = { KB_OP_REALLOC, 2 },
		[KB_ALLOCATOR_FREE] = { KB_OP_FREE, 1 },
	};
	const struct kb_allocator *allocator = facts->allocator;
	/*
	 * The functions of the API that free are a jump through the table, which is slow to probe;
	 * those that it leads to are not. With the debug hooks they are given other addresses.
	 */
	bool inner = allocator->pymalloc_free && allocator->raw_free && !facts->debug;
	const struct function frees = { .op = KB_OP_FREE, .arguments = 1, .shifted = true };

	for (int domain = 0; domain < KB_ALLOCATOR_DOMAINS; domain++) {
		for (int call = 0; call < KB_ALLOCATOR_CALLS; call++) {
			struct function f = { .op = calls[call].op,
					      .domain = KB_DOMAIN_RAW + domain,
					      .arguments = calls[call].arguments };

			if (call != KB_ALLOCATOR_FREE || !inner)
				KB_TRY(put(list, allocator->api[domain][call], &f));
		}
	}
	if (!inner)
		return NULL;
	KB_TRY(put(list, allocator->pymalloc_free, &frees));
	return put(list, allocator->raw_free, &frees);
}

static struct kb_error *open_list(int fd, struct kb_memory_probe *functions, struct list *list)
{
	*list = (struct list){ .functions = functions };
	KB_TRY(kb_elf_file__open(fd, &list->elf));
	return list->elf ? NULL : kb_failed("no ELF file");
}

struct kb_error *kb_memory_plan__interpreter(int fd, const struct kb_memory_facts *facts,
					     enum kb_memory_way way,
					     struct kb_memory_probe *functions, uint32_t *n)
{
	const struct function pool = { .op = KB_OP_POOL,
				       .domain = KB_DOMAIN_POOL,
				       .bytes = facts->allocator->pool_bytes };
	struct kb_error *err;
	struct list list;

	KB_TRY(open_list(fd, functions, &list));
	err = NULL;
	if (way == KB_MEMORY_WAY_API)
		err = put_api(&list, facts);
	else if (way == KB_MEMORY_WAY_GROWTH)
		err = put(&list, facts->allocator->new_pool, &pool);
	kb_elf_file__close(list.elf);
	*n = list.n;
	return err;
}

/* The functions of libc that allocate; the names that are missing are missing. */
static const struct {
	const char *name;
	enum kb_memory_op op;
	unsigned arguments;
} libc_functions[] = {
	{ "malloc", KB_OP_MALLOC, 1 },
	{ "calloc", KB_OP_CALLOC, 2 },
	{ "realloc", KB_OP_REALLOC, 2 },
	{ "reallocarray", KB_OP_REALLOCARRAY, 3 },
	{ "posix_memalign", KB_OP_POSIX_MEMALIGN, 3 },
	{ "aligned_alloc", KB_OP_ALIGNED_ALLOC, 2 },
	{ "memalign", KB_OP_ALIGNED_ALLOC, 2 },
	{ "valloc", KB_OP_MALLOC, 1 },
	{ "free", KB_OP_FREE, 1 },
	{ "mmap", KB_OP_MMAP, 2 },
	{ "mmap64", KB_OP_MMAP, 2 },
	{ "mremap", KB_OP_MREMAP, 3 },
	{ "munmap", KB_OP_MUNMAP, 2 },
};

/* Numbers of functions are told apart within a process: the interpreter's file has those below. */
#define LIBC_NUMBERS KB_MEMORY_FUNCTIONS_MAX

struct kb_error *kb_memory_plan__libc(int fd, const struct kb_memory_plan_opts *opts,
				      const struct kb_memory_facts *facts, enum kb_memory_way way,
				      struct kb_memory_probe *functions, uint32_t *n)
{
	bool growth = way == KB_MEMORY_WAY_GROWTH, missing = true;
	struct kb_error *err = NULL;
	struct list list;

	KB_TRY(open_list(fd, functions, &list));
	for (size_t i = 0; i < sizeof(libc_functions) / sizeof(libc_functions[0]) && !err; i++) {
		struct function f = {
			.op = libc_functions[i].op,
			.domain = way == KB_MEMORY_WAY_API ? KB_DOMAIN_NATIVE : KB_DOMAIN_LIBC,
			.group = way == KB_MEMORY_WAY_API ? KB_GROUP_NATIVE : KB_GROUP_HEAP,
			.arguments = libc_functions[i].arguments
		};
		bool maps = f.op == KB_OP_MMAP || f.op == KB_OP_MREMAP || f.op == KB_OP_MUNMAP;
		struct kb_elf_symbol symbol;

		if (maps) {
			f.domain = KB_DOMAIN_MMAP;
			f.group = KB_GROUP_MAPPED;
			/* A new arena is mapped within the call for a new pool. */
			f.apart = growth;
			f.bytes = growth ? facts->allocator->arena_bytes : 0;
		} else if (way == KB_MEMORY_WAY_API && !opts->libc) {
			continue;
		}
		if (!kb_elf_file__symbol(list.elf, libc_functions[i].name, &symbol))
			continue;
		missing = missing && f.op != KB_OP_MALLOC && !maps;
		err = put(&list, symbol.address, &f);
	}
	kb_elf_file__close(list.elf);
	for (uint32_t i = 0; i < list.n; i++)
		functions[i].cookie += (uint64_t)LIBC_NUMBERS << 16;
	*n = list.n;
	if (!err && missing)
		err = kb_unsupported("its libc has no malloc that can be traced");
	return err;
}

void kb_memory_facts__of_setting(struct kb_memory_facts *facts, const char *python_malloc)
{
	if (!python_malloc)
		return;
	facts->uses_malloc = !strncmp(python_malloc, "malloc", strlen("malloc"));
	facts->debug = strstr(python_malloc, "debug") != NULL;
}

void kb_memory_facts__of_process(struct kb_memory_facts *facts, pid_t pid, uint64_t bias)
{
	const struct kb_allocator *allocator = facts->allocator;
	uint64_t object_free, raw_free;

	if (!allocator->object_table ||
	    !kb_memory__read_u64(pid, bias + allocator->object_table + 8 * (1 + KB_ALLOCATOR_FREE),
				 &object_free))
		return;
	if (!kb_memory__read_u64(pid, bias + allocator->raw_table + 8 * (1 + KB_ALLOCATOR_FREE),
				 &raw_free))
		return;
	facts->uses_malloc = object_free == raw_free && object_free == bias + allocator->raw_free;
	facts->debug = !facts->uses_malloc && object_free != bias + allocator->pymalloc_free;
}
