#include "broker/presence.h"

#include "base/limits.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW (1000 * LIMIT_SECOND_US)

static int set_up(void **state)
{
    *state = presence_new();
    return 0;
}

static int tear_down(void **state)
{
    presence_t *presence = *state;
    presence_destroy(&presence);
    assert_null(presence);
    return 0;
}

static void enter(presence_t *self, const char *address, const char *agent, int64_t now_us)
{
    const char *const agents[] = {agent};
    assert_int_equal(presence_register(self, bytes_of_string(address), "test 1", agents,
                                       agent ? 1 : 0, now_us, NULL),
                     0);
}

static void assert_chosen(presence_t *self, const char *agent, const char *address)
{
    struct bytes chosen = presence_choose(self, bytes_of_string(agent));
    assert_int_equal(chosen.size, strlen(address));
    assert_memory_equal(chosen.data, address, chosen.size);
}

static enum presence_heard heard(presence_t *self, const char *address, int64_t now_us)
{
    return presence_heard(self, bytes_of_string(address), now_us);
}

static void test_asks_a_stranger_now_and_then(void **state)
{
    presence_t *self = *state;
    assert_int_equal(heard(self, "client:a", NOW), PRESENCE_ASK);
    assert_int_equal(heard(self, "client:a", NOW + LIMIT_WHO_INTERVAL_US - 1), PRESENCE_UNKNOWN);
    assert_int_equal(heard(self, "client:b", NOW + 1), PRESENCE_ASK);
    assert_int_equal(heard(self, "client:a", NOW + LIMIT_WHO_INTERVAL_US), PRESENCE_ASK);
    assert_int_equal(presence_count(self), 0);
    enter(self, "client:a", NULL, NOW);
    assert_int_equal(heard(self, "client:a", NOW), PRESENCE_KNOWN);
    assert_int_equal(presence_count(self), 1);
    assert_true(presence_remove(self, bytes_of_string("client:a")));
    assert_false(presence_remove(self, bytes_of_string("client:a")));
    assert_int_equal(heard(self, "client:a", NOW), PRESENCE_ASK);
}

static void test_refuses_ids_that_are_no_addresses(void **state)
{
    presence_t *self = *state;
    assert_int_equal(heard(self, "broker", NOW), PRESENCE_INVALID);
    assert_int_equal(heard(self, "agent:echo", NOW), PRESENCE_INVALID);
    assert_int_equal(heard(self, "", NOW), PRESENCE_INVALID);
    assert_int_equal(presence_heard(self, bytes_of("\0\1\2\3\4", 5), NOW), PRESENCE_INVALID);
}

static void test_chooses_in_turn(void **state)
{
    presence_t *self = *state;
    assert_int_equal(presence_choose(self, bytes_of_string("echo")).size, 0);
    enter(self, "instance:a", "echo", NOW);
    enter(self, "instance:b", "echo", NOW);
    enter(self, "instance:c", "echo", NOW);
    enter(self, "instance:d", "other", NOW);
    assert_int_equal(presence_serving(self, bytes_of_string("echo")), 3);
    for (int i = 0; i < 2; i++) {
        assert_chosen(self, "echo", "instance:a");
        assert_chosen(self, "echo", "instance:b");
        assert_chosen(self, "echo", "instance:c");
    }
    assert_chosen(self, "other", "instance:d");
}

static void test_keeps_the_turn_when_one_leaves(void **state)
{
    presence_t *self = *state;
    enter(self, "instance:a", "echo", NOW);
    enter(self, "instance:b", "echo", NOW);
    enter(self, "instance:c", "echo", NOW);
    assert_chosen(self, "echo", "instance:a");
    assert_true(presence_remove(self, bytes_of_string("instance:a")));
    assert_chosen(self, "echo", "instance:b");
    assert_true(presence_remove(self, bytes_of_string("instance:c")));
    assert_chosen(self, "echo", "instance:b");
    assert_true(presence_remove(self, bytes_of_string("instance:b")));
    assert_int_equal(presence_serving(self, bytes_of_string("echo")), 0);
    assert_int_equal(presence_choose(self, bytes_of_string("echo")).size, 0);
}

static void test_registers_anew(void **state)
{
    presence_t *self = *state;
    const char *const twice[] = {"one", "two", "one"};
    enter(self, "instance:a", "echo", NOW);
    assert_int_equal(
        presence_register(self, bytes_of_string("instance:a"), "test 2", twice, 3, NOW, NULL), 0);
    assert_int_equal(presence_serving(self, bytes_of_string("echo")), 0);
    assert_int_equal(presence_serving(self, bytes_of_string("one")), 1);
    assert_int_equal(presence_serving(self, bytes_of_string("two")), 1);
    assert_int_equal(presence_count(self), 1);
    assert_true(presence_remove(self, bytes_of_string("instance:a")));
    assert_int_equal(presence_serving(self, bytes_of_string("one")), 0);
}

static void test_a_refused_registration_changes_nothing(void **state)
{
    presence_t *self = *state;
    struct err err;
    const char *const bad[] = {"fine", "Not A Name"};
    const char *many[LIMIT_PEER_AGENTS + 1];
    for (size_t i = 0; i < LIMIT_PEER_AGENTS + 1; i++)
        many[i] = "echo";
    enter(self, "instance:a", "echo", NOW);
    struct bytes address = bytes_of_string("instance:a");
    assert_int_equal(presence_register(self, address, "x", bad, 2, NOW, &err), ERR_INVALID);
    assert_non_null(strstr(err.what, "Not A Name"));
    assert_int_equal(presence_register(self, address, "x", many, LIMIT_PEER_AGENTS + 1, NOW, &err),
                     ERR_TOO_LARGE);
    assert_int_equal(presence_serving(self, bytes_of_string("echo")), 1);
    assert_int_equal(presence_serving(self, bytes_of_string("fine")), 0);
}

static void test_forgets_who_is_silent(void **state)
{
    presence_t *self = *state;
    enter(self, "instance:a", "echo", NOW);
    enter(self, "instance:b", "echo", NOW);
    assert_int_equal(heard(self, "client:stranger", NOW), PRESENCE_ASK);
    assert_int_equal(heard(self, "instance:b", NOW + LIMIT_SECOND_US), PRESENCE_KNOWN);
    assert_int_equal(presence_expire(self, NOW + LIMIT_BROKER_SILENCE_US - 1), 0);
    assert_int_equal(presence_expire(self, NOW + LIMIT_BROKER_SILENCE_US), 1);
    assert_chosen(self, "echo", "instance:b");
    assert_int_equal(presence_serving(self, bytes_of_string("echo")), 1);
    assert_int_equal(heard(self, "instance:a", NOW), PRESENCE_ASK);
}

static void test_is_bounded(void **state)
{
    presence_t *self = *state;
    char address[32];
    for (int i = 0; i < LIMIT_BROKER_PEERS; i++) {
        snprintf(address, sizeof address, "client:%d", i);
        assert_int_equal(heard(self, address, NOW), PRESENCE_ASK);
    }
    assert_int_equal(heard(self, "client:more", NOW), PRESENCE_UNKNOWN);
    assert_int_equal(
        presence_register(self, bytes_of_string("client:more"), "x", NULL, 0, NOW, NULL),
        ERR_LIMIT);
    enter(self, "client:0", NULL, NOW);
    assert_int_equal(presence_expire(self, NOW + LIMIT_BROKER_SILENCE_US), 1);
    enter(self, "client:more", NULL, NOW);
}

static void test_tells_who_is_there(void **state)
{
    presence_t *self = *state;
    bool complete = false;
    enter(self, "instance:a", "echo", NOW);
    enter(self, "client:b", NULL, NOW);
    assert_int_equal(heard(self, "client:stranger", NOW), PRESENCE_ASK);
    value_t *list = presence_document(self, NOW + 2500, 4096, &complete);
    assert_true(complete);
    assert_int_equal(value_size(list), 2);
    const value_t *first = value_at(list, 0);
    assert_string_equal(value_get_string(first, "address", ""), "instance:a");
    assert_string_equal(value_get_string(first, "program", ""), "test 1");
    assert_string_equal(value_as_string(value_at(value_get(first, "agents"), 0)), "echo");
    assert_int_equal(value_get_int(first, "last_heard_ms", -1), 2);
    assert_int_equal(value_size(value_get(value_at(list, 1), "agents")), 0);
    value_destroy(&list);
}

/* The bound given must hold for what the document really takes. */
static void test_cuts_the_list_to_size(void **state)
{
    presence_t *self = *state;
    char address[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(address, sizeof address, "instance:%d", i);
        enter(self, address, "a-name-of-some-length", NOW);
    }
    bool complete = true;
    value_t *list = presence_document(self, NOW + 3600 * LIMIT_SECOND_US, 10000, &complete);
    struct buf buf = {0};
    value_to_msgpack(list, &buf);
    assert_false(complete);
    assert_true(value_size(list) > 10);
    assert_true(buf.size <= 10000);
    buf_release(&buf);
    value_destroy(&list);
}

/* A program's text is cut between characters, since documents must be UTF-8. */
static void test_cuts_the_program(void **state)
{
    presence_t *self = *state;
    char program[LIMIT_PROGRAM_BYTES + 8];
    memset(program, 'x', sizeof program);
    memcpy(program + LIMIT_PROGRAM_BYTES - 1, "\xc3\xa9", 2);
    program[sizeof program - 1] = '\0';
    bool complete = false;
    assert_int_equal(
        presence_register(self, bytes_of_string("client:a"), program, NULL, 0, NOW, NULL), 0);
    value_t *list = presence_document(self, NOW, 4096, &complete);
    const char *kept = value_get_string(value_at(list, 0), "program", "");
    assert_int_equal(strlen(kept), LIMIT_PROGRAM_BYTES - 1);
    value_destroy(&list);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_asks_a_stranger_now_and_then),
        TEST(test_refuses_ids_that_are_no_addresses),
        TEST(test_chooses_in_turn),
        TEST(test_keeps_the_turn_when_one_leaves),
        TEST(test_registers_anew),
        TEST(test_a_refused_registration_changes_nothing),
        TEST(test_forgets_who_is_silent),
        TEST(test_is_bounded),
        TEST(test_tells_who_is_there),
        TEST(test_cuts_the_list_to_size),
        TEST(test_cuts_the_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
