/*
 * Who a client is to the server, as a key of the pool.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/proto/redis/redis.h"

/* The key: RESP version, database, then, if there is a login, user and password
   with their ends; the default user is "". */
struct key_head {
	uint32_t db;
	uint8_t resp;
	uint8_t has_login;
	uint8_t zeros[2];               /* keys are compared byte by byte */
};

static char *
copy_of(const char *text)
{
	return text != NULL ? strdup(text) : NULL;
}

int
redis_identity_set(struct redis_identity *who, uint32_t db, uint8_t resp,
    const char *user, const char *password)
{
	const char *name = user != NULL ? user : "";
	size_t user_len = password != NULL ? strlen(name) + 1 : 0;
	size_t password_len = password != NULL ? strlen(password) + 1 : 0;
	struct redis_identity now = { .db = db, .resp = resp,
	    .user = copy_of(user), .password = copy_of(password) };
	struct key_head head;

	memset(&head, 0, sizeof(head));
	head.db = db;
	head.resp = resp;
	head.has_login = password != NULL;
	if (db != 0 || resp != 2 || password != NULL) {
		now.key_len = sizeof(head) + user_len + password_len;
		now.key = malloc(now.key_len);
		if (now.key == NULL)
			goto fail;
		memcpy(now.key, &head, sizeof(head));
		if (password != NULL) {
			memcpy(now.key + sizeof(head), name, user_len);
			memcpy(now.key + sizeof(head) + user_len, password,
			    password_len);
		}
	}
	if ((user != NULL && now.user == NULL) ||
	    (password != NULL && now.password == NULL))
		goto fail;
	redis_identity_fini(who);
	*who = now;
	return 0;
fail:
	redis_identity_fini(&now);
	return -1;
}

void
redis_identity_fini(struct redis_identity *who)
{
	/* Not left behind for who gets the memory next. */
	if (who->password != NULL)
		explicit_bzero(who->password, strlen(who->password));
	if (who->key != NULL)
		explicit_bzero(who->key, who->key_len);
	free(who->user);
	free(who->password);
	free(who->key);
	*who = (struct redis_identity){ 0 };
}

struct redis_key
redis_key_read(const void *key, size_t len)
{
	struct redis_key read = { .resp = 2 };
	const char *text = key;
	struct key_head head;

	if (len < sizeof(head))
		return read;
	memcpy(&head, key, sizeof(head));
	read.db = head.db;
	read.resp = head.resp;
	if (!head.has_login)
		return read;
	read.user = text + sizeof(head);
	read.password = read.user + strlen(read.user) + 1;
	return read;
}

/* A text and its end, at *at. */
static bool
skip_text(const char *bytes, size_t len, size_t *at)
{
	const char *end = memchr(bytes + *at, '\0', len - *at);

	if (end == NULL)
		return false;
	*at = (size_t)(end + 1 - bytes);
	return true;
}

bool
redis_is_key(const void *key, size_t len)
{
	struct key_head head;
	size_t at = sizeof(head);

	if (len < sizeof(head))
		return false;
	memcpy(&head, key, sizeof(head));
	if (head.zeros[0] != 0 || head.zeros[1] != 0 || head.has_login > 1 ||
	    (head.resp != 2 && head.resp != 3))
		return false;
	/* The one that all have by default is the empty one. */
	if (head.has_login == 0)
		return len == at && (head.db != 0 || head.resp != 2);
	if (!skip_text(key, len, &at))          /* the user */
		return false;
	return skip_text(key, len, &at) && at == len;
}

int
redis_write(struct block_store *store, struct buf *out, unsigned n,
    const char *const *args)
{
	char line[32];
	unsigned i;
	int len;

	len = snprintf(line, sizeof(line), "*%u\r\n", n);
	if (buf_append(store, out, line, (size_t)len) < 0)
		return -1;
	for (i = 0; i < n; i++) {
		size_t size = strlen(args[i]);

		len = snprintf(line, sizeof(line), "$%zu\r\n", size);
		if (buf_append(store, out, line, (size_t)len) < 0 ||
		    buf_append(store, out, args[i], size) < 0 ||
		    buf_append(store, out, "\r\n", 2) < 0)
			return -1;
	}
	return 0;
}
