/* The tree of delegations, from documents as the coordinator gives them. */
#include "tools/tree.h"

#include "tools/test_document.h"

typedef void (*print_fn)(const value_t *execution, FILE *stream);

static char *printed(print_fn print, const char *document)
{
    char *text = NULL;
    size_t size = 0;
    value_t *execution = test_document(document);
    FILE *stream = open_memstream(&text, &size);
    print(execution, stream);
    fclose(stream);
    value_destroy(&execution);
    return text;
}

static void assert_printed(const char *expected, print_fn print, const char *document)
{
    char *text = printed(print, document);
    assert_string_equal(expected, text);
    free(text);
}

#define TIMES                                                                                      \
    "'queued_at': '2026-01-01T00:00:00Z', 'started_at': '2026-01-01T00:00:01Z', "                  \
    "'ended_at': '2026-01-01T00:00:03Z'"
#define TASK(path, agent, status)                                                                  \
    "{'path': '" path "', 'agent': '" agent "', 'status': '" status "', 'attempt': 1, "            \
    "'losses': 0, 'instance': 'inst_1', " TIMES

/* Delegations stand in the order of their making, not of the tree. */
static const char DELEGATED[] =
    "{'status': 'succeeded', 'delegations': 4, 'tokens': 700, 'cost_microusd': 0, " TIMES ", "
    "'tasks': [" TASK("inventory", "lister", "succeeded") ", 'parent': ''}, " TASK(
        "lead", "lead",
        "succeeded") ", 'parent': '', 'turns': 3, "
                     "'tokens': {'own': 300, 'subtree': 700}}, " TASK(
                         "lead/1", "check_c",
                         "succeeded") ", 'parent': 'lead', 'turns': 2, "
                                      "'message': 'Look at the C files', 'tokens': {'own': 100, "
                                      "'subtree': 250}}, " TASK(
                                          "lead/2", "check_py",
                                          "failed") ", 'parent': 'lead', 'turns': 1, "
                                                    "'message': {'n': 1}, 'tokens': {'own': 50, "
                                                    "'subtree': 50}}, " TASK(
                                                        "lead/1/1", "counter",
                                                        "succeeded") ", 'parent': 'lead/1', "
                                                                     "'turns': 1, "
                                                                     "'message': 'Count', "
                                                                     "'tokens': {'own': 150, "
                                                                     "'subtree': 150}}, " TASK(
                                                                         "lead/3", "writer",
                                                                         "succeeded") ", 'parent': "
                                                                                      "'lead', "
                                                                                      "'turns': 1, "
                                                                                      "'hand_off': "
                                                                                      "true, "
                                                                                      "'message': "
                                                                                      "'Write', "
                                                                                      "'tokens': "
                                                                                      "{'own': "
                                                                                      "100, "
                                                                                      "'subtree': "
                                                                                      "100}}]}";

static void test_children_stand_below_their_parents(void **state)
{
    (void)state;
    assert_printed(
        "TASK            AGENT     STATUS     TURNS  TOKENS  WITH BELOW  TOOK   INSTANCE  ASKED\n"
        "✔ inventory     lister    succeeded  0      0       0           2.0 s  inst_1    \n"
        "✔ lead          lead      succeeded  3      300     700         2.0 s  inst_1    \n"
        "├ ✔ lead/1      check_c   succeeded  2      100     250         2.0 s  inst_1    "
        "by lead: “Look at the C files”\n"
        "│ └ ✔ lead/1/1  counter   succeeded  1      150     150         2.0 s  inst_1    "
        "by lead/1: “Count”\n"
        "├ ✘ lead/2      check_py  failed     1      50      50          2.0 s  inst_1    "
        "by lead: {\"n\":1}\n"
        "└ ✔ lead/3      writer    succeeded  1      100     100         2.0 s  inst_1    "
        "by lead, hand-off: “Write”\n"
        "in all  6 tasks, 4 delegations, 8 turns, 700 tokens, took 2.0 s\n",
        print_task_tree, DELEGATED);
}

static void test_a_tree_without_delegations_shows_no_columns_of_them(void **state)
{
    (void)state;
    assert_printed("TASK  AGENT  STATUS                                TOOK   INSTANCE\n"
                   "✔ a   x      succeeded                             2.0 s  inst_1\n"
                   "– b   y      skipped, attempt 2, lost 1 (after a)  2.0 s  inst_1\n"
                   "in all  2 tasks\n",
                   print_task_tree,
                   "{'tasks': [" TASK(
                       "a", "x", "succeeded") "}, "
                                              "{'path': 'b', 'agent': 'y', 'status': 'skipped', "
                                              "'attempt': 2, 'losses': 1, "
                                              "'reason': 'after a', 'instance': 'inst_1', " TIMES
                                              "}]}");
    assert_printed("TASK  AGENT  STATUS  TOOK  INSTANCE\nin all  0 tasks\n", print_task_tree, "{}");
}

static void test_money_is_shown_when_there_is_some(void **state)
{
    (void)state;
    assert_printed(
        "TASK   AGENT  STATUS     TURNS  TOKENS  WITH BELOW  COST  WITH BELOW  TOOK   INSTANCE  "
        "ASKED\n"
        "✔ a    x      succeeded  1      15      20          -     $0.0012     2.0 s  inst_1    \n"
        "└ ✔ b  y      succeeded  0      0       0           -     -           2.0 s  inst_1    "
        "by a\n"
        "in all  2 tasks, 1 delegation, 1 turn, 20 tokens, $0.0012, 1 model call made again\n",
        print_task_tree,
        "{'tokens': {'input': 12, 'output': 8}, 'cost_microusd': 1200, "
        "'tasks': [" TASK(
            "a", "x", "succeeded") ", 'turns': 1, 'calls_again': 1, "
                                   "'tokens': {'own': {'input': 10, 'output': 5}, 'subtree': 20}, "
                                   "'cost_microusd': {'own': 0, 'subtree': 1200}}, " TASK(
                                       "b", "y", "succeeded") ", 'parent': 'a'}]}");
}

/* A page need not hold the parent, and what makes no sense is shown all the same, once. */
static void test_tasks_without_their_parents_show(void **state)
{
    (void)state;
    assert_printed(
        "TASK          AGENT  STATUS   TOOK   INSTANCE  ASKED\n"
        "▶ lead/7      x      running  2.0 s  inst_1    by lead: “Go”\n"
        "└ ▶ lead/7/1  y      running  2.0 s  inst_1    by lead/7\n"
        "▶ a           x      running  2.0 s  inst_1    by b\n"
        "└ ▶ b         y      running  2.0 s  inst_1    by a\n"
        "▶ c           z      running  2.0 s  inst_1    by c\n"
        "in all  5 tasks, 5 delegations\n",
        print_task_tree,
        "{'tasks': [" TASK(
            "lead/7", "x",
            "running") ", 'parent': 'lead', "
                       "'message': 'Go'}, " TASK(
                           "lead/7/1", "y",
                           "running") ", 'parent': "
                                      "'lead/7'}, " TASK(
                                          "a", "x",
                                          "running") ", 'parent': 'b'}, " TASK("b", "y",
                                                                               "running") ", "
                                                                                          "'paren"
                                                                                          "t': "
                                                                                          "'a'},"
                                                                                          " " TASK(
                                                                                              "c",
                                                                                              "z",
                                                                                              "runn"
                                                                                              "ing") ", "
                                                                                                     "'parent': "
                                                                                                     "'c'}]}");
}

static void test_wide_texts_are_cut(void **state)
{
    (void)state;
    char *text =
        printed(print_task_tree,
                "{'tasks': [" TASK("a", "x", "succeeded") ", 'parent': 'z', 'message': "
                                                          "'日本語日本語日本語日本語日本語日本語日"
                                                          "本語日本語日本語日本語日本語日本語'}]}");
    assert_non_null(
        strstr(text, "by z: “日本語日本語日本語日本語日本語日本語日本語日本語日本語日…”\n"));
    free(text);
}

static void test_the_table_has_delegated_tasks(void **state)
{
    (void)state;
    assert_printed(
        "   TASK    AGENT  STATUS     TRIES      WAITED  TOOK   INSTANCE\n"
        "✔  lead    x      succeeded  1          1.0 s   2.0 s  inst_1\n"
        "…  lead/1  y      waiting    2, lost 1  -       -      \n",
        print_task_table,
        "{'tasks': [" TASK(
            "lead", "x",
            "succeeded") "}, "
                         "{'path': 'lead/1', 'parent': 'lead', 'agent': 'y', 'status': 'waiting', "
                         "'attempt': 2, 'losses': 1}]}");
}

/* Items are no delegations, and tell how many of them there are. */
static void test_items_stand_below_their_node(void **state)
{
    static const char MAP[] =
        "{'tasks': [" TASK("m", "x", "waiting") ", 'items': 2, 'items_ended': 1}, " TASK(
            "e", "x",
            "succeeded") ", 'items': 0, 'items_ended': 0}, " TASK("m[0]", "x",
                                                                  "succeeded") ", 'parent': "
                                                                               "'m', 'item': "
                                                                               "0}, " TASK(
                                                                                   "m["
                                                                                   "1]",
                                                                                   "x",
                                                                                   "ski"
                                                                                   "ppe"
                                                                                   "d") ", "
                                                                                        "'parent': "
                                                                                        "'m', "
                                                                                        "'item': "
                                                                                        "1, "
                                                                                        "'reason': "
                                                                                        "'why'}]}";
    (void)state;
    assert_printed("TASK      AGENT  STATUS                 TOOK   INSTANCE\n"
                   "… m       x      waiting, 1 of 2 items  2.0 s  inst_1\n"
                   "├ ✔ m[0]  x      succeeded              2.0 s  inst_1\n"
                   "└ – m[1]  x      skipped (why)          2.0 s  inst_1\n"
                   "✔ e       x      succeeded, 0 items     2.0 s  inst_1\n"
                   "in all  4 tasks\n",
                   print_task_tree, MAP);
}

/* A thousand children of one task, and a chain as deep as can be. */
static void test_many_delegations(void **state)
{
    (void)state;
    struct buf document = {0};
    buf_puts(&document, "{'tasks': [{'path': 'a'}");
    for (int i = 1; i <= 1000; i++)
        buf_printf(&document, ", {'path': 'a/%d', 'parent': 'a'}", i);
    for (int i = 1; i <= 50; i++)
        buf_printf(&document, ", {'path': 'c%d', 'parent': 'c%d'}", i, i - 1);
    buf_puts(&document, "]}");
    char *text = printed(print_task_tree, buf_string(&document));
    assert_non_null(strstr(text, "├ ? a/999 "));
    assert_non_null(strstr(text, "└ ? a/1000 "));
    assert_non_null(strstr(text, "        └ ? c6 "));
    assert_non_null(strstr(text, "in all  1051 tasks, 1050 delegations\n"));
    free(text);
    buf_release(&document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_children_stand_below_their_parents),
        cmocka_unit_test(test_a_tree_without_delegations_shows_no_columns_of_them),
        cmocka_unit_test(test_money_is_shown_when_there_is_some),
        cmocka_unit_test(test_tasks_without_their_parents_show),
        cmocka_unit_test(test_wide_texts_are_cut),
        cmocka_unit_test(test_the_table_has_delegated_tasks),
        cmocka_unit_test(test_items_stand_below_their_node),
        cmocka_unit_test(test_many_delegations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
