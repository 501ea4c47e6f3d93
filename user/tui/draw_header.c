// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "tui/state.h"

#define SPARKLINE_MAX 60 /* intervals */
#define HOT_MAX	      3	 /* functions */

/* A line that grows to the right, part by part; one that does not fit ends it. */
struct line {
	const struct kb_screen *screen;
	int row, column, end;
	bool full;
};

static void part(struct line *line, enum kb_style style, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

static void part(struct line *line, enum kb_style style, const char *format, ...)
{
	char text[1024];
	va_list args;
	int width;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	width = kb_cells__width(text, line->screen->ascii);
	/* The first part is cut rather than left out. */
	line->full = line->full || (line->column && line->column + width > line->end);
	if (!line->full)
		line->column += kb_screen__put(line->screen, line->row, line->column,
					       line->end - line->column, style, KB_CUT_END, text);
}

static void bar(struct line *line)
{
	if (line->column)
		part(line, KB_STYLE_DIM, " %s ", kb_screen__symbol(line->screen, KB_SYMBOL_BAR));
}

/* What is not as usual, at the right end, where it is not overlooked. */
static void draw_flags(struct kb_top *top, struct line *line)
{
	const char *flag = top->ended	 ? top->ended_why
			   : top->frozen ? "FROZEN"
			   : top->paused ? "SAMPLING STOPPED"
					 : NULL;
	int width;

	if (!flag)
		return;
	width = strlen(flag) + 2;
	if (width > line->end)
		width = line->end;
	line->end -= width + 1;
	kb_screen__print(line->screen, line->row, line->end + 1, width, KB_STYLE_SORTED, " %s ",
			 flag);
}

static void draw_target(struct kb_top *top, struct line *line)
{
	draw_flags(top, line);
	part(line, KB_STYLE_TITLE, "%s", top->opts->target);
	if (*top->pythons) {
		bar(line);
		part(line, KB_STYLE_NORMAL, "Python %s", top->pythons);
	}
}

static void draw_session(struct kb_top *top, struct line *line)
{
	uint64_t now = top->ended ? top->ended_ns : kb_now(CLOCK_MONOTONIC);
	const char *mode = kb_sample_mode__name(kb_profile__meta(top->profile)->mode);
	char up[32];

	kb_duration_text((now - top->started_ns) / 1e9, up, sizeof(up));
	part(line, KB_STYLE_NORMAL, "%s: %s", mode ? mode : "", top->clock);
	bar(line);
	part(line, KB_STYLE_NORMAL, "up ");
	part(line, KB_STYLE_GOOD, "%s", up);
	bar(line);
	part(line, KB_STYLE_NORMAL, "every %.2g s", top->delay);
	bar(line);
	part(line, KB_STYLE_NORMAL, "keelback ");
	part(line, KB_STYLE_NUMBER, "%.1f%% CPU", 100 * top->own_share);
}

static void draw_selection(struct kb_top *top, struct line *line)
{
	const struct kb_view_model *model = top->model;
	double seconds = model->duration_ns / 1e9;
	char scope[512], span[32];

	kb_top__scope_text(top, model->scope, model->scope_id, scope, sizeof(scope));
	kb_duration_text(seconds, span, sizeof(span));
	part(line, model->scope == KB_SCOPE_ALL ? KB_STYLE_NORMAL : KB_STYLE_WARN, "%s", scope);
	bar(line);
	if (model->window_ns)
		part(line, KB_STYLE_WARN, "last %s", span);
	else
		part(line, KB_STYLE_NORMAL, "since start: %s", span);
	if (top->order.filtered) {
		bar(line);
		part(line, KB_STYLE_WARN, "/%s/", top->order.pattern);
	}
	bar(line);
	part(line, KB_STYLE_NORMAL, "%u of %u %s", top->order.n, top->order.n_counted,
	     model->labels.by_lines ? "lines" : "functions");
	bar(line);
	part(line, KB_STYLE_NORMAL, "%u executing", top->order.n_with_self);
}

static double rate_of(const struct kb_interval *interval)
{
	return interval->duration_ns ? interval->tallies.attempted * 1e9 / interval->duration_ns
				     : 0;
}

/* The last intervals' rates, the newest at the right. */
static void draw_sparkline(struct kb_top *top, struct line *line)
{
	const struct kb_history *history = top->model->history;
	uint32_t n = kb_history__n_intervals(history);
	int room = line->end - line->column - 1;
	char text[SPARKLINE_MAX * 4 + 1] = "";
	double max = 1;

	if (room > SPARKLINE_MAX)
		room = SPARKLINE_MAX;
	if (room < 1)
		return;
	if (n > (uint32_t)room)
		n = room;
	for (uint32_t age = 0; age < n; age++) {
		double rate = rate_of(kb_history__interval(history, age));

		max = rate > max ? rate : max;
	}
	for (uint32_t age = n; age-- > 0;) {
		int level = rate_of(kb_history__interval(history, age)) / max * 7.999;

		strcat(text, kb_screen__symbol(line->screen, KB_SYMBOL_LEVEL + level));
	}
	part(line, KB_STYLE_GOOD, " %s", text);
}

static void draw_rate(struct kb_top *top, struct line *line)
{
	const struct kb_view_model *model = top->model;
	const struct kb_history *history = model->history;
	double rate = 0;
	char count[32];

	if (kb_history__n_intervals(history))
		rate = rate_of(kb_history__interval(history, 0));
	kb_count_text(top, model->total, count, sizeof(count));
	part(line, KB_STYLE_NUMBER, "%s", count);
	part(line, KB_STYLE_NORMAL, top->show_seconds ? " sampled, " : " samples, ");
	part(line, KB_STYLE_NUMBER, "%.0f", rate);
	part(line, KB_STYLE_NORMAL, "/s");
	draw_sparkline(top, line);
}

/* Of what was attempted since the start, whatever is shown: what became of it. */
static void draw_ledger(struct kb_top *top, struct line *line)
{
	uint64_t attempted = kb_profile__attempted(top->profile), reported = 0;
	double share;

	for (size_t i = 0; i < kb_profile__n_ledger(top->profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(top->profile, i);

		reported += entry.reported ? entry.count : 0;
	}
	if (!attempted) {
		part(line, KB_STYLE_DIM, "no samples: the target uses no CPU time");
		return;
	}
	share = kb_share(reported, attempted);
	part(line,
	     share > 99	  ? KB_STYLE_GOOD
	     : share > 90 ? KB_STYLE_WARN
			  : KB_STYLE_BAD,
	     "%.2f%% reported", share);
	for (size_t i = 0; i < kb_profile__n_ledger(top->profile); i++) {
		struct kb_ledger_entry entry = kb_profile__ledger(top->profile, i);

		/* States have a line of their own. */
		if (!entry.count || !strncmp(entry.name, "state_", 6))
			continue;
		bar(line);
		part(line,
		     entry.reported ? KB_STYLE_NORMAL
		     : entry.note   ? KB_STYLE_DIM
				    : KB_STYLE_WARN,
		     "%" PRIu64 " %s", entry.count, entry.name);
	}
}

/* A marker's part of the samples, such as <GC>'s. */
static void draw_marker(struct kb_top *top, struct line *line, const char *name, const char *text)
{
	const struct kb_view_model *model = top->model;

	for (uint32_t row = 0; row < model->n_rows; row++) {
		const struct kb_function_info *function = kb_view_model__function(model, row);

		if (function->kind != KB_FRAME_MARKER || !model->rows[row].total ||
		    strcmp(function->name, name))
			continue;
		part(line, KB_STYLE_WARN, "%.1f%%", kb_share(model->rows[row].total, model->total));
		part(line, KB_STYLE_NORMAL, " %s", text);
		bar(line);
		return;
	}
}

/* Of all threads, whatever is shown: what they were doing beside executing functions. */
static void draw_states(struct kb_top *top, struct line *line)
{
	const struct kb_tallies *tallies = &top->model->tallies;

	if (!tallies->gil || kb_profile__meta(top->profile)->mode != KB_MODE_CPU)
		return;
	part(line, KB_STYLE_GOOD, "%.1f%%", kb_share(tallies->gil, tallies->attempted));
	part(line, KB_STYLE_NORMAL, " with the GIL");
	bar(line);
	if (tallies->exception) {
		part(line, KB_STYLE_WARN, "%.1f%%",
		     kb_share(tallies->exception, tallies->attempted));
		part(line, KB_STYLE_NORMAL, " in exceptions");
		bar(line);
	}
}

/* The functions that execute most, however the table is sorted and filtered. */
static void draw_hot(struct kb_top *top, struct line *line)
{
	const struct kb_view_model *model = top->model;
	uint32_t hot[HOT_MAX];
	int n = 0;

	for (uint32_t row = 0; row < model->n_rows; row++) {
		int at = n;

		while (at > 0 && model->rows[row].self > model->rows[hot[at - 1]].self)
			at--;
		if (at == HOT_MAX || !model->rows[row].self)
			continue;
		if (n < HOT_MAX)
			n++;
		memmove(hot + at + 1, hot + at, (n - at - 1) * sizeof(*hot));
		hot[at] = row;
	}
	draw_states(top, line);
	draw_marker(top, line, "<GC>", "GC");
	part(line, KB_STYLE_NORMAL, "most:");
	for (int i = 0; i < n; i++) {
		const struct kb_function_info *function = kb_view_model__function(model, hot[i]);

		part(line, kb_function_style(function), " %.60s %.1f%%", function->name,
		     kb_share(model->rows[hot[i]].self, model->total));
	}
}

int kb_top__draw_header(struct kb_top *top)
{
	/* What is dropped first when there are few rows stands last in `level`. */
	static const struct {
		void (*draw)(struct kb_top *top, struct line *line);
		int rows_min; /* of the screen */
	} lines[] = {
		{ draw_target, 0 }, { draw_session, 16 }, { draw_selection, 12 },
		{ draw_rate, 0 },   { draw_ledger, 14 },  { draw_hot, 22 },
	};
	struct line line = { .screen = &top->screen };

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		if (top->screen.rows < lines[i].rows_min)
			continue;
		line.column = 0;
		line.end = top->screen.columns;
		line.full = false;
		lines[i].draw(top, &line);
		line.row++;
	}
	return line.row;
}
