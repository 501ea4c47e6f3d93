// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Whether a layout fits a live process. The process is not stopped, so that what
 * is read may be torn: a frame is popped while we follow it, a thread ends. Such
 * looks are repeated, and what was seen to be right in any of them counts:
 * a wrong layout does not become right by chance, since a frame is only
 * accepted when it leads to an object of exactly the type PyCode_Type with
 * two well-formed strings and a bytes object in it.
 */
#include <string.h>
#include <time.h>
#include "base/error.h"
#include "python/interpreter.h"
#include "python/layout.h"
#include "system/memory.h"

/* Looks at a process that changes under us, and the pause between them. */
#define LOOKS_MAX 50
#define PAUSE_NS  2000000
/* An interpreter that is embedded may have nothing to run; one that is about to run something soon
 * has a frame. */
#define IDLE_LOOKS 5

/* Enough to see every list that is right; a list that is longer is only looked at so far. */
#define INTERPRETERS_MAX 64
#define THREADS_MAX	 256
#define FRAMES_MAX	 16

/* Beyond these, a length is not one of a file or function name, or of a line table. */
#define NAME_LENGTH_MAX	    65536
#define LINETABLE_BYTES_MAX (64u << 20)
/* Distance of the executing instruction from its code object's first: 2 bytes times 2^24 */
#define CODE_BYTES_MAX (1ull << 25)

struct look {
	pid_t pid;
	const struct kb_interpreter *interp;
	const struct kb_layout *layout;
	/* In this look. */
	uint32_t threads;   /* thread states */
	uint32_t living;    /* of these, with the address of a readable thread descriptor */
	uint32_t frameless; /* of these, without a frame */
	/* In all looks so far. */
	uint32_t leaves;   /* frames found right that a thread state points to */
	uint32_t callers;  /* frames found right that another frame points to */
	uint32_t roots;	   /* leaves without a caller */
	uint32_t idle;	   /* looks at thread states of which none had a frame */
	const char *wrong; /* the last thing that did not fit */
};

static bool read_word(const struct look *look, uint64_t address, uint64_t *value)
{
	return kb_memory__read_u64(look->pid, address, value);
}

static bool fail(struct look *look, const char *what)
{
	look->wrong = what;
	return false;
}

/* ---------------------------------------------------------------- objects */

static bool is_string(struct look *look, uint64_t object)
{
	const struct kb_layout *layout = look->layout;
	uint64_t length;
	uint32_t state, kind;
	uint8_t first;

	if (!read_word(look, object + layout->unicode_length, &length) ||
	    !kb_memory__read_u32(look->pid, object + layout->unicode_state, &state))
		return fail(look, "a name is not readable");
	kind = state >> layout->unicode_kind_shift & 7;
	/* Names in code objects are compact: made by the compiler, or read from a .pyc. */
	if (!length || length > NAME_LENGTH_MAX || (kind != 1 && kind != 2 && kind != 4) ||
	    !(state >> (layout->unicode_kind_shift + 3) & 1))
		return fail(look, "a name is not a string");
	if (!(state >> (layout->unicode_kind_shift + 4) & 1))
		return true;
	/* Pure ASCII: the data must be that, and right after the header. */
	return (kb_memory__read(look->pid, object + layout->unicode_ascii_data, &first, 1) &&
		first >= ' ' && first < 0x7f) ||
	       fail(look, "a name is not text");
}

/* Both names are of one type, and the line table is of another. */
static bool has_types(struct look *look, uint64_t filename, uint64_t name, uint64_t lines)
{
	uint16_t at = look->layout->object_type;
	uint64_t text, other, bytes;

	if (!read_word(look, filename + at, &text) || !read_word(look, name + at, &other) ||
	    !read_word(look, lines + at, &bytes))
		return fail(look, "a code object is not readable");
	return (text == other && text != bytes) ||
	       fail(look, "names and line table of a code object are not of their types");
}

static bool is_code(struct look *look, uint64_t code)
{
	const struct kb_layout *layout = look->layout;
	uint64_t type, filename, name, lines, size;
	uint32_t first_line;

	if (!code || !read_word(look, code + layout->object_type, &type))
		return fail(look, "a code object is not readable");
	if (type != look->interp->image->image.code_type + look->interp->bias)
		return fail(look, "a frame holds no code object");
	if (!read_word(look, code + layout->code_filename, &filename) ||
	    !read_word(look, code + layout->code_name, &name) ||
	    !read_word(look, code + layout->code_linetable, &lines) ||
	    !kb_memory__read_u32(look->pid, code + layout->code_firstlineno, &first_line) ||
	    !read_word(look, lines + layout->bytes_size, &size))
		return fail(look, "a code object is not readable");
	if (size > LINETABLE_BYTES_MAX)
		return fail(look, "a line table has no sane size");
	if (first_line > INT32_MAX)
		return fail(look, "a first line is negative");
	return is_string(look, filename) && is_string(look, name) &&
	       has_types(look, filename, name, lines);
}

/* ---------------------------------------------------------------- frames */

struct frame {
	uint64_t previous, code;
	bool skipped; /* the interpreter's own, not one of Python */
};

static uint64_t word_at(const uint8_t *bytes, uint16_t offset)
{
	uint64_t word;

	memcpy(&word, bytes + offset, sizeof(word));
	return word;
}

static bool has_instruction(struct look *look, const uint8_t *bytes, uint64_t code)
{
	const struct kb_layout *layout = look->layout;
	uint64_t instruction, start = code + layout->code_instructions;
	int32_t lasti;

	if (layout->lasti_kind == KB_LASTI_POINTER) {
		instruction = word_at(bytes, layout->frame_instr);
		/* Free-threaded: each thread may run its own copy of the code. 3.11: one unit
		 * before the first. */
		if ((layout->flags & KB_LAYOUT_FREE_THREADED) ||
		    instruction - (start - 2) < CODE_BYTES_MAX)
			return true;
	} else {
		memcpy(&lasti, bytes + layout->frame_instr, sizeof(lasti));
		if (lasti >= -1 && lasti < (int64_t)CODE_BYTES_MAX)
			return true;
	}
	return fail(look, "a frame's instruction is not in its code");
}

static bool read_frame(struct look *look, uint64_t address, struct frame *frame)
{
	const struct kb_layout *layout = look->layout;
	uint8_t bytes[KB_FRAME_SIZE_MAX];

	if (!kb_memory__read(look->pid, address, bytes, layout->frame_size))
		return fail(look, "a frame is not readable");
	frame->previous = word_at(bytes, layout->frame_previous);
	frame->code = word_at(bytes, layout->frame_code) & ~7ull;
	frame->skipped = layout->skip_owner && bytes[layout->frame_owner] >= layout->skip_owner;
	if (frame->skipped)
		return bytes[layout->frame_owner] <= 4 || fail(look, "a frame has no owner");
	return is_code(look, frame->code) && has_instruction(look, bytes, frame->code);
}

static void check_frames(struct look *look, uint64_t address)
{
	uint32_t right = 0;
	struct frame frame;

	for (int i = 0; i < FRAMES_MAX && address; i++, address = frame.previous) {
		if (!read_frame(look, address, &frame))
			break;
		if (frame.skipped)
			continue;
		look->leaves += !right;
		look->callers += right > 0;
		right++;
	}
	look->roots += right == 1 && !address;
}

/* ---------------------------------------------------------------- threads */

/* The thread's innermost frame, 0 when it runs nothing. 3.11 and 3.12 always have a cframe. */
static bool frame_of(struct look *look, uint64_t tstate, uint64_t *frame)
{
	const struct kb_layout *layout = look->layout;

	if (!read_word(look, tstate + layout->tstate_frame, frame))
		return false;
	return layout->cframe_current_frame == KB_NO_OFFSET ||
	       read_word(look, *frame + layout->cframe_current_frame, frame);
}

static bool check_thread(struct look *look, uint64_t tstate, uint64_t interp, uint64_t *next)
{
	const struct kb_layout *layout = look->layout;
	uint64_t owner, thread, self, frame;

	if (!read_word(look, tstate + layout->tstate_interp, &owner) ||
	    !read_word(look, tstate + layout->tstate_thread_id, &thread) ||
	    !read_word(look, tstate + layout->tstate_next, next) || !frame_of(look, tstate, &frame))
		return fail(look, "a thread state is not readable");
	if (owner != interp)
		return fail(look, "a thread state is not its interpreter's");
	look->threads++;
	/* pthread_self() is the address of the thread's descriptor. */
	if (thread && read_word(look, thread, &self))
		look->living++;
	if (frame)
		check_frames(look, frame);
	else
		look->frameless++;
	return true;
}

static bool check_threads(struct look *look, uint64_t interp)
{
	uint64_t tstate, next;

	if (!read_word(look, interp + look->layout->interp_threads_head, &tstate))
		return fail(look, "an interpreter is not readable");
	for (int i = 0; i < THREADS_MAX && tstate; i++, tstate = next)
		if (!check_thread(look, tstate, interp, &next))
			return false;
	return true;
}

static bool check_interpreters(struct look *look)
{
	uint64_t interp;

	if (!read_word(look, look->interp->image->image.interp_head + look->interp->bias, &interp))
		return fail(look, "the list of interpreters is not readable");
	for (int i = 0; i < INTERPRETERS_MAX && interp; i++) {
		if (!check_threads(look, interp))
			return false;
		if (!read_word(look, interp + look->layout->interp_next, &interp))
			return fail(look, "an interpreter is not readable");
	}
	if (!look->threads)
		return fail(look, "there is no thread state");
	return look->living || fail(look, "no thread state belongs to a thread");
}

/* ---------------------------------------------------------------- verdict */

/* A frame and one of its callers; or a frame that is the only one; or nothing runs at all. */
static bool is_proven(struct look *look, bool complete)
{
	if (look->leaves && (look->callers || look->roots))
		return true;
	look->idle += complete && look->frameless == look->threads;
	return look->idle >= IDLE_LOOKS && !look->leaves;
}

struct kb_error *kb_interpreter__validate(pid_t pid, const struct kb_interpreter *interp)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	struct look look = { .pid = pid, .interp = interp, .layout = &interp->image->layout };

	for (int i = 0; i < LOOKS_MAX; i++) {
		if (i)
			nanosleep(&pause, NULL);
		look.threads = look.living = look.frameless = 0;
		if (is_proven(&look, check_interpreters(&look)))
			return NULL;
	}
	return kb_unsupported("process %d: the layout of Python %s does not fit: %s", pid,
			      interp->image->version,
			      look.wrong ? look.wrong : "no frame was seen whole");
}
