/* Many processes that look like HAProxy, as any user of a host can start them, each as
 * large as the kernel allows. Root starts "hostile N", which becomes another user's.
 * The processes run a copy of this program that is called haproxy, listen, and have
 * HAProxy's signal handlers. Variables of the environment say what is large:
 *
 *   HOSTILE_EXE      path of the copy
 *   HOSTILE_UID      the user, else nobody
 *   HOSTILE_GROUPS   groups of each
 *   HOSTILE_PIECES   arguments of each, of two bytes
 *   HOSTILE_NAME     control characters in the name of the configuration of each
 *   HOSTILE_CONFIG   the configuration of all, instead of one for each
 *   HOSTILE_FUSE     a folder: each has a file open of a file system there (FUSE) that
 *                    answers to no close. Any user can mount one in a user namespace
 *   HOSTILE_EXEC     each executes a program that closes such a file, and so never begins
 *   HOSTILE_SOCKETS  further listening sockets of each
 *   HOSTILE_DATAGRAMS  UDP sockets of each, of one port: in one slot of the kernel's table
 *   HOSTILE_COPIES   descriptors of each, all of one listening socket
 *
 * "hostile measure FILE COMMAND..." runs a command and writes its memory in KiB and its
 * CPU in milliseconds to a file. */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/fuse.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ready_fd = 3, nobody = 65534 };

static long number(const char *variable)
{
	const char *text = getenv(variable);
	return text ? atol(text) : 0;
}

static void handler(int signal) { (void)signal; }

static int listener(unsigned address, long port)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any) || listen(fd, 1))
		err(1, "listen");
	return fd;
}

static void datagram(unsigned address, long port)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(address), .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	if (fd < 0 || bind(fd, (struct sockaddr *)&any, sizeof any))
		err(1, "bind");
}

static void open_close_on_exec(const char *folder)
{
	char file[256];

	snprintf(file, sizeof file, "%s/file", folder);
	if (open(file, O_RDONLY | O_CLOEXEC) < 0)
		err(1, "open %s", file);
}

/* be_large is what the processes do: they say that they are ready, and stay. */
static void be_large(void)
{
	int wanted[] = { SIGUSR1, SIGTTIN, SIGTTOU };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 3; i++)
		signal(wanted[i], handler);
	for (long i = number("HOSTILE_SOCKETS"); i > 0; i--)
		listener(0x7f010001 + (number("HOSTILE_CHILD") << 8), 1024 + i);
	for (long i = number("HOSTILE_DATAGRAMS"); i > 0; i--)
		datagram(0x7f020000 + (number("HOSTILE_CHILD") << 16) + i, 9999);
	if (!getenv("HOSTILE_FUSE")) /* without a listener each descriptor is looked at */
		listener(INADDR_LOOPBACK, 0);
	if (write(ready_fd, "", 1) != 1)
		err(1, "say ready");
	close(ready_fd);
	if (getenv("HOSTILE_EXEC")) {
		open_close_on_exec(getenv("HOSTILE_FUSE"));
		execl(getenv("HOSTILE_EXE"), "haproxy", NULL);
	}
	for (;;)
		pause();
}

/* is_ours tells whether a process runs this program, which is to end with the test. */
static int is_ours(int pid)
{
	char path[32], name[16] = "";
	FILE *comm;

	snprintf(path, sizeof path, "/proc/%d/comm", pid);
	comm = fopen(path, "r");
	if (!comm)
		return 1;
	if (!fgets(name, sizeof name, comm))
		name[0] = 0;
	fclose(comm);
	return !strcmp(name, "haproxy\n") || !strcmp(name, "hostile\n");
}

/* serve_files answers what it takes to open a file. The close of a descriptor in
 * another program waits for an answer that never comes. */
static void serve_files(int fuse)
{
	static char request[1 << 17];
	struct {
		struct fuse_out_header head;
		union {
			struct fuse_init_out init;
			struct fuse_entry_out entry;
			struct fuse_attr_out attr;
			struct fuse_open_out open;
		};
	} answer;

	for (;;) {
		struct fuse_in_header *in = (void *)request;
		size_t size = 0;

		if (read(fuse, request, sizeof request) < 0)
			err(1, "file system");
		memset(&answer, 0, sizeof answer);
		switch (in->opcode) {
		case FUSE_INIT:
			answer.init.major = FUSE_KERNEL_VERSION;
			answer.init.minor = FUSE_KERNEL_MINOR_VERSION;
			answer.init.max_write = 4096;
			size = sizeof answer.init;
			break;
		case FUSE_LOOKUP:
			answer.entry.nodeid = 2;
			answer.entry.attr.ino = 2;
			answer.entry.attr.mode = S_IFREG | 0666;
			answer.entry.attr.nlink = 1;
			size = sizeof answer.entry;
			break;
		case FUSE_GETATTR:
			answer.attr.attr.ino = in->nodeid;
			answer.attr.attr.mode = in->nodeid == 1 ? S_IFDIR | 0777 : S_IFREG | 0666;
			answer.attr.attr.nlink = 1;
			size = sizeof answer.attr;
			break;
		case FUSE_OPEN:
			answer.open.fh = 1;
			size = sizeof answer.open;
			break;
		default:
			if (getenv("HOSTILE_EXEC") ? (int)in->pid != getppid() : !is_ours(in->pid))
				continue;
		}
		answer.head.len = sizeof answer.head + size;
		answer.head.unique = in->unique;
		if (write(fuse, &answer, answer.head.len) < 0)
			err(1, "file system");
	}
}

static void open_file(const char *folder)
{
	char options[64], file[256];
	int fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);

	snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0,allow_other", fuse);
	if (fuse < 0 || mount("hostile", folder, "fuse", MS_NOSUID | MS_NODEV, options))
		err(1, "mount %s", folder);
	if (fork() == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve_files(fuse);
	}
	close(fuse);
	snprintf(file, sizeof file, "%s/file", folder);
	if (open(file, O_RDONLY) < 0)
		err(1, "open %s", file);
}

static void become(long i)
{
	long pieces = number("HOSTILE_PIECES"), groups = number("HOSTILE_GROUPS");
	long uid = getenv("HOSTILE_UID") ? number("HOSTILE_UID") : nobody;
	char **args = calloc(pieces + 5, sizeof *args), name[256] = "", config[300], index[32];
	gid_t *list = calloc(groups + 1, sizeof *list);

	for (long n = 0; n < number("HOSTILE_NAME") && n < 255; n++)
		name[n] = 1 + (i + n) % 31;
	snprintf(config, sizeof config, "/home/%s%ld.cfg", name, i);
	args[0] = "haproxy", args[1] = "-D", args[2] = "-f";
	args[3] = getenv("HOSTILE_CONFIG") ? getenv("HOSTILE_CONFIG") : config;
	for (long n = 0; n < pieces; n++)
		args[4 + n] = "-d";
	for (long n = 0; n < groups; n++)
		list[n] = 100000 + n;
	if (setgroups(groups, list) || setresgid(nobody, nobody, nobody) || setresuid(uid, uid, uid))
		err(1, "become another user");
	snprintf(index, sizeof index, "%ld", i);
	setenv("HOSTILE_CHILD", index, 1);
	execv(getenv("HOSTILE_EXE"), args);
	err(1, "execute");
}

static int measure(char **args)
{
	struct rusage used;
	int status;
	FILE *out;
	pid_t child = fork();

	if (child == 0) {
		execvp(args[1], args + 1);
		err(127, "execute %s", args[1]);
	}
	if (child < 0 || wait4(child, &status, 0, &used) != child)
		err(1, "wait");
	out = fopen(args[0], "w");
	if (!out)
		err(1, "%s", args[0]);
	fprintf(out, "%ld %ld\n", used.ru_maxrss,
		(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000 + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1000);
	fclose(out);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

int main(int argc, char **argv)
{
	struct rlimit stack = { 64 << 20, 64 << 20 }, files;
	int ends[2];
	char byte;
	long n;

	if (getenv("HOSTILE_CHILD"))
		be_large();
	if (argc > 3 && !strcmp(argv[1], "measure"))
		return measure(argv + 2);
	n = argc > 1 ? atol(argv[1]) : 0;
	if (getrlimit(RLIMIT_NOFILE, &files) || (files.rlim_cur = files.rlim_max, setrlimit(RLIMIT_NOFILE, &files)) ||
	    setrlimit(RLIMIT_STACK, &stack) || pipe2(ends, O_CLOEXEC))
		err(1, "prepare");
	if (getenv("HOSTILE_FUSE"))
		open_file(getenv("HOSTILE_FUSE"));
	if (number("HOSTILE_COPIES")) {
		int fd = listener(INADDR_LOOPBACK, 0);
		for (long i = number("HOSTILE_COPIES"); i > 0; i--)
			if (dup(fd) < 0)
				err(1, "dup");
	}
	for (long i = 0; i < n; i++) {
		pid_t child = fork();
		if (child < 0)
			err(1, "fork");
		if (child == 0) {
			if (ends[1] == ready_fd || dup2(ends[1], ready_fd) < 0)
				errx(1, "pass the pipe");
			become(i);
		}
	}
	close(ends[1]);
	for (; n > 0; n--)
		if (read(ends[0], &byte, 1) != 1)
			errx(1, "%ld processes are not ready", n);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}
