/*
 * What is wrong with the order of words in a configuration file.
 *
 * libconfig reads the files, but says only "syntax error" and a line, and lets
 * some mistakes pass in silence. So this goes over the text before: the same
 * grammar, nothing built, each mistake named.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef CONF_SYNTAX_H
#define CONF_SYNTAX_H

struct problems;
struct text;

/*
 * Notes the first mistake in the order of words, and every number and string
 * that libconfig would misread. libconfig is not to see a text with any: it
 * wraps numbers, and forgets to free strings in front of a mistake.
 */
void syntax_check(const struct text *text, struct problems *p);

/* Notes why libconfig refused what syntax_check let pass: its line and words. */
void syntax_explain(const struct text *text, int line, const char *words,
    struct problems *p);

#endif
