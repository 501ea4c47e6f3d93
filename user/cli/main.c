// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/* The program: finds the command, prints its error in one line, and exits with its status. */
#include <stdio.h>
#include <string.h>
#include "base/error.h"
#include "cli/command.h"
#include "cli/interrupt.h"
#include "base/nearest.h"
#include "cli/output.h"
#include "cli/report.h"
#include "keelback/inspect.h"

static const struct kb_command commands[] = {
	{ "sample", "Where does the time go? A sampling profile of running programs",
	  kb_command__sample },
	{ "top", "The same live, in the terminal", kb_command__top },
	{ "calls", "How often is what called, and by whom? Exact call statistics",
	  kb_command__calls },
	{ "memory", "What was allocated where, and what is still alive?", kb_command__memory },
	{ "refs", "Which objects come and go, and where? Creations and destructions by type",
	  kb_command__refs },
	{ "convert", "Turn a recording into a table, a flame graph or another format",
	  kb_command__convert },
	{ "diff", "Compare two recordings, function by function or as a flame graph",
	  kb_command__diff },
	{ "check", "Is the new version slower, and which function did it? A gate for CI",
	  kb_command__check },
	{ "stats", "Browse and combine call statistics, as Python's pstats does",
	  kb_command__stats },
	{ "dump", "Where is it now? The stacks of all threads of running programs",
	  kb_command__dump },
	{ "census", "What is in the heap now? Objects by type, memory, the largest ones",
	  kb_command__census },
	{ "faults", "What did it die of? Stacks of programs that crash, hang or are signalled",
	  kb_command__faults },
	{ "audit", "What does it do? Audit events of running programs, without a hook",
	  kb_command__audit },
	{ "ps", "List Python processes, and whether keelback works on them", kb_command__ps },
	{ "doctor", "Try what keelback needs from this machine", kb_command__doctor },
};
#define N_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const struct kb_command *find(const char *name)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (!strcmp(commands[i].name, name))
			return &commands[i];
	}
	return NULL;
}

static void print_help(void)
{
	puts("Usage: keelback COMMAND [OPTION...] [TARGET]\n"
	     "Observes Python programs (CPython 3.6 to 3.15) from outside: nothing is imported,\n"
	     "restarted, injected or stopped.\n"
	     "\n"
	     "Commands:");
	for (size_t i = 0; i < N_COMMANDS; i++)
		printf("  %-10s %s\n", commands[i].name, commands[i].summary);
	puts("\n"
	     "  -h, --help     Print this text; 'keelback COMMAND --help' tells about a command\n"
	     "      --version  Print the version\n"
	     "\n"
	     "Examples:\n"
	     "  keelback sample -- python3 program.py     run a program, see where its time goes\n"
	     "  keelback sample -p 4711 -d 10 -o out.html flame graph of 10 s of a process\n"
	     "  keelback sample -a -d 60 -o machine.kb    record the whole machine for a minute\n"
	     "  keelback convert machine.kb -o out.html   and look at it later\n"
	     "  keelback dump -p 4711 --locals            where is it now, and with what?\n"
	     "  keelback faults -a --native               tell of every Python that crashes\n"
	     "\n"
	     "Observing needs root, or the capabilities that 'keelback doctor' names.");
}

static struct kb_error *unknown(const char *name)
{
	const char *near =
		kb_nearest(name, &commands[0].name, N_COMMANDS, sizeof(struct kb_command));

	if (name[0] == '-')
		return kb_usage("unknown option '%s' (see 'keelback --help')", name);
	if (near)
		return kb_usage("unknown command '%s': did you mean '%s'?", name, near);
	return kb_usage("unknown command '%s' (see 'keelback --help')", name);
}

/* Prints and destroys; returns the exit status. */
static int complain(const char *command, struct kb_error *err)
{
	int status = kb_error__status(err);
	const char *text = kb_error__text(err);

	if (*text)
		kb_say("%s%s%s", command ? command : "", command ? ": " : "", text);
	kb_error__destroy(err);
	return status;
}

static int run(const struct kb_command *command, int argc, char **argv)
{
	int status = 0;
	struct kb_error *err = command->run(argc, argv, &status);

	return err ? complain(command->name, err) : status;
}

/* Help and version: stdout may be full or closed, too. */
static int finish_stdout(void)
{
	struct kb_output *output;
	struct kb_error *err = kb_output__open(NULL, &output);

	if (!err) {
		err = kb_output__commit(output, NULL);
		kb_output__destroy(output);
	}
	return err ? complain(NULL, err) : 0;
}

static int help(int argc, char **argv)
{
	char *args[] = { argc ? argv[0] : NULL, "--help", NULL };
	const struct kb_command *command = NULL;

	if (argc > 1)
		return complain(NULL, kb_usage("unexpected argument '%s' (see 'keelback --help')",
					       argv[1]));
	if (argc) {
		command = find(argv[0]);
		if (!command)
			return complain(NULL, unknown(argv[0]));
		return run(command, 2, args) ?: finish_stdout();
	}
	print_help();
	return finish_stdout();
}

int main(int argc, char **argv)
{
	const struct kb_command *command;
	int status;

	kb_interrupt__install();
	if (argc < 2)
		return complain(NULL, kb_usage("no command given (see 'keelback --help')"));
	if (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))
		return help(0, NULL);
	if (!strcmp(argv[1], "help"))
		return help(argc - 2, argv + 2);
	if (!strcmp(argv[1], "--version")) {
		printf("keelback %s\n", kb_version());
		return finish_stdout();
	}
	command = find(argv[1]);
	if (!command)
		return complain(NULL, unknown(argv[1]));
	status = run(command, argc - 1, argv + 1);
	return status ? status : finish_stdout();
}
