/*
 * Looking commands up and finding their keys. See commands.h; the rows are
 * table.c's.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/redis/commands.h"

#include <string.h>

#include "net/err.h"
#include "proxy/proto/redis/table.h"

const char *const redis_pin_names[REDIS_N_PINS + 1] = {
	[REDIS_PIN_MULTI] = "multi",
	[REDIS_PIN_WATCH] = "watch",
	[REDIS_PIN_BLOCKED] = "blocked",
	[REDIS_PIN_SUBSCRIBE] = "subscribe",
	[REDIS_PIN_MONITOR] = "monitor",
	[REDIS_PIN_REPLY] = "reply",
	[REDIS_PIN_TRACKING] = "tracking",
	[REDIS_PIN_NO_EVICT] = "no_evict",
	[REDIS_PIN_NO_TOUCH] = "no_touch",
	[REDIS_PIN_LARGE] = "large",
	[REDIS_PIN_ALONE] = "alone",
	[REDIS_PIN_UNKNOWN] = "unknown"
};

/* ------------------------------------------------------------------- lookup */

/* ASCII, whatever the locale. */
static inline unsigned char
lower(char c)
{
	unsigned char byte = (unsigned char)c;

	return (unsigned)(byte - 'A') < 26 ? byte | 0x20 : byte;
}

/* Is it the word (lower case), of that length, in any case? */
static inline bool
is_word(const char *text, const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if (lower(text[i]) != (unsigned char)word[i])
			return false;
	return true;
}

/* Rows by length: the first that is longer ends it. skip is what stands in
   their names before the word. */
static const struct redis_command *
find(const struct redis_command *rows, size_t n, size_t skip,
    const char *word, size_t len)
{
	size_t i;

	for (i = 0; i < n && rows[i].name_len <= skip + len; i++)
		if (rows[i].name_len == skip + len &&
		    is_word(word, rows[i].name + skip, len))
			return &rows[i];
	return NULL;
}

const struct redis_command *
redis_command_find(const char *name, size_t len, const char *sub,
    size_t sub_len)
{
	const struct redis_command *row, *subrow;
	const struct redis_letter *letter;
	unsigned at;

	at = len > 0 ? (unsigned)lower(name[0]) - 'a' : 26;
	if (at >= 26)
		return NULL;
	letter = &redis_table[at];
	row = find(letter->rows, letter->n, 0, name, len);
	if (row == NULL || !row->container || sub_len == 0)
		return row;
	subrow = find(row->subs, row->n_subs, row->name_len + 1u, sub,
	    sub_len);
	return subrow != NULL ? subrow : row;
}

const struct redis_command *
redis_command_at(size_t i)
{
	const struct redis_letter *letter;
	const struct redis_command *row;
	size_t j;

	for (letter = redis_table; letter < redis_table + 26; letter++)
		for (j = 0; j < letter->n; j++) {
			row = &letter->rows[j];
			if (i-- == 0)
				return row;
			if (i < row->n_subs)
				return &row->subs[i];
			i -= row->n_subs;
		}
	return NULL;
}

/* --------------------------------------------------------------------- keys */

/* The arguments of one command, and which it is at. */
struct walk {
	struct resp_args args;
	size_t argc;
	size_t i;                       /* of arg; the name is 0 */
	struct resp_span arg;
	bool ended;
};

/* What was found of it so far. */
struct found {
	struct resp_span *keys;
	size_t most, n;
};

/* What "*N" announces; 0 of anything else. */
static size_t
argc_of(const char *bytes, size_t len)
{
	size_t argc = 0, i;

	if (len == 0 || bytes[0] != '*')
		return 0;
	for (i = 1; i < len && bytes[i] >= '0' && bytes[i] <= '9' &&
	    argc <= RESP_ARGC_MAX; i++)
		argc = argc * 10 + (size_t)(bytes[i] - '0');
	return argc;
}

static void
walk_init(struct walk *w, const char *bytes, size_t len)
{
	memset(w, 0, sizeof(*w));
	resp_args_init(&w->args, bytes, len);
	w->argc = argc_of(bytes, len);
	w->ended = !resp_args_next(&w->args, &w->arg);
}

/* On to the i-th; never back. */
static bool
walk_to(struct walk *w, size_t i)
{
	while (!w->ended && w->i < i) {
		w->ended = !resp_args_next(&w->args, &w->arg);
		w->i++;
	}
	return !w->ended;
}

static bool
walk_is(const struct walk *w, const char *word)
{
	return w->arg.len == strlen(word) &&
	    is_word(w->args.bytes + w->arg.at, word, w->arg.len);
}

static void
take(struct found *f, struct resp_span key)
{
	if (f->n < f->most)
		f->keys[f->n] = key;
	f->n++;
}

/* All of first .. last, or, if they are not there, none at all. */
static void
take_range(struct found *f, struct walk *w, size_t first, size_t last,
    size_t step)
{
	size_t i;

	if (last >= w->argc || last < first)
		return;
	for (i = first; i <= last && walk_to(w, i); i += step)
		take(f, w->arg);
}

/* As COMMAND says it. */
static void
by_position(const struct redis_command *row, struct walk *w, struct found *f)
{
	size_t back = row->last < 0 ? (size_t)-row->last : 0;

	if (row->first == 0 || back > w->argc)
		return;
	take_range(f, w, (size_t)row->first,
	    back > 0 ? w->argc - back : (size_t)row->last, (size_t)row->step);
}

/* util.c, string2ll() of Redis: digits, no sign but "-", no zero in front. A
   negative number and none at all are alike here. */
static size_t
number_of(const struct walk *w)
{
	const char *digits = w->args.bytes + w->arg.at;
	size_t number = 0, i;

	if (w->arg.len == 0 || w->arg.len > 9 || digits[0] == '0')
		return 0;
	for (i = 0; i < w->arg.len; i++) {
		if (digits[i] < '0' || digits[i] > '9')
			return 0;
		number = number * 10 + (size_t)(digits[i] - '0');
	}
	return number;
}

/* "ZUNIONSTORE to 2 a b", "EVAL script 1 a x": the one at first, if any, stands
   before the number. */
static void
by_count(const struct redis_command *row, struct walk *w, struct found *f)
{
	struct resp_span to = { 0, 0 };
	size_t at = (size_t)row->keynum, n;

	if (row->first > 0 && walk_to(w, (size_t)row->first))
		to = w->arg;
	if (!walk_to(w, at))
		return;
	n = number_of(w);
	if (n == 0 || n >= w->argc - at)
		return;
	if (row->first > 0)
		take(f, to);
	take_range(f, w, at + 1, at + n, 1);
}

/* Options with that many words after them; the rest have none. */
struct option {
	const char *name;
	uint8_t words;
};

static size_t
words_after(const struct walk *w, const struct option *options, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (walk_is(w, options[i].name))
			return options[i].words;
	return 0;
}

/* t_stream.c, xreadCommand(): a group or its consumer may be called STREAMS,
   BLOCK or anything. */
static const struct option streams_options[] = {
	{ "block", 1 }, { "count", 1 }, { "group", 2 }
};

/* Stands at the option of that name? Those behind STREAMS are not options. */
static bool
streams_option(struct walk *w, const char *name)
{
	size_t i;

	for (i = 1; walk_to(w, i); i++) {
		if (walk_is(w, name))
			return true;
		if (walk_is(w, "streams"))
			return false;
		i += words_after(w, streams_options, NELEMS(streams_options));
	}
	return false;
}

/* As many keys as IDs. */
static void
by_streams(struct walk *w, struct found *f)
{
	size_t n;

	if (!streams_option(w, "streams") || w->i >= w->argc)
		return;
	n = w->argc - w->i - 1;
	if (n % 2 == 0)
		take_range(f, w, w->i + 1, w->i + n / 2, 1);
}

/* cluster.c, migrateCommand(): KEYS wants the key to be empty. */
static void
by_migrate(struct walk *w, struct found *f)
{
	static const struct option options[] = {
		{ "auth", 1 }, { "auth2", 2 }
	};
	struct resp_span key;
	size_t i;

	if (!walk_to(w, 3))
		return;
	key = w->arg;
	for (i = 6; walk_to(w, i); i++) {
		if (walk_is(w, "keys")) {
			if (key.len == 0)
				take_range(f, w, i + 1, w->argc - 1, 1);
			return;
		}
		i += words_after(w, options, NELEMS(options));
	}
	take(f, key);
}

/* The first, and of several STORE the last, as sort.c and geo.c have it. Each
   of the two refuses the options of the other. */
static void
by_store(const struct redis_command *row, struct walk *w, struct found *f)
{
	static const struct option options[] = {
		{ "limit", 2 }, { "get", 1 }, { "by", 1 }, { "count", 1 }
	};
	bool geo = row->finder == REDIS_BY_GEO, stored = false;
	struct resp_span to = { 0, 0 };
	size_t i;

	if (!walk_to(w, 1))
		return;
	take(f, w->arg);
	for (i = geo ? 5 : 2; walk_to(w, i); i++) {
		if (walk_is(w, "store") || (geo && walk_is(w, "storedist"))) {
			if (walk_to(w, ++i)) {
				to = w->arg;
				stored = true;
			}
			continue;
		}
		i += words_after(w, options, NELEMS(options));
	}
	if (stored)
		take(f, to);
}

size_t
redis_command_keys(const struct redis_command *row, const char *bytes,
    size_t len, struct resp_span *keys, size_t most)
{
	struct found f = { keys, most, 0 };
	struct walk w;

	walk_init(&w, bytes, len);
	switch (row->finder) {
	case REDIS_BY_POSITION:
		by_position(row, &w, &f);
		break;
	case REDIS_BY_COUNT:
		by_count(row, &w, &f);
		break;
	case REDIS_BY_STREAMS:
		by_streams(&w, &f);
		break;
	case REDIS_BY_MIGRATE:
		by_migrate(&w, &f);
		break;
	case REDIS_BY_SORT:
	case REDIS_BY_GEO:
		by_store(row, &w, &f);
		break;
	}
	return f.n;
}

bool
redis_command_blocks(const struct redis_command *row, const char *bytes,
    size_t len)
{
	struct walk w;

	if (row->how != REDIS_BLOCKS || row->finder != REDIS_BY_STREAMS)
		return row->how == REDIS_BLOCKS;
	walk_init(&w, bytes, len);
	return streams_option(&w, "block");
}
