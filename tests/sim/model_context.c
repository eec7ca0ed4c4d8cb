#include "tests/sim/model.h"

#include <string.h>

/* The shared context, which only ever holds the few members that plans and scripts write. */

static void clear(struct model_context *self, enum plan_member member)
{
    if (member == MEMBER_M) {
        self->has_m = false;
        self->members[MEMBER_X].set = self->members[MEMBER_Y].set = false;
    } else {
        self->members[member].set = false;
        self->has_m |= member > MEMBER_C; /* an empty object is made on the way */
    }
}

static void put(struct model_context *self, enum plan_member member, int64_t number)
{
    self->members[member] = (struct model_member){true, number};
    self->has_m |= member > MEMBER_C;
}

value_t *model_context_value(const struct model_context *self)
{
    value_t *value = value_map(), *m = value_map();
    for (enum plan_member i = MEMBER_A; i < MEMBER_M; i++)
        if (self->members[i].set)
            value_set_int(i > MEMBER_C ? m : value, plan_member_name(i), self->members[i].number);
    if (self->has_m)
        value_set(value, "m", &m);
    value_destroy(&m);
    return value;
}

/* --- patches of the workflow ------------------------------------------------------------------ */

static bool own_n(const struct event_step *step, int64_t *ret_number)
{
    value_t *output = NULL;
    if (value_from_msgpack(step->output.inline_bytes, &output, NULL))
        return false;
    const value_t *n = value_get(output, "n");
    bool found = n && value_type(n) == VALUE_INT;
    if (found)
        *ret_number = value_as_int(n);
    value_destroy(&output);
    return found;
}

/* False: it fails, or is null. */
static bool number_of(const struct model *self, const struct model_node *node,
                      const struct plan_patch *what, const struct event_step *step,
                      int64_t *ret_number)
{
    const struct model_member *a = &node->context.members[MEMBER_A];
    switch (what->gives) {
    case GIVES_NUMBER: *ret_number = what->number; return true;
    case GIVES_K: *ret_number = self->k; return true;
    case GIVES_A: *ret_number = (a->set ? a->number : 0) + 1; return true;
    case GIVES_OWN_N: return own_n(step, ret_number);
    case GIVES_NULL:
    case GIVES_NOTHING: break;
    }
    return false;
}

static void add_member(value_t *patch, enum plan_member member, value_t **value_p)
{
    if (member == MEMBER_X || member == MEMBER_Y) {
        const value_t *before = value_get(patch, "m");
        value_t *m = before ? value_copy(before) : value_map();
        value_set(m, plan_member_name(member), value_p);
        value_set(patch, "m", &m);
    } else {
        value_set(patch, plan_member_name(member), value_p);
    }
}

const char *model_set(struct model *self, uint32_t index, const struct event_step *step)
{
    while (self->nodes[index].depth > 0 && self->nodes[index].hand_off)
        index = self->nodes[index].parent; /* which succeeds with it */
    const struct model_node *node = &self->nodes[index];
    const struct plan_node *plan = &self->workflow->nodes[node->root];
    struct model_context after = self->context;
    value_t *patch = value_map(), *said = NULL;
    bool fails = false, sets = node->depth == 0 && !(plan->items.reads && !node->is_item) &&
                               plan->patches_count > 0;
    for (uint32_t i = 0; sets && i < plan->patches_count; i++) {
        const struct plan_patch *what = &plan->patches[i];
        int64_t number = 0;
        bool known = number_of(self, node, what, step, &number);
        value_t *value = known ? value_int(number) : value_null();
        fails |= !known && what->gives != GIVES_NULL;
        if (known)
            put(&after, what->member, number);
        else
            clear(&after, what->member);
        add_member(patch, what->member, &value);
    }
    bool none = datum_absent(&step->patch);
    bool same = none ? !sets
                     : sets && !value_from_msgpack(step->patch.inline_bytes, &said, NULL) &&
                           value_equal(said, patch);
    value_destroy(&patch);
    value_destroy(&said);
    if (fails)
        return "a result although what it sets fails";
    if (!same)
        return "a result that sets something else than its rule says";
    self->context = after;
    return NULL;
}

/* --- patches of agents ------------------------------------------------------------------------ */

void model_patched(struct model *self, const struct datum *patch)
{
    value_t *value = NULL;
    if (value_from_msgpack(patch->inline_bytes, &value, NULL))
        return;
    for (enum plan_member i = MEMBER_A; i <= MEMBER_C; i++) {
        const value_t *member = value_get(value, plan_member_name(i));
        if (member && value_type(member) == VALUE_INT)
            put(&self->context, i, value_as_int(member));
        else if (member)
            clear(&self->context, i);
    }
    value_destroy(&value);
}
