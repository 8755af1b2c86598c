/*
 * Metrics: a row each. See prometheus.h.
 *
 * A metric's samples stand together, under its HELP and TYPE, with one set of
 * labels; every reason is there from the start. An endpoint's label is its
 * configured name, so what several addresses of one name count is summed up.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/admin/prometheus.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

/* What the number in a view is, and what is printed. */
enum unit { PLAIN, MICROSECONDS, UNLIMITED_AS_MINUS_1 };

struct metric {
	const char *name;
	const char *type;               /* "gauge", "counter", "histogram" */
	const char *help;
	void (*samples)(FILE *out, const struct metric *m,
	    const struct view *v);
	size_t field;                   /* of the struct that samples() reads */
	enum unit unit;
};

/* ------------------------------------------------------------------ pieces */

/* A label's value: backslash, quote and newline escaped. */
static void
print_label(FILE *out, const char *text)
{
	for (; *text != '\0'; text++) {
		if (*text == '\n')
			fputs("\\n", out);
		else {
			if (*text == '\\' || *text == '"')
				putc('\\', out);
			putc(*text, out);
		}
	}
}

struct label {
	const char *name, *value;
};

/* name{labels} ; a label without a name ends them. */
static void
print_name(FILE *out, const char *name, const char *suffix,
    const struct label *labels)
{
	const char *between = "{";

	fputs(name, out);
	fputs(suffix, out);
	for (; labels->name != NULL; labels++) {
		fputs(between, out);
		fputs(labels->name, out);
		fputs("=\"", out);
		print_label(out, labels->value);
		putc('"', out);
		between = ",";
	}
	fputs(*between == ',' ? "} " : " ", out);
}

static void
print_value(FILE *out, uint64_t n, enum unit unit)
{
	if (unit == MICROSECONDS)
		fprintf(out, "%" PRIu64 ".%06" PRIu64 "\n", n / 1000000,
		    n % 1000000);
	else if (unit == UNLIMITED_AS_MINUS_1 && n == UINT64_MAX)
		fputs("-1\n", out);
	else
		fprintf(out, "%" PRIu64 "\n", n);
}

static void
print_sample(FILE *out, const struct metric *m, const struct label *labels,
    uint64_t n)
{
	print_name(out, m->name, "", labels);
	print_value(out, n, m->unit);
}

static void
print_hist(FILE *out, const struct metric *m, const char *label,
    const char *value, const struct hist_sum *h)
{
	struct label labels[3] = { { label, value } };
	struct label *bound = label != NULL ? &labels[1] : &labels[0];
	uint64_t below = 0;
	char text[32];
	unsigned i;

	*bound = (struct label){ "le", text };
	for (i = 0; i <= HIST_PUBLISHED; i++) {
		if (i < HIST_PUBLISHED)
			snprintf(text, sizeof(text), "%g",
			    (double)hist_bounds_us[i] / 1e6);
		else
			strcpy(text, "+Inf");
		below += h->published[i];
		print_name(out, m->name, "_bucket", labels);
		print_value(out, below, PLAIN);
	}
	bound->name = NULL;
	print_name(out, m->name, "_sum", labels);
	print_value(out, h->sum_us, MICROSECONDS);
	print_name(out, m->name, "_count", labels);
	print_value(out, below, PLAIN);
}

static uint64_t
number_at(const void *row, size_t field)
{
	uint64_t n;

	memcpy(&n, (const char *)row + field, sizeof(n));
	return n;
}

static const struct view_hist *
hist_at(const void *row, size_t field)
{
	return (const struct view_hist *)
	    (const void *)((const char *)row + field);
}

/* ------------------------------------------------------- of what they count */

static void
of_program(FILE *out, const struct metric *m, const struct view *v)
{
	print_sample(out, m, (struct label[]){ { 0 } },
	    number_at(v, m->field));
}

static void
of_program_times(FILE *out, const struct metric *m, const struct view *v)
{
	print_hist(out, m, NULL, NULL, &hist_at(v, m->field)->all);
}

static void
build(FILE *out, const struct metric *m, const struct view *v)
{
	(void)v;
	print_sample(out, m,
	    (struct label[]){ { "version", WEIR_VERSION }, { 0 } }, 1);
}

static void
sandbox(FILE *out, const struct metric *m, const struct view *v)
{
	print_sample(out, m, (struct label[]){ { "state", v->sandbox->state },
	    { "user", v->sandbox->user }, { 0 } }, 1);
}

static void
reloads(FILE *out, const struct metric *m, const struct view *v)
{
	print_sample(out, m, (struct label[]){ { "result", "ok" }, { 0 } },
	    v->reloads_ok);
	print_sample(out, m, (struct label[]){ { "result", "error" }, { 0 } },
	    v->reloads_bad);
}

static void
tls_files(FILE *out, const struct metric *m, const struct view *v)
{
	print_sample(out, m, (struct label[]){ { "result", "ok" }, { 0 } },
	    v->tls_files_ok);
	print_sample(out, m, (struct label[]){ { "result", "error" }, { 0 } },
	    v->tls_files_bad);
}

static void
handshakes(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i;

	for (i = 0; i < v->n_listeners; i++) {
		const struct view_listener *l = &v->listeners[i];

		print_sample(out, m, (struct label[]){
		    { "listener", l->name }, { "kind", "full" }, { 0 } },
		    l->handshakes - l->resumed);
		print_sample(out, m, (struct label[]){
		    { "listener", l->name }, { "kind", "resumed" }, { 0 } },
		    l->resumed);
	}
}

static void
tls_problems(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i;
	unsigned k;

	for (i = 0; i < v->n_listeners; i++)
		for (k = TLS_PROBLEM_NONE + 1; k < N_TLS_PROBLEMS; k++)
			print_sample(out, m, (struct label[]){
			    { "listener", v->listeners[i].name },
			    { "reason", tls_problem_names[k] }, { 0 } },
			    v->listeners[i].tls_problems[k]);
}

/* Of those that have certificates. */
static void
certificates(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i;

	for (i = 0; i < v->n_listeners; i++)
		if (v->listeners[i].tls != 0)
			print_sample(out, m, (struct label[]){
			    { "listener", v->listeners[i].name }, { 0 } },
			    v->listeners[i].not_after_s);
}

static void
of_listeners(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i;

	for (i = 0; i < v->n_listeners; i++)
		print_sample(out, m, (struct label[]){
		    { "listener", v->listeners[i].name }, { 0 } },
		    number_at(&v->listeners[i], m->field));
}

static void
of_listeners_times(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i;

	for (i = 0; i < v->n_listeners; i++)
		print_hist(out, m, "listener", v->listeners[i].name,
		    &hist_at(&v->listeners[i], m->field)->all);
}

static void
outcomes(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i;
	unsigned k;

	for (i = 0; i < v->n_listeners; i++)
		for (k = 0; k < N_OUTCOMES; k++)
			print_sample(out, m, (struct label[]){
			    { "listener", v->listeners[i].name },
			    { "outcome", outcome_names[k] }, { 0 } },
			    v->listeners[i].outcomes[k]);
}

static void
failures(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i;
	unsigned k;

	for (i = 0; i < v->n_listeners; i++)
		for (k = FAIL_NONE + 1; k < N_FAILS; k++)
			print_sample(out, m, (struct label[]){
			    { "listener", v->listeners[i].name },
			    { "reason", fail_rows[k].name },
			    { "whose", fail_whose(k) }, { 0 } },
			    v->listeners[i].failures[k]);
}

/* One sample for each reason; the field is an array by enum limit. */
static void
listener_limits(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i;
	unsigned k;

	for (i = 0; i < v->n_listeners; i++)
		for (k = 0; k < N_LIMITS; k++)
			print_sample(out, m, (struct label[]){
			    { "listener", v->listeners[i].name },
			    { "reason", limit_names[k] }, { 0 } },
			    number_at(&v->listeners[i],
			    m->field + k * sizeof(uint64_t)));
}

static void
of_upstreams(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i;

	for (i = 0; i < v->n_upstreams; i++)
		print_sample(out, m, (struct label[]){
		    { "upstream", v->upstreams[i].name }, { 0 } },
		    number_at(&v->upstreams[i], m->field));
}

static void
of_upstreams_times(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i;

	for (i = 0; i < v->n_upstreams; i++)
		print_hist(out, m, "upstream", v->upstreams[i].name,
		    &hist_at(&v->upstreams[i], m->field)->all);
}

/* Likewise, by enum upstream_limit. */
static void
upstream_limits(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i;
	unsigned k;

	for (i = 0; i < v->n_upstreams; i++)
		for (k = 0; k < N_UPSTREAM_LIMITS; k++)
			print_sample(out, m, (struct label[]){
			    { "upstream", v->upstreams[i].name },
			    { "reason", upstream_limit_names[k] }, { 0 } },
			    number_at(&v->upstreams[i],
			    m->field + k * sizeof(uint64_t)));
}

static void
pool_states(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i, k;

	for (i = 0; i < v->n_upstreams; i++) {
		const struct view_upstream *up = &v->upstreams[i];
		const struct { const char *name; uint64_t n; } states[] = {
			{ "idle", up->idle },
			{ "leased", up->leased },
			{ "connecting", up->connecting },
			{ "elsewhere", up->elsewhere }
		};

		for (k = 0; k < NELEMS(states); k++)
			print_sample(out, m, (struct label[]){
			    { "upstream", up->name },
			    { "state", states[k].name }, { 0 } }, states[k].n);
	}
}

static void
discards(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i;
	unsigned k;

	for (i = 0; i < v->n_upstreams; i++)
		for (k = 0; k < N_DISCARDS; k++)
			print_sample(out, m, (struct label[]){
			    { "upstream", v->upstreams[i].name },
			    { "reason", discard_names[k] }, { 0 } },
			    v->upstreams[i].discards[k]);
}

/* By names that the upstream's protocol has; NULL = has none. */
static void
named(FILE *out, const struct metric *m, const struct view_upstream *up,
    const char *const *names, const uint64_t *numbers)
{
	size_t k;

	for (k = 0; names != NULL && names[k] != NULL; k++)
		print_sample(out, m, (struct label[]){
		    { "upstream", up->name }, { "reason", names[k] }, { 0 } },
		    numbers[k]);
}

static void
pins(FILE *out, const struct metric *m, const struct view *v)
{
	const struct view_upstream *up = v->upstreams;

	for (; up < v->upstreams + v->n_upstreams; up++)
		named(out, m, up, up->pin_names, up->pins);
}

static void
server_errors(FILE *out, const struct metric *m, const struct view *v)
{
	const struct view_upstream *up = v->upstreams;
	size_t k;

	for (; up < v->upstreams + v->n_upstreams; up++)
		for (k = 0; up->error_names != NULL &&
		    up->error_names[k] != NULL; k++)
			print_sample(out, m, (struct label[]){
			    { "upstream", up->name },
			    { "reason", up->error_names[k] },
			    { "whose", view_is_own_error(up,
			    up->error_names[k]) ? "server" : "client" },
			    { 0 } }, up->errors[k]);
}

/* How many rows from this one on are of its name: the addresses of one stand
   together, and there may be thousands of endpoints. */
static size_t
of_name(const struct view_upstream *up, size_t first)
{
	size_t k = first + 1;

	while (k < up->n_endpoints && strcmp(up->endpoints[k].name,
	    up->endpoints[first].name) == 0)
		k++;
	return k - first;
}

static uint64_t
sum_of(const struct view_endpoint *rows, size_t n, size_t field)
{
	uint64_t sum = 0;
	size_t k;

	for (k = 0; k < n; k++)
		sum += number_at(&rows[k], field);
	return sum;
}

static void
of_endpoints(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i, k, n;

	for (i = 0; i < v->n_upstreams; i++) {
		const struct view_upstream *up = &v->upstreams[i];

		for (k = 0; k < up->n_endpoints; k += n) {
			n = of_name(up, k);
			print_sample(out, m, (struct label[]){
			    { "upstream", up->name },
			    { "endpoint", up->endpoints[k].name },
			    { 0 } }, sum_of(&up->endpoints[k], n, m->field));
		}
	}
}

static uint64_t
most_of(const struct view_endpoint *rows, size_t n, size_t field)
{
	uint64_t most = 0, one;
	size_t k;

	for (k = 0; k < n; k++) {
		one = number_at(&rows[k], field);
		if (one > most)
			most = one;
	}
	return most;
}

/* Of several addresses the largest: for what does not add up. */
static void
of_endpoints_most(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i, k, n;

	for (i = 0; i < v->n_upstreams; i++) {
		const struct view_upstream *up = &v->upstreams[i];

		for (k = 0; k < up->n_endpoints; k += n) {
			n = of_name(up, k);
			print_sample(out, m, (struct label[]){
			    { "upstream", up->name },
			    { "endpoint", up->endpoints[k].name },
			    { 0 } }, most_of(&up->endpoints[k], n, m->field));
		}
	}
}

static uint64_t
count_of_state(const struct view_endpoint *rows, size_t n, const char *state)
{
	uint64_t count = 0;
	size_t k;

	for (k = 0; k < n; k++)
		count += strcmp(rows[k].state, state) == 0;
	return count;
}

static void
endpoint_states(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i, k, n, s;

	for (i = 0; i < v->n_upstreams; i++) {
		const struct view_upstream *up = &v->upstreams[i];

		for (k = 0; k < up->n_endpoints; k += n) {
			n = of_name(up, k);
			for (s = 0; view_states[s] != NULL; s++)
				print_sample(out, m, (struct label[]){
				    { "upstream", up->name },
				    { "endpoint", up->endpoints[k].name },
				    { "state", view_states[s] }, { 0 } },
				    count_of_state(&up->endpoints[k], n,
				    view_states[s]));
		}
	}
}

static void
endpoint_failures(FILE *out, const struct metric *m, const struct view *v)
{
	size_t i, k, n;
	unsigned f;

	for (i = 0; i < v->n_upstreams; i++) {
		const struct view_upstream *up = &v->upstreams[i];

		for (k = 0; k < up->n_endpoints; k += n) {
			n = of_name(up, k);
			for (f = 0; f < N_FAULTS; f++)
				print_sample(out, m, (struct label[]){
				    { "upstream", up->name },
				    { "endpoint", up->endpoints[k].name },
				    { "reason", endpoint_fault_names[f] },
				    { 0 } }, sum_of(&up->endpoints[k], n,
				    offsetof(struct view_endpoint, failures) +
				    f * sizeof(uint64_t)));
		}
	}
}

/* --------------------------------------------------------------- the table */

#define PROGRAM(f) of_program, offsetof(struct view, f)
#define LISTENER(f) of_listeners, offsetof(struct view_listener, f)
#define LISTENER_TIMES(f) of_listeners_times, offsetof(struct view_listener, f)
#define UPSTREAM(f) of_upstreams, offsetof(struct view_upstream, f)
#define UPSTREAM_TIMES(f) of_upstreams_times, offsetof(struct view_upstream, f)
#define ENDPOINT(f) of_endpoints, offsetof(struct view_endpoint, f)
#define ENDPOINT_MOST(f) of_endpoints_most, offsetof(struct view_endpoint, f)
#define LISTENER_LIMITS(f) listener_limits, offsetof(struct view_listener, f)
#define UPSTREAM_LIMITS(f) upstream_limits, offsetof(struct view_upstream, f)

static const struct metric metrics[] = {
	/* The program. */
	{ "weir_build_info", "gauge", "1, with the version as a label.",
	    build, 0, PLAIN },
	{ "weir_sandbox_info", "gauge",
	    "1, with the state of the sandbox and weir's user as labels.",
	    sandbox, 0, PLAIN },
	{ "weir_ready", "gauge", "1 when /readyz answers 200.",
	    PROGRAM(ready), PLAIN },
	{ "weir_draining", "gauge", "1 once it has been told to end.",
	    PROGRAM(draining), PLAIN },
	{ "weir_workers", "gauge", "Event-loop threads.",
	    PROGRAM(workers), PLAIN },
	{ "weir_loop_lag_seconds", "histogram",
	    "How long the turns of the event loops took.",
	    of_program_times, offsetof(struct view, lag), PLAIN },
	{ "weir_config_generation", "gauge",
	    "Number of the running configuration, counted from the start.",
	    PROGRAM(generation), PLAIN },
	{ "weir_config_last_reload_successful", "gauge",
	    "1 when the last load of the configuration was taken over.",
	    PROGRAM(reload_ok), PLAIN },
	{ "weir_config_last_reload_success_timestamp_seconds", "gauge",
	    "When the running configuration was taken over.",
	    PROGRAM(config_at_s), PLAIN },
	{ "weir_config_reloads_total", "counter",
	    "Reloads that were asked for, by what came of them.",
	    reloads, 0, PLAIN },
	{ "weir_overrides", "gauge",
	    "Endpoints changed by hand, beside the configuration.",
	    PROGRAM(overrides), PLAIN },
	{ "weir_log_dropped_total", "counter",
	    "Lines of the logs for which there was no room.",
	    PROGRAM(log_dropped), PLAIN },
	{ "weir_watchdog_stuck", "gauge",
	    "Workers whose loop does not turn.", PROGRAM(stuck), PLAIN },
	{ "weir_watchdog_stuck_total", "counter",
	    "Workers whose loop did not turn for watchdog.after.",
	    PROGRAM(stuck_total), PLAIN },
	{ "weir_memory_budget_bytes", "gauge",
	    "Memory that weir may use; -1 means that nobody has set a limit.",
	    PROGRAM(memory_budget), UNLIMITED_AS_MINUS_1 },
	{ "weir_pressure", "gauge",
	    "How near its budget memory is: 0 not, 1 tight, 2 full.",
	    PROGRAM(pressure), PLAIN },
	{ "weir_tls_files_read_total", "counter",
	    "Files of TLS that changed and were read again, by what came of it.",
	    tls_files, 0, PLAIN },

	/* Listeners. */
	{ "weir_listener_connections", "gauge", "Clients connected now.",
	    LISTENER(active), PLAIN },
	{ "weir_listener_accepted_total", "counter",
	    "Connections accepted from clients.", LISTENER(accepted), PLAIN },
	{ "weir_listener_rejected_total", "counter",
	    "Connections turned away by a limit.", LISTENER(rejected), PLAIN },
	{ "weir_listener_limited_total", "counter",
	    "Connections and requests refused or slowed down by a limit.",
	    LISTENER_LIMITS(limited), PLAIN },
	{ "weir_listener_shadow_limited_total", "counter",
	    "What a limit with shadow = true would have refused.",
	    LISTENER_LIMITS(shadowed), PLAIN },
	{ "weir_requests_total", "counter",
	    "Requests begun; for raw TCP, sessions.",
	    LISTENER(requests), PLAIN },
	{ "weir_outcomes_total", "counter",
	    "Requests ended, as their clients saw it.", outcomes, 0, PLAIN },
	{ "weir_failures_total", "counter",
	    "Requests that weir had to fail or give up.", failures, 0, PLAIN },
	{ "weir_received_bytes_total", "counter", "Bytes from clients.",
	    LISTENER(received), PLAIN },
	{ "weir_sent_bytes_total", "counter", "Bytes to clients.",
	    LISTENER(sent), PLAIN },
	{ "weir_tls_handshakes_active", "gauge",
	    "Clients in the handshake now.", LISTENER(shaking), PLAIN },
	{ "weir_tls_handshakes_waiting", "gauge",
	    "Clients whose handshake waits for others to end.",
	    LISTENER(shakers), PLAIN },
	{ "weir_tls_handshakes_total", "counter",
	    "Handshakes with clients that went well.", handshakes, 0, PLAIN },
	{ "weir_tls_handshake_failures_total", "counter",
	    "Handshakes with clients that did not.", tls_problems, 0, PLAIN },
	{ "weir_tls_certificate_not_after_timestamp_seconds", "gauge",
	    "When the first of the listener's certificates expires.",
	    certificates, 0, PLAIN },
	{ "weir_request_duration_seconds", "histogram",
	    "From a request's first byte to the end of its reply.",
	    LISTENER_TIMES(latency), PLAIN },

	/* Upstreams. */
	{ "weir_upstream_ready", "gauge",
	    "1 when the upstream is ready as its ready key says.",
	    UPSTREAM(ready), PLAIN },
	{ "weir_pool_paused", "gauge",
	    "1 while nothing new begins there, by hand.",
	    UPSTREAM(paused), PLAIN },
	{ "weir_pool_max_connections", "gauge",
	    "The cap on connections to the upstream.", UPSTREAM(max), PLAIN },
	{ "weir_pool_advised_max_connections", "gauge",
	    "What pool.max would have been enough of late; 0 = not known.",
	    UPSTREAM(advised_max), PLAIN },
	{ "weir_pool_cap", "gauge",
	    "The cap in effect: less than that when the server has too many "
	    "clients.", UPSTREAM(cap), PLAIN },
	{ "weir_pool_connections", "gauge",
	    "Connections to the upstream by what they are doing.",
	    pool_states, 0, PLAIN },
	{ "weir_pool_pinned_connections", "gauge",
	    "Leased connections kept beyond what the pool's mode says.",
	    UPSTREAM(pinned), PLAIN },
	{ "weir_pool_waiting", "gauge",
	    "Requests that wait for a connection now.",
	    UPSTREAM(waiting), PLAIN },
	{ "weir_pool_oldest_wait_seconds", "gauge",
	    "How long the oldest of them has waited.",
	    UPSTREAM(oldest_wait_us), MICROSECONDS },
	{ "weir_pool_oldest_lease_seconds", "gauge",
	    "How long the connection leased longest has been so.",
	    UPSTREAM(oldest_lease_us), MICROSECONDS },
	{ "weir_pool_leaks", "gauge",
	    "Leases held longer than pool.leak_after.", UPSTREAM(leaks),
	    PLAIN },
	{ "weir_pool_leaked_total", "counter",
	    "Leases that ever were.", UPSTREAM(leaked), PLAIN },
	{ "weir_pool_exhausted_seconds_total", "counter",
	    "Time during which somebody waited; added when the wait ends.",
	    UPSTREAM(exhausted_us), MICROSECONDS },
	{ "weir_pool_pinned_total", "counter",
	    "Leases held longer than the pool's mode says.", pins, 0, PLAIN },
	{ "weir_upstream_server_errors_total", "counter",
	    "Errors that servers answered, by status, first word or SQLSTATE.",
	    server_errors, 0, PLAIN },
	{ "weir_pool_discarded_total", "counter",
	    "Connections closed other than by the end of their lease.",
	    discards, 0, PLAIN },
	{ "weir_pool_wait_seconds", "histogram",
	    "From asking for a connection to getting it.",
	    UPSTREAM_TIMES(queue), PLAIN },
	{ "weir_upstream_connects_total", "counter",
	    "Connections begun to the upstream.", UPSTREAM(connects), PLAIN },
	{ "weir_upstream_closes_total", "counter",
	    "Connections closed, for whatever reason.", UPSTREAM(closes),
	    PLAIN },
	{ "weir_upstream_requests_total", "counter",
	    "Leases of a connection granted.", UPSTREAM(requests), PLAIN },
	{ "weir_upstream_reused_total", "counter",
	    "Leases of a connection that had been used before.",
	    UPSTREAM(reused), PLAIN },
	{ "weir_upstream_retries_total", "counter",
	    "Requests sent once more.", UPSTREAM(retries), PLAIN },
	{ "weir_upstream_faults_injected_total", "counter",
	    "Requests delayed or failed by hand.", UPSTREAM(injected),
	    PLAIN },
	{ "weir_upstream_limited_total", "counter",
	    "Requests and retries not sent because of a limit.",
	    UPSTREAM_LIMITS(limited), PLAIN },
	{ "weir_upstream_delayed_total", "counter",
	    "Requests that waited because of a limit, and were then sent.",
	    UPSTREAM_LIMITS(delayed), PLAIN },
	{ "weir_upstream_shadow_limited_total", "counter",
	    "What a limit with shadow = true would have refused.",
	    UPSTREAM_LIMITS(shadowed), PLAIN },
	{ "weir_upstream_connect_duration_seconds", "histogram",
	    "From beginning to connect to a usable connection.",
	    UPSTREAM_TIMES(connect), PLAIN },
	{ "weir_upstream_first_byte_seconds", "histogram",
	    "From a request sent to the first byte of its reply.",
	    UPSTREAM_TIMES(first_byte), PLAIN },

	/* Endpoints. */
	{ "weir_endpoint_up", "gauge",
	    "Usable addresses of the endpoint; 0 means none.",
	    ENDPOINT(up), PLAIN },
	{ "weir_endpoint_addresses", "gauge",
	    "Addresses of the endpoint by their state.",
	    endpoint_states, 0, PLAIN },
	{ "weir_endpoint_weight", "gauge",
	    "Weight of each address of the endpoint.",
	    ENDPOINT_MOST(weight), PLAIN },
	{ "weir_endpoint_held_seconds", "gauge",
	    "What is left of a pause that the endpoint asked for.",
	    ENDPOINT_MOST(held_us), MICROSECONDS },
	{ "weir_endpoint_open_connections", "gauge",
	    "Connections to the endpoint, in all states.",
	    ENDPOINT(open), PLAIN },
	{ "weir_endpoint_leased_connections", "gauge",
	    "Connections to the endpoint in use.", ENDPOINT(leased), PLAIN },
	{ "weir_endpoint_failures_total", "counter",
	    "What went wrong with the endpoint.", endpoint_failures, 0, PLAIN },
	{ "weir_endpoint_ejections_total", "counter",
	    "Times that an address was put aside for failing.",
	    ENDPOINT(ejections), PLAIN },
	{ "weir_endpoint_health_checks_total", "counter",
	    "Active checks made.", ENDPOINT(health.checks), PLAIN },
	{ "weir_endpoint_health_check_failures_total", "counter",
	    "Active checks that did not go well.",
	    ENDPOINT(health.failures), PLAIN },
	{ "weir_endpoint_health_check_seconds", "gauge",
	    "How long the last active check took; of the slowest address.",
	    ENDPOINT_MOST(health.latency_us), MICROSECONDS },

	/* The names that every Prometheus client library gives these. */
	{ "process_cpu_seconds_total", "counter",
	    "Total user and system CPU time spent in seconds.",
	    PROGRAM(usage.cpu_us), MICROSECONDS },
	{ "process_open_fds", "gauge", "Number of open file descriptors.",
	    PROGRAM(usage.fds), PLAIN },
	{ "process_max_fds", "gauge",
	    "Maximum number of open file descriptors.",
	    PROGRAM(usage.fds_max), UNLIMITED_AS_MINUS_1 },
	{ "process_virtual_memory_bytes", "gauge",
	    "Virtual memory size in bytes.",
	    PROGRAM(usage.virtual_bytes), PLAIN },
	{ "process_virtual_memory_max_bytes", "gauge",
	    "Maximum amount of virtual memory available in bytes.",
	    PROGRAM(usage.virtual_max_bytes), UNLIMITED_AS_MINUS_1 },
	{ "process_resident_memory_bytes", "gauge",
	    "Resident memory size in bytes.",
	    PROGRAM(usage.resident_bytes), PLAIN }
};

void
prometheus_print(FILE *out, const struct view *v, double started_s)
{
	size_t i;

	for (i = 0; i < NELEMS(metrics); i++) {
		const struct metric *m = &metrics[i];

		fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", m->name, m->help,
		    m->name, m->type);
		m->samples(out, m, v);
	}
	fprintf(out, "# HELP process_start_time_seconds Start time of the "
	    "process since unix epoch in seconds.\n"
	    "# TYPE process_start_time_seconds gauge\n"
	    "process_start_time_seconds %.2f\n", started_s);
}
