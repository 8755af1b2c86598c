/*
 * The channel between two weirs. See upgrade_channel.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade_channel.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/await.h"
#include "net/clock.h"
#include "net/log.h"

enum { BUFFER_BYTES = 1024 * 1024, READ_BATCH = 64 };

/* One that waits. Owned by the queue. */
struct outgoing {
	struct list link;
	void *packet;
	size_t len;
	int fds[MESSAGE_FDS_MOST];
	size_t n_fds;
	void (*news)(void *arg, enum sending is);       /* NULL = nobody asks */
	void *arg;
};

/* ------------------------------------------------------------------ sending */

static void
tell(const struct outgoing *o, enum sending is)
{
	if (o->news != NULL)
		o->news(o->arg, is);
}

static void
outgoing_end(struct outgoing *o, enum sending is)
{
	list_remove(&o->link);
	tell(o, is);
	/* There may be secrets in it. */
	explicit_bzero(o->packet, o->len);
	free(o->packet);
	free(o);
}

/* 1 = it is gone, 0 = it has to wait, -1 = it never will be. */
static int
send_one(int fd, const struct outgoing *o)
{
	union {
		char room[CMSG_SPACE(sizeof(o->fds))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = o->packet, .iov_len = o->len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct cmsghdr *cmsg;
	ssize_t n;

	if (o->n_fds > 0) {
		memset(&control, 0, sizeof(control));
		msg.msg_control = control.room;
		msg.msg_controllen = CMSG_SPACE(o->n_fds * sizeof(int));
		cmsg = CMSG_FIRSTHDR(&msg);
		cmsg->cmsg_level = SOL_SOCKET;
		cmsg->cmsg_type = SCM_RIGHTS;
		cmsg->cmsg_len = CMSG_LEN(o->n_fds * sizeof(int));
		memcpy(CMSG_DATA(cmsg), o->fds, o->n_fds * sizeof(int));
	}
	do
		n = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n >= 0)
		return 1;
	/* ETOOMANYREFS: too many descriptors are under way. */
	return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ||
	    errno == ETOOMANYREFS ? 0 : -1;
}

/* As much as goes. The receiving side notices an end; here it is only that
   nothing more is sent. */
static void
flush(struct channel *c)
{
	struct list *l;
	int sent = 1;

	while (sent > 0 && (l = list_first(&c->queue)) != NULL) {
		struct outgoing *o = container_of(l, struct outgoing, link);

		if (c->failed || c->fd < 0) {
			sent = -1;
			break;
		}
		tell(o, SENDING_NOW);
		sent = send_one(c->fd, o);
		if (sent > 0)
			outgoing_end(o, SENDING_DONE);
		else
			tell(o, SENDING_LATER);
	}
	if (sent >= 0)
		return;
	c->failed = true;
	while ((l = list_first(&c->queue)) != NULL)
		outgoing_end(container_of(l, struct outgoing, link),
		    SENDING_NEVER);
}

static void
flush_and_watch(struct channel *c)
{
	flush(c);
	if (c->w == NULL || c->fd < 0)
		return;
	if (list_empty(&c->queue))
		ev_io_stop(c->w->loop, &c->out_io);
	else
		ev_io_start(c->w->loop, &c->out_io);
}

/* False: out of memory, or it makes no message. */
static bool
queue(struct channel *c, json_t *j, const void *raw, size_t raw_len,
    const int *fds, size_t n_fds, void (*news)(void *, enum sending), void *arg)
{
	bool well = c->fd >= 0 && !c->failed;
	struct outgoing *o = well && j != NULL ? calloc(1, sizeof(*o)) : NULL;

	if (o != NULL)
		o->packet = message_make(j, raw, raw_len, n_fds, &o->len);
	json_decref(j);
	if (o == NULL || o->packet == NULL) {
		free(o);
		return false;
	}
	if (n_fds > 0)
		memcpy(o->fds, fds, n_fds * sizeof(*fds));
	o->n_fds = n_fds;
	o->news = news;
	o->arg = arg;
	list_append(&c->queue, &o->link);
	flush_and_watch(c);
	return true;
}

bool
channel_send(struct channel *c, json_t *j, const void *raw, size_t raw_len,
    const int *fds, size_t n_fds)
{
	bool well = c->fd >= 0 && !c->failed;

	if (queue(c, j, raw, raw_len, fds, n_fds, NULL, NULL))
		return true;
	if (well)
		c->failed = c->unsaid = true;
	return false;
}

bool
channel_try(struct channel *c, json_t *j, const void *raw, size_t raw_len)
{
	return queue(c, j, raw, raw_len, NULL, 0, NULL, NULL);
}

bool
channel_send_away(struct channel *c, json_t *j, const void *raw,
    size_t raw_len, int fd, void (*news)(void *arg, enum sending is),
    void *arg)
{
	return queue(c, j, raw, raw_len, &fd, 1, news, arg);
}

/* ---------------------------------------------------------------- receiving */

static size_t
take_fds(struct msghdr *msg, int fds[MESSAGE_FDS_MOST])
{
	struct cmsghdr *cmsg;
	size_t n = 0, i;

	for (cmsg = CMSG_FIRSTHDR(msg); cmsg != NULL;
	    cmsg = CMSG_NXTHDR(msg, cmsg)) {
		size_t here = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (cmsg->cmsg_level != SOL_SOCKET ||
		    cmsg->cmsg_type != SCM_RIGHTS)
			continue;
		for (i = 0; i < here; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(cmsg) + i * sizeof(fd),
			    sizeof(fd));
			if (n < MESSAGE_FDS_MOST)
				fds[n++] = fd;
			else
				close(fd);
		}
	}
	return n;
}

/* What could not be given to us is lost with all that came beside it. */
static size_t
lose_fds(const unsigned char *packet, size_t len, size_t n_fds, int *fds)
{
	size_t i;

	for (i = 0; i < n_fds; i++)
		close(fds[i]);
	n_fds = message_promised(packet, len);
	for (i = 0; i < n_fds; i++)
		fds[i] = -1;
	log_warn("upgrade", "out of descriptors: what the other weir sent is "
	    "lost");
	return n_fds;
}

enum got {
	GOT_ONE,                        /* and it was dealt with */
	GOT_NOTHING,                    /* there is none */
	GOT_NONSENSE,
	GOT_END                         /* there never will be */
};

static enum got
receive_one(struct channel *c, unsigned char *packet)
{
	union {
		char room[CMSG_SPACE(MESSAGE_FDS_MOST * sizeof(int))];
		struct cmsghdr align;
	} control;
	struct iovec iov = { .iov_base = packet, .iov_len = MESSAGE_MOST };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1,
	    .msg_control = control.room, .msg_controllen = sizeof(control) };
	int fds[MESSAGE_FDS_MOST];
	struct message m;
	size_t n_fds, i;
	bool good;
	ssize_t n = recvmsg(c->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? GOT_NOTHING :
		    GOT_END;
	n_fds = take_fds(&msg, fds);
	if (n == 0)
		return GOT_END;
	if ((msg.msg_flags & MSG_CTRUNC) != 0)
		n_fds = lose_fds(packet, (size_t)n, n_fds, fds);
	if ((msg.msg_flags & MSG_TRUNC) != 0 ||
	    message_parse(packet, (size_t)n, n_fds, &m) != PARSE_DONE) {
		log_error("upgrade", "a message was not understood");
		for (i = 0; i < n_fds; i++)
			if (fds[i] >= 0)
				close(fds[i]);
		explicit_bzero(packet, (size_t)n);
		return GOT_NONSENSE;
	}
	good = c->came(c, &m, fds);
	message_fini(&m);
	explicit_bzero(packet, (size_t)n);      /* secrets, perhaps */
	return good ? GOT_ONE : GOT_NONSENSE;
}

/* All of what is there, up to a point. */
static enum got
receive(struct channel *c, unsigned most)
{
	unsigned char *packet = malloc(MESSAGE_MOST);
	enum got got = packet != NULL ? GOT_ONE : GOT_NOTHING;
	unsigned i;

	for (i = 0; i < most && got == GOT_ONE && c->fd >= 0; i++)
		got = receive_one(c, packet);
	free(packet);
	return got;
}

void
channel_finish(struct channel *c)
{
	enum got got = GOT_ONE;

	if (c->fd < 0)
		return;
	/* Nothing more can be sent to us, and so there is an end of it. */
	(void)shutdown(c->fd, SHUT_RD);
	while (c->fd >= 0 && (got == GOT_ONE || got == GOT_NONSENSE))
		got = receive(c, READ_BATCH);
	channel_close(c);
}

static void
end(struct channel *c)
{
	if (c->fd < 0)
		return;
	channel_finish(c);
	c->ended(c);
}

static void
readable(struct ev_loop *loop, struct ev_io *io, int revents)
{
	struct channel *c = io->data;
	struct worker *w = c->w;

	enum got got;

	(void)loop, (void)revents;
	got = receive(c, READ_BATCH);
	if (got == GOT_NONSENSE || got == GOT_END)
		end(c);
	worker_flush(w);
}

static void
writable(struct ev_loop *loop, struct ev_io *io, int revents)
{
	(void)loop, (void)revents;
	flush_and_watch(io->data);
}

/* -------------------------------------------------------------- life, death */

int
channel_pair(int fds[2])
{
	int size = BUFFER_BYTES;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) < 0)
		return -1;
	/* As much as the system lets it be: it is read quickly. */
	(void)setsockopt(fds[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	(void)setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	return 0;
}

void
channel_init(struct channel *c, int fd,
    bool (*came)(struct channel *, const struct message *, int *),
    void (*ended)(struct channel *))
{
	*c = (struct channel){ .fd = fd, .came = came, .ended = ended };
	list_init(&c->queue);
}

void
channel_attach(struct channel *c, struct worker *w)
{
	c->w = w;
	ev_io_init(&c->io, readable, c->fd, EV_READ);
	ev_io_init(&c->out_io, writable, c->fd, EV_WRITE);
	c->io.data = c->out_io.data = c;
	ev_io_start(w->loop, &c->io);
	flush_and_watch(c);
}

void
channel_close(struct channel *c)
{
	if (c->fd < 0)
		return;
	if (c->w != NULL) {
		ev_io_stop(c->w->loop, &c->io);
		ev_io_stop(c->w->loop, &c->out_io);
	}
	close(c->fd);
	c->fd = -1;
	flush(c);                       /* tells that nothing was sent */
}

/* ------------------------------------------------------------ without a loop */

int
channel_wait(struct channel *c, int64_t ms)
{
	int64_t until = clock_ms() + ms;
	enum got got = GOT_NOTHING;

	while (got == GOT_NOTHING && await_fd(c->fd, POLLIN, until))
		got = receive(c, 1);
	return got == GOT_ONE;
}

bool
channel_push(struct channel *c, int64_t ms)
{
	int64_t until = clock_ms() + ms;

	flush(c);
	while (!list_empty(&c->queue) && await_fd(c->fd, POLLOUT, until))
		flush(c);
	return !c->failed && list_empty(&c->queue);
}
