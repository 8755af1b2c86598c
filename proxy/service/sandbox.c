/*
 * Entering the sandbox, and handing it down. See sandbox.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/service/sandbox.h"

#include <inttypes.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "net/log.h"
#include "net/memstream.h"

/* Of a process that is in one: the hash of its rules, how many layers it has,
   1 if a core may be written; and a line for each place. */
#define VARIABLE "WEIR_SANDBOX"

/* The kernel takes 16, and somebody around us may have some. */
enum { LAYERS_MOST = 10 };

struct inherited {
	uint64_t hash;
	unsigned layers;                /* 0 = nothing was inherited */
	unsigned core;
	struct sandbox_place *places;
	size_t n_places;
};

/* --------------------------------------------------------------- inheriting */

/* "3/run/weir": the uses, and the folder. */
static int
read_place(struct inherited *in, const char *line)
{
	struct sandbox_place *more = realloc(in->places,
	    (in->n_places + 1) * sizeof(*more));

	if (more == NULL)
		return -1;
	in->places = more;
	more[in->n_places].uses = (unsigned)(line[0] - '0') & 3;
	more[in->n_places].dir = strdup(line + 1);
	return more[in->n_places].dir != NULL ? (in->n_places++, 0) : -1;
}

/* The variable alone proves nothing: it may have been left over. */
static int
read_inherited(struct inherited *in)
{
	const char *value = getenv(VARIABLE);
	char *copy, *rest, *line;
	int done = 0;

	if (value == NULL ||
	    prctl(PR_GET_SECCOMP, 0, 0, 0, 0) != SECCOMP_MODE_FILTER ||
	    sscanf(value, "%" SCNx64 " %u %u", &in->hash, &in->layers,
	    &in->core) < 2)
		return 0;
	rest = copy = strdup(value);
	if (copy == NULL)
		return -1;
	(void)strsep(&rest, "\n");
	while (done == 0 && (line = strsep(&rest, "\n")) != NULL)
		if (line[0] >= '1' && line[0] <= '3' && line[1] == '/')
			done = read_place(in, line);
	free(copy);
	return done;
}

/* A folder whose name has a line's end is not told of: then it takes a restart
   to use it. */
static int
hand_down(const struct sandbox *s, uint64_t hash, unsigned layers)
{
	struct memstream value;
	FILE *f = memstream_open(&value);
	char *text;
	int done = -1;
	size_t i;

	if (f == NULL)
		return -1;
	fprintf(f, "%016" PRIx64 " %u %u", hash, layers, s->core);
	for (i = 0; i < s->n_places; i++)
		if (strchr(s->places[i].dir, '\n') == NULL)
			fprintf(f, "\n%u%s", s->places[i].uses,
			    s->places[i].dir);
	text = memstream_close(&value, NULL);
	if (text != NULL)
		done = setenv(VARIABLE, text, 1);
	free(text);
	return done;
}

static uint64_t
hash_of(const struct conf *conf, const struct sandbox *s)
{
	uint64_t h = seccomp_hash();
	char text[32];
	size_t i;

	snprintf(text, sizeof(text), "%d %d", (int)conf->security.sandbox,
	    s->core);
	h = sandbox_hash(h, text, strlen(text));
	for (i = 0; i < s->n_places; i++) {
		snprintf(text, sizeof(text), "\n%u", s->places[i].uses);
		h = sandbox_hash(h, text, strlen(text));
		h = sandbox_hash(h, s->places[i].dir,
		    strlen(s->places[i].dir));
	}
	return h;
}

/* ----------------------------------------------------------------- entering */

static void
name_user(struct sandbox *s)
{
	FILE *f = fopen("/etc/passwd", "re");
	const struct passwd *pw = NULL;

	/* Not getpwuid(), whose name services end the process when they find no
	   memory; the name is only shown. */
	while (f != NULL && (pw = fgetpwent(f)) != NULL &&
	    pw->pw_uid != geteuid())
		;
	if (f != NULL)
		fclose(f);
	if (pw != NULL)
		snprintf(s->user, sizeof(s->user), "%s", pw->pw_name);
	else
		snprintf(s->user, sizeof(s->user), "%u", (unsigned)geteuid());
}

/* What is missing in this kernel is missing. */
static void
confine(struct sandbox *s)
{
	char why[SANDBOX_TEXT_MAX - 20];

	s->no_new_privs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
	s->confined = landlock_enter(s->places, s->n_places, s->core, why,
	    sizeof(why)) == 0;
	snprintf(s->landlock, sizeof(s->landlock), s->confined ? "on" :
	    "unavailable: %s", why);
	s->seals = true;
}

static int
refuse(const struct sandbox_place *lacking, char *why, size_t size)
{
	snprintf(why, size, "needs a restart: security.sandbox does not permit "
	    "to make %s in %s, where there were none when weir started",
	    lacking->uses == SANDBOX_SOCKETS ? "sockets" : "files",
	    lacking->dir);
	return -1;
}

static int
out_of_memory(char *why, size_t size)
{
	snprintf(why, size, "cannot make the sandbox: out of memory");
	return -1;
}

/* May a configuration be taken over within those places? */
static int
check_places(const struct sandbox_place *given, size_t n_given,
    const struct conf *conf, char *why, size_t size)
{
	struct sandbox_place *wanted = NULL;
	const struct sandbox_place *lacking;
	size_t n = 0;
	int done = 0;

	if (places_of(conf, &wanted, &n) < 0)
		done = out_of_memory(why, size);
	lacking = places_lacking(given, n_given, wanted, n);
	if (done == 0 && lacking != NULL)
		done = refuse(lacking, why, size);
	places_free(wanted, n);
	return done;
}

static bool
wants_core(const struct conf *conf)
{
	return conf->watchdog.action == CONF_STUCK_ABORT;
}

/* An abort is there for the core that it leaves. */
static int
check_core(bool given, const struct conf *conf, char *why, size_t size)
{
	if (given || !wants_core(conf) || !landlock_hinders_cores())
		return 0;
	snprintf(why, size, "needs a restart: security.sandbox does not permit "
	    "to make cores, since watchdog.action was not \"abort\" when weir "
	    "started");
	return -1;
}

bool
sandbox_will_hide(const struct conf *conf)
{
	return conf->security.sandbox == CONF_SANDBOX_ON;
}

int
sandbox_may_start(const struct conf *conf, char *why, size_t size)
{
	struct inherited in = { 0 };
	int done = read_inherited(&in);

	if (done < 0)
		done = out_of_memory(why, size);
	else if (in.layers > 0)
		done = check_places(in.places, in.n_places, conf, why, size) <
		    0 || check_core(in.core != 0, conf, why, size) < 0 ? -1 : 0;
	places_free(in.places, in.n_places);
	return done;
}

/* Of what the layer before ours has left, what ours leaves, too. */
static int
narrow(const struct sandbox *s, struct inherited *in)
{
	struct sandbox_place *both = NULL;
	size_t n = 0;

	if (places_common(in->places, in->n_places, s->places, s->n_places,
	    &both, &n) < 0) {
		places_free(both, n);
		return -1;
	}
	places_free(in->places, in->n_places);
	in->places = both;
	in->n_places = n;
	in->core = in->core != 0 && s->core;
	return 0;
}

/* What we are in stays. Is it what we would make ourselves? */
static int
keep_inherited(struct sandbox *s, const struct conf *conf, struct inherited *in,
    uint64_t hash)
{
	int done = 0;

	if (hash != in->hash && in->layers < LAYERS_MOST &&
	    conf->security.sandbox == CONF_SANDBOX_ON) {
		confine(s);
		if (s->confined)
			done = narrow(s, in);
		in->layers++;
		in->hash = hash;
	} else {
		s->state = "on";
		s->no_new_privs = true;
		snprintf(s->seccomp, sizeof(s->seccomp), "on");
		snprintf(s->landlock, sizeof(s->landlock), "on");
	}
	/* Never more than that one had. */
	places_free(s->places, s->n_places);
	s->places = in->places;
	s->n_places = in->n_places;
	s->core = in->core != 0;
	s->confined = true;
	in->places = NULL;
	in->n_places = 0;
	return done;
}

int
sandbox_enter(struct sandbox *s, const struct conf *conf, char *why,
    size_t size)
{
	struct inherited in = { 0 };
	uint64_t hash;

	memset(s, 0, sizeof(*s));
	name_user(s);
	s->core = wants_core(conf);
	s->state = "off";
	snprintf(s->seccomp, sizeof(s->seccomp), "off");
	snprintf(s->landlock, sizeof(s->landlock), "off");
	s->no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
	if (read_inherited(&in) < 0 ||
	    places_of(conf, &s->places, &s->n_places) < 0 ||
	    places_usual(&s->places, &s->n_places) < 0) {
		places_free(in.places, in.n_places);
		return out_of_memory(why, size);
	}
	hash = hash_of(conf, s);
	if (in.layers > 0) {
		return keep_inherited(s, conf, &in, hash) < 0 ||
		    hand_down(s, in.hash, in.layers) < 0 ?
		    out_of_memory(why, size) : 0;
	}
	if (conf->security.sandbox == CONF_SANDBOX_OFF)
		return 0;
	if (conf->security.sandbox == CONF_SANDBOX_LOG) {
		s->no_new_privs = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0;
		s->seals = s->seals_by_log = true;
		return 0;
	}
	confine(s);
	return hand_down(s, hash, 1) < 0 ? out_of_memory(why, size) : 0;
}

void
sandbox_seal(struct sandbox *s)
{
	const char *word = s->seals_by_log ? "log" : "on";
	char why[SANDBOX_TEXT_MAX - 20];
	bool calls;

	if (!s->seals) {
		log_info("sandbox", "%s", strcmp(s->state, "on") == 0 ?
		    "on, as in the weir before" : s->state);
		return;
	}
	calls = seccomp_enter(s->seals_by_log ? SECCOMP_LOG : SECCOMP_WEIR,
	    why, sizeof(why)) == 0;
	snprintf(s->seccomp, sizeof(s->seccomp), calls ? "%s" :
	    "unavailable: %s", calls ? word : why);
	s->state = calls || s->confined ? word : "unavailable";
	log_line(calls && (s->confined || s->seals_by_log) ? LOG_LEVEL_INFO :
	    LOG_LEVEL_WARN, "sandbox", "%s; system calls: %s; files: %s",
	    s->state, s->seccomp, s->landlock);
}

/* ------------------------------------------------------------------- later */

int
sandbox_permits(const struct sandbox *s, const struct conf *conf, char *why,
    size_t size)
{
	if (!s->confined)
		return 0;
	return check_places(s->places, s->n_places, conf, why, size) < 0 ||
	    check_core(s->core, conf, why, size) < 0 ? -1 : 0;
}

void
sandbox_fini(struct sandbox *s)
{
	places_free(s->places, s->n_places);
	s->places = NULL;
	s->n_places = 0;
}
