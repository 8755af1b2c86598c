/*
 * Print the table of commands, and the keys of commands that are read from
 * standard input, for test_redis_table.py.
 *
 * usage: redis_table_dump rows: a line for each row
 *        redis_table_dump keys: of each multibulk command on standard input a
 *        line with its keys in hexadecimal, "-" for an empty one
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/redis/commands.h"

enum { INPUT_MAX = 4 << 20, KEYS_MAX = 64 };

static int
print_rows(void)
{
	const struct redis_command *row;
	size_t i;

	for (i = 0; (row = redis_command_at(i)) != NULL; i++)
		printf("%s %d %d %d %d %d %d\n", row->name, row->container,
		    row->write, row->movable, row->first, row->last, row->step);
	return 0;
}

static void
print_key(const char *bytes, struct resp_span key)
{
	uint32_t i;

	if (key.len == 0)
		putchar('-');
	for (i = 0; i < key.len; i++)
		printf("%02x", (unsigned char)bytes[key.at + i]);
	putchar(' ');
}

static void
print_keys(const char *bytes, size_t len, const struct resp_span *arg,
    unsigned args)
{
	struct resp_span keys[KEYS_MAX];
	const struct redis_command *row;
	size_t n, i;

	row = redis_command_find(bytes + arg[0].at, arg[0].len,
	    args > 1 ? bytes + arg[1].at : NULL, args > 1 ? arg[1].len : 0);
	if (row == NULL) {
		puts("unknown");
		return;
	}
	n = redis_command_keys(row, bytes, len, keys, KEYS_MAX);
	for (i = 0; i < n && i < KEYS_MAX; i++)
		print_key(bytes, keys[i]);
	putchar('\n');
}

static int
answer(const char *bytes, size_t len)
{
	struct resp_command c;
	size_t used;

	while (len > 0) {
		resp_command_init(&c);
		if (resp_command_feed(&c, bytes, len, &used) != PARSE_DONE ||
		    c.argc == 0 || c.is_inline)
			return 1;
		print_keys(bytes, used, c.arg, c.argc);
		bytes += used;
		len -= used;
	}
	return 0;
}

int
main(int argc, char **argv)
{
	size_t len;
	char *input;
	int status;

	if (argc == 2 && strcmp(argv[1], "rows") == 0)
		return print_rows();
	if (argc != 2 || strcmp(argv[1], "keys") != 0)
		return 2;
	input = malloc(INPUT_MAX);
	if (input == NULL)
		return 1;
	len = fread(input, 1, INPUT_MAX, stdin);
	status = answer(input, len);
	free(input);
	return status;
}
