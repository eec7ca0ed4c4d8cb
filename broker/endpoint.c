#include "broker/endpoint.h"

#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define IPC_PREFIX "ipc://"
#define TCP_PREFIX "tcp://"

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static int refuse(struct err *err, int code, const char *endpoint, const char *what,
                  const char *fix)
{
    err_set(err, code, "%s", what);
    err_where(err, "%s", endpoint);
    err_fix(err, "%s", fix);
    return code;
}

static int check_ipc(const char *endpoint, struct err *err)
{
    const char *path = endpoint + strlen(IPC_PREFIX);
    if (path[0] != '/')
        return refuse(err, ERR_INVALID, endpoint,
                      "an ipc endpoint needs the absolute path of a file",
                      "write ipc:///absolute/path");
    if (strlen(path) >= sizeof((struct sockaddr_un *)0)->sun_path)
        return refuse(err, ERR_TOO_LARGE, endpoint, "the socket's path is longer than 107 bytes",
                      "choose a shorter path");
    return 0;
}

/* "127." followed by digits and dots alone: "127.example.org" is a name, and anywhere. */
static bool is_loopback(const char *host, size_t size)
{
    if (size == 9 && memcmp(host, "localhost", 9) == 0)
        return true;
    if (size == 5 && memcmp(host, "[::1]", 5) == 0)
        return true;
    return size > 4 && starts_with(host, "127.") && strspn(host, "0123456789.") >= size;
}

static int check_tcp(const char *endpoint, struct err *err)
{
    const char *host = endpoint + strlen(TCP_PREFIX);
    const char *colon = strrchr(host, ':');
    if (!colon || colon == host || colon[1] == '\0')
        return refuse(err, ERR_INVALID, endpoint, "a tcp endpoint needs a host and a port",
                      "write tcp://127.0.0.1:PORT");
    if (is_loopback(host, (size_t)(colon - host)))
        return 0;
    return refuse(err, ERR_NOT_ALLOWED, endpoint,
                  "tcp is served on the loopback interface only: connections of other hosts are "
                  "neither encrypted nor authenticated yet",
                  "use ipc:// or tcp://127.0.0.1:PORT");
}

int endpoint_check(const char *endpoint, struct err *err)
{
    if (starts_with(endpoint, IPC_PREFIX))
        return check_ipc(endpoint, err);
    if (starts_with(endpoint, TCP_PREFIX))
        return check_tcp(endpoint, err);
    return refuse(err, ERR_INVALID, endpoint, "this kind of endpoint is not served",
                  "use ipc:///absolute/path or tcp://127.0.0.1:PORT");
}

int endpoint_check_free(const char *endpoint, struct err *err)
{
    if (!starts_with(endpoint, IPC_PREFIX))
        return 0;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = endpoint + strlen(IPC_PREFIX);
    memcpy(address.sun_path, path, strnlen(path, sizeof address.sun_path - 1));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return 0; /* binding will tell what is wrong */
    bool answered = connect(fd, (struct sockaddr *)&address, sizeof address) == 0;
    close(fd);
    if (!answered)
        return 0;
    return refuse(err, ERR_CONFLICT, endpoint, "another process listens on this endpoint",
                  "stop it, or choose another endpoint");
}
