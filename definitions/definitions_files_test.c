/* The files of tests/data/definitions: every one of bad/ gives exactly the lines of its .expected,
 * one problem at least being of the kind that its name begins with (KIND-what.yaml), and each with
 * its place and a remedy; every one of good/ gives none, and compiles. AF_UPDATE=1 writes the
 * .expected anew, to be read before it is committed. */
#include "definitions/definitions.h"
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define DATA AF_SOURCE_DIR "/tests/data/definitions"

static void read_file(const char *path, struct buf *out)
{
    FILE *file = fopen(path, "rb");
    if (!file)
        fail_msg("%s can't be opened", path);
    char part[4096];
    for (size_t size; (size = fread(part, 1, sizeof part, file)) > 0;)
        buf_append(out, part, size);
    fclose(file);
}

static void write_file(const char *path, const struct buf *text)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text->data, 1, text->size, file), text->size);
    assert_int_equal(fclose(file), 0);
}

struct checked {
    struct definitions definitions;
    struct diagnostics diagnostics;
};

static void check_file(const char *folder, const char *name, struct checked *ret)
{
    struct buf text = {0};
    char path[512];
    *ret = (struct checked){0};
    snprintf(path, sizeof path, DATA "/%s/%s", folder, name);
    read_file(path, &text);
    definitions_parse(buf_string(&text), text.size, name, &ret->definitions, &ret->diagnostics);
    definitions_join_rules(&ret->definitions, &ret->diagnostics);
    definitions_cross_check(&ret->definitions, NULL, NULL, &ret->diagnostics);
    buf_release(&text);
}

static void release(struct checked *self)
{
    definitions_release(&self->definitions);
    diagnostics_release(&self->diagnostics);
}

static int is_yaml(const struct dirent *entry)
{
    const char *dot = strrchr(entry->d_name, '.');
    return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".json") == 0);
}

static size_t each_file(const char *folder, void (*test)(const char *name))
{
    struct dirent **entries = NULL;
    char path[256];
    snprintf(path, sizeof path, DATA "/%s", folder);
    int count = scandir(path, &entries, is_yaml, alphasort);
    for (int i = 0; i < count; i++) {
        test(entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return count > 0 ? (size_t)count : 0;
}

static void check_kind(const char *name, const struct diagnostics *diagnostics)
{
    size_t size = strcspn(name, "-");
    for (size_t i = 0; i < diagnostics->count; i++)
        if (strlen(diagnostics->items[i].kind) == size &&
            memcmp(diagnostics->items[i].kind, name, size) == 0)
            return;
    fail_msg("%s has no problem of its kind", name);
}

/* File, line, column, and how to mend it; a problem of the whole document has no field. */
static void check_whole(const char *name, const struct diagnostics *diagnostics)
{
    for (size_t i = 0; i < diagnostics->count; i++) {
        const struct diagnostic *item = &diagnostics->items[i];
        assert_string_equal(item->file, name);
        assert_true(item->line > 0 && item->column > 0);
        if (item->message[0] == '\0' || item->fix[0] == '\0')
            fail_msg("%s:%u:%u: \"%s\" comes without a remedy", name, item->line, item->column,
                     item->message);
    }
}

static void check_bad(const char *name)
{
    struct checked checked;
    struct buf lines = {0}, expected = {0};
    char path[512];
    check_file("bad", name, &checked);
    check_kind(name, &checked.diagnostics);
    check_whole(name, &checked.diagnostics);
    diagnostics_format(&checked.diagnostics, &lines);
    snprintf(path, sizeof path, DATA "/bad/%.*s.expected", (int)strcspn(name, "."), name);
    if (getenv("AF_UPDATE"))
        write_file(path, &lines);
    read_file(path, &expected);
    assert_string_equal(buf_string(&lines), buf_string(&expected));
    buf_release(&lines);
    buf_release(&expected);
    release(&checked);
}

static void check_good(const char *name)
{
    struct checked checked;
    struct buf lines = {0};
    check_file("good", name, &checked);
    diagnostics_format(&checked.diagnostics, &lines);
    assert_string_equal(buf_string(&lines), "");
    assert_true(checked.definitions.count > 0 || checked.definitions.files[0].rules);
    for (size_t i = 0; i < checked.definitions.count; i++) {
        const struct definition *item = &checked.definitions.items[i];
        struct agent_def *agent = NULL;
        dag_t *dag = NULL;
        if (item->kind == DEFINITION_AGENT) {
            assert_int_equal(agent_compile(item->canonical, &agent, NULL), 0);
            assert_string_equal(agent->name, item->name);
            agent_def_destroy(&agent);
        } else {
            assert_int_equal(workflow_compile(item->canonical, &dag, NULL), 0);
            assert_string_equal(dag_name(dag), item->name);
            dag_destroy(&dag);
        }
    }
    buf_release(&lines);
    release(&checked);
}

static void test_bad(void **state)
{
    (void)state;
    assert_true(each_file("bad", check_bad) >= 25);
}

static void test_good(void **state)
{
    (void)state;
    assert_true(each_file("good", check_good) >= 2);
}

/* The schema and the document come from the same table: the document in the tree is the one that
 * the table gives now. */
static void test_document_is_up_to_date(void **state)
{
    (void)state;
    struct buf now = {0}, kept = {0};
    definitions_document(&now);
    if (getenv("AF_UPDATE"))
        write_file(AF_SOURCE_DIR "/docs/definitions.md", &now);
    read_file(AF_SOURCE_DIR "/docs/definitions.md", &kept);
    if (strcmp(buf_string(&now), buf_string(&kept)) != 0)
        fail_msg("docs/definitions.md is out of date: run `ninja definitions_document`");
    buf_release(&now);
    buf_release(&kept);
}

/* Every kind that a file of bad/ shows is explained in the document. */
static void check_kinds_of(const char *name)
{
    struct checked checked;
    struct buf document = {0};
    check_file("bad", name, &checked);
    definitions_document(&document);
    for (size_t i = 0; i < checked.diagnostics.count; i++) {
        char *row = xasprintf("| `%s` |", checked.diagnostics.items[i].kind);
        if (!strstr(buf_string(&document), row))
            fail_msg("the document doesn't explain %s", row);
        free(row);
    }
    buf_release(&document);
    release(&checked);
}

static void test_kinds_are_explained(void **state)
{
    (void)state;
    assert_true(each_file("bad", check_kinds_of) >= 25);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_document_is_up_to_date),
        cmocka_unit_test(test_kinds_are_explained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
