/*
 * Processes behind sockets. See process.h.
 *
 * Each socket is asked for by its two addresses, which the kernel answers from
 * its hash table: so a search costs what it looks for and not what else there
 * is on the machine. The descriptors of processes are looked through once for
 * all of them, on a thread of its own.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/process.h"

#include <dirent.h>
#include <ev.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "net/clock.h"
#include "net/log.h"
#include "proxy/service/scout.h"

enum {
	PASS_MS = 1500,                 /* for all processes' descriptors */
	ANSWER_MS = 200                 /* for one socket: it is at once */
};

struct process_finder {
	struct worker *main;
	int scout;                      /* who looks; -1 = the thread itself */
	struct ev_io scout_ends;        /* it says nothing there but that */
	pthread_t thread;
	bool started, ending;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct process_search *first, *last;
};

/* ------------------------------------------------------------------ sockets */

struct question {
	struct nlmsghdr head;
	struct inet_diag_req_v2 about;
};

/* As the client's socket has it: his address is its own. */
static struct question
question_about(const struct process_end *e)
{
	struct question q = {
		.head = { .nlmsg_len = sizeof(q),
		    .nlmsg_type = SOCK_DIAG_BY_FAMILY,
		    .nlmsg_flags = NLM_F_REQUEST },
		.about = { .sdiag_family = e->peer.family,
		    .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0u }
	};
	struct inet_diag_sockid *id = &q.about.id;

	id->idiag_sport = htons(e->peer.port);
	id->idiag_dport = htons(e->here.port);
	memcpy(id->idiag_src, e->peer.ip, sizeof(id->idiag_src));
	memcpy(id->idiag_dst, e->here.ip, sizeof(id->idiag_dst));
	id->idiag_cookie[0] = id->idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	return q;
}

static int
diag_open(void)
{
	const struct timeval most = { .tv_usec = ANSWER_MS * 1000 };
	int fd = socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC,
	    NETLINK_SOCK_DIAG);

	if (fd >= 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &most,
		    sizeof(most));
	return fd;
}

static void
find_socket(int fd, struct process_end *e)
{
	struct question q = question_about(e);
	_Alignas(struct nlmsghdr) char room[1024];
	struct nlmsghdr *h = (struct nlmsghdr *)(void *)room;
	const struct inet_diag_msg *m;
	ssize_t n;

	if (send(fd, &q, sizeof(q), 0) != (ssize_t)sizeof(q))
		return;
	n = recv(fd, room, sizeof(room), 0);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(*m)) ||
	    h->nlmsg_type != SOCK_DIAG_BY_FAMILY)
		return;
	m = NLMSG_DATA(h);
	/* Where nothing is connected like that the kernel offers who listens. */
	if (m->idiag_state == TCP_LISTEN ||
	    m->id.idiag_dport != q.about.id.idiag_dport)
		return;
	e->inode = m->idiag_inode;
	e->uid = m->idiag_uid;
}

static size_t
find_sockets(struct process_end *ends, size_t n)
{
	int fd = diag_open();
	size_t i, found = 0;

	if (fd < 0)
		return 0;
	for (i = 0; i < n; i++) {
		if (ends[i].peer.family == AF_INET ||
		    ends[i].peer.family == AF_INET6)
			find_socket(fd, &ends[i]);
		found += ends[i].inode != 0;
	}
	close(fd);
	return found;
}

/* ---------------------------------------------------------------- processes */

static void
read_name(struct process_end *e)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%" PRId64 "/comm", e->pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	n = read(fd, e->name, sizeof(e->name) - 1);
	close(fd);
	e->name[n > 0 ? n : 0] = '\0';
	e->name[strcspn(e->name, "\n")] = '\0';
}

static int
compare(const void *a, const void *b)
{
	const struct process_end *const *x = a, *const *y = b;

	return (*x)->inode < (*y)->inode ? -1 : (*x)->inode > (*y)->inode;
}

/* Those found, in the order of their inodes. */
struct wanted {
	struct process_end **v;
	size_t n, left;
};

/* Several processes may have it: the first one found is told of. One client may
   be asked about more than once. */
static void
is_held_by(struct wanted *w, uint64_t inode, int64_t pid)
{
	struct process_end key = { .inode = inode }, *k = &key, **at;

	at = bsearch(&k, w->v, w->n, sizeof(*w->v), compare);
	if (at == NULL || (*at)->pid > 0)
		return;
	while (at > w->v && at[-1]->inode == inode)
		at--;
	for (; at < w->v + w->n && (*at)->inode == inode; at++) {
		(*at)->pid = pid;
		w->left--;
	}
}

/* proc(5): a descriptor of a socket is a link to "socket:[inode]". */
static void
look_at_fds(struct wanted *w, int64_t pid)
{
	char path[64], to[64];
	const struct dirent *entry;
	uint64_t inode;
	ssize_t n;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%" PRId64 "/fd", pid);
	d = opendir(path);
	if (d == NULL)
		return;
	while (w->left > 0 && (entry = readdir(d)) != NULL) {
		n = readlinkat(dirfd(d), entry->d_name, to, sizeof(to) - 1);
		if (n <= 0)
			continue;
		to[n] = '\0';
		if (sscanf(to, "socket:[%" SCNu64 "]", &inode) == 1)
			is_held_by(w, inode, pid);
	}
	closedir(d);
}

static void
find_processes(struct wanted *w)
{
	const struct dirent *entry;
	DIR *d = opendir("/proc");
	int64_t until_ms;
	char *end;

	if (d == NULL)
		return;
	until_ms = clock_ms() + PASS_MS;
	while (w->left > 0 && clock_ms() <= until_ms &&
	    (entry = readdir(d)) != NULL) {
		long long pid = strtoll(entry->d_name, &end, 10);

		if (pid > 0 && *end == '\0')
			look_at_fds(w, pid);
	}
	closedir(d);
}

void
process_look(struct process_end *ends, size_t n)
{
	struct wanted w = { .n = 0 };
	size_t i;

	for (i = 0; i < n; i++)
		ends[i].inode = 0;
	w.left = find_sockets(ends, n);
	w.v = w.left > 0 ? calloc(w.left, sizeof(*w.v)) : NULL;
	for (i = 0; w.v != NULL && i < n; i++)
		if (ends[i].inode != 0)
			w.v[w.n++] = &ends[i];
	if (w.v != NULL) {
		qsort(w.v, w.n, sizeof(*w.v), compare);
		find_processes(&w);
	}
	free(w.v);
	for (i = 0; i < n; i++)
		if (ends[i].pid > 0)
			read_name(&ends[i]);
}

/* ------------------------------------------------------------------- finder */

/* The next one; NULL: it is to end. */
static struct process_search *
next_search(struct process_finder *f)
{
	struct process_search *s;

	pthread_mutex_lock(&f->lock);
	while (f->first == NULL && !f->ending)
		pthread_cond_wait(&f->more, &f->lock);
	s = f->ending ? NULL : f->first;
	if (s != NULL)
		f->first = s->next;
	pthread_mutex_unlock(&f->lock);
	return s;
}

static void *
finder_thread(void *arg)
{
	struct process_finder *f = arg;
	struct process_search *s;

	(void)prctl(PR_SET_NAME, "weir-find", 0, 0, 0);
	while ((s = next_search(f)) != NULL) {
		if (f->scout >= 0)
			scout_look(f->scout, s->ends, s->n);
		else
			process_look(s->ends, s->n);
		worker_post(f->main, &s->over);
	}
	return NULL;
}

struct process_finder *
process_finder_new(struct worker *main)
{
	struct process_finder *f = calloc(1, sizeof(*f));

	if (f == NULL)
		return NULL;
	f->main = main;
	f->scout = -1;
	pthread_mutex_init(&f->lock, NULL);
	pthread_cond_init(&f->more, NULL);
	return f;
}

/* There is no other: what weir could start by now would be confined as it is. */
static void
scout_ended(struct ev_loop *loop, struct ev_io *io, int revents)
{
	(void)revents;
	ev_io_stop(loop, io);
	log_warn("sandbox", "the process that looks at other processes has "
	    "ended: who local clients are will not be known until weir is "
	    "restarted");
}

void
process_finder_use(struct process_finder *f, int scout)
{
	f->scout = scout;
	if (scout < 0)
		return;
	ev_io_init(&f->scout_ends, scout_ended, scout, EV_READ);
	ev_io_start(f->main->loop, &f->scout_ends);
}

static bool
start(struct process_finder *f)
{
	sigset_t all, before;

	if (f->started)
		return true;
	/* Signals are main's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	f->started = pthread_create(&f->thread, NULL, finder_thread, f) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return f->started;
}

void
process_search(struct process_finder *f, struct worker *main,
    struct process_search *what)
{
	what->next = NULL;
	if (f == NULL || !start(f)) {
		worker_post(main, &what->over);
		return;
	}
	pthread_mutex_lock(&f->lock);
	if (f->first == NULL)
		f->first = what;
	else
		f->last->next = what;
	f->last = what;
	pthread_cond_signal(&f->more);
	pthread_mutex_unlock(&f->lock);
}

void
process_finder_free(struct process_finder *f)
{
	if (f == NULL)
		return;
	pthread_mutex_lock(&f->lock);
	f->ending = true;
	pthread_cond_signal(&f->more);
	pthread_mutex_unlock(&f->lock);
	if (f->started)
		pthread_join(f->thread, NULL);
	while (f->first != NULL) {
		struct process_search *s = f->first;

		f->first = s->next;
		s->over.drop(&s->over);
	}
	pthread_cond_destroy(&f->more);
	pthread_mutex_destroy(&f->lock);
	if (f->scout >= 0) {
		ev_io_stop(f->main->loop, &f->scout_ends);
		close(f->scout);
	}
	free(f);
}
