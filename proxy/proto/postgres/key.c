/*
 * Keys of the pool: who logs in where, and by what.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/postgres/postgres.h"

struct pg_key *
pg_key_new(const char *user, const char *database, enum pg_key_kind kind,
    const void *secret, size_t secret_len)
{
	size_t user_len = strlen(user), database_len = strlen(database);
	struct pg_key *key;
	char *text;

	if (user_len > PG_STARTUP_MOST || database_len > PG_STARTUP_MOST ||
	    secret_len > PG_STARTUP_MOST)
		return NULL;
	key = malloc(sizeof(*key) + user_len + database_len + secret_len + 3);
	if (key == NULL)
		return NULL;
	*key = (struct pg_key){ .user_len = (uint16_t)user_len,
	    .database_len = (uint16_t)database_len,
	    .secret_len = (uint16_t)secret_len, .kind = (uint8_t)kind };
	text = key->text;
	memcpy(text, user, user_len + 1);
	text += user_len + 1;
	memcpy(text, database, database_len + 1);
	text += database_len + 1;
	if (secret_len > 0)
		memcpy(text, secret, secret_len);
	text[secret_len] = '\0';
	return key;
}

void
pg_key_free(struct pg_key *key)
{
	if (key == NULL)
		return;
	explicit_bzero(key, pg_key_size(key));
	free(key);
}
