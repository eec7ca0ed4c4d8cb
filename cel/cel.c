#include "cel/cel.h"

#include "cel/program.h"

size_t cel_variables(const cel_t *self)
{
    return self->variable_count;
}

const char *cel_variable(const cel_t *self, size_t index)
{
    return index < self->variable_count ? self->variables[index] : NULL;
}

const char *cel_sole_variable(const cel_t *self)
{
    bool is_sole = self->ops[0].code == OP_VARIABLE && self->ops[1].code == OP_END;
    return is_sole ? self->variables[0] : NULL;
}

size_t cel_references(const cel_t *self)
{
    return self->reference_count;
}

const struct cel_reference *cel_reference(const cel_t *self, size_t index)
{
    return index < self->reference_count ? &self->references[index] : NULL;
}

int cel_check(const cel_t *self, struct err *err)
{
    if (!self->problem)
        return 0;
    if (err)
        *err = *self->problem;
    return self->problem->code;
}

bool cel_is_path(const cel_t *self)
{
    return self->is_path;
}
