#include "cel/build.h"

#include "cel/pattern.h"
#include <stdlib.h>
#include <string.h>

static void *grow(void *items, size_t count, size_t *capacity, size_t size)
{
    if (count < *capacity)
        return items;
    *capacity = *capacity * 2 + 8;
    return xrealloc(items, *capacity * size);
}

uint32_t build_jump(struct builder *self, enum opcode code, size_t at)
{
    cel_t *program = self->program;
    program->ops = grow(program->ops, program->op_count, &self->op_capacity, sizeof *program->ops);
    program->ops[program->op_count] =
        (struct op){.code = (uint8_t)code, .at = (uint32_t)at, .from = (uint32_t)at};
    return (uint32_t)program->op_count++;
}

uint32_t build_op(struct builder *self, enum opcode code, uint32_t arg, uint32_t takes, size_t at,
                  size_t from)
{
    uint32_t place = build_jump(self, code, at);
    self->program->ops[place].arg = arg;
    self->program->ops[place].from = (uint32_t)from;
    CHECK(self->stack >= takes);
    self->stack = self->stack - takes + 1;
    if (self->stack > self->program->stack_size)
        self->program->stack_size = self->stack;
    return place;
}

void build_land(struct builder *self, uint32_t jump)
{
    self->program->ops[jump].arg = (uint32_t)self->program->op_count;
}

uint32_t build_constant(struct builder *self, struct cell cell)
{
    cel_t *program = self->program;
    program->constants = grow(program->constants, program->constant_count, &self->constant_capacity,
                              sizeof *program->constants);
    program->constants[program->constant_count] = cell;
    return (uint32_t)program->constant_count++;
}

uint32_t build_text(struct builder *self, const char *text, size_t size)
{
    struct cell cell = {.kind = KIND_STRING, .is_json = true};
    cell.as.json = value_string_n(text, size);
    return build_constant(self, cell);
}

void build_pattern(struct builder *self, struct pattern *pattern, size_t at, size_t from)
{
    cel_t *program = self->program;
    program->patterns = grow(program->patterns, program->pattern_count, &self->pattern_capacity,
                             sizeof(struct pattern *));
    program->patterns[program->pattern_count] = pattern;
    build_op(self, OP_MATCH, (uint32_t)program->pattern_count++, 1, at, from);
}

/* Takes name. */
static uint32_t find_variable(struct builder *self, char *name)
{
    cel_t *program = self->program;
    uintptr_t known = (uintptr_t)map_get(self->known, name, strlen(name));
    if (known) {
        free(name);
        return (uint32_t)known - 1;
    }
    program->variables =
        grow(program->variables, program->variable_count, &self->variable_capacity, sizeof(char *));
    program->variables[program->variable_count++] = name;
    map_put(self->known, name, strlen(name), (void *)(uintptr_t)program->variable_count);
    return (uint32_t)program->variable_count - 1;
}

uint32_t build_variable(struct builder *self, const char *prefix, const char *name, size_t size,
                        size_t offset, size_t from)
{
    cel_t *program = self->program;
    uint32_t variable = find_variable(self, xasprintf("%s%.*s", prefix, (int)size, name));
    program->references = grow(program->references, program->reference_count,
                               &self->reference_capacity, sizeof *program->references);
    program->references[program->reference_count++] =
        (struct cel_reference){.variable = program->variables[variable], .offset = offset};
    return build_op(self, OP_VARIABLE, variable, 0, offset, from);
}

void build_field_of_last(struct builder *self, const char *name, size_t size, size_t offset)
{
    struct cel_reference *last = &self->program->references[self->program->reference_count - 1];
    last->field = xstrndup(name, size);
    last->field_offset = offset;
}

void cel_destroy(cel_t **self_p)
{
    cel_t *self = *self_p;
    *self_p = NULL;
    if (!self)
        return;
    for (size_t i = 0; i < self->constant_count; i++) {
        if (!self->constants[i].is_json)
            continue;
        value_t *text = (value_t *)(uintptr_t)self->constants[i].as.json;
        value_destroy(&text);
    }
    for (size_t i = 0; i < self->pattern_count; i++)
        pattern_destroy(&self->patterns[i]);
    for (size_t i = 0; i < self->variable_count; i++)
        free(self->variables[i]);
    for (size_t i = 0; i < self->reference_count; i++)
        free((char *)(uintptr_t)self->references[i].field);
    free(self->constants);
    free(self->patterns);
    free(self->variables);
    free(self->references);
    free(self->problem);
    free(self->ops);
    free(self->text);
    free(self);
}
