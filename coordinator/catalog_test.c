/* What an execution keeps of an agent. */
#include "coordinator/catalog.h"
#include "engine/event.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static struct catalog_entry entry_of(const char *json)
{
    static char name[] = "lead";
    struct catalog_entry entry = {.name = name, .version = 3};
    assert_int_equal(value_from_json(json, strlen(json), &entry.canonical, NULL), 0);
    assert_int_equal(agent_compile(entry.canonical, &entry.agent, NULL), 0);
    return entry;
}

static void release(struct catalog_entry *self)
{
    value_destroy(&self->canonical);
    agent_def_destroy(&self->agent);
}

static void test_pin_of_a_model(void **state)
{
    (void)state;
    struct pinned_agent pin;
    struct catalog_entry entry = entry_of(
        "{\"agent\":\"lead\",\"model\":\"script/r\",\"delegates\":[\"a\",\"b*\"],\"max_tokens\":1,"
        "\"limits\":{\"time_us\":2,\"turns\":3,\"tokens\":4,\"cost_microusd\":5,\"depth\":6,"
        "\"delegations\":7,\"same_delegation\":8},"
        "\"price\":{\"input_microusd\":9,\"output_microusd\":10},\"rerun\":\"never\"}");
    catalog_pin_of(&entry, &pin);
    assert_string_equal(pin.name, "lead");
    assert_int_equal(pin.version, 3);
    assert_true(pin.takes_turns && pin.rerun_never);
    assert_int_equal(pin.delegates_count, 2);
    assert_string_equal(pin.delegates[1], "b*");
    assert_int_equal(pin.max_tokens, 1);
    assert_int_equal(pin.timeout_us, 2);
    assert_int_equal(pin.turns, 3);
    assert_int_equal(pin.tokens, 4);
    assert_int_equal(pin.cost_microusd, 5);
    assert_int_equal(pin.depth, 6);
    assert_int_equal(pin.delegations, 7);
    assert_int_equal(pin.same_delegation, 8);
    assert_int_equal(pin.input_price, 9);
    assert_int_equal(pin.output_price, 10);
    release(&entry);
}

static void test_pin_of_a_command(void **state)
{
    (void)state;
    struct pinned_agent pin;
    struct catalog_entry entry = entry_of("{\"agent\":\"lead\",\"command\":[\"x\"]}");
    catalog_pin_of(&entry, &pin);
    assert_false(pin.takes_turns || pin.rerun_never);
    assert_int_equal(pin.delegates_count, 0);
    assert_true(pin.timeout_us > 0);
    assert_int_equal(pin.turns + pin.depth + pin.tokens, 0);
    release(&entry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pin_of_a_model),
        cmocka_unit_test(test_pin_of_a_command),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
