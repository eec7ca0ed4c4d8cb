/* A command agent for tests: says on a datagram socket that its task starts and ends, leaves a
 * daemonised child behind that would live long, and answers with its task's name.
 *
 *   report SOCKET MILLISECONDS
 *
 * The environment's AF_EXECUTION, AF_TASK and AF_ATTEMPT name the task. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

static void say(const char *path, const char *what)
{
    char text[512];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int size = snprintf(text, sizeof text, "%s %s %s %s", getenv("AF_EXECUTION"), getenv("AF_TASK"),
                        getenv("AF_ATTEMPT"), what);
    if (fd < 0 ||
        sendto(fd, text, (size_t)size, 0, (struct sockaddr *)&address, sizeof address) < 0) {
        perror(path);
        _exit(3);
    }
    close(fd);
}

/* It holds none of our pipes, belongs to another session, and has another parent soon. */
static void leave_child(void)
{
    if (fork() != 0)
        return;
    setsid();
    if (fork() != 0)
        _exit(0);
    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    sleep(600);
    _exit(0);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        return 64;
    long ms = strtol(argv[2], NULL, 10);
    struct timespec pause = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    say(argv[1], "start");
    leave_child();
    nanosleep(&pause, NULL);
    say(argv[1], "end");
    printf("\"%s\"\n", getenv("AF_TASK"));
    return 0;
}
