/* The lines of a journal, from documents as the coordinator gives them. */
#include "tools/lines.h"

#include "tools/test_document.h"

/* The line of the last of the events; "" when there is none. Heap. */
static char *line_of(enum lines_detail detail, const char *node, const char *const *events)
{
    char *text = NULL;
    size_t size = 0;
    lines_t *lines = lines_new(detail, node);
    for (; *events; events++) {
        free(text);
        FILE *stream = open_memstream(&text, &size);
        value_t *event = test_document(*events);
        if (lines_take(lines, event))
            lines_print(lines, event, stream);
        value_destroy(&event);
        fclose(stream);
    }
    lines_destroy(&lines);
    return text;
}

static void assert_line(const char *expected, enum lines_detail detail, const char *node,
                        const char *const *events)
{
    char *line = line_of(detail, node, events);
    assert_string_equal(expected, line);
    free(line);
}
#define LINES(detail, expected, ...)                                                               \
    assert_line(expected, detail, NULL, (const char *const[]){__VA_ARGS__, NULL})
#define PROGRESS(expected, ...) LINES(LINES_PROGRESS, expected, __VA_ARGS__)

#define TIMES                                                                                      \
    "'started_at': '2026-01-01T00:00:00.000000Z', 'ended_at': '2026-01-01T00:00:01.500000Z'"
#define STEP(path, kind)                                                                           \
    "{'kind': 'step', 'task': '" path "', 'step_kind': '" kind "', 'attempt': 1, "                 \
    "'instance': 'inst_1', " TIMES ", "
#define TURN                                                                                       \
    STEP("lead", "turn")                                                                           \
    "'turn': 1, 'tokens': {'input': 120, 'output': 30}, 'cost_microusd': 1200, "                   \
    "'calls': ['delegate_to_agent', 'wc', 'delegate_to_agent']}"

static void test_results_are_as_ever_and_further_in_below_a_delegation(void **state)
{
    (void)state;
    PROGRESS("✔ lead                 succeeded in 1.5 s  inst_1\n",
             STEP("lead", "result") "'a': 1}");
    PROGRESS("  ✔ lead/1             succeeded in 1.5 s  inst_1\n",
             STEP("lead/1", "result") "'a': 1}");
    PROGRESS(
        "    ✘ lead/1/2         failed in 1.5 s, attempt 1: exit: status 3  inst_1\n",
        STEP("lead/1/2",
             "failure") "'failure': {'code': 'exit', 'message': 'status\\n3'}, 'retry_at': null}");
    PROGRESS("✔ old                  succeeded in 1.5 s  i\n",
             "{'kind': 'step', 'task': 'old', 'instance': 'i', " TIMES "}");
}

static void test_turns_tell_their_calls_and_what_they_used(void **state)
{
    (void)state;
    PROGRESS("◦ lead                 turn 1 calls delegate_to_agent ×2, wc, 120 + 30 tokens, "
             "$0.0012, 1.5 s  inst_1\n",
             TURN);
    PROGRESS("  ◦ lead/1             turn 2 answers, 1.5 s  inst_1\n",
             STEP("lead/1", "turn") "'turn': 2, 'calls': []}");
    PROGRESS("◦ a                    turn 1 calls a ×2, b, c, d, e, f, …, 1.5 s  inst_1\n",
             STEP("a", "turn") "'turn': 1, 'calls': ['a', 'b', 'c', 'd', 'e', 'f', "
                               "'a', 'g']}");
}

static void test_tool_results_name_the_tool_of_their_turn(void **state)
{
    (void)state;
    PROGRESS("◦ lead                 wc answered in 1.5 s  inst_1\n", TURN,
             STEP("lead", "tool_result") "'turn': 1, 'call': 1}");
    PROGRESS("! lead                 wc failed in 1.5 s: exit: no such file  inst_1\n", TURN,
             STEP("lead", "tool_result") "'turn': 1, 'call': 1, "
                                         "'failure': {'code': 'exit', "
                                         "'message': 'no such file'}}");
    /* Its turn was not seen, or is another one. */
    PROGRESS("◦ lead                 call 2 of turn 1 answered in 1.5 s  inst_1\n",
             STEP("lead", "tool_result") "'turn': 1, 'call': 1}");
    PROGRESS("◦ lead                 call 2 of turn 3 answered in 1.5 s  inst_1\n", TURN,
             STEP("lead", "tool_result") "'turn': 3, 'call': 1}");
    PROGRESS("◦ lead                 call 9 of turn 1 answered in 1.5 s  inst_1\n", TURN,
             STEP("lead", "tool_result") "'turn': 1, 'call': 8}");
}

static void test_delegations_say_who_asks_whom_for_what(void **state)
{
    (void)state;
    PROGRESS("  ↳ lead → check_c: “Look at src/ and say what is wrong with it, however long…”  "
             "lead/1\n",
             "{'kind': 'delegated', 'task': 'lead', 'turn': 1, 'call': 0, "
             "'child': 'lead/1', 'agent': 'check_c', 'version': 1, 'message': "
             "'Look at src/\\nand say what is wrong with it, however long it may take'}");
    PROGRESS("    ↳ lead/1 → writer (hand-off): {\"facts\":[1,2]}  lead/1/1\n",
             "{'kind': 'delegated', 'task': 'lead/1', 'child': 'lead/1/1', "
             "'agent': 'writer', 'message': {'facts': [1, 2]}, 'hand_off': true}");
    PROGRESS("  ⊘ lead → ghost refused: unknown_agent: there is no agent ghost; "
             "allowed: check_*\n",
             "{'kind': 'refused', 'task': 'lead', 'turn': 1, 'call': 0, "
             "'agent': 'ghost', 'failure': {'code': 'unknown_agent', "
             "'message': 'there is no agent ghost; allowed: check_*'}}");
}

static void test_answers_of_the_coordinator(void **state)
{
    (void)state;
    PROGRESS("◦ lead                 list_agents answered\n",
             "{'kind': 'answered', 'task': 'lead', 'turn': 1, 'call': 0, "
             "'tool': 'list_agents'}");
    PROGRESS("! lead                 context_get failed: not_found: nothing at a.b\n",
             "{'kind': 'answered', 'task': 'lead', 'turn': 1, 'call': 0, "
             "'tool': 'context_get', 'failure': {'code': 'not_found', "
             "'message': 'nothing at a.b'}}");
    PROGRESS("◦ lead                 changes the context: {\"done\":true}\n",
             "{'kind': 'patched', 'task': 'lead', 'turn': 1, 'call': 0, "
             "'patch': {'done': true}}");
}

static void test_a_result_that_sets_tells_what(void **state)
{
    (void)state;
    PROGRESS("  ✔ count[1]           succeeded in 1.5 s  inst_1\n"
             "  ◦ count[1]           changes the context: {\"done\":2}\n",
             STEP("count[1]", "result") "'output': 3, 'patch': {'done': 2}}");
}

static void test_failures_are_told_in_short(void **state)
{
    (void)state;
    char *message = xcalloc(1001, 1);
    memset(message, 'm', 1000);
    char *event = xasprintf("{'kind': 'ended', 'status': 'failed', "
                            "'failure': {'code': 'exit', 'message': '%s'}}",
                            message);
    char *expected = xasprintf("✘ execution failed: exit: %.199s…\n", message);
    PROGRESS(expected, event);
    free(expected);
    free(event);
    free(message);
    /* A word once, unless it is part of another one. */
    PROGRESS("! lead                 wc failed in 1.5 s: interrupted, outcome unknown  inst_1\n",
             TURN,
             STEP("lead", "tool_result") "'turn': 1, 'call': 1, 'failure': {'code': 'interrupted', "
                                         "'message': 'interrupted, outcome unknown'}}");
    PROGRESS("! lead                 wc failed in 1.5 s: exit: exits went wrong  inst_1\n", TURN,
             STEP("lead", "tool_result") "'turn': 1, 'call': 1, "
                                         "'failure': {'code': 'exit', "
                                         "'message': 'exits went wrong'}}");
}

static void test_why_an_execution_failed(void **state)
{
    (void)state;
    static const char *const documents[] = {
        "{'status': 'failed', 'failure': {'code': 'exit', 'message': 'status\\n3'}}",
        "{'status': 'cancelled', 'failure': null}"};
    static const char *const expected[] = {"execution failed: exit: status 3\n",
                                           "execution cancelled\n"};
    for (size_t i = 0; i < 2; i++) {
        char *text = NULL;
        size_t size = 0;
        FILE *stream = open_memstream(&text, &size);
        value_t *execution = test_document(documents[i]);
        lines_print_why(execution, stream);
        fclose(stream);
        assert_string_equal(expected[i], text);
        value_destroy(&execution);
        free(text);
    }
}

/* It may have been the last one that the task was granted. */
static void test_a_loss_promises_nothing(void **state)
{
    (void)state;
    PROGRESS("↯ lead                 lost (silence)  inst_1\n",
             "{'kind': 'lost', 'task': 'lead', 'reason': 'silence', 'instance': 'inst_1'}");
}

#define RESERVED                                                                                   \
    "{'kind': 'reserved', 'task': 'lead', 'attempt': 1, 'turn': 2, "                               \
    "'egress': 'egress:1', 'tokens': 4096, 'cost_microusd': 10000}"
#define SETTLED                                                                                    \
    "{'kind': 'settled', 'task': 'lead/1', 'attempt': 1, 'turn': 2, "                              \
    "'reason': 'egress lost'}"

static void test_the_ledger_is_for_logs_alone(void **state)
{
    (void)state;
    PROGRESS("", RESERVED);
    PROGRESS("", SETTLED);
    LINES(LINES_ALL,
          "  lead               turn 2 reserved, at most 4096 tokens, $0.01, from egress:1\n",
          RESERVED);
    LINES(LINES_ALL, "    lead/1             turn 2 settled at its bound: egress lost\n", SETTLED);
}

static void test_one_node_is_shown_with_what_it_delegated(void **state)
{
    (void)state;
    static const char *const own[] = {STEP("lead", "turn") "'turn': 1}", NULL};
    static const char *const below[] = {STEP("lead/1", "turn") "'turn': 1}", NULL};
    static const char *const other[] = {STEP("leader", "turn") "'turn': 1}", NULL};
    static const char *const none[] = {"{'kind': 'ended', 'task': '', 'status': 'succeeded'}",
                                       NULL};
    assert_line("◦ lead                 turn 1 answers, 1.5 s  inst_1\n", LINES_PROGRESS, "lead",
                own);
    assert_line("  ◦ lead/1             turn 1 answers, 1.5 s  inst_1\n", LINES_PROGRESS, "lead",
                below);
    assert_line("", LINES_PROGRESS, "lead", other);
    assert_line("✔ execution succeeded\n", LINES_PROGRESS, "lead", none);
}

#define DECIDED(what) "{'kind': 'decided', 'task': 'score', 'what': '" what "', "

static void test_decisions_tell_skips_and_lists(void **state)
{
    (void)state;
    PROGRESS("– score                skipped: if is false\n", DECIDED("if") "'holds': false}");
    PROGRESS("", DECIDED("if") "'holds': true}");
    LINES(LINES_ALL, "◦ score                if is true\n", DECIDED("if") "'holds': true}");
    PROGRESS("◦ score                from find: if is false\n",
             DECIDED("edge") "'source': 'find', 'holds': false}");
    PROGRESS("", DECIDED("edge") "'source': 'find', 'holds': true}");
    LINES(LINES_ALL, "◦ score                from find: if is true\n",
          DECIDED("edge") "'source': 'find', 'holds': true}");
    PROGRESS("◦ score                3 items\n", DECIDED("for") "'items_count': 3}");
    PROGRESS("◦ score                0 items\n", DECIDED("for") "'items_count': 0}");
    PROGRESS("✘ score                failed in its for: expression: no such key: a\n",
             DECIDED("for") "'failure': {'code': 'expression', 'message': 'no such\\nkey: a'}}");
}

static void test_waits_tell_for_whom(void **state)
{
    (void)state;
    PROGRESS("… review               waits for a person, until 2026-01-02: “ok?”  exec_1/review\n",
             "{'kind': 'waiting', 'task': 'review', 'waits': 'approval', 'text': 'ok?', "
             "'approval': 'exec_1/review', 'due_at': '2026-01-02'}");
    PROGRESS("… s                    waits for the signal go\n",
             "{'kind': 'waiting', 'task': 's', 'waits': 'signal', 'signal': 'go', 'due_at': null}");
    PROGRESS("… t                    waits, until 2026-01-02\n",
             "{'kind': 'waiting', 'task': 't', 'waits': 'timer', 'due_at': '2026-01-02'}");
    PROGRESS("◦ review               rejected by ann: not so\n",
             "{'kind': 'decision', 'task': 'review', 'approved': false, 'by': 'ann', 'note': "
             "'not so'}");
    PROGRESS("◦ t                    has waited\n",
             "{'kind': 'timer', 'task': 't', 'waits': 'timer'}");
    PROGRESS("◦ s                    nothing came in time\n",
             "{'kind': 'timer', 'task': 's', 'waits': 'signal'}");
    PROGRESS("◦ signal go by ann: “7”\n",
             "{'kind': 'signal', 'signal': 'go', 'by': 'ann', 'payload': '7'}");
    PROGRESS("‖ paused by ann: lunch\n", "{'kind': 'paused', 'by': 'ann', 'why': 'lunch'}");
    PROGRESS("▶ resumed by ann\n", "{'kind': 'resumed', 'by': 'ann', 'why': ''}");
    PROGRESS("↻ tried again by ann: it had failed\n",
             "{'kind': 'reopened', 'by': 'ann', 'was': 'failed'}");
    PROGRESS("⑂ forked by ann from exec_1 at draft\n",
             "{'kind': 'forked', 'by': 'ann', 'from': 'exec_1', 'task': 'draft'}");
}

static void test_items_stand_below_their_node(void **state)
{
    (void)state;
    static const char *const item[] = {STEP("score[12]", "result") "'a': 1}", NULL};
    static const char *const below[] = {STEP("score[12]/1", "turn") "'turn': 1}", NULL};
    assert_line("  ✔ score[12]          succeeded in 1.5 s  inst_1\n", LINES_PROGRESS, "score",
                item);
    assert_line("    ◦ score[12]/1      turn 1 answers, 1.5 s  inst_1\n", LINES_PROGRESS, "score",
                below);
    assert_line("    ◦ score[12]/1      turn 1 answers, 1.5 s  inst_1\n", LINES_PROGRESS,
                "score[12]", below);
    assert_line("", LINES_PROGRESS, "score[1", item);
}

static void test_what_is_not_known_is_shown_by_its_name(void **state)
{
    (void)state;
    PROGRESS("  teleported lead\n", "{'kind': 'teleported', 'task': 'lead'}");
    PROGRESS("◦ ?                    turn 0 answers, -\n",
             "{'kind': 'step', 'step_kind': 'turn', 'calls': 'no list'}");
    PROGRESS("↳ ? → ?\n", "{'kind': 'delegated'}");
}

static void test_many_items_are_told_by_tenths(void **state)
{
    (void)state;
    const char *const list = "{'kind': 'decided', 'task': 'm', 'what': 'for', 'items_count': 100}";
    const char *events[14] = {list};
    for (size_t i = 1; i <= 10; i++)
        events[i] = STEP("m[7]", "result") "'output': 1}";
    LINES(LINES_ALL, "  ✔ m[7]               succeeded in 1.5 s  inst_1\n", list,
          STEP("m[7]", "result") "'output': 1}");
    PROGRESS("", list, STEP("m[7]", "result") "'output': 1}");
    assert_line("◦ m                    10 of 100 items succeeded\n", LINES_PROGRESS, NULL, events);
    PROGRESS("  ✔ m[7]               succeeded in 1.5 s  inst_1\n",
             "{'kind': 'decided', 'task': 'm', 'what': 'for', 'items_count': 10}",
             STEP("m[7]", "result") "'output': 1}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_results_are_as_ever_and_further_in_below_a_delegation),
        cmocka_unit_test(test_turns_tell_their_calls_and_what_they_used),
        cmocka_unit_test(test_tool_results_name_the_tool_of_their_turn),
        cmocka_unit_test(test_delegations_say_who_asks_whom_for_what),
        cmocka_unit_test(test_answers_of_the_coordinator),
        cmocka_unit_test(test_a_result_that_sets_tells_what),
        cmocka_unit_test(test_failures_are_told_in_short),
        cmocka_unit_test(test_why_an_execution_failed),
        cmocka_unit_test(test_a_loss_promises_nothing),
        cmocka_unit_test(test_the_ledger_is_for_logs_alone),
        cmocka_unit_test(test_one_node_is_shown_with_what_it_delegated),
        cmocka_unit_test(test_decisions_tell_skips_and_lists),
        cmocka_unit_test(test_waits_tell_for_whom),
        cmocka_unit_test(test_items_stand_below_their_node),
        cmocka_unit_test(test_what_is_not_known_is_shown_by_its_name),
        cmocka_unit_test(test_many_items_are_told_by_tenths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
