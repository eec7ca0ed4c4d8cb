#include "hostd/record.h"

#include "proto/wire.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RECORD_MAX 512

static int failed(const char *what, const char *path, struct err *err)
{
    int error = errno;
    err_set(err, ERR_IO, "%s: %s", what, strerror(error));
    err_where(err, "%s", path);
    return ERR_IO;
}

/* In one step: a reader sees the old text or the new one. */
static int replace_file(const char *path, const char *text, struct err *err)
{
    char *draft = xasprintf("%s.new", path);
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t size = strlen(text);
    bool good = fd >= 0 && write(fd, text, size) == (ssize_t)size;
    if (fd >= 0 && close(fd) != 0)
        good = false;
    if (good && rename(draft, path) != 0)
        good = false;
    int rc = good ? 0 : failed("the file can't be written", path, err);
    free(draft);
    return rc;
}

static ssize_t read_file(const char *path, char *ret_text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t got = read(fd, ret_text, size - 1);
    close(fd);
    if (got >= 0)
        ret_text[got] = '\0';
    return got;
}

int record_write(const struct run_paths *paths, const struct record *record, struct err *err)
{
    char *path = xasprintf("%s/instances/%s", paths->run, record->instance);
    char *text = xasprintf("%ld %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu32 " %s\n",
                           (long)record->pid, record->starttime, record->boot, record->memory_bytes,
                           record->restarts, record->agent);
    int rc = replace_file(path, text, err);
    free(text);
    free(path);
    return rc;
}

void record_remove(const struct run_paths *paths, const char *instance)
{
    char *path = xasprintf("%s/instances/%s", paths->run, instance);
    (void)unlink(path);
    free(path);
}

static bool parse(const char *name, const char *text, struct record *ret_record)
{
    struct record record = {0};
    struct uuid id;
    long pid = 0;
    /* The width is LIMIT_NAME_BYTES; a longer name leaves a rest, which the name's check refuses.
     */
    if (typeid_parse_as(name, "inst", &id, NULL) != 0 ||
        sscanf(text, "%ld %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu32 " %64s", &pid,
               &record.starttime, &record.boot, &record.memory_bytes, &record.restarts,
               record.agent) != 6)
        return false;
    if (pid < 0 || pid > INT32_MAX || !wire_name_valid(record.agent, strlen(record.agent)))
        return false;
    record.pid = (pid_t)pid;
    snprintf(record.instance, sizeof record.instance, "%s", name);
    *ret_record = record;
    return true;
}

static void visit_file(const char *dir, const char *name, record_fn visit, void *context)
{
    char text[RECORD_MAX];
    struct record record;
    char *path = xasprintf("%s/%s", dir, name);
    if (read_file(path, text, sizeof text) > 0 && parse(name, text, &record))
        visit(context, &record);
    else
        (void)unlink(path);
    free(path);
}

static int not_hidden(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int record_each(const struct run_paths *paths, record_fn visit, void *context, struct err *err)
{
    char *dir = xasprintf("%s/instances", paths->run);
    struct dirent **names = NULL;
    int count = scandir(dir, &names, not_hidden, alphasort);
    int rc = count < 0 ? failed("the directory can't be read", dir, err) : 0;
    for (int i = 0; i < count; i++) {
        visit_file(dir, names[i]->d_name, visit, context);
        free(names[i]);
    }
    free(names);
    free(dir);
    return rc;
}

int record_host_id(const struct run_paths *paths, char ret_id[TYPEID_TEXT_SIZE], struct err *err)
{
    return run_own_id(paths, "host_id", "host", ret_id, err);
}
