/* cel_vectors FILE: runs conformance vectors and prints the counts by result, and each failure.
 *
 * The file is a list of {file, section, name, expr, bindings, value | error}; a double is written
 * {"@double": 1.5}. Exit 0: all passed; 1: some failed; 2: the file can't be read.
 *
 * Some vectors of the specification's data came with escapes in their expected text that were not
 * decoded (" \u0100 " as six characters, where the expression says what the character is). Such a
 * text passes when it is the same after decoding them, and is counted apart. */
#include "cel/cel.h"
#include "cel/lex.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum result { PASSED, PASSED_ESCAPED, FAILED };

static int resolve(void *context, const char *name, value_t **ret_value, struct err *err)
{
    const value_t *found = value_get(context, name);
    if (!found)
        return err_set(err, ERR_NOT_FOUND, "there is no variable \"%s\"", name);
    *ret_value = value_ref(found);
    return 0;
}

static const value_t *marked_double(const value_t *value)
{
    const value_t *number = value_get(value, "@double");
    bool is_number =
        number && (value_type(number) == VALUE_DOUBLE || value_type(number) == VALUE_INT);
    return is_number && value_size(value) == 1 ? number : NULL;
}

/* The value with its marked doubles as doubles. */
static value_t *unmarked(const value_t *value)
{
    const value_t *number = marked_double(value);
    if (number)
        return value_double(value_as_double(number));
    if (value_type(value) != VALUE_LIST && value_type(value) != VALUE_MAP)
        return value_ref(value);
    bool is_list = value_type(value) == VALUE_LIST;
    value_t *made = is_list ? value_list() : value_map();
    for (size_t i = 0; i < value_size(value); i++) {
        value_t *item = unmarked(is_list ? value_at(value, i) : value_member_at(value, i));
        if (is_list)
            value_append(made, &item);
        else
            value_set(made, value_key_at(value, i, NULL), &item);
    }
    return made;
}

static int evaluate(const value_t *vector, const value_t *bindings, value_t **ret_value,
                    struct err *err)
{
    const char *text = value_get_string(vector, "expr", "");
    size_t count = value_size(bindings);
    const char **names = xcalloc(count + 1, sizeof *names);
    for (size_t i = 0; i < count; i++)
        names[i] = value_key_at(bindings, i, NULL);
    struct cel_names declared = {names, count};
    cel_t *program = NULL;
    value_t *variables = unmarked(bindings);
    int code = cel_compile_with(text, strlen(text), &declared, &program, err);
    if (!code)
        code = cel_eval(program, resolve, variables, ret_value, err);
    cel_destroy(&program);
    value_destroy(&variables);
    free(names);
    return code;
}

/* --- what is expected --------------------------------------------------------------------------
 */

/* Decodes \uXXXX and \UXXXXXXXX of characters that are not ASCII. */
static value_t *decoded(const value_t *text)
{
    struct buf out = {0};
    const char *at = value_as_string(text);
    const char *end = at + value_size(text);
    while (at < end) {
        size_t digits = at[0] != '\\' ? 0 : at[1] == 'u' ? 4 : at[1] == 'U' ? 8 : 0;
        char number[9] = "";
        if (digits && (size_t)(end - at) >= 2 + digits)
            memcpy(number, at + 2, digits);
        unsigned long point = strtoul(number, NULL, 16);
        if (point >= 0x80 && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff)) {
            lex_put_character(&out, (uint32_t)point);
            at += 2 + digits;
        } else {
            buf_putc(&out, *at++);
        }
    }
    value_t *value = value_string_n(buf_string(&out), out.size);
    buf_release(&out);
    return value;
}

static enum result compare(const value_t *expected, const value_t *value);

static enum result compare_items(const value_t *expected, const value_t *value)
{
    enum result worst = value_size(expected) == value_size(value) ? PASSED : FAILED;
    for (size_t i = 0; worst != FAILED && i < value_size(expected); i++) {
        bool is_list = value_type(expected) == VALUE_LIST;
        const value_t *wanted = is_list ? value_at(expected, i) : value_member_at(expected, i);
        const value_t *found =
            is_list ? value_at(value, i) : value_get(value, value_key_at(expected, i, NULL));
        enum result result = found ? compare(wanted, found) : FAILED;
        worst = result > worst ? result : worst;
    }
    return worst;
}

static enum result compare_texts(const value_t *expected, const value_t *value)
{
    if (value_equal(expected, value))
        return PASSED;
    value_t *text = decoded(expected);
    bool is_same = value_equal(text, value);
    value_destroy(&text);
    return is_same ? PASSED_ESCAPED : FAILED;
}

/* Unlike value_equal, 1 and 1.0 differ, as do 0.0 and -0.0. */
static enum result compare(const value_t *expected, const value_t *value)
{
    const value_t *number = marked_double(expected);
    if (number) {
        double wanted = value_as_double(number);
        bool is_same = value_type(value) == VALUE_DOUBLE &&
                       !(value_as_double(value) < wanted || value_as_double(value) > wanted) &&
                       !signbit(value_as_double(value)) == !signbit(wanted);
        return is_same ? PASSED : FAILED;
    }
    if (value_type(expected) != value_type(value))
        return FAILED;
    if (value_type(expected) == VALUE_STRING)
        return compare_texts(expected, value);
    if (value_type(expected) == VALUE_LIST || value_type(expected) == VALUE_MAP)
        return compare_items(expected, value);
    return value_equal(expected, value) ? PASSED : FAILED;
}

/* --- running ---------------------------------------------------------------------------------- */

static void print_failure(const value_t *vector, const value_t *value, const struct err *err)
{
    char line[800];
    struct buf text = {0};
    printf("failed: %s/%s/%s: %s\n", value_get_string(vector, "file", "?"),
           value_get_string(vector, "section", "?"), value_get_string(vector, "name", "?"),
           value_get_string(vector, "expr", "?"));
    if (value_get(vector, "error")) {
        printf("  expected: an error (%s)\n", value_get_string(vector, "error", ""));
    } else if (value_get(vector, "value")) {
        value_to_json(value_get(vector, "value"), VALUE_JSON_COMPACT, &text);
        printf("  expected: %s\n", buf_string(&text));
        buf_clear(&text);
    }
    if (value)
        value_to_json(value, VALUE_JSON_COMPACT, &text);
    printf("  found:    %s\n", value ? buf_string(&text) : err_format(err, line, sizeof line));
    buf_release(&text);
}

static enum result run_one(const value_t *vector)
{
    struct err err = {0};
    value_t *none = value_map();
    value_t *value = NULL;
    const value_t *bindings = value_get(vector, "bindings");
    const value_t *expected = value_get(vector, "value");
    bool is_usable = value_get_string(vector, "expr", NULL) &&
                     (expected != NULL) != (value_get(vector, "error") != NULL) &&
                     (!bindings || value_type(bindings) == VALUE_MAP);
    enum result result = FAILED;
    if (!is_usable)
        err_set(&err, ERR_INVALID, "the vector is not complete");
    else if (evaluate(vector, bindings ? bindings : none, &value, &err))
        result = expected ? FAILED : PASSED;
    else
        result = expected ? compare(expected, value) : FAILED;
    if (result == FAILED)
        print_failure(vector, value, &err);
    value_destroy(&value);
    value_destroy(&none);
    return result;
}

static int read_vectors(const char *path, value_t **ret_vectors)
{
    struct buf text = {0};
    struct err err = {0};
    char line[800];
    char chunk[4096];
    size_t size;
    FILE *file = fopen(path, "r");
    int code = file ? 0 : err_set(&err, ERR_IO, "%s: %s", path, strerror(errno));
    while (!code && (size = fread(chunk, 1, sizeof chunk, file)) > 0)
        buf_append(&text, chunk, size);
    if (!code)
        code = value_from_json(buf_string(&text), text.size, ret_vectors, &err);
    if (!code && value_type(*ret_vectors) != VALUE_LIST)
        code = err_set(&err, ERR_INVALID, "%s: the vectors are no list", path);
    if (code)
        fprintf(stderr, "cel_vectors: %s\n", err_format(&err, line, sizeof line));
    if (file)
        (void)fclose(file);
    buf_release(&text);
    return code;
}

int main(int argc, char **argv)
{
    value_t *vectors = NULL;
    size_t counts[FAILED + 1] = {0};
    if (argc != 2) {
        fprintf(stderr, "usage: cel_vectors FILE\n");
        return 2;
    }
    if (read_vectors(argv[1], &vectors))
        return 2;
    for (size_t i = 0; i < value_size(vectors); i++)
        counts[run_one(value_at(vectors, i))]++;
    printf("%zu vectors: %zu passed (%zu of them with escapes that the file left undecoded), "
           "%zu failed\n",
           value_size(vectors), counts[PASSED] + counts[PASSED_ESCAPED], counts[PASSED_ESCAPED],
           counts[FAILED]);
    value_destroy(&vectors);
    return counts[FAILED] ? 1 : 0;
}
