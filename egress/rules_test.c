/* Rules from the text of a file to an answer: what definitions/ writes is what the script reads. */
#include "definitions/definitions.h"
#include "egress/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char RULES[] =
    "rules:\n"
    "  - name: take stock\n"
    "    when: {turn: 1, attempt: \"1..3\", message: bees, lacks: \"results[0]\"}\n"
    "    say: \"Looking at {{message}}\"\n"
    "    calls:\n"
    "      - tool: wc\n"
    "        with: {input: \"{{message}}\"}\n"
    "    delay: 50ms\n"
    "    stream: 5ms\n"
    "    usage: {input: 100, output: 20}\n"
    "  - name: ask the checkers\n"
    "    when:\n"
    "      called: wc\n"
    "      not_delegated: check_c\n"
    "      has: \"results[0].output.kinds\"\n"
    "      equals: {\"results[0].output.score\": 7}\n"
    "    say: \"\"\n"
    "    calls:\n"
    "      - delegate: \"check_{{item}}\"\n"
    "        message: \"Look at {{item}}, the {{index}}th\"\n"
    "        context: {score: \"{{results[0].output.score}}\"}\n"
    "        for: \"results[0].output.kinds\"\n"
    "        if: item\n"
    "  - when: {delegated: check_c, results: overloaded, not_called: grep}\n"
    "    fail: {code: overloaded, message: later, permanent: true}\n"
    "  - say: {done: \"{{turn}}\"}\n";

static value_t *parse_rules(void)
{
    struct definitions definitions = {0};
    struct diagnostics diagnostics = {0};
    struct buf text = {0};
    definitions_parse_rules(RULES, sizeof RULES - 1, "rules.yaml", &definitions, &diagnostics);
    diagnostics_format(&diagnostics, &text);
    if (diagnostics.errors || definitions.files_count != 1 || !definitions.files[0].rules)
        fail_msg("%s", buf_string(&text));
    value_t *rules = value_ref(definitions.files[0].rules);
    definitions_release(&definitions);
    diagnostics_release(&diagnostics);
    buf_release(&text);
    return rules;
}

static void expect(const char *request_json, const char *turn_json, const char *code)
{
    struct script_answer answer;
    struct buf text = {0};
    value_t *rules = parse_rules(), *request = NULL;
    assert_int_equal(value_from_json(request_json, strlen(request_json), &request, NULL), 0);
    script_evaluate(rules, request, &answer);
    if (answer.turn)
        value_to_json(answer.turn, VALUE_JSON_COMPACT, &text);
    assert_string_equal(answer.turn ? buf_string(&text) : "", turn_json);
    assert_string_equal(answer.code ? answer.code : "", code);
    if (strstr(request_json, "\"turn\":1")) {
        assert_int_equal(answer.delay_us, 50000);
        assert_int_equal(answer.stream_us, 5000);
        assert_int_equal(answer.input_tokens, 100);
        assert_int_equal(answer.output_tokens, 20);
    }
    script_answer_release(&answer);
    buf_release(&text);
    value_destroy(&request);
    value_destroy(&rules);
}

#define WC "{\"content\":\"x\",\"calls\":[{\"tool\":\"wc\",\"arguments\":{}}],\"results\":["
#define DELEGATED                                                                                  \
    "{\"content\":\"x\",\"calls\":[{\"tool\":\"delegate_to_agent\",\"arguments\":{\"agent\":"      \
    "\"check_c\"}}],\"results\":["

static void test_a_file_of_rules(void **state)
{
    (void)state;
    expect("{\"turn\":1,\"attempt\":2,\"message\":\"the bees\",\"turns\":[]}",
           "{\"content\":\"Looking at the bees\",\"calls\":[{\"tool\":\"wc\",\"arguments\":"
           "{\"input\":\"the bees\"}}]}",
           "");
    expect("{\"turn\":2,\"attempt\":1,\"message\":\"the bees\",\"turns\":[" WC
           "{\"output\":{\"kinds\":[\"c\",\"\"],\"score\":7}}]}]}",
           "{\"content\":\"\",\"calls\":[{\"tool\":\"delegate_to_agent\",\"arguments\":{\"agent\":"
           "\"check_c\",\"message\":\"Look at c, the 0th\",\"context\":{\"score\":7}}}]}",
           "");
    expect("{\"turn\":3,\"attempt\":1,\"message\":\"the bees\",\"turns\":[" WC "]}," DELEGATED
           "{\"error\":{\"code\":\"overloaded\",\"message\":\"\"}}]}]}",
           "", "overloaded");
    expect("{\"turn\":3,\"attempt\":1,\"message\":\"the bees\",\"turns\":[" WC "]}," DELEGATED
           "{\"output\":1}]}]}",
           "{\"content\":{\"done\":3}}", "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_file_of_rules)};
    return cmocka_run_group_tests_name("rules", tests, NULL, NULL);
}
