/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
#ifndef KB_TUI_STATE_H
#define KB_TUI_STATE_H

#include "tui/call_tree.h"
#include "tui/details.h"
#include "tui/screen.h"
#include "tui/top.h"
#include "tui/view_model.h"

/*
 * What the live view is showing: changed by keys (keys.c) and by time (top.c),
 * drawn by draw_*.c, which change nothing but scroll positions.
 */
enum kb_page { KB_PAGE_TABLE, KB_PAGE_THREADS, KB_PAGE_HELP };

/* Below the table, about the selected row. */
enum kb_panel {
	KB_PANEL_NONE,
	KB_PANEL_LINES,
	KB_PANEL_OPCODES,
	KB_PANEL_CALLEES,
	KB_PANEL_CALLERS,
	KB_PANEL_OUTPUT, /* of the command, about no row */
	KB_PANELS
};

enum kb_prompt_kind {
	KB_PROMPT_NONE,
	KB_PROMPT_FILTER,
	KB_PROMPT_SAVE,
	KB_PROMPT_OVERWRITE, /* a question: yes or no */
	KB_PROMPT_QUIT,	     /* a question: what becomes of the command */
};

struct kb_prompt {
	enum kb_prompt_kind kind;
	char text[KB_PATTERN_MAX * 4 + 1]; /* UTF-8; a path or a pattern */
	char before[KB_PATTERN_MAX + 1];   /* the filter, for escape */
	char error[160];		   /* what is wrong with the text */
};

/* A list that scrolls. */
struct kb_list {
	uint32_t n, cursor, top;
	uint32_t page; /* rows that are visible, as last drawn */
};

/* An entry of the page of threads: all, a process, or a thread. */
struct kb_scope_item {
	enum kb_scope scope;
	uint32_t id;
	uint64_t count;
};

struct kb_top {
	const struct kb_top_opts *opts;
	struct kb_sampler *sampler;
	const struct kb_profile *profile;
	struct kb_screen screen;
	struct kb_view_model *model;
	struct kb_row_order order;

	enum kb_page page;
	enum kb_panel panel;
	bool in_panel; /* keys move there */
	struct kb_list table, details, threads, help, output;
	bool pinned;	     /* a row is selected; else the cursor stays at the top */
	uint32_t selected;   /* a row of the model, while pinned */
	bool selection_lost; /* the selected row is filtered out */
	struct kb_call_tree callees, callers;
	struct kb_details lines, opcodes;
	struct kb_scope_item *scopes; /* of the page of threads */
	size_t scopes_capacity;

	struct kb_prompt prompt;
	char message[200];
	bool message_is_error;
	uint64_t message_until;

	bool frozen; /* the view; sampling goes on */
	bool paused; /* sampling */
	bool ended;  /* sampling, for good */
	bool command_ended;
	const char *ended_why;
	bool show_trend, show_seconds;
	bool quit, end_command;
	double delay;

	uint64_t started_ns, ended_ns;	/* of sampling */
	uint32_t drains;		/* of the sampler, at the last refresh */
	uint64_t own_cpu_ns, own_at_ns; /* at the last refresh */
	double own_share;		/* of one CPU */
	const char *clock;		/* of the sampler */
	char pythons[80];
};

/* session.c */
struct kb_error *kb_top__create(struct kb_top *top, const struct kb_top_opts *opts);
void kb_top__destroy(struct kb_top *top);
struct kb_error *kb_top__start(struct kb_top *top);
/*
 * Waits for samples, or for what else wakes the sampler, and takes what came with it: the
 * command's output. *next is when the numbers are to be refreshed; *refreshed: they are new.
 */
struct kb_error *kb_top__await(struct kb_top *top, uint64_t *next, bool *refreshed);
/* For keys: */
struct kb_error *kb_top__select(struct kb_top *top);	/* the window has changed */
struct kb_error *kb_top__aggregate(struct kb_top *top); /* the scope, or rows, or their order */
struct kb_error *kb_top__order(struct kb_top *top);	/* only their order, or the filter */
/* top.c: a line for the user, in the footer for a while. */
void kb_top__say(struct kb_top *top, bool error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* list.c */
/* Moves by keys that move in any list; false: another key. */
bool kb_list__key(struct kb_list *list, int key);
/* Of n entries, with `page` visible ones: keeps the cursor among the entries and among those. */
void kb_list__fit(struct kb_list *list, uint32_t n, uint32_t page);

/* keys.c */
struct kb_error *kb_top__key(struct kb_top *top, int key);
/* prompt.c */
void kb_prompt__open(struct kb_top *top, enum kb_prompt_kind kind);
struct kb_error *kb_prompt__key(struct kb_top *top, int key);

/* selection.c: the selected row and what is shown about it */
uint32_t kb_top__selected_row(const struct kb_top *top); /* KB_ID_NONE: none */
void kb_top__follow_selection(struct kb_top *top);
void kb_top__pin(struct kb_top *top, uint32_t row);
struct kb_error *kb_top__update_panel(struct kb_top *top);
bool kb_top__has_panel(const struct kb_top *top, enum kb_panel panel);
struct kb_call_tree *kb_top__tree(struct kb_top *top); /* of the panel; NULL: it has none */

/* scopes.c: processes and threads */
struct kb_error *kb_top__update_scopes(struct kb_top *top);
/* The next thread or process in the order of their ids, and after the last one all. */
void kb_top__cycle_scope(struct kb_top *top, enum kb_scope scope, int step);
/* For people: "thread MainThread/python3 (4711)". */
void kb_top__scope_text(const struct kb_top *top, enum kb_scope scope, uint32_t id, char *text,
			size_t size);

/* draw.c and draw_*.c */
void kb_top__draw(struct kb_top *top);
/* Lines used. */
int kb_top__draw_header(struct kb_top *top);
void kb_top__draw_table(struct kb_top *top, int row, int rows);
void kb_top__draw_panel(struct kb_top *top, int row, int rows);
void kb_top__draw_threads(struct kb_top *top, int row, int rows);
void kb_top__draw_help(struct kb_top *top);
void kb_top__draw_footer(struct kb_top *top);

/* draw_table.c */
enum kb_style kb_function_style(const struct kb_function_info *function);
/* A row's file and line: whole or, where that does not fit, the longest end from a directory on. */
void kb_top__draw_file(const struct kb_top *top, uint32_t id, int row, int column, int width);

/* numbers.c: counts for people */
double kb_share(uint64_t part, uint64_t whole); /* per cent */
/* A count in at most 7 characters: samples, or seconds. */
void kb_count_text(const struct kb_top *top, uint64_t count, char *text, size_t size);
void kb_duration_text(double seconds, char *text, size_t size);
/* The header's facts, also for plain text. */
void kb_top__learn(struct kb_top *top);
void kb_ledger_text(const struct kb_profile *profile, char *text, size_t size);

#endif
