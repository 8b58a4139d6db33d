/* Starts many processes that look like HAProxy daemons of as many services:
 *
 *     haproxy many NUMBER
 *
 * Each catches the signals that HAProxy catches, listens on a port of its own, and
 * has a configuration path of its own, of control characters. It ends when all of
 * them are there. */
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void nothing(int signal) { (void)signal; }

static int serve(void)
{
	int one = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	if (signal(SIGUSR1, nothing) == SIG_ERR || signal(SIGTTIN, nothing) == SIG_ERR || signal(SIGTTOU, nothing) == SIG_ERR)
		return 1;
	if (setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) || setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)))
		return 1;
	if (bind(listener, (struct sockaddr *)&any, sizeof(any)) || listen(listener, 1))
		return 1;
	if (write(3, "", 1) != 1)
		return 1;
	close(3);
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int there[2], n, number;
	char path[256], byte;

	if (argc < 3 || strcmp(argv[1], "many"))
		return serve();
	number = atoi(argv[2]);
	if (pipe(there) || dup2(there[1], 10) != 10)
		return 1;
	memset(path, 1, sizeof(path));
	path[0] = '/';
	for (n = 0; n < number; n++) {
		sprintf(path + 195, "%05d", n);
		switch (fork()) {
		case -1:
			perror("fork");
			return 1;
		case 0:
			if (setsid() == -1 || dup2(10, 3) != 3)
				_exit(1);
			for (n = 4; n < 16; n++)
				close(n);
			execl(argv[0], argv[0], "-D", "-f", path, (char *)NULL);
			_exit(1);
		}
	}
	for (n = 0; n < number; n++)
		if (read(there[0], &byte, 1) != 1)
			return 1;
	return 0;
}
