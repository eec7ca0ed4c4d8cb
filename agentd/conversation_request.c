/* What a model gets to see: the request of a turn. The same journal gives the same bytes, whoever
 * writes them: egress knows a request by its hash. */
#include "agentd/conversation_core.h"
#include "base/limits.h"
#include "base/utf8.h"
#include <stdlib.h>
#include <string.h>

void result_release(struct result *self)
{
    value_destroy(&self->output);
    free(self->code);
    free(self->message);
    *self = (struct result){0};
}

/* A text is cut as it is, all else as JSON text. */
static value_t *cut(const value_t *output, const struct buf *json)
{
    const char *text = buf_string(json);
    size_t size = json->size;
    if (value_type(output) == VALUE_STRING) {
        text = value_as_string(output);
        size = value_size(output);
    }
    size_t kept = size < LIMIT_TOOL_RESULT_BYTES ? size : LIMIT_TOOL_RESULT_BYTES;
    value_t *view = value_map();
    value_t *first = value_string_n(text, utf8_cut(text, kept));
    value_set(view, "cut", &first);
    value_set_int(view, "size", (int64_t)size);
    return view;
}

void result_set_output(struct result *self, const value_t *output)
{
    struct buf json = {0};
    value_to_json(output, VALUE_JSON_COMPACT, &json);
    result_release(self);
    self->output = json.size > LIMIT_TOOL_RESULT_BYTES ? cut(output, &json) : value_ref(output);
    buf_release(&json);
}

char *clean_text(const char *text)
{
    struct buf clean = {0};
    utf8_append_lossy(&clean, text ? text : "", text ? strlen(text) : 0);
    return clean.size ? buf_steal(&clean) : xstrdup("");
}

void result_set_error(struct result *self, const char *code, const char *message)
{
    result_release(self);
    self->code = xstrdup(code);
    self->message = clean_text(message);
}

static void append_result(value_t *list, const struct result *result)
{
    value_t *item = value_map();
    if (result->code) {
        value_t *error = value_map();
        value_set_string(error, "code", result->code);
        value_set_string(error, "message", result->message);
        value_set(item, "error", &error);
    } else {
        value_t *output = result->output ? value_ref(result->output) : value_null();
        value_set(item, "output", &output);
    }
    value_append(list, &item);
}

static void append_call(value_t *list, const struct call *call)
{
    value_t *item = value_map();
    value_t *arguments = call->arguments ? value_ref(call->arguments) : value_map();
    value_set_string(item, "tool", call->tool);
    value_set(item, "arguments", &arguments);
    value_append(list, &item);
}

static value_t *turn_document(const struct turn *turn)
{
    const value_t *content = value_get(turn->value, "content");
    value_t *document = value_map(), *calls = value_list(), *results = value_list();
    value_t *said = content ? value_ref(content) : value_null();
    for (size_t i = 0; i < turn->calls_count; i++) {
        append_call(calls, &turn->calls[i]);
        append_result(results, &turn->calls[i].result);
    }
    if (turn->correction.code)
        append_result(results, &turn->correction);
    value_set(document, "content", &said);
    value_set(document, "calls", &calls);
    value_set(document, "results", &results);
    return document;
}

int request_write(const conversation_t *self, uint32_t turn, struct buf *out, struct err *err)
{
    value_t *request = value_map(), *turns = value_list(), *tools = tools_document(self->def);
    value_t *message = value_ref(self->message);
    for (size_t i = 0; i < self->turns_count; i++) {
        value_t *document = turn_document(&self->turns[i]);
        value_append(turns, &document);
    }
    value_set_string(request, "agent", self->def->name);
    value_set_string(request, "instructions",
                     self->def->instructions ? self->def->instructions : "");
    value_set_int(request, "attempt", self->attempt);
    value_set_int(request, "turn", turn);
    value_set(request, "message", &message);
    value_set(request, "turns", &turns);
    value_set(request, "tools", &tools);
    int rc = value_check_limits(request, err);
    if (!rc)
        value_to_msgpack(request, out);
    value_destroy(&request);
    if (!rc && out->size > LIMIT_CONVERSATION_BYTES) {
        rc = err_set(err, ERR_TOO_LARGE, "the conversation has %zu bytes; the most is %u",
                     out->size, LIMIT_CONVERSATION_BYTES);
        err_fix(err, "give the agent smaller messages and tools with shorter results, or let it "
                     "delegate parts of its work");
    }
    return rc;
}
