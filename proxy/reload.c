/*
 * Reloads. See reload.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/clock.h"
#include "net/log.h"
#include "proxy/admin/admin.h"
#include "proxy/change.h"
#include "proxy/errors.h"
#include "proxy/override.h"
#include "proxy/plan.h"
#include "proxy/runtime.h"
#include "proxy/settings.h"
#include "proxy/upgrade/upgrade.h"
#include "proxy/view.h"

/* So much later than promised it goes back: a confirmation of the last moment is
   on its way then, or waits until this turn of the loop is over. */
enum { CONFIRM_GRACE_MS = 100 };

/* A snapshot on its way in: all that may fail has been done. */
struct passage {
	struct runtime *rt;
	struct conf *conf;              /* owned until it is committed */
	struct change *change;
	struct admin_change *admin;
	struct sink *access;            /* its own; NULL = "off", or: */
	bool same_access;               /* it stays as it is */
};

/* ------------------------------------------------------------------ passages */

static void
passage_abandon(struct passage *p)
{
	if (p == NULL)
		return;
	if (p->admin != NULL)
		admin_abandon(p->admin);
	if (p->change != NULL)
		change_abandon(p->change);
	if (p->access != NULL)
		sink_close(p->access);
	conf_free(p->conf);
	free(p);
}

/*
 * Takes conf over in any case. access: of the log that will be written when this
 * comes in. The same target stays open: a file that was rotated and given to
 * somebody else must not make every reload fail. after: as change_prepare_back().
 */
static struct passage *
passage_prepare(struct runtime *rt, struct conf *conf, const char *access,
    const struct passage *after, char *why, size_t size)
{
	struct passage *p = calloc(1, sizeof(*p));

	if (p == NULL) {
		conf_free(conf);
		snprintf(why, size, "out of memory");
		return NULL;
	}
	p->rt = rt;
	p->conf = conf;
	p->same_access = strcmp(conf->log.access, access) == 0;
	if (sandbox_permits(&rt->sandbox, conf, why, size) < 0 ||
	    (!p->same_access &&
	    settings_open_access(conf, &p->access, why, size) < 0))
		goto fail;
	p->change = after == NULL ? change_prepare(rt, conf, why, size) :
	    change_prepare_back(rt, conf, after->change, why, size);
	if (p->change != NULL)
		p->admin = admin_prepare(rt, conf, why, size);
	if (p->admin != NULL)
		return p;
fail:
	passage_abandon(p);
	return NULL;
}

/* What `back` needs is left in place; NULL = nothing is needed any more. */
static void
passage_commit(struct passage *p, const struct passage *back)
{
	struct runtime *rt = p->rt;

	/* Only what has stayed in place goes now: nothing else has changed. */
	if (p->conf != rt->gen->conf)
		settings_apply(rt, p->conf);
	if (!p->same_access)
		writer_set_access(rt->writer, &p->access);
	change_commit(p->change, back != NULL ? back->change : NULL);
	admin_commit(rt, p->admin, back != NULL ? back->conf : NULL);
	upgrade_sockets_changed(rt);
	free(p);
}

/* ----------------------------------------------------------------- errors */

static char *
joined(const struct conf_errors *errors)
{
	size_t i, size = 1;
	char *text, *at;

	for (i = 0; i < errors->n; i++)
		size += strlen(errors->v[i]) + 1;
	text = at = calloc(1, size);
	if (text == NULL)
		return NULL;
	for (i = 0; i < errors->n; i++)
		at += sprintf(at, "%s%s", i > 0 ? "\n" : "", errors->v[i]);
	return text;
}

/* ------------------------------------------------------------ remembering */

/* error is taken over; NULL = all is well. */
static void
note(struct runtime *rt, enum reload_end end, const struct diff *d, char *error)
{
	bool ok = end == RELOAD_OK || end == RELOAD_CONFIRMED;

	reloads_add(&rt->reloads, end, rt->gen->number, d, error);
	if (d != NULL && end != RELOAD_CONFIRMED)
		drift_note(&rt->pending, d);
	if (end == RELOAD_CONFIRMED)
		return;
	free(rt->reload.error);
	rt->reload.error = error;
	rt->reload.ok = ok;
	rt->reload.at_s = (int64_t)time(NULL);
	count_add(ok ? &rt->reloads_ok : &rt->reloads_bad, 1);
}

static int
refuse(struct runtime *rt, const struct conf_errors *errors)
{
	size_t i;

	for (i = 0; i < errors->n; i++)
		log_error("reload refused", "%s", errors->v[i]);
	note(rt, RELOAD_REFUSED, NULL, joined(errors));
	notify_reloaded(rt, errors->n > 0 ? errors->v[0] : "");
	return -1;
}

/* What only a start can change is said, not silently ignored. */
static void
log_changes(const char *what, const struct diff *d)
{
	size_t i;

	for (i = 0; i < d->n; i++)
		if (plan_waits_for_start(d->v[i].path))
			log_warn(what, "%s: takes effect at the next start",
			    d->v[i].text);
		else
			log_info(what, "%s", d->v[i].text);
}

/* ------------------------------------------------------------ confirmation */

static void go_back(struct deadline *d);

/* The way back is of no use any more; when one is awaited. */
static void
forget_way_back(struct runtime *rt)
{
	struct confirm *c = &rt->confirm;
	struct passage *back = c->back;

	if (back == NULL)
		return;
	deadline_clear(&c->deadline);
	c->back = NULL;
	c->until_s = 0;
	c->drop_overrides = false;
	passage_abandon(back);
}

/* main's clock stands still while it reads a file, and that may be a large one:
   by how much it is late. */
static int64_t
late_ns(const struct runtime *rt)
{
	return clock_ns() - rt->main.now_ns;
}

/* ms 0: as long as the one before, which is replaced. */
static void
await(struct runtime *rt, struct passage *back, int64_t ms)
{
	struct confirm *c = &rt->confirm;

	if (c->back == NULL)
		deadline_init(&c->deadline, go_back);
	passage_abandon(c->back);
	c->back = back;
	if (ms == 0)
		return;
	deadline_clear(&c->deadline);
	deadline_set_ns(&rt->main, &c->deadline, late_ns(rt) +
	    (ms + CONFIRM_GRACE_MS) * NS_PER_MS);
	c->until_ns = c->deadline.at_ns - CONFIRM_GRACE_MS * NS_PER_MS;
	c->until_s = view_wall_s(c->until_ns, NULL);
}

static void
go_back(struct deadline *deadline)
{
	struct confirm *c = container_of(deadline, struct confirm, deadline);
	struct runtime *rt = container_of(c, struct runtime, confirm);
	struct passage *back = c->back;
	bool reopen = !back->same_access;
	struct diff d;

	if (plan_diff(&d, rt->gen->conf, back->conf) < 0)
		log_warn("reload", "out of memory: what goes back is not "
		    "said");
	c->back = NULL;
	c->until_s = 0;
	c->drop_overrides = false;
	passage_commit(back, NULL);
	/* Its log was opened a while ago and may have been rotated since. */
	if (reopen)
		writer_reopen(rt->writer);
	log_warn("reload", "not confirmed in time: the configuration before is "
	    "back, as generation %llu", (unsigned long long)rt->gen->number);
	log_changes("reload", &d);
	note(rt, RELOAD_REVERTED, &d, strdup("not confirmed in time: the "
	    "configuration before is back"));
	diff_fini(&d);
}

int64_t
reload_awaits(const struct runtime *rt)
{
	return rt->confirm.back != NULL ? rt->confirm.until_s : 0;
}

void
reload_drop_overrides(struct runtime *rt)
{
	rt->confirm.drop_overrides = rt->confirm.back != NULL;
}

/* Somebody confirms, and nothing is awaited: a script whose reload has changed
   nothing, or one that comes too late. */
static enum confirmed
confirm_nothing(const struct runtime *rt, const char **why)
{
	const struct reloads *r = &rt->reloads;

	if (!rt->draining && rt->reload.ok)
		return CONFIRMED_BEFORE;
	*why = rt->draining ?
	    "no reload awaits a confirmation: weir is draining" :
	    r->n > 0 && r->v[0].end == RELOAD_REVERTED ?
	    "no reload awaits a confirmation: the last one was not confirmed "
	    "in time, and what was before is back" :
	    "no reload awaits a confirmation: the last one was refused";
	return CONFIRMED_NOT;
}

enum confirmed
reload_confirm(struct runtime *rt, const char **why)
{
	struct confirm *c = &rt->confirm;
	struct passage *p;
	char text[512];
	struct diff d;

	*why = NULL;
	if (c->back == NULL)
		return confirm_nothing(rt, why);
	/* The same snapshot once more, without what was held for going back. */
	p = passage_prepare(rt, conf_keep(rt->gen->conf),
	    rt->gen->conf->log.access, NULL, text, sizeof(text));
	if (p == NULL) {
		*why = "out of memory, nothing is confirmed yet";
		return CONFIRMED_SHORT;
	}
	if (plan_diff(&d, c->back->conf, rt->gen->conf) < 0)
		log_warn("reload", "out of memory: what is confirmed is not "
		    "said");
	passage_commit(p, NULL);
	if (c->drop_overrides)
		override_drop_all(rt);
	forget_way_back(rt);
	log_info("reload", "confirmed: generation %llu stays",
	    (unsigned long long)rt->gen->number);
	note(rt, RELOAD_CONFIRMED, &d, NULL);
	diff_fini(&d);
	return CONFIRMED;
}

void
reload_end(struct runtime *rt)
{
	if (rt->confirm.back != NULL)
		log_warn("reload", "was not confirmed before weir ends: nothing "
		    "goes back any more");
	forget_way_back(rt);
}

/* ----------------------------------------------------------------- reload */

/* Is there anything to go back to? *same: the file says what runs. */
static bool
must_await(struct runtime *rt, const struct conf *conf, int64_t confirm_ms,
    const struct conf *good, bool same)
{
	struct diff d;
	bool back_to_good;

	if (rt->confirm.back == NULL)
		return confirm_ms > 0 && !same;
	if (confirm_ms == 0 && !same)
		return false;
	if (plan_diff(&d, good, conf) < 0)
		return true;
	back_to_good = d.n == 0;
	diff_fini(&d);
	return !back_to_good;
}

/* Takes conf over in any case. */
static int
take(struct runtime *rt, struct conf *conf, int64_t confirm_ms, bool same,
    struct conf_errors *errors)
{
	struct conf *good = rt->confirm.back != NULL ? rt->confirm.back->conf :
	    rt->gen->conf;
	bool awaits = must_await(rt, conf, confirm_ms, good, same);
	struct passage *p, *back = NULL;
	char why[512];

	p = passage_prepare(rt, conf, rt->gen->conf->log.access, NULL, why,
	    sizeof(why));
	if (p != NULL && awaits) {
		back = passage_prepare(rt, conf_keep(good), conf->log.access, p,
		    why, sizeof(why));
		if (back == NULL || change_hold(p->change, back->change) < 0) {
			if (back != NULL)
				snprintf(why, sizeof(why), "out of memory");
			passage_abandon(back);
			passage_abandon(p);
			p = NULL;
		}
	}
	if (p == NULL) {
		errors_add(errors, "%s", why);
		return -1;
	}
	passage_commit(p, back);
	if (back != NULL)
		await(rt, back, confirm_ms);
	else
		forget_way_back(rt);
	return 0;
}

const char *
reload_barred(const struct runtime *rt)
{
	const char *why;

	if (rt->draining)
		return "weir is draining";
	return upgrade_is_under_way(rt, &why) ? why : NULL;
}

int
reload_take(struct runtime *rt, int64_t confirm_ms, struct conf_errors *errors,
    struct reload_done *done)
{
	struct conf_input in = runtime_input(rt);
	const char *barred = reload_barred(rt);
	struct conf *conf;
	bool known;
	size_t i;

	*done = (struct reload_done){ .confirm_until_s = 0 };
	if (barred != NULL) {
		errors_add(errors, "%s: nothing is reloaded", barred);
		return refuse(rt, errors);
	}
	notify_reloading(rt);
	conf = conf_load(&in, errors);
	if (conf == NULL)
		return refuse(rt, errors);
	notify_alive(rt);
	outlook_given_up(rt, conf, &done->warnings);
	known = plan_diff(&done->diff, rt->gen->conf, conf) == 0;
	notify_alive(rt);
	if (!known)
		log_warn("reload", "out of memory: what changes is not said");
	if (take(rt, conf, confirm_ms, known && done->diff.n == 0, errors) < 0) {
		diff_fini(&done->diff);
		return refuse(rt, errors);
	}
	notify_alive(rt);
	done->confirm_until_s = reload_awaits(rt);
	for (i = 0; i < done->warnings.n; i++)
		log_warn("reload", "%s", done->warnings.v[i]);
	log_changes("reload", &done->diff);
	log_info("reload", "generation %llu%s",
	    (unsigned long long)rt->gen->number, done->confirm_until_s != 0 ?
	    ", which awaits its confirmation" : "");
	note(rt, RELOAD_OK, &done->diff, NULL);
	notify_reloaded(rt, NULL);
	return 0;
}

void
reload_done_fini(struct reload_done *done)
{
	diff_fini(&done->diff);
	conf_errors_fini(&done->warnings);
}

int
runtime_reload(struct runtime *rt, struct conf_errors *errors)
{
	struct reload_done done;
	int result = reload_take(rt, 0, errors, &done);

	reload_done_fini(&done);
	return result;
}
