/*
 * What becomes of a request once its head has been read, in whatever version it
 * came. See http.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/proto/http/http.h"
#include "proxy/route.h"
#include "proxy/runtime.h"

struct http_head *
http_head_new(struct exchange *x)
{
	struct lane *lane = x->s->door->lane;
	struct http_exchange *hx = http_of(x);

	if (x->policy->max_headers <= HTTP_FIELDS_INLINE)
		return (struct http_head *)(void *)hx->inline_head;
	return pile_get(&lane->pieces[FAMILY_HTTP]);
}

void
http_dispatch(struct exchange *x)
{
	struct http_exchange *hx = http_of(x);
	const struct http_head *h = hx->head;
	const struct conf_upstream *to;
	const struct conf_route *route;

	trace_begin(x);
	if (h->method == HTTP_M_CONNECT || h->method == HTTP_M_TRACE) {
		exchange_fail(x, FAIL_METHOD);
		return;
	}
	if (hx->up_left > (uint64_t)x->policy->max_body_bytes) {
		exchange_fail(x, FAIL_TOO_LARGE);
		return;
	}
	route = route_match(x->policy, hx->raw + h->host.at, h->host.len,
	    h->path.len > 0 ? hx->raw + h->path.at : "/",
	    h->path.len > 0 ? h->path.len : 1);
	to = route != NULL ? route->upstream : x->policy->upstream;
	if (route != NULL)
		x->retry = route->retry;
	if (x->policy->client_header != NULL)
		x->client = http_client_key(x);
	if (to == NULL)
		exchange_fail(x, FAIL_NO_ROUTE);
	else
		exchange_route(x, to);
}

enum outcome
http_outcome(unsigned status)
{
	return status < 200 ? OUTCOME_1XX : status < 300 ? OUTCOME_2XX :
	    status < 400 ? OUTCOME_3XX : status < 500 ? OUTCOME_4XX :
	    OUTCOME_5XX;
}
