#include "coordinator/approvals.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

void approval_id_print(struct uuid execution, const char *path, uint32_t attempt, struct buf *out)
{
    char text[TYPEID_TEXT_SIZE];
    buf_printf(out, "%s/%s", typeid_text("exec", execution, text), path);
    if (attempt > 1)
        buf_printf(out, "@%" PRIu32, attempt);
}

static int refuse(const char *text, struct err *err)
{
    err_set(err, ERR_INVALID, "\"%.200s\" is not the name of an approval", text);
    err_where(err, "id");
    err_fix(err, "it is EXECUTION/TASK, as `agentctl approvals` lists it");
    return ERR_INVALID;
}

/* The number behind the "@"; 0: that is none. */
static uint32_t read_attempt(const char *text)
{
    char *end = NULL;
    if (*text < '1' || *text > '9')
        return 0;
    unsigned long number = strtoul(text, &end, 10);
    return *end == '\0' && number <= UINT32_MAX ? (uint32_t)number : 0;
}

int approval_id_parse(const char *text, struct arena *arena, struct approval_id *ret_id,
                      struct err *err)
{
    struct approval_id id = {.attempt = 1};
    const char *slash = strchr(text, '/');
    const char *at = strrchr(text, '@');
    if (slash == NULL || slash[1] == '\0' ||
        typeid_parse_as(arena_strndup(arena, text, (size_t)(slash - text)), "exec", &id.execution,
                        NULL) < 0)
        return refuse(text, err);
    if (at != NULL)
        id.attempt = read_attempt(at + 1);
    if (id.attempt == 0 || (at != NULL && id.attempt == 1))
        return refuse(text, err);
    id.path = at == NULL ? arena_strdup(arena, slash + 1)
                         : arena_strndup(arena, slash + 1, (size_t)(at - slash - 1));
    *ret_id = id;
    return 0;
}
