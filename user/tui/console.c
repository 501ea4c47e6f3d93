// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>
#include "tui/console.h"

#define PASS_ON_MS 100 /* between looks whether the command has ended */
#define TAB	   8
/* Taken in one go, so that a command that writes without pause does not keep keys waiting. */
#define READ_MAX (256 << 10)

enum { TEXT, AFTER_ESCAPE, IN_CSI, IN_STRING, IN_STRING_ESCAPE, ONE_MORE };

/* ---------------------------------------------------------------- opening */

static struct kb_error *open_terminal(struct kb_console *console)
{
	struct winsize size;
	char name[64];
	int slave = -1;

	console->master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (console->master >= 0 && !grantpt(console->master) && !unlockpt(console->master) &&
	    !ptsname_r(console->master, name, sizeof(name)))
		slave = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED,
					    "cannot make a terminal for the command");
	if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
		ioctl(slave, TIOCSWINSZ, &size);
	console->stdio[1] = console->stdio[2] = slave;
	return NULL;
}

static struct kb_error *open_stdio(struct kb_console *console, const char *path)
{
	console->stdio[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (console->stdio[0] < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot read /dev/null");
	if (!path)
		return open_terminal(console);
	console->to_file = true;
	console->stdio[1] = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	console->stdio[2] = console->stdio[1];
	if (console->stdio[1] < 0)
		return kb_error__from_errno(errno, KB_STATUS_FAILED, "cannot write '%s'", path);
	return NULL;
}

struct kb_error *kb_console__open(const char *path, struct kb_console **result)
{
	struct kb_console *console = calloc(1, sizeof(*console));
	struct kb_error *err;

	if (!console)
		return kb_error__no_memory();
	console->master = console->stdio[0] = console->stdio[1] = console->stdio[2] = -1;
	err = open_stdio(console, path);
	if (err)
		kb_console__destroy(console);
	else
		*result = console;
	return err;
}

void kb_console__started(struct kb_console *console)
{
	for (int i = 0; i < 2; i++) {
		if (console->stdio[i] >= 0)
			close(console->stdio[i]);
		console->stdio[i] = -1;
	}
	console->stdio[2] = -1; /* the same as [1] */
}

void kb_console__destroy(struct kb_console *console)
{
	if (!console)
		return;
	kb_console__started(console);
	if (console->master >= 0)
		close(console->master);
	for (uint32_t i = 0; i < KB_CONSOLE_LINES; i++)
		free(console->lines[i]);
	free(console);
}

/* ---------------------------------------------------------------- lines */

static void end_line(struct kb_console *console)
{
	char **place = &console->lines[console->n_lines++ % KB_CONSOLE_LINES];

	free(*place);
	*place = console->size ? strndup(console->line, console->size) : NULL;
	console->size = 0;
	console->returned = false;
}

static void put(struct kb_console *console, char c)
{
	if (console->returned)
		console->size = 0;
	console->returned = false;
	if (console->size < KB_CONSOLE_BYTES)
		console->line[console->size++] = c;
	console->line[console->size] = 0;
}

static void put_text(struct kb_console *console, char c)
{
	switch (c) {
	case '\n':
		end_line(console);
		break;
	case '\r':
		console->returned = true;
		break;
	case '\b':
		/* A whole character, whose first byte is no continuation. */
		while (console->size && (console->line[console->size - 1] & 0xc0) == 0x80)
			console->size--;
		if (console->size)
			console->size--;
		console->line[console->size] = 0;
		break;
	case '\t':
		do {
			put(console, ' ');
		} while (console->size % TAB && console->size < KB_CONSOLE_BYTES);
		break;
	case 27:
		console->state = AFTER_ESCAPE;
		break;
	default:
		if ((unsigned char)c >= 0x20 && c != 0x7f)
			put(console, c);
	}
}

/* Control sequences, ECMA-48: escape and what follows it, to its end. */
static void feed(struct kb_console *console, char c)
{
	switch (console->state) {
	case AFTER_ESCAPE:
		if (c == '[')
			console->state = IN_CSI;
		else if (c && strchr("]PX^_", c))
			console->state = IN_STRING;
		else
			console->state = c >= 0x20 && c <= 0x2f ? ONE_MORE : TEXT;
		break;
	case IN_CSI:
		if (c >= 0x40 && c <= 0x7e)
			console->state = TEXT;
		else if (c == '\n' || c == 27)
			console->state = c == 27 ? AFTER_ESCAPE : TEXT;
		break;
	case IN_STRING:
		if (c == '\a' || c == '\n')
			console->state = TEXT;
		else if (c == 27)
			console->state = IN_STRING_ESCAPE;
		break;
	case IN_STRING_ESCAPE:
	case ONE_MORE:
		console->state = TEXT;
		break;
	default:
		put_text(console, c);
	}
}

void kb_console__feed(struct kb_console *console, const char *bytes, size_t size)
{
	for (size_t i = 0; i < size; i++)
		feed(console, bytes[i]);
}

uint32_t kb_console__count(const struct kb_console *console)
{
	uint64_t n = console->n_lines < KB_CONSOLE_LINES ? console->n_lines : KB_CONSOLE_LINES;

	return n + (console->size > 0);
}

const char *kb_console__line(const struct kb_console *console, uint32_t index)
{
	uint64_t n = console->n_lines < KB_CONSOLE_LINES ? console->n_lines : KB_CONSOLE_LINES;
	const char *line;

	if (index >= n)
		return console->line;
	line = console->lines[(console->n_lines - n + index) % KB_CONSOLE_LINES];
	return line ? line : "";
}

/* ---------------------------------------------------------------- reading */

static bool keep(struct kb_console *console, const char *bytes, size_t size)
{
	kb_console__feed(console, bytes, size);
	return true;
}

static bool copy_out(struct kb_console *console, const char *bytes, size_t size)
{
	while (size) {
		ssize_t n = write(STDOUT_FILENO, bytes, size);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes += n;
		size -= n;
	}
	return true;
}

static bool read_some(struct kb_console *console,
		      bool (*take)(struct kb_console *console, const char *bytes, size_t size))
{
	char bytes[8192];

	for (size_t done = 0; done < READ_MAX;) {
		ssize_t n = read(console->master, bytes, sizeof(bytes));

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		/* EIO: nobody has the other side open. */
		if (n <= 0 || !take(console, bytes, n))
			return false;
		done += n;
	}
	return true;
}

bool kb_console__read(struct kb_console *console)
{
	return console->master >= 0 && read_some(console, keep);
}

static bool has_ended(pid_t command)
{
	siginfo_t info = {};

	return waitid(P_PID, command, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid;
}

void kb_console__pass_on(struct kb_console *console, pid_t command)
{
	struct pollfd input = { .fd = console->master, .events = POLLIN };
	bool ended;

	do {
		input.revents = 0;
		ended = has_ended(command); /* before the last look at what it wrote */
		if (poll(&input, 1, PASS_ON_MS) > 0 && !read_some(console, copy_out))
			return;
	} while (!ended || input.revents & POLLIN);
}
