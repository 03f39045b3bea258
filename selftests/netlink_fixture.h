/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of netlink share: whose number is what, and raw requests.
 */
#ifndef UFFDVRAM_SELFTESTS_NETLINK_FIXTURE_H
#define UFFDVRAM_SELFTESTS_NETLINK_FIXTURE_H

#include <stdint.h>
#include <sys/types.h>
#include <uffdvram/uffdvram.h>

/** context_of - number of the last context on a process's memory; 0: none */
uint32_t context_of(struct uffdvram_admin *admin, pid_t pid);

/** struct request - the one attribute of a request: its number, bytes, and value */
struct request {
	uint16_t attr;
	uint16_t len;
	uint64_t value;
};

/** request_socket - a generic-netlink socket; ends the process where there is none */
int request_socket(void);
/** request_family - number of the module's family; @group, its group's, may be NULL */
uint16_t request_family(uint32_t *group);
/** request_send - without waiting for the answer; @req may be NULL */
int request_send(int nl, uint8_t cmd, uint16_t flags, const struct request *req);
/** request_answer - reads until the answer ends, and returns the error that it tells */
int request_answer(int nl);
/** request_dump - both */
int request_dump(int nl, uint8_t cmd, const struct request *req);

#endif /* UFFDVRAM_SELFTESTS_NETLINK_FIXTURE_H */
