// SPDX-License-Identifier: GPL-2.0-only
/* What the tests share: userfaultfd, other processes, privileges. */
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int uffd_open(uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };
	int uffd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (uffd < 0 || ioctl(uffd, UFFDIO_API, &api)) {
		int err = errno;

		if (uffd >= 0)
			close(uffd);
		return -err;
	}
	return uffd;
}

int uffd_register(int uffd, const void *addr, size_t len, uint64_t mode)
{
	struct uffdio_register arg = { .range = { (uintptr_t)addr, len }, .mode = mode };

	return uv_ioctl(uffd, UFFDIO_REGISTER, &arg);
}

int uffd_unregister(int uffd, const void *addr, size_t len)
{
	struct uffdio_range arg = { (uintptr_t)addr, len };

	return uv_ioctl(uffd, UFFDIO_UNREGISTER, &arg);
}

int uffd_copy(int uffd, void *dst, const void *src, size_t len, uint64_t mode)
{
	struct uffdio_copy arg = {
		.dst = (uintptr_t)dst,
		.src = (uintptr_t)src,
		.len = len,
		.mode = mode,
	};

	return uv_ioctl(uffd, UFFDIO_COPY, &arg);
}

int uffd_zeropage(int uffd, void *addr, size_t len)
{
	struct uffdio_zeropage arg = { .range = { (uintptr_t)addr, len } };

	return uv_ioctl(uffd, UFFDIO_ZEROPAGE, &arg);
}

int uffd_poison(int uffd, void *addr, size_t len)
{
	struct uffdio_poison arg = { .range = { (uintptr_t)addr, len } };

	return uv_ioctl(uffd, UFFDIO_POISON, &arg);
}

int uffd_wp(int uffd, const void *addr, size_t len, bool protect)
{
	struct uffdio_writeprotect arg = {
		.range = { (uintptr_t)addr, len },
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return uv_ioctl(uffd, UFFDIO_WRITEPROTECT, &arg);
}

bool uffd_wait(int uffd, struct uffd_msg *msg, int timeout_ms)
{
	struct pollfd p = { .fd = uffd, .events = POLLIN };

	return poll(&p, 1, timeout_ms) == 1 && read(uffd, msg, sizeof(*msg)) == sizeof(*msg);
}

struct child child_start(int (*fn)(int fd, void *arg), void *arg)
{
	pid_t parent = getpid();
	struct child c;
	int sv[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sv))
		give_up("socketpair");
	fflush(NULL);
	c.pid = fork();
	if (c.pid < 0)
		give_up("fork");
	if (!c.pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(1);
		close(sv[0]);
		_exit(fn(sv[1], arg));
	}
	close(sv[1]);
	c.fd = sv[0];
	return c;
}

void child_tell(int fd, uint64_t word)
{
	/* Who does not listen any more is found out by who waits for an answer. */
	if (send(fd, &word, sizeof(word), MSG_NOSIGNAL) != sizeof(word))
		fprintf(stderr, "# the other process is gone\n");
}

bool child_hear(int fd, uint64_t *word)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 240000) == 1 &&
	       recv(fd, word, sizeof(*word), MSG_WAITALL) == sizeof(*word);
}

uint64_t child_step(struct child *c, uint64_t word)
{
	child_tell(c->fd, word);
	return child_hear(c->fd, &word) ? word : ~0ULL;
}

int child_end(struct child *c)
{
	int status;

	/* The end of the socket tells a child that still listens to stop. */
	close(c->fd);
	if (waitpid(c->pid, &status, 0) != c->pid)
		return -ECHILD;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

void child_kill(struct child *c)
{
	kill(c->pid, SIGKILL);
	child_end(c);
}

int run_child(int (*fn)(int fd, void *arg), void *arg)
{
	struct child c = child_start(fn, arg);

	return child_end(&c);
}

#define LISTEN_ENV	"UFFDVRAM_TEST_LISTEN"

int exec_and_listen(int fd)
{
	char env[64], *argv[] = { "listener", NULL }, *envp[] = { env, NULL };

	snprintf(env, sizeof(env), LISTEN_ENV "=%d", fd);
	fcntl(fd, F_SETFD, 0);
	execve("/proc/self/exe", argv, envp);
	return -errno;
}

/* Before main(): the new image of exec_and_listen() runs no tests. */
static void __attribute__((constructor)) listen_if_asked(void)
{
	const char *value = getenv(LISTEN_ENV);
	uint64_t word;

	if (!value)
		return;
	child_tell(atoi(value), 1);
	child_hear(atoi(value), &word);
	_exit(0);
}

int pidfd_of(pid_t pid)
{
	int fd = syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

/* A message of one byte with room for one descriptor. */
struct fd_message {
	struct msghdr msg;
	struct iovec iov;
	char byte;
	union {
		char buf[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} u;
};

static void fd_message_init(struct fd_message *m)
{
	*m = (struct fd_message){ .iov = { &m->byte, 1 } };
	m->msg.msg_iov = &m->iov;
	m->msg.msg_iovlen = 1;
	m->msg.msg_control = m->u.buf;
	m->msg.msg_controllen = sizeof(m->u.buf);
}

int fd_send(int sock, int fd)
{
	struct fd_message m;
	struct cmsghdr *c;

	fd_message_init(&m);
	c = CMSG_FIRSTHDR(&m.msg);
	*c = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &m.msg, 0) == 1 ? 0 : -errno;
}

int fd_receive(int sock)
{
	struct fd_message m;
	struct cmsghdr *c;
	int fd;

	fd_message_init(&m);
	if (recvmsg(sock, &m.msg, MSG_CMSG_CLOEXEC) != 1)
		return -EIO;
	c = CMSG_FIRSTHDR(&m.msg);
	if (!c || c->cmsg_type != SCM_RIGHTS)
		return -ENOMSG;
	memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

void become_nobody(void)
{
	if (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
	    setresuid(65534, 65534, 65534))
		give_up("setresuid");
	/* So that we may still look into our own /proc files. */
	prctl(PR_SET_DUMPABLE, 1);
}

void drop_capability(int cap)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (syscall(SYS_capget, &head, data))
		give_up("capget");
	data[cap / 32].effective &= ~(1U << cap % 32);
	data[cap / 32].permitted &= ~(1U << cap % 32);
	data[cap / 32].inheritable &= ~(1U << cap % 32);
	if (syscall(SYS_capset, &head, data))
		give_up("capset");
}
