// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * Objects that are created and destroyed, where the interpreter would tell a PyRefTracer of them
 * (user/python/ref_points.h). Each is counted for its type and the stack that does it, and objects
 * that are alive are kept with the type and stack that they were created with. Stacks are numbered
 * as those of allocations are (memory_stack.bpf.c).
 *
 * A type is known by its address until it is itself destroyed: types are objects, too. Its name is
 * copied when it is met first; user space asks the process for a better one, with its module, as
 * long as that lives.
 *
 * Uprobes may be preempted: counters are added to atomically.
 */
#include "memory.bpf.h"
#include "shared/refs.h"

#define REF_PROCESSES_MAX 4096	/* as MEMORY_PROCESSES_MAX */
#define REF_TYPES_MAX	  32768 /* large programs have some thousands; 112 bytes each */
#define IMAGES_MASK	  (KB_IMAGES_MAX - 1)
/* Include/object.h, Py_TPFLAGS_* */
#define TYPE_HEAP     (1ULL << 9)
#define TYPE_READY    (1ULL << 12)
#define TYPE_INT      (1ULL << 24)
#define OBJECT_TYPE   8		   /* ob_type, where such calls are: 3.11 to 3.13 */
#define TYPE_SUBCLASS (1ULL << 31) /* TYPE_SUBCLASS: its instances are types */

volatile struct kb_ref_control ref_control = {};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, KB_IMAGES_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_ref_image);
} ref_images SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REF_TYPES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct kb_ref_type_key);
	__type(value, kb_u32);
} ref_type_ids SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, REF_TYPES_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_ref_type);
} ref_types SEC(".maps");

/* Sizes are set by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct kb_ref_key);
	__type(value, struct kb_ref_count);
} ref_counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct kb_ref_object_key);
	__type(value, struct kb_ref_object);
} ref_objects SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, REF_PROCESSES_MAX);
	__type(key, kb_u32);
	__type(value, struct kb_ref_process);
} ref_processes SEC(".maps");

static __noinline struct kb_ref_process *sums_of(kb_u32 proc)
{
	struct kb_ref_process *process = bpf_map_lookup_elem(&ref_processes, &proc);

	if (!process) {
		struct kb_ref_process none = {};

		bpf_map_update_elem(&ref_processes, &proc, &none, BPF_NOEXIST);
		process = bpf_map_lookup_elem(&ref_processes, &proc);
	}
	return process;
}

/* ---------------------------------------------------------------- types */

static __noinline kb_u32 new_type(const struct kb_ref_type_key *key, kb_u32 image)
{
	kb_u32 index = image & IMAGES_MASK, id;
	const struct kb_ref_image *offsets = bpf_map_lookup_elem(&ref_images, &index);
	struct kb_ref_type *type;
	kb_u64 name = 0;

	if (!offsets || !key->address)
		return 0;
	id = __sync_fetch_and_add(&ref_control.n_types, 1) + 1;
	type = bpf_map_lookup_elem(&ref_types, &id);
	if (!type)
		return 0;
	type->address = key->address;
	type->proc = key->proc;
	kb_read_user(&type->flags, 8, key->address + offsets->type_flags);
	if (!kb_read_user(&name, 8, key->address + offsets->type_name))
		bpf_probe_read_user_str(type->name, sizeof(type->name), (const void *)name);
	if (!bpf_map_update_elem(&ref_type_ids, key, &id, BPF_NOEXIST))
		return id;
	/* Another CPU was first; this place stays empty. */
	type->proc = 0;
	kb_u32 *known = bpf_map_lookup_elem(&ref_type_ids, key);

	return known ? *known : 0;
}

/* The number of an object's type. 0: it has none. */
static __noinline kb_u32 type_of(const struct kb_proc *proc, kb_u64 object)
{
	const struct kb_layout *layout = bpf_map_lookup_elem(&layouts, &proc->layout);
	struct kb_ref_type_key key = {};
	kb_u32 *known;

	if (!layout || kb_read_user(&key.address, 8, object + layout->object_type))
		return 0;
	key.proc = proc->id;
	known = bpf_map_lookup_elem(&ref_type_ids, &key);
	return known ? *known : new_type(&key, proc->image);
}

/* If the object was a type, another may come to its address. */
static __noinline int forget_type(const struct kb_proc *proc, kb_u64 object, kb_u32 metatype)
{
	const struct kb_ref_type *type = bpf_map_lookup_elem(&ref_types, &metatype);
	struct kb_ref_type_key key = { .address = object };
	struct kb_ref_type *gone;
	kb_u32 *known, id;

	key.proc = proc->id;
	if (!type || !(type->flags & TYPE_SUBCLASS))
		return 0;
	known = bpf_map_lookup_elem(&ref_type_ids, &key);
	if (!known)
		return 0;
	id = *known;
	gone = bpf_map_lookup_elem(&ref_types, &id);
	if (gone)
		gone->gone = 1;
	bpf_map_delete_elem(&ref_type_ids, &key);
	return 0;
}

/* ---------------------------------------------------------------- counts */

static __noinline struct kb_ref_count *count_of(const struct kb_ref_key *key)
{
	struct kb_ref_count *count = bpf_map_lookup_elem(&ref_counts, key);

	if (!count) {
		struct kb_ref_count none = {};

		bpf_map_update_elem(&ref_counts, key, &none, BPF_NOEXIST);
		count = bpf_map_lookup_elem(&ref_counts, key);
	}
	return count;
}

/* What was created with this type and stack is gone. */
static __noinline int end_life(kb_u32 proc, const struct kb_ref_object *object)
{
	struct kb_ref_key key = {};
	struct kb_ref_count *count;

	key.proc = proc;
	key.type = object->type;
	key.stack = object->stack;
	count = bpf_map_lookup_elem(&ref_counts, &key);
	if (count)
		__sync_fetch_and_add(&count->alive, -1ULL);
	return 0;
}

static __noinline int begin_life(struct kb_ref_process *process, const struct kb_ref_key *created,
				 struct kb_ref_count *count, kb_u64 object)
{
	struct kb_ref_object_key key = { .address = object };
	struct kb_ref_object fresh = {}, *old;

	key.proc = created->proc;
	fresh.type = created->type;
	fresh.stack = created->stack;
	old = bpf_map_lookup_elem(&ref_objects, &key);
	if (old) {
		struct kb_ref_object ended = *old;

		*old = fresh;
		end_life(created->proc, &ended);
		__sync_fetch_and_add(&process->replaced, 1);
	} else if (bpf_map_update_elem(&ref_objects, &key, &fresh, BPF_NOEXIST)) {
		__sync_fetch_and_add(&process->not_alive, 1);
		return 0;
	}
	__sync_fetch_and_add(&count->alive, 1);
	return 0;
}

static __noinline int end_object(struct kb_ref_process *process, kb_u32 proc, kb_u64 object)
{
	struct kb_ref_object_key key = { .address = object };
	struct kb_ref_object *known, ended;

	key.proc = proc;
	known = bpf_map_lookup_elem(&ref_objects, &key);
	if (!known) {
		__sync_fetch_and_add(&process->before, 1);
		return 0;
	}
	ended = *known;
	if (!bpf_map_delete_elem(&ref_objects, &key))
		end_life(proc, &ended);
	return 0;
}

static __noinline int count_object(struct kb_proc *proc, kb_u64 object, kb_u32 destroys)
{
	struct kb_ref_process *process = sums_of(proc->id);
	struct kb_ref_key key = {};
	struct kb_ref_count *count;

	if (!process)
		return 0;
	key.proc = proc->id;
	key.type = type_of(proc, object);
	key.stack = kb_memory_stack_number(proc, 0, 0);
	__sync_fetch_and_add(destroys ? &process->destroyed : &process->created, 1);
	if (!key.type)
		__sync_fetch_and_add(&process->unreadable, 1);
	if (!key.stack)
		__sync_fetch_and_add(&process->no_stack, 1);
	count = count_of(&key);
	if (!count) {
		__sync_fetch_and_add(&process->lost, 1);
	} else if (destroys) {
		__sync_fetch_and_add(&count->destroyed, 1);
	} else {
		__sync_fetch_and_add(&count->created, 1);
		begin_life(process, &key, count, object);
	}
	if (destroys) {
		forget_type(proc, object, key.type);
		end_object(process, proc->id, object);
	}
	return 0;
}

/* Is what is freed an int? Its memory is as it was. */
static __noinline int is_int(const struct kb_proc *proc, kb_u64 object)
{
	struct {
		kb_u64 references, type;
	} head;
	kb_u32 index = proc->image & IMAGES_MASK;
	const struct kb_ref_image *offsets = bpf_map_lookup_elem(&ref_images, &index);
	kb_u64 flags;

	if (!offsets || kb_read_user(&head, sizeof(head), object) || head.references ||
	    kb_read_user(&flags, 8, head.type + offsets->type_flags))
		return 0;
	return (flags & (TYPE_INT | TYPE_HEAP | TYPE_READY)) == (TYPE_INT | TYPE_READY);
}

/* Not inlined: its registers do not take of the stack that the rest has. 0: no object. */
static __noinline kb_u64 object_at(struct pt_regs *ctx, kb_u64 cookie)
{
	kb_u64 registers[KB_PROBED_REGISTERS], number = KB_REF_COOKIE_NUMBER(cookie), object, type;

	KB_COPY_PROBED(registers, ctx);
	KB_OPAQUE(number);
	if (number >= KB_PROBED_REGISTERS)
		return 0;
	object = registers[number] + (kb_s64)KB_REF_COOKIE_DISPLACEMENT(cookie);
	if (KB_REF_COOKIE_MEMORY(cookie) && kb_read_user(&object, 8, object))
		return 0;
	number = KB_REF_COOKIE_TYPE_NUMBER(cookie);
	KB_OPAQUE(number);
	if (number >= KB_PROBED_REGISTERS)
		return object;
	if (kb_read_user(&type, 8, object + OBJECT_TYPE) || type != registers[number])
		return 0;
	return object;
}

SEC("uprobe")
int on_reference(struct pt_regs *ctx)
{
	kb_u64 cookie = bpf_get_attach_cookie(ctx), object;
	kb_u32 tgid = bpf_get_current_pid_tgid() >> 32;
	struct kb_proc *proc;

	if (!ref_control.on)
		return 0;
	proc = bpf_map_lookup_elem(&procs, &tgid);
	if (!proc || proc->state != KB_PROC_PYTHON ||
	    !kb_same_start(proc->start_time, kb_start_time()))
		return 0;
	object = object_at(ctx, cookie);
	if (!object || (cookie & KB_REF_COOKIE_INTS && !is_int(proc, object)))
		return 0;
	return count_object(proc, object, KB_REF_COOKIE_DESTROYS(cookie));
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
