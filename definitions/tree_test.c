/* Reading: scalars by the core schema, places, JSON, suggestions, the schema for editors. */
#include "definitions/tree.h"

#include "definitions/diagnostics.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static value_t *read_value(const char *text, const char *ret_kind[1])
{
    struct source source;
    struct tree tree;
    struct diagnostics diagnostics = {0};
    source_init(&source, text, strlen(text), "t.yaml");
    tree_parse(&tree, &source, &diagnostics);
    value_t *value = NULL;
    *ret_kind = NULL;
    if (diagnostics.count == 0 && tree.count == 1) {
        const struct node *root = tree.documents[0].root;
        *ret_kind = root->kind == NODE_BAD ? "bad" : "";
        value = node_value(root);
    }
    diagnostics_release(&diagnostics);
    tree_release(&tree);
    source_release(&source);
    return value;
}

static void assert_reads(const char *text, const char *json)
{
    const char *kind = NULL;
    struct buf out = {0};
    value_t *value = read_value(text, &kind);
    if (!value)
        fail_msg("%s can't be read", text);
    assert_string_equal(kind, "");
    value_to_json(value, VALUE_JSON_COMPACT, &out);
    assert_string_equal(buf_string(&out), json);
    buf_release(&out);
    value_destroy(&value);
}

static void assert_is_bad(const char *text)
{
    const char *kind = NULL;
    value_t *value = read_value(text, &kind);
    assert_string_equal(kind ? kind : "", "bad");
    value_destroy(&value);
}

static void test_core_schema(void **state)
{
    (void)state;
    assert_reads("[~, null, Null, NULL, nULL]", "[null,null,null,null,\"nULL\"]");
    assert_reads("[true, True, TRUE, tRUE, yes, no, on, off, y, n]",
                 "[true,true,true,\"tRUE\",\"yes\",\"no\",\"on\",\"off\",\"y\",\"n\"]");
    assert_reads("[0, -1, +12, 007, 0o17, 0x1F, 9223372036854775807, -9223372036854775808]",
                 "[0,-1,12,7,15,31,9223372036854775807,-9223372036854775808]");
    assert_reads("[0o8, 0xg, 0o, 0x, 1_000, 12:30:45, 1.2.3, 0b1, '5', \"true\"]",
                 "[\"0o8\",\"0xg\",\"0o\",\"0x\",\"1_000\",\"12:30:45\",\"1.2.3\",\"0b1\",\"5\","
                 "\"true\"]");
    assert_reads("[1.5, .5, 2., -1e3, 1E-2, ., e5, 1e, +.]",
                 "[1.5,0.5,2.0,-1000.0,0.01,\".\",\"e5\",\"1e\",\"+.\"]");
    assert_reads("{1: a, true: b, ~: c, 1.5: d}",
                 "{\"1\":\"a\",\"true\":\"b\",\"~\":\"c\",\"1.5\":\"d\"}");
    assert_is_bad("9223372036854775808");
    assert_is_bad("0xffffffffffffffffff");
    assert_is_bad(".inf");
    assert_is_bad("-.INF");
    assert_is_bad(".nan");
    assert_is_bad("1e999");
    assert_is_bad("\"a\\0b\"");
    assert_is_bad("!x");
    assert_is_bad("!!str 5");
    assert_is_bad("&a b");
    assert_is_bad("{{x}}");
    assert_is_bad("[[a]: b, {c}: d]: e");
}

static void test_json(void **state)
{
    (void)state;
    assert_reads(" {\"a\" : [1,-0.5e1,true,false,null,\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"], \"\": {}} ",
                 "{\"a\":[1,-5.0,true,false,null,\"\\\"\\\\/\\b\\f\\n\\r\\t\"],\"\":{}}");
    assert_reads("{\"a\":\"\\u0041\\u00e9\\u20ac\\ud83d\\ude00\"}",
                 "{\"a\":\"Aé€\xf0\x9f\x98\x80\"}");
    assert_reads("{\n\t\"a\"\n\t:\n\t[\n\t]\n}\n", "{\"a\":[]}");
    const char *kind = NULL;
    static const char *const BROKEN[] = {
        "{\"a\": \"\\ud83d\"}", "{\"a\": \"\\ud83d\\u0041\"}",
        "{\"a\": \"\\udc00\"}", "{\"a\": \"\\u00g0\"}",
        "{\"a\": \"",           "{\"a\"",
        "{\"a\": [1, 2}",       "{\"a\": 1} {\"b\": 2}",
        "{\"a\": \"\\u12",
    };
    for (size_t i = 0; i < sizeof BROKEN / sizeof BROKEN[0]; i++) {
        value_t *value = read_value(BROKEN[i], &kind);
        if (value)
            fail_msg("%s was read", BROKEN[i]);
    }
}

static void test_places(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "é: [ü, \"ö\", {k: v}]\nb:\n  - c\n",
        "{\"é\": [\"ü\", \"ö\", {\"k\": \"v\"}],\n\"b\": [\n  \"c\"]}"};
    static const unsigned COLUMNS[2][3] = {{5, 8, 17}, {8, 13, 24}};
    for (size_t i = 0; i < 2; i++) {
        struct source source;
        struct tree tree;
        struct diagnostics diagnostics = {0};
        source_init(&source, TEXTS[i], strlen(TEXTS[i]), "t");
        tree_parse(&tree, &source, &diagnostics);
        const struct node *list = node_get(tree.documents[0].root, "é");
        assert_int_equal(list->first->place.line, 1);
        assert_int_equal(list->first->place.column, COLUMNS[i][0]);
        assert_int_equal(list->first->next->place.column, COLUMNS[i][1]);
        assert_int_equal(source_offset(&source, list->place), list->offset);
        const struct node *inner = node_get(list->first->next->next, "k");
        assert_int_equal(inner->place.column, COLUMNS[i][2]);
        assert_int_equal(source_offset(&source, inner->place), inner->offset);
        assert_int_equal(source.text[inner->offset + (i == 1)], 'v');
        const struct node *c = node_get(tree.documents[0].root, "b")->first;
        assert_int_equal(c->place.line, 3);
        assert_int_equal(source.text[c->offset + (i == 1)], 'c');
        struct place back = source_place(&source, c->offset);
        assert_int_equal(back.line, c->place.line);
        assert_int_equal(back.column, c->place.column);
        tree_release(&tree);
        source_release(&source);
    }
}

/* The marked character (§ in the source) of the value's text is found again in the source. */
static void assert_finds(const char *text)
{
    struct source source;
    struct tree tree;
    struct diagnostics diagnostics = {0};
    source_init(&source, text, strlen(text), "t");
    tree_parse(&tree, &source, &diagnostics);
    assert_int_equal(diagnostics.count, 0);
    const struct node *node = node_get(tree.documents[0].root, "k");
    const char *mark = strstr(node->text, "§");
    assert_non_null(mark);
    struct place place =
        source_scalar_place(&source, node->place, node->offset, (enum scalar_style)node->style,
                            bytes_of(node->text, node->size), (size_t)(mark - node->text));
    size_t offset = source_offset(&source, place);
    if (strncmp(text + offset, "§", strlen("§")) != 0)
        fail_msg("found %u:%u in: %s", place.line, place.column, text);
    tree_release(&tree);
    source_release(&source);
}

static void test_places_inside_of_texts(void **state)
{
    (void)state;
    assert_finds("k: some § text");
    assert_finds("k: 'it''s §'");
    assert_finds("k: \"a\\tb\\u00e9\\x41\\\\ §\"");
    assert_finds("k: \"a\\\n  b  \n\n  c §\"");
    assert_finds("k: plain\n  over lines\n\n  and §");
    assert_finds("k: |\n  one\n   two\n\n  three §\n");
    assert_finds("k: >\n  one\n  two\n\n  three\n    four §\n");
    assert_finds("k: >-\n  one\n  §\n");
    assert_finds("# c\nk: |+\n\n    first\n    é §\n\n");
    assert_finds("{\"a\": \"é\", \"k\": \"\\n\\ud83d\\ude00 é §\"}");
}

static void assert_suggests(const char *word, const char *expected)
{
    static const char *const WORDS[] = {"agent", "about", "after", "retry", "review", "on_error"};
    struct suggestion suggestion = SUGGESTION(word);
    for (size_t i = 0; i < sizeof WORDS / sizeof WORDS[0]; i++)
        suggestion_offer(&suggestion, WORDS[i]);
    if (!expected)
        assert_null(suggestion.nearest);
    else
        assert_string_equal(suggestion.nearest, expected);
}

static void test_suggestions(void **state)
{
    (void)state;
    assert_suggests("agnet", "agent");
    assert_suggests("abuot", "about");
    assert_suggests("reveiw", "review");
    assert_suggests("on_eror", "on_error");
    assert_suggests("onerror", "on_error");
    assert_suggests("retries", "retry");
    assert_suggests("colour", NULL);
    assert_suggests("x", NULL);
    assert_suggests("", NULL);
}

/* Keys that run are in the schema, with what they refer to; those that don't are not. */
static void test_schema_for_editors(void **state)
{
    (void)state;
    value_t *schema = definitions_json_schema();
    const value_t *parts = value_get(schema, "$defs");
    const value_t *node = value_get(parts, "node"), *agent = value_get(parts, "agent");
    assert_non_null(value_get(value_get(node, "properties"), "retry"));
    assert_non_null(value_get(value_get(node, "properties"), "approve"));
    assert_null(value_get(value_get(agent, "properties"), "a2a"));
    assert_non_null(value_get(value_get(agent, "properties"), "model"));
    assert_false(value_get_bool(node, "additionalProperties", true));
    struct buf text = {0};
    value_to_json(schema, VALUE_JSON_COMPACT, &text);
    static const char PREFIX[] = "\"$ref\":\"#/$defs/";
    size_t references = 0;
    for (const char *at = buf_string(&text); (at = strstr(at, PREFIX)); references++) {
        at += strlen(PREFIX);
        char *name = xstrndup(at, strcspn(at, "\""));
        assert_non_null(value_get(parts, name));
        free(name);
    }
    assert_true(references >= 18);
    buf_release(&text);
    value_destroy(&schema);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_core_schema), cmocka_unit_test(test_json),
        cmocka_unit_test(test_places),      cmocka_unit_test(test_places_inside_of_texts),
        cmocka_unit_test(test_suggestions), cmocka_unit_test(test_schema_for_editors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
