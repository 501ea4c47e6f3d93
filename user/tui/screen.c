// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause

/*
 * ncurses, and no other file knows of it.
 *
 * Giving the terminal back must also work from a signal handler, where ncurses
 * must not be called: what it takes (settings, and the sequences that leave the
 * screen, show the cursor and end colours) is kept at the start, and written as it is.
 */
#define NCURSES_WIDECHAR 1
#include <curses.h>
#include <errno.h>
#include <langinfo.h>
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>
#include "tui/screen.h"

#define ESCAPE_DELAY_MS 25 /* how long an escape may be the beginning of a key's sequence */
#define LINE_BYTES_MAX	(4 * KB_CELLS_CHARS_MAX)

static struct {
	SCREEN *curses;
	attr_t attributes[KB_STYLES];
	short pairs[KB_STYLES];
	int cursor_row, cursor_column; /* -1: hidden */
} terminal;

/* For the signal handler. */
static struct {
	volatile sig_atomic_t open;
	struct termios settings;
	char leave[256]; /* sequences */
	size_t leave_size;
} saved;

/* ---------------------------------------------------------------- leaving */

/* A capability without its padding, which no terminal of this century needs. */
static void keep_sequence(const char *name)
{
	char *text = tigetstr(name);

	if (!text || text == (char *)-1)
		return;
	while (*text && saved.leave_size < sizeof(saved.leave)) {
		if (text[0] == '$' && text[1] == '<' && strchr(text, '>'))
			text = strchr(text, '>') + 1;
		else
			saved.leave[saved.leave_size++] = *text++;
	}
}

void kb_screen__restore(void)
{
	size_t done = 0;

	if (!saved.open)
		return;
	saved.open = 0;
	while (done < saved.leave_size) {
		ssize_t n = write(STDOUT_FILENO, saved.leave + done, saved.leave_size - done);

		if (n <= 0)
			break;
		done += n;
	}
	tcsetattr(STDIN_FILENO, TCSADRAIN, &saved.settings);
}

static void on_fatal(int number)
{
	kb_screen__restore();
	raise(number); /* SA_RESETHAND: the default now */
}

static const int fatal_signals[] = {
	SIGSEGV, SIGBUS, SIGFPE,  SIGILL,  SIGABRT, SIGQUIT, SIGXCPU,
	SIGXFSZ, SIGSYS, SIGALRM, SIGUSR1, SIGUSR2, SIGPROF, SIGVTALRM
};
#define N_FATAL (sizeof(fatal_signals) / sizeof(fatal_signals[0]))

/* Only those that would end the program; a sanitizer's handlers stay. */
static void catch_fatal(void)
{
	struct sigaction action = { .sa_handler = on_fatal, .sa_flags = SA_RESETHAND | SA_NODEFER },
			 old;

	for (size_t i = 0; i < N_FATAL; i++) {
		if (!sigaction(fatal_signals[i], NULL, &old) && !(old.sa_flags & SA_SIGINFO) &&
		    old.sa_handler == SIG_DFL)
			sigaction(fatal_signals[i], &action, NULL);
	}
}

static void release_fatal(void)
{
	struct sigaction old;

	for (size_t i = 0; i < N_FATAL; i++) {
		if (!sigaction(fatal_signals[i], NULL, &old) && !(old.sa_flags & SA_SIGINFO) &&
		    old.sa_handler == on_fatal)
			signal(fatal_signals[i], SIG_DFL);
	}
}

void kb_screen__close(void)
{
	if (!terminal.curses)
		return;
	if (saved.open)
		endwin();
	saved.open = 0;
	release_fatal();
	delscreen(terminal.curses);
	terminal.curses = NULL;
}

/* ---------------------------------------------------------------- opening */

enum { DEFAULT = -1 };

static const struct {
	attr_t mono;	   /* without colours */
	attr_t attributes; /* with them */
	short front, back;
} styles[KB_STYLES] = {
	[KB_STYLE_NORMAL] = { A_NORMAL, A_NORMAL, DEFAULT, DEFAULT },
	[KB_STYLE_DIM] = { A_DIM, A_DIM, DEFAULT, DEFAULT },
	[KB_STYLE_BOLD] = { A_BOLD, A_BOLD, DEFAULT, DEFAULT },
	[KB_STYLE_TITLE] = { A_BOLD, A_BOLD, COLOR_CYAN, DEFAULT },
	[KB_STYLE_NUMBER] = { A_BOLD, A_NORMAL, COLOR_CYAN, DEFAULT },
	[KB_STYLE_GOOD] = { A_NORMAL, A_NORMAL, COLOR_GREEN, DEFAULT },
	[KB_STYLE_WARN] = { A_BOLD, A_BOLD, COLOR_YELLOW, DEFAULT },
	[KB_STYLE_BAD] = { A_BOLD, A_BOLD, COLOR_RED, DEFAULT },
	[KB_STYLE_FUNCTION] = { A_NORMAL, A_NORMAL, COLOR_CYAN, DEFAULT },
	[KB_STYLE_NATIVE] = { A_NORMAL, A_NORMAL, COLOR_MAGENTA, DEFAULT },
	[KB_STYLE_KERNEL] = { A_NORMAL, A_NORMAL, COLOR_YELLOW, DEFAULT },
	[KB_STYLE_FILE] = { A_DIM, A_NORMAL, COLOR_GREEN, DEFAULT },
	[KB_STYLE_UP] = { A_BOLD, A_BOLD, COLOR_RED, DEFAULT },
	[KB_STYLE_DOWN] = { A_BOLD, A_BOLD, COLOR_GREEN, DEFAULT },
	[KB_STYLE_COLUMNS] = { A_REVERSE, A_REVERSE, DEFAULT, DEFAULT },
	[KB_STYLE_SORTED] = { A_REVERSE | A_BOLD | A_UNDERLINE, A_BOLD, COLOR_BLACK, COLOR_CYAN },
	[KB_STYLE_KEY] = { A_BOLD, A_BOLD, COLOR_YELLOW, DEFAULT },
};

static void set_styles(bool color)
{
	for (short i = 0; i < KB_STYLES; i++) {
		bool colored = color && (styles[i].front != DEFAULT || styles[i].back != DEFAULT);

		terminal.attributes[i] = color ? styles[i].attributes : styles[i].mono;
		terminal.pairs[i] = 0;
		if (colored && i < COLOR_PAIRS &&
		    init_pair(i + 1, styles[i].front, styles[i].back) == OK)
			terminal.pairs[i] = i + 1;
	}
}

static struct kb_error *open_terminal(void)
{
	const char *name = getenv("TERM"), *move_cursor;

	if (!isatty(STDIN_FILENO))
		return kb_usage("stdin is no terminal to read keys from");
	if (!isatty(STDOUT_FILENO))
		return kb_usage("stdout is no terminal");
	if (!name || !*name)
		return kb_usage(
			"the environment has no TERM, so that nothing is known of the terminal");
	if (tcgetattr(STDIN_FILENO, &saved.settings))
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot read the terminal");
	terminal.curses = newterm(name, stdout, stdin);
	if (!terminal.curses)
		return kb_usage("nothing is known of terminals of the type TERM=%s", name);
	move_cursor = tigetstr("cup");
	if (move_cursor && move_cursor != (char *)-1)
		return NULL;
	endwin();
	delscreen(terminal.curses);
	terminal.curses = NULL;
	return kb_usage("terminals of the type TERM=%s have no full screen", name);
}

struct kb_error *kb_screen__open(bool color, struct kb_screen *screen)
{
	setlocale(LC_CTYPE, "");
	KB_TRY(open_terminal());
	screen->ascii = strcmp(nl_langinfo(CODESET), "UTF-8") != 0;
	screen->color = color && has_colors() && start_color() == OK;
	if (screen->color)
		use_default_colors();
	set_styles(screen->color);
	cbreak();
	noecho();
	nonl();
	nodelay(stdscr, TRUE);
	keypad(stdscr, TRUE);
	leaveok(stdscr, FALSE);
	set_escdelay(ESCAPE_DELAY_MS);
	saved.leave_size = 0;
	keep_sequence("sgr0");
	keep_sequence("op");
	keep_sequence("rmkx");
	keep_sequence("cnorm");
	keep_sequence("rmcup");
	saved.open = 1;
	catch_fatal();
	return NULL;
}

/* ---------------------------------------------------------------- drawing */

void kb_screen__begin(struct kb_screen *screen)
{
	getmaxyx(stdscr, screen->rows, screen->columns);
	if (screen->columns > KB_CELLS_MAX)
		screen->columns = KB_CELLS_MAX;
	screen->selected = false;
	terminal.cursor_row = -1;
	erase();
}

void kb_screen__cursor(int row, int column)
{
	terminal.cursor_row = row;
	terminal.cursor_column = column;
}

void kb_screen__end(struct kb_screen *screen)
{
	bool shown = terminal.cursor_row >= 0 && terminal.cursor_row < screen->rows &&
		     terminal.cursor_column < screen->columns;

	curs_set(shown);
	move(shown ? terminal.cursor_row : 0, shown ? terminal.cursor_column : 0);
	refresh();
}

void kb_screen__redraw(void)
{
	clearok(curscr, TRUE);
}

static void use_style(const struct kb_screen *screen, enum kb_style style)
{
	attr_t attributes = terminal.attributes[style];
	short pair = terminal.pairs[style];

	if (screen->selected) {
		attributes = A_REVERSE | (attributes & A_BOLD);
		pair = 0;
	}
	attr_set(attributes, pair, NULL);
}

static int limit(const struct kb_screen *screen, int row, int column, int width)
{
	if (row < 0 || row >= screen->rows || column < 0)
		return 0;
	return width < screen->columns - column ? width : screen->columns - column;
}

int kb_screen__put(const struct kb_screen *screen, int row, int column, int width,
		   enum kb_style style, enum kb_cut cut, const char *text)
{
	wchar_t wide[KB_CELLS_CHARS_MAX];
	int used;

	width = limit(screen, row, column, width);
	if (width <= 0)
		return 0;
	used = kb_cells__fit(text, width, cut, screen->ascii, wide);
	use_style(screen, style);
	mvaddwstr(row, column, wide);
	return used;
}

int kb_screen__print(const struct kb_screen *screen, int row, int column, int width,
		     enum kb_style style, const char *format, ...)
{
	char text[LINE_BYTES_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	return kb_screen__put(screen, row, column, width, style, KB_CUT_END, text);
}

void kb_screen__fill(const struct kb_screen *screen, int row, int column, int width,
		     enum kb_style style)
{
	width = limit(screen, row, column, width);
	if (width <= 0)
		return;
	use_style(screen, style);
	mvhline(row, column, ' ' | 0, width);
	mvchgat(row, column, width, screen->selected ? A_REVERSE : terminal.attributes[style],
		screen->selected ? 0 : terminal.pairs[style], NULL);
}

const char *kb_screen__symbol(const struct kb_screen *screen, enum kb_symbol symbol)
{
	static const char *const symbols[][2] = {
		[KB_SYMBOL_UP] = { "▲", "^" },	      [KB_SYMBOL_DOWN] = { "▼", "v" },
		[KB_SYMBOL_BAR] = { "│", "|" },	      [KB_SYMBOL_RULE] = { "─", "-" },
		[KB_SYMBOL_CLOSED] = { "▸", "+" },    [KB_SYMBOL_OPEN] = { "▾", "-" },
		[KB_SYMBOL_FULL] = { "█", "#" },      [KB_SYMBOL_LEVEL] = { "▁", "_" },
		[KB_SYMBOL_LEVEL + 1] = { "▂", "." }, [KB_SYMBOL_LEVEL + 2] = { "▃", "." },
		[KB_SYMBOL_LEVEL + 3] = { "▄", "-" }, [KB_SYMBOL_LEVEL + 4] = { "▅", "=" },
		[KB_SYMBOL_LEVEL + 5] = { "▆", "+" }, [KB_SYMBOL_LEVEL + 6] = { "▇", "*" },
		[KB_SYMBOL_LEVEL + 7] = { "█", "#" },
	};

	return symbols[symbol][screen->ascii];
}

/* ---------------------------------------------------------------- keys */

static int special_key(wint_t code)
{
	switch (code) {
	case KEY_UP:
		return KB_KEY_UP;
	case KEY_DOWN:
		return KB_KEY_DOWN;
	case KEY_LEFT:
		return KB_KEY_LEFT;
	case KEY_RIGHT:
		return KB_KEY_RIGHT;
	case KEY_PPAGE:
		return KB_KEY_PAGE_UP;
	case KEY_NPAGE:
		return KB_KEY_PAGE_DOWN;
	case KEY_HOME:
		return KB_KEY_HOME;
	case KEY_END:
		return KB_KEY_END;
	case KEY_ENTER:
		return KB_KEY_ENTER;
	case KEY_BACKSPACE:
		return KB_KEY_BACKSPACE;
	case KEY_DC:
		return KB_KEY_DELETE;
	case KEY_BTAB:
		return KB_KEY_BACK_TAB;
	case KEY_F(1):
		return KB_KEY_HELP;
	case KEY_RESIZE:
		return KB_KEY_RESIZE;
	default:
		return KB_KEY_OTHER;
	}
}

int kb_screen__key(void)
{
	struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
	wint_t code;
	int kind = get_wch(&code);

	if (kind == ERR)
		return poll(&input, 1, 0) > 0 && input.revents & (POLLHUP | POLLERR | POLLNVAL)
			       ? KB_KEY_END_OF_INPUT
			       : KB_KEY_NONE;
	if (kind == KEY_CODE_YES)
		return special_key(code);
	switch (code) {
	case '\r':
	case '\n':
		return KB_KEY_ENTER;
	case '\t':
		return KB_KEY_TAB;
	case 27:
		return KB_KEY_ESCAPE;
	case 8:
	case 127:
		return KB_KEY_BACKSPACE;
	default:
		return code < 0x110000 ? (int)code : KB_KEY_OTHER;
	}
}
