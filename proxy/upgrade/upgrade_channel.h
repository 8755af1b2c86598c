/*
 * The channel between two weirs: a queue of messages that go out as the other
 * one takes them, and a call for each that comes. On main's loop.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_UPGRADE_UPGRADE_CHANNEL_H
#define PROXY_UPGRADE_UPGRADE_CHANNEL_H

#include <ev.h>
#include <stdbool.h>

#include "net/list.h"
#include "net/worker.h"
#include "proxy/upgrade/upgrade_message.h"

struct channel {
	struct worker *w;               /* NULL = not on a loop yet */
	int fd;                         /* -1 = there is none, or it has ended */
	struct ev_io io, out_io;
	struct list queue;              /* what waits to be sent */
	bool failed;                    /* nothing is sent any more */
	bool unsaid;                    /* for there was something that could
					   not be put into a message */
	/* One has come; fds[] are the receiver's, all of them -1 where this
	   process had no room for them. Returns false when it makes no sense:
	   then the channel ends. It may close the channel. */
	bool (*came)(struct channel *c, const struct message *m, int *fds);
	/* The other one has gone, or talks nonsense and may live. It is closed
	   already, and all that was sent has come. */
	void (*ended)(struct channel *c);
};

/* A pair of descriptors; -1: errno says why. */
int channel_pair(int fds[2]) MUST_CHECK;

void channel_init(struct channel *c, int fd,
    bool (*came)(struct channel *, const struct message *, int *),
    void (*ended)(struct channel *));

/* From now on it is read and written by that loop. */
void channel_attach(struct channel *c, struct worker *w);

/* Take what has been sent so far, then close: nothing is lost on the way, nor the
   place of a connection. */
void channel_finish(struct channel *c);

/* No call comes after this. Twice is fine. */
void channel_close(struct channel *c);

static inline bool
channel_is_open(const struct channel *c)
{
	return c->fd >= 0;
}

/*
 * Queue a message. Takes the reference to j (NULL = out of memory). fds stay the
 * caller's, but are to stay open until it has been sent: for those that go away
 * with it there is channel_send_away(). False when out of memory, or it makes no
 * message (too long, no UTF-8); the channel is `failed` and `unsaid` then, for
 * something would be missing.
 */
bool channel_send(struct channel *c, json_t *j, const void *raw,
    size_t raw_len, const int *fds, size_t n_fds);

/* Likewise what somebody may send of whom nothing is known, and what may be
   missing: false, and the channel is what it was. */
bool channel_try(struct channel *c, json_t *j, const void *raw,
    size_t raw_len);

/* Of one that is sent away. */
enum sending {
	SENDING_NOW,            /* the other one may have it in a moment */
	SENDING_LATER,          /* after all not yet */
	SENDING_DONE,
	SENDING_NEVER
};

/* Likewise one descriptor, which is arg's: it may be closed when news(arg) is that
   it has been sent or never will be. False = nothing was called, and the channel
   is what it was. */
bool channel_send_away(struct channel *c, json_t *j, const void *raw,
    size_t raw_len, int fd, void (*news)(void *arg, enum sending is),
    void *arg);

/* Without a loop: read the next one, waiting at most so long. 1 = one came and
   came() took it; 0 = the other one has gone, was too slow or talks nonsense. */
int channel_wait(struct channel *c, int64_t ms) MUST_CHECK;

/* Without a loop: send all that waits, at most for so long. False: not all. */
bool channel_push(struct channel *c, int64_t ms);

#endif
