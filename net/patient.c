/*
 * Patient memory. See patient.h.
 *
 * SPDX-License-Identifier: MIT
 */
#include "net/patient.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TRIES = 50, PAUSE_US = 20000 };

void *
patient_resize(void *old, size_t size)
{
	void *p;
	int i;

	for (i = 0; (p = realloc(old, size)) == NULL && i < TRIES; i++) {
		(void)malloc_trim(0);
		if (i > 0)
			usleep(PAUSE_US);
	}
	return p;
}

void *
patient_alloc(size_t size)
{
	return patient_resize(NULL, size);
}

void *
patient_zeroed(size_t size)
{
	void *p = patient_alloc(size);

	return p != NULL ? memset(p, 0, size) : NULL;
}

char *
patient_copy(const char *text)
{
	size_t size = strlen(text) + 1;
	char *p = patient_alloc(size);

	return p != NULL ? memcpy(p, text, size) : NULL;
}
