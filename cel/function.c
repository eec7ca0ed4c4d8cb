#include "cel/function.h"

#include "base/suggest.h"
#include <string.h>

enum form { FORM_GLOBAL = 1, FORM_METHOD = 2 };

/* How often, receiver included, an argument may stand. */
static const struct {
    const char *name;
    function_fn call;
    uint8_t forms;
    uint8_t least;
    uint8_t most;
} FUNCTIONS[] = {
    {"size", text_size, FORM_GLOBAL | FORM_METHOD, 1, 1},
    {"int", convert_int, FORM_GLOBAL, 1, 1},
    {"uint", convert_uint, FORM_GLOBAL, 1, 1},
    {"double", convert_double, FORM_GLOBAL, 1, 1},
    {"string", convert_string, FORM_GLOBAL, 1, 1},
    {"bool", convert_bool, FORM_GLOBAL, 1, 1},
    {"dyn", convert_dyn, FORM_GLOBAL, 1, 1},
    {"type", type_of, FORM_GLOBAL, 1, 1},
    {"contains", text_contains, FORM_METHOD, 2, 2},
    {"startsWith", text_starts_with, FORM_METHOD, 2, 2},
    {"endsWith", text_ends_with, FORM_METHOD, 2, 2},
    {"matches", text_matches, FORM_GLOBAL | FORM_METHOD, 2, 2},
    {"split", text_split, FORM_METHOD, 2, 3},
    {"join", text_join, FORM_METHOD, 1, 2},
    {"lowerAscii", text_lower, FORM_METHOD, 1, 1},
    {"upperAscii", text_upper, FORM_METHOD, 1, 1},
    {"trim", text_trim, FORM_METHOD, 1, 1},
    {"replace", text_replace, FORM_METHOD, 3, 4},
    {"charAt", text_char_at, FORM_METHOD, 2, 2},
    {"indexOf", text_index_of, FORM_METHOD, 2, 3},
    {"lastIndexOf", text_last_index_of, FORM_METHOD, 2, 3},
    {"substring", text_substring, FORM_METHOD, 2, 3},
};
#define FUNCTION_COUNT (sizeof FUNCTIONS / sizeof FUNCTIONS[0])

static bool name_is(size_t function, const char *name, size_t size)
{
    return strlen(FUNCTIONS[function].name) == size &&
           memcmp(FUNCTIONS[function].name, name, size) == 0;
}

int function_find(const char *name, size_t size, bool is_method, size_t count)
{
    unsigned form = is_method ? FORM_METHOD : FORM_GLOBAL;
    for (size_t i = 0; i < FUNCTION_COUNT; i++)
        if (name_is(i, name, size) && (FUNCTIONS[i].forms & form) && count >= FUNCTIONS[i].least &&
            count <= FUNCTIONS[i].most)
            return (int)i;
    return -1;
}

function_fn function_at(unsigned function)
{
    return FUNCTIONS[function].call;
}

const char *function_name(unsigned function)
{
    return FUNCTIONS[function].name;
}

static bool is_one_of(const char *const *words, const char *name, size_t size)
{
    for (; *words; words++)
        if (strlen(*words) == size && memcmp(*words, name, size) == 0)
            return true;
    return false;
}

/* The name is one, but is called in another way. */
static int misused(size_t function, bool is_method, struct err *err)
{
    const char *name = FUNCTIONS[function].name;
    int least = FUNCTIONS[function].least;
    int most = FUNCTIONS[function].most;
    bool takes_form = FUNCTIONS[function].forms & (is_method ? FORM_METHOD : FORM_GLOBAL);
    if (!takes_form && is_method) {
        err_set(err, ERR_INVALID, "%s is no function of a value", name);
        err_fix(err, "write %s(x)", name);
    } else if (!takes_form) {
        err_set(err, ERR_INVALID, "%s is called on a value", name);
        err_fix(err, "write x.%s(%s)", name, least > 1 ? "…" : "");
    } else {
        int own = is_method ? 1 : 0;
        err_set(err, ERR_INVALID, "%s takes another number of arguments", name);
        if (least == most)
            err_fix(err, "give it %d", least - own);
        else
            err_fix(err, "give it %d or %d", least - own, most - own);
    }
    return ERR_INVALID;
}

int function_unknown(const char *name, size_t size, bool is_method, size_t count, struct err *err)
{
    static const char *const MACRO_NAMES[] = {"all", "exists", "exists_one", "existsOne",
                                              "map", "filter", NULL};
    static const char *const LEFT_OUT[] = {
        "bytes",           "timestamp", "duration",      "getFullYear",
        "getMonth",        "getDate",   "getDayOfMonth", "getDayOfWeek",
        "getDayOfYear",    "getHours",  "getMinutes",    "getSeconds",
        "getMilliseconds", NULL};
    char word[64] = "";
    char fix[160];
    (void)count;
    for (size_t i = 0; i < FUNCTION_COUNT; i++)
        if (name_is(i, name, size))
            return misused(i, is_method, err);
    if (size < sizeof word)
        memcpy(word, name, size);
    int shown = (int)(size < 60 ? size : 60);
    if (is_one_of(MACRO_NAMES, name, size)) {
        err_set(err, ERR_INVALID, "%.*s is called on a list or an object", shown, name);
        err_fix(err, "write list.%.*s(x, …)", shown, name);
        return ERR_INVALID;
    }
    if (is_one_of(LEFT_OUT, name, size)) {
        err_set(err, ERR_INVALID, "%.*s is not there: JSON has no such values", shown, name);
        err_fix(err, "see docs/expressions.md for what is left out");
        return ERR_INVALID;
    }
    struct suggestion suggestion = SUGGESTION(word);
    for (size_t i = 0; i < FUNCTION_COUNT; i++)
        suggestion_offer(&suggestion, FUNCTIONS[i].name);
    for (size_t i = 0; MACRO_NAMES[i]; i++)
        suggestion_offer(&suggestion, MACRO_NAMES[i]);
    err_set(err, ERR_INVALID, "there is no function \"%.*s\"", shown, name);
    err_fix(err, "%s",
            suggestion.nearest ? suggestion_text(&suggestion, fix, sizeof fix)
                               : "see docs/expressions.md for the functions that there are");
    return ERR_INVALID;
}

static const struct {
    const char *name;
    enum kind kind;
} TYPES[] = {
    {"null_type", KIND_NULL}, {"bool", KIND_BOOL},     {"int", KIND_INT},
    {"uint", KIND_UINT},      {"double", KIND_DOUBLE}, {"string", KIND_STRING},
    {"list", KIND_LIST},      {"map", KIND_MAP},       {"type", KIND_TYPE},
};

enum kind type_named(const char *name, size_t size)
{
    for (size_t i = 0; i < sizeof TYPES / sizeof TYPES[0]; i++)
        if (strlen(TYPES[i].name) == size && memcmp(TYPES[i].name, name, size) == 0)
            return TYPES[i].kind;
    return KIND_ERROR;
}

bool cel_is_type(const char *word)
{
    return type_named(word, strlen(word)) != KIND_ERROR;
}
