/*
 * proxy/upgrade_message: whatever a process says that one was started by, a
 * packet is read within its bounds; what was made is read as it was.
 *
 * SPDX-License-Identifier: MIT
 */
#include <stdlib.h>
#include <string.h>

#include "proxy/upgrade/upgrade_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t n_fds = size > 0 ? data[0] % (MESSAGE_FDS_MOST + 2) : 0, len;
	struct message m, again;
	void *packet;

	if (size == 0 || message_parse(data + 1, size - 1, n_fds, &m) !=
	    PARSE_DONE)
		return 0;
	if (m.raw_len > size || m.raw + m.raw_len != data + size)
		abort();
	(void)message_number(&m, "n", -5, 5, 0);
	(void)message_text(&m, "t");
	packet = message_make(m.j, m.raw, m.raw_len, n_fds, &len);
	if (packet != NULL) {
		if (message_parse(packet, len, n_fds, &again) != PARSE_DONE ||
		    again.raw_len != m.raw_len ||
		    !json_equal(again.j, m.j))
			abort();
		message_fini(&again);
	}
	free(packet);
	message_fini(&m);
	return 0;
}
