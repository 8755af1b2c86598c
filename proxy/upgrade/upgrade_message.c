/*
 * Packets between two weirs. See upgrade_message.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/upgrade/upgrade_message.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* In the machine's byte order: both are on it. */
struct head {
	char     magic[4];
	uint32_t n_fds, text_len, raw_len;
};

static const char magic[4] = { 'W', 'U', 'P', '1' };

_Static_assert(sizeof(struct head) == MESSAGE_HEAD, "it is what is sent");

enum parse
message_parse(const void *packet, size_t len, size_t n_fds, struct message *m)
{
	const char *bytes = packet;
	struct head head;
	size_t rest;

	memset(m, 0, sizeof(*m));
	if (len < sizeof(head) || len > MESSAGE_MOST)
		return PARSE_BAD;
	memcpy(&head, bytes, sizeof(head));
	rest = len - sizeof(head);
	if (memcmp(head.magic, magic, sizeof(magic)) != 0 ||
	    head.n_fds != n_fds || n_fds > MESSAGE_FDS_MOST ||
	    head.text_len > rest || head.raw_len != rest - head.text_len)
		return PARSE_BAD;
	m->j = json_loadb(bytes + sizeof(head), head.text_len,
	    JSON_REJECT_DUPLICATES, NULL);
	m->is = json_string_value(json_object_get(m->j, "is"));
	if (m->is == NULL) {
		message_fini(m);
		return PARSE_BAD;
	}
	m->raw = (const unsigned char *)bytes + sizeof(head) + head.text_len;
	m->raw_len = head.raw_len;
	m->n_fds = n_fds;
	return PARSE_DONE;
}

size_t
message_promised(const void *packet, size_t len)
{
	struct head head;

	if (len < sizeof(head))
		return 0;
	memcpy(&head, packet, sizeof(head));
	return memcmp(head.magic, magic, sizeof(magic)) == 0 &&
	    head.n_fds <= MESSAGE_FDS_MOST ? head.n_fds : 0;
}

void
message_fini(struct message *m)
{
	json_decref(m->j);
	memset(m, 0, sizeof(*m));
}

void *
message_make(const json_t *j, const void *raw, size_t raw_len, size_t n_fds,
    size_t *len)
{
	char *text = json_dumps(j, JSON_COMPACT), *packet = NULL;
	size_t text_len = text != NULL ? strlen(text) : 0;
	struct head head = { .n_fds = (uint32_t)n_fds,
	    .text_len = (uint32_t)text_len, .raw_len = (uint32_t)raw_len };

	if (text == NULL || n_fds > MESSAGE_FDS_MOST ||
	    text_len > MESSAGE_MOST - MESSAGE_HEAD ||
	    raw_len > MESSAGE_MOST - MESSAGE_HEAD - text_len)
		goto out;
	*len = sizeof(head) + text_len + raw_len;
	packet = malloc(*len);
	if (packet == NULL)
		goto out;
	memcpy(head.magic, magic, sizeof(magic));
	memcpy(packet, &head, sizeof(head));
	memcpy(packet + sizeof(head), text, text_len);
	if (raw_len > 0)
		memcpy(packet + sizeof(head) + text_len, raw, raw_len);
out:
	/* There may be secrets in it. */
	if (text != NULL)
		explicit_bzero(text, text_len);
	free(text);
	return packet;
}

const char *
message_text(const struct message *m, const char *name)
{
	const char *text = json_string_value(json_object_get(m->j, name));

	return text != NULL ? text : "";
}

int64_t
message_number(const struct message *m, const char *name, int64_t min,
    int64_t max, int64_t absent)
{
	const json_t *j = json_object_get(m->j, name);
	int64_t n = json_is_integer(j) ? json_integer_value(j) : absent;

	return n < min ? min : n > max ? max : n;
}

int
message_addr(const char *text, struct addr *out)
{
	struct addr_text words = { 0 };
	const char *why;
	int status;

	if (addr_text_parse(text, true, &words, &why) < 0)
		return -1;
	status = addr_from_text(&words, out);
	addr_text_fini(&words);
	return status;
}

int
message_bound_addr(const struct message *m, struct addr *addr)
{
	static const size_t least[] = {
		[AF_UNIX] = offsetof(struct sockaddr_un, sun_path) + 1,
		[AF_INET] = sizeof(struct sockaddr_in),
		[AF_INET6] = sizeof(struct sockaddr_in6)
	};
	sa_family_t family;

	memset(addr, 0, sizeof(*addr));
	if (m->raw_len < sizeof(family) || m->raw_len >= sizeof(addr->ss))
		return -1;
	memcpy(&addr->ss, m->raw, m->raw_len);
	addr->len = (socklen_t)m->raw_len;
	family = addr->sa.sa_family;
	return family < NELEMS(least) && least[family] > 0 &&
	    m->raw_len >= least[family] ? 0 : -1;
}
