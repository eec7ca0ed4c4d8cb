/* Definition files below paths that a person gave. */
#include "base/limits.h"
#include "definitions/definitions.h"
#include "tools/commands.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool definition_name(const char *name)
{
    const char *dot = strrchr(name, '.');
    return name[0] != '.' && dot &&
           (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
}

static int filter(const struct dirent *entry)
{
    bool folder = entry->d_type == DT_DIR && entry->d_name[0] != '.';
    return folder || definition_name(entry->d_name);
}

static int read_failed(const char *path, struct err *err)
{
    return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "can't read %s: %s", path,
                   strerror(errno));
}

static value_t *add_file(value_t *files, const char *name, const struct buf *text)
{
    value_t *file = value_map();
    value_t *added = file;
    value_set_string(file, "name", name);
    if (text) {
        value_t *content = value_string_n(buf_string(text), text->size);
        value_set(file, "text", &content);
    }
    value_append(files, &file);
    return added;
}

/* The error is the reason alone. */
static int read_text(int fd, struct buf *text, struct err *err)
{
    char chunk[65536];
    ssize_t size = 0;
    while ((size = read(fd, chunk, sizeof chunk)) > 0 && text->size <= LIMIT_DEFINITION_BYTES)
        buf_append(text, chunk, (size_t)size);
    if (size < 0)
        return err_set(err, ERR_IO, "%s", strerror(errno));
    if (text->size > LIMIT_DEFINITION_BYTES)
        return err_set(
            err, ERR_TOO_LARGE,
            "it is larger than a definition may be (%u bytes): split it into several files",
            LIMIT_DEFINITION_BYTES);
    return 0;
}

static int read_file(const char *path, value_t *files, struct err *err)
{
    struct buf text = {0};
    struct err why = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return read_failed(path, err);
    int rc = read_text(fd, &text, &why);
    if (rc)
        err_set(err, rc, "can't read %s: %s", path, why.what);
    else
        (void)add_file(files, path, &text);
    close(fd);
    buf_release(&text);
    return rc;
}

static int read_path(const char *path, int depth, value_t *files, struct err *err)
{
    struct stat info;
    struct dirent **entries = NULL;
    int rc = 0;
    if (stat(path, &info))
        return read_failed(path, err);
    if (!S_ISDIR(info.st_mode))
        return read_file(path, files, err);
    int count = scandir(path, &entries, filter, alphasort);
    if (count < 0)
        return read_failed(path, err);
    for (int i = 0; i < count; i++) {
        char *below = xasprintf("%s/%s", path, entries[i]->d_name);
        if (rc == 0 && depth < 16)
            rc = read_path(below, depth + 1, files, err);
        free(below);
        free(entries[i]);
    }
    free(entries);
    return rc;
}

void parse_definition_files(const value_t *files, struct definitions *definitions,
                            struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < value_size(files); i++) {
        const value_t *file = value_at(files, i), *text = value_get(file, "text");
        const char *name = value_get_string(file, "name", "?");
        if (!text)
            definitions_unread_rules(definitions, name, value_get_string(file, "unread", ""));
        else if (value_get_bool(file, "rules", false))
            definitions_parse_rules(value_as_string(text), value_size(text), name, definitions,
                                    diagnostics);
        else
            definitions_parse(value_as_string(text), value_size(text), name, definitions,
                              diagnostics);
    }
}

/* Whoever wrote the model chose the path, so that it may lead anywhere: to what never ends, and to
 * what is nobody else's business. */
static int read_rules_text(int fd, struct buf *text, struct err *err)
{
    struct stat info;
    if (fd < 0 || fstat(fd, &info) < 0)
        return err_set(err, ERR_IO, "%s", strerror(errno));
    if (!S_ISREG(info.st_mode))
        return err_set(err, ERR_INVALID,
                       S_ISDIR(info.st_mode) ? "it is a directory" : "it is no regular file");
    return read_text(fd, text, err);
}

static bool are_rules(const char *path, const struct buf *text)
{
    struct definitions definitions = {0};
    struct diagnostics diagnostics = {0};
    definitions_parse_rules(buf_string(text), text->size, path, &definitions, &diagnostics);
    bool are = diagnostics.errors == 0 && definitions.files[0].rules;
    definitions_release(&definitions);
    diagnostics_release(&diagnostics);
    return are;
}

static void read_rules_file(const char *path, value_t *files)
{
    struct buf text = {0};
    struct err why = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return;
    if (read_rules_text(fd, &text, &why)) {
        value_set_string(add_file(files, path, NULL), "unread", why.what);
    } else {
        value_t *file = add_file(files, path, &text);
        value_set_bool(file, "rules", true);
        if (!are_rules(path, &text))
            value_set_bool(file, "wrong", true);
    }
    if (fd >= 0)
        close(fd);
    buf_release(&text);
}

/* Files that models name for their rules go along wherever they are. What isn't there or can't be
 * read is left to the validator, which knows where it is named. */
static void read_rules(value_t *files)
{
    struct definitions definitions = {0};
    struct diagnostics diagnostics = {0};
    parse_definition_files(files, &definitions, &diagnostics);
    value_t *missing = definitions_missing_rules(&definitions);
    for (size_t i = 0; i < value_size(missing); i++)
        read_rules_file(value_as_string(value_at(missing, i)), files);
    value_destroy(&missing);
    definitions_release(&definitions);
    diagnostics_release(&diagnostics);
}

bool definition_files_may_leave(const value_t *files)
{
    for (size_t i = 0; i < value_size(files); i++)
        if (value_get(value_at(files, i), "unread") || value_get(value_at(files, i), "wrong"))
            return false;
    return true;
}

int read_definition_files(const char *const *paths, size_t count, value_t **ret_files,
                          struct err *err)
{
    value_t *files = value_list();
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < count; i++)
        rc = read_path(paths[i], 0, files, err);
    if (rc == 0 && value_size(files) == 0)
        rc = err_set(err, ERR_NOT_FOUND, "there is no definition (*.yaml, *.yml, *.json) in %s",
                     paths[0]);
    if (rc) {
        value_destroy(&files);
        return rc;
    }
    read_rules(files);
    *ret_files = files;
    return 0;
}
