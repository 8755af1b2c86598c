/*
 * Traces and request ids. See trace.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/http/trace.h"

#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "proxy/proto/http/fields.h"
#include "proxy/proto/http/front2.h"
#include "proxy/proto/http/http.h"

/* ------------------------------------------------------------------ numbers */

static inline uint64_t
turned(uint64_t x, unsigned bits)
{
	return x << bits | x >> (64 - bits);
}

/* xoshiro256++ of Blackman and Vigna, "Scrambled Linear Pseudorandom Number
   Generators", 2021. */
static uint64_t
roll(struct trace_dice *d)
{
	uint64_t *s = d->state;
	uint64_t out = turned(s[0] + s[3], 23) + s[0];
	uint64_t t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = turned(s[3], 45);
	return out;
}

void
trace_dice_init(struct trace_dice *d)
{
	struct timespec ts;

	if (getrandom(d->state, sizeof(d->state), 0) ==
	    (ssize_t)sizeof(d->state))
		return;
	/* A kernel without: ids need to differ, not to be secret. */
	clock_gettime(CLOCK_REALTIME, &ts);
	d->state[0] = (uint64_t)ts.tv_nsec * 0x9e3779b97f4a7c15u;
	d->state[1] = (uint64_t)ts.tv_sec;
	d->state[2] = (uintptr_t)d;
	d->state[3] = 1;                /* never all zero */
}

static void
put_hex(char *out, uint64_t n)
{
	static const char digits[] = "0123456789abcdef";
	int i;

	for (i = 15; i >= 0; i--) {
		out[i] = digits[n & 15];
		n >>= 4;
	}
}

/* Trace Context 3.2.2.4: an id of nothing but zeros is none. */
static uint64_t
roll_id(struct trace_dice *d)
{
	uint64_t n;

	do
		n = roll(d);
	while (n == 0);
	return n;
}

void
trace_parent_make(struct trace_dice *d, char out[TRACE_PARENT_LEN])
{
	memcpy(out, "00-", 3);
	put_hex(out + 3, roll_id(d));
	put_hex(out + 19, roll(d));
	out[35] = '-';
	put_hex(out + 36, roll_id(d));
	memcpy(out + 52, "-01", 3);
}

void
trace_id_make(struct trace_dice *d, char out[TRACE_REQUEST_ID_LEN])
{
	put_hex(out, roll(d));
	put_hex(out + 16, roll(d));
}

/* ----------------------------------------------------------------- checking */

static bool
is_hex(const char *text, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((text[i] < '0' || text[i] > '9') &&
		    (text[i] < 'a' || text[i] > 'f'))
			return false;
	return true;
}

static bool
is_id(const char *text, size_t len)
{
	size_t i;

	if (!is_hex(text, len))
		return false;
	for (i = 0; i < len && text[i] == '0'; i++)
		;
	return i < len;
}

bool
trace_parent_is_valid(const char *text, size_t len)
{
	if (len < TRACE_PARENT_LEN || text[2] != '-' || text[35] != '-' ||
	    text[52] != '-' || !is_hex(text, 2) || !is_hex(text + 53, 2) ||
	    !is_id(text + 3, 32) || !is_id(text + 36, 16))
		return false;
	if (memcmp(text, "ff", 2) == 0)         /* 3.2.2.1 */
		return false;
	if (memcmp(text, "00", 2) == 0)
		return len == TRACE_PARENT_LEN;
	/* 4.3; and what is longer than that is no header of anybody's. */
	return len == TRACE_PARENT_LEN || (text[55] == '-' && len <= 255);
}

bool
trace_id_is_fit(const char *text, size_t len)
{
	size_t i;

	if (len == 0 || len > TRACE_REQUEST_ID_MOST)
		return false;
	for (i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] >= 0x7f)
			return false;
	return true;
}

int
trace_name_check(const char *name, const char **why)
{
	static const char *const others[] = {
		"Date", "Expect", "Forwarded", "Retry-After", "Server",
		"traceparent", "tracestate", "Via", "X-Forwarded-For",
		"X-Forwarded-Host", "X-Forwarded-Proto"
	};
	size_t len = strlen(name), i;

	*why = "no name of a field of up to 40 bytes, expected one such as "
	    "\"X-Request-Id\", or off";
	if (len == 0 || len > TRACE_NAME_MOST ||
	    skip_class(name, name + len, TOKEN) != name + len)
		return -1;
	*why = "has a meaning of its own, expected a field such as "
	    "\"X-Request-Id\"";
	for (i = 0; i < NELEMS(others); i++)
		if (strcasecmp(name, others[i]) == 0)
			return -1;
	return 0;
}

/* ----------------------------------------------------------------- deciding */

/* The only field with that id; NULL: none, or several, which is as bad. */
static const struct http_field *
only_field(const struct http_head *h, enum http_field_id id)
{
	int i = http_field_find(h, id, 0);

	if (i < 0 || h->field[i].hop ||
	    http_field_find(h, id, (unsigned)i + 1) >= 0)
		return NULL;
	return &h->field[i];
}

static const struct http_field *
only_named(const struct http_exchange *hx, const char *name)
{
	const struct http_field *found = NULL;
	size_t len = strlen(name);
	unsigned i;

	for (i = 0; i < hx->head->n_fields; i++) {
		const struct http_field *f = &hx->head->field[i];

		if (f->name.len != len ||
		    !http_same_word(hx->raw + f->name.at, name, len))
			continue;
		if (found != NULL || f->hop)
			return NULL;
		found = f;
	}
	return found;
}

static void
begin_trace(struct http_exchange *hx, struct trace_dice *dice, bool is_known)
{
	struct trace *t = &hx->trace;
	const struct http_field *f = is_known ?
	    only_field(hx->head, HTTP_F_TRACEPARENT) : NULL;

	if (f != NULL && trace_parent_is_valid(hx->raw + f->value.at,
	    f->value.len)) {
		t->parent = hx->raw + f->value.at;
		t->parent_len = (uint8_t)f->value.len;
		return;
	}
	trace_parent_make(dice, hx->made);
	t->parent = hx->made;
	t->parent_len = TRACE_PARENT_LEN;
	t->restarted = true;
}

static void
begin_id(const struct exchange *x, const char *name, struct trace_dice *dice,
    bool is_known)
{
	struct http_exchange *hx = http_of(x);
	struct trace *t = &hx->trace;
	const struct http_field *f = is_known && http_is_trusted(x) ?
	    only_named(hx, name) : NULL;

	if (f != NULL && trace_id_is_fit(hx->raw + f->value.at, f->value.len)) {
		t->id = hx->raw + f->value.at;
		t->id_len = (uint8_t)f->value.len;
		return;
	}
	t->id = hx->made + TRACE_PARENT_LEN;
	trace_id_make(dice, hx->made + TRACE_PARENT_LEN);
	t->id_len = TRACE_REQUEST_ID_LEN;
}

void
trace_begin(struct exchange *x)
{
	const struct http_listener_conf *conf = x->policy->own;
	struct http_exchange *hx = http_of(x);
	struct trace_dice *dice;
	/* Of a head that was refused nothing is known. */
	bool is_known = hx->taking != TAKING_HEAD;

	if (hx->trace.begun || (!conf->trace && conf->id_field == NULL))
		return;
	hx->trace.begun = true;
	dice = &http_lane_of(x->s)->dice;
	if (conf->trace)
		begin_trace(hx, dice, is_known);
	if (conf->id_field != NULL)
		begin_id(x, conf->id_field, dice, is_known);
}
