#include "coordinator/scenes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char scene_definitions[] =
    "{\"files\":[{\"name\":\"all.yaml\",\"text\":\""
    "agent: echo\\nbuiltin: echo\\n---\\n"
    "workflow: chain\\nnodes:\\n  a: {agent: echo, say: '{{input}}'}\\n"
    "  b: {agent: echo, say: '{{a}}'}\\noutput: b\\n\"}]}";

int setup(void **state)
{
    struct harness *harness = calloc(1, sizeof *harness);
    harness_init(harness);
    *state = harness;
    return 0;
}

int teardown(void **state)
{
    harness_release(*state);
    free(*state);
    return 0;
}

void start_with_definitions(struct harness *harness)
{
    harness_start(harness, NULL);
    value_t *applied = harness_call(harness, "definitions.apply", scene_definitions);
    assert_int_equal(value_size(value_get(applied, "applied")), 2);
    value_destroy(&applied);
}

bool first_is_open(struct harness *harness)
{
    return link_state(harness->peers[0].link) == LINK_OPEN;
}

bool first_holds_one(struct harness *harness)
{
    return harness->peers[0].held_count > 0;
}

bool second_holds_one(struct harness *harness)
{
    return harness->peers[1].held_count > 0;
}

bool second_is_open(struct harness *harness)
{
    return link_state(harness->peers[1].link) == LINK_OPEN;
}

bool second_was_given_something(struct harness *harness)
{
    return harness->peers[1].dispatches > 0;
}

/* Starts an execution of "chain"; its id is the caller's to free. */
char *start_chain(struct harness *harness, const char *input)
{
    char params[256];
    snprintf(params, sizeof params, "{\"workflow\":\"chain\",\"input\":%s}", input);
    value_t *started = harness_call(harness, "executions.start", params);
    char *id = xstrdup(value_get_string(started, "id", ""));
    assert_string_equal(value_get_string(started, "status", ""), "running");
    value_destroy(&started);
    return id;
}

value_t *call_for(struct harness *harness, const char *method, const char *id)
{
    char params[128];
    snprintf(params, sizeof params, "{\"id\":\"%s\"}", id);
    return harness_call(harness, method, params);
}

void assert_ends_with(struct harness *harness, const char *id, const char *output)
{
    value_t *ended = call_for(harness, "executions.wait", id);
    assert_string_equal(value_get_string(ended, "status", ""), "succeeded");
    assert_string_equal(value_get_string(ended, "output", ""), output);
    value_destroy(&ended);
}
