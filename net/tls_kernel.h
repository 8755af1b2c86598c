/*
 * Can the kernel encrypt for us (kTLS)? Asked of the kernel itself, by a
 * connection to ourselves.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef NET_TLS_KERNEL_H
#define NET_TLS_KERNEL_H

/* "available", or "unavailable: " and why. Asked once, the first time. */
const char *tls_kernel(void);

#endif
