/*
 * HTTP/2 towards clients: two of them send frames of any kind, whole or broken,
 * through a lane of the program, and their server answers in HTTP/1.1 whatever
 * it likes; all end at any time. Nothing but what the sanitizers see, and the
 * pool's books, is judged; and that in the end nothing is left.
 *
 * Input: records. A byte of what (upper two bits) and a number: a frame of a
 * client (then kind, flags, stream; number bytes of payload), a request of a
 * client from a table, bytes of the server (63: an answer from a table), or an
 * event.
 *
 * SPDX-License-Identifier: MIT
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/support/lane_scene.h"

enum { CLIENTS = 2, INPUT_MAX = 4 * 1024, LIVES_MOST = 8, ANSWER = 63 };

/* Upper two bits; the others are a number. */
enum what { FRAME = 0x00, REQUEST = 0x40, SERVER_SAYS = 0x80,
	HAPPENS = 0xc0 };

enum event { CLOSES, RESETS, SHUTS, SERVER_CLOSES, SERVER_RESETS, PASSES,
	PASSES_LONG, NEWER_SERVER, OTHER_CLIENT, RAW, N_EVENTS };

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    "\0\0\0\4\0\0\0\0\0";

/* Header blocks: literals never indexed, of the static table where it has them. */
#define GET "\x82\x86\x84\x41\1h"
#define POST "\x83\x86\x84\x41\1h"
struct block_of {
	const char *bytes;
	size_t len;
	bool ends;
};
#define BLOCK(text, ends) { text, sizeof(text) - 1, ends }
static const struct block_of blocks[] = {
	BLOCK(GET, true), BLOCK(POST, false), BLOCK(GET, false),
	BLOCK(POST "\x0f\x0d\0015", false),             /* content-length: 5 */
	BLOCK(GET "\x60\3a=1\x60\3b=2", true),          /* cookies */
	BLOCK("\x10\7:method\7CONNECT\x10\x9:protocol\x9websocket"
	    "\x86\x84\x41\1h", false),
	BLOCK("\x10\7:method\4HEAD\x86\x84\x41\1h", true),
	BLOCK("\x10\3x-t\0011", true),                  /* trailers */
	BLOCK(GET "\x0f\x14\x0c" "100-continue", false)
};

static const char *const answers[] = {
	"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
	("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	    "5\r\nhello\r\n0\r\nX-T: 1\r\n\r\n"),
	"HTTP/1.1 204 No\r\n\r\n",
	"HTTP/1.1 103 E\r\nLink: x\r\n\r\n",
	"HTTP/1.1 100 C\r\n\r\n",
	"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
	"HTTP/1.1 200 OK\r\n\r\n",
	"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n"
};

static struct lane_scene scene;
static int clients[CLIENTS];
static uint32_t next[CLIENTS];
static unsigned lives, server, turn;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static void
hear(int fd)
{
	static char bytes[64 * 1024];

	while (fd >= 0 && recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
		;
}

static void
say(int fd, const void *bytes, size_t len)
{
	if (fd >= 0)
		(void)!send(fd, bytes, len, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void
settle(void)
{
	unsigned i;

	lane_scene_run(&scene);
	far_end_accept(&scene.far);
	for (i = 0; i < scene.far.n; i++)
		hear(scene.far.fds[i]);
	for (i = 0; i < CLIENTS; i++)
		hear(clients[i]);
}

static void
join(unsigned i, bool raw)
{
	clients[i] = lane_scene_client(&scene, i == 0 ? "10.0.0.1" :
	    "10.0.0.2");
	next[i] = 1;
	lives++;
	if (!raw)
		say(clients[i], preface, sizeof(preface) - 1);
	settle();
}

static void
leave(unsigned i, bool at_once)
{
	if (clients[i] < 0)
		return;
	if (at_once)
		(void)shutdown(clients[i], SHUT_RDWR);
	close(clients[i]);
	clients[i] = -1;
}

static int
far_fd(void)
{
	far_end_accept(&scene.far);
	return scene.far.n == 0 ? -1 :
	    scene.far.fds[scene.far.n - 1 - server % scene.far.n];
}

static void
happen(unsigned number)
{
	int fd = far_fd();

	switch ((enum event)(number % N_EVENTS)) {
	case CLOSES:
	case RESETS:
	case RAW:
		leave(turn, number % N_EVENTS == RESETS);
		settle();
		if (lives < LIVES_MOST)
			join(turn, number % N_EVENTS == RAW);
		break;
	case SHUTS:
		if (clients[turn] >= 0)
			(void)shutdown(clients[turn], SHUT_WR);
		break;
	case SERVER_CLOSES:
		if (fd >= 0)
			far_end_hang_up(&scene.far, fd);
		break;
	case SERVER_RESETS:
		if (fd >= 0)
			far_end_reset(&scene.far, fd);
		break;
	case PASSES:
		lane_scene_pass(&scene, 100);
		break;
	case PASSES_LONG:
		lane_scene_pass(&scene, 30000);
		break;
	case NEWER_SERVER:
		server++;
		break;
	case OTHER_CLIENT:
		turn = (turn + 1) % CLIENTS;
		break;
	case N_EVENTS:
		break;
	}
}

static void
frame(unsigned kind, unsigned flags, uint32_t stream, const void *bytes,
    size_t len)
{
	unsigned char head[9] = { 0, (unsigned char)(len >> 8),
	    (unsigned char)len, (unsigned char)kind, (unsigned char)flags,
	    (unsigned char)(stream >> 24), (unsigned char)(stream >> 16),
	    (unsigned char)(stream >> 8), (unsigned char)stream };

	say(clients[turn], head, sizeof(head));
	say(clients[turn], bytes, len);
}

/* Block of the table, on a new stream; trailers on the last one. */
static void
request(unsigned number)
{
	const struct block_of *b = &blocks[number % NELEMS(blocks)];
	bool trailers = b->bytes[0] == '\x10' && b->len < 10;
	bool whole = number < 32;
	uint32_t stream = next[turn];

	if (trailers && stream > 1)
		stream -= 2;
	else
		next[turn] += 2;
	frame(1, (b->ends ? 1u : 0u) | (whole ? 4u : 0u), stream, b->bytes,
	    b->len);
	if (!whole)
		frame(9, 4, stream, "", 0);
}

static void
play(const uint8_t *data, size_t len)
{
	size_t at = 0;

	while (at < len) {
		unsigned what = data[at] & 0xc0;
		size_t n = data[at++] & 0x3f, more = what == FRAME ? 3 : 0;

		if (what == HAPPENS || what == REQUEST) {
			if (what == HAPPENS)
				happen((unsigned)n);
			else
				request((unsigned)n);
			settle();
			continue;
		}
		if (what == SERVER_SAYS && n == ANSWER) {
			const char *text = answers[at < len ?
			    data[at++] % NELEMS(answers) : 0];

			say(far_fd(), text, strlen(text));
			settle();
			continue;
		}
		if (len - at < more)
			return;
		if (n > len - at - more)
			n = len - at - more;
		if (what == SERVER_SAYS)
			say(far_fd(), data + at, n);
		else if (data[at] == 0xff)
			say(clients[turn], data + at + 3, n);
		else
			frame(data[at] % 12, data[at + 1], data[at + 2],
			    data + at + 3, n);
		at += n + more;
		settle();
	}
}

int
LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	lane_scene_begin(&scene, "http", "http = { max_wasted = 4000; };",
	    "pool = { max = 3; queue_timeout = \"1s\"; };");
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	unsigned i;

	if (len == 0 || len > INPUT_MAX)
		return -1;
	lives = server = turn = 0;
	for (i = 0; i < CLIENTS; i++)
		join(i, false);
	play(data, len);
	for (i = 0; i < CLIENTS; i++)
		leave(i, false);
	settle();
	while (scene.far.n > 0)
		far_end_hang_up(&scene.far, scene.far.fds[0]);
	settle();
	/* Whoever lingers, waits in a queue or for a pause. */
	lane_scene_pass(&scene, 120000);
	settle();
	if (lane_scene_session(&scene) != NULL) {
		fprintf(stderr, "a session is left\n");
		abort();
	}
	return 0;
}
