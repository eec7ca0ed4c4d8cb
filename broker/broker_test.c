/* A real brokerd process on an ipc directory of its own, spoken to over real sockets. */
#include "base/clock.h"
#include "base/limits.h"
#include "base/run.h"
#include "base/value.h"
#include "proto/message.h"

#include <errno.h>
#include <ftw.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#include <cmocka.h>

/* No test waits that long unless it is going to fail. */
#define PATIENCE_MS 20000

extern char **environ;

struct fixture {
    char dir[64];
    char second[128]; /* one more endpoint of the same broker */
    char *notify_path;
    int notify;
    struct run_paths paths;
    pid_t broker;
    void *context;
    void *sockets[16]; /* open ones; a test that fails leaves them to tear_down */
    size_t sockets_count;
};

static int open_notify_socket(struct fixture *self)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    self->notify_path = xasprintf("%s/notify", self->dir);
    memcpy(address.sun_path, self->notify_path, strlen(self->notify_path));
    self->notify = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    setsockopt(self->notify, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setenv("NOTIFY_SOCKET", self->notify_path, 1);
    return bind(self->notify, (struct sockaddr *)&address, sizeof address);
}

static pid_t spawn(const char *const *arguments, int stderr_fd)
{
    pid_t pid = 0;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    if (stderr_fd >= 0)
        posix_spawn_file_actions_adddup2(&actions, stderr_fd, STDERR_FILENO);
    int rc =
        posix_spawn(&pid, BROKERD, &actions, NULL, (char *const *)(uintptr_t)arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    assert_int_equal(rc, 0);
    return pid;
}

static void start_broker(struct fixture *self)
{
    const char *const arguments[] = {
        "brokerd", "--dir",      self->dir, "--bind", self->paths.broker_endpoint,
        "--bind",  self->second, NULL};
    self->broker = spawn(arguments, -1);
    char text[64];
    ssize_t size = recv(self->notify, text, sizeof text, 0);
    assert_int_equal(size, strlen("READY=1"));
    assert_memory_equal(text, "READY=1", (size_t)size);
}

static int wait_status(pid_t pid)
{
    int status = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static int stop_broker(struct fixture *self, int signal_number)
{
    if (self->broker <= 0)
        return 0;
    kill(self->broker, signal_number);
    int status = wait_status(self->broker);
    self->broker = 0;
    char text[64];
    if (signal_number != SIGKILL)
        assert_true(recv(self->notify, text, sizeof text, 0) > 0); /* STOPPING=1 */
    return status;
}

static int set_up(void **state)
{
    struct fixture *self = xcalloc(1, sizeof *self);
    snprintf(self->dir, sizeof self->dir, "/tmp/af-broker-XXXXXX");
    if (!mkdtemp(self->dir) || run_paths_init(&self->paths, self->dir, NULL) != 0 ||
        open_notify_socket(self) != 0)
        return -1;
    snprintf(self->second, sizeof self->second, "ipc://%s/second.sock", self->dir);
    self->context = zmq_ctx_new();
    *state = self;
    start_broker(self);
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
    while (self->sockets_count > 0)
        zmq_close(self->sockets[--self->sockets_count]);
    zmq_ctx_term(self->context);
    stop_broker(self, SIGKILL);
    close(self->notify);
    unsetenv("NOTIFY_SOCKET");
    nftw(self->dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    run_paths_release(&self->paths);
    free(self->notify_path);
    free(self);
    return 0;
}

static void set_number(void *socket, int option, int number)
{
    assert_int_equal(zmq_setsockopt(socket, option, &number, sizeof number), 0);
}

static void *open_socket(struct fixture *self, int type)
{
    void *socket = zmq_socket(self->context, type);
    assert_non_null(socket);
    assert_true(self->sockets_count < sizeof self->sockets / sizeof self->sockets[0]);
    self->sockets[self->sockets_count++] = socket;
    set_number(socket, ZMQ_LINGER, 0);
    set_number(socket, ZMQ_RECONNECT_IVL, 10);
    return socket;
}

static void leave(struct fixture *self, void *socket)
{
    size_t at = 0;
    while (self->sockets[at] != socket)
        at++;
    self->sockets[at] = self->sockets[--self->sockets_count];
    zmq_close(socket);
}

static void *connect_to(struct fixture *self, const char *address, const char *endpoint)
{
    void *socket = open_socket(self, ZMQ_DEALER);
    if (address)
        assert_int_equal(zmq_setsockopt(socket, ZMQ_ROUTING_ID, address, strlen(address)), 0);
    assert_int_equal(zmq_connect(socket, endpoint), 0);
    return socket;
}

static void send_body(void *socket, const struct wire_body *body, const char *to, const char *from,
                      uint64_t correlation, const char *payload)
{
    struct wire_route route = {
        .kind = body->kind, .to = to, .from = from, .correlation = correlation};
    int rc = 0;
    do
        rc = message_send(socket, &route, body, bytes_of_string(payload ? payload : ""), NULL);
    while (rc == ERR_AGAIN);
    assert_int_equal(rc, 0);
}

static void send_kind(void *socket, enum wire_kind kind, const char *to, uint64_t correlation,
                      const char *payload)
{
    struct wire_body body = {.kind = kind};
    send_body(socket, &body, to, NULL, correlation, payload);
}

static bool wait_readable(void *socket, long timeout_ms)
{
    zmq_pollitem_t item = {.socket = socket, .events = ZMQ_POLLIN};
    return zmq_poll(&item, 1, timeout_ms) > 0;
}

static void expect(void *socket, struct message *message, enum wire_kind kind)
{
    struct err err = {0};
    if (!wait_readable(socket, PATIENCE_MS))
        fail_msg("no message came; %s was expected", wire_kind_name(kind));
    if (message_receive(socket, message, &err) != 0)
        fail_msg("a message could not be read: %s", err.what);
    if (message->body.kind != kind)
        fail_msg("%s came instead of %s", wire_kind_name(message->body.kind), wire_kind_name(kind));
}

static void expect_undeliverable(void *socket, struct message *message, const char *reason,
                                 uint64_t correlation)
{
    expect(socket, message, WIRE_UNDELIVERABLE);
    assert_string_equal(message->body.undeliverable.reason, reason);
    assert_true(message->route.correlation == correlation);
    assert_string_equal(message->route.from, "broker");
}

static void *join(struct fixture *self, const char *address, const char *agent)
{
    const char *const agents[] = {agent};
    struct wire_body body = {
        .kind = WIRE_REGISTER,
        .reg = {.major = WIRE_MAJOR,
                .minor = WIRE_MINOR,
                .program = "test 1",
                .agents = agents,
                .agents_count = agent ? 1 : 0},
    };
    struct message message = {0};
    void *socket = connect_to(self, address, self->paths.broker_endpoint);
    send_body(socket, &body, "broker", NULL, 77, NULL);
    expect(socket, &message, WIRE_REGISTERED);
    assert_string_equal(message.body.registered.refused, "");
    assert_int_equal(message.body.registered.major, WIRE_MAJOR);
    assert_true(message.route.correlation == 77);
    message_release(&message);
    return socket;
}

static value_t *ask_peers(void *socket)
{
    struct message message = {0};
    value_t *document = NULL;
    send_kind(socket, WIRE_PEERS, "broker", 1, NULL);
    expect(socket, &message, WIRE_PEERS_REPLY);
    assert_int_equal(value_from_msgpack(message.payload, &document, NULL), 0);
    message_release(&message);
    return document;
}

static int64_t count_of(void *socket, const char *counter)
{
    value_t *document = ask_peers(socket);
    int64_t count = value_get_int(document, counter, -1);
    value_destroy(&document);
    return count;
}

static void test_refuses_another_major_version(void **state)
{
    struct fixture *self = *state;
    struct message message = {0};
    void *socket = connect_to(self, "client:old", self->paths.broker_endpoint);
    struct wire_body body = {.kind = WIRE_REGISTER,
                             .reg = {.major = 9, .minor = 4, .program = "old 0.1"}};
    send_body(socket, &body, "broker", NULL, 5, NULL);
    expect(socket, &message, WIRE_REGISTERED);
    assert_non_null(strstr(message.body.registered.refused, "9.4"));
    assert_non_null(strstr(message.body.registered.refused, "1.0"));
    void *other = join(self, "client:new", NULL);
    assert_int_equal(count_of(other, "registered"), 1);
    message_release(&message);
}

static void test_forwards_and_stamps_the_sender(void **state)
{
    struct fixture *self = *state;
    static const char *const claimed[] = {NULL,          "client:aa",
                                          "client:zz",   "client:x",
                                          "coordinator", "host:somebody-with-a-long-name"};
    void *from = join(self, "client:aa", NULL);
    void *to = join(self, "instance:b", NULL);
    struct message message = {0};
    for (size_t i = 0; i < sizeof claimed / sizeof claimed[0]; i++) {
        struct wire_body body = {.kind = WIRE_REQUEST,
                                 .request = {.method = "some.method", .idempotency_key = "k"}};
        send_body(from, &body, "instance:b", claimed[i], 100 + i, i % 2 ? "payload" : NULL);
        expect(to, &message, WIRE_REQUEST);
        assert_string_equal(message.route.from, "client:aa");
        assert_string_equal(message.route.to, "instance:b");
        assert_true(message.route.correlation == 100 + i);
        assert_string_equal(message.body.request.method, "some.method");
        assert_int_equal(message.has_payload, i % 2);
    }
    assert_int_equal(count_of(from, "forwarded"), sizeof claimed / sizeof claimed[0]);
    message_release(&message);
}

static void test_serves_a_second_endpoint(void **state)
{
    struct fixture *self = *state;
    struct message message = {0};
    void *socket = connect_to(self, "client:other", self->second);
    send_kind(socket, WIRE_PING, "broker", 9, "payload");
    expect(socket, &message, WIRE_WHO); /* it hasn't registered, and is answered all the same */
    expect(socket, &message, WIRE_PONG);
    assert_true(message.route.correlation == 9);
    assert_string_equal(message.route.from, "broker");
    assert_int_equal(message.payload.size, strlen("payload"));
    message_release(&message);
}

static void test_gives_an_agents_messages_in_turn(void **state)
{
    struct fixture *self = *state;
    void *client = join(self, "client:a", NULL);
    void *one = join(self, "instance:one", "echo");
    void *two = join(self, "instance:two", "echo");
    struct message message = {0};
    for (uint64_t i = 0; i < 4; i++) {
        send_kind(client, WIRE_PING, "agent:echo", i, NULL);
        expect(i % 2 ? two : one, &message, WIRE_PING);
        assert_true(message.route.correlation == i);
        assert_string_equal(message.route.from, "client:a");
    }
    send_kind(client, WIRE_PING, "agent:nobody", 8, NULL);
    expect_undeliverable(client, &message, "unknown", 8);
    assert_string_equal(message.body.undeliverable.to, "agent:nobody");

    send_kind(two, WIRE_UNREGISTER, "broker", 0, NULL);
    while (count_of(client, "registered") > 2)
        ;
    for (uint64_t i = 0; i < 3; i++) {
        send_kind(client, WIRE_PING, "agent:echo", i, NULL);
        expect(one, &message, WIRE_PING);
    }
    message_release(&message);
}

/* Sends PINGs until one comes back, and answers with what was last said of it. */
static void ping_until_undeliverable(void *client, const char *to, struct message *message)
{
    int64_t end_us = clock_monotonic_us() + PATIENCE_MS * 1000LL;
    while (clock_monotonic_us() < end_us) {
        send_kind(client, WIRE_PING, to, 3, NULL);
        if (wait_readable(client, 10)) {
            expect_undeliverable(client, message, "gone", 3);
            return;
        }
    }
    fail_msg("a peer that is gone was not noticed");
}

static void test_tells_of_one_that_is_gone(void **state)
{
    struct fixture *self = *state;
    struct message message = {0};
    void *client = join(self, "client:a", NULL);
    void *lost = join(self, "instance:lost", "echo");
    void *left = join(self, "instance:left", "echo");
    leave(self, lost);
    ping_until_undeliverable(client, "instance:lost", &message);
    assert_int_equal(message.body.undeliverable.kind, WIRE_PING);
    assert_string_equal(message.body.undeliverable.to, "instance:lost");
    send_kind(client, WIRE_PING, "agent:echo", 4, NULL);
    expect(left, &message, WIRE_PING);

    leave(self, left);
    ping_until_undeliverable(client, "agent:echo", &message);
    send_kind(client, WIRE_PING, "agent:echo", 5, NULL);
    expect_undeliverable(client, &message, "unknown", 5);
    send_kind(client, WIRE_PING, "instance:lost", 6, NULL);
    expect_undeliverable(client, &message, "unknown", 6);
    message_release(&message);
}

/* A receiver that takes nothing: its queue fills up, and the broker neither blocks nor drops. */
static void test_tells_of_one_that_is_full(void **state)
{
    struct fixture *self = *state;
    struct message message = {0};
    void *client = join(self, "client:a", NULL);
    void *lazy = open_socket(self, ZMQ_DEALER);
    set_number(lazy, ZMQ_RCVHWM, 1);
    assert_int_equal(zmq_setsockopt(lazy, ZMQ_ROUTING_ID, "instance:lazy", 13), 0);
    assert_int_equal(zmq_connect(lazy, self->paths.broker_endpoint), 0);
    send_kind(lazy, WIRE_PING, "client:a", 0, NULL);
    expect(client, &message, WIRE_PING);

    char payload[257] = {0};
    memset(payload, 'x', sizeof payload - 1);
    uint64_t sent = 0;
    while (sent < 10 * LIMIT_SOCKET_HWM && !wait_readable(client, 0))
        for (int i = 0; i < 100; i++)
            send_kind(client, WIRE_PING, "instance:lazy", ++sent, payload);
    expect(client, &message, WIRE_UNDELIVERABLE);
    assert_string_equal(message.body.undeliverable.reason, "full");
    assert_true(message.route.correlation > LIMIT_SOCKET_HWM / 2);
    message_release(&message);
}

static void test_asks_who_it_is_after_a_restart(void **state)
{
    struct fixture *self = *state;
    struct message message = {0};
    void *client = join(self, "client:a", NULL);
    void *other = join(self, "instance:b", NULL);
    stop_broker(self, SIGKILL);
    start_broker(self);
    /* Until both are connected again, messages come back; then one passes, registered or not. */
    bool asked = false, passed = false;
    int64_t end_us = clock_monotonic_us() + PATIENCE_MS * 1000LL;
    while ((!asked || !passed) && clock_monotonic_us() < end_us) {
        send_kind(client, WIRE_PING, "instance:b", 1, NULL);
        if (wait_readable(other, 10)) {
            expect(other, &message, WIRE_PING);
            assert_string_equal(message.route.from, "client:a");
            passed = true;
        }
        while (wait_readable(client, 0) && message_receive(client, &message, NULL) == 0)
            asked = asked || message.body.kind == WIRE_WHO;
    }
    assert_true(asked);
    assert_true(passed);
    message_release(&message);
}

static void test_a_name_needs_a_registered_sender(void **state)
{
    struct fixture *self = *state;
    struct message message = {0};
    (void)join(self, "instance:one", "echo");
    void *stranger = connect_to(self, "client:x", self->paths.broker_endpoint);
    send_kind(stranger, WIRE_PING, "agent:echo", 2, NULL);
    expect(stranger, &message, WIRE_WHO);
    expect_undeliverable(stranger, &message, "unknown", 2);
    message_release(&message);
}

static void test_sends_nothing_back_for_what_came_back(void **state)
{
    struct fixture *self = *state;
    struct message message = {0};
    void *client = join(self, "client:a", NULL);
    struct wire_body body = {.kind = WIRE_UNDELIVERABLE, .undeliverable = {.reason = "full"}};
    send_body(client, &body, "instance:nobody", NULL, 1, NULL);
    send_body(client, &body, "broker", NULL, 2, NULL);
    send_kind(client, WIRE_PING, "broker", 3, NULL);
    expect(client, &message, WIRE_PONG);
    assert_int_equal(count_of(client, "malformed"), 1);
    message_release(&message);
}

struct raw {
    const char *frames[6]; /* NULL ends; sizes by strlen, so without zero bytes */
    const char *reason;
};

/* "\x08\x06" is kind PING; "\x12\x0b…" the address; "\x20\x2a" correlation 42. */
#define ROUTE_GOOD                                                                                 \
    "\x08\x06\x20\x2a\x12\x0b"                                                                     \
    "coordinator"

static const struct raw MALFORMED[] = {
    {{""}, "malformed"},
    {{"AF01"}, "malformed"},
    {{"AF01", ROUTE_GOOD}, "malformed"},
    {{"AF01", ROUTE_GOOD, "", "payload", "more"}, "malformed"},
    {{"AF01", ROUTE_GOOD, "", "payload", "more", "yet more"}, "malformed"},
    {{"AF02", ROUTE_GOOD, ""}, "version"},
    {{"AF1", ROUTE_GOOD, ""}, "malformed"},
    {{"", ROUTE_GOOD, ""}, "malformed"},
    {{"HTTP", ROUTE_GOOD, ""}, "malformed"},
    {{"AF01", "", ""}, "malformed"},
    {{"AF01", "\x08\x06", ""}, "malformed"},
    {{"AF01",
      "\x12\x0b"
      "coordinator",
      ""},
     "malformed"},
    {{"AF01",
      "\x08\x06\x12\x0c"
      "coordinator",
      ""},
     "malformed"},
    {{"AF01", "\xff\xff\xff\xff", ""}, "malformed"},
    {{"AF01",
      "\x08\x01\x12\x0b"
      "coordinator",
      ""},
     "malformed"}, /* REGISTER to a peer */
    {{"AF01",
      "\x08\x01\x12\x06"
      "broker",
      "\xff\xff"},
     "malformed"},
};
#define MALFORMED_COUNT (sizeof MALFORMED / sizeof MALFORMED[0])

static void send_raw(void *socket, const struct raw *raw)
{
    for (size_t i = 0; i < 6 && raw->frames[i]; i++) {
        bool more = i < 5 && raw->frames[i + 1];
        assert_true(
            zmq_send(socket, raw->frames[i], strlen(raw->frames[i]), more ? ZMQ_SNDMORE : 0) >= 0);
    }
}

static void test_refuses_malformed_messages(void **state)
{
    struct fixture *self = *state;
    struct message message = {0};
    void *client = join(self, "client:a", NULL);
    void *coordinator = join(self, "coordinator", NULL);
    for (size_t i = 0; i < MALFORMED_COUNT; i++) {
        send_raw(client, &MALFORMED[i]);
        expect(client, &message, WIRE_UNDELIVERABLE);
        if (strcmp(message.body.undeliverable.reason, MALFORMED[i].reason) != 0)
            fail_msg("message %zu came back as %s", i, message.body.undeliverable.reason);
    }
    assert_int_equal(count_of(client, "malformed"), MALFORMED_COUNT);
    /* Whole messages behind them still pass, and nothing of them has arrived anywhere. */
    send_raw(client, &(struct raw){.frames = {"AF01", ROUTE_GOOD, ""}});
    expect(coordinator, &message, WIRE_PING);
    assert_true(message.route.correlation == 42);
    assert_false(wait_readable(coordinator, 0));
    message_release(&message);
}

static void test_bounds_the_size_of_a_message(void **state)
{
    struct fixture *self = *state;
    struct message message = {0};
    void *client = join(self, "client:a", NULL);
    size_t half = LIMIT_MESSAGE_BYTES / 2;
    char *data = xcalloc(1, half);
    zmq_send(client, "AF01", 4, ZMQ_SNDMORE);
    zmq_send(client, ROUTE_GOOD, sizeof ROUTE_GOOD - 1, ZMQ_SNDMORE);
    zmq_send(client, data, half, ZMQ_SNDMORE);
    zmq_send(client, data, half, 0);
    expect_undeliverable(client, &message, "too_large", 42);
    /* A single frame past the limit ends the connection before the broker holds it. */
    data = xrealloc(data, 2 * half + 1);
    zmq_send(client, "AF01", 4, ZMQ_SNDMORE);
    zmq_send(client, ROUTE_GOOD, sizeof ROUTE_GOOD - 1, ZMQ_SNDMORE);
    zmq_send(client, data, 2 * half + 1, 0);
    void *other = join(self, "client:b", NULL);
    assert_int_equal(count_of(other, "malformed"), 1);
    free(data);
    message_release(&message);
}

static void test_refuses_ids_that_are_no_addresses(void **state)
{
    struct fixture *self = *state;
    static const char *const ids[] = {NULL, "broker", "agent:echo", "client:with space", "x"};
    struct message message = {0};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        void *socket = connect_to(self, ids[i], self->paths.broker_endpoint);
        send_kind(socket, WIRE_PING, "broker", 11, NULL);
        expect_undeliverable(socket, &message, "malformed", 11);
        leave(self, socket);
    }
    message_release(&message);
}

static void test_lists_its_peers(void **state)
{
    struct fixture *self = *state;
    void *client = join(self, "client:a", NULL);
    (void)join(self, "instance:one", "echo");
    value_t *document = ask_peers(client);
    const value_t *peers = value_get(document, "peers");
    assert_int_equal(value_size(peers), 2);
    assert_true(value_get_bool(document, "complete", false));
    assert_string_equal(value_get_string(value_at(peers, 0), "address", ""), "client:a");
    const value_t *second = value_at(peers, 1);
    assert_string_equal(value_get_string(second, "address", ""), "instance:one");
    assert_string_equal(value_as_string(value_at(value_get(second, "agents"), 0)), "echo");
    value_destroy(&document);
}

static void receive_text(void *socket, const char *text)
{
    char data[128];
    assert_true(wait_readable(socket, PATIENCE_MS));
    int size = zmq_recv(socket, data, sizeof data, 0);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(data, text, (size_t)size);
}

static void *open_events(struct fixture *self, int type, const char *endpoint)
{
    void *socket = open_socket(self, type);
    assert_int_equal(zmq_connect(socket, endpoint), 0);
    return socket;
}

static void test_passes_events_down_and_subscriptions_up(void **state)
{
    struct fixture *self = *state;
    void *publisher = open_events(self, ZMQ_XPUB, self->paths.publish_endpoint);
    void *follower = open_events(self, ZMQ_XSUB, self->paths.events_endpoint);
    /* What is no subscription stays with the broker: the publisher hears of the second only. */
    zmq_send(follower, "\2hello", 6, 0);
    zmq_send(follower, "\1execution.1", 12, 0);
    receive_text(publisher, "\1execution.1");
    zmq_send(publisher, "execution.2", 11, ZMQ_SNDMORE);
    zmq_send(publisher, "not wanted", 10, 0);
    zmq_send(publisher, "execution.1", 11, ZMQ_SNDMORE);
    zmq_send(publisher, "route", 5, ZMQ_SNDMORE);
    zmq_send(publisher, "event", 5, 0);
    receive_text(follower, "execution.1");
    receive_text(follower, "route");
    receive_text(follower, "event");
    void *client = join(self, "client:a", NULL);
    assert_int_equal(count_of(client, "events"), 1);
    zmq_send(follower, "\0execution.1", 12, 0);
    char data[16];
    assert_int_equal(zmq_recv(publisher, data, sizeof data, 0), 12);
    assert_int_equal(data[0], 0);
}

/* Runs a brokerd that is to fail, and gives what it said. */
static void expect_refusal(const char *const *arguments, const char *said)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t pid = spawn(arguments, ends[1]);
    close(ends[1]);
    char text[2048] = "";
    size_t size = 0;
    for (ssize_t got; (got = read(ends[0], text + size, sizeof text - 1 - size)) > 0;)
        size += (size_t)got;
    close(ends[0]);
    int status = wait_status(pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 1);
    if (!strstr(text, said))
        fail_msg("\"%s\" is not in: %s", said, text);
}

static void test_refuses_a_second_broker(void **state)
{
    struct fixture *self = *state;
    void *client = join(self, "client:a", NULL);
    const char *const same[] = {"brokerd", "--dir", self->dir, NULL};
    expect_refusal(same, "another brokerd runs on this directory");

    char other[80];
    snprintf(other, sizeof other, "%s/other", self->dir);
    const char *const stolen[] = {"brokerd", "--dir", other, "--bind", self->paths.broker_endpoint,
                                  NULL};
    expect_refusal(stolen, "another process listens on this endpoint");
    assert_int_equal(count_of(client, "registered"), 1);
}

static void test_refuses_endpoints_that_others_could_reach(void **state)
{
    struct fixture *self = *state;
    static const char *const endpoints[] = {
        "tcp://0.0.0.0:5555", "tcp://*:5555",   "tcp://10.0.0.1:5555", "tcp://127.example.org:5555",
        "tcp://127.0.0.1",    "ipc://relative", "ipc://@abstract",     "inproc://x"};
    char other[80];
    snprintf(other, sizeof other, "%s/other", self->dir);
    for (size_t i = 0; i < sizeof endpoints / sizeof endpoints[0]; i++) {
        const char *const arguments[] = {"brokerd", "--dir", other, "--bind", endpoints[i], NULL};
        expect_refusal(arguments, endpoints[i]);
    }
}

static void test_ends_cleanly(void **state)
{
    struct fixture *self = *state;
    struct stat status;
    char path[128];
    snprintf(path, sizeof path, "%s/run/broker.sock", self->dir);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    pid_t pid = 0;
    uint64_t starttime = 0;
    assert_int_equal(run_read_pid(&self->paths, "brokerd", &pid, &starttime, NULL), 0);
    assert_int_equal(pid, self->broker);
    assert_true(run_process_alive(pid, starttime));
    int end = stop_broker(self, SIGTERM);
    assert_true(WIFEXITED(end));
    assert_int_equal(WEXITSTATUS(end), 0);
    assert_false(run_process_alive(pid, starttime));
    assert_int_equal(run_read_pid(&self->paths, "brokerd", &pid, &starttime, NULL), ERR_NOT_FOUND);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_refuses_another_major_version),
        TEST(test_forwards_and_stamps_the_sender),
        TEST(test_serves_a_second_endpoint),
        TEST(test_gives_an_agents_messages_in_turn),
        TEST(test_tells_of_one_that_is_gone),
        TEST(test_tells_of_one_that_is_full),
        TEST(test_asks_who_it_is_after_a_restart),
        TEST(test_a_name_needs_a_registered_sender),
        TEST(test_sends_nothing_back_for_what_came_back),
        TEST(test_refuses_malformed_messages),
        TEST(test_bounds_the_size_of_a_message),
        TEST(test_refuses_ids_that_are_no_addresses),
        TEST(test_lists_its_peers),
        TEST(test_passes_events_down_and_subscriptions_up),
        TEST(test_refuses_a_second_broker),
        TEST(test_refuses_endpoints_that_others_could_reach),
        TEST(test_ends_cleanly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
