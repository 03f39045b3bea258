// SPDX-License-Identifier: GPL-2.0-only
/* TIMEOUT: 240 */
/*
 * Netlink: dumps of pools, contexts, ranges and poison are exact, for administrators
 * only, and what is malformed is refused.
 */
#include <kselftest_harness.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <uffdvram/uffdvram.h>
#include <linux/uffdvram_netlink.h>
#include "netlink_fixture.h"
#include "util_mm.h"

#define MANY	3000

FIXTURE(netlink)
{
	struct uffdvram_admin *admin;
	int fd;
	uint32_t ctx, pool;
};

FIXTURE_SETUP(netlink)
{
	knobs_calm();
	ASSERT_TRUE(uv_wait_slots(0));
	ASSERT_EQ(0, uffdvram_admin_open(&self->admin));
	self->fd = uv_open();
	ASSERT_LE(0, self->fd);
	ASSERT_EQ(0, uv_attach(self->fd, MIB(4), 0, &self->pool));
	self->ctx = context_of(self->admin, getpid());
	ASSERT_NE(0, self->ctx);
}

FIXTURE_TEARDOWN(netlink)
{
	uffdvram_admin_close(self->admin);
	close(self->fd);
	EXPECT_TRUE(uv_wait_slots(0));
}

static int take_pool(const struct uffdvram_admin_pool *pool, void *data)
{
	struct uffdvram_admin_pool *p = data;

	if (pool->pool != p->pool)
		return 0;
	*p = *pool;
	p->backend = strcmp(pool->backend, "sim") ? "?" : "sim";
	return 1;
}

TEST_F(netlink, pools)
{
	struct uffdvram_admin_pool p = { .pool = self->pool };
	char *mem = map_small(MIB(1));
	uint32_t shared;

	uv_fault_bytes = PAGE;
	ASSERT_EQ(0, uv_attach(self->fd, MIB(2), UFFDVRAM_POOL_SHARED, &shared));
	uv_fault_bytes = 0;
	ASSERT_EQ(0, uv_register(self->fd, mem, MIB(1), self->pool, NULL));
	fill_pages(mem, MIB(1), 1);
	ASSERT_EQ(256, uv_to_vram(self->fd, mem, MIB(1)));
	ASSERT_EQ(1, uffdvram_admin_pools(self->admin, take_pool, &p));
	EXPECT_EQ(MIB(4), p.bytes);
	EXPECT_EQ(1024, p.slots);
	EXPECT_EQ(256, p.used);
	EXPECT_EQ(0, p.lost + p.quarantined + p.shared + p.draining);
	EXPECT_STREQ("sim", p.backend);
	EXPECT_EQ(huge_in_vram(self->fd) ? HUGE : PAGE, p.fault_bytes);
	p.pool = shared;
	ASSERT_EQ(1, uffdvram_admin_pools(self->admin, take_pool, &p));
	EXPECT_EQ(1, p.shared);
	EXPECT_EQ(0, p.used);
	EXPECT_EQ(PAGE, p.fault_bytes);
	ASSERT_EQ(0, uv_detach(self->fd, shared, 0, NULL));
	EXPECT_EQ(0, uffdvram_admin_pools(self->admin, take_pool, &p));
	munmap(mem, MIB(1));
}

static int take_context(const struct uffdvram_admin_context *context, void *data)
{
	struct uffdvram_admin_context *c = data;

	if (context->context != c->context)
		return 0;
	*c = *context;
	return 1;
}

static int open_and_wait(int fd, void *arg)
{
	uint64_t word;

	(void)arg;
	become_nobody();
	child_hear(fd, &word);
	return 0;
}

TEST_F(netlink, contexts)
{
	struct uffdvram_admin_context c = { .context = self->ctx };
	struct child child;
	int fd;

	ASSERT_EQ(1, uffdvram_admin_contexts(self->admin, take_context, &c));
	EXPECT_EQ(getpid(), c.pid);
	EXPECT_EQ(0, c.uid);
	EXPECT_EQ(0, c.gone + c.event_seq + c.waiting);
	/* Another process's memory, and its end. */
	child = child_start(open_and_wait, NULL);
	fd = uv_open_pid_of(child.pid);
	ASSERT_LE(0, fd);
	c.context = context_of(self->admin, child.pid);
	ASSERT_LT(self->ctx, c.context);
	ASSERT_EQ(1, uffdvram_admin_contexts(self->admin, take_context, &c));
	EXPECT_EQ(0, c.gone + c.event_seq + c.waiting);
	child_kill(&child);
	ASSERT_EQ(1, uffdvram_admin_contexts(self->admin, take_context, &c));
	EXPECT_EQ(1, c.gone);
	EXPECT_EQ(1, c.event_seq);
	EXPECT_EQ(1, c.waiting);
	close(fd);
	EXPECT_EQ(0, uffdvram_admin_contexts(self->admin, take_context, &c));
}

/* Ranges of one dump, as they come. */
struct ranges {
	struct uffdvram_admin_range got[MANY + 64];
	size_t n;
};

static int take_range(const struct uffdvram_admin_range *range, void *data)
{
	struct ranges *r = data;

	if (r->n < sizeof(r->got) / sizeof(*r->got))
		r->got[r->n] = *range;
	r->n++;
	return 0;
}

static struct ranges ranges;

TEST_F(netlink, ranges)
{
	struct uffdvram_range_register linear = {
		.size = sizeof(linear), .pool = self->pool, .len = MIB(1), .pool_off = MIB(2),
		.flags = UFFDVRAM_RANGE_LINEAR | UFFDVRAM_RANGE_FAULT_EVENTS |
			 UFFDVRAM_RANGE_EXCLUSIVE,
	};
	char *mem = map_small(MIB(1)), *bare = map_small(PAGE), *node;
	const struct uffdvram_admin_range *r = ranges.got;

	linear.addr = ADDR(mem);
	ASSERT_EQ(0, madvise(mem, MIB(1), MADV_DONTFORK));
	fill_pages(mem, MIB(1), 1);
	ASSERT_EQ(0, uv_ioctl(self->fd, UFFDVRAM_RANGE_REGISTER, &linear));
	ASSERT_EQ(0, uv_register(self->fd, bare, PAGE, 0, NULL));
	node = mmap(NULL, MIB(1), PROT_READ | PROT_WRITE, MAP_PRIVATE, self->fd, 0);
	ASSERT_NE(MAP_FAILED, node);
	ASSERT_EQ(16, uv_to_vram(self->fd, mem, 16 * PAGE));
	ranges.n = 0;
	ASSERT_EQ(0, uffdvram_admin_ranges(self->admin, self->ctx, take_range, &ranges));
	ASSERT_EQ(3, ranges.n);
	EXPECT_EQ(self->ctx, r[0].context);
	EXPECT_EQ(linear.range, r[0].range);
	EXPECT_EQ(ADDR(mem), r[0].addr);
	EXPECT_EQ(MIB(1), r[0].len);
	EXPECT_EQ(self->pool, r[0].pool);
	EXPECT_EQ(16, r[0].slots);
	EXPECT_EQ(MIB(2), r[0].pool_off);
	EXPECT_EQ(1, r[0].linear);
	EXPECT_EQ(1, r[0].fault_events);
	EXPECT_EQ(1, r[0].exclusive);
	EXPECT_EQ(ADDR(bare), r[1].addr);
	EXPECT_EQ(PAGE, r[1].len);
	EXPECT_EQ(0, r[1].pool + r[1].slots + r[1].linear + r[1].node + r[1].fault_events +
		     r[1].exclusive);
	EXPECT_EQ(ADDR(node), r[2].addr);
	EXPECT_EQ(1, r[2].node);
	munmap(node, MIB(1));
	ranges.n = 0;
	ASSERT_EQ(0, uffdvram_admin_ranges(self->admin, self->ctx, take_range, &ranges));
	EXPECT_EQ(2, ranges.n);
	ranges.n = 0;
	EXPECT_EQ(0, uffdvram_admin_ranges(self->admin, ~0U, take_range, &ranges));
	EXPECT_EQ(0, ranges.n);
	munmap(mem, MIB(1));
	munmap(bare, PAGE);
}

/* A page each, of one piece of memory: MANY ranges; they stay until the context ends. */
static char *register_many(int fd)
{
	char *mem = map_small(MANY * PAGE);
	size_t i;

	for (i = 0; i < MANY; i++)
		if (uv_register(fd, mem + i * PAGE, PAGE, 0, NULL))
			give_up("RANGE_REGISTER");
	return mem;
}

/* All that register_many() made, in their order and once, whatever else there is. */
static size_t many_missing(const char *mem, uint32_t ctx)
{
	size_t i, next = 0, wrong = 0;

	for (i = 0; i < ranges.n; i++) {
		const struct uffdvram_admin_range *r = &ranges.got[i];

		if (i && (r->context < r[-1].context ||
			  (r->context == r[-1].context && r->range <= r[-1].range)))
			wrong++;
		if (r->context == ctx && r->addr >= ADDR(mem) &&
		    r->addr < ADDR(mem) + MANY * PAGE)
			wrong += r->addr != ADDR(mem) + next++ * PAGE;
	}
	return wrong + MANY - next;
}

TEST_F(netlink, many_ranges)
{
	char *mem = register_many(self->fd), *other = map_small(PAGE);
	int fd = uv_open();

	ASSERT_LE(0, fd);
	ASSERT_EQ(0, uv_register(fd, other, PAGE, 0, NULL));
	ranges.n = 0;
	ASSERT_EQ(0, uffdvram_admin_ranges(self->admin, self->ctx, take_range, &ranges));
	EXPECT_EQ(MANY, ranges.n);
	EXPECT_EQ(0, many_missing(mem, self->ctx));
	ranges.n = 0;
	ASSERT_EQ(0, uffdvram_admin_ranges(self->admin, 0, take_range, &ranges));
	EXPECT_EQ(MANY + 1, ranges.n);
	EXPECT_EQ(0, many_missing(mem, self->ctx));
	EXPECT_EQ(ADDR(other), ranges.got[MANY].addr);
	close(fd);
	munmap(other, PAGE);
	munmap(mem, MANY * PAGE);
}

static _Atomic bool stop;

/* Contexts and ranges that come and go. */
static void *come_and_go(void *arg)
{
	char *mem = map_small(8 * PAGE);
	int i, fd;

	(void)arg;
	while (!stop) {
		fd = uv_open();
		for (i = 0; fd >= 0 && i < 8; i++)
			uv_register(fd, mem + i * PAGE, PAGE, 0, NULL);
		uv_unregister(fd, 3);
		close(fd);
	}
	munmap(mem, 8 * PAGE);
	return NULL;
}

TEST_F(netlink, while_ranges_come_and_go)
{
	char *mem = register_many(self->fd);
	pthread_t thread;
	int i;

	stop = false;
	ASSERT_EQ(0, pthread_create(&thread, NULL, come_and_go, NULL));
	for (i = 0; i < (sanitizers() ? 20 : 60); i++) {
		ranges.n = 0;
		ASSERT_EQ(0, uffdvram_admin_ranges(self->admin, 0, take_range, &ranges));
		ASSERT_EQ(0, many_missing(mem, self->ctx));
	}
	stop = true;
	pthread_join(thread, NULL);
	munmap(mem, MANY * PAGE);
}

/* Runs of one dump, as they come. */
struct runs {
	struct uffdvram_admin_poison got[2048];
	size_t n;
};

static int take_run(const struct uffdvram_admin_poison *run, void *data)
{
	struct runs *r = data;

	if (r->n < sizeof(r->got) / sizeof(*r->got))
		r->got[r->n] = *run;
	r->n++;
	return 0;
}

static struct runs runs;

/* How many runs are not what POISON_LIST says of a range, from run @i on. */
static size_t runs_wrong(int fd, const char *mem, size_t len, uint32_t range, size_t *i)
{
	static struct uffdvram_region vec[2048];
	struct uffdvram_poison_list q = { .addr = ADDR(mem), .len = len };
	size_t k, wrong = 0;

	if (uv_poison_list(fd, &q, vec, 2048) || q.done != len)
		return ~0UL;
	for (k = 0; k < q.used; k++, ++*i)
		wrong += runs.got[*i].addr != vec[k].start || runs.got[*i].range != range ||
			 runs.got[*i].len != vec[k].end - vec[k].start;
	return wrong;
}

TEST_F(netlink, poison)
{
	char *one = map_aligned(MIB(8)), *two = map_aligned(MIB(4));
	uint32_t id[2];
	size_t i;

	ASSERT_EQ(0, uv_register(self->fd, one, MIB(8), self->pool, &id[0]));
	ASSERT_EQ(0, uv_register(self->fd, two, MIB(4), self->pool, &id[1]));
	EXPECT_EQ(0, uffdvram_admin_poison(self->admin, self->ctx, take_run, &runs));
	EXPECT_EQ(0, runs.n);
	/* Every other page of the first, more than a message holds; then a run over steps. */
	for (i = 0; i < 1024; i += 2)
		ASSERT_EQ(0, uv_poison(self->fd, 0, one + i * PAGE, PAGE, NULL));
	ASSERT_EQ(0, uv_poison(self->fd, 0, one + MIB(5), MIB(3), NULL));
	ASSERT_EQ(0, uv_poison(self->fd, 0, two, PAGE, NULL));
	ASSERT_EQ(0, uv_poison(self->fd, 0, two + MIB(4) - PAGE, PAGE, NULL));
	ASSERT_EQ(0, uffdvram_admin_poison(self->admin, self->ctx, take_run, &runs));
	ASSERT_EQ(515, runs.n);
	i = 0;
	EXPECT_EQ(0, runs_wrong(self->fd, one, MIB(8), id[0], &i));
	EXPECT_EQ(513, i);
	EXPECT_EQ(0, runs_wrong(self->fd, two, MIB(4), id[1], &i));
	EXPECT_EQ(515, i);
	munmap(one, MIB(8));
	runs.n = 0;
	ASSERT_EQ(0, uffdvram_admin_poison(self->admin, 0, take_run, &runs));
	EXPECT_EQ(2, runs.n);
	munmap(two, MIB(4));
}

/* More than one call looks at: it has to say something in between. */
TEST_F(netlink, poison_far_away)
{
	size_t len = 64UL << 30;
	char *mem = mmap(NULL, len, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	ASSERT_NE(MAP_FAILED, mem);
	ASSERT_EQ(0, uv_register(self->fd, mem, len, 0, NULL));
	ASSERT_EQ(0, uv_poison(self->fd, 0, mem + len - 2 * PAGE, 2 * PAGE, NULL));
	runs.n = 0;
	ASSERT_EQ(0, uffdvram_admin_poison(self->admin, 0, take_run, &runs));
	ASSERT_EQ(1, runs.n);
	EXPECT_EQ(ADDR(mem) + len - 2 * PAGE, runs.got[0].addr);
	EXPECT_EQ(2 * PAGE, runs.got[0].len);
	munmap(mem, len);
}

/* What each of these says to who may not. */
static int refused(int fd, void *arg)
{
	struct uffdvram_admin *admin = arg;
	int wrong = 0;

	(void)fd;
	wrong += uffdvram_admin_pools(admin, take_pool, NULL) != -EPERM;
	wrong += uffdvram_admin_contexts(admin, take_context, NULL) != -EPERM;
	wrong += uffdvram_admin_ranges(admin, 0, take_range, NULL) != -EPERM;
	wrong += uffdvram_admin_poison(admin, 0, take_run, NULL) != -EPERM;
	wrong += uffdvram_admin_listen(admin, 0) != -EPERM;
	return wrong;
}

static int as_nobody(int fd, void *arg)
{
	become_nobody();
	return refused(fd, arg);
}

static int without_capability(int fd, void *arg)
{
	drop_capability(CAP_NET_ADMIN);
	return refused(fd, arg);
}

/* Mighty, but only in a user namespace of its own. */
static int in_user_namespace(int fd, void *arg)
{
	become_nobody();
	return unshare(CLONE_NEWUSER) ? 100 : refused(fd, arg);
}

static int in_network_namespace(int fd, void *arg)
{
	struct uffdvram_admin *admin;

	(void)fd, (void)arg;
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return 100;
	return uffdvram_admin_open(&admin) != -ENOENT;
}

TEST_F(netlink, refused)
{
	EXPECT_EQ(0, run_child(as_nobody, self->admin));
	EXPECT_EQ(0, run_child(without_capability, self->admin));
	EXPECT_EQ(0, run_child(in_user_namespace, self->admin));
	EXPECT_EQ(0, run_child(in_network_namespace, self->admin));
}

/* Each of these needs a socket of its own. */
TEST_F(netlink, no_descriptors)
{
	struct uffdvram_admin *admin = NULL;
	struct rlimit was, none;

	ASSERT_EQ(0, getrlimit(RLIMIT_NOFILE, &was));
	none = (struct rlimit){ .rlim_cur = 0, .rlim_max = was.rlim_max };
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
	EXPECT_EQ(-EMFILE, uffdvram_admin_open(&admin));
	EXPECT_EQ(-EMFILE, uffdvram_admin_pools(self->admin, take_pool, NULL));
	EXPECT_EQ(-EMFILE, uffdvram_admin_listen(self->admin, 0));
	EXPECT_EQ(-1, uffdvram_admin_fd(self->admin));
	ASSERT_EQ(0, setrlimit(RLIMIT_NOFILE, &was));
	EXPECT_EQ(0, uffdvram_admin_listen(self->admin, 0));
	uffdvram_admin_close(admin);	/* none */
}

TEST_F(netlink, malformed)
{
	struct request ok = { .attr = UFFDVRAM_A_RANGE_CONTEXT, .len = 4, .value = 7 };
	int nl = request_socket(), ret;

	EXPECT_EQ(0, request_dump(nl, UFFDVRAM_CMD_RANGE_GET, &ok));
	EXPECT_EQ(0, request_dump(nl, UFFDVRAM_CMD_POISON_GET, &ok));
	EXPECT_EQ(0, request_dump(nl, UFFDVRAM_CMD_POOL_GET, NULL));
	/* What takes no attributes: the core looks at none, or (not in 6.12) refuses them. */
	ret = request_dump(nl, UFFDVRAM_CMD_POOL_GET, &ok);
	EXPECT_TRUE(!ret || ret == -EINVAL);
	EXPECT_EQ(ret, request_dump(nl, UFFDVRAM_CMD_CONTEXT_GET, &ok));
	/* An attribute that there is not, that is too short or too long, or may not be 0. */
	ok.attr = UFFDVRAM_A_RANGE_ID;
	EXPECT_EQ(-EINVAL, request_dump(nl, UFFDVRAM_CMD_RANGE_GET, &ok));
	ok = (struct request){ .attr = UFFDVRAM_A_RANGE_CONTEXT, .len = 3, .value = 7 };
	EXPECT_EQ(-EINVAL, request_dump(nl, UFFDVRAM_CMD_RANGE_GET, &ok));
	ok.len = 8;
	EXPECT_EQ(-EINVAL, request_dump(nl, UFFDVRAM_CMD_RANGE_GET, &ok));
	ok = (struct request){ .attr = UFFDVRAM_A_POISON_CONTEXT, .len = 4 };
	EXPECT_EQ(-ERANGE, request_dump(nl, UFFDVRAM_CMD_POISON_GET, &ok));
	/* Nothing but dumps. */
	EXPECT_EQ(-EOPNOTSUPP, request_dump(nl, UFFDVRAM_CMD_EVENT, NULL));
	EXPECT_EQ(-EOPNOTSUPP, request_dump(nl, 200, NULL));
	EXPECT_EQ(-EOPNOTSUPP, request_send(nl, UFFDVRAM_CMD_RANGE_GET, NLM_F_ACK, NULL) ?:
			       request_answer(nl));
	close(nl);
}

/* Whatever comes: an answer, and nothing breaks. */
TEST_F(netlink, garbage)
{
	uint64_t state = 88172645463325252ULL;
	struct request req;
	uint16_t flags;
	uint8_t cmd;
	int i, nl;

	for (i = 0; i < 2000; i++) {
		nl = request_socket();
		/* Every second one is nearly right. */
		req.attr = rnd(&state) % (i % 2 ? 3 : 12);
		req.len = rnd(&state) % 9;
		req.value = rnd(&state);
		cmd = rnd(&state) % (i % 2 ? 6 : 8);
		flags = i % 2 || rnd(&state) % 2 ? NLM_F_DUMP : NLM_F_ACK;
		ASSERT_EQ(0, request_send(nl, cmd, flags, &req));
		if (rnd(&state) % 2)
			EXPECT_GE(0, request_answer(nl));
		close(nl);
	}
}

/* Workers may come round first. */
static bool users_are(void *arg)
{
	return module_users() == *(long *)arg;
}

/* Who does not read on keeps the module; nothing is left when he goes. */
TEST_F(netlink, abandoned)
{
	char *mem = register_many(self->fd), *poisoned;
	long users = module_users();
	int nl = request_socket(), i;

	ASSERT_EQ(0, request_send(nl, UFFDVRAM_CMD_RANGE_GET, NLM_F_DUMP, NULL));
	EXPECT_EQ(users + 1, module_users());
	/* What the dump came to goes meanwhile. */
	close(self->fd);
	self->fd = uv_open();
	EXPECT_EQ(0, request_answer(nl));
	EXPECT_TRUE(wait_until(users_are, &users, 60000));
	close(nl);
	poisoned = register_many(self->fd);
	for (i = 0; i < MANY; i++)
		ASSERT_EQ(0, uv_poison(self->fd, UFFDVRAM_POISON_REPLACE, poisoned + i * PAGE,
				       PAGE, NULL));
	nl = request_socket();
	ASSERT_EQ(0, request_send(nl, UFFDVRAM_CMD_POISON_GET, NLM_F_DUMP, NULL));
	EXPECT_EQ(users + 1, module_users());
	close(nl);
	EXPECT_TRUE(wait_until(users_are, &users, 60000));
	ASSERT_EQ(0, request_send(nl = request_socket(), UFFDVRAM_CMD_RANGE_GET, NLM_F_DUMP, NULL));
	EXPECT_EQ(users + 1, module_users());
	close(nl);
	EXPECT_TRUE(wait_until(users_are, &users, 60000));
	munmap(poisoned, MANY * PAGE);
	munmap(mem, MANY * PAGE);
}

TEST_HARNESS_MAIN
