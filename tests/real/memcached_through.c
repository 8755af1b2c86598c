/*
 * A client's bytes through weir's memcached readers and writers to a real
 * memcached, and its replies back: what proxy/proto/memcached makes of them
 * without the rest of weir. All requests go upstream as one pipeline, with a
 * version behind them whose reply must be the very next one after theirs.
 *
 * usage: memcached_through PORT PIECE <bytes >replies
 *
 * PIECE is how many bytes are fed at a time, 0 = all. Standard error says
 * "refused N" for each request that was not sent, or whose end did not come
 * (memcached drops what it has not sent yet when that happens), N being the
 * length of what had been answered before it. Exit status 3: the replies do not fit.
 *
 * SPDX-License-Identifier: MIT
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/proto/memcached/reply.h"
#include "proxy/proto/memcached/write.h"

enum { BYTES_MAX = 4 * 1024 * 1024, STEPS_MAX = 65536 };

/* A request: sent upstream, or answered here with text. */
struct step {
	struct memcached_ask ask;
	bool sent, refused;
	size_t len;
	char text[MEMCACHED_ANSWER_MAX];
};

static char stream[BYTES_MAX], sent[BYTES_MAX], replies[BYTES_MAX];
static struct step steps[STEPS_MAX];
static size_t sent_len, n_steps, out_len;
static bool unfinished;

static void
die(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(3);
}

static void
step_take(const struct memcached_request *r, const char *bytes)
{
	struct step *s = &steps[n_steps++];

	if (n_steps == STEPS_MAX)
		die("too many requests");
	memcached_ask_init(&s->ask, r, bytes);
	if (r->error != NULL) {
		s->refused = true;
		s->len = memcached_error_write(r, s->text);
	} else if (r->how == MEMCACHED_OURS) {
		s->len = memcached_answer_write(r, s->text);
	} else {
		s->sent = true;
		if (r->rewrite) {
			sent_len += memcached_head_write(r, bytes,
			    sent + sent_len);
		} else {
			memcpy(sent + sent_len, bytes, r->head);
			sent_len += r->head;
		}
		memcpy(sent + sent_len, bytes + r->head, r->body);
		sent_len += r->body;
	}
}

/* The protocol that was spoken. */
static enum memcached_wire
requests_read(size_t len, size_t piece)
{
	struct memcached_request r;
	size_t begin = 0, at = 0, used;

	memcached_request_init(&r, MEMCACHED_UNTOLD);
	while (at < len) {
		size_t n = piece == 0 || len - at < piece ? len - at : piece;
		enum parse got = memcached_request_feed(&r, stream + at, n,
		    &used);

		at += used;
		if (got == PARSE_MORE)
			continue;
		if (got == PARSE_DONE && (r.size != at - begin ||
		    (r.error == NULL && r.size != r.head + r.body)))
			die("size, head and body do not fit");
		step_take(&r, stream + begin);
		if (got == PARSE_BAD || (r.command == MEMCACHED_QUIT &&
		    r.error == NULL))
			break;
		begin = at;
		memcached_request_init(&r, r.wire);
	}
	unfinished = begin < at && at == len;
	return r.wire;
}

/* A version request behind all. */
static void
sentinel_add(enum memcached_wire wire)
{
	static const char packet[MEMCACHED_HEADER] = {
		(char)0x80, 0x0b, [12] = 's', 'e', 'n', 't'
	};
	const char *bytes = wire == MEMCACHED_BINARY ? packet : "version\r\n";
	size_t len = wire == MEMCACHED_BINARY ? sizeof(packet) : 9, used;
	struct memcached_request r;

	memcached_request_init(&r, wire);
	if (memcached_request_feed(&r, bytes, len, &used) != PARSE_DONE)
		die("version");
	step_take(&r, bytes);
}

static size_t
exchange(int port)
{
	struct sockaddr_in to = {
		.sin_family = AF_INET, .sin_port = htons((uint16_t)port),
		.sin_addr = { htonl(INADDR_LOOPBACK) }
	};
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	size_t at = 0, len = 0;
	ssize_t n;

	if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof(to)) < 0)
		die("connect");
	for (; at < sent_len; at += (size_t)n)
		if ((n = write(fd, sent + at, sent_len - at)) <= 0)
			die("write");
	shutdown(fd, SHUT_WR);
	while ((n = read(fd, replies + len, sizeof(replies) - len)) > 0)
		len += (size_t)n;
	close(fd);
	return len;
}

static void
answer(const char *bytes, size_t len)
{
	fwrite(bytes, 1, len, stdout);
	out_len += len;
}

static void
replies_read(size_t len, size_t piece)
{
	size_t at = 0;

	for (size_t i = 0; i < n_steps; i++) {
		struct step *s = &steps[i];
		struct memcached_reply r;
		size_t begin = at, used;
		enum parse got = PARSE_MORE;

		if (s->refused)
			fprintf(stderr, "refused %zu\n", out_len);
		if (!s->sent) {
			answer(s->text, s->len);
			continue;
		}
		memcached_reply_init(&r, &s->ask);
		while (got == PARSE_MORE && at < len) {
			size_t n = piece == 0 || len - at < piece ? len - at :
			    piece;

			got = memcached_reply_feed(&r, replies + at, n, &used);
			at += used;
		}
		if (got != PARSE_DONE || r.size != at - begin)
			die("a reply does not fit");
		if (i + 1 == n_steps || !memcached_reply_wanted(&r))
			continue;
		memcached_reply_restore(&s->ask, 0, replies + begin,
		    at - begin);
		answer(replies + begin, at - begin);
	}
	if (unfinished)
		fprintf(stderr, "refused %zu\n", out_len);
	if (at != len)
		die("there are more replies than requests");
}

int
main(int argc, char **argv)
{
	size_t len, piece;

	if (argc != 3)
		die("usage: memcached_through PORT PIECE");
	piece = (size_t)atoi(argv[2]);
	len = fread(stream, 1, sizeof(stream), stdin);
	sentinel_add(requests_read(len, piece));
	len = exchange(atoi(argv[1]));
	replies_read(len, piece);
	return 0;
}
