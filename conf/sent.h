/*
 * A configuration's text on its way to a running weir, which is asked what it
 * would do with it.
 *
 * Who sends puts the includes in place, with its own rights, and says in between
 * which file and line comes next: a line '#@ 12 "conf.d/tls.conf"'. Who takes
 * it opens no include. So errors name the sender's files, and nobody can have
 * the other side's files read to him. ${NAME} and ${file:} are left to who
 * takes it: it has the environment and the secrets that count. What they stand
 * for is hidden from the sender, whatever it is: an error, a warning or a
 * change says no more than that it is refused, or that it equals what the
 * sender wrote elsewhere.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_SENT_H
#define CONF_SENT_H

#include "conf/conf.h"
#include "conf/text.h"

struct problems;

#define SENT_MAX_BYTES (4 * 1024 * 1024)

/* The text of a file, to be sent; malloc'd. NULL with at least one error, as
   conf_load() has them: a file that cannot be read, or is too long. */
char *sent_make(const char *path, struct conf_errors *errors) MUST_CHECK;

/*
 * For conf_load(): takes such a text, or one that somebody sends without those
 * lines. `name` is what errors call its file; relative paths start where they
 * would if the text were in `path`, and those of an included file as far from
 * there as that is from `name`. Notes what is wrong, -1 then; text_fini() in
 * any case.
 */
int sent_read(struct text *t, const char *path, const char *name,
    const char *given, struct problems *p) MUST_CHECK;

/* Does a text that was sent hold values that the sender is not to learn? Is a
   name of c, by its pointer, one of them? */
bool sent_hides(const struct conf *c);
bool sent_hides_name(const struct conf *c, const char *name);

#endif
