/*
 * Finding loops that are stuck. See watchdog.h.
 *
 * Where a thread stands only itself can tell. A signal with a pointer makes it
 * do so; it may be of no avail, as when the thread is in an uninterruptible
 * wait, so nobody waits for it long.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/service/watchdog.h"

#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "net/log.h"
#include "proxy/lane.h"
#include "proxy/proto.h"
#include "proxy/runtime.h"

enum {
	EVERY_MS = 1000, OFTEN_MS = 50,
	TRACE_WAIT_MS = 100,
	OWN_FRAMES = 2                  /* the handler and what calls it */
};

/* ------------------------------------------------------- where a thread is */

/* In the thread that is asked. The address is ours if the signal is. */
static void
write_trace(int number, siginfo_t *info, void *context)
{
	struct watchdog_trace *trace = info->si_value.sival_ptr;
	int saved = errno;

	(void)number, (void)context;
	if (info->si_code == SI_QUEUE && info->si_pid == getpid())
		atomic_store(&trace->n,
		    backtrace(trace->at, WATCHDOG_FRAMES));
	errno = saved;
}

static void
listen_for_traces(void)
{
	struct sigaction act = { .sa_sigaction = write_trace,
	    .sa_flags = SA_SIGINFO | SA_RESTART };
	void *frame;

	/* The first call loads a library: not in a signal handler. */
	(void)backtrace(&frame, 1);
	(void)sigaction(LANE_TRACE_SIGNAL, &act, NULL);
}

/* "weir+0x1234", or the function where its library tells. */
static size_t
print_frame(char *out, size_t size, void *at)
{
	Dl_info info;
	const char *base;
	int n;

	if (dladdr(at, &info) == 0 || info.dli_fname == NULL)
		n = snprintf(out, size, " %p", at);
	else if (info.dli_sname != NULL)
		n = snprintf(out, size, " %s", info.dli_sname);
	else {
		base = strrchr(info.dli_fname, '/');
		n = snprintf(out, size, " %s+0x%zx", base != NULL ? base + 1 :
		    info.dli_fname, (size_t)((char *)at -
		    (char *)info.dli_fbase));
	}
	return n < 0 ? 0 : (size_t)n < size ? (size_t)n : size;
}

/* Nothing where it does not answer. */
static void
log_trace(const struct lane *lane, struct watchdog_trace *trace,
    const char *who)
{
	const struct timespec moment = { .tv_nsec = NS_PER_MS };
	union sigval value = { .sival_ptr = trace };
	char text[1024] = "";
	size_t used = 0;
	int i;

	atomic_store(&trace->n, -1);
	if (pthread_sigqueue(lane->thread, LANE_TRACE_SIGNAL, value) != 0)
		return;
	for (i = 0; i < TRACE_WAIT_MS && atomic_load(&trace->n) < 0; i++)
		nanosleep(&moment, NULL);
	for (i = OWN_FRAMES; i < atomic_load(&trace->n); i++)
		used += print_frame(text + used, sizeof(text) - used,
		    trace->at[i]);
	if (used > 0)
		log_error(who, "stands at%s", text);
}

/* A line of /proc/self/task/TID/NAME; "" when there is none. */
static void
read_task(int tid, const char *name, char *out, size_t size)
{
	char path[64];
	FILE *f;

	out[0] = '\0';
	snprintf(path, sizeof(path), "/proc/self/task/%d/%s", tid, name);
	f = fopen(path, "re");
	if (f == NULL)
		return;
	if (fgets(out, (int)size, f) == NULL)
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
	fclose(f);
}

/* R, S, D, ...; proc_pid_stat(5): behind the name, which may have brackets. */
static char
state_of(int tid)
{
	char line[256];
	const char *end;

	read_task(tid, "stat", line, sizeof(line));
	end = strrchr(line, ')');
	return end != NULL && end[1] == ' ' ? end[2] : '?';
}

/* ", state S in pipe_read, system call 0" */
static void
describe_wait(int tid, char *out, size_t size)
{
	char state = state_of(tid), where[64], call[64];

	read_task(tid, "wchan", where, sizeof(where));
	read_task(tid, "syscall", call, sizeof(call));
	call[strcspn(call, " ")] = '\0';
	snprintf(out, size, ", state %c%s%s%s%s", state,
	    where[0] != '\0' && strcmp(where, "0") != 0 ? " in " : "",
	    strcmp(where, "0") != 0 ? where : "",
	    call[0] >= '0' && call[0] <= '9' ? ", system call " : "",
	    call[0] >= '0' && call[0] <= '9' ? call : "");
}

/* ------------------------------------------------------------ what it does */

/* How long a thread has run, and waited to run. proc_pid_schedstat in the
   kernel's Documentation/scheduler/sched-stats; zeros where it has none. */
static void
read_times(int tid, int64_t *ran_ns, int64_t *queued_ns)
{
	char line[96];
	long long ran = 0, queued = 0;

	read_task(tid, "schedstat", line, sizeof(line));
	if (sscanf(line, "%lld %lld", &ran, &queued) != 2)
		ran = queued = 0;
	*ran_ns = ran;
	*queued_ns = queued;
}

/*
 * " web (http)". The name is a listener's or an upstream's, which main frees,
 * and not before the worker has turned twice more.
 */
static void
describe_name(const struct runtime *rt, const char *name, char *out,
    size_t size)
{
	const struct conf_listener *l;
	const struct conf_upstream *u;

	out[0] = '\0';
	if (name == NULL)
		return;
	l = conf_listener_find(rt->gen->conf, name);
	u = conf_upstream_find(rt->gen->conf, name);
	snprintf(out, size, " %s (%s)", name, l != NULL ? l->proto->name :
	    u != NULL ? u->proto->name : "not in the file any more");
}

static void
describe(const struct runtime *rt, const struct lane *lane,
    const struct watched *v, int64_t ran_ns, char *out, size_t size)
{
	const struct worker *w = &lane->worker;
	const char *doing = atomic_load(&w->doing);
	int64_t ran_ms = ran_ns / NS_PER_MS;
	char name[96], wait[160];

	describe_name(rt, atomic_load(&w->about), name, sizeof(name));
	describe_wait(atomic_load(&w->tid), wait, sizeof(wait));
	snprintf(out, size, "has not turned for %lld.%lld s: in %s%s%s, used "
	    "%lld.%03lld s of a processor meanwhile",
	    (long long)(v->seen_ns / NS_PER_S),
	    (long long)(v->seen_ns % NS_PER_S / (NS_PER_S / 10)),
	    doing != NULL ? doing : "its loop", name, wait,
	    (long long)(ran_ms / 1000), (long long)(ran_ms % 1000));
}

/* ---------------------------------------------------------------- alarming */

static void
worker_name(size_t i, char out[32])
{
	snprintf(out, 32, "worker %zu", i);
}

/* In the thread itself, so that the core shows where it was. Its handler writes
   what the log still has (net/log.c). */
static void
end_there(const struct lane *lane, struct watched *v)
{
	v->ended = true;
	(void)syscall(SYS_tgkill, getpid(), atomic_load(&lane->worker.tid),
	    SIGABRT);
}

/* A thread that wants to run and may not would run no better after an end. */
static void
abort_unless_starved(struct watchdog *wd, size_t i, const char *who)
{
	const struct lane *lane = wd->runtime->lanes[i];
	struct watched *v = &wd->workers[i];
	int64_t ran_ns, queued_ns;

	read_times(atomic_load(&lane->worker.tid), &ran_ns, &queued_ns);
	if (queued_ns - v->queued_ns <= v->seen_ns / 2) {
		log_error(who, "watchdog.action = \"abort\"");
		end_there(lane, v);
	} else if (!v->spared) {
		log_error(who, "watchdog.action = \"abort\": not yet, it waits "
		    "for a processor");
		v->spared = true;
	}
}

static void
alarm_of(struct watchdog *wd, size_t i, const char *who)
{
	const struct lane *lane = wd->runtime->lanes[i];
	struct watched *v = &wd->workers[i];
	char text[WATCHDOG_TEXT_MAX - 32];
	int64_t ran_ns, queued_ns;

	v->stuck = true;
	wd->stuck++;
	wd->stuck_total++;
	read_times(atomic_load(&lane->worker.tid), &ran_ns, &queued_ns);
	describe(wd->runtime, lane, v, ran_ns - v->ran_ns, text, sizeof(text));
	snprintf(wd->last, sizeof(wd->last), "%s %s", who, text);
	log_error(who, "%s", text);
	log_trace(lane, &v->trace, who);
}

static void
turns_again(struct watchdog *wd, size_t i)
{
	struct watched *v = &wd->workers[i];
	char who[32];

	v->stuck = v->spared = false;
	wd->stuck--;
	worker_name(i, who);
	log_warn(who, "turns again, after more than %lld.%lld s",
	    (long long)(v->seen_ns / NS_PER_S),
	    (long long)(v->seen_ns % NS_PER_S / (NS_PER_S / 10)));
}

static void
look_at(struct watchdog *wd, size_t i, int64_t ran_ns, int64_t after_ms)
{
	const struct lane *lane = wd->runtime->lanes[i];
	struct watched *v = &wd->workers[i];
	int64_t since = atomic_load_explicit(&lane->worker.busy_since_ns,
	    memory_order_relaxed);
	char who[32];

	if (since == 0 || since != v->since_ns || after_ms == CONF_OFF) {
		if (v->stuck)
			turns_again(wd, i);
		v->since_ns = since;
		v->seen_ns = 0;
		if (since != 0)
			read_times(atomic_load(&lane->worker.tid), &v->ran_ns,
			    &v->queued_ns);
		return;
	}
	v->seen_ns += ran_ns;
	if (v->ended)
		/* The signal has not got through: to a thread that the kernel
		   holds, or because a process 1 has none by default. */
		abort();
	if (v->seen_ns / NS_PER_MS < after_ms)
		return;
	worker_name(i, who);
	if (!v->stuck)
		alarm_of(wd, i, who);
	if (wd->runtime->gen->conf->watchdog.action == CONF_STUCK_ABORT)
		abort_unless_starved(wd, i, who);
}

static void
look(struct deadline *d)
{
	struct watchdog *wd = container_of(d, struct watchdog, look);
	struct runtime *rt = wd->runtime;
	int64_t after_ms = rt->gen->conf->watchdog.after_ms;
	int64_t every_ms = after_ms / 4 > EVERY_MS ? EVERY_MS :
	    after_ms / 4 > OFTEN_MS ? after_ms / 4 : OFTEN_MS;
	int64_t ran_ns = rt->main.now_ns - wd->looked_ns;
	size_t i;

	/* Later than it should be: main did not run. */
	if (ran_ns > 2 * every_ms * NS_PER_MS)
		ran_ns = every_ms * NS_PER_MS;
	wd->looked_ns = rt->main.now_ns;
	for (i = 0; i < rt->n_lanes; i++)
		look_at(wd, i, ran_ns, after_ms);
	deadline_set_ns(&rt->main, d, every_ms * NS_PER_MS);
}

/* ------------------------------------------------------------ life, answers */

int
watchdog_start(struct runtime *rt)
{
	struct watchdog *wd = &rt->watchdog;

	wd->workers = calloc(rt->n_lanes, sizeof(*wd->workers));
	if (wd->workers == NULL)
		return -1;
	wd->runtime = rt;
	wd->looked_ns = rt->main.now_ns;
	listen_for_traces();
	deadline_init(&wd->look, look);
	deadline_set_ns(&rt->main, &wd->look, OFTEN_MS * NS_PER_MS);
	return 0;
}

void
watchdog_end(struct runtime *rt)
{
	free(rt->watchdog.workers);
	rt->watchdog.workers = NULL;
}

void
watchdog_configure(const struct conf *conf)
{
	struct rlimit limit;

	if (conf->watchdog.action != CONF_STUCK_ABORT ||
	    conf->watchdog.after_ms == CONF_OFF)
		return;
	if (getrlimit(RLIMIT_CORE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_CORE, &limit);
	}
	/* Lost with a change of user: PR_SET_DUMPABLE(2const). */
	(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
}

bool
watchdog_content(const struct runtime *rt, char *why, size_t size)
{
	snprintf(why, size, "%s", rt->watchdog.stuck > 0 ?
	    rt->watchdog.last : "");
	return rt->watchdog.stuck == 0;
}
