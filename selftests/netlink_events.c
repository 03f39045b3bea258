// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 240 */
/*
 * Netlink: copies of the events of all contexts, and gaps where some are lost.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <uffdvram/uffdvram.h>
#include "event_fixture.h"
#include "inject.h"
#include "netlink_fixture.h"

#define GOT	1024

/* Events as they came. */
static struct {
	struct uffdvram_admin_event e[GOT];
	size_t n;
} all;

FIXTURE(events)
{
	struct uffdvram_admin *admin;
	int fd;
	uint32_t ctx, pool, range;
	char *mem;
};

FIXTURE_SETUP(events)
{
	ASSERT_EQ(0, uffdvram_admin_open(&self->admin));
	self->mem = told_begin(_metadata, &self->fd, &self->pool, &self->range);
	self->ctx = context_of(self->admin, getpid());
	all.n = 0;
}

FIXTURE_TEARDOWN(events)
{
	uffdvram_admin_close(self->admin);
	munmap(self->mem, LEN);
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(0));
}

static int take(const struct uffdvram_admin_event *event, void *data)
{
	(void)data;
	if (all.n < GOT)
		all.e[all.n++] = *event;
	return 0;
}

/* Takes what is there. */
static int take_all(struct uffdvram_admin *admin)
{
	int ret;

	do
		ret = uffdvram_admin_events(admin, take, NULL, 0);
	while (!ret);
	return ret;
}

static bool same(const struct uffdvram_event *a, const struct uffdvram_event *b)
{
	return a->type == b->type && a->cause == b->cause && a->seq == b->seq &&
	       a->range == b->range && a->addr == b->addr && a->len == b->len &&
	       a->time_ns == b->time_ns;
}

/* What the context tells is what is sent, with a number of its own. */
TEST_F(events, copies)
{
	struct pollfd p = { .events = POLLIN };
	struct uffdvram_event own[64];
	ssize_t i, n;
	char *more;

	EXPECT_EQ(-1, uffdvram_admin_fd(self->admin));
	EXPECT_EQ(-EINVAL, uffdvram_admin_events(self->admin, take, NULL, 0));
	ASSERT_EQ(0, uffdvram_admin_listen(self->admin, 0));
	EXPECT_EQ(-EBUSY, uffdvram_admin_listen(self->admin, 0));
	p.fd = uffdvram_admin_fd(self->admin);
	EXPECT_EQ(0, poll(&p, 1, 0));
	EXPECT_EQ(-EAGAIN, uffdvram_admin_events(self->admin, take, NULL, 10));
	touch_down(self->mem, 8);
	EXPECT_EQ(1, poll(&p, 1, 0));
	/* Then pressure of the pool, and the end of memory. */
	more = map_small(MIB(2));
	ASSERT_EQ(0, uv_register(self->fd, more, MIB(2), self->pool, NULL));
	uv_migrate(self->fd, more, MIB(2), 0, NULL);
	munmap(more, MIB(2));
	EXPECT_EQ(-EAGAIN, take_all(self->admin));
	n = read(self->fd, own, sizeof(own)) / (ssize_t)sizeof(*own);
	ASSERT_LE(10, n);
	ASSERT_EQ(n, (ssize_t)all.n);
	for (i = 0; i < n; i++) {
		EXPECT_TRUE(same(&own[i], &all.e[i].event));
		EXPECT_EQ(self->ctx, all.e[i].context);
		EXPECT_EQ(getpid(), all.e[i].pid);
		EXPECT_EQ(all.e[0].seq + i, all.e[i].seq);
		EXPECT_EQ(0, all.e[i].lost);
	}
	EXPECT_EQ(UFFDVRAM_EVENT_FAULT_BACK, own[0].type);
	EXPECT_EQ(UFFDVRAM_EVENT_RANGE_GONE, own[n - 1].type);
}

/* Where the context has one event of pages that follow each other, there are pieces. */
TEST_F(events, pieces)
{
	struct uffdvram_event own;
	size_t i;

	ASSERT_EQ(0, uffdvram_admin_listen(self->admin, 0));
	for (i = 0; i < 8; i++)
		*(volatile char *)(self->mem + i * PAGE) ^= 1;
	ASSERT_EQ(sizeof(own), read(self->fd, &own, sizeof(own)));
	EXPECT_EQ(8 * PAGE, own.len);
	EXPECT_EQ(-EAGAIN, take_all(self->admin));
	ASSERT_EQ(8, all.n);
	for (i = 0; i < 8; i++) {
		EXPECT_EQ(own.seq, all.e[i].event.seq);
		EXPECT_EQ(ADDR(self->mem) + i * PAGE, all.e[i].event.addr);
		EXPECT_EQ(PAGE, all.e[i].event.len);
		EXPECT_EQ(all.e[0].seq + i, all.e[i].seq);
	}
}

/* A page that is lost is told of as its context is told. */
TEST_F(events, lost_page)
{
	struct uffdvram_event own;

	ASSERT_EQ(0, uffdvram_admin_listen(self->admin, 0));
	uv_knob_set("fail_to_ram", "1");
	EXPECT_EQ(SIGBUS, read_byte(self->mem + 3 * PAGE).signo);
	EXPECT_EQ(-EAGAIN, take_all(self->admin));
	ASSERT_EQ(sizeof(own), read(self->fd, &own, sizeof(own)));
	ASSERT_EQ(1, all.n);
	EXPECT_TRUE(same(&own, &all.e[0].event));
	EXPECT_EQ(UFFDVRAM_EVENT_PAGE_LOST, own.type);
	EXPECT_EQ(self->range, own.range);
	EXPECT_EQ(ADDR(self->mem) + 3 * PAGE, own.addr);
	EXPECT_EQ(PAGE, own.len);
}

static const struct uffdvram_admin_event *first_of(uint32_t type)
{
	for (size_t i = 0; i < all.n; i++)
		if (all.e[i].event.type == type)
			return &all.e[i];
	return NULL;
}

/* A lease by its pages: its number is the context's alone. A pool by its number. */
TEST_F(events, leases_and_trouble)
{
	const struct uffdvram_admin_event *e;
	struct uffdvram_access_begin b;
	struct uffdvram_slot_run run;
	int i;

	ASSERT_EQ(0, uffdvram_admin_listen(self->admin, 0));
	ASSERT_EQ(0, uv_access_begin(self->fd, 0, self->mem + PAGE, PAGE, &run, 1, &b));
	EXPECT_EQ(0, read_byte(self->mem + PAGE).signo);
	EXPECT_EQ(-ESTALE, uv_access_end(self->fd, b.lease, 0, NULL, 0, NULL));
	uv_knob_set("trouble", "%u evacuate", self->pool);
	for (i = 0; i < 300 && !first_of(UFFDVRAM_EVENT_POOL_TROUBLE); i++)
		uffdvram_admin_events(self->admin, take, NULL, 200);
	e = first_of(UFFDVRAM_EVENT_LEASE_REVOKED);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(UFFDVRAM_REVOKED_CPU, e->event.cause);
	EXPECT_EQ(0, e->event.range);
	EXPECT_EQ(ADDR(self->mem) + PAGE, e->event.addr);
	EXPECT_EQ(PAGE, e->event.len);
	e = first_of(UFFDVRAM_EVENT_POOL_TROUBLE);
	ASSERT_NE(NULL, e);
	EXPECT_EQ(self->pool, e->event.range);
	EXPECT_EQ(0, e->event.addr + e->event.len);
}

/* All events since the first that was got are got or told to be lost. */
TEST_F(events, lost_in_the_socket)
{
	uint64_t lost = 0;
	size_t i;
	int round;

	ASSERT_EQ(0, uffdvram_admin_listen(self->admin, 2304));
	touch_down(self->mem, 1);
	EXPECT_EQ(-EAGAIN, take_all(self->admin));
	ASSERT_EQ(1, all.n);
	for (round = 0; round < 3; round++) {
		ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
		touch_down(self->mem, PAGES);
		EXPECT_EQ(-EAGAIN, take_all(self->admin));
	}
	ASSERT_EQ(PAGES, move_all(self->fd, self->mem, LEN, 0, NULL));
	touch_down(self->mem, 1);
	EXPECT_EQ(-EAGAIN, take_all(self->admin));
	for (i = 1; i < all.n; i++) {
		lost += all.e[i].lost;
		EXPECT_EQ(all.e[i - 1].seq + all.e[i].lost + 1, all.e[i].seq);
		/* The context's own numbers have the same gap. */
		EXPECT_EQ(all.e[i - 1].event.seq + all.e[i].lost + 1, all.e[i].event.seq);
	}
	EXPECT_LT(PAGES, lost);
	EXPECT_EQ(3 * PAGES + 2, lost + all.n);
}

/* Without memory for a message there is a gap, and nothing else. */
TEST_F(events, lost_without_memory)
{
	struct inject in;

	ASSERT_TRUE(inject_open(&in, false));
	ASSERT_EQ(0, uffdvram_admin_listen(self->admin, 0));
	touch_down(self->mem, 1);
	inject_arm(&in, 1, "alloc");
	munmap(self->mem + 2 * PAGE, PAGE);
	EXPECT_TRUE(inject_disarm(&in));
	munmap(self->mem + 4 * PAGE, PAGE);
	inject_close(&in);
	EXPECT_EQ(-EAGAIN, take_all(self->admin));
	ASSERT_EQ(2, all.n);
	EXPECT_EQ(1, all.e[1].lost);
	EXPECT_EQ(UFFDVRAM_EVENT_RANGE_GONE, all.e[1].event.type);
	EXPECT_EQ(ADDR(self->mem) + 4 * PAGE, all.e[1].event.addr);
}

/* Threads whose events are sent at once: what a context tells has an order anyway. */
struct toucher {
	int fd;
	uint32_t pool;
	int ret;
};

static void *toucher(void *arg)
{
	struct uffdvram_range_register reg = { .size = sizeof(reg), .len = 8 * PAGE,
					       .flags = UFFDVRAM_RANGE_FAULT_EVENTS };
	char *mem = map_small(8 * PAGE);
	struct toucher *t = arg;
	int i;

	reg.pool = t->pool;
	reg.addr = ADDR(mem);
	t->ret = uv_ioctl(t->fd, UFFDVRAM_RANGE_REGISTER, &reg);
	for (i = 0; !t->ret && i < 20; i++) {
		fill_pages(mem, 8 * PAGE, 1);
		t->ret = uv_migrate(t->fd, mem, 8 * PAGE, 0, NULL);
		touch_down(mem, 8);
	}
	munmap(mem, 8 * PAGE);
	return NULL;
}

TEST_F(events, in_order)
{
	struct toucher t[4];
	size_t i;

	for (i = 0; i < 4; i++) {
		t[i].fd = uv_open();
		ASSERT_LE(0, t[i].fd);
		ASSERT_EQ(0, uv_attach(t[i].fd, MIB(2), 0, &t[i].pool));
	}
	ASSERT_EQ(0, uffdvram_admin_listen(self->admin, 1 << 20));
	ASSERT_EQ(0, threads_run(4, toucher, t, sizeof(*t)));
	EXPECT_EQ(-EAGAIN, take_all(self->admin));
	EXPECT_LT(100, all.n);
	for (i = 1; i < all.n; i++)
		EXPECT_EQ(all.e[i - 1].seq + 1, all.e[i].seq);
	for (i = 0; i < 4; i++) {
		EXPECT_EQ(0, t[i].ret);
		close(t[i].fd);
	}
}

static int listen_elsewhere(int fd, void *arg)
{
	uint64_t word;
	char buf[256];
	int nl;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return 100;
	nl = request_socket();
	/* Whether or not it may join a group of that number there. */
	setsockopt(nl, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, arg, sizeof(uint32_t));
	child_tell(fd, 1);
	if (!child_hear(fd, &word))
		return 101;
	return recv(nl, buf, sizeof(buf), MSG_DONTWAIT) != -1 || errno != EAGAIN;
}

TEST_F(events, stay_in_their_namespace)
{
	struct child child;
	uint32_t group;
	uint64_t word;

	request_family(&group);
	child = child_start(listen_elsewhere, &group);
	ASSERT_TRUE(child_hear(child.fd, &word));
	ASSERT_EQ(0, uffdvram_admin_listen(self->admin, 0));
	touch_down(self->mem, 8);
	child_tell(child.fd, 1);
	EXPECT_EQ(0, child_end(&child));
	EXPECT_EQ(-EAGAIN, take_all(self->admin));
	EXPECT_EQ(8, all.n);
}

static char out[8192];

/* What a line of shell says, in out. */
static int run(const char *line)
{
	FILE *f = popen(line, "r");
	size_t n;

	if (!f)
		give_up("popen");
	n = fread(out, 1, sizeof(out) - 1, f);
	out[n] = '\0';
	return pclose(f);
}

TEST_F(events, command)
{
	char want[160];

	ASSERT_EQ(0, run("uffdvramctl -j show ranges"));
	snprintf(want, sizeof(want), "{\"context\":%u,\"range\":%u,\"addr\":\"0x%lx\",\"len\":%lu,"
		 "\"pool\":%u,\"slots\":%d,\"linear\":false,\"node\":false,\"fault_events\":true,\"exclusive\":false}",
		 self->ctx, self->range, (unsigned long)self->mem, LEN, self->pool, PAGES);
	EXPECT_NE(NULL, strstr(out, want)) TH_LOG("%s, not %s", out, want);
	ASSERT_EQ(0, uv_poison(self->fd, UFFDVRAM_POISON_REPLACE, self->mem, PAGE, NULL));
	snprintf(want, sizeof(want), "uffdvramctl show poison %u", self->ctx);
	ASSERT_EQ(0, run(want));
	snprintf(want, sizeof(want), "context %u range %u: 0x%lx+4K\n", self->ctx, self->range,
		 (unsigned long)self->mem);
	EXPECT_STREQ(want, out);
	ASSERT_EQ(0, run("uffdvramctl show contexts"));
	snprintf(want, sizeof(want), "context %u: process %d, user 0, ", self->ctx, getpid());
	EXPECT_NE(NULL, strstr(out, want)) TH_LOG("%s, not %s", out, want);
	ASSERT_EQ(0, run("uffdvramctl -j show pools"));
	snprintf(want, sizeof(want), "\"bytes\":%zu,\"slots\":512,\"used\":%d,", MIB(2), PAGES - 1);
	EXPECT_NE(NULL, strstr(out, want)) TH_LOG("%s, not %s", out, want);
	EXPECT_EQ(2 << 8, run("uffdvramctl show pools 3 2>&1"));
	EXPECT_EQ(2 << 8, run("uffdvramctl show nothing 2>&1"));
}

/* The same, each in its other form. */
TEST_F(events, command_in_other_words)
{
	struct uffdvram_range_register linear = {
		.size = sizeof(linear), .pool = self->pool, .len = MIB(1), .pool_off = MIB(1),
		.flags = UFFDVRAM_RANGE_LINEAR,
	};
	char want[160], *mem = map_small(MIB(1));

	linear.addr = ADDR(mem);
	ASSERT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_RANGE_REGISTER, &linear));
	ASSERT_EQ(0, run("uffdvramctl show ranges"));
	snprintf(want, sizeof(want), "context %u range %u: 0x%lx+256K, pool %u, %d slots, fault events\n",
		 self->ctx, self->range, (unsigned long)self->mem, self->pool, PAGES);
	EXPECT_NE(NULL, strstr(out, want)) TH_LOG("%s, not %s", out, want);
	ASSERT_EQ(0, run("uffdvramctl -j show ranges"));
	EXPECT_NE(NULL, strstr(out, "\"linear\":true,\"pool_off\":1048576,\"node\":false"))
		TH_LOG("%s", out);
	ASSERT_EQ(0, run("uffdvramctl show pools"));
	snprintf(want, sizeof(want), "pool %u: sim 2M, %d of 512 slots used, 0 lost, 0 quarantined\n",
		 self->pool, PAGES);
	EXPECT_NE(NULL, strstr(out, want)) TH_LOG("%s, not %s", out, want);
	ASSERT_EQ(0, run("uffdvramctl -j show contexts"));
	snprintf(want, sizeof(want), "{\"context\":%u,\"pid\":%d,\"uid\":0,\"gone\":false,"
		 "\"event_seq\":0,\"waiting\":0}", self->ctx, getpid());
	EXPECT_NE(NULL, strstr(out, want)) TH_LOG("%s, not %s", out, want);
	ASSERT_EQ(0, uv_poison(self->fd, 0, mem, 2 * PAGE, NULL));
	ASSERT_EQ(0, run("uffdvramctl -j show poison"));
	snprintf(want, sizeof(want), "{\"context\":%u,\"range\":%u,\"addr\":\"0x%lx\",\"len\":8192}",
		 self->ctx, linear.range, (unsigned long)mem);
	EXPECT_NE(NULL, strstr(out, want)) TH_LOG("%s, not %s", out, want);
	munmap(mem, MIB(1));
}

TEST_F(events, command_follows)
{
	FILE *f = popen("uffdvramctl events --all -j -n 2 -t 60 2>&1", "r");
	char want[160];
	size_t n;

	ASSERT_NE(NULL, f);
	/* From this line on it follows. */
	ASSERT_NE(NULL, fgets(out, sizeof(out), f));
	EXPECT_STREQ("uffdvramctl: events: of all processes\n", out);
	touch_down(self->mem, 2);
	n = fread(out, 1, sizeof(out) - 1, f);
	out[n] = '\0';
	ASSERT_EQ(0, pclose(f));
	snprintf(want, sizeof(want), "\"context\":%u,\"context_seq\":1,\"pid\":%d,\"time_ns\":",
		 self->ctx, getpid());
	EXPECT_NE(NULL, strstr(out, want)) TH_LOG("%s, not %s", out, want);
	snprintf(want, sizeof(want), "\"event\":\"fault_back\",\"range\":%u,\"addr\":\"0x%lx\","
		 "\"len\":4096}\n", self->range, (unsigned long)self->mem + PAGE);
	EXPECT_NE(NULL, strstr(out, want)) TH_LOG("%s, not %s", out, want);
}

TEST_HARNESS_MAIN
