#include "base/limits.h"
#include "engine/decide.h"
#include <string.h>

/* Templates and expressions over the values of an execution. What nobody reads is never decoded,
 * and what is passed on whole is not decoded either. */

static const uint8_t packed_null[1] = {0xc0};

struct scope {
    struct call *call;
    struct exec *exec;
    /* Values are as of this event, so that a task that is given out again gets the same message. */
    uint64_t as_of;
    uint32_t item;          /* the task whose item is meant; NO_NODE: none */
    const value_t *context; /* as of the same event; NULL: nothing was set */
    uint32_t own; /* the task whose own output is read before it is journaled; NO_NODE: none */
    const struct datum *own_output;
};

/* What the expressions of a task see, which may be an item. */
static struct scope scope_of(struct call *call, struct exec *exec, uint32_t index)
{
    bool item = task_is_item(exec, index);
    uint32_t node = item ? task_owner(exec, index) : index;
    return (struct scope){.call = call,
                          .exec = exec,
                          .as_of = exec->tasks[node].ready_sequence,
                          .item = item ? index : NO_NODE,
                          .context = exec->tasks[index].context,
                          .own = NO_NODE};
}

/* What is seen from outside of any task, now. */
static struct scope scope_now(struct call *call, struct exec *exec)
{
    return (struct scope){.call = call,
                          .exec = exec,
                          .as_of = exec->sequence,
                          .item = NO_NODE,
                          .context = exec->context,
                          .own = NO_NODE};
}

/* --- datums ----------------------------------------------------------------------------------- */

static struct datum null_datum(void)
{
    return datum_inline((struct bytes){packed_null, sizeof packed_null});
}

static struct datum store_bytes(struct call *call, struct bytes bytes)
{
    struct bytes kept = arena_copy(&call->out->arena, bytes);
    if (kept.size <= LIMIT_INLINE_BYTES)
        return datum_inline(kept);
    struct effect *effect = add_effect(call, EFFECT_BLOB);
    struct datum datum = {.is_blob = true, .size_bytes = kept.size};
    datum_hash(kept, datum.hash);
    memcpy(effect->blob.hash, datum.hash, sizeof datum.hash);
    effect->blob.bytes = kept;
    return datum;
}

struct datum keep_datum(struct call *call, const struct datum *datum)
{
    if (datum->is_blob || datum->inline_bytes.size <= LIMIT_INLINE_BYTES)
        return datum_copy(&call->out->arena, datum);
    return store_bytes(call, datum->inline_bytes);
}

/* A blob that these very decisions make is not in the store yet. */
static bool find_own_blob(const struct decisions *out, const struct datum *datum,
                          struct bytes *ret_bytes)
{
    for (size_t i = out->effects_count; i > 0; i--) {
        const struct effect *effect = &out->effects[i - 1];
        if (effect->kind == EFFECT_BLOB &&
            memcmp(effect->blob.hash, datum->hash, sizeof datum->hash) == 0) {
            *ret_bytes = effect->blob.bytes;
            return true;
        }
    }
    return false;
}

static int datum_bytes(struct call *call, const struct datum *datum, struct bytes *ret_bytes,
                       struct err *err)
{
    const struct engine_config *config = &call->engine->config;
    if (datum->is_blob && find_own_blob(call->out, datum, ret_bytes))
        return 0;
    if (datum->is_blob)
        return config->read_blob(config->context, datum->hash, ret_bytes, err);
    *ret_bytes = datum->inline_bytes;
    if (datum_absent(datum))
        *ret_bytes = (struct bytes){packed_null, sizeof packed_null};
    return 0;
}

int render_read(struct call *call, const struct datum *datum, value_t **ret_value, struct err *err)
{
    struct bytes bytes;
    int r = datum_bytes(call, datum, &bytes, err);
    return r ? r : value_from_msgpack(bytes, ret_value, err);
}

/* Decoded values are kept for the next reader. list: not what the node gave, but the list whose
 * items it runs. */
static int decode(struct scope *scope, uint32_t node, bool list, const struct datum *datum,
                  value_t **ret_value, struct err *err)
{
    engine_t *engine = scope->call->engine;
    const struct decoded_key key = {node, list, scope->item == NO_NODE};
    const value_t *kept = decoded_find(engine, scope->exec, key);
    if (kept) {
        *ret_value = value_ref(kept);
        return 0;
    }
    struct bytes bytes;
    int r = datum_bytes(scope->call, datum, &bytes, err);
    if (!r)
        r = value_from_msgpack(bytes, ret_value, err);
    if (!r)
        decoded_keep(engine, scope->exec, key, *ret_value, bytes.size);
    return r;
}

/* --- variables -------------------------------------------------------------------------------- */

/* NULL where the output reads as null: rule 4. */
static const struct datum *output_of(const struct scope *scope, uint32_t node)
{
    const struct task *task = &scope->exec->tasks[node];
    if (task->status != TASK_SUCCEEDED || task->ended_sequence > scope->as_of)
        return NULL;
    return &task->answer->datum;
}

static int resolve_item(struct scope *scope, value_t **ret_value, struct err *err)
{
    const struct origin *origin = scope->exec->tasks[scope->item].origin;
    const struct group *group = scope->exec->tasks[origin->parent].group;
    value_t *list = NULL;
    int r = decode(scope, origin->parent, true, &group->list->datum, &list, err);
    if (r)
        return r;
    bool is_list = value_type(list) == VALUE_LIST; /* a blob may be damaged */
    const value_t *item = is_list ? value_at(list, origin->number) : NULL;
    if (item)
        *ret_value = value_ref(item);
    else
        r = err_set(err, ERR_CORRUPT, "the list has no item %u", origin->number);
    value_destroy(&list);
    return r;
}

static const char *status_of(const struct scope *scope, uint32_t node)
{
    const struct task *task = &scope->exec->tasks[node];
    if (task_ended(task) && task->ended_sequence <= scope->as_of)
        return task_status_name(task->status);
    bool started = task->ready_sequence > 0 && task->ready_sequence <= scope->as_of;
    return started ? "running" : "pending";
}

static value_t *facts_of(const struct scope *scope, uint32_t node)
{
    const struct task *task = &scope->exec->tasks[node];
    const char *status = status_of(scope, node);
    value_t *facts = value_map();
    value_t *error = NULL;
    value_set_string(facts, "status", status);
    if (strcmp(status, "failed") == 0) {
        error = value_map();
        value_set_string(error, "code", task->blame->failure.code);
        value_set_string(error, "message", task->blame->failure.message);
        value_set_string(error, "detail", task->blame->failure.detail);
    } else {
        error = value_null();
    }
    value_set(facts, "error", &error);
    return facts;
}

static value_t *about_execution(const struct scope *scope)
{
    char text[TYPEID_TEXT_SIZE];
    value_t *value = value_map();
    value_set_string(value, "id", typeid_text("exec", scope->exec->id, text));
    return value;
}

static int resolve(void *context, const char *name, value_t **ret_value, struct err *err)
{
    struct scope *scope = context;
    const struct exec *exec = scope->exec;
    if (strcmp(name, "input") == 0)
        return decode(scope, DECODED_INPUT, false, &exec->input->datum, ret_value, err);
    if (strcmp(name, "execution") == 0) {
        *ret_value = about_execution(scope);
        return 0;
    }
    if (strcmp(name, "context") == 0) {
        *ret_value = scope->context ? value_ref(scope->context) : value_map();
        return 0;
    }
    if (scope->item != NO_NODE && strcmp(name, "item") == 0)
        return resolve_item(scope, ret_value, err);
    if (scope->item != NO_NODE && strcmp(name, "index") == 0) {
        *ret_value = value_int(exec->tasks[scope->item].origin->number);
        return 0;
    }
    bool facts;
    uint32_t node = dag_find_variable(exec->dag, name, &facts);
    if (node == NO_NODE)
        return err_set(err, ERR_NOT_FOUND, "there is no variable \"%s\"", name);
    if (!facts && node == scope->own)
        return render_read(scope->call, scope->own_output, ret_value, err);
    const struct datum *output = output_of(scope, node);
    if (!facts && output)
        return decode(scope, node, false, output, ret_value, err);
    *ret_value = facts ? facts_of(scope, node) : value_null();
    return 0;
}

/* --- rendering -------------------------------------------------------------------------------- */

/* Whether the variable can be passed on as it is, whole and undecoded. */
static bool pass_whole(const struct scope *scope, const char *variable, struct datum *ret_datum)
{
    const struct datum *datum = NULL;
    bool facts;
    if (!variable || strcmp(variable, "execution") == 0 || strcmp(variable, "item") == 0 ||
        strcmp(variable, "index") == 0 || strcmp(variable, "context") == 0)
        return false;
    uint32_t node = dag_find_variable(scope->exec->dag, variable, &facts);
    if (facts)
        return false;
    if (strcmp(variable, "input") == 0)
        datum = &scope->exec->input->datum;
    else
        datum = output_of(scope, node);
    if (datum && !datum_absent(datum))
        *ret_datum = datum_copy(&scope->call->out->arena, datum);
    else
        *ret_datum = null_datum();
    return true;
}

/* Values put together may be larger or nested deeper than each of them was. */
static int store_composed(struct call *call, struct bytes bytes, struct datum *ret_datum,
                          struct err *err)
{
    if (bytes.size > LIMIT_VALUE_BYTES)
        return err_set(err, ERR_TOO_LARGE, "the value is larger than %u bytes", LIMIT_VALUE_BYTES);
    int r = value_check_msgpack(bytes, err);
    if (!r)
        *ret_datum = store_bytes(call, bytes);
    return r;
}

static int store_value(struct call *call, value_t **value_p, struct datum *ret_datum,
                       struct err *err)
{
    struct buf packed = {0};
    value_to_msgpack(*value_p, &packed);
    value_destroy(value_p);
    int r = store_composed(call, buf_bytes(&packed), ret_datum, err);
    buf_release(&packed);
    return r;
}

static int evaluate(struct scope *scope, const cel_t *program, value_t **ret_value, struct err *err)
{
    int64_t left = LIMIT_EXPRESSION_STEPS;
    int r = cel_eval_within(program, resolve, scope, &left, ret_value, err);
    scope->call->steps += LIMIT_EXPRESSION_STEPS - left;
    return r;
}

static int evaluate_template(struct scope *scope, const cel_template_t *template,
                             value_t **ret_value, struct err *err)
{
    int64_t left = LIMIT_EXPRESSION_STEPS;
    int r = cel_template_eval_within(template, resolve, scope, &left, ret_value, err);
    scope->call->steps += LIMIT_EXPRESSION_STEPS - left;
    return r;
}

static int render_program(struct scope *scope, const cel_t *program, struct datum *ret_datum,
                          struct err *err)
{
    value_t *value = NULL;
    if (pass_whole(scope, cel_sole_variable(program), ret_datum))
        return 0;
    int r = evaluate(scope, program, &value, err);
    return r ? r : store_value(scope->call, &value, ret_datum, err);
}

int render_message(struct call *call, struct exec *exec, uint32_t node, struct datum *ret_datum,
                   struct err *err)
{
    bool item = task_is_item(exec, node);
    if (node >= exec->nodes && !item) {
        *ret_datum = datum_copy(&call->out->arena, &exec->tasks[node].origin->message);
        return 0;
    }
    uint32_t at = item ? task_owner(exec, node) : node;
    const cel_template_t *message = dag_node(exec->dag, at)->message;
    struct scope scope = scope_of(call, exec, node);
    if (!message) {
        *ret_datum = null_datum();
        return 0;
    }
    if (pass_whole(&scope, cel_template_sole_variable(message), ret_datum))
        return 0;
    value_t *value = NULL;
    int r = evaluate_template(&scope, message, &value, err);
    return r ? r : store_value(call, &value, ret_datum, err);
}

int render_expression(struct call *call, struct exec *exec, uint32_t index, const cel_t *program,
                      struct datum *ret_datum, struct err *err)
{
    struct scope scope = scope_of(call, exec, index);
    return render_program(&scope, program, ret_datum, err);
}

/* node NO_NODE: of an edge, which sees what there is now. */
int render_condition(struct call *call, struct exec *exec, const cel_t *condition, uint32_t node,
                     bool *ret_holds, struct err *err)
{
    struct scope scope = node == NO_NODE ? scope_now(call, exec) : scope_of(call, exec, node);
    value_t *value = NULL;
    int r = evaluate(&scope, condition, &value, err);
    if (!r && value_type(value) != VALUE_BOOL)
        r = err_set(err, ERR_INVALID, "`if` must give true or false, not a value of type %s",
                    value_type_name(value_type(value)));
    if (!r)
        *ret_holds = value_as_bool(value);
    value_destroy(&value);
    return r;
}

int render_items(struct call *call, struct exec *exec, uint32_t node, struct datum *ret_items,
                 uint32_t *ret_count, struct err *err)
{
    struct scope scope = scope_of(call, exec, node);
    value_t *value = NULL;
    int r = evaluate(&scope, dag_node(exec->dag, node)->items, &value, err);
    if (!r && value_type(value) != VALUE_LIST)
        r = err_set(err, ERR_INVALID, "`for` must give a list, not a value of type %s",
                    value_type_name(value_type(value)));
    if (!r && value_size(value) > LIMIT_MAP_ITEMS)
        r = err_set(err, ERR_TOO_LARGE, "`for` gives %zu items; at most %d are allowed",
                    value_size(value), LIMIT_MAP_ITEMS);
    if (!r) {
        *ret_count = (uint32_t)value_size(value);
        return store_value(call, &value, ret_items, err);
    }
    value_destroy(&value);
    return r;
}

int check_context_patch(const struct exec *exec, const value_t *patch, struct buf *packed,
                        struct err *err)
{
    value_to_msgpack(patch, packed);
    if (packed->size > LIMIT_INLINE_BYTES)
        return err_set(err, ERR_TOO_LARGE, "the patch is larger than %u bytes", LIMIT_INLINE_BYTES);
    value_t *before = exec->context ? value_ref(exec->context) : value_map();
    value_t *after = value_merge_patch(before, patch);
    struct buf whole = {0};
    int r = value_check_limits(after, err);
    if (!r)
        value_to_msgpack(after, &whole);
    if (!r && whole.size > LIMIT_CONTEXT_BYTES)
        r = err_set(err, ERR_TOO_LARGE, "the shared context would be larger than %u bytes",
                    LIMIT_CONTEXT_BYTES);
    buf_release(&whole);
    value_destroy(&before);
    value_destroy(&after);
    return r;
}

int render_set(struct call *call, struct exec *exec, uint32_t index, const struct datum *output,
               struct datum *ret_patch, struct err *err)
{
    const cel_template_t *set = task_rules(exec, index)->set;
    struct scope scope = scope_of(call, exec, index);
    value_t *value = NULL;
    struct buf packed = {0};
    *ret_patch = (struct datum){0};
    if (!set)
        return 0;
    if (output) {
        scope.own = scope.item == NO_NODE ? index : task_owner(exec, index);
        scope.own_output = output;
    }
    int r = evaluate_template(&scope, set, &value, err);
    if (!r)
        r = check_context_patch(exec, value, &packed, err);
    if (!r)
        *ret_patch = datum_inline(arena_copy(&call->out->arena, buf_bytes(&packed)));
    else
        err_where(err, "set%s%s", *err->where && *err->where != '[' ? "." : "", err->where);
    buf_release(&packed);
    value_destroy(&value);
    return r;
}

/* --- packing ---------------------------------------------------------------------------------- */

static void put_big_endian(struct buf *out, uint32_t number, unsigned size)
{
    while (size-- > 0)
        buf_putc(out, (char)(uint8_t)(number >> (8 * size)));
}

/* fix: the format's byte for up to 15 members; wide: that for two octets of a count. */
static void pack_head(struct buf *out, uint32_t count, uint8_t fix, uint8_t wide)
{
    if (count < 16) {
        buf_putc(out, (char)(uint8_t)(fix | count));
        return;
    }
    bool small = count <= UINT16_MAX;
    buf_putc(out, (char)(small ? wide : wide + 1));
    put_big_endian(out, count, small ? 2 : 4);
}

static void pack_map_head(struct buf *out, uint32_t count)
{
    pack_head(out, count, 0x80, 0xde);
}

static void pack_list_head(struct buf *out, uint32_t count)
{
    pack_head(out, count, 0x90, 0xdc);
}

static void pack_id(struct buf *out, const char *id)
{
    uint32_t size = (uint32_t)strlen(id); /* at most LIMIT_NAME_BYTES */
    if (size < 32)
        buf_putc(out, (char)(uint8_t)(0xa0u | size));
    else {
        buf_putc(out, (char)0xd9);
        put_big_endian(out, size, 1);
    }
    buf_append(out, id, size);
}

/* A value that has room behind what is packed already; NULL reads as null. what: is too large, with
 * its verb. */
static int take_part(struct call *call, const struct datum *datum, const struct buf *out,
                     const char *what, struct bytes *ret_bytes, struct err *err)
{
    *ret_bytes = (struct bytes){packed_null, sizeof packed_null};
    int r = datum ? datum_bytes(call, datum, ret_bytes, err) : 0;
    if (!r && ret_bytes->size > LIMIT_VALUE_BYTES - out->size)
        r = err_set(err, ERR_TOO_LARGE, "%s larger than %u bytes", what, LIMIT_VALUE_BYTES);
    return r;
}

static int pack_member(struct call *call, const char *id, const struct datum *datum,
                       const char *what, struct buf *out, struct err *err)
{
    struct bytes bytes;
    int r = take_part(call, datum, out, what, &bytes, err);
    if (r)
        return r;
    pack_id(out, id);
    buf_append_bytes(out, bytes);
    return 0;
}

int render_gathered(struct call *call, struct exec *exec, uint32_t node, struct datum *ret_datum,
                    struct err *err)
{
    const struct talk *talk = exec->tasks[node].talk;
    struct buf packed = {0};
    int r = 0;
    pack_list_head(&packed, talk->children_count);
    for (uint32_t i = 0; !r && i < talk->children_count; i++) {
        const struct answer *answer = exec->tasks[talk->children[i]].answer;
        struct bytes bytes;
        r = take_part(call, answer ? &answer->datum : NULL, &packed, "the outputs of its items are",
                      &bytes, err);
        if (!r)
            buf_append_bytes(&packed, bytes);
    }
    if (!r)
        r = store_composed(call, buf_bytes(&packed), ret_datum, err);
    buf_release(&packed);
    return r;
}

int render_delegation(struct call *call, const struct datum *message, const struct datum *context,
                      struct datum *ret_datum, struct err *err)
{
    struct buf packed = {0};
    if (datum_absent(context)) {
        *ret_datum = datum_absent(message) ? null_datum() : keep_datum(call, message);
        return 0;
    }
    pack_map_head(&packed, 2);
    int r = pack_member(call, "message", message, "the value is", &packed, err);
    if (!r)
        r = pack_member(call, "context", context, "the value is", &packed, err);
    if (!r)
        r = store_composed(call, buf_bytes(&packed), ret_datum, err);
    buf_release(&packed);
    return r;
}

int render_value(struct call *call, value_t **value_p, struct datum *ret_datum, struct err *err)
{
    return store_value(call, value_p, ret_datum, err);
}

/* --- the output ------------------------------------------------------------------------------- */

/* Rule 12: the outputs of the nodes that nothing depends on, packed without decoding them. */
static int default_output(struct scope *scope, struct datum *ret_datum, struct err *err)
{
    const dag_t *dag = scope->exec->dag;
    uint32_t last_ones = 0;
    for (uint32_t i = 0; i < scope->exec->nodes; i++)
        if (dag_node(dag, i)->targets_count == 0)
            last_ones++;
    struct buf packed = {0};
    pack_map_head(&packed, last_ones);
    int r = 0;
    for (uint32_t i = 0; !r && i < scope->exec->nodes; i++)
        if (dag_node(dag, i)->targets_count == 0)
            r = pack_member(scope->call, dag_node(dag, i)->id, output_of(scope, i),
                            "the outputs together are", &packed, err);
    if (!r)
        r = store_composed(scope->call, buf_bytes(&packed), ret_datum, err);
    buf_release(&packed);
    return r;
}

int render_output(struct call *call, struct exec *exec, struct datum *ret_datum, struct err *err)
{
    struct scope scope = scope_now(call, exec);
    const cel_t *output = dag_output(exec->dag);
    if (!output)
        return default_output(&scope, ret_datum, err);
    return render_program(&scope, output, ret_datum, err);
}
