/*
 * Holders. See holders.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/holders.h"

#include <poll.h>
#include <sys/socket.h>

/* Both ends of the client's own connection: behind a PROXY header he is
   somebody else than the peer. unix(7): SO_PEERCRED. */
static void
tell_ends(const struct session *s, struct holder *h)
{
	struct addr peer = { .len = sizeof(peer.ss) }, here = peer;
	struct ucred cred;
	socklen_t len = sizeof(cred);
	int fd = conn_fd(&s->conn);

	if (s->client.family == AF_UNIX) {
		if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &len) == 0) {
			h->pid = cred.pid;
			h->uid = cred.uid;
		}
		return;
	}
	if (getpeername(fd, &peer.sa, &peer.len) < 0 ||
	    getsockname(fd, &here.sa, &here.len) < 0)
		return;
	addr_to_ip(&peer, &h->peer);
	addr_to_ip(&here, &h->here);
}

/* Also where his end waits behind bytes that weir does not read yet, as while he
   has to wait. poll(2): POLLRDHUP; of a socket that was reset POLLHUP. */
static bool
has_closed(const struct session *s)
{
	struct pollfd p = { .fd = conn_fd(&s->conn), .events = POLLRDHUP };

	return s->closed || !s->conn.open || s->conn.eof ||
	    (poll(&p, 1, 0) > 0 &&
	    (p.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0);
}

static void
tell_client(const struct session *s, struct holder *h)
{
	h->who = s;
	h->listener = s->door->listener->name;
	h->client = s->client;
	h->closed = has_closed(s);
	if (!s->closed && s->conn.open)
		tell_ends(s, h);
}

void
holders_tell_exchange(const struct lease *l, struct holder *h)
{
	const struct exchange *x = l->holder;
	const char *at;
	size_t len = 0;
	bool is_line = false;

	tell_client(x->s, h);
	if (x->s->front->asks == NULL)
		return;
	at = x->s->front->asks(x, &len, &is_line);
	if (at != NULL)
		brief_put(&h->brief, at, len, is_line);
}

void
holders_tell_session(const struct lease *l, struct holder *h)
{
	tell_client(l->holder, h);
}
