#include "hostd/sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Arguments of agentd fit; what is longer is none of ours. */
#define ARGUMENTS_MAX 8192

static ssize_t read_entry(int proc, const char *pid, const char *file, char *ret_text, size_t size)
{
    char path[64];
    snprintf(path, sizeof path, "%.20s/%s", pid, file);
    int fd = openat(proc, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t got = read(fd, ret_text, size - 1);
    close(fd);
    if (got >= 0)
        ret_text[got] = '\0';
    return got;
}

static bool is_number(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text);
}

/* "PID (NAME) STATE PPID PGRP SESSION …", where NAME may hold anything. */
static bool parse_stat(const char *pid, const char *text, struct sweep_entry *ret_entry)
{
    const char *at = strrchr(text, ')');
    char state = 0;
    int parent = 0, group = 0, session = 0;
    if (!at || sscanf(at + 1, " %c %d %d %d", &state, &parent, &group, &session) != 4)
        return false;
    *ret_entry = (struct sweep_entry){
        .pid = (pid_t)strtol(pid, NULL, 10),
        .parent = parent,
        .session = session,
        .zombie = state == 'Z' || state == 'X',
    };
    return true;
}

bool sweep_walk(sweep_fn visit, void *context)
{
    DIR *proc = opendir("/proc");
    if (!proc)
        return false;
    for (struct dirent *file; (file = readdir(proc));) {
        char text[512];
        struct sweep_entry entry;
        if (is_number(file->d_name) &&
            read_entry(dirfd(proc), file->d_name, "stat", text, sizeof text) > 0 &&
            parse_stat(file->d_name, text, &entry))
            visit(context, &entry);
    }
    closedir(proc);
    return true;
}

static bool has_argument(const char *arguments, size_t size, const char *word)
{
    for (size_t at = 0; at < size; at += strlen(arguments + at) + 1)
        if (strcmp(arguments + at, word) == 0)
            return true;
    return false;
}

pid_t sweep_find_argument(const char *word)
{
    DIR *proc = opendir("/proc");
    pid_t found = 0;
    if (!proc)
        return 0;
    for (struct dirent *file; found == 0 && (file = readdir(proc));) {
        char text[ARGUMENTS_MAX];
        if (!is_number(file->d_name))
            continue;
        ssize_t size = read_entry(dirfd(proc), file->d_name, "cmdline", text, sizeof text);
        pid_t pid = (pid_t)strtol(file->d_name, NULL, 10);
        if (size > 0 && pid != getpid() && has_argument(text, (size_t)size, word))
            found = pid;
    }
    closedir(proc);
    return found;
}
