/* Somebody's program with the installed client library: applies a definition, starts an execution,
 * follows its events, waits for its end, and meets an error.
 *
 *   cc client_example.c $(pkg-config --cflags --libs agentfactory) -o client_example
 *   client_example DIRECTORY */
#include <agentfactory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int fail(const char *what, const struct af_error *error)
{
    fprintf(stderr, "%s: %s: %s (%s) %s\n", what, error->name, error->what, error->where,
            error->fix);
    return 1;
}

/* The text of "id" in a document; a program of more than this uses a JSON library. */
static void copy_id(const char *json, char id[32])
{
    const char *at = strstr(json, "\"id\":\"");
    snprintf(id, 32, "%.31s", at ? at + strlen("\"id\":\"") : "");
}

static const char APPLY[] =
    "{\"files\": [{\"name\": \"example.yaml\", \"text\": \"agent: parrot\\nbuiltin: echo\\n---\\n"
    "workflow: parrots\\ninput: {words: text}\\nnodes:\\n"
    "  one: {agent: parrot, say: \\\"{{input.words}}\\\"}\\n"
    "  two: {agent: parrot, say: \\\"{{one}}!\\\"}\\noutput: two\\n\"}]}";
static const char START[] = "{\"workflow\": \"parrots\", \"input\": {\"words\": \"hello\"}}";

/* Until the execution's own end is published; best effort, so bounded. */
static int follow(af_client_t *client, struct af_error *error)
{
    for (int i = 0; i < 100; i++) {
        char *event = af_next_event(client, 5000, error);
        if (!event)
            return fail("no event", error);
        printf("event %s\n", event);
        int ended = strstr(event, "\"execution.succeeded\"") != NULL;
        af_free(event);
        if (ended)
            return 0;
    }
    return 1;
}

static int run(af_client_t *client, struct af_error *error)
{
    char id[32], text[128];
    char *applied = af_call(client, "definitions.apply", APPLY, NULL, 30000, error);
    if (!applied)
        return fail("apply", error);
    af_free(applied);
    if (af_follow(client, "execution.", error))
        return fail("follow", error);
    char *first = af_call(client, "executions.start", START, "once-and-no-more", 30000, error);
    char *again =
        first ? af_call(client, "executions.start", START, "once-and-no-more", 30000, error) : NULL;
    if (!again)
        return fail("start", error);
    printf("same %d\n", strcmp(first, again) == 0);
    copy_id(first, id);
    af_free(first);
    af_free(again);
    snprintf(text, sizeof text, "{\"id\": \"%s\"}", id);
    char *ended = af_call(client, "executions.wait", text, NULL, 60000, error);
    if (!ended)
        return fail("wait", error);
    printf("ended %s\n", ended);
    af_free(ended);
    return follow(client, error);
}

int main(int argc, char **argv)
{
    struct af_error error = {0};
    af_client_t *client = argc == 2 ? af_client_new(argv[1], &error) : NULL;
    if (!client)
        return fail("connect", &error);
    int status = run(client, &error);
    if (status == 0 &&
        af_call(client, "workflows.get", "{\"name\": \"absent\"}", NULL, 5000, &error))
        status = 1;
    printf("error %s: %s\n", error.name, error.what);
    af_client_destroy(&client);
    return status;
}
