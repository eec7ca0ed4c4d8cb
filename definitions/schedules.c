/* When executions start by themselves: `schedule` of a workflow. */
#include "base/limits.h"
#include "definitions/check.h"
#include "definitions/definitions.h"
#include <string.h>

value_t *check_cron(struct check *self, const struct node *node)
{
    struct cron cron;
    struct err err = {0};
    if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "a cron expression", "write a text such as \"0 9 * * 1-5\"");
        return NULL;
    }
    if (cron_parse(node->text, &cron, &err)) {
        check_error(self, check_place_in(self, node, err.column - 1), "bad_value", err.fix, "%s",
                    err.what);
        return NULL;
    }
    return value_string_n(node->text, node->size);
}

value_t *check_zone(struct check *self, const struct node *node)
{
    zone_t *zone = NULL;
    struct err err = {0};
    if (node->kind != NODE_TEXT) {
        check_wrong_type(self, node, "a time zone", "write a text such as Europe/Berlin");
        return NULL;
    }
    if (zone_open(node->text, &zone, &err)) {
        check_error(self, node->place, "bad_value", err.fix, "%s", err.what);
        return NULL;
    }
    zone_destroy(&zone);
    return value_string_n(node->text, node->size);
}

/* By time or by signal; and the other keys are about times. */
static void check_one_way(struct check *self, const struct node *node)
{
    const struct node *signal = node_get(node, "signal");
    if (!signal && !node_get(node, "cron"))
        check_error(self, node->place, "missing_key",
                    "write cron: \"0 9 * * 1-5\", or signal: NAME",
                    "a workflow's schedule needs the key \"cron\" or \"signal\"");
    for (const struct node *item = signal ? node->first : NULL; item; item = item->next) {
        if (item == signal || !key_find(OWNER_SCHEDULE, item->key->text))
            continue;
        size_t before = check_enter(self, item->key->text);
        check_error(self, item->key->place, "bad_value", "take it out, or take signal out",
                    "means nothing beside signal: a schedule is about times or about a signal");
        check_leave(self, before);
    }
}

value_t *check_schedule(struct check *self, const struct key *key, const struct node *node)
{
    if (node->kind != NODE_TEXT && node->kind != NODE_MAP) {
        check_wrong_type(self, node, "a cron expression or an object",
                         "write \"0 9 * * 1-5\", or {cron: \"0 9 * * 1-5\", zone: Europe/Berlin}");
        return NULL;
    }
    if (node->kind == NODE_MAP) {
        check_one_way(self, node);
        return check_object(self, node, key->child);
    }
    value_t *cron = check_cron(self, node), *schedule = cron ? value_map() : NULL;
    if (cron)
        value_set(schedule, "cron", &cron);
    return schedule;
}

/* The member that an error is about: where is "input.NAME", with more behind it perhaps. */
static const struct node *find_input(const struct node *schedule, const char *where)
{
    char name[LIMIT_NAME_BYTES + 1];
    const char *begin = strchr(where, '.');
    const struct node *input = node_get(schedule, "input");
    size_t size = begin ? strcspn(begin + 1, ".[") : 0;
    if (!input || size == 0 || size >= sizeof name)
        return input;
    memcpy(name, begin + 1, size);
    name[size] = '\0';
    const struct node *member = node_get(input, name);
    return member ? member : input;
}

void check_schedule_input(struct check *self, const struct node *root, const value_t *canonical)
{
    const struct node *node = node_get(root, "schedule");
    struct workflow_schedule schedule;
    struct err err = {0};
    value_t *input = NULL;
    if (!node || !workflow_schedule(canonical, &schedule) || schedule.signal)
        return;
    if (workflow_check_input(canonical, schedule.input, &input, &err)) {
        const struct node *at = find_input(node, err.where);
        size_t outer = check_enter(self, "schedule"), inner = check_enter(self, err.where);
        check_error(self, at ? at->key->place : node->key->place, "bad_value",
                    "write schedule: {cron: ..., input: {NAME: value}}, as the workflow's input "
                    "says",
                    "%s", err.what);
        check_leave(self, inner);
        check_leave(self, outer);
    }
    value_destroy(&input);
}

static enum missed missed_of(const char *word)
{
    if (strcmp(word, "skip") == 0)
        return MISSED_SKIP;
    return strcmp(word, "all") == 0 ? MISSED_ALL : MISSED_ONCE;
}

bool workflow_schedule(const value_t *canonical, struct workflow_schedule *ret_schedule)
{
    const value_t *schedule = value_get(canonical, "schedule");
    if (!schedule || value_type(schedule) != VALUE_MAP)
        return false;
    *ret_schedule = (struct workflow_schedule){
        .signal = value_get_string(schedule, "signal", NULL),
        .cron = value_get_string(schedule, "cron", ""),
        .zone = value_get_string(schedule, "zone", "UTC"),
        .missed = missed_of(value_get_string(schedule, "missed", "once")),
        .alone = strcmp(value_get_string(schedule, "overlap", "allow"), "skip") == 0,
        .input = value_get(schedule, "input"),
    };
    return true;
}
