/*
 * Failures. See fail.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/fail.h"

const struct fail_row fail_rows[N_FAILS] = {
	[FAIL_NONE] = { "none", 0, "" },
	[FAIL_BAD_REQUEST] = { "bad_request", 400,
	    "the request is not valid HTTP" },
	[FAIL_TOO_LARGE] = { "body_too_large", 413,
	    "the request body is larger than max_body" },
	[FAIL_METHOD] = { "method_not_allowed", 405,
	    "this method is not forwarded" },
	[FAIL_HANDSHAKE] = { "handshake_failed", 0,
	    "the TLS handshake failed" },
	[FAIL_HANDSHAKE_TIMEOUT] = { "handshake_timeout", 0,
	    "the TLS handshake was not over in time" },
	[FAIL_HEADER_TIMEOUT] = { "header_timeout", 408,
	    "the request head did not arrive in time" },
	[FAIL_BODY_TIMEOUT] = { "body_timeout", 408,
	    "the request body did not arrive in time" },
	[FAIL_IDLE_TIMEOUT] = { "idle_timeout", 0,
	    "no request came in time" },
	[FAIL_NO_ROUTE] = { "no_route", 404,
	    "no route of this listener matches" },
	[FAIL_TLS_ON_PLAINTEXT] = { "tls_on_plaintext", 0,
	    "the client speaks TLS to a port that does not" },
	[FAIL_CLIENT_STALLED] = { "client_stalled", 0,
	    "the client stopped taking its answer" },
	[FAIL_CLIENT_GONE] = { "client_abort", 0,
	    "the client went away" },
	[FAIL_CLIENT_WASTES] = { "client_wastes", 0,
	    "the client sent more than it may of what asks for nothing" },
	[FAIL_CANCELLED] = { "cancelled", 0,
	    "canceling statement due to user request" },
	[FAIL_TRANSACTION_IDLE] = { "transaction_idle", 0,
	    "the client left a transaction open for too long" },
	[FAIL_LIMITED] = { "limited", 429,
	    "this client or this listener has had too many requests" },
	[FAIL_PROXY_HEADER] = { "bad_proxy_header", 0,
	    "the connection did not begin with a valid PROXY header" },
	[FAIL_PROXY_TIMEOUT] = { "proxy_header_timeout", 0,
	    "the PROXY header did not arrive in time" },
	[FAIL_AUTH] = { "auth_failed", 0,
	    "the client did not prove that it may log in" },
	[FAIL_UPSTREAM_LIMITED] = { "upstream_limited", 503,
	    "the upstream takes no more requests now" },
	[FAIL_NO_ENDPOINT] = { "no_endpoint", 503,
	    "the upstream has no usable endpoint" },
	[FAIL_QUEUE_FULL] = { "queue_full", 503,
	    "too many requests wait for an upstream connection" },
	[FAIL_QUEUE_TIMEOUT] = { "queue_timeout", 503,
	    "no upstream connection came free in time" },
	[FAIL_CONNECT_FAILED] = { "connect_failed", 502,
	    "the upstream could not be connected to" },
	[FAIL_CONNECT_TIMEOUT] = { "connect_timeout", 504,
	    "the upstream did not accept a connection in time" },
	[FAIL_NO_DESCRIPTORS] = { "no_descriptors", 503,
	    "weir has no descriptors or ports left for another connection" },
	[FAIL_PINNED] = { "pinned", 503,
	    "pool.max_pinned connections are held by clients already" },
	[FAIL_LOGIN] = { "login_refused", 502,
	    "the upstream refused the login" },
	[FAIL_TLS] = { "tls_failed", 502,
	    "the TLS handshake with the upstream failed" },
	[FAIL_UNFIT] = { "wrong_protocol", 502,
	    "the upstream does not speak HTTP/2" },
	[FAIL_REFUSED] = { "upstream_refused", 503,
	    "the upstream refused the request without looking at it" },
	[FAIL_NO_SOCKET] = { "no_websocket", 502,
	    "the upstream takes no WebSockets over HTTP/2" },
	[FAIL_NO_MEMORY] = { "no_memory", 503,
	    "weir is out of memory" },
	[FAIL_UPSTREAM_CLOSED] = { "upstream_closed", 502,
	    "the upstream closed the connection before it had answered" },
	[FAIL_UPSTREAM_RESET] = { "upstream_reset", 502,
	    "the upstream reset the connection" },
	[FAIL_BAD_RESPONSE] = { "bad_response", 502,
	    "the upstream's answer is not valid" },
	[FAIL_RESPONSE_TIMEOUT] = { "response_timeout", 504,
	    "the upstream did not answer in time" },
	[FAIL_STALLED] = { "stalled", 504,
	    "the upstream stopped in the middle of its answer" },
	[FAIL_REPLY_TOO_LARGE] = { "reply_too_large", 502,
	    "the parts of the reply are larger than weir puts together" },
	[FAIL_TOTAL_TIMEOUT] = { "total_timeout", 504,
	    "the exchange took longer than it may in all" },
	[FAIL_QUERY_TIMEOUT] = { "query_timeout", 504,
	    "the query took longer than it may and could not be cancelled" },
	[FAIL_TUNNEL_TIMEOUT] = { "tunnel_timeout", 0,
	    "no byte passed in either direction" },
	[FAIL_KILLED] = { "killed", 502,
	    "its upstream connection was closed by hand" },
	[FAIL_INJECTED] = { "fault_injected", 503,
	    "this request was made to fail by hand" },
	[FAIL_DRAINED] = { "drained", 503,
	    "weir is shutting down and did not wait longer" },
	[FAIL_OVERLOADED] = { "overloaded", 503,
	    "weir is near the end of its memory or descriptors" }
};

const char *
fail_whose(enum fail why)
{
	/* By limits and times of the file, or by hand. */
	static const bool meant[N_FAILS] = {
		[FAIL_UPSTREAM_LIMITED] = true, [FAIL_TUNNEL_TIMEOUT] = true,
		[FAIL_KILLED] = true, [FAIL_INJECTED] = true,
		[FAIL_DRAINED] = true
	};

	return fail_is_clients(why) ? "client" : meant[why] ? "nobody" :
	    "server";
}

enum fail
fail_of_refusal(enum refusal why)
{
	switch (why) {
	case REFUSAL_NO_ENDPOINT:
		return FAIL_NO_ENDPOINT;
	case REFUSAL_HELD:
		return FAIL_UPSTREAM_LIMITED;
	case REFUSAL_QUEUE_FULL:
		return FAIL_QUEUE_FULL;
	case REFUSAL_QUEUE_TIMEOUT:
		return FAIL_QUEUE_TIMEOUT;
	case REFUSAL_CONNECT_FAILED:
		return FAIL_CONNECT_FAILED;
	case REFUSAL_CONNECT_TIMEOUT:
		return FAIL_CONNECT_TIMEOUT;
	case REFUSAL_NO_DESCRIPTORS:
		return FAIL_NO_DESCRIPTORS;
	case REFUSAL_PINNED:
		return FAIL_PINNED;
	case REFUSAL_LOGIN:
		return FAIL_LOGIN;
	case REFUSAL_TLS:
		return FAIL_TLS;
	case REFUSAL_UNFIT:
		return FAIL_UNFIT;
	case REFUSAL_NONE:
	case N_REFUSALS:
		break;
	}
	return FAIL_NO_MEMORY;
}
