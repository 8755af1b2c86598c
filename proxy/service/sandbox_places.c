/*
 * Where weir may write and what it may execute. See sandbox.h.
 *
 * Landlock is spoken to by its system calls: landlock(7).
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/service/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <link.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than the headers of Debian 12. */
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)
#endif
#define SCOPE_SIGNAL (1ULL << 1)

enum { ABI_REFER = 2, ABI_SCOPES = 6 };

/* As of ABI 6; the kernel is told the size that it knows. */
struct ruleset {
	uint64_t handled_fs, handled_net, scoped;
};

#define WRITES (LANDLOCK_ACCESS_FS_WRITE_FILE | \
	LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE | \
	LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | \
	LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | \
	LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | \
	LANDLOCK_ACCESS_FS_MAKE_SYM)

/* ------------------------------------------------------------------ places */

/* Takes real over: a folder's name without links; NULL = out of memory. */
static int
place_take(struct sandbox_place **v, size_t *n, char *real, unsigned use)
{
	struct sandbox_place *more;
	size_t i;

	if (real == NULL)
		return -1;
	for (i = 0; i < *n; i++)
		if (strcmp((*v)[i].dir, real) == 0) {
			(*v)[i].uses |= use;
			free(real);
			return 0;
		}
	more = realloc(*v, (*n + 1) * sizeof(*more));
	if (more == NULL) {
		free(real);
		return -1;
	}
	*v = more;
	(*v)[(*n)++] = (struct sandbox_place){ .dir = real, .uses = use };
	return 0;
}

static int
place_add(struct sandbox_place **v, size_t *n, const char *dir, unsigned use)
{
	char *real = realpath(dir, NULL);

	if (real == NULL)               /* what is to be there fails by itself */
		return errno == ENOMEM ? -1 : 0;
	return place_take(v, n, real, use);
}

/* The folder that a file is in. */
static int
place_of_file(struct sandbox_place **v, size_t *n, const char *path,
    unsigned use)
{
	char *copy = strdup(path);
	int done;

	if (copy == NULL)
		return -1;
	done = place_add(v, n, dirname(copy), use);
	free(copy);
	return done;
}

/* A log's folder; of a link also that of what it leads to, which is what is
   made anew when it is opened again. Not of a terminal or the like, whose
   folder has others beside it. */
static int
place_of_log(struct sandbox_place **v, size_t *n, const char *path)
{
	char *real = realpath(path, NULL);
	struct stat st;
	int done = real == NULL && errno == ENOMEM ? -1 :
	    place_of_file(v, n, path, SANDBOX_FILES);

	if (done == 0 && real != NULL && stat(real, &st) == 0 &&
	    (S_ISREG(st.st_mode) || S_ISFIFO(st.st_mode)))
		done = place_of_file(v, n, real, SANDBOX_FILES);
	free(real);
	return done;
}

static int
place_of_bind(struct sandbox_place **v, size_t *n, const struct conf_bind *b)
{
	if (b == NULL || !b->text.is_unix)
		return 0;
	return place_of_file(v, n, b->addr.un.sun_path, SANDBOX_SOCKETS);
}

int
places_of(const struct conf *conf, struct sandbox_place **v, size_t *n)
{
	size_t i, j;

	/* A word has no "/": conf/schema.c. Syslog's socket is only connected
	   to. */
	if (strchr(conf->log.access, '/') != NULL &&
	    strncmp(conf->log.access, "syslog", 6) != 0 &&
	    strncmp(conf->log.access, "/dev/std", 8) != 0 &&
	    place_of_log(v, n, conf->log.access) < 0)
		return -1;
	if (place_of_bind(v, n, conf->admin.bind) < 0 ||
	    place_of_bind(v, n, conf->admin.probe_bind) < 0)
		return -1;
	for (i = 0; i < conf->n_listeners; i++)
		for (j = 0; j < conf->listeners[i].n_binds; j++)
			if (place_of_bind(v, n,
			    &conf->listeners[i].binds[j]) < 0)
				return -1;
	return 0;
}

/* systemd.exec(5): several with ":" between them. */
static int
places_of_variable(struct sandbox_place **v, size_t *n, const char *name)
{
	const char *value = getenv(name);
	char *copy = value != NULL ? strdup(value) : NULL, *rest = copy, *dir;
	int done = 0;

	if (value == NULL)
		return 0;
	if (copy == NULL)
		return -1;
	while (done == 0 && (dir = strsep(&rest, ":")) != NULL)
		if (*dir == '/')
			done = place_add(v, n, dir,
			    SANDBOX_FILES | SANDBOX_SOCKETS);
	free(copy);
	return done;
}

int
places_usual(struct sandbox_place **v, size_t *n)
{
	if (places_of_variable(v, n, "RUNTIME_DIRECTORY") < 0 ||
	    places_of_variable(v, n, "LOGS_DIRECTORY") < 0 ||
	    place_add(v, n, "/run/weir", SANDBOX_FILES | SANDBOX_SOCKETS) < 0)
		return -1;
	return place_add(v, n, "/var/log/weir", SANDBOX_FILES);
}

void
places_free(struct sandbox_place *v, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		free(v[i].dir);
	free(v);
}

/* Is it that folder, or in it? */
static bool
is_within(const char *dir, const char *outer)
{
	size_t n = strlen(outer);

	return strcmp(outer, "/") == 0 || (strncmp(dir, outer, n) == 0 &&
	    (dir[n] == '\0' || dir[n] == '/'));
}

const struct sandbox_place *
places_lacking(const struct sandbox_place *given, size_t n_given,
    const struct sandbox_place *wanted, size_t n_wanted)
{
	size_t i, j;

	for (i = 0; i < n_wanted; i++) {
		unsigned left = wanted[i].uses;

		for (j = 0; j < n_given; j++)
			if (is_within(wanted[i].dir, given[j].dir))
				left &= ~given[j].uses;
		if (left != 0)
			return &wanted[i];
	}
	return NULL;
}

int
places_common(const struct sandbox_place *a, size_t n_a,
    const struct sandbox_place *b, size_t n_b, struct sandbox_place **v,
    size_t *n)
{
	const char *inner;
	unsigned uses;
	size_t i, j;

	for (i = 0; i < n_a; i++)
		for (j = 0; j < n_b; j++) {
			uses = a[i].uses & b[j].uses;
			if (is_within(a[i].dir, b[j].dir))
				inner = a[i].dir;
			else if (is_within(b[j].dir, a[i].dir))
				inner = b[j].dir;
			else
				continue;
			if (uses != 0 &&
			    place_take(v, n, strdup(inner), uses) < 0)
				return -1;
		}
	return 0;
}

/* ---------------------------------------------------------------- Landlock */

static int
permit(int ruleset, const char *path, uint64_t access)
{
	struct landlock_path_beneath_attr rule = { .allowed_access = access };
	int done;

	rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
	if (rule.parent_fd < 0)
		return -1;
	done = (int)syscall(SYS_landlock_add_rule, ruleset,
	    LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
	close(rule.parent_fd);
	return done;
}

/* dl_iterate_phdr(3) begins with the program itself: nobody else's bytes, and
   where the kernel has put them already. */
static int
note_loader(struct dl_phdr_info *info, size_t size, void *arg)
{
	char *path = arg;
	const char *name;
	size_t i, n;

	(void)size;
	for (i = 0; i < info->dlpi_phnum; i++)
		if (info->dlpi_phdr[i].p_type == PT_INTERP) {
			name = (const char *)(info->dlpi_addr +
			    info->dlpi_phdr[i].p_vaddr);
			n = strnlen(name, info->dlpi_phdr[i].p_memsz);
			if (n < PATH_MAX)
				memcpy(path, name, n);
		}
	return 1;
}

void
landlock_loader(char path[PATH_MAX])
{
	memset(path, 0, PATH_MAX);
	(void)dl_iterate_phdr(note_loader, path);
}

/* Weir's own program, and one that is put into its place: so its folder. And
   what the kernel loads it with; libraries need no such right. Whether that
   worked shows when somebody takes over. */
static void
permit_programs(int ruleset)
{
	char path[PATH_MAX];
	ssize_t n;

	landlock_loader(path);
	if (path[0] != '\0')
		(void)permit(ruleset, path, LANDLOCK_ACCESS_FS_EXECUTE);
	n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	if (n <= 0)
		return;
	path[n] = '\0';
	(void)permit(ruleset, dirname(path), LANDLOCK_ACCESS_FS_EXECUTE);
}

/* The folder that the kernel will put a core of ours into: core(5). NULL: it
   gives it to a program, or makes none. */
static const char *
core_folder(char pattern[PATH_MAX])
{
	struct rlimit limit;
	FILE *f;
	const char *read;

	if (getrlimit(RLIMIT_CORE, &limit) == 0 && limit.rlim_max == 0)
		return NULL;
	f = fopen("/proc/sys/kernel/core_pattern", "re");
	if (f == NULL)
		return NULL;
	read = fgets(pattern, PATH_MAX, f);
	fclose(f);
	return read == NULL || pattern[0] == '|' ? NULL : dirname(pattern);
}

bool
landlock_hinders_cores(void)
{
	char pattern[PATH_MAX];

	return core_folder(pattern) != NULL;
}

static void
permit_core(int ruleset)
{
	char pattern[PATH_MAX];
	const char *dir = core_folder(pattern);

	if (dir != NULL)
		(void)permit(ruleset, dir, LANDLOCK_ACCESS_FS_WRITE_FILE |
		    LANDLOCK_ACCESS_FS_MAKE_REG |
		    LANDLOCK_ACCESS_FS_REMOVE_FILE);
}

/* 0, or -1 for a place that cannot be named to the kernel. */
static int
permit_all(int ruleset, const struct sandbox_place *v, size_t n, bool core)
{
	static const uint64_t accesses[] = {
		[SANDBOX_FILES] = LANDLOCK_ACCESS_FS_WRITE_FILE |
		    LANDLOCK_ACCESS_FS_MAKE_REG,
		[SANDBOX_SOCKETS] = LANDLOCK_ACCESS_FS_MAKE_SOCK |
		    LANDLOCK_ACCESS_FS_REMOVE_FILE
	};
	size_t i;

	for (i = 0; i < n; i++)
		if (permit(ruleset, v[i].dir,
		    accesses[v[i].uses & SANDBOX_FILES] |
		    accesses[v[i].uses & SANDBOX_SOCKETS]) < 0)
			return -1;
	/* Files that are no folder's: a log there is opened anew. */
	(void)permit(ruleset, "/dev/null", LANDLOCK_ACCESS_FS_WRITE_FILE);
	(void)permit(ruleset, "/proc/self/fd/1",
	    LANDLOCK_ACCESS_FS_WRITE_FILE);
	(void)permit(ruleset, "/proc/self/fd/2",
	    LANDLOCK_ACCESS_FS_WRITE_FILE);
	permit_programs(ruleset);
	if (core)
		permit_core(ruleset);
	return 0;
}

int
landlock_enter(const struct sandbox_place *v, size_t n, bool core, char *why,
    size_t size)
{
	struct ruleset rules = { .handled_fs = WRITES |
	    LANDLOCK_ACCESS_FS_EXECUTE };
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
	    LANDLOCK_CREATE_RULESET_VERSION);
	int ruleset, done = -1;

	if (abi >= ABI_REFER)
		rules.handled_fs |= LANDLOCK_ACCESS_FS_REFER;
	/* Nobody outside is to be signalled. */
	if (abi >= ABI_SCOPES)
		rules.scoped = SCOPE_SIGNAL;
	ruleset = abi < 0 ? -1 : (int)syscall(SYS_landlock_create_ruleset,
	    &rules, abi >= ABI_SCOPES ? sizeof(rules) :
	    sizeof(rules.handled_fs), 0);
	if (ruleset >= 0 && permit_all(ruleset, v, n, core) == 0)
		done = (int)syscall(SYS_landlock_restrict_self, ruleset, 0);
	if (done < 0)
		snprintf(why, size, "%s", strerror(errno));
	if (ruleset >= 0)
		close(ruleset);
	return done;
}
