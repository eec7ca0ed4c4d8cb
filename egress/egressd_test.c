/* A real egressd process, a real broker, and a coordinator and instances played by this program. */
#include "base/clock.h"
#include "base/limits.h"
#include "base/run.h"
#include "base/value.h"
#include "proto/link.h"
#include "proto/peer.h"

#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

/* No test waits that long unless it is going to fail. */
#define PATIENCE_US (30 * LIMIT_SECOND_US)

enum { A, B, ASKERS, ANSWERS_MAX = 16 };

extern char **environ;

static const char *const ADDRESSES[ASKERS] = {"instance:a", "instance:b"};

/* What the agents' scripts do depends on the message. */
static const char DEFINITION[] =
    "{\"agent\":\"writer\",\"model\":\"script/rules.yaml\","
    "\"price\":{\"input_microusd\":1000000,\"output_microusd\":2000000},\"rules\":{\"rules\":["
    "{\"when\":{\"message\":\"slow\"},\"say\":\"slowly\",\"delay_us\":400000},"
    "{\"when\":{\"message\":\"never\"},\"say\":\"never\",\"delay_us\":3600000000},"
    "{\"when\":{\"message\":\"words\"},\"say\":\"one two three\",\"stream_us\":2000},"
    "{\"when\":{\"message\":\"fail\"},\"fail\":{\"code\":\"overloaded\",\"message\":\"later\"}},"
    "{\"say\":\"You said {{message}}\",\"calls\":[{\"tool\":\"wc\",\"with\":{\"n\":\"{{turn}}\"}}],"
    "\"usage\":{\"input\":10,\"output\":20}}]}}";

struct answer {
    char error[64], what[256];
    bool permanent;
    struct wire_usage usage;
    uint64_t correlation;
    value_t *turn;
};

struct fixture {
    struct run_paths paths;
    char *calls_file;
    pid_t broker, egress;
    peer_t *peer, *askers[ASKERS];
    link_t *link;
    char egress_address[LIMIT_ADDRESS_BYTES + 1];
    struct uuid execution;
    uint64_t counter, correlation, boot;
    unsigned welcomes;
    size_t held; /* keys in the last hello */
    uint32_t held_turn;
    unsigned requests; /* for definitions */
    bool silent;       /* answers none of those */
    bool deaf;         /* takes in nothing: a partition */
    struct message message;
    struct answer answers[ASKERS][ANSWERS_MAX];
    size_t answers_count[ASKERS];
};

static pid_t spawn(const char *program, const char *const *arguments)
{
    pid_t pid = 0;
    assert_int_equal(
        posix_spawn(&pid, program, NULL, NULL, (char *const *)(uintptr_t)arguments, environ), 0);
    return pid;
}

static int end_process(pid_t *pid_p, int signal_number)
{
    int status = 0;
    if (*pid_p <= 0)
        return 0;
    kill(*pid_p, signal_number);
    assert_int_equal(waitpid(*pid_p, &status, 0), *pid_p);
    *pid_p = 0;
    return status;
}

static void start_egress(struct fixture *self)
{
    const char *const arguments[] = {"egressd", "--dir",          self->paths.dir,
                                     "--calls", self->calls_file, NULL};
    self->egress = spawn(EGRESSD, arguments);
}

/* --- the coordinator ---------------------------------------------------------------------------
 */

static void send_link(void *context, const struct wire_body *body)
{
    struct fixture *self = context;
    const struct wire_route route = {.kind = body->kind, .to = self->egress_address};
    if (!self->deaf)
        (void)!peer_send(self->peer, &route, body, (struct bytes){0}, NULL);
}

static void take_hello(struct fixture *self, int64_t now_us)
{
    const struct wire_hello *hello = &self->message.body.hello;
    if (self->link && link_receive_hello(self->link, hello, now_us) != LINK_HELLO_NEW)
        return;
    assert_string_equal(hello->role, "egress");
    link_destroy(&self->link);
    (void)snprintf(self->egress_address, sizeof self->egress_address, "%s",
                   self->message.route.from);
    self->boot = hello->boot;
    self->held = hello->held_count;
    self->held_turn = hello->held_count ? hello->held[0].turn : 0;
    struct wire_link_id id = {.epoch = 1, .counter = ++self->counter};
    self->link = link_new_coordinator(id, hello, now_us, send_link, self);
    link_welcome(self->link, NULL, 0, now_us);
    self->welcomes++;
}

static void answer_request(struct fixture *self)
{
    struct wire_body reply = {.kind = WIRE_REPLY};
    const struct wire_route route = {.kind = WIRE_REPLY,
                                     .to = self->message.route.from,
                                     .correlation = self->message.route.correlation};
    struct buf payload = {0};
    value_t *params = NULL, *definition = NULL, *document = value_map();
    self->requests++;
    assert_string_equal(self->message.body.request.method, "agents.get");
    assert_int_equal(value_from_msgpack(self->message.payload, &params, NULL), 0);
    assert_int_equal(value_from_json(DEFINITION, sizeof DEFINITION - 1, &definition, NULL), 0);
    const char *name = value_get_string(params, "name", "");
    value_set_string(definition, "agent", name);
    if (strcmp(name, "echo") == 0) {
        value_unset(definition, "model");
        value_unset(definition, "rules");
        value_unset(definition, "price");
        value_set_string(definition, "builtin", "echo");
    } else if (strcmp(name, "nobody") == 0) {
        reply.reply.error = "not_found";
        reply.reply.what = "there is no such agent";
    }
    value_set_int(document, "version", value_get_int(params, "version", 0));
    value_set(document, "definition", &definition);
    value_to_msgpack(document, &payload);
    if (!self->silent)
        assert_int_equal(peer_send(self->peer, &route, &reply,
                                   reply.reply.error ? (struct bytes){0} : buf_bytes(&payload),
                                   NULL),
                         0);
    value_destroy(&params);
    value_destroy(&document);
    buf_release(&payload);
}

static void pump_coordinator(struct fixture *self, int64_t now_us)
{
    while (peer_receive(self->peer, &self->message, now_us, NULL) == 0) {
        struct bytes items;
        if (self->deaf)
            continue;
        if (self->message.body.kind == WIRE_LINK_HELLO)
            take_hello(self, now_us);
        else if (self->message.body.kind == WIRE_REQUEST)
            answer_request(self);
        else if (self->link &&
                 link_receive(self->link, &self->message.body, now_us, &items) == LINK_ENDED)
            link_destroy(&self->link);
    }
    peer_tick(self->peer, now_us);
    if (self->link && !self->deaf && link_tick(self->link, now_us) == LINK_ENDED)
        link_destroy(&self->link);
}

static uint64_t send_item(struct fixture *self, const struct wire_item *item)
{
    struct buf items = {0};
    uint64_t sequence = 0;
    wire_append_item(item, &items);
    assert_int_equal(link_send(self->link, buf_bytes(&items), clock_monotonic_us(), &sequence), 0);
    buf_release(&items);
    return sequence;
}

static struct wire_call_key key_of(const struct fixture *self, uint32_t turn)
{
    return (struct wire_call_key){self->execution, "draft", 1, turn};
}

static void grant_agent(struct fixture *self, uint32_t turn, uint64_t run, const char *agent)
{
    const struct wire_item item = {.kind = WIRE_ITEM_GRANT,
                                   .grant = {.key = key_of(self, turn),
                                             .run = {1, run},
                                             .agent = agent,
                                             .agent_version = 3,
                                             .tokens = 25}};
    (void)send_item(self, &item);
}

static void grant(struct fixture *self, uint32_t turn, uint64_t run)
{
    grant_agent(self, turn, run, "writer");
}

/* --- instances ---------------------------------------------------------------------------------
 */

static void open_asker(struct fixture *self, int who)
{
    const struct peer_options options = {.endpoint = self->paths.broker_endpoint,
                                         .address = ADDRESSES[who],
                                         .program = "egressd_test"};
    assert_int_equal(peer_new(&options, &self->askers[who], NULL), 0);
}

static void pump_asker(struct fixture *self, int who, int64_t now_us)
{
    peer_t *peer = self->askers[who];
    while (peer && peer_receive(peer, &self->message, now_us, NULL) == 0) {
        const struct wire_call_answer *answer = &self->message.body.call_answer;
        if (self->message.body.kind != WIRE_CALL_ANSWER)
            continue;
        assert_true(self->answers_count[who] < ANSWERS_MAX);
        struct answer *note = &self->answers[who][self->answers_count[who]++];
        *note = (struct answer){.permanent = answer->permanent,
                                .usage = answer->usage,
                                .correlation = self->message.route.correlation};
        (void)snprintf(note->error, sizeof note->error, "%s", answer->error);
        (void)snprintf(note->what, sizeof note->what, "%s", answer->what);
        if (self->message.has_payload)
            assert_int_equal(value_from_msgpack(self->message.payload, &note->turn, NULL), 0);
    }
    if (peer)
        peer_tick(peer, now_us);
}

static void pump(struct fixture *self)
{
    zmq_pollitem_t items[1 + ASKERS] = {{.socket = peer_socket(self->peer), .events = ZMQ_POLLIN}};
    int count = 1;
    for (int who = 0; who < ASKERS; who++)
        if (self->askers[who])
            items[count++] =
                (zmq_pollitem_t){.socket = peer_socket(self->askers[who]), .events = ZMQ_POLLIN};
    zmq_poll(items, count, 10);
    int64_t now_us = clock_monotonic_us();
    pump_coordinator(self, now_us);
    for (int who = 0; who < ASKERS; who++)
        pump_asker(self, who, now_us);
}

static void serve_for(struct fixture *self, int64_t us)
{
    int64_t end_us = clock_monotonic_us() + us;
    while (clock_monotonic_us() < end_us)
        pump(self);
}

/* Returns once it is obeyed, so that no asker overtakes it. */
static void forget(struct fixture *self, uint32_t turn)
{
    const struct wire_item item = {.kind = WIRE_ITEM_FORGET, .forget.key = key_of(self, turn)};
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    uint64_t sequence = send_item(self, &item);
    while (self->link && link_acknowledged(self->link) < sequence) {
        assert_true(clock_monotonic_us() < end_us);
        pump(self);
    }
}

static void wait_welcomes(struct fixture *self, unsigned count)
{
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    while (self->welcomes < count) {
        if (clock_monotonic_us() > end_us)
            fail_msg("egressd said no hello");
        pump(self);
    }
}

/* The request of a turn: {turn, message}. bare: without the payload. Returns the correlation. */
static uint64_t ask_with(struct fixture *self, int who, uint32_t turn, uint64_t run,
                         const char *message, bool bare)
{
    struct wire_body body = {.kind = WIRE_CALL,
                             .call = {.key = key_of(self, turn), .run = {1, run}}};
    const struct wire_route route = {
        .kind = WIRE_CALL, .to = self->egress_address, .correlation = ++self->correlation};
    value_t *request = value_map();
    struct buf payload = {0};
    value_set_int(request, "turn", turn);
    value_set_string(request, "message", message);
    value_to_msgpack(request, &payload);
    datum_hash(buf_bytes(&payload), body.call.request_hash);
    assert_int_equal(peer_send(self->askers[who], &route, &body,
                               bare ? (struct bytes){0} : buf_bytes(&payload), NULL),
                     0);
    buf_release(&payload);
    value_destroy(&request);
    return self->correlation;
}

static uint64_t ask(struct fixture *self, int who, uint32_t turn, uint64_t run, const char *message)
{
    return ask_with(self, who, turn, run, message, false);
}

/* The next answer that the asker gets; its turn is gone after the next one. */
static const struct answer *expect(struct fixture *self, int who)
{
    static struct answer answer;
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    while (self->answers_count[who] == 0) {
        if (clock_monotonic_us() > end_us)
            fail_msg("%s got no answer", ADDRESSES[who]);
        pump(self);
    }
    value_destroy(&answer.turn);
    answer = self->answers[who][0];
    self->answers_count[who]--;
    memmove(self->answers[who], self->answers[who] + 1,
            self->answers_count[who] * sizeof self->answers[who][0]);
    return &answer;
}

static void expect_content(struct fixture *self, int who, const char *content)
{
    const struct answer *answer = expect(self, who);
    assert_string_equal(answer->error, "");
    assert_non_null(answer->turn);
    assert_string_equal(value_get_string(answer->turn, "content", "(none)"), content);
}

static void expect_error(struct fixture *self, int who, const char *error, bool permanent)
{
    const struct answer *answer = expect(self, who);
    assert_string_equal(answer->error, error);
    assert_true(answer->what[0] != '\0');
    assert_int_equal(answer->permanent, permanent);
    assert_null(answer->turn);
}

/* --- the calls that were really made -----------------------------------------------------------
 */

static size_t count_calls(const struct fixture *self)
{
    FILE *file = fopen(self->calls_file, "r");
    size_t lines = 0;
    char line[512], wanted[128], id[TYPEID_TEXT_SIZE];
    (void)snprintf(wanted, sizeof wanted, "%s draft 1 ", typeid_text("exec", self->execution, id));
    while (file && fgets(line, sizeof line, file)) {
        assert_memory_equal(line, wanted, strlen(wanted));
        lines++;
    }
    if (file)
        fclose(file);
    return lines;
}

static void wait_calls(struct fixture *self, size_t count)
{
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    while (count_calls(self) < count) {
        if (clock_monotonic_us() > end_us)
            fail_msg("%zu calls were made, not %zu", count_calls(self), count);
        pump(self);
    }
}

/* Ends the link, so that egressd says hello anew; gives the number of keys that it then holds. */
static size_t held_now(struct fixture *self)
{
    unsigned before = self->welcomes;
    link_bye(self->link, "say again");
    link_destroy(&self->link);
    wait_welcomes(self, before + 1);
    return self->held;
}

/* --- fixture -----------------------------------------------------------------------------------
 */

static int set_up(void **state)
{
    char dir[] = "/tmp/af-egress-XXXXXX";
    struct fixture *self = xcalloc(1, sizeof *self);
    *state = self;
    if (!mkdtemp(dir) || run_paths_init(&self->paths, dir, NULL) ||
        run_paths_make(&self->paths, NULL))
        return -1;
    self->calls_file = xasprintf("%s/calls", dir);
    self->execution = uuid_new();
    const char *const arguments[] = {"brokerd", "--dir", dir, NULL};
    self->broker = spawn(BROKERD, arguments);
    const struct peer_options options = {.endpoint = self->paths.broker_endpoint,
                                         .address = "coordinator",
                                         .program = "egressd_test"};
    if (peer_new(&options, &self->peer, NULL) != 0)
        return -1;
    open_asker(self, A);
    open_asker(self, B);
    start_egress(self);
    wait_welcomes(self, 1);
    return 0;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static int tear_down(void **state)
{
    struct fixture *self = *state;
    end_process(&self->egress, SIGKILL);
    end_process(&self->broker, SIGKILL);
    message_release(&self->message);
    link_destroy(&self->link);
    peer_destroy(&self->peer);
    for (int who = 0; who < ASKERS; who++) {
        peer_destroy(&self->askers[who]);
        for (size_t i = 0; i < self->answers_count[who]; i++)
            value_destroy(&self->answers[who][i].turn);
    }
    nftw(self->paths.dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    run_paths_release(&self->paths);
    free(self->calls_file);
    free(self);
    return 0;
}

/* --- tests -------------------------------------------------------------------------------------
 */

static void test_grant_then_call(void **state)
{
    struct fixture *self = *state;
    grant(self, 1, 5);
    uint64_t correlation = ask(self, A, 1, 5, "hi");
    const struct answer *answer = expect(self, A);
    assert_string_equal(answer->error, "");
    assert_int_equal(answer->correlation, correlation);
    assert_string_equal(value_get_string(answer->turn, "content", ""), "You said hi");
    const value_t *call = value_at(value_get(answer->turn, "calls"), 0);
    assert_string_equal(value_get_string(call, "tool", ""), "wc");
    assert_int_equal(value_get_int(value_get(call, "arguments"), "n", 0), 1);
    assert_int_equal(answer->usage.input_tokens, 10);
    assert_int_equal(answer->usage.output_tokens, 15); /* of 20: the grant has 25 in all */
    assert_int_equal(answer->usage.cost_microusd, 40);
    assert_int_equal(count_calls(self), 1);
    /* The definition is fetched once. */
    grant(self, 2, 5);
    ask(self, A, 2, 5, "again");
    expect_content(self, A, "You said again");
    assert_int_equal(self->requests, 1);
    assert_int_equal(held_now(self), 2);
    assert_int_equal(self->held_turn, 1);
}

static void test_call_then_grant(void **state)
{
    struct fixture *self = *state;
    ask(self, A, 1, 5, "hi");
    serve_for(self, LIMIT_SECOND_US / 5);
    assert_int_equal(count_calls(self) + self->answers_count[A], 0);
    grant(self, 1, 5);
    expect_content(self, A, "You said hi");
    assert_int_equal(count_calls(self), 1);
}

static void test_a_second_asker_attaches_in_flight(void **state)
{
    struct fixture *self = *state;
    grant(self, 1, 5);
    ask(self, A, 1, 5, "slow");
    wait_calls(self, 1);
    ask_with(self, B, 1, 5, "slow", true);
    expect_content(self, A, "slowly");
    expect_content(self, B, "slowly");
    assert_int_equal(count_calls(self), 1);
}

static void test_an_answer_outlives_its_asker(void **state)
{
    struct fixture *self = *state;
    grant(self, 1, 5);
    ask(self, A, 1, 5, "slow");
    wait_calls(self, 1);
    peer_destroy(&self->askers[A]);
    serve_for(self, LIMIT_SECOND_US / 2);
    grant(self, 1, 6);
    ask_with(self, B, 1, 6, "slow", true);
    expect_content(self, B, "slowly");
    ask_with(self, B, 1, 6, "slow", true);
    expect_content(self, B, "slowly");
    assert_int_equal(count_calls(self), 1);
    forget(self, 1);
    ask_with(self, B, 1, 6, "slow", true);
    expect_error(self, B, "unknown", false);
    assert_int_equal(held_now(self), 0);
}

static void test_forget_in_flight_aborts(void **state)
{
    struct fixture *self = *state;
    grant(self, 1, 5);
    ask(self, A, 1, 5, "never");
    wait_calls(self, 1);
    assert_int_equal(held_now(self), 1);
    forget(self, 1);
    ask_with(self, A, 1, 5, "never", true);
    expect_error(self, A, "unknown", false);
    assert_int_equal(held_now(self), 0);
    grant(self, 1, 6);
    ask(self, A, 1, 6, "hi");
    expect_content(self, A, "You said hi");
    assert_int_equal(count_calls(self), 2);
}

static void test_a_restart_holds_nothing(void **state)
{
    struct fixture *self = *state;
    char address[LIMIT_ADDRESS_BYTES + 1];
    uint64_t boot = self->boot;
    memcpy(address, self->egress_address, sizeof address);
    grant(self, 1, 5);
    ask(self, A, 1, 5, "hi");
    expect_content(self, A, "You said hi");
    assert_int_equal(held_now(self), 1);
    unsigned welcomes = self->welcomes;
    end_process(&self->egress, SIGKILL);
    start_egress(self);
    wait_welcomes(self, welcomes + 1);
    assert_int_equal(self->held, 0);
    assert_true(self->boot > boot);
    assert_string_equal(self->egress_address, address);
    assert_memory_equal(address, "egress:egr_", strlen("egress:egr_"));
    ask_with(self, A, 1, 5, "hi", true);
    expect_error(self, A, "unknown", false);
}

static void test_a_wrong_run_and_another_request(void **state)
{
    struct fixture *self = *state;
    grant(self, 1, 5);
    ask(self, A, 1, 5, "hi");
    expect_content(self, A, "You said hi");
    ask(self, B, 1, 4, "hi");
    expect_error(self, B, "void", false);
    ask(self, B, 1, 5, "ho");
    expect_error(self, B, "conflict", true);
    assert_int_equal(count_calls(self), 1);
}

static void test_no_grant_in_time(void **state)
{
    struct fixture *self = *state;
    ask(self, A, 1, 5, "hi");
    expect_error(self, A, "no_grant", false);
    assert_int_equal(count_calls(self), 0);
    grant(self, 1, 5);
    ask(self, A, 1, 5, "hi");
    expect_content(self, A, "You said hi");
}

static void test_failures_are_answers(void **state)
{
    struct fixture *self = *state;
    grant(self, 1, 5);
    for (int i = 0; i < 2; i++) {
        ask(self, A, 1, 5, "fail");
        expect_error(self, A, "overloaded", false);
    }
    assert_int_equal(count_calls(self), 1);
    grant_agent(self, 2, 5, "nobody");
    ask(self, A, 2, 5, "hi");
    expect_error(self, A, "invalid", true);
    grant_agent(self, 3, 5, "echo");
    ask(self, A, 3, 5, "hi");
    expect_error(self, A, "invalid", true);
    assert_int_equal(count_calls(self), 1);
}

static bool asked_for_definition(const struct fixture *self)
{
    return self->requests > 0;
}

static void test_a_call_waits_for_its_definition(void **state)
{
    struct fixture *self = *state;
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    self->silent = true;
    grant(self, 1, 5);
    ask(self, A, 1, 5, "hi");
    while (!asked_for_definition(self) && clock_monotonic_us() < end_us)
        pump(self);
    assert_true(asked_for_definition(self));
    self->silent = false;
    expect_content(self, A, "You said hi");
    assert_true(self->requests > 1);
}

static void test_no_call_without_a_lease(void **state)
{
    struct fixture *self = *state;
    grant(self, 1, 5);
    grant(self, 2, 5);
    ask(self, A, 1, 5, "hi");
    expect_content(self, A, "You said hi");
    self->deaf = true;
    serve_for(self, LIMIT_LEASE_US + LIMIT_SECOND_US / 2);
    ask(self, A, 2, 5, "ho");
    ask_with(self, A, 1, 5, "hi", true);
    expect_content(self, A, "You said hi"); /* what is held is no effect */
    serve_for(self, LIMIT_SECOND_US / 2);
    assert_int_equal(self->answers_count[A], 0);
    assert_int_equal(count_calls(self), 1);
    unsigned welcomes = self->welcomes;
    self->deaf = false;
    wait_welcomes(self, welcomes + 1);
    serve_for(self, LIMIT_SECOND_US / 2);
    assert_int_equal(count_calls(self), 1); /* its grant was of the link before */
    grant(self, 2, 5);
    expect_content(self, A, "You said ho");
    assert_int_equal(count_calls(self), 2);
}

/* A coordinator that has a turn reserved here expects the beats of a busy link, also while all that
 * there is of the turn waits; and one that has none does not take its rest for silence. */
static void test_beats_while_anything_is_reserved(void **state)
{
    struct fixture *self = *state;
    link_set_busy(self->link, true, clock_monotonic_us());
    grant(self, 1, 5);
    ask(self, A, 1, 6, "hi"); /* of a run whose grant is to come */
    serve_for(self, 2 * LIMIT_SILENCE_US);
    assert_int_equal(self->welcomes, 1);
    assert_non_null(self->link);
    grant(self, 1, 6);
    expect_content(self, A, "You said hi");
    forget(self, 1);
    link_set_busy(self->link, false, clock_monotonic_us());
    serve_for(self, LIMIT_SILENCE_US + LIMIT_SECOND_US);
    assert_int_equal(self->welcomes, 1);
    assert_non_null(self->link);
}

static void collect_deltas(void *socket, struct buf *text, const struct fixture *self,
                           uint32_t turn)
{
    char topic[128], id[TYPEID_TEXT_SIZE];
    uint8_t document[1024];
    typeid_text("exec", self->execution, id);
    for (int size; (size = zmq_recv(socket, topic, sizeof topic, ZMQ_DONTWAIT)) > 0;) {
        value_t *event = NULL;
        assert_memory_equal(topic, "execution.", strlen("execution."));
        size = zmq_recv(socket, document, sizeof document, 0);
        assert_true(size > 0 && size <= (int)sizeof document);
        assert_int_equal(value_from_msgpack(bytes_of(document, (size_t)size), &event, NULL), 0);
        if (value_get_int(event, "turn", 0) == turn)
            buf_printf(text, "%s|", value_get_string(event, "text", ""));
        assert_string_equal(value_get_string(event, "type", ""), "message.delta");
        assert_string_equal(value_get_string(event, "execution", ""), id);
        assert_string_equal(value_get_string(event, "task", ""), "draft");
        assert_string_equal(value_get_string(event, "agent", ""), "writer");
        value_destroy(&event);
    }
}

/* The first turns may come before the subscription does. */
static void test_deltas_arrive(void **state)
{
    struct fixture *self = *state;
    char topic[sizeof "execution." + TYPEID_TEXT_SIZE] = "execution.";
    struct buf text = {0};
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_SUB);
    typeid_text("exec", self->execution, topic + strlen(topic));
    assert_int_equal(zmq_setsockopt(socket, ZMQ_SUBSCRIBE, topic, strlen(topic)), 0);
    assert_int_equal(zmq_connect(socket, self->paths.events_endpoint), 0);
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    for (uint32_t turn = 1; strcmp(buf_string(&text), "one |two |three|") != 0; turn++) {
        assert_true(clock_monotonic_us() < end_us);
        buf_clear(&text);
        grant(self, turn, 5);
        ask(self, A, turn, 5, "words");
        expect_content(self, A, "one two three");
        serve_for(self, LIMIT_SECOND_US / 20);
        collect_deltas(socket, &text, self, turn);
    }
    buf_release(&text);
    zmq_close(socket);
    zmq_ctx_term(context);
}

static void test_it_ends_in_good_order(void **state)
{
    struct fixture *self = *state;
    grant(self, 1, 5);
    grant(self, 2, 5);
    ask(self, A, 1, 5, "slow");
    wait_calls(self, 1);
    kill(self->egress, SIGTERM);
    serve_for(self, LIMIT_SECOND_US / 10);
    ask(self, B, 2, 5, "hi"); /* no new one */
    expect_content(self, A, "slowly");
    forget(self, 1);
    int64_t end_us = clock_monotonic_us() + PATIENCE_US;
    int status = -1;
    while (waitpid(self->egress, &status, WNOHANG) == 0) {
        assert_true(clock_monotonic_us() < end_us);
        pump(self);
    }
    self->egress = 0;
    assert_int_equal(status, 0);
    assert_int_equal(count_calls(self), 1);
    assert_int_equal(self->answers_count[B], 0);
    char *path = xasprintf("%s/egressd.pid", self->paths.run);
    assert_int_not_equal(access(path, F_OK), 0);
    free(path);
}

static void test_options(void **state)
{
    struct fixture *self = *state;
    const char *const unknown[] = {"egressd", "--bogus", NULL};
    const char *const id[] = {"egressd", "--id", "host_01h455vb4pex5vsknk084sn02q", NULL};
    const char *const rest[] = {"egressd", "more", NULL};
    const char *const value[] = {"egressd", "--dir", NULL};
    const char *const *const wrong[] = {unknown, id, rest, value};
    int status = 0;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        pid_t pid = spawn(EGRESSD, wrong[i]);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(WEXITSTATUS(status), 2);
    }
    /* One at a time in a directory. */
    const char *const second[] = {"egressd", "--dir", self->paths.dir, NULL};
    pid_t pid = spawn(EGRESSD, second);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WEXITSTATUS(status), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_grant_then_call),
        TEST(test_call_then_grant),
        TEST(test_a_second_asker_attaches_in_flight),
        TEST(test_an_answer_outlives_its_asker),
        TEST(test_forget_in_flight_aborts),
        TEST(test_a_restart_holds_nothing),
        TEST(test_a_wrong_run_and_another_request),
        TEST(test_no_grant_in_time),
        TEST(test_failures_are_answers),
        TEST(test_a_call_waits_for_its_definition),
        TEST(test_no_call_without_a_lease),
        TEST(test_beats_while_anything_is_reserved),
        TEST(test_deltas_arrive),
        TEST(test_it_ends_in_good_order),
        TEST(test_options),
    };
    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("egressd", tests, NULL, NULL);
}
