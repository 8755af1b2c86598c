/*
 * What hurts about TLS: certificates that end soon, servers that nobody
 * verifies, files that the user weir becomes cannot read at the next reload.
 *
 * SPDX-License-Identifier: MIT
 */
#include "conf/warn_tls.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "conf/read.h"
#include "net/tls_client.h"
#include "net/tls_server.h"

enum { DAY_S = 24 * 3600, SOON_DAYS = 14, GROUPS_MAX = 256 };

/* -------------------------------------------------------------------- ends */

static void
warn_end(int64_t not_after_s, int line, conf_say_fn *say, void *arg)
{
	int64_t left_s = not_after_s - (int64_t)time(NULL);
	long long days = (left_s + DAY_S - 1) / DAY_S;
	time_t when = (time_t)not_after_s;
	char day[32];
	struct tm tm;

	if (left_s > SOON_DAYS * DAY_S || gmtime_r(&when, &tm) == NULL ||
	    strftime(day, sizeof(day), "%Y-%m-%d %H:%M:%S UTC", &tm) == 0)
		return;
	if (left_s <= 0)
		say(arg, line, "tls: a certificate has expired, on %s", day);
	else
		say(arg, line, "tls: a certificate expires within %lld day%s, "
		    "on %s", days, days == 1 ? "" : "s", day);
}

/* ---------------------------------------------------------------- the user */

/* Who weir was before it tries to read as somebody else. */
struct self {
	bool other;                     /* is it somebody else now? */
	gid_t groups[GROUPS_MAX];
	int n_groups;
};

static void
become_self(struct self *self)
{
	if (!self->other)
		return;
	if (seteuid(0) < 0 || setegid(getgid()) < 0 ||
	    setgroups((size_t)self->n_groups, self->groups) < 0)
		abort();
	self->other = false;
}

/* As runtime does it when it starts, but so that there is a way back; for a
   process of one thread. */
static void
become_user(struct self *self, const struct conf *c)
{
	const struct source *source = c->source;
	const struct passwd *pw = source->live || c->user == NULL ? NULL : getpwnam(c->user);
	const struct group *gr = c->group == NULL ? NULL :
	    getgrnam(c->group);
	gid_t gid = gr != NULL ? gr->gr_gid : pw != NULL ? pw->pw_gid : 0;

	self->other = false;
	if (geteuid() != 0 || pw == NULL)
		return;
	self->n_groups = getgroups(GROUPS_MAX, self->groups);
	if (self->n_groups < 0 || setgroups(0, NULL) < 0)
		return;
	self->other = true;
	if (setegid(gid) < 0 || seteuid(pw->pw_uid) < 0)
		become_self(self);
}

static void
warn_unread(const struct conf *c, const struct conf_file *f, const char *key,
    int line, conf_say_fn *say, void *arg)
{
	struct self self;
	int fd, error;

	if (f->full == NULL)
		return;
	become_user(&self, c);
	if (!self.other)
		return;
	fd = open(f->full, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	error = errno;
	become_self(&self);
	if (fd >= 0)
		close(fd);
	else
		say(arg, line, "tls.%s: user \"%s\" cannot read \"%.200s\" "
		    "(%s): a reload would fail", key, c->user,
		    source_hides(c->source, f->path) ? "(hidden)" : f->path,
		    strerror(error));
}

/* ------------------------------------------------------------------- groups */

static void
warn_common(const struct conf *c, const struct conf_tls *tls, const char *ca,
    conf_say_fn *say, void *arg)
{
	warn_unread(c, &tls->certificate, "certificate", tls->line, say, arg);
	warn_unread(c, &tls->key, "key", tls->line, say, arg);
	warn_unread(c, &tls->ca, ca, tls->line, say, arg);
	warn_unread(c, &tls->crl, "crl", tls->line, say, arg);
}

void
warn_listener_tls(const struct conf *c, const struct conf_listener *l,
    conf_say_fn *say, void *arg)
{
	const struct conf_certificate *v = l->tls.certificates.v;

	if (l->tls.server == NULL)
		return;
	warn_end(tls_server_not_after(l->tls.server), l->tls.common.line, say,
	    arg);
	warn_common(c, &l->tls.common, "client_ca", say, arg);
	warn_unread(c, &l->tls.ocsp, "ocsp", l->tls.common.line, say, arg);
	for (size_t i = 0; i < l->tls.certificates.n; i++) {
		warn_unread(c, &v[i].certificate, "certificates", v[i].line,
		    say, arg);
		warn_unread(c, &v[i].key, "certificates", v[i].line, say, arg);
		warn_unread(c, &v[i].ocsp, "certificates", v[i].line, say,
		    arg);
	}
}

void
warn_upstream_tls(const struct conf *c, const struct conf_upstream *u,
    conf_say_fn *say, void *arg)
{
	int line = u->tls.common.line;

	if (!u->tls.common.on)
		return;
	if (!u->tls.verify)
		say(arg, line, "tls.verify is false: whoever is in between can "
		    "read and change everything");
	if (u->tls.client == NULL)
		return;
	if (tls_client_not_after(u->tls.client) != 0)
		warn_end(tls_client_not_after(u->tls.client), line, say, arg);
	warn_common(c, &u->tls.common, "ca", say, arg);
}
