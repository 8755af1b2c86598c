/*
 * Settings to fields by the rows of a table, for conf/'s own loaders.
 *
 * Knows rows, not what they mean together: load, listeners and upstreams do.
 * Nothing here stops at a problem; a field then keeps its default.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_READ_H
#define CONF_READ_H

#include <stdbool.h>
#include <stddef.h>

#include <libconfig.h>

#include "conf/arena.h"
#include "conf/conf.h"
#include "conf/problems.h"
#include "conf/seen.h"
#include "conf/text.h"

#define SPOT_PATH_MAX 200
#define HIDDEN_ROWS 512

/* What a conf keeps of its file; conf->source. */
struct source {
	struct arena arena;     /* all that the conf points to */
	struct text text;       /* lines and files; bytes go after loading */
	const struct conf_proto *const *protos;
	struct hidden *hidden[HIDDEN_ROWS];     /* secrets, by address */
	bool hides, hides_numbers;      /* there are any, and fields */
	bool sent;              /* conf_input.name is given: conf/sent.h */
	size_t expanded;        /* of a text that was sent: what ${...} cost */
	struct unused *unused, **unused_end;
	struct seen listeners;  /* by name: conf_listener_find() */
	struct seen upstreams;  /* of struct named; conf_upstream_find() */
	unsigned refs;          /* who has called conf_load(), conf_keep() */
	bool live;              /* as in conf_input */
};

/* A string or field that came from ${file:}; in a text that was sent, from
   ${NAME} as well. */
struct hidden {
	struct hidden *next;
	const void *what;
};

/* An upstream that nobody uses: left out, unless it has a protocol. */
struct unused {
	struct unused *next;
	const char *name;
	int line;
	bool kept;              /* it has a protocol of its own */
};

/* A name of an upstream in a listener or route, to be resolved. */
struct reference {
	struct reference *next;
	const char *name, *path;
	int line;
	struct conf_upstream **into;
	const struct conf_listener *listener;
	struct named *target;
};

/* An upstream's name and protocol, read before all else of it. */
struct named {
	config_setting_t *group;        /* while it is read */
	char *name;
	const struct conf_proto *proto;
	const char *proto_from; /* path of what said so */
	bool own_proto;         /* its own key said so */
	bool bad_proto;         /* somebody said, but wrongly */
	bool used;
	struct conf_upstream *upstream;         /* its place in the conf */
};

/* An address somebody listens on. */
struct taken {
	struct taken *next;
	const struct conf_bind *bind;
	const char *path;
};

struct load {
	const struct conf_input *in;
	struct conf *c;
	struct source *source;
	struct problems *problems;
	struct named *upstreams;
	size_t n_upstreams;
	struct reference *references, **references_end;
	struct taken *taken, **taken_end;
};

/* A group of the file being read, and its name in messages. */
struct spot {
	const config_setting_t *group;  /* NULL = absent */
	int  line;
	char path[SPOT_PATH_MAX];
};

/* Notes "PATH.KEY: ..."; key "" for the spot itself. */
void complain(struct load *w, const struct spot *s, int line, const char *key,
    const char *fmt, ...) PRINTF_LIKE(5, 6);

/* "PATH.KEY" for later; NULL when out of memory. */
const char *spot_path(struct load *w, const struct spot *s, const char *key);

/* The group at a key; one with group NULL when absent or no group. */
struct spot spot_in(struct load *w, const struct spot *s, const char *key);

/* The i-th element of a list as a group; complains when it is none. */
struct spot spot_at(struct load *w, const struct spot *list, unsigned i);

/* The list at a key in .group, likewise. */
struct spot spot_list(struct load *w, const struct spot *s, const char *key);

/* load.c: what is wrong with a text, in its order, as people read it; p NULL: there
   was no memory for it. At least one. */
void report_problems(const struct text *text, const char *path,
    struct problems *p, struct conf_errors *errors);

int line_of(const config_setting_t *v);
const config_setting_t *member_of(const struct spot *s, const char *key);

/*
 * Fills a struct from a group: defaults first (those of `proto`, found under
 * `prefix`), then what the file says. Rows with offset BY_HAND are skipped.
 */
void read_keys(struct load *w, const struct spot *s,
    const struct conf_key *keys, const char *prefix,
    const struct conf_proto *proto, void *into);

/*
 * Complains of keys without a row. with_protos: groups named after a protocol
 * may be there, but only own's; own NULL accepts them all.
 */
void read_unknown(struct load *w, const struct spot *s,
    const struct conf_key *keys, const char *section, bool with_protos,
    const struct conf_proto *own);

/* A row's default to *field. */
void read_default(struct load *w, const struct conf_key *row, const char *def,
    void *field);

/* A value that is a bare one or a text, by its row, to *field. */
void read_scalar(struct load *w, const struct spot *s,
    const struct conf_key *row, const config_setting_t *v, void *field);

/*
 * The expanded text of a string setting; NULL (and a complaint) when it is
 * none. key names it in messages. Marks it hidden when it came from a file.
 */
char *read_text(struct load *w, const struct spot *s, const char *key,
    const config_setting_t *v);

/* What a protocol finds wrong in its own group: its conf_say_fn's arg, and that
   itself. */
struct own_error {
	struct load *w;
	struct spot in;
};

conf_say_fn own_error;

/* The same of a member; NULL without complaint when it is absent. */
char *read_member(struct load *w, const struct spot *s, const char *key);

/* What messages say of a text: "(hidden)" when it is a secret. */
const char *shown(const struct load *w, const char *text);

/* Does a setting, or anything in it, hold what becomes a secret? NULL: no. */
bool setting_hides(const struct load *w, const config_setting_t *v);

/* The elements of a list; one value alone is a list of itself. */
int list_length(const config_setting_t *v);
const config_setting_t *list_at(const config_setting_t *v, int i);

/* A list of texts, or one text. */
struct conf_names read_names(struct load *w, const struct spot *s,
    const struct conf_key *row, const config_setting_t *v);

/* A name for people and URLs: letters, digits and "_.-", at most 63. */
bool read_name_ok(struct load *w, const struct spot *s, int line,
    const char *name);

void source_hide(struct source *source, const void *what);
bool source_hides(const struct source *source, const void *what);

const struct conf_proto *find_proto(const struct conf_proto *const *protos,
    const char *name);

/* Complains of a protocol that there is not. */
void complain_proto(struct load *w, const struct spot *s, int line,
    const char *name);

/* ---------------------------------------- the parts of a file, each a file */

/* binds.c: an address; its host lives in the arena. False after a complaint. */
bool read_address(struct load *w, const struct spot *s, int line,
    const char *key, const char *text, struct addr_text *out);

/* The addresses at a key: one, or a list of them; those refused left out. */
struct conf_bind *read_binds(struct load *w, const struct spot *s,
    const char *key, size_t *n);

/* One from its text alone; line 0 is that of a default. NULL if refused. */
struct conf_bind *bind_from_text(struct load *w, const struct spot *s,
    int line, const char *key, const char *text);

void check_taken(struct load *w);
bool user_exists(const char *name);
bool group_exists(const char *name);

/* listeners.c */
void read_listeners(struct load *w, const struct spot *top);
void sort_routes(struct load *w);

/* limits.c: what of a limit a bare value, or "off", does not say; one limit, as
   a bare value or a group; those of a listener */
void limit_defaults(struct load *w, const struct conf_key *row,
    struct conf_limit *out);
void read_limit(struct load *w, const struct spot *s,
    const struct conf_key *row, const config_setting_t *v,
    struct conf_limit *out);
void read_listener_limits(struct load *w, const struct spot *s,
    struct conf_listener *l);

/* tls.c: the group `tls` of a listener, true if there is something to be made of
   it, when its protocol has had its say; that of an upstream, whose endpoints
   have been read; what they own */
bool read_listener_tls(struct load *w, const struct spot *s,
    struct conf_listener *l);
void make_listener_tls(struct load *w, const struct spot *s,
    struct conf_listener *l);
void read_upstream_tls(struct load *w, const struct spot *s,
    struct conf_upstream *u);
void tls_release(struct conf *c);

/* policies.c: retry, health, outlier and limits of an upstream, whose
   endpoints have been read */
void read_policies(struct load *w, const struct spot *s,
    struct conf_upstream *u);

/* upstreams.c: names first, so that references can be resolved between */
void read_upstream_names(struct load *w, const struct spot *top);
void resolve_references(struct load *w);
void read_upstreams(struct load *w);

#endif
