/* Routing alone: request-reply between two processes, through brokerd by agent name, and through a
 * plain libzmq proxy; the two in turns, under the same pinning, 256 bytes of payload. */
#include "base/clock.h"
#include "proto/peer.h"
#include "tools/bench.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zmq.h>

#define PAYLOAD_BYTES 256
#define ROUNDS        5
#define WAIT_MS       5000
#define AGENT         "bench_route"

struct rate {
    double per_s, p50_us;
};

/* --- the two kinds of server, in processes of their own ----------------------------------------
 */

static pid_t fork_helper(void)
{
    pid_t parent = getpid();
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
    }
    return pid;
}

static void end_helper(pid_t pid)
{
    if (pid <= 0)
        return;
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* Answers every PING, as each program of ours does. */
_Noreturn static void serve_ours(const char *endpoint)
{
    static const char *const agents[] = {AGENT};
    struct peer_options options = {.endpoint = endpoint,
                                   .address = "instance:bench_route",
                                   .program = "agentctl bench",
                                   .agents = agents,
                                   .agents_count = 1};
    peer_t *peer = NULL;
    struct message message = {0};
    if (peer_new(&options, &peer, NULL))
        _exit(1);
    for (;;) {
        int64_t now = clock_monotonic_us();
        peer_tick(peer, now);
        zmq_pollitem_t item = {.socket = peer_socket(peer), .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, 100);
        while (peer_receive(peer, &message, now, NULL) == 0)
            message_clear(&message);
    }
}

/* Sends every frame back where it came from. */
_Noreturn static void serve_plain(const char *endpoint)
{
    void *context = zmq_ctx_new();
    void *socket = zmq_socket(context, ZMQ_DEALER);
    zmq_msg_t frame;
    if (zmq_connect(socket, endpoint))
        _exit(1);
    zmq_msg_init(&frame);
    while (zmq_msg_recv(&frame, socket, 0) >= 0) {
        int more = zmq_msg_more(&frame);
        if (zmq_msg_send(&frame, socket, more ? ZMQ_SNDMORE : 0) < 0)
            break;
    }
    _exit(0);
}

_Noreturn static void run_proxy(const char *front, const char *back)
{
    void *context = zmq_ctx_new();
    void *router = zmq_socket(context, ZMQ_ROUTER);
    void *dealer = zmq_socket(context, ZMQ_DEALER);
    if (zmq_bind(router, front) || zmq_bind(dealer, back))
        _exit(1);
    zmq_proxy(router, dealer, NULL);
    _exit(0);
}

/* --- the driver ------------------------------------------------------------------------------- */

/* A request-reply loop with so many requests outstanding. */
struct driver {
    int64_t outstanding;
    int (*send)(struct driver *self, uint64_t correlation);
    /* 1: took one; 0: none came within WAIT_MS; negative: over */
    int (*take)(struct driver *self, uint64_t *ret_correlation);
    void *socket;     /* plain */
    client_t *client; /* ours */
};

static const char PAYLOAD[PAYLOAD_BYTES] = "routed";

static int send_plain(struct driver *self, uint64_t correlation)
{
    if (zmq_send(self->socket, &correlation, sizeof correlation, ZMQ_SNDMORE) < 0 ||
        zmq_send(self->socket, PAYLOAD, sizeof PAYLOAD, 0) < 0)
        return -1;
    return 0;
}

static int take_plain(struct driver *self, uint64_t *ret_correlation)
{
    char scratch[PAYLOAD_BYTES];
    while (zmq_recv(self->socket, ret_correlation, sizeof *ret_correlation, ZMQ_DONTWAIT) < 0) {
        zmq_pollitem_t item = {.socket = self->socket, .events = ZMQ_POLLIN};
        if (errno != EAGAIN)
            return -1;
        if (zmq_poll(&item, 1, WAIT_MS) == 0)
            return 0;
    }
    return zmq_recv(self->socket, scratch, sizeof scratch, 0) < 0 ? -1 : 1;
}

static int send_ours(struct driver *self, uint64_t correlation)
{
    return client_ping_send(self->client, "agent:" AGENT, correlation,
                            bytes_of(PAYLOAD, sizeof PAYLOAD), NULL);
}

static int take_ours(struct driver *self, uint64_t *ret_correlation)
{
    value_t *nothing = NULL;
    int rc = client_receive(self->client, WAIT_MS, ret_correlation, &nothing, NULL);
    value_destroy(&nothing);
    if (rc == ERR_TIMEOUT)
        return 0;
    return rc ? -1 : 1;
}

static int drive(struct driver *self, int64_t duration_us, struct samples *samples,
                 double *ret_per_s)
{
    static int64_t sent_us[4096]; /* by correlation; never so many outstanding */
    const size_t slots = sizeof sent_us / sizeof *sent_us;
    uint64_t next = 1;
    uint64_t taken = 0;
    int64_t start = clock_monotonic_us();
    while (next <= (uint64_t)self->outstanding) {
        sent_us[next % slots] = clock_monotonic_us();
        if (self->send(self, next++))
            return -1;
    }
    while (taken + 1 < next) {
        uint64_t correlation = 0;
        if (self->take(self, &correlation) != 1)
            return -1;
        int64_t now = clock_monotonic_us();
        taken++;
        samples_add(samples, now - sent_us[correlation % slots]);
        if (now - start < duration_us) {
            sent_us[next % slots] = now;
            if (self->send(self, next++))
                return -1;
        }
    }
    *ret_per_s = (double)taken * 1e6 / (double)(clock_monotonic_us() - start);
    return 0;
}

static int measure(struct driver *driver, int64_t duration_us, struct rate *ret_rate,
                   struct err *err)
{
    struct samples samples = {0};
    int rc = drive(driver, duration_us, &samples, &ret_rate->per_s);
    ret_rate->p50_us = samples_percentile_us(&samples, 50);
    samples_release(&samples);
    return rc ? err_set(err, ERR_TIMEOUT, "an answer was lost on the way") : 0;
}

/* --- the two in turns ------------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, compare_doubles);
    return values[count / 2];
}

/* ROUNDS times ours, then the proxy; medians, and the median of the ratios of neighbours. */
static int compare(struct bench *self, struct driver *ours, struct driver *plain,
                   int64_t outstanding, struct err *err)
{
    double routed[ROUNDS];
    double proxied[ROUNDS];
    double ratio[ROUNDS];
    double routed_us[ROUNDS];
    double proxied_us[ROUNDS];
    ours->outstanding = plain->outstanding = outstanding;
    for (size_t i = 0; i < ROUNDS; i++) {
        struct rate a;
        struct rate b;
        int rc = measure(ours, 1000000, &a, err);
        if (rc == 0)
            rc = measure(plain, 1000000, &b, err);
        if (rc)
            return rc;
        routed[i] = a.per_s;
        proxied[i] = b.per_s;
        ratio[i] = a.per_s / b.per_s;
        routed_us[i] = a.p50_us;
        proxied_us[i] = b.p50_us;
    }
    value_t *result = value_map();
    value_set_int(result, "outstanding", outstanding);
    value_set_double(result, "routed_per_s", median(routed, ROUNDS));
    value_set_double(result, "proxy_per_s", median(proxied, ROUNDS));
    value_set_double(result, "ratio", median(ratio, ROUNDS));
    value_set_double(result, "p50_us", median(routed_us, ROUNDS));
    value_set_double(result, "proxy_p50_us", median(proxied_us, ROUNDS));
    value_append(self->results, &result);
    return 0;
}

struct helpers {
    pid_t ours, proxy, plain;
    char *front, *back;
};

static void start_helpers(struct bench *self, struct helpers *helpers)
{
    helpers->front = xasprintf("ipc://%s/proxy-front.sock", self->paths.run);
    helpers->back = xasprintf("ipc://%s/proxy-back.sock", self->paths.run);
    if ((helpers->ours = fork_helper()) == 0)
        serve_ours(self->paths.broker_endpoint);
    if ((helpers->proxy = fork_helper()) == 0)
        run_proxy(helpers->front, helpers->back);
    if ((helpers->plain = fork_helper()) == 0)
        serve_plain(helpers->back);
}

static void end_helpers(struct helpers *helpers)
{
    end_helper(helpers->ours);
    end_helper(helpers->plain);
    end_helper(helpers->proxy);
    free(helpers->front);
    free(helpers->back);
}

/* Until the server's name is known to the broker. */
static int wait_for_server(struct bench *self, struct err *err)
{
    struct driver probe = {.client = bench_client(self)};
    int64_t until = clock_monotonic_us() + 2 * WAIT_MS * 1000LL;
    while (clock_monotonic_us() < until) {
        uint64_t correlation;
        if (send_ours(&probe, 0) == 0 && take_ours(&probe, &correlation) == 1)
            return 0;
        poll(NULL, 0, 10);
    }
    return err_set(err, ERR_TIMEOUT, "the bench's own server did not register");
}

static int compare_all(struct bench *self, struct driver *ours, struct driver *plain,
                       struct err *err)
{
    int64_t given = self->context->options->outstanding;
    if (given > 0)
        return compare(self, ours, plain, given, err);
    int rc = compare(self, ours, plain, 1, err);
    return rc ? rc : compare(self, ours, plain, 64, err);
}

int bench_route(struct bench *self, struct err *err)
{
    struct helpers helpers = {0};
    struct driver ours = {.send = send_ours, .take = take_ours, .client = bench_client(self)};
    struct driver plain = {.send = send_plain, .take = take_plain};
    void *context = zmq_ctx_new();
    start_helpers(self, &helpers);
    plain.socket = zmq_socket(context, ZMQ_DEALER);
    int no_linger = 0;
    zmq_setsockopt(plain.socket, ZMQ_LINGER, &no_linger, sizeof no_linger);
    int rc = zmq_connect(plain.socket, helpers.front)
                 ? err_set(err, ERR_UNREACHABLE, "%s: %s", helpers.front, zmq_strerror(errno))
                 : wait_for_server(self, err);
    if (rc == 0)
        rc = compare_all(self, &ours, &plain, err);
    zmq_close(plain.socket);
    end_helpers(&helpers);
    zmq_ctx_term(context);
    return rc;
}
