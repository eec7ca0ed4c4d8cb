#include "agentd/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    SWEEP_FILES = 1000, /* removed by one call */
    DEPTH_MAX = 64,     /* deeper directories are moved up first */
    OWN_TRIES = 100,    /* a millisecond apart */
};
#define TRASH_PREFIX "trash_"

struct trash {
    struct trash *next;
    char *path;
};

struct scratch {
    char *dir, *instance_dir;
    int lock_fd;
    uint64_t number, moves; /* of directories made, and moved up */
    struct trash *trash;
};

/* One removal within its budget. */
struct removal {
    int top_fd;
    unsigned budget, progress;
    uint64_t *moves;
};

static int make_directory(const char *path, struct err *err)
{
    if (mkdir(path, 0700) == 0 || errno == EEXIST)
        return 0;
    int code = errno == ENOSPC ? ERR_FULL : ERR_IO;
    (void)err_set(err, code, "the directory can't be made: %s", strerror(errno));
    err_where(err, "%s", path);
    err_fix(err, "give a --scratch directory that this user may write to");
    return code;
}

static int open_locked(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static void add_trash(scratch_t *self, char **path_p)
{
    struct trash *trash = xcalloc(1, sizeof *trash);
    trash->path = *path_p;
    trash->next = self->trash;
    self->trash = trash;
    *path_p = NULL;
}

/* An abandoned directory is renamed while its lock is held: whoever made it a moment ago and has
 * not locked it yet finds it gone, and makes it anew. */
static void take_abandoned(scratch_t *self, const char *name)
{
    char *path = xasprintf("%s/%s", self->dir, name);
    char *renamed = xasprintf("%s/" TRASH_PREFIX "%s", self->dir, name);
    int fd = strcmp(path, self->instance_dir) == 0 ? -1 : open_locked(path);
    if (fd >= 0 && rename(path, renamed) == 0)
        add_trash(self, &renamed);
    if (fd >= 0)
        close(fd);
    free(path);
    free(renamed);
}

/* What others left: directories whose lock can be had have no living owner; what is renamed already
 * was left by one that died while it removed it. */
static void find_abandoned(scratch_t *self)
{
    DIR *dir = opendir(self->dir);
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (strncmp(entry->d_name, TRASH_PREFIX, strlen(TRASH_PREFIX)) == 0) {
            char *path = xasprintf("%s/%s", self->dir, entry->d_name);
            add_trash(self, &path);
        } else if (strncmp(entry->d_name, "inst_", 5) == 0) {
            take_abandoned(self, entry->d_name);
        }
    }
    closedir(dir);
}

static bool is_at(int fd, const char *path)
{
    struct stat by_fd, by_path;
    return fstat(fd, &by_fd) == 0 && stat(path, &by_path) == 0 && by_fd.st_dev == by_path.st_dev &&
           by_fd.st_ino == by_path.st_ino;
}

/* Makes the instance's own directory and locks it; tried again where another process took it for
 * abandoned in between. */
static int make_own(scratch_t *self, struct err *err)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    for (int tries = 0; tries < OWN_TRIES; tries++) {
        int rc = make_directory(self->instance_dir, err);
        if (rc)
            return rc;
        int fd = open_locked(self->instance_dir);
        if (fd >= 0 && is_at(fd, self->instance_dir)) {
            self->lock_fd = fd;
            return 0;
        }
        if (fd >= 0)
            close(fd);
        (void)nanosleep(&pause, NULL);
    }
    return err_set(err, ERR_CONFLICT, "%s is in use by another process", self->instance_dir);
}

int scratch_new(const char *dir, const char *instance, scratch_t **ret_scratch, struct err *err)
{
    scratch_t *self = xcalloc(1, sizeof *self);
    self->dir = xstrdup(dir);
    self->instance_dir = xasprintf("%s/%s", dir, instance);
    self->lock_fd = -1;
    int rc = make_directory(self->dir, err);
    if (!rc)
        rc = make_own(self, err);
    if (rc) {
        scratch_destroy(&self);
        return rc;
    }
    find_abandoned(self);
    *ret_scratch = self;
    return 0;
}

int scratch_make(scratch_t *self, char **ret_path, struct err *err)
{
    char *path = xasprintf("%s/%llu", self->instance_dir, (unsigned long long)++self->number);
    int rc = make_directory(path, err);
    if (rc)
        free(path);
    else
        *ret_path = path;
    return rc;
}

void scratch_discard(scratch_t *self, char **path_p)
{
    if (*path_p)
        add_trash(self, path_p);
}

static void remove_entries(struct removal *removal, int dir_fd, unsigned depth);

/* A tree too deep to be walked with one descriptor for each level is moved up by and by. */
static void move_up(struct removal *removal, int parent_fd, const char *name)
{
    char moved[48];
    (void)snprintf(moved, sizeof moved, ".deep-%d-%llu", getpid(),
                   (unsigned long long)++*removal->moves);
    removal->progress += renameat(parent_fd, name, removal->top_fd, moved) == 0;
}

static void remove_directory(struct removal *removal, int parent_fd, const char *name,
                             unsigned depth)
{
    if (depth >= DEPTH_MAX) {
        move_up(removal, parent_fd, name);
        return;
    }
    const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(parent_fd, name, flags);
    if (fd < 0 && errno == EACCES && fchmodat(parent_fd, name, 0700, 0) == 0)
        fd = openat(parent_fd, name, flags);
    if (fd < 0)
        return;
    (void)fchmod(fd, 0700);
    remove_entries(removal, fd, depth + 1);
    removal->progress += unlinkat(parent_fd, name, AT_REMOVEDIR) == 0;
}

static void remove_entries(struct removal *removal, int dir_fd, unsigned depth)
{
    DIR *dir = fdopendir(dir_fd);
    if (!dir) {
        close(dir_fd);
        return;
    }
    for (struct dirent *entry; removal->budget && (entry = readdir(dir));) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        removal->budget--;
        if (unlinkat(dir_fd, entry->d_name, 0) == 0)
            removal->progress++;
        else if (errno == EISDIR || errno == EPERM)
            remove_directory(removal, dir_fd, entry->d_name, depth);
    }
    closedir(dir);
}

/* Whether the directory is gone, or nothing more of it can be removed. */
static bool remove_tree(scratch_t *self, const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && chmod(path, 0700) == 0)
        fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return true;
    struct removal removal = {.top_fd = dup(fd), .budget = SWEEP_FILES, .moves = &self->moves};
    (void)fchmod(fd, 0700);
    remove_entries(&removal, fd, 0);
    if (removal.top_fd >= 0)
        close(removal.top_fd);
    return rmdir(path) == 0 || removal.progress == 0;
}

bool scratch_sweep(scratch_t *self)
{
    struct trash *trash = self->trash;
    if (trash && remove_tree(self, trash->path)) {
        self->trash = trash->next;
        free(trash->path);
        free(trash);
    }
    return self->trash != NULL;
}

void scratch_destroy(scratch_t **self_p)
{
    scratch_t *self = *self_p;
    if (!self)
        return;
    while (scratch_sweep(self)) {
    }
    if (self->lock_fd >= 0) {
        (void)rmdir(self->instance_dir);
        close(self->lock_fd);
    }
    free(self->dir);
    free(self->instance_dir);
    free(self);
    *self_p = NULL;
}
