/* A library for LD_PRELOAD that makes rare moments of HAProxy's last. Each is
 * asked for by a variable of the environment. It uses only what glibc has had for
 * long, because it is built here and runs in the roots of older releases. */
#define _GNU_SOURCE
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

extern pid_t __fork(void);
extern char **environ;

static int wait_for(const char *variable)
{
	const char *text = getenv(variable);
	struct timespec t;

	if (!text)
		return 0;
	t.tv_sec = atoi(text) / 1000;
	t.tv_nsec = atoi(text) % 1000 * 1000000L;
	nanosleep(&t, NULL);
	return 1;
}

/* FORK_MS: each fork takes that long. */
pid_t fork(void)
{
	wait_for("FORK_MS");
	return __fork();
}

/* SESSION_MS: to begin a session takes that long. */
pid_t setsid(void)
{
	wait_for("SESSION_MS");
	return syscall(SYS_setsid);
}

/* BIND_MS: so long is a pause between two attempts to bind, which HAProxy makes
 * by a select that waits for nothing. */
int select(int n, fd_set *r, fd_set *w, fd_set *e, struct timeval *tv)
{
	struct timespec t;

	if (n == 0 && wait_for("BIND_MS"))
		return 0;
	if (!tv)
		return pselect(n, r, w, e, NULL, NULL);
	t.tv_sec = tv->tv_sec;
	t.tv_nsec = tv->tv_usec * 1000L;
	return pselect(n, r, w, e, &t, NULL);
}

/* LOSE_LIST: a master that executes itself again does so without the list of
 * those that are to finish. */
int execvp(const char *file, char *const argv[])
{
	char **kept = (char **)argv;
	int i, n = 0, list = 0;

	if (getenv("LOSE_LIST")) {
		for (i = 0; argv[i]; i++)
			;
		kept = calloc(i + 1, sizeof(*kept));
		for (i = 0; argv[i]; i++) {
			if (strcmp(argv[i], "-sf") == 0 || strcmp(argv[i], "-st") == 0)
				list = 1;
			else if (!list || argv[i][0] < '0' || argv[i][0] > '9') {
				list = 0;
				kept[n++] = argv[i];
			}
		}
	}
	return execvpe(file, kept, environ);
}

/* APART: a thread of each worker has a table of descriptors of its own, and in it a
 * listener that the other threads know nothing of. It is no thread of the C library's:
 * it shares the variables of the one that starts it, and makes system calls alone. */
static char apart_stack[65536] __attribute__((aligned(16)));
static pid_t apart_of;

static int apart(void *unused)
{
	static const struct sockaddr_in any = { .sin_family = AF_INET };
	int fd;

	(void)unused;
	syscall(SYS_unshare, CLONE_FILES);
	for (fd = 3; fd < 1024; fd++)
		syscall(SYS_close, fd);
	fd = syscall(SYS_socket, AF_INET, SOCK_STREAM, 0);
	syscall(SYS_bind, fd, &any, sizeof(any));
	syscall(SYS_listen, fd, 1);
	for (;;)
		syscall(SYS_pselect6, 0, NULL, NULL, NULL, NULL, NULL);
	return 0;
}

/* A thread of HAProxy's makes an epoll set of its own when it starts. */
static void start_apart(void)
{
	sigset_t all, before;

	if (!getenv("APART") || syscall(SYS_gettid) == getpid() || apart_of == getpid())
		return;
	apart_of = getpid();
	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, &before);
	clone(apart, apart_stack + sizeof(apart_stack), CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM, NULL);
	sigprocmask(SIG_SETMASK, &before, NULL);
}

int epoll_create1(int flags)
{
	start_apart();
	return syscall(SYS_epoll_create1, flags);
}

int epoll_create(int size)
{
	(void)size;
	start_apart();
	return syscall(SYS_epoll_create1, 0);
}
