// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "cli/check_args.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "cli/output.h"
#include "cli/report.h"
#include "keelback/check.h"

/* What is being done, on one line of the terminal that is written again and again. */
struct progress {
	bool shown, any;
	const char *what;
	uint32_t n_pairs;
	enum kb_check_side side;
};

static void show(struct progress *shown, const struct kb_check_progress *now)
{
	if (shown->any && shown->what == now->what && shown->n_pairs == now->n_pairs &&
	    shown->side == now->side)
		return;
	fprintf(stderr, "\r\033[K%s, %s", now->what, now->side == KB_CHECK_HEAD ? "head" : "base");
	if (now->n_pairs)
		fprintf(stderr, "; %u pairs", now->n_pairs);
	if (now->half_width > 0 && now->half_width < 10)
		fprintf(stderr, ", CPU time to +-%.1f%%", now->half_width * 100);
	shown->any = true;
	shown->what = now->what;
	shown->n_pairs = now->n_pairs;
	shown->side = now->side;
}

static bool go_on(const struct kb_check_progress *now, void *context)
{
	struct progress *shown = context;
	bool from_terminal;

	if (shown->shown)
		show(shown, now);
	return !kb_interrupt__received(&from_terminal);
}

static struct kb_error *make_check(struct kb_check_args *args, struct kb_check **check)
{
	struct progress progress = { .shown = isatty(STDERR_FILENO) && !args->general.quiet &&
					      !args->opts.show_output };
	struct kb_error *err;

	if (args->recordings[0])
		return kb_check__load(args->recordings[KB_CHECK_BASE],
				      args->recordings[KB_CHECK_HEAD], &args->opts.rules, check);
	args->opts.go_on = go_on;
	args->opts.context = &progress;
	err = kb_check__run(&args->opts, check);
	if (progress.any)
		fputs("\r\033[K", stderr);
	return err;
}

/* A history without a check. */
static struct kb_error *write_trend(const struct kb_format *format,
				    const struct kb_check_trend *trend,
				    const struct kb_check_view_opts *view, FILE *stream)
{
	if (!strcmp(format->name, "text"))
		return kb_check_trend__write_text(trend, view->color, stream);
	if (!strcmp(format->name, "json"))
		return kb_check_trend__write_json(trend, stream);
	return kb_usage("--format: %s is for a check, not for a history alone: text or json",
			format->name);
}

static struct kb_error *write_report(const struct kb_check_args *args,
				     const struct kb_check_output *to, const struct kb_check *check)
{
	struct kb_check_view_opts view = args->view;
	struct kb_output *output;
	struct kb_error *err;

	view.color = kb_use_color(args->general.color, to->path);
	view.verbose = args->general.verbose > 0;
	view.trend = args->history.trend;
	KB_TRY(kb_output__open(to->path, &output));
	if (check)
		err = kb_check_format__write(to->format, check, &view, kb_output__stream(output));
	else
		err = write_trend(to->format, args->history.trend, &view,
				  kb_output__stream(output));
	err = kb_output__commit(output, err);
	kb_output__destroy(output);
	return err;
}

static struct kb_error *report(const struct kb_check_args *args, const struct kb_check *check,
			       int *status)
{
	const struct kb_check_meta *meta = check ? kb_check__meta(check) : NULL;
	const struct kb_check_trend *trend = args->history.trend;
	struct kb_error *err = NULL;

	/* One that cannot be written does not cost the others. */
	for (size_t i = 0; i < args->n_outputs; i++)
		err = kb_error__first(err, write_report(args, &args->outputs[i], check));
	if ((meta && meta->verdict == KB_CHECK_REGRESSION) ||
	    (trend && kb_check_trend__verdict(trend) == KB_CHECK_REGRESSION))
		*status = KB_STATUS_REGRESSION;
	else if (meta && meta->interrupted)
		*status = KB_STATUS_FAILED;
	return err;
}

static struct kb_error *run(struct kb_check_args *args, int *status)
{
	struct kb_check *check = NULL;
	struct kb_error *err;

	KB_TRY(kb_check_args__complete(args));
	KB_TRY(kb_check_history_args__open(&args->history, args->general.quiet));
	kb_report__start(&args->general);
	if (!args->only_history)
		KB_TRY(make_check(args, &check));
	err = kb_check_history_args__add(&args->history, check, &args->opts.rules,
					 args->general.quiet);
	/* A history that cannot be written does not cost the reports. */
	if (check || !err)
		err = kb_error__first(err, report(args, check, status));
	kb_check__destroy(check);
	return err;
}

struct kb_error *kb_command__check(int argc, char **argv, int *status)
{
	struct kb_check_args args;
	bool done = false;
	struct kb_error *err;

	kb_check_args__init(&args);
	err = kb_cli__parse(&kb_check_argp, argc, argv, &args, &args.general, &done);
	if (!err && !done)
		err = run(&args, status);
	kb_check_args__free(&args);
	return err;
}
