/*
 * PROXY headers of sessions: what the one that came said beyond the client's
 * address, and what those say that go out, where send_proxy_protocol is set.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_PROXIED_H
#define PROXY_PROXIED_H

#include "net/proxy_header.h"
#include "proxy/exchange.h"

/* s has begun with this header: keeps what will be asked for, which is little,
   and mostly nothing. */
void proxied_begin(struct session *s, const struct proxy_header *said);
void proxied_end(struct session *s);

/* s goes on in another process: what is kept of it, into the object j; and there
   it begins with that. -1 when out of memory. */
int proxied_pack(const struct session *s, struct json_t *j) MUST_CHECK;
void proxied_adopt(struct session *s, const struct json_t *j);

/*
 * x goes to an upstream whose connections begin with a header of x's client: a
 * preface is put behind x->ask.key, which becomes x->whole_key, freed with x. -1
 * when out of memory.
 */
int proxied_key(struct exchange *x, enum proxy_header_version version)
    MUST_CHECK;

#endif
