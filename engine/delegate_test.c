#include "base/utf8.h"
#include "engine/fixture.h"
#include <stdio.h>
#include <stdlib.h>

/* Delegations: what may be asked of whom, what comes back, who waits how, and what ends with whom.
 */

static const char *const ONE[] = {"delegate_to_agent", NULL};
static const char *const TWO[] = {"delegate_to_agent", "delegate_to_agent", NULL};

/* Agents lead (may ask a and b), a and b (may ask each other and c), c; one instance of each. */
static struct uuid begin_with(struct fixture *f, struct pinned_agent lead, bool again)
{
    static const char *const all[] = {"a", "b", "c", "lead", "missing", NULL};
    if (!lead.delegates)
        lead.delegates = all;
    lead.name = "lead";
    model(f, lead);
    model(f, (struct pinned_agent){.name = "a", TO("*")});
    model(f, (struct pinned_agent){.name = "b", TO("a", "lead", "c")});
    model(f, (struct pinned_agent){.name = "c"});
    WORKFLOW(f, "w", NODE("n", "{{input}}", .agent = "lead", .allow_again = again));
    egress_up(f, 50, 1, NULL, 0);
    up(f, 1, "lead");
    up(f, 2, "a");
    up(f, 3, "b");
    up(f, 4, "c");
    return start(f, "w");
}

static struct uuid begin(struct fixture *f)
{
    return begin_with(f, (struct pinned_agent){0}, false);
}

static const struct event_refused *refused_of(const struct fixture *f)
{
    const struct event *event = event_of(f, EVENT_REFUSED);
    return event ? &event->refused : NULL;
}

static void answer(struct fixture *f, const struct effect_dispatch *dispatch, const char *json)
{
    turn(f, dispatch, 1, 1, 10, NULL);
    step(f, dispatch,
         (struct event_step){.kind = STEP_RESULT, .number = 2, .output = datum_of(f, json)});
}

static void test_a_delegation_is_a_task_and_its_answer_a_result(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct uuid id = begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "a", "\"look\"");
    const struct event_delegated *delegated = &event_of(f, EVENT_DELEGATED)->delegated;
    assert_string_equal(delegated->child, "n/1");
    assert_int_equal(delegated->agent.version, 3);
    const struct effect_dispatch *child = dispatch_of(f, "n/1");
    assert_int_equal(child->handle, 2);
    assert_string_equal(child->agent, "a");
    assert_string_equal(json_of(f, &child->message), "\"look\"");
    assert_int_equal(child->chain_count, 1);
    assert_string_equal(child->chain[0], "lead");
    assert_string_equal(task_status_of(f, id, "n"), "waiting");
    assert_int_equal(task(f, id, "n/1").depth, 1);
    assert_string_equal(task(f, id, "n/1").parent, "n");
    answer(f, child, "{\"score\": 7}");
    const struct effect_dispatch *again = dispatch_of(f, "n");
    assert_int_equal(again->handle, 1);
    assert_true(run_compare(again->run, n->run) > 0);
    assert_int_equal(again->turn, 2);
    assert_int_equal(again->history_count, 2);
    assert_int_equal(again->history_from, 0);
    assert_string_equal(json_of(f, &again->history[1].output), "{\"score\":7}");
    turn(f, again, 2, 2, 5, NULL);
    step(f, again,
         (struct event_step){.kind = STEP_RESULT, .number = 3, .output = datum_of(f, "\"ok\"")});
    assert_string_equal(status_of(f, id), "succeeded");
    assert_true(task(f, id, "n").own.output_tokens == 35);
    assert_true(task(f, id, "n").subtree.output_tokens == 45);
    assert_int_equal(execution(f, id).delegations, 1);
    fixture_free(&f);
}

static void test_only_the_last_turn_goes_home(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "a", "1");
    answer(f, dispatch_of(f, "n/1"), "1");
    n = dispatch_of(f, "n");
    turn(f, n, 2, 2, 30, ONE);
    delegate(f, n, 2, 0, "a", "2");
    answer(f, dispatch_of(f, "n/2"), "2");
    n = dispatch_of(f, "n");
    assert_int_equal(n->handle, 1);
    assert_int_equal(n->history_count, 4);
    assert_int_equal(n->history_from, 2);
    assert_int_equal(n->history_here, 2);
    fixture_free(&f);
}

static void test_several_at_once_and_the_parent_waits_for_all(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct uuid id = begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, TWO);
    delegate(f, n, 1, 0, "a", "1");
    assert_string_equal(task_status_of(f, id, "n"), "running");
    const struct effect_dispatch *a = dispatch_of(f, "n/1");
    delegate(f, n, 1, 1, "b", "2");
    assert_string_equal(task_status_of(f, id, "n"), "waiting");
    const struct effect_dispatch *b = dispatch_of(f, "n/2");
    answer(f, b, "\"B\"");
    assert_null(dispatch_of(f, "n"));
    answer(f, a, "\"A\"");
    n = dispatch_of(f, "n");
    assert_int_equal(n->history_count, 3);
    assert_int_equal(n->history[1].call, 1);
    assert_int_equal(n->history[2].call, 0);
    fixture_free(&f);
}

/* The instance may say the same again: it attaches. */
static void test_said_again_it_attaches(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, TWO);
    delegate(f, n, 1, 0, "a", "1");
    delegate(f, n, 1, 0, "a", "1");
    assert_int_equal(count_events(f, EVENT_DELEGATED), 0);
    fixture_free(&f);
}

static void test_a_lost_parent_attaches_to_what_it_delegated(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct uuid id = begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, CALLS("delegate_to_agent", "delegate_to_agent", "wc"));
    delegate(f, n, 1, 0, "a", "1");
    const struct effect_dispatch *a = dispatch_of(f, "n/1");
    delegate(f, n, 1, 1, "b", "2");
    down(f, 1, "exited");
    up(f, 9, "lead");
    const struct effect_dispatch *again = dispatch_of(f, "n");
    assert_int_equal(again->turn, 0);
    assert_int_equal(again->history_count, 1);
    answer(f, a, "\"A\"");
    delegate(f, again, 1, 0, "a", "1");
    delegate(f, again, 1, 1, "b", "2");
    assert_int_equal(count_events(f, EVENT_DELEGATED), 0);
    tool_result(f, again, 2, 1, 2, "\"interrupted\"");
    assert_string_equal(task_status_of(f, id, "n"), "waiting");
    assert_int_equal(execution(f, id).delegations, 2);
    fixture_free(&f);
}

static void test_a_restart_finds_parked_tasks_parked(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct uuid id = begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "a", "1");
    const struct effect_dispatch *a = dispatch_of(f, "n/1");
    restart(f);
    egress_up(f, 50, 1, NULL, 0);
    assert_string_equal(task_status_of(f, id, "n"), "waiting");
    const struct claim parent = {.execution = id, .path = "n", .run = n->run};
    up_claiming(f, 1, 0, "lead", &parent, 1);
    assert_false(welcome_of(f)->verdicts[0].keep);
    const struct claim child = {.execution = id, .path = "n/1", .run = a->run};
    up_claiming(f, 2, 0, "a", &child, 1);
    assert_true(welcome_of(f)->verdicts[0].keep);
    const struct effect_dispatch kept = *a;
    answer(f, &kept, "\"A\"");
    assert_int_equal(dispatch_of(f, "n")->turn, 2);
    fixture_free(&f);
}

/* --- refusals --------------------------------------------------------------------------------- */

static void expect_refusal(struct fixture *f, const char *code, const char *part)
{
    const struct event_refused *refused = refused_of(f);
    assert_non_null(refused);
    assert_string_equal(refused->failure.code, code);
    if (!strstr(refused->failure.message, part))
        fail_msg("\"%s\" lacks \"%s\"", refused->failure.message, part);
}

static void test_refusals_come_back_at_once(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct uuid id = begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "missing", "1");
    expect_refusal(f, "not_found", "may delegate to: a, b, c");
    n = dispatch_of(f, "n"); /* the run is over, the next one has the result */
    assert_int_equal(n->turn, 2);
    assert_string_equal(n->history[1].failure.code, "not_found");
    assert_string_equal(task_status_of(f, id, "n"), "running");
    fixture_free(&f);
}

static void test_who_is_not_on_the_list_may_not_be_asked(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    begin_with(f, (struct pinned_agent){TO("a", "b*")}, false);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "c", "1");
    expect_refusal(f, "not_allowed",
                   "\"lead\" may not delegate to \"c\"; it may delegate to: a, b*");
    n = dispatch_of(f, "n");
    turn(f, n, 2, 2, 30, ONE);
    delegate(f, n, 2, 0, "a", "1");
    const struct effect_dispatch *a = dispatch_of(f, "n/1");
    turn(f, a, 1, 1, 30, ONE);
    delegate(f, a, 1, 0, "c", "1");
    expect_refusal(f, "not_allowed", "\"a\" works for \"lead\", which may not delegate to \"c\"");
    fixture_free(&f);
}

static void test_an_agent_stands_once_on_a_path(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "a", "1");
    const struct effect_dispatch *a = dispatch_of(f, "n/1");
    turn(f, a, 1, 1, 30, ONE);
    delegate(f, a, 1, 0, "lead", "1");
    expect_refusal(f, "cycle", "lead -> a -> lead");
    fixture_free(&f);
}

static void test_ping_pong_ends(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    begin_with(f, (struct pinned_agent){0}, true);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "a", "\"1\"");
    n = dispatch_of(f, "n/1");
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "lead", "\"2\"");
    n = dispatch_of(f, "n/1/1");
    assert_non_null(n);
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "a", "\"3\"");
    n = dispatch_of(f, "n/1/1/1");
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "lead", "\"4\"");
    expect_refusal(f, "cycle", "lead -> a -> lead -> a -> lead");
    fixture_free(&f);
}

static void test_depth_has_a_limit(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    begin_with(f, (struct pinned_agent){.depth = 1}, false);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "a", "1");
    const struct effect_dispatch *a = dispatch_of(f, "n/1");
    turn(f, a, 1, 1, 30, ONE);
    delegate(f, a, 1, 0, "b", "1");
    expect_refusal(f, "depth", "deeper than 1, limits.depth of agent \"lead\": lead -> a -> b");
    fixture_free(&f);
}

static void test_delegations_are_counted(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    begin_with(f, (struct pinned_agent){.delegations = 1}, false);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, TWO);
    delegate(f, n, 1, 0, "a", "1");
    delegate(f, n, 1, 1, "a", "2");
    expect_refusal(f, "delegations", "its limits.delegations is 1");
    fixture_free(&f);
}

static void test_the_same_is_not_asked_for_ever(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, CALLS(ONE[0], ONE[0], ONE[0]));
    delegate(f, n, 1, 0, "a", "1");
    delegate(f, n, 1, 1, "a", "1");
    assert_int_equal(count_events(f, EVENT_DELEGATED), 1);
    delegate(f, n, 1, 2, "a", "1");
    expect_refusal(f, "same_delegation", "as often as limits.same_delegation allows, 2");
    fixture_free(&f);
}

static void test_without_budget_nobody_is_asked(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    begin_with(f, (struct pinned_agent){.tokens = 30}, false);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "a", "1");
    expect_refusal(f, "budget", "nothing is left of limits.tokens of agent \"lead\"");
    fixture_free(&f);
}

static void test_a_child_spends_its_parents_budget(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    begin_with(f, (struct pinned_agent){.tokens = 100}, false);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "a", "1");
    assert_true(grant_of(f, "n/1")->tokens == 70);
    assert_true(dispatch_of(f, "n/1")->tokens_left == 70);
    fixture_free(&f);
}

static void test_a_hand_off_stands_alone(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, TWO);
    delegate_full(f, n, 1, 0, "a", "1", true);
    expect_refusal(f, "hand_off", "only call of its turn");
    fixture_free(&f);
}

/* --- hand-off, failures, ends ----------------------------------------------------------------- */

static void test_a_hand_off_gives_the_answer(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct uuid id = begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate_full(f, n, 1, 0, "a", "1", true);
    answer(f, dispatch_of(f, "n/1"), "\"from a\"");
    assert_string_equal(status_of(f, id), "succeeded");
    assert_string_equal(json_of(f, &(struct datum[]){task(f, id, "n").output}[0]), "\"from a\"");
    fixture_free(&f);
}

static void test_a_hand_off_sets_what_its_node_sets(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    value_t *set = value_map();
    value_set_string(set, "found", "{{n}}");
    model(f, (struct pinned_agent){.name = "lead", TO("a")});
    model(f, (struct pinned_agent){.name = "a"});
    WORKFLOW(f, "w", NODE("n", "{{input}}", .agent = "lead", .set = set),
             NODE("m", "{{context.found}}", .agent = "echo", AFTER("n")));
    value_destroy(&set);
    egress_up(f, 50, 1, NULL, 0);
    up(f, 1, "lead");
    up(f, 2, "a");
    up(f, 3, "echo");
    struct uuid id = start(f, "w");
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate_full(f, n, 1, 0, "a", "1", true);
    answer(f, dispatch_of(f, "n/1"), "\"from a\"");
    echo_all(f);
    assert_string_equal(output_of(f, id), "{\"m\":\"from a\"}");
    fixture_free(&f);
}

static void test_a_failed_delegation_is_the_parents_affair(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct uuid id = begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate_full(f, n, 1, 0, "a", "1", true);
    failure(f, dispatch_of(f, "n/1"), "exit", false);
    assert_string_equal(task_status_of(f, id, "n/1"), "failed");
    n = dispatch_of(f, "n");
    assert_string_equal(n->history[1].failure.code, "exit");
    assert_string_equal(status_of(f, id), "running");
    fixture_free(&f);
}

static void test_a_cancel_reaches_all_below(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct uuid id = begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "a", "1");
    const struct effect_dispatch *a = dispatch_of(f, "n/1");
    turn(f, a, 1, 1, 30, TWO);
    delegate(f, a, 1, 0, "b", "1");
    delegate(f, a, 1, 1, "c", "1");
    cancel(f, id);
    assert_non_null(drop_of(f, "n/1/1"));
    assert_non_null(forget_of(f, "n/1/1"));
    assert_non_null(drop_of(f, "n/1/2"));
    assert_string_equal(task_status_of(f, id, "n"), "cancelled");
    assert_string_equal(task(f, id, "n/1").reason, "the execution was cancelled");
    down(f, 3, "exited");
    down(f, 4, "exited");
    assert_string_equal(status_of(f, id), "cancelled");
    fixture_free(&f);
}

/* The time of an attempt runs on while it waits, and with it ends what it delegated. */
static void test_a_timeout_ends_what_was_delegated(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct uuid id = begin_with(f, (struct pinned_agent){.timeout_us = 10 * SECOND}, false);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "a", "1");
    const struct effect_dispatch *a = dispatch_of(f, "n/1");
    assert_true(a->deadline_us == f->now + 10 * SECOND);
    tick(f, f->now + 10 * SECOND);
    assert_string_equal(task(f, id, "n").failure.code, "timeout");
    assert_string_equal(task(f, id, "n/1").reason, "the task that asked for it ended");
    assert_non_null(drop_of(f, "n/1"));
    assert_string_equal(status_of(f, id), "failing");
    failure(f, a, "cancelled", true);
    assert_string_equal(status_of(f, id), "failed");
    fixture_free(&f);
}

/* One node, whose lead tries twice, 10 s each time, and asks a; *ret_n is its first dispatch. */
static struct uuid lead_twice(struct fixture *f, uint32_t parallel,
                              const struct effect_dispatch **ret_n)
{
    const struct node node =
        NODE("n", NULL, .agent = "lead", .retry = {.attempts = 2, .factor = 1});
    model(f, (struct pinned_agent){.name = "lead", TO("a"), .timeout_us = 10 * SECOND});
    model(f, (struct pinned_agent){.name = "a"});
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5, .parallel = parallel}, &node, 1);
    egress_up(f, 50, 1, NULL, 0);
    up(f, 1, "lead");
    up(f, 2, "a");
    struct uuid id = start(f, "w");
    *ret_n = dispatch_of(f, "n");
    turn(f, *ret_n, 1, 1, 30, ONE);
    delegate(f, *ret_n, 1, 0, "a", "1");
    return id;
}

/* Who may be at work since before the restart has its slot until claims are over. */
static void test_what_may_still_run_keeps_its_slot(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    const struct effect_dispatch *n;
    struct uuid id = lead_twice(f, 1, &n);
    assert_non_null(dispatch_of(f, "n/1"));
    tick(f, T0 + 9 * SECOND);
    restart(f);
    egress_up(f, 50, 1, NULL, 0);
    up(f, 1, "lead");
    tick(f, T0 + 10 * SECOND);
    assert_string_equal(task(f, id, "n").failure.code, "timeout");
    assert_string_equal(task_status_of(f, id, "n/1"), "cancelled");
    tick(f, T0 + 11 * SECOND);
    assert_string_equal(task_status_of(f, id, "n"), "pending");
    tick(f, T0 + 9 * SECOND + LIMIT_CLAIM_WAIT_US);
    assert_int_equal(dispatch_of(f, "n")->attempt, 2);
    fixture_free(&f);
}

static void test_a_new_attempt_delegates_anew(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    const struct effect_dispatch *n;
    struct uuid id = lead_twice(f, 0, &n);
    const struct effect_dispatch *a = dispatch_of(f, "n/1");
    tick(f, f->now + 10 * SECOND);
    n = dispatch_of(f, "n");
    assert_int_equal(n->attempt, 2);
    answer(f, a, "\"late\"");
    turn(f, n, 3, 1, 30, ONE);
    delegate(f, n, 1, 0, "a", "1");
    assert_string_equal(event_of(f, EVENT_DELEGATED)->delegated.child, "n/2");
    assert_string_equal(task_status_of(f, id, "n/1"), "cancelled");
    fixture_free(&f);
}

/* --- parking ---------------------------------------------------------------------------------- */

static void test_parked_tasks_take_no_place(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->credit = 1;
    model(f, (struct pinned_agent){.name = "lead", TO("a")});
    model(f, (struct pinned_agent){.name = "a"});
    const struct node nodes[] = {NODE("n", NULL, .agent = "lead"),
                                 NODE("m", NULL, .agent = "lead")};
    workflow_full(f, (struct dag_spec){.name = "w", .priority = 5, .parallel = 1}, nodes, 2);
    egress_up(f, 50, 1, NULL, 0);
    up(f, 1, "lead");
    up(f, 2, "a");
    struct uuid id = start(f, "w");
    const struct effect_dispatch *n = dispatch_of(f, "n");
    assert_null(dispatch_of(f, "m"));
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "a", "1");
    const struct effect_dispatch *a = dispatch_of(f, "n/1");
    assert_non_null(a);
    answer(f, a, "1");
    credit(f, 1, 2);
    n = dispatch_of(f, "n"); /* ahead of what is new */
    assert_non_null(n);
    assert_null(dispatch_of(f, "m"));
    assert_string_equal(task_status_of(f, id, "m"), "pending");
    fixture_free(&f);
}

/* --- other tools ------------------------------------------------------------------------------ */

static void test_agents_are_listed_as_far_as_they_may_be_asked(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    begin_with(f, (struct pinned_agent){TO("a", "c")}, false);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, CALLS("list_agents"));
    tool_call(f, n, 1, 0, "list_agents", "{}");
    const struct event *event = event_of(f, EVENT_ANSWERED);
    assert_string_equal(json_of(f, &event->answered.output),
                        "[{\"agent\":\"a\",\"about\":\"for tests\"},"
                        "{\"agent\":\"c\",\"about\":\"for tests\"}]");
    assert_int_equal(dispatch_of(f, "n")->turn, 2);
    fixture_free(&f);
}

static void test_the_context_is_shared(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct uuid id = begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, CALLS("context_set", "context_set", "context_get", "context_get"));
    tool_call(f, n, 1, 0, "context_set", "{\"patch\": {\"a\": {\"b\": [1, 2]}, \"c\": 1}}");
    assert_int_equal(count_events(f, EVENT_PATCHED), 1);
    tool_call(f, n, 1, 1, "context_set", "{\"patch\": {\"c\": null}}");
    tool_call(f, n, 1, 2, "context_get", "{\"path\": \"a.b[1]\"}");
    const struct event *event = event_of(f, EVENT_ANSWERED);
    assert_string_equal(json_of(f, &event->answered.output), "2");
    tool_call(f, n, 1, 3, "context_get", "{\"path\": \"c\"}");
    event = event_of(f, EVENT_ANSWERED);
    assert_string_equal(event->answered.failure.code, "not_found");
    value_t *context = engine_context(f->engine, id);
    assert_int_equal(value_size(context), 1);
    value_destroy(&context);
    restart(f);
    context = engine_context(f->engine, id);
    assert_int_equal(value_size(context), 1);
    value_destroy(&context);
    fixture_free(&f);
}

static void test_a_wrong_patch_is_an_error(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, CALLS("context_set"));
    tool_call(f, n, 1, 0, "context_set", "{\"patch\": 3}");
    const struct event *event = event_of(f, EVENT_ANSWERED);
    assert_string_equal(event->answered.failure.code, "invalid");
    assert_int_equal(count_events(f, EVENT_PATCHED), 0);
    fixture_free(&f);
}

static void test_calls_of_other_turns_end_the_run(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct uuid id = begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, TWO);
    delegate(f, n, 2, 0, "a", "1");
    assert_int_equal(task(f, id, "n").losses, 1);
    assert_int_equal(execution(f, id).delegations, 0);
    fixture_free(&f);
}

/* A thousand at once, the most that an execution may have, and not one more. */
static void test_a_thousand_delegations(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    f->credit = 5000;
    struct uuid id = begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    const char *calls[LIMIT_DELEGATIONS + 2] = {0};
    for (uint32_t i = 0; i <= LIMIT_DELEGATIONS; i++)
        calls[i] = ONE[0];
    turn(f, n, 1, 1, 30, calls);
    const struct effect_dispatch **children = xcalloc(LIMIT_DELEGATIONS, sizeof(void *));
    char text[32];
    for (uint32_t i = 0; i < LIMIT_DELEGATIONS; i++) {
        (void)snprintf(text, sizeof text, "%u", i);
        delegate(f, n, 1, i, "a", text);
        (void)snprintf(text, sizeof text, "n/%u", i + 1);
        children[i] = dispatch_of(f, text);
    }
    delegate(f, n, 1, LIMIT_DELEGATIONS, "a", "\"one more\"");
    expect_refusal(f, "delegations", "1000");
    assert_string_equal(task_status_of(f, id, "n"), "waiting");
    for (uint32_t i = 0; i < LIMIT_DELEGATIONS; i++)
        answer(f, children[i], "1");
    n = dispatch_of(f, "n");
    assert_int_equal(n->history_count, LIMIT_DELEGATIONS + 2);
    free((void *)children);
    fixture_free(&f);
}

/* Whatever is told of failures fits a message, and is text. */
static void test_failures_are_told_shortly(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    static char names[200][64];
    static const char *delegates[201], *calls[201];
    for (int i = 0; i < 200; i++) {
        snprintf(names[i], sizeof names[i], "agent_%048d", i);
        delegates[i] = names[i];
        calls[i] = "delegate_to_agent";
    }
    model(f, (struct pinned_agent){.name = "lead", .delegates = delegates});
    WORKFLOW(f, "one", NODE("a", "{{input}}", .agent = "lead"));
    egress_up(f, 50, 1, NULL, 0);
    up(f, 1, "lead");
    start(f, "one");
    const struct effect_dispatch *a = dispatch_of(f, "a");
    turn(f, a, 1, 1, 10, calls);
    for (uint32_t i = 0; i < 200; i++)
        delegate(f, a, 1, i, "nobody", "1");
    assert_non_null(strstr(event_of(f, EVENT_REFUSED)->refused.failure.message, "and 180 more"));
    const struct effect_dispatch *b = dispatch_of(f, "a");
    size_t bytes = 0;
    for (size_t i = 0; i < b->history_here; i++)
        bytes += strlen(b->history[i].failure.message ? b->history[i].failure.message : "");
    assert_true(bytes <= LIMIT_HISTORY_BYTES + LIMIT_FAILURE_MESSAGE_BYTES);
    fixture_free(&f);
}

static void test_long_failures_of_delegates_are_cut(void **state)
{
    (void)state;
    struct fixture *f = fixture_new();
    struct uuid id = begin(f);
    const struct effect_dispatch *n = dispatch_of(f, "n");
    turn(f, n, 1, 1, 30, ONE);
    delegate(f, n, 1, 0, "a", "1");
    static char text[100001];
    for (size_t i = 1; i + 2 < sizeof text; i += 2)
        memcpy(text + i, "\xc3\xa9", 2);
    text[0] = 'x';
    step(f, dispatch_of(f, "n/1"),
         (struct event_step){
             .kind = STEP_FAILURE,
             .number = 1,
             .failure = {.code = "exit", .message = text, .detail = text, .permanent = true}});
    struct failure failure = task(f, id, "n/1").failure;
    assert_int_equal(strlen(failure.message), LIMIT_FAILURE_MESSAGE_BYTES - 1);
    assert_true(utf8_valid(failure.message, strlen(failure.message)));
    n = dispatch_of(f, "n");
    assert_string_equal(n->history[1].failure.detail, "");
    assert_int_equal(strlen(n->history[1].failure.message), LIMIT_FAILURE_MESSAGE_BYTES - 1);
    fixture_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_delegation_is_a_task_and_its_answer_a_result),
        cmocka_unit_test(test_only_the_last_turn_goes_home),
        cmocka_unit_test(test_several_at_once_and_the_parent_waits_for_all),
        cmocka_unit_test(test_said_again_it_attaches),
        cmocka_unit_test(test_a_lost_parent_attaches_to_what_it_delegated),
        cmocka_unit_test(test_a_restart_finds_parked_tasks_parked),
        cmocka_unit_test(test_refusals_come_back_at_once),
        cmocka_unit_test(test_who_is_not_on_the_list_may_not_be_asked),
        cmocka_unit_test(test_an_agent_stands_once_on_a_path),
        cmocka_unit_test(test_ping_pong_ends),
        cmocka_unit_test(test_depth_has_a_limit),
        cmocka_unit_test(test_delegations_are_counted),
        cmocka_unit_test(test_the_same_is_not_asked_for_ever),
        cmocka_unit_test(test_without_budget_nobody_is_asked),
        cmocka_unit_test(test_a_child_spends_its_parents_budget),
        cmocka_unit_test(test_a_hand_off_stands_alone),
        cmocka_unit_test(test_a_hand_off_gives_the_answer),
        cmocka_unit_test(test_a_hand_off_sets_what_its_node_sets),
        cmocka_unit_test(test_a_failed_delegation_is_the_parents_affair),
        cmocka_unit_test(test_a_cancel_reaches_all_below),
        cmocka_unit_test(test_a_timeout_ends_what_was_delegated),
        cmocka_unit_test(test_what_may_still_run_keeps_its_slot),
        cmocka_unit_test(test_a_new_attempt_delegates_anew),
        cmocka_unit_test(test_parked_tasks_take_no_place),
        cmocka_unit_test(test_agents_are_listed_as_far_as_they_may_be_asked),
        cmocka_unit_test(test_the_context_is_shared),
        cmocka_unit_test(test_a_wrong_patch_is_an_error),
        cmocka_unit_test(test_calls_of_other_turns_end_the_run),
        cmocka_unit_test(test_a_thousand_delegations),
        cmocka_unit_test(test_failures_are_told_shortly),
        cmocka_unit_test(test_long_failures_of_delegates_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
