/*
 * The check of health.type "memcached". See probe.h.
 *
 * In the text protocol, which every memcached speaks unless it is told not to
 * (-B binary): "version", which touches no item and needs no lock.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/memcached/probe.h"

#include <string.h>

#include "net/err.h"

enum { LINE_MOST_BYTES = 256 };

static int
ask(const struct conf_upstream *conf, const struct endpoint *e, void *state,
    struct block_store *store, struct buf *out)
{
	static const char question[] = "version\r\n";

	(void)conf;
	(void)e;
	(void)state;
	return buf_append(store, out, question, sizeof(question) - 1);
}

/* protocol.txt, "Error strings": the server's own words, cut. */
static enum probe_verdict
refused(const char *line, size_t len, char why[PROBE_WHY_MAX])
{
	size_t i;

	for (i = 0; i < len && i < PROBE_WHY_MAX - 1; i++)
		why[i] = line[i] >= ' ' && line[i] <= '~' ? line[i] : '?';
	why[i] = '\0';
	return PROBE_BAD;
}

/* A line without its end. */
static enum probe_verdict
judge(const char *line, size_t len, char why[PROBE_WHY_MAX])
{
	static const char *const errors[] = {
		"ERROR", "CLIENT_ERROR", "SERVER_ERROR"
	};
	size_t i, n;

	/* protocol.txt: "VERSION <version>\r\n" */
	if (len > 8 && memcmp(line, "VERSION ", 8) == 0)
		return PROBE_OK;
	for (i = 0; i < NELEMS(errors); i++) {
		n = strlen(errors[i]);
		if (len >= n && memcmp(line, errors[i], n) == 0 &&
		    (len == n || line[n] == ' '))
			return refused(line, len, why);
	}
	return probe_bad(why, "not memcached");
}

static enum probe_verdict
answer(const struct conf_upstream *conf, void *state,
    struct block_store *store, struct buf *in, struct buf *out, bool eof,
    char why[PROBE_WHY_MAX])
{
	size_t len = in->len < LINE_MOST_BYTES ? in->len : LINE_MOST_BYTES;
	const char *line, *end;

	(void)conf;
	(void)state;
	(void)out;
	if (len == 0)
		return eof ? probe_bad(why, "closed without an answer") : PROBE_MORE;
	line = buf_flat(store, in, len);
	if (line == NULL)
		return PROBE_MORE;      /* the deadline decides */
	end = memchr(line, '\n', len);
	if (end != NULL && end > line && end[-1] == '\r')
		return judge(line, (size_t)(end - line) - 1, why);
	if (end != NULL)
		return probe_bad(why, "not memcached");
	if (len == LINE_MOST_BYTES)
		return probe_bad(why, "answer too long");
	return eof ? probe_bad(why, "closed inside the answer") : PROBE_MORE;
}

const struct probe_ops memcached_probe = {
	.ask = ask,
	.answer = answer
};
