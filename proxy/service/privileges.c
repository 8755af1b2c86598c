/*
 * Privileges. See privileges.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "proxy/service/privileges.h"

#include <assert.h>
#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* capabilities(7). Ambient, so that a weir that takes over has it too. Without
   it, whether taken from root beforehand or refused, low ports cannot be bound
   by a reload, and that says so. */
static int
keep_low_ports(void)
{
	struct __user_cap_header_struct head = {
		.version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct sets[_LINUX_CAPABILITY_U32S_3] = {
		{ 0, 0, 0 } };
	const uint32_t bit = UINT32_C(1) << CAP_NET_BIND_SERVICE;

	if (syscall(SYS_capget, &head, sets) < 0)
		return -1;
	sets[0].permitted &= bit;
	sets[0].effective = sets[0].inheritable = sets[0].permitted;
	sets[1].permitted = sets[1].effective = sets[1].inheritable = 0;
	if (syscall(SYS_capset, &head, sets) < 0)
		return -1;
	if (sets[0].permitted != 0)
		(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE,
		    CAP_NET_BIND_SERVICE, 0, 0);
	return 0;
}

/* As root. Each call only if it changes something: a weir that takes over is in
   a sandbox already, which has none of them. */
static int
become(const struct passwd *pw, gid_t gid)
{
	gid_t rgid, egid, sgid;
	uid_t ruid, euid, suid;

	if (getgroups(0, NULL) != 0 && setgroups(0, NULL) < 0)
		return -1;
	if (getresgid(&rgid, &egid, &sgid) < 0 ||
	    ((rgid != gid || egid != gid || sgid != gid) && setgid(gid) < 0))
		return -1;
	if (pw == NULL)
		return 0;
	if (getresuid(&ruid, &euid, &suid) < 0)
		return -1;
	if (ruid == pw->pw_uid && euid == ruid && suid == ruid)
		return 0;
	if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 || setuid(pw->pw_uid) < 0)
		return -1;
	return pw->pw_uid != 0 ? keep_low_ports() : 0;
}

static int
refuse(const char *what, const char *name, char *why, size_t size)
{
	snprintf(why, size, "cannot become %s %s: %s", what, name,
	    errno == 0 ? "not known" : errno == ENOSYS ? "needs a restart: "
	    "security.sandbox does not permit it" : strerror(errno));
	return -1;
}

/* The file was checked for both names when it was loaded; they may have gone
   since, or the service that knows them. */
int
privileges_drop(const struct conf *conf, struct sink *access, char *why,
    size_t size)
{
	const struct passwd *pw = NULL;
	const struct group *gr = NULL;
	gid_t gid;

	if (geteuid() != 0 || (conf->user == NULL && conf->group == NULL))
		return 0;
	errno = 0;
	if (conf->user != NULL && (pw = getpwnam(conf->user)) == NULL)
		return refuse("user", conf->user, why, size);
	errno = 0;
	if (conf->group != NULL && (gr = getgrnam(conf->group)) == NULL)
		return refuse("group", conf->group, why, size);
	assert(pw != NULL || gr != NULL);
	gid = gr != NULL ? gr->gr_gid : pw->pw_gid;
	if (access != NULL)
		sink_give(access, pw != NULL ? pw->pw_uid : (uid_t)-1, gid);
	if (become(pw, gid) == 0)
		return 0;
	return conf->user != NULL ?
	    refuse("user", conf->user, why, size) :
	    refuse("group", conf->group, why, size);
}
