/* Putting a program together: what the parser appends to it. */
#ifndef AF_CEL_BUILD_H
#define AF_CEL_BUILD_H

#include "base/map.h"
#include "cel/program.h"

struct builder {
    cel_t *program;
    map_t *known; /* place + 1 of each variable */
    size_t op_capacity;
    size_t constant_capacity;
    size_t pattern_capacity;
    size_t variable_capacity;
    size_t reference_capacity;
    uint32_t stack; /* cells on the stack at this place */
};

/* Appends an operation, which takes so many cells and leaves one; gives its place. */
uint32_t build_op(struct builder *self, enum opcode code, uint32_t arg, uint32_t takes, size_t at,
                  size_t from);
/* Operations that leave the stack to the caller. */
uint32_t build_jump(struct builder *self, enum opcode code, size_t at);
/* The jump goes to the place that comes next. */
void build_land(struct builder *self, uint32_t jump);
uint32_t build_constant(struct builder *self, struct cell cell);
uint32_t build_text(struct builder *self, const char *text, size_t size);
void build_pattern(struct builder *self, struct pattern *pattern, size_t at, size_t from);
/* Both take a name that isn't terminated. The variable's name is the prefix and that. */
uint32_t build_variable(struct builder *self, const char *prefix, const char *name, size_t size,
                        size_t offset, size_t from);
void build_field_of_last(struct builder *self, const char *name, size_t size, size_t offset);

#endif
