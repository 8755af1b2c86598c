/*
 * ncurses. See top_screen.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/command/top_screen.h"

#include <curses.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { ESCAPE_MS = 100, ESCAPE = 27, RUBOUT = 127, BACKSPACE = 8 };

struct screen {
	SCREEN *terminal;
	chtype looks[LINE_SOFT + 1];
};

/* Words and signs tell it too: these only help the eye (no-color.org). */
static void
choose_looks(struct screen *s)
{
	const char *no = getenv("NO_COLOR");

	s->looks[LINE_PLAIN] = A_NORMAL;
	s->looks[LINE_HEAD] = A_REVERSE;
	s->looks[LINE_GOOD] = A_NORMAL;
	s->looks[LINE_BAD] = A_BOLD;
	s->looks[LINE_SOFT] = A_DIM;
	if (!has_colors() || (no != NULL && *no != '\0'))
		return;
	start_color();
	use_default_colors();
	init_pair(1, COLOR_GREEN, -1);
	init_pair(2, COLOR_RED, -1);
	s->looks[LINE_GOOD] |= COLOR_PAIR(1);
	s->looks[LINE_BAD] |= COLOR_PAIR(2);
}

/* A terminal whose cursor can be moved (terminfo(5)): "dumb" is known, and has
   none. */
static bool
has_cursor(void)
{
	const char *cup = tigetstr("cup");

	return cup != NULL && cup != (const char *)-1;
}

struct screen *
screen_open(void)
{
	struct screen *s = calloc(1, sizeof(*s));

	if (s != NULL)
		s->terminal = newterm(NULL, stdout, stdin);
	if (s == NULL || s->terminal == NULL) {
		free(s);
		return NULL;
	}
	set_term(s->terminal);
	if (!has_cursor()) {
		screen_close(s);
		return NULL;
	}
	/* Ctrl-C and Ctrl-Z stay signals. */
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(ESCAPE_MS);
	curs_set(0);
	choose_looks(s);
	return s;
}

void
screen_close(struct screen *s)
{
	if (s == NULL)
		return;
	endwin();
	delscreen(s->terminal);
	free(s);
}

static void
put_line(const struct screen *s, int y, const struct line *l, bool chosen)
{
	chtype look = s->looks[l->kind];

	if (chosen)
		look = A_REVERSE | (look & A_BOLD);
	move(y, 0);
	attrset(look);
	addnstr(l->text, COLS);
	/* A bar as wide as the screen. */
	while ((chosen || l->kind == LINE_HEAD) && getcurx(stdscr) > 0 &&
	    getcury(stdscr) == y && getcurx(stdscr) < COLS - 1)
		addch(' ');
	attrset(A_NORMAL);
}

size_t
screen_room(const struct screen *s, const struct top_page *p)
{
	size_t lines = LINES > 1 ? (size_t)LINES - 1 : 0;

	(void)s;
	return lines > p->fixed ? lines - p->fixed : 1;
}

static void
move_to_chosen(const struct top_page *p, size_t room, size_t *scroll)
{
	size_t rest = p->n > p->fixed ? p->n - p->fixed : 0;

	if (p->chosen < p->n && p->chosen >= p->fixed) {
		size_t at = p->chosen - p->fixed;

		if (at < *scroll)
			*scroll = at;
		if (at >= *scroll + room)
			*scroll = at - room + 1;
	}
	if (*scroll + room > rest)
		*scroll = rest > room ? rest - room : 0;
}

void
screen_paint(struct screen *s, const struct top_page *p, size_t *scroll,
    const char *foot)
{
	const struct line last = { .kind = LINE_SOFT };
	struct line bottom = last;
	size_t i;
	int y = 0;

	move_to_chosen(p, screen_room(s, p), scroll);
	erase();
	for (i = 0; i < p->n && y < LINES - 1; i++) {
		if (i == p->fixed)
			i += *scroll;
		put_line(s, y++, &p->lines[i], i == p->chosen);
	}
	snprintf(bottom.text, sizeof(bottom.text), "%s", foot);
	put_line(s, LINES - 1, &bottom, false);
	refresh();
}

int
screen_key(struct screen *s)
{
	int c = getch();

	(void)s;
	switch (c) {
	case ERR:
		return KEYS_NONE;
	case KEY_UP:
		return KEYS_UP;
	case KEY_DOWN:
		return KEYS_DOWN;
	case KEY_PPAGE:
		return KEYS_PAGE_UP;
	case KEY_NPAGE:
		return KEYS_PAGE_DOWN;
	case KEY_HOME:
		return KEYS_FIRST;
	case KEY_END:
		return KEYS_LAST;
	case KEY_ENTER:
	case KEY_RIGHT:
	case '\r':
	case '\n':
		return KEYS_ENTER;
	case KEY_LEFT:
	case KEY_BACKSPACE:
	case ESCAPE:
	case RUBOUT:
	case BACKSPACE:
		return KEYS_BACK;
	default:
		/* Others that ncurses knows, and that mean nothing here. */
		return c < 256 ? c : ' ';
	}
}

void
screen_resize(struct screen *s)
{
	struct winsize size;

	(void)s;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 &&
	    size.ws_col > 0)
		resizeterm(size.ws_row, size.ws_col);
	clearok(stdscr, TRUE);
}

void
screen_leave(struct screen *s)
{
	(void)s;
	endwin();
}

void
screen_return(struct screen *s)
{
	/* A shell may have changed the modes meanwhile; the window too. */
	reset_prog_mode();
	screen_resize(s);
}
