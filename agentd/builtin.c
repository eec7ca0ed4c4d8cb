#include "agentd/builtin.h"

#include "base/limits.h"
#include <string.h>

int builtin_from_name(const char *name, enum builtin *ret_builtin, struct err *err)
{
    static const char *const names[] = {
        [BUILTIN_ECHO] = "echo", [BUILTIN_SLEEP] = "sleep", [BUILTIN_FAIL] = "fail"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) {
            *ret_builtin = (enum builtin)i;
            return 0;
        }
    }
    (void)err_set(err, ERR_UNSUPPORTED, "agentd has no builtin \"%.64s\"", name);
    err_fix(err, "use echo, sleep or fail, or a newer agentd");
    return ERR_UNSUPPORTED;
}

static bool is_number(const value_t *value)
{
    return value && (value_type(value) == VALUE_INT || value_type(value) == VALUE_DOUBLE);
}

static void answer_sleep(const value_t *message, struct builtin_answer *ret_answer)
{
    const value_t *seconds = is_number(message) ? message : value_get(message, "seconds");
    const value_t *ms = value_get(message, "ms");
    double us = -1;
    if (is_number(seconds))
        us = value_as_double(seconds) * 1e6;
    else if (is_number(ms))
        us = value_as_double(ms) * 1e3;
    if (us >= 0 && us <= (double)LIMIT_TIME_MAX_US) {
        ret_answer->delay_us = (int64_t)us;
        return;
    }
    ret_answer->failed = ret_answer->permanent = true;
    (void)err_set(&ret_answer->error, ERR_INVALID, "sleep can't read a time in its message");
    err_fix(&ret_answer->error, "give a number of seconds, {\"seconds\": 1.5} or {\"ms\": 200}");
}

static void answer_fail(const value_t *message, uint32_t attempt, struct builtin_answer *ret_answer)
{
    int64_t times = value_get_int(message, "times", 0);
    if (times > 0 && attempt > times)
        return;
    const char *text = "the agent was told to fail";
    if (value_type(message) == VALUE_STRING && value_size(message))
        text = value_as_string(message);
    text = value_get_string(message, "message", text);
    ret_answer->failed = true;
    ret_answer->permanent = value_get_bool(message, "permanent", false);
    (void)err_set(&ret_answer->error, ERR_FAILED, "%s", text);
}

void builtin_answer(enum builtin builtin, const value_t *message, uint32_t attempt,
                    struct builtin_answer *ret_answer)
{
    *ret_answer = (struct builtin_answer){0};
    switch (builtin) {
    case BUILTIN_ECHO: return;
    case BUILTIN_SLEEP: answer_sleep(message, ret_answer); return;
    case BUILTIN_FAIL: answer_fail(message, attempt, ret_answer); return;
    }
}
