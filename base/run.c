#include "base/run.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* sun_path holds a NUL too. */
#define SOCKET_PATH_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)

static const char *set_and_absolute(const char *name)
{
    const char *text = getenv(name);
    return text && text[0] == '/' ? text : NULL;
}

static char *default_dir(struct err *err)
{
    const char *own = getenv("AGENTFACTORY_DIR");
    if (own && *own)
        return xstrdup(own);
    /* systemd gives a list parted by colons when a unit has several; the first one is ours. */
    const char *state = set_and_absolute("STATE_DIRECTORY");
    if (state)
        return xstrndup(state, strcspn(state, ":"));
    const char *xdg = set_and_absolute("XDG_STATE_HOME");
    if (xdg)
        return xasprintf("%s/agentfactory", xdg);
    const char *home = set_and_absolute("HOME");
    if (home)
        return xasprintf("%s/.local/state/agentfactory", home);
    err_set(err, ERR_NOT_FOUND, "there is no home directory to keep the state in");
    err_fix(err, "give --dir DIR or set AGENTFACTORY_DIR");
    return NULL;
}

static void trim_slashes(char *path)
{
    size_t size = strlen(path);
    while (size > 1 && path[size - 1] == '/')
        path[--size] = '\0';
}

static int make_absolute(char **path_p, struct err *err)
{
    trim_slashes(*path_p);
    if ((*path_p)[0] == '/')
        return 0;
    char *here = getcwd(NULL, 0);
    if (!here)
        return err_set(err, ERR_IO, "the working directory has no name: %s", strerror(errno));
    char *path = xasprintf("%s/%s", here, *path_p);
    free(here);
    free(*path_p);
    *path_p = path;
    return 0;
}

static int check_socket_path(const char *dir, struct err *err)
{
    size_t size = strlen(dir) + strlen("/run/publish.sock");
    if (size <= SOCKET_PATH_MAX)
        return 0;
    err_set(err, ERR_TOO_LARGE, "the directory's name is too long for its sockets by %zu bytes",
            size - SOCKET_PATH_MAX);
    err_where(err, "%s", dir);
    err_fix(err, "give a shorter --dir");
    return ERR_TOO_LARGE;
}

int run_paths_init(struct run_paths *paths, const char *dir, struct err *err)
{
    char *base = dir && *dir ? xstrdup(dir) : default_dir(err);
    if (!base)
        return ERR_NOT_FOUND;
    int rc = make_absolute(&base, err);
    if (rc == 0)
        rc = check_socket_path(base, err);
    if (rc) {
        free(base);
        return rc;
    }
    *paths = (struct run_paths){
        .dir = base,
        .store = xasprintf("%s/store", base),
        .run = xasprintf("%s/run", base),
        .log = xasprintf("%s/log", base),
        .scratch = xasprintf("%s/scratch", base),
        .broker_endpoint = xasprintf("ipc://%s/run/broker.sock", base),
        .events_endpoint = xasprintf("ipc://%s/run/events.sock", base),
        .publish_endpoint = xasprintf("ipc://%s/run/publish.sock", base),
    };
    return 0;
}

void run_paths_release(struct run_paths *paths)
{
    char *const texts[] = {paths->dir,
                           paths->store,
                           paths->run,
                           paths->log,
                           paths->scratch,
                           paths->broker_endpoint,
                           paths->events_endpoint,
                           paths->publish_endpoint};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        free(texts[i]);
    *paths = (struct run_paths){0};
}

static int directory_failed(const char *path, struct err *err)
{
    int error = errno;
    err_set(err, ERR_IO, "the directory can't be made: %s", strerror(error));
    err_where(err, "%s", path);
    err_fix(err, "give another --dir, or make it writable for this user");
    return ERR_IO;
}

static int make_directory(const char *path, struct err *err)
{
    if (mkdir(path, 0700) == 0)
        return 0;
    struct stat status;
    if (errno == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return 0;
    return directory_failed(path, err);
}

static int make_with_parents(const char *path, struct err *err)
{
    char *copy = xstrdup(path);
    int rc = 0;
    for (char *slash = strchr(copy + 1, '/'); slash && rc == 0; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        rc = make_directory(copy, err);
        *slash = '/';
    }
    if (rc == 0)
        rc = make_directory(copy, err);
    free(copy);
    return rc;
}

int run_paths_make(const struct run_paths *paths, struct err *err)
{
    const char *const below[] = {"store", "run", "run/instances", "log", "scratch", "agents"};
    int rc = make_with_parents(paths->dir, err);
    for (size_t i = 0; rc == 0 && i < sizeof below / sizeof below[0]; i++) {
        char *path = xasprintf("%s/%s", paths->dir, below[i]);
        rc = make_directory(path, err);
        free(path);
    }
    return rc;
}

/* Reads a small file whole into a NUL-terminated text; returns its size or -1. */
static ssize_t read_small(const char *path, char *ret_text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t got = read(fd, ret_text, size - 1);
    int error = errno;
    close(fd);
    errno = error;
    if (got >= 0)
        ret_text[got] = '\0';
    return got;
}

/* Field 2 of stat is the program's name in parentheses and may hold anything, so fields are counted
 * from the last parenthesis: field 3, the state, comes right behind it. */
static bool read_stat(pid_t pid, char *ret_state, uint64_t *ret_starttime)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    if (read_small(path, text, sizeof text) <= 0)
        return false;
    const char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || at[2] == '\0')
        return false;
    *ret_state = at[2];
    at += 2;
    for (int field = 3; at && field < 22; field++)
        at = strchr(at + 1, ' ');
    if (!at)
        return false;
    char *end = NULL;
    *ret_starttime = strtoull(at, &end, 10);
    return end != at;
}

int run_process_starttime(pid_t pid, uint64_t *ret_starttime, struct err *err)
{
    char state = 0;
    uint64_t starttime = 0;
    if (pid <= 0 || !read_stat(pid, &state, &starttime))
        return err_set(err, ERR_NOT_FOUND, "there is no process %ld", (long)pid);
    *ret_starttime = starttime;
    return 0;
}

bool run_process_alive(pid_t pid, uint64_t starttime)
{
    char state = 0;
    uint64_t found = 0;
    return pid > 0 && read_stat(pid, &state, &found) && found == starttime && state != 'Z' &&
           state != 'X';
}

static int write_failed(const char *path, struct err *err)
{
    int error = errno;
    err_set(err, ERR_IO, "the file can't be written: %s", strerror(error));
    err_where(err, "%s", path);
    return ERR_IO;
}

static int write_file(const char *path, const char *text, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return write_failed(path, err);
    size_t size = strlen(text);
    bool good = write(fd, text, size) == (ssize_t)size;
    if (close(fd) != 0)
        good = false;
    return good ? 0 : write_failed(path, err);
}

/* In one step: a reader sees the old text or the new one. */
static int replace_file(const char *path, const char *text, struct err *err)
{
    char *draft = xasprintf("%s.new", path);
    int rc = write_file(draft, text, err);
    if (rc == 0 && rename(draft, path) != 0)
        rc = write_failed(path, err);
    free(draft);
    return rc;
}

int run_write_pid(const struct run_paths *paths, const char *name, struct err *err)
{
    uint64_t starttime = 0;
    int rc = run_process_starttime(getpid(), &starttime, err);
    if (rc)
        return rc;
    char *path = xasprintf("%s/%s.pid", paths->run, name);
    char *text = xasprintf("%ld %" PRIu64 "\n", (long)getpid(), starttime);
    rc = replace_file(path, text, err);
    free(text);
    free(path);
    return rc;
}

int run_read_pid(const struct run_paths *paths, const char *name, pid_t *ret_pid,
                 uint64_t *ret_starttime, struct err *err)
{
    char text[64];
    char *path = xasprintf("%s/%s.pid", paths->run, name);
    int rc = 0;
    long pid = 0;
    uint64_t starttime = 0;
    if (read_small(path, text, sizeof text) < 0)
        rc = err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "the file can't be read: %s",
                     strerror(errno));
    else if (sscanf(text, "%ld %" SCNu64, &pid, &starttime) != 2 || pid <= 0 || pid > INT32_MAX)
        rc = err_set(err, ERR_MALFORMED, "the file does not hold a process id and a start time");
    if (rc) {
        err_where(err, "%s", path);
    } else {
        *ret_pid = (pid_t)pid;
        *ret_starttime = starttime;
    }
    free(path);
    return rc;
}

void run_remove_pid(const struct run_paths *paths, const char *name)
{
    char *path = xasprintf("%s/%s.pid", paths->run, name);
    (void)unlink(path);
    free(path);
}

static int lock_failed(const struct run_paths *paths, const char *name, const char *path,
                       struct err *err)
{
    int error = errno;
    if (error != EWOULDBLOCK)
        return write_failed(path, err);
    pid_t pid = 0;
    uint64_t starttime = 0;
    if (run_read_pid(paths, name, &pid, &starttime, NULL) == 0)
        err_set(err, ERR_CONFLICT, "another %s runs on this directory (process %ld)", name,
                (long)pid);
    else
        err_set(err, ERR_CONFLICT, "another %s runs on this directory", name);
    err_where(err, "%s", paths->dir);
    err_fix(err, "stop it, or give another --dir");
    return ERR_CONFLICT;
}

int run_lock(const struct run_paths *paths, const char *name, int *ret_fd, struct err *err)
{
    char *path = xasprintf("%s/%s.lock", paths->run, name);
    int rc = 0;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        rc = write_failed(path, err);
    } else if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        rc = lock_failed(paths, name, path, err);
        close(fd);
    } else {
        *ret_fd = fd;
    }
    free(path);
    return rc;
}

static int make_own_id(const char *path, const char *prefix, char ret_id[TYPEID_TEXT_SIZE],
                       struct err *err)
{
    typeid_text(prefix, uuid_new(), ret_id);
    char *text = xasprintf("%s\n", ret_id);
    int rc = replace_file(path, text, err);
    free(text);
    return rc;
}

int run_own_id(const struct run_paths *paths, const char *file, const char *prefix,
               char ret_id[TYPEID_TEXT_SIZE], struct err *err)
{
    char text[TYPEID_TEXT_SIZE + 1];
    struct uuid id;
    char *path = xasprintf("%s/%s", paths->dir, file);
    int rc = 0;
    ssize_t size = read_small(path, text, sizeof text);
    if (size < 0 && errno == ENOENT) {
        rc = make_own_id(path, prefix, ret_id, err);
    } else if (size < 0) {
        rc = err_set(err, ERR_IO, "the file can't be read: %s", strerror(errno));
        err_where(err, "%s", path);
    } else {
        text[strcspn(text, "\n")] = '\0';
        rc = typeid_parse_as(text, prefix, &id, err);
        if (rc == 0)
            memcpy(ret_id, text, strlen(text) + 1);
        else
            err_where(err, "%s", path);
    }
    free(path);
    return rc;
}

void run_raise_open_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
}
