/*
 * TLS towards clients: the handshake of a session, before its front has it, or
 * in the middle, when the front asks for it.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef PROXY_SHAKE_H
#define PROXY_SHAKE_H

#include "proxy/session.h"

/*
 * From now on the session's bytes are those inside of TLS; its listener has a
 * group `tls`. Waits for its turn where tls.max_handshakes are under way. Ends
 * in front.open for one that has not been opened, else in front.bytes, which is
 * called though there may be none yet; or in the session's end.
 */
void shake_begin(struct session *s);

/* conn_ops.secured */
void shake_ended(struct session *s, int error);
/* Its deadline passed, and it is in the handshake. */
void shake_late(struct session *s);
/* It is closed, whatever it did. */
void shake_forget(struct session *s);

#endif
