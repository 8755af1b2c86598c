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
#include <string.h>

#include "tests/support/crowd.h"

enum { INPUT_MAX = 4 * 1024, ANSWER = 63 };

/* Upper two bits; the others are a number. */
enum what { FRAME = 0x00, REQUEST = 0x40, SERVER_SAYS = 0x80,
	HAPPENS = 0xc0 };

enum event { OTHER_CLIENT = N_CROWD_EVENTS, RAW, N_EVENTS };

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

static struct crowd crowd;
static uint32_t next[CROWD_CLIENTS];
static unsigned turn;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static void
settle(void)
{
	lane_scene_run(&crowd.scene);
	far_end_accept(&crowd.scene.far);
	crowd_hear(&crowd);
}

static void
join(unsigned i, bool raw)
{
	crowd_come(&crowd, i);
	next[i] = 1;
	if (!raw)
		crowd_say(crowd.clients[i], preface, sizeof(preface) - 1);
	settle();
}

static void
happen(unsigned number)
{
	unsigned event = number % N_EVENTS;

	switch (event) {
	case CROWD_CLOSES:
	case CROWD_RESETS:
	case RAW:
		crowd_leave(&crowd, turn, event == CROWD_RESETS);
		settle();
		if (crowd.lives < CROWD_LIVES_MOST)
			join(turn, event == RAW);
		break;
	case OTHER_CLIENT:
		turn = (turn + 1) % CROWD_CLIENTS;
		break;
	default:
		crowd_happen(&crowd, (enum crowd_event)event, turn);
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

	crowd_say(crowd.clients[turn], head, sizeof(head));
	crowd_say(crowd.clients[turn], bytes, len);
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

			crowd_say(crowd_far(&crowd), text, strlen(text));
			settle();
			continue;
		}
		if (len - at < more)
			return;
		if (n > len - at - more)
			n = len - at - more;
		if (what == SERVER_SAYS)
			crowd_say(crowd_far(&crowd), data + at, n);
		else if (data[at] == 0xff)
			crowd_say(crowd.clients[turn], data + at + 3, n);
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
	lane_scene_begin(&crowd.scene, "http", "http = { max_wasted = 4000; };",
	    "pool = { max = 3; queue_timeout = \"1s\"; };");
	return 0;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct far_end *far = &crowd.scene.far;
	unsigned i;

	if (len == 0 || len > INPUT_MAX)
		return -1;
	crowd.lives = crowd.server = turn = 0;
	for (i = 0; i < CROWD_CLIENTS; i++)
		join(i, false);
	play(data, len);
	for (i = 0; i < CROWD_CLIENTS; i++)
		crowd_leave(&crowd, i, false);
	settle();
	while (far->n > 0)
		far_end_hang_up(far, far->fds[0]);
	settle();
	/* Whoever lingers, waits in a queue or for a pause. */
	lane_scene_pass(&crowd.scene, 120000);
	settle();
	crowd_has_gone(&crowd);
	return 0;
}
