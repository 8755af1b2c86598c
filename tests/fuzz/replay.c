/*
 * The known input of a fuzzer once more, without libFuzzer: each file, and each
 * file in each folder, that the command line names is given to it once, in a
 * piece of memory of just its size.
 *
 * SPDX-License-Identifier: MIT
 */
#include <errno.h>
#include <fts.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

int LLVMFuzzerInitialize(int *argc, char ***argv) __attribute__((weak));
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
give_up(const char *path)
{
	perror(path);
	exit(1);
}

static void
replay(const char *path, size_t len)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data = malloc(len > 0 ? len : 1);

	if (f == NULL || data == NULL || fread(data, 1, len, f) != len)
		give_up(path);
	fclose(f);
	(void)LLVMFuzzerTestOneInput(data, len);
	free(data);
}

static unsigned
replay_all(char *const *paths)
{
	FTS *all = fts_open(paths, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
	unsigned n = 0;
	FTSENT *e;

	if (all == NULL)
		give_up(paths[0]);
	while ((e = fts_read(all)) != NULL)
		if (e->fts_info == FTS_F) {
			replay(e->fts_path, (size_t)e->fts_statp->st_size);
			n++;
		} else if (e->fts_info == FTS_NS || e->fts_info == FTS_ERR ||
		    e->fts_info == FTS_DNR) {
			errno = e->fts_errno;
			give_up(e->fts_path);
		}
	fts_close(all);
	return n;
}

int
main(int argc, char **argv)
{
	unsigned n = 0;

	if (LLVMFuzzerInitialize != NULL)
		(void)LLVMFuzzerInitialize(&argc, &argv);
	if (argc > 1)
		n = replay_all(argv + 1);
	printf("%u inputs\n", n);
	return n == 0;
}
