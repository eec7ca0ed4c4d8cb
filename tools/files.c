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

/* rules: it is one that a model names for its rules. */
static int read_file(const char *path, bool rules, value_t *files, struct err *err)
{
    struct buf text = {0};
    char chunk[65536];
    ssize_t size = -1;
    int rc = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    while (fd >= 0 && (size = read(fd, chunk, sizeof chunk)) > 0 &&
           text.size <= LIMIT_DEFINITION_BYTES)
        buf_append(&text, chunk, (size_t)size);
    if (fd < 0 || size < 0)
        rc = read_failed(path, err);
    else if (text.size > LIMIT_DEFINITION_BYTES)
        rc = err_set(err, ERR_TOO_LARGE, "%s is larger than a definition may be (%u bytes)", path,
                     LIMIT_DEFINITION_BYTES);
    if (rc == 0) {
        value_t *file = value_map();
        value_set_string(file, "name", path);
        value_t *content = value_string_n(buf_string(&text), text.size);
        value_set(file, "text", &content);
        if (rules)
            value_set_bool(file, "rules", true);
        value_append(files, &file);
    }
    if (fd >= 0)
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
        return read_file(path, false, files, err);
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
        if (value_get_bool(file, "rules", false))
            definitions_parse_rules(value_as_string(text), value_size(text), name, definitions,
                                    diagnostics);
        else
            definitions_parse(value_as_string(text), value_size(text), name, definitions,
                              diagnostics);
    }
}

/* Files that models name for their rules go along wherever they are. One that isn't there is left
 * to the validator, which knows where it is named. */
static int read_rules(value_t *files, struct err *err)
{
    struct definitions definitions = {0};
    struct diagnostics diagnostics = {0};
    int rc = 0;
    parse_definition_files(files, &definitions, &diagnostics);
    value_t *missing = definitions_missing_rules(&definitions);
    for (size_t i = 0; rc == 0 && i < value_size(missing); i++) {
        const char *path = value_as_string(value_at(missing, i));
        if (access(path, F_OK) == 0)
            rc = read_file(path, true, files, err);
    }
    value_destroy(&missing);
    definitions_release(&definitions);
    diagnostics_release(&diagnostics);
    return rc;
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
    if (rc == 0)
        rc = read_rules(files, err);
    if (rc) {
        value_destroy(&files);
        return rc;
    }
    *ret_files = files;
    return 0;
}
