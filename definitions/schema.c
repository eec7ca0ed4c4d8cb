/* The JSON Schema (draft 2020-12) of definitions, for editors, made from the table of keys. Keys
 * that this version doesn't run are left out: an editor then marks them. */
#include "base/limits.h"
#include "definitions/definitions.h"
#include "definitions/keys.h"
#include <stdlib.h>
#include <string.h>

#define NAME_PATTERN     "^[a-z][a-z0-9_-]*$"
#define ID_PATTERN       "^[a-z][a-z0-9_]*$"
#define GLOB_PATTERN     "^[a-z0-9_*?-]+$"
#define TOOL_PATTERN     "^[a-zA-Z_][a-zA-Z0-9_-]*$"
#define DURATION_PATTERN "^[0-9]+(ms|s|m|h|d)$"
#define VARIABLE_PATTERN "^[A-Za-z_][A-Za-z0-9_]*$"

static const char *const OWNER_IDS[OWNER_COUNT] = {
    [OWNER_AGENT] = "agent",
    [OWNER_AGENT_LIMITS] = "agent_limits",
    [OWNER_PROCESS] = "process",
    [OWNER_WORKFLOW] = "workflow",
    [OWNER_WORKFLOW_LIMITS] = "workflow_limits",
    [OWNER_INPUT] = "input",
    [OWNER_NODE] = "node",
    [OWNER_EDGE] = "edge",
    [OWNER_RETRY] = "retry",
    [OWNER_WAIT] = "wait",
    [OWNER_FALLBACK] = "fallback",
    [OWNER_SCHEDULE] = "schedule",
    [OWNER_TOOL_KINDS] = "tool",
    [OWNER_TOOL] = "command_tool",
    [OWNER_PRICE] = "price",
    [OWNER_RULES_FILE] = "rules_file",
    [OWNER_RULE] = "rule",
    [OWNER_WHEN] = "when",
    [OWNER_CALL] = "call",
    [OWNER_USAGE] = "usage",
    [OWNER_FAILURE] = "failure",
};

static value_t *typed(const char *type)
{
    value_t *schema = value_map();
    value_set_string(schema, "type", type);
    return schema;
}

static value_t *pattern(const char *regex)
{
    value_t *schema = typed("string");
    value_set_string(schema, "pattern", regex);
    return schema;
}

static value_t *reference(enum key_owner owner)
{
    value_t *schema = value_map();
    char *target = xasprintf("#/$defs/%s", OWNER_IDS[owner]);
    value_set_string(schema, "$ref", target);
    free(target);
    return schema;
}

/* Takes both. */
static value_t *either(value_t *a, value_t *b)
{
    value_t *schema = value_map(), *list = value_list();
    value_append(list, &a);
    value_append(list, &b);
    value_set(schema, "anyOf", &list);
    return schema;
}

static value_t *words(const char *const *choices)
{
    value_t *schema = value_map(), *list = value_list();
    for (size_t i = 0; choices[i]; i++) {
        value_t *word = value_string(choices[i]);
        value_append(list, &word);
    }
    value_set(schema, "enum", &list);
    return schema;
}

static value_t *type_words(void)
{
    value_t *schema = value_map(), *list = value_list();
    for (size_t i = 0; TYPE_NAMES[i].ours; i++) {
        value_t *word = value_string(TYPE_NAMES[i].ours);
        value_append(list, &word);
        if (strcmp(TYPE_NAMES[i].ours, TYPE_NAMES[i].schema) == 0)
            continue;
        word = value_string(TYPE_NAMES[i].schema);
        value_append(list, &word);
    }
    value_set(schema, "enum", &list);
    return schema;
}

static value_t *numeric(const struct key *key, const char *type)
{
    value_t *schema = typed(type);
    if (key->most >= 1e300)
        return schema;
    value_set_int(schema, "minimum", (int64_t)key->least);
    value_set_int(schema, "maximum", (int64_t)key->most);
    return schema;
}

static value_t *dollars(const struct key *key)
{
    value_t *schema = typed("number");
    value_set_double(schema, "minimum", key->least);
    value_set_int(schema, "maximum", (int64_t)key->most);
    return schema;
}

static value_t *text(size_t most)
{
    value_t *schema = typed("string");
    value_set_int(schema, "maxLength", (int64_t)most);
    return schema;
}

/* Takes items. */
static value_t *list_of(value_t *items, int64_t fewest)
{
    value_t *schema = typed("array");
    value_set(schema, "items", &items);
    if (fewest > 0)
        value_set_int(schema, "minItems", fewest);
    return schema;
}

/* An object with any names of that pattern. Takes member. */
static value_t *object_of(const char *name_pattern, value_t *member, const struct key *key)
{
    value_t *schema = typed("object"), *names = value_map();
    value_set_string(names, "pattern", name_pattern);
    value_set(schema, "propertyNames", &names);
    value_set(schema, "additionalProperties", &member);
    if (key->most > 0)
        value_set_int(schema, "maxProperties", (int64_t)key->most);
    return schema;
}

static value_t *constant_true(void)
{
    value_t *schema = value_map();
    value_set_bool(schema, "const", true);
    return schema;
}

static value_t *schema_of(const struct key *key)
{
    switch (key->type) {
    case TYPE_NAME: return pattern(NAME_PATTERN);
    case TYPE_TEXT:
    case TYPE_TEMPLATE: return text(LIMIT_TEXT_BYTES);
    case TYPE_LIST:
    case TYPE_SHOWN:
    case TYPE_EXPRESSION: return text(LIMIT_EXPRESSION_BYTES);
    case TYPE_CONDITION: return either(typed("boolean"), text(LIMIT_EXPRESSION_BYTES));
    case TYPE_NODE_ID: return pattern(ID_PATTERN);
    case TYPE_TEMPLATES: return typed("object");
    case TYPE_INTEGER: return numeric(key, "integer");
    case TYPE_NUMBER: return numeric(key, "number");
    case TYPE_BOOLEAN: return typed("boolean");
    case TYPE_TRUE: return constant_true();
    case TYPE_CHOICE: return words(key->choices);
    case TYPE_DURATION: return pattern(DURATION_PATTERN);
    case TYPE_WAIT: return either(pattern(DURATION_PATTERN), reference(key->child));
    case TYPE_SIZE: return pattern("^[0-9]+[KMGT]$");
    case TYPE_SPAN:
    case TYPE_RANGE: return either(numeric(key, "integer"), pattern("^[0-9]+\\.\\.[0-9]+$"));
    case TYPE_ARGV: return list_of(typed("string"), 1);
    case TYPE_ENV: return object_of(VARIABLE_PATTERN, typed("string"), key);
    case TYPE_LABELS: return object_of(".", text(LIMIT_NAME_BYTES), key);
    case TYPE_OBJECT: return reference(key->child);
    case TYPE_INPUTS:
    case TYPE_PARAMETERS:
    case TYPE_SCHEMAS:
        return object_of(key->type == TYPE_SCHEMAS ? "." : VARIABLE_PATTERN,
                         either(type_words(), reference(key->child)), key);
    case TYPE_NODES: return object_of(ID_PATTERN, reference(key->child), key);
    case TYPE_AFTER: return list_of(either(pattern(ID_PATTERN), reference(key->child)), 0);
    case TYPE_RETRY: return either(numeric(key, "integer"), reference(key->child));
    case TYPE_ON_ERROR: return either(words(key->choices), reference(key->child));
    case TYPE_ANSWER:
    case TYPE_SCHEMA: return either(type_words(), reference(key->child));
    case TYPE_SCHEMA_TYPE: return type_words();
    case TYPE_REQUIRED: return either(typed("boolean"), list_of(typed("string"), 0));
    case TYPE_VALUES: return typed("array");
    case TYPE_MODEL: return pattern("^script/.+$");
    case TYPE_TOOL_NAME: return pattern(TOOL_PATTERN);
    case TYPE_TOOL_NAMES: return list_of(pattern(TOOL_PATTERN), 0);
    case TYPE_DELEGATES: return list_of(pattern(GLOB_PATTERN), 0);
    case TYPE_DOLLARS: return dollars(key);
    case TYPE_TOOLS:
    case TYPE_RULES:
    case TYPE_CALLS: return list_of(reference(key->child), 0);
    case TYPE_EQUALS: return typed("object");
    case TYPE_SCHEDULE: return either(text(LIMIT_CRON_BYTES), reference(key->child));
    case TYPE_CRON: return text(LIMIT_CRON_BYTES);
    case TYPE_ZONE: return text(LIMIT_NAME_BYTES);
    case TYPE_ANYTHING:
    case TYPE_EXPIRY:
    case TYPE_VALUE:
    case TYPE_OTHER: break;
    }
    return value_map();
}

static value_t *owner_schema(enum key_owner owner)
{
    size_t count = 0;
    const struct key *keys = keys_of(owner, &count);
    value_t *schema = typed("object"), *properties = value_map(), *required = value_list();
    for (size_t i = 0; i < count; i++) {
        if (keys[i].later)
            continue;
        value_t *property = schema_of(&keys[i]);
        value_set_string(property, "description", keys[i].about);
        value_set(properties, keys[i].name, &property);
        value_t *name = keys[i].required ? value_string(keys[i].name) : NULL;
        if (name)
            value_append(required, &name);
    }
    value_set(schema, "properties", &properties);
    value_set(schema, "required", &required);
    value_set_bool(schema, "additionalProperties", false);
    return schema;
}

value_t *definitions_json_schema(void)
{
    value_t *schema = value_map(), *parts = value_map();
    for (int owner = 0; owner < OWNER_COUNT; owner++) {
        value_t *part = owner_schema((enum key_owner)owner);
        value_set(parts, OWNER_IDS[owner], &part);
    }
    value_set_string(schema, "$schema", "https://json-schema.org/draft/2020-12/schema");
    value_set_string(schema, "title", "AgentFactory definition");
    value_t *kinds = either(reference(OWNER_AGENT), reference(OWNER_WORKFLOW));
    value_t *list = value_copy(value_get(kinds, "anyOf")), *rules = reference(OWNER_RULES_FILE);
    value_append(list, &rules);
    value_destroy(&kinds);
    value_set(schema, "oneOf", &list);
    value_set(schema, "$defs", &parts);
    return schema;
}
