// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/*
 * Lib/pstats.py's ProfileBrowser on Lib/cmd.py's Cmd, from outside: an empty line repeats the
 * command before it, `?` is help, what is sorted stays sorted until the statistics change.
 */
#include <ctype.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/error.h"
#include "base/text.h"
#include "cli/line_editor.h"
#include "cli/output.h"
#include "cli/stats_browser.h"
#include "keelback/calls_format.h"

#define BLANKS	  " \t\n\v\f\r"
#define WORDS_MAX 64 /* restrictions in a line; more are an error */

struct browser {
	struct kb_calls *calls; /* NULL: nothing is loaded */
	char *path;		/* of what was read last */
	char *sort;		/* NULL: as listed */
	bool reverse;
	bool partial;
	char *last; /* the command that an empty line repeats */
};

struct command {
	const char *name;
	bool (*run)(struct browser *browser, char *line); /* true: leave */
	const char *help;
	bool restricts; /* its arguments are explained */
};
static const struct command *find(const char *name, size_t length);

/* ---- state */

static void forget_order(struct browser *browser)
{
	free(browser->sort);
	browser->sort = NULL;
	browser->reverse = false;
}

static void show_error(const char *prefix, struct kb_error *err)
{
	fputs(prefix, stdout);
	kb_text__write(stdout, kb_error__text(err));
	putchar('\n');
	kb_error__destroy(err);
}

static bool is_loaded(const struct browser *browser)
{
	if (!browser->calls)
		puts("No statistics object is loaded.");
	return browser->calls;
}

static void load(struct browser *browser, const char *path)
{
	char *copy = strdup(path);
	struct kb_error *err;
	struct kb_calls *calls;

	err = copy ? kb_calls__load(path, browser->partial, &calls) : kb_error__no_memory();
	if (err) {
		free(copy);
		show_error("", err);
		return;
	}
	kb_calls__destroy(browser->calls);
	free(browser->path);
	browser->calls = calls;
	browser->path = copy;
	forget_order(browser);
}

/* ---- commands */

static bool do_read(struct browser *browser, char *line)
{
	char *again = *line || !browser->path ? NULL : strdup(browser->path);

	if (*line)
		load(browser, line);
	else if (again)
		load(browser, again);
	else
		puts("No statistics object is current -- cannot reload.");
	free(again);
	return false;
}

static bool do_add(struct browser *browser, char *line)
{
	struct kb_calls *more;
	struct kb_error *err;

	if (!is_loaded(browser))
		return false;
	err = kb_calls__load(line, browser->partial, &more);
	if (!err) {
		err = kb_calls__add(browser->calls, more);
		kb_calls__destroy(more);
		forget_order(browser);
	}
	if (err) {
		fputs("Failed to load statistics for ", stdout);
		kb_text__write(stdout, line);
		show_error(": ", err);
	}
	return false;
}

static bool do_strip(struct browser *browser, char *line)
{
	struct kb_calls *stripped;
	struct kb_error *err;

	if (!is_loaded(browser))
		return false;
	err = kb_calls__strip_dirs(browser->calls, &stripped);
	if (err) {
		show_error("", err);
		return false;
	}
	kb_calls__destroy(browser->calls);
	browser->calls = stripped;
	forget_order(browser);
	return false;
}

static bool do_reverse(struct browser *browser, char *line)
{
	if (is_loaded(browser))
		browser->reverse = browser->sort && !browser->reverse;
	return false;
}

static void list_sort_keys(void)
{
	const struct kb_calls_sort_key *key;

	puts("Valid sort keys (unique prefixes are accepted):");
	for (size_t i = 0; (key = kb_calls_sort__at(i)); i++)
		printf("%s -- %s\n", key->name, key->description);
}

static bool do_sort(struct browser *browser, char *line)
{
	struct kb_error *err;

	if (!is_loaded(browser))
		return false;
	err = isalpha((unsigned char)*line) ? kb_calls_sort__check(line) : kb_usage("no keys");
	if (err) {
		kb_error__destroy(err);
		list_sort_keys();
		return false;
	}
	forget_order(browser);
	browser->sort = strdup(line);
	return false;
}

/* Whether the restriction is a number out of range, not an expression that is none. */
static bool is_wrong_fraction(const char *word)
{
	struct kb_error *err = kb_calls_restriction__check(word);
	bool wrong = err;
	char *end;

	kb_error__destroy(err);
	strtod(word, &end);
	return wrong && !*end;
}

static bool show(struct browser *browser, char *line, enum kb_calls_view view)
{
	const char *words[WORDS_MAX];
	struct kb_calls_format_opts opts = { .size = sizeof(opts),
					     .view = view,
					     .sort = browser->sort,
					     .reverse = browser->reverse,
					     .restrictions = words,
					     .summary = view == KB_CALLS_STATS };
	struct kb_error *err;

	for (char *word = strtok(line, BLANKS); word; word = strtok(NULL, BLANKS)) {
		if (is_wrong_fraction(word)) {
			puts("Fraction argument must be in [0, 1]");
		} else if (opts.n_restrictions == WORDS_MAX) {
			printf("More than %d arguments\n", WORDS_MAX);
			return false;
		} else {
			words[opts.n_restrictions++] = word;
		}
	}
	if (!is_loaded(browser))
		return false;
	err = kb_calls_format__write(kb_calls_format__at(0), browser->calls, &opts, stdout);
	if (err)
		show_error("", err);
	return false;
}

static bool do_stats(struct browser *browser, char *line)
{
	return show(browser, line, KB_CALLS_STATS);
}

static bool do_callers(struct browser *browser, char *line)
{
	return show(browser, line, KB_CALLS_CALLERS);
}

static bool do_callees(struct browser *browser, char *line)
{
	return show(browser, line, KB_CALLS_CALLEES);
}

static bool do_quit(struct browser *browser, char *line)
{
	return true;
}

static bool do_end(struct browser *browser, char *line)
{
	putchar('\n');
	return true;
}

static bool do_help(struct browser *browser, char *line);

static const struct command commands[] = {
	{ "EOF", do_end, "Leave the profile browser." },
	{ "add", do_add, "Add profile info from given file to current statistics object." },
	{ "callees", do_callees, "Print callees statistics from the current stat object.", true },
	{ "callers", do_callers, "Print callers statistics from the current stat object.", true },
	{ "help", do_help, "Show help for a given command." },
	{ "quit", do_quit, "Leave the profile browser." },
	{ "read", do_read,
	  "Read in profile data from a specified file.\n"
	  "Without argument, reload the current file." },
	{ "reverse", do_reverse, "Reverse the sort order of the profiling report." },
	{ "sort", do_sort,
	  "Sort profile data according to specified keys.\n"
	  "(Typing `sort' without arguments lists valid keys.)" },
	{ "stats", do_stats, "Print statistics from the current stat object.", true },
	{ "strip", do_strip, "Strip leading path information from filenames in the report." },
};

#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct command *find(const char *name, size_t length)
{
	for (size_t i = 0; i < N_COMMANDS; i++)
		if (strlen(commands[i].name) == length && !strncmp(commands[i].name, name, length))
			return &commands[i];
	return NULL;
}

static void list_commands(void)
{
	const char *title = "Documented commands (type help <topic>):";

	printf("\n%s\n", title);
	for (size_t i = 0; title[i]; i++)
		putchar('=');
	for (size_t i = 0; i < N_COMMANDS; i++)
		printf("%s%s", i ? "  " : "\n", commands[i].name);
	puts("\n");
}

static bool do_help(struct browser *browser, char *line)
{
	const struct command *command = find(line, strlen(line));

	if (!*line) {
		list_commands();
	} else if (!command) {
		fputs("*** No help on ", stdout);
		kb_text__write(stdout, line);
		putchar('\n');
	} else {
		puts(command->help);
		if (command->restricts)
			puts("Arguments may be:\n"
			     "* An integer maximum number of entries to print.\n"
			     "* A decimal fractional number between 0 and 1, controlling\n"
			     "  what fraction of selected entries to print.\n"
			     "* A regular expression; only entries with function names\n"
			     "  that match it are printed.");
	}
	return false;
}

/* ---- lines: Lib/cmd.py's parseline() and onecmd() */

static char *stripped(char *text)
{
	size_t length;

	text += strspn(text, BLANKS);
	length = strlen(text);
	while (length && strchr(BLANKS, text[length - 1]))
		text[--length] = 0;
	return text;
}

static bool run_line(struct browser *browser, char *line)
{
	const struct command *command;
	size_t length = 0;

	if (*line == '?') {
		line = stripped(line + 1);
		return do_help(browser, line);
	}
	while (isalnum((unsigned char)line[length]) || line[length] == '_')
		length++;
	command = find(line, length);
	if (command)
		return command->run(browser, stripped(line + length));
	fputs("*** Unknown syntax: ", stdout);
	kb_text__write(stdout, line);
	putchar('\n');
	return false;
}

static bool run_input(struct browser *browser, const char *input)
{
	char *copy = strdup(input), *line;
	bool leave = false;

	if (!copy)
		return true;
	line = stripped(copy);
	if (*line) {
		free(browser->last);
		browser->last = strdup(line);
		leave = run_line(browser, line);
	} else if (browser->last) {
		free(copy);
		copy = strdup(browser->last);
		leave = !copy || run_line(browser, copy);
	}
	free(copy);
	return leave;
}

/* What may follow `before`: a command, then what the command takes. */
static const char *words(const char *before, size_t n)
{
	const struct command *command;
	const struct kb_calls_sort_key *key;
	size_t length;

	before += strspn(before, BLANKS);
	length = strcspn(before, BLANKS);
	command = find(before, length);
	if (!length || (command && command->run == do_help))
		return n < N_COMMANDS ? commands[n].name : NULL;
	if (command && command->run == do_sort)
		return (key = kb_calls_sort__at(n)) ? key->name : NULL;
	if (command && (command->run == do_read || command->run == do_add))
		return n ? NULL : "";
	return NULL;
}

static void browse(struct browser *browser)
{
	bool leave = false;

	while (!leave && !ferror(stdout)) {
		char *prompt, *line;

		if (asprintf(&prompt, "%s%% ", browser->path ? browser->path : "") < 0)
			return;
		line = kb_line_editor__read(prompt, words);
		leave = line ? run_input(browser, line) : do_end(browser, "");
		free(line);
		free(prompt);
	}
}

/* There is nothing to be finished. libedit has restored the terminal before it passes the signal
 * on. */
static void on_interrupt(int number)
{
	if (write(STDOUT_FILENO, "\n", 1) < 0)
		_exit(KB_STATUS_FAILED);
	_exit(128 + number);
}

struct kb_error *kb_stats_browser__run(const char *const *paths, size_t n, bool strip_dirs,
				       bool partial)
{
	struct browser browser = { .partial = partial };
	struct kb_output *output;
	struct kb_error *err;

	signal(SIGINT, on_interrupt);
	for (size_t i = 0; i < n; i++) {
		char *path = strdup(paths[i]);

		if (path && !i)
			load(&browser, path);
		else if (path)
			do_add(&browser, path);
		free(path);
	}
	if (strip_dirs && browser.calls)
		do_strip(&browser, "");
	puts("Welcome to the profile statistics browser.");
	browse(&browser);
	puts("Goodbye.");
	kb_calls__destroy(browser.calls);
	free(browser.path);
	free(browser.sort);
	free(browser.last);
	KB_TRY(kb_output__open(NULL, &output));
	err = kb_output__commit(output, NULL);
	kb_output__destroy(output);
	return err;
}
