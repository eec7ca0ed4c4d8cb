#include "store/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int place_code(int error)
{
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? ERR_FULL : ERR_IO;
}

static int fail(struct err *err, int error, const char *what, const char *path)
{
    int code = err_set(err, place_code(error), "%s: %s", what, strerror(error));
    err_where(err, "%s", path);
    if (code == ERR_FULL)
        err_fix(err, "free room on its file system");
    else
        err_fix(err, "check that the path exists and that this user may write there");
    return code;
}

int place_make(const char *path, struct err *err)
{
    struct stat status;
    if (mkdir(path, 0700) == 0)
        return 0;
    int error = errno;
    if (error == EEXIST && stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return 0;
    if (error == ENOENT) {
        int code = err_set(err, ERR_NOT_FOUND, "the directory above the store does not exist");
        err_where(err, "%s", path);
        err_fix(err, "make the directory above it first");
        return code;
    }
    return fail(err, error == EEXIST ? ENOTDIR : error, "cannot make the store's directory", path);
}

/* The pid that the holder of the lock wrote; 0 when there is none to read yet. */
static long holder(int fd)
{
    char text[32];
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    if (size <= 0)
        return 0;
    text[size] = '\0';
    return strtol(text, NULL, 10);
}

static int busy(int fd, const char *path, struct err *err)
{
    long pid = holder(fd);
    int code = pid > 0 ? err_set(err, ERR_BUSY, "the store is in use by process %ld", pid)
                       : err_set(err, ERR_BUSY, "the store is in use by another process");
    err_where(err, "%s", path);
    err_fix(err, "stop that process, or use another directory");
    return code;
}

static int write_pid(int fd)
{
    char text[32];
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) < 0)
        return errno;
    ssize_t written = pwrite(fd, text, (size_t)size, 0);
    if (written == size)
        return 0;
    return written < 0 ? errno : ENOSPC;
}

int place_lock(const char *path, int *ret_fd, struct err *err)
{
    char *name = xasprintf("%s/lock", path);
    int code = 0, error = 0;
    int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        code = fail(err, errno, "cannot open the store's lock file", name);
    else if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        code = errno == EWOULDBLOCK ? busy(fd, path, err)
                                    : fail(err, errno, "cannot lock the store", name);
    else if ((error = write_pid(fd)) != 0)
        code = fail(err, error, "cannot write the store's lock file", name);
    if (code == 0)
        *ret_fd = fd;
    else if (fd >= 0)
        close(fd);
    free(name);
    return code;
}

static int sync_directory(const char *path, struct err *err)
{
    int code = 0;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    /* A directory that we may pass through but not read is not ours to sync. */
    if (fd < 0 && errno == EACCES)
        return 0;
    if (fd < 0)
        return fail(err, errno, "cannot open the directory", path);
    /* Some file systems have nothing to do for a directory and say so with EINVAL. */
    if (fsync(fd) < 0 && errno != EINVAL)
        code = fail(err, errno, "cannot make the directory durable", path);
    close(fd);
    return code;
}

int place_sync(const char *path, struct err *err)
{
    char *above = xasprintf("%s/..", path);
    int code = sync_directory(path, err);
    if (code == 0)
        code = sync_directory(above, err);
    free(above);
    return code;
}
