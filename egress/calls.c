#include "egress/calls.h"

#include "base/limits.h"
#include "base/map.h"
#include <stdlib.h>
#include <string.h>

const struct calls_limits CALLS_LIMITS = {
    .keys = LIMIT_EGRESS_ANSWERS,
    .answer_bytes = LIMIT_EGRESS_ANSWER_BYTES,
    .request_bytes = LIMIT_EGRESS_REQUEST_BYTES,
    .waiting = LIMIT_EGRESS_WAITING,
    .waiting_bytes = LIMIT_EGRESS_WAITING_BYTES,
    .askers = LIMIT_EGRESS_ASKERS,
    .wait_us = LIMIT_EGRESS_WAIT_US,
};

static const char VOID_WHAT[] = "the task was given to somebody else";

struct asker {
    char *address;
    uint64_t correlation;
};

struct call {
    struct call *next, *prev; /* of the calls in the same state, in order of their entering it */
    uint64_t id;
    enum call_state state;
    struct uuid execution;
    char *path;
    uint32_t attempt, turn;

    bool granted;
    uint64_t link; /* under which it was granted last */
    struct wire_run run;
    char *agent;
    uint32_t agent_version;
    uint64_t tokens, cost_microusd;
    struct usage_prices prices; /* RUNNING */

    struct wire_run request_run; /* WAITING */
    uint8_t hash[DATUM_HASH_BYTES];
    struct buf request;
    int64_t until_us;     /* WAITING */
    uint64_t ready_order; /* when it became READY; 0: it didn't */
    struct asker *askers; /* the oldest first */
    size_t askers_count;

    char *error, *what; /* ANSWERED */
    bool permanent;
    struct wire_usage usage;
    struct buf answer;
};

struct list {
    struct call *first, *last;
    size_t count;
};

struct calls {
    struct calls_limits limits;
    calls_reply_fn reply;
    void *context;
    map_t *by_key, *by_id;
    struct list lists[CALL_ANSWERED + 1];
    size_t granted;
    size_t request_bytes, waiting_bytes, answer_bytes;
    uint64_t ids, ready_order, link;
};

/* --- the table -----------------------------------------------------------------------------------
 */

calls_t *calls_new(const struct calls_limits *limits, calls_reply_fn reply, void *context)
{
    calls_t *self = xcalloc(1, sizeof *self);
    self->limits = *limits;
    self->reply = reply;
    self->context = context;
    self->by_key = map_new();
    self->by_id = map_new();
    return self;
}

struct map_key {
    uint8_t bytes[sizeof(struct uuid) + 2 * sizeof(uint32_t) + LIMIT_PATH_BYTES];
    size_t size;
};

static struct map_key map_key(const struct wire_call_key *key)
{
    struct map_key ret = {0};
    size_t path_size = strlen(key->path);
    if (path_size > LIMIT_PATH_BYTES)
        path_size = LIMIT_PATH_BYTES; /* the wire lets no longer one pass */
    memcpy(ret.bytes, &key->execution, sizeof key->execution);
    ret.size = sizeof key->execution;
    memcpy(ret.bytes + ret.size, &key->attempt, sizeof key->attempt);
    ret.size += sizeof key->attempt;
    memcpy(ret.bytes + ret.size, &key->turn, sizeof key->turn);
    ret.size += sizeof key->turn;
    memcpy(ret.bytes + ret.size, key->path, path_size);
    ret.size += path_size;
    return ret;
}

static struct wire_call_key key_of(const struct call *call)
{
    return (struct wire_call_key){call->execution, call->path, call->attempt, call->turn};
}

static struct call *find(const calls_t *self, const struct wire_call_key *key)
{
    struct map_key text = map_key(key);
    return map_get(self->by_key, text.bytes, text.size);
}

static struct call *find_id(const calls_t *self, uint64_t id)
{
    return map_get(self->by_id, &id, sizeof id);
}

static void leave_list(calls_t *self, struct call *call)
{
    struct list *list = &self->lists[call->state];
    *(call->prev ? &call->prev->next : &list->first) = call->next;
    *(call->next ? &call->next->prev : &list->last) = call->prev;
    call->next = call->prev = NULL;
    list->count--;
}

static void enter_list(calls_t *self, struct call *call, enum call_state state)
{
    struct list *list = &self->lists[state];
    call->state = state;
    call->prev = list->last;
    *(list->last ? &list->last->next : &list->first) = call;
    list->last = call;
    list->count++;
}

static void set_state(calls_t *self, struct call *call, enum call_state state)
{
    /* From, to: the diagram of calls.h. A waiting request may be replaced by a later one. */
    static const unsigned LEGAL[] = {
        [CALL_GRANTED] = 1u << CALL_WAITING | 1u << CALL_READY,
        [CALL_WAITING] = 1u << CALL_WAITING | 1u << CALL_READY | 1u << CALL_GRANTED,
        [CALL_READY] = 1u << CALL_RUNNING | 1u << CALL_ANSWERED,
        [CALL_RUNNING] = 1u << CALL_ANSWERED,
        [CALL_ANSWERED] = 0,
    };
    CHECK(LEGAL[call->state] >> state & 1u);
    leave_list(self, call);
    enter_list(self, call, state);
    if (state == CALL_READY)
        call->ready_order = ++self->ready_order;
}

static struct call *add(calls_t *self, const struct wire_call_key *key, enum call_state state)
{
    struct call *call = xcalloc(1, sizeof *call);
    struct map_key text = map_key(key);
    call->id = ++self->ids;
    call->execution = key->execution;
    call->path = xstrdup(key->path);
    call->attempt = key->attempt;
    call->turn = key->turn;
    (void)map_put(self->by_key, text.bytes, text.size, call);
    (void)map_put(self->by_id, &call->id, sizeof call->id, call);
    enter_list(self, call, state);
    return call;
}

static void forget_askers(struct call *call)
{
    for (size_t i = 0; i < call->askers_count; i++)
        free(call->askers[i].address);
    free(call->askers);
    call->askers = NULL;
    call->askers_count = 0;
}

static void destroy(struct call *call)
{
    forget_askers(call);
    buf_release(&call->request);
    buf_release(&call->answer);
    free(call->path);
    free(call->agent);
    free(call->error);
    free(call->what);
    free(call);
}

static size_t held_bytes(const struct call *call)
{
    return call->state != CALL_ANSWERED
               ? 0
               : call->answer.size + strlen(call->error) + strlen(call->what);
}

/* To be called before the state changes. */
static void drop_request(calls_t *self, struct call *call)
{
    self->request_bytes -= call->request.size;
    if (call->state == CALL_WAITING)
        self->waiting_bytes -= call->request.size;
    buf_release(&call->request);
}

static void remove_call(calls_t *self, struct call *call)
{
    struct wire_call_key key = key_of(call);
    struct map_key text = map_key(&key);
    self->answer_bytes -= held_bytes(call);
    drop_request(self, call);
    if (call->granted)
        self->granted--;
    leave_list(self, call);
    (void)map_remove(self->by_key, text.bytes, text.size);
    (void)map_remove(self->by_id, &call->id, sizeof call->id);
    destroy(call);
}

void calls_destroy(calls_t **self_p)
{
    calls_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    struct call *call;
    for (size_t position = 0; (call = map_next(self->by_id, &position, NULL));)
        destroy(call);
    map_destroy(&self->by_key);
    map_destroy(&self->by_id);
    free(self);
}

/* --- answers -------------------------------------------------------------------------------------
 */

static void reply_all(calls_t *self, struct call *call, struct wire_call_answer *answer,
                      struct bytes payload)
{
    answer->key = key_of(call);
    memcpy(answer->request_hash, call->hash, sizeof answer->request_hash);
    for (size_t i = 0; i < call->askers_count; i++)
        self->reply(self->context, call->askers[i].address, call->askers[i].correlation, answer,
                    payload);
    forget_askers(call);
}

static void refuse_all(calls_t *self, struct call *call, const char *error, const char *what)
{
    struct wire_call_answer answer = {.error = error, .what = what};
    reply_all(self, call, &answer, bytes_of(NULL, 0));
}

static enum calls_verdict refuse(calls_t *self, const struct wire_call *call,
                                 struct calls_asker asker, const char *error, const char *what,
                                 bool permanent)
{
    struct wire_call_answer answer = {
        .key = call->key, .error = error, .what = what, .permanent = permanent};
    memcpy(answer.request_hash, call->request_hash, sizeof answer.request_hash);
    self->reply(self->context, asker.address, asker.correlation, &answer, bytes_of(NULL, 0));
    return CALLS_REFUSED;
}

static void reply_held(const calls_t *self, const struct call *call, struct calls_asker asker)
{
    struct wire_call_answer answer = {
        .key = key_of(call),
        .error = call->error,
        .what = call->what,
        .permanent = call->permanent,
        .usage = call->usage,
    };
    memcpy(answer.request_hash, call->hash, sizeof answer.request_hash);
    self->reply(self->context, asker.address, asker.correlation, &answer, buf_bytes(&call->answer));
}

void calls_answer(calls_t *self, uint64_t id, const struct wire_call_answer *answer,
                  struct bytes payload)
{
    struct call *call = find_id(self, id);
    if (!call || (call->state != CALL_READY && call->state != CALL_RUNNING))
        return;
    drop_request(self, call);
    call->error = xstrdup(answer->error ? answer->error : "");
    call->what = xstrdup(answer->what ? answer->what : "");
    call->permanent = answer->permanent;
    call->usage = answer->usage;
    buf_append_bytes(&call->answer, payload);
    set_state(self, call, CALL_ANSWERED);
    self->answer_bytes += held_bytes(call);
    for (size_t i = 0; i < call->askers_count; i++)
        reply_held(self, call,
                   (struct calls_asker){call->askers[i].address, call->askers[i].correlation});
    forget_askers(call);
}

/* --- grants --------------------------------------------------------------------------------------
 */

static void take_grant(struct call *call, const struct wire_grant *grant, uint64_t link)
{
    call->run = grant->run;
    call->link = link;
    if (call->state == CALL_RUNNING || call->state == CALL_ANSWERED)
        return;
    char *agent = xstrdup(grant->agent);
    free(call->agent);
    call->agent = agent;
    call->agent_version = grant->agent_version;
    call->tokens = grant->tokens;
    call->cost_microusd = grant->cost_microusd;
}

/* What waits either is what the grant is for, or is older than it, or waits on. */
static void grant_waiting(calls_t *self, struct call *call)
{
    int order = wire_run_compare(call->request_run, call->run);
    if (order > 0)
        return;
    if (order < 0) {
        refuse_all(self, call, "void", VOID_WHAT);
        drop_request(self, call);
        set_state(self, call, CALL_GRANTED);
        return;
    }
    self->waiting_bytes -= call->request.size;
    set_state(self, call, CALL_READY);
}

void calls_linked(calls_t *self)
{
    self->link++;
}

int calls_grant(calls_t *self, const struct wire_grant *grant, struct err *err)
{
    struct call *call = find(self, &grant->key);
    if ((!call || !call->granted) && self->granted >= self->limits.keys)
        return err_set(err, ERR_LIMIT, "there are %zu grants already", self->granted);
    if (call && call->granted && wire_run_compare(grant->run, call->run) < 0)
        return 0;
    if (!call)
        call = add(self, &grant->key, CALL_GRANTED);
    if (!call->granted)
        self->granted++;
    call->granted = true;
    take_grant(call, grant, self->link);
    if (call->state == CALL_WAITING)
        grant_waiting(self, call);
    return 0;
}

uint64_t calls_forget(calls_t *self, const struct wire_call_key *key)
{
    struct call *call = find(self, key);
    if (!call)
        return 0;
    if (call->state == CALL_WAITING) {
        if (call->granted)
            self->granted--;
        call->granted = false;
        return 0;
    }
    uint64_t id = call->state == CALL_RUNNING ? call->id : 0;
    remove_call(self, call);
    return id;
}

/* --- requests ------------------------------------------------------------------------------------
 */

static void attach(const calls_t *self, struct call *call, struct calls_asker asker)
{
    for (size_t i = 0; i < call->askers_count; i++) {
        if (strcmp(call->askers[i].address, asker.address) == 0) {
            call->askers[i].correlation = asker.correlation;
            return;
        }
    }
    if (call->askers_count >= self->limits.askers) {
        free(call->askers[0].address);
        memmove(call->askers, call->askers + 1, --call->askers_count * sizeof call->askers[0]);
    }
    call->askers = xrealloc(call->askers, (call->askers_count + 1) * sizeof call->askers[0]);
    call->askers[call->askers_count++] = (struct asker){xstrdup(asker.address), asker.correlation};
}

/* The others hear that their run is void; the one that asks now takes its own place. */
static void void_others(calls_t *self, struct call *call, struct calls_asker asker)
{
    for (size_t i = 0; i < call->askers_count; i++) {
        if (strcmp(call->askers[i].address, asker.address) != 0)
            continue;
        free(call->askers[i].address);
        call->askers_count--;
        memmove(call->askers + i, call->askers + i + 1,
                (call->askers_count - i) * sizeof call->askers[0]);
        break;
    }
    refuse_all(self, call, "void", VOID_WHAT);
}

/* Why a request of this size is not taken in place of one of another size; NULL: it is. */
static const char *too_much(const calls_t *self, size_t size, const struct call *replaced,
                            bool waits)
{
    const struct list *lists = self->lists;
    bool replaces = replaced && replaced->state == CALL_WAITING;
    size_t old = replaces ? replaced->request.size : 0;
    size_t open = lists[CALL_WAITING].count + lists[CALL_READY].count + lists[CALL_RUNNING].count +
                  lists[CALL_ANSWERED].count - replaces;
    if (open >= self->limits.keys)
        return "too many calls are under way and answers held";
    if (self->answer_bytes >= self->limits.answer_bytes)
        return "the answers that are held are too large together";
    if (size > self->limits.request_bytes - (self->request_bytes - old))
        return "the requests under way are too large together";
    if (waits && lists[CALL_WAITING].count - replaces >= self->limits.waiting)
        return "too many requests wait for their grants";
    if (waits && size > self->limits.waiting_bytes - (self->waiting_bytes - old))
        return "the requests that wait for their grants are too large together";
    return NULL;
}

/* A request that is new to its key, of which nothing has started. */
static enum calls_verdict take(calls_t *self, struct call *call, const struct wire_call *ask,
                               const struct bytes *payload, struct calls_asker asker,
                               int64_t now_us)
{
    if (!payload)
        return refuse(self, ask, asker, "unknown", "ask with the request", false);
    bool waits = !call || !call->granted || wire_run_compare(ask->run, call->run) != 0;
    const char *why = too_much(self, payload->size, call, waits);
    if (why)
        return refuse(self, ask, asker, "busy", why, false);
    if (call && call->state == CALL_WAITING) {
        void_others(self, call, asker);
        drop_request(self, call);
    }
    if (!call)
        call = add(self, &ask->key, CALL_WAITING);
    else
        set_state(self, call, waits ? CALL_WAITING : CALL_READY);
    call->request_run = ask->run;
    call->until_us = now_us + self->limits.wait_us;
    memcpy(call->hash, ask->request_hash, sizeof call->hash);
    buf_append_bytes(&call->request, *payload);
    self->request_bytes += payload->size;
    if (waits)
        self->waiting_bytes += payload->size;
    attach(self, call, asker);
    return waits ? CALLS_WAITS : CALLS_START;
}

static enum calls_verdict ask_waiting(calls_t *self, struct call *call, const struct wire_call *ask,
                                      const struct bytes *payload, struct calls_asker asker,
                                      int64_t now_us)
{
    int order = wire_run_compare(ask->run, call->request_run);
    bool same = memcmp(ask->request_hash, call->hash, sizeof call->hash) == 0;
    if (order < 0)
        return refuse(self, ask, asker, "void", VOID_WHAT, false);
    if (order > 0 && !same)
        return take(self, call, ask, payload, asker, now_us);
    if (!same)
        return refuse(self, ask, asker, "conflict", "another request waits under this key", true);
    if (order > 0) {
        void_others(self, call, asker);
        call->request_run = ask->run;
        call->until_us = now_us + self->limits.wait_us;
        set_state(self, call, CALL_WAITING); /* to the end of those that wait */
    }
    attach(self, call, asker);
    return CALLS_ATTACHED;
}

enum calls_verdict calls_ask(calls_t *self, const struct wire_call *ask,
                             const struct bytes *payload, struct calls_asker asker, int64_t now_us)
{
    struct call *call = find(self, &ask->key);
    uint8_t hash[DATUM_HASH_BYTES];
    if (payload && payload->size > LIMIT_CONVERSATION_BYTES)
        return refuse(self, ask, asker, "too_large", "the request is larger than may be", true);
    if (payload) {
        datum_hash(*payload, hash);
        if (memcmp(hash, ask->request_hash, sizeof hash) != 0)
            return refuse(self, ask, asker, "malformed", "the request has another hash", true);
    }
    if (call && call->granted && wire_run_compare(ask->run, call->run) < 0)
        return refuse(self, ask, asker, "void", VOID_WHAT, false);
    if (!call || call->state == CALL_GRANTED)
        return take(self, call, ask, payload, asker, now_us);
    if (call->state == CALL_WAITING)
        return ask_waiting(self, call, ask, payload, asker, now_us);
    if (memcmp(ask->request_hash, call->hash, sizeof call->hash) != 0)
        return refuse(self, ask, asker, "conflict", "another request was made under this key",
                      true);
    if (call->state == CALL_ANSWERED) {
        reply_held(self, call, asker);
        return CALLS_ANSWERED;
    }
    attach(self, call, asker);
    return CALLS_ATTACHED;
}

/* --- what the owner does with them ---------------------------------------------------------------
 */

static void view(const struct call *call, struct call_view *ret_call)
{
    *ret_call = (struct call_view){
        .id = call->id,
        .state = call->state,
        .key = key_of(call),
        .run = call->run,
        .agent = call->agent,
        .agent_version = call->agent_version,
        .tokens = call->tokens,
        .cost_microusd = call->cost_microusd,
        .request = buf_bytes(&call->request),
        .prices = call->prices,
    };
}

bool calls_startable(const calls_t *self, bool lease, uint64_t after, struct call_view *ret_call)
{
    const struct call *last = after ? find_id(self, after) : NULL;
    const struct call *call = self->lists[CALL_READY].first;
    if (!lease)
        return false;
    if (last && last->state == CALL_READY)
        call = last->next;
    while (call && ((last && call->ready_order <= last->ready_order) || call->link != self->link))
        call = call->next;
    if (call)
        view(call, ret_call);
    return call != NULL;
}

void calls_start(calls_t *self, uint64_t id, struct usage_prices prices)
{
    struct call *call = find_id(self, id);
    if (!call || call->state != CALL_READY)
        return;
    call->prices = prices;
    set_state(self, call, CALL_RUNNING);
}

bool calls_find(const calls_t *self, uint64_t id, struct call_view *ret_call)
{
    const struct call *call = find_id(self, id);
    if (call)
        view(call, ret_call);
    return call != NULL;
}

/* Those that wait stand in the order in which their time is up. */
void calls_tick(calls_t *self, int64_t now_us)
{
    struct call *call;
    while ((call = self->lists[CALL_WAITING].first) && call->until_us <= now_us) {
        refuse_all(self, call, "no_grant", "the coordinator has not granted this turn in time");
        drop_request(self, call);
        if (call->granted)
            set_state(self, call, CALL_GRANTED);
        else
            remove_call(self, call);
    }
}

int64_t calls_deadline(const calls_t *self)
{
    const struct call *call = self->lists[CALL_WAITING].first;
    return call ? call->until_us : INT64_MAX;
}

void calls_held(const calls_t *self, struct arena *arena, const struct wire_call_key **ret_keys,
                size_t *ret_count)
{
    struct wire_call_key *keys = arena_alloc(arena, (self->granted + 1) * sizeof *keys);
    const struct call *call;
    size_t count = 0;
    for (size_t position = 0; (call = map_next(self->by_key, &position, NULL));)
        if (call->granted)
            keys[count++] = key_of(call);
    *ret_keys = keys;
    *ret_count = count;
}

bool calls_any(const calls_t *self)
{
    return map_size(self->by_key) > 0;
}

size_t calls_count(const calls_t *self, enum call_state state)
{
    return self->lists[state].count;
}

size_t calls_answer_bytes(const calls_t *self)
{
    return self->answer_bytes;
}

size_t calls_request_bytes(const calls_t *self)
{
    return self->request_bytes;
}
