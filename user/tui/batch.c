// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* The live view as plain text, for scripts and logs: a header and a table at each refresh. */
#include <inttypes.h>
#include <string.h>
#include "base/clock.h"
#include "base/text.h"
#include "tui/state.h"

#define LINE_MAX_BYTES 2048

/* Text that may come from the target. */
static void write_line(FILE *stream, const char *text)
{
	kb_text__write(stream, text);
	putc('\n', stream);
}

static void write_header(struct kb_top *top, FILE *stream)
{
	const struct kb_view_model *model = top->model;
	const char *mode = kb_sample_mode__name(kb_profile__meta(top->profile)->mode);
	char text[LINE_MAX_BYTES], up[32], span[32], count[32];
	uint64_t now = top->ended ? top->ended_ns : kb_now(CLOCK_MONOTONIC);

	kb_duration_text((now - top->started_ns) / 1e9, up, sizeof(up));
	kb_duration_text(model->duration_ns / 1e9, span, sizeof(span));
	snprintf(text, sizeof(text), "%s | Python %s | %s: %s | up %s | keelback %.1f%% CPU",
		 top->opts->target, *top->pythons ? top->pythons : "?", mode ? mode : "",
		 top->clock, up, 100 * top->own_share);
	write_line(stream, text);
	kb_count_text(top, model->total, count, sizeof(count));
	fprintf(stream, "%s %s%s | %u of %u %s\n", count, model->window_ns ? "in the last " : "in ",
		span, top->order.n, top->order.n_counted,
		model->labels.by_lines ? "lines" : "functions");
	kb_ledger_text(top->profile, text, sizeof(text));
	write_line(stream, text);
}

static void write_row(struct kb_top *top, uint32_t id, FILE *stream)
{
	const struct kb_view_model *model = top->model;
	const struct kb_row *row = &model->rows[id];
	char self[32], total[32], text[LINE_MAX_BYTES];
	enum kb_trend trend = kb_view_model__trend(model, row->total_now, row->total_before);

	if (trend == KB_TREND_FLAT)
		trend = kb_view_model__trend(model, row->self_now, row->self_before);
	kb_count_text(top, row->self, self, sizeof(self));
	kb_count_text(top, row->total, total, sizeof(total));
	kb_row_text(model, id, text, sizeof(text));
	fprintf(stream, "%8s %6.1f %8s %6.1f %6.1f %c ", self, kb_share(row->self, model->total),
		total, kb_share(row->total, model->total),
		100 * kb_view_model__share_now(model, row->self_now),
		trend == KB_TREND_UP	 ? '+'
		: trend == KB_TREND_DOWN ? '-'
					 : ' ');
	write_line(stream, text);
}

static struct kb_error *write_view(struct kb_top *top, unsigned limit, FILE *stream)
{
	write_header(top, stream);
	fputs("    SELF  SELF%    TOTAL TOTAL%   NOW%   FUNCTION (FILE:LINE)\n", stream);
	for (uint32_t i = 0; i < top->order.n && (!limit || i < limit); i++)
		write_row(top, top->order.rows[i], stream);
	putc('\n', stream);
	if (fflush(stream))
		return kb_failed("%s", ""); /* what is wrong with stdout is found at the end */
	return NULL;
}

static struct kb_error *write_all(struct kb_top *top, unsigned n, unsigned limit, FILE *stream)
{
	uint64_t next;

	KB_TRY(kb_top__start(top));
	if (top->opts->console && top->opts->console->master >= 0)
		KB_TRY(kb_sampler__wake_on(top->sampler, top->opts->console->master));
	kb_top__learn(top);
	next = top->started_ns + (uint64_t)(top->delay * KB_NS_PER_SECOND);
	for (unsigned i = 0; i < n && !top->ended;) {
		bool refreshed = false;

		KB_TRY(kb_top__await(top, &next, &refreshed));
		if (top->opts->interrupted(top->opts->context))
			break;
		if (refreshed) {
			KB_TRY(write_view(top, limit, stream));
			i++;
		}
	}
	return NULL;
}

struct kb_error *kb_top__batch(const struct kb_top_opts *opts, unsigned n, unsigned limit,
			       FILE *stream)
{
	struct kb_top top = {};
	struct kb_error *err = kb_top__create(&top, opts);

	if (!err)
		err = write_all(&top, n, limit, stream);
	err = kb_error__first(err, kb_sampler__stop(opts->sampler));
	kb_top__destroy(&top);
	return err;
}
