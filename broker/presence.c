#include "broker/presence.h"

#include "base/limits.h"
#include "base/map.h"
#include "broker/route.h"
#include "proto/wire.h"
#include <stdlib.h>
#include <string.h>

struct peer_entry {
    uint8_t *address;
    size_t address_size;
    char *program;
    struct agent_entry **agents;
    size_t agents_count;
    bool registered;
    bool asked;
    int64_t asked_us;
    int64_t heard_us;
};

/* Peers stand in the order in which they registered; next is whose turn it is. */
struct agent_entry {
    char *name;
    struct peer_entry **peers;
    size_t count, capacity;
    size_t next;
};

struct presence {
    map_t *peers;  /* address -> struct peer_entry */
    map_t *agents; /* name -> struct agent_entry */
    size_t registered;
    /* Messages come in runs from the same peer, which need not be looked up each time. */
    struct peer_entry *last;
};

presence_t *presence_new(void)
{
    presence_t *self = xcalloc(1, sizeof *self);
    self->peers = map_new();
    self->agents = map_new();
    return self;
}

static void agent_remove_peer(presence_t *self, struct agent_entry *agent,
                              const struct peer_entry *peer)
{
    size_t at = 0;
    while (at < agent->count && agent->peers[at] != peer)
        at++;
    CHECK(at < agent->count);
    agent->count--;
    memmove(agent->peers + at, agent->peers + at + 1, (agent->count - at) * sizeof agent->peers[0]);
    if (agent->next > at)
        agent->next--;
    if (agent->count > 0)
        return;
    map_remove(self->agents, agent->name, strlen(agent->name));
    free(agent->peers);
    free(agent->name);
    free(agent);
}

static void agent_add_peer(presence_t *self, const char *name, struct peer_entry *peer)
{
    struct agent_entry *agent = map_get(self->agents, name, strlen(name));
    if (!agent) {
        agent = xcalloc(1, sizeof *agent);
        agent->name = xstrdup(name);
        map_put(self->agents, name, strlen(name), agent);
    }
    for (size_t i = 0; i < peer->agents_count; i++)
        if (peer->agents[i] == agent)
            return; /* the peer named it twice */
    if (agent->count == agent->capacity) {
        agent->capacity = agent->capacity ? 2 * agent->capacity : 4;
        agent->peers = xrealloc(agent->peers, agent->capacity * sizeof agent->peers[0]);
    }
    agent->peers[agent->count++] = peer;
    peer->agents[peer->agents_count++] = agent;
}

static void peer_clear(presence_t *self, struct peer_entry *peer)
{
    for (size_t i = 0; i < peer->agents_count; i++)
        agent_remove_peer(self, peer->agents[i], peer);
    free(peer->agents);
    free(peer->program);
    peer->agents = NULL;
    peer->agents_count = 0;
    peer->program = NULL;
    if (peer->registered)
        self->registered--;
    peer->registered = false;
}

static void peer_drop(presence_t *self, struct peer_entry *peer)
{
    peer_clear(self, peer);
    map_remove(self->peers, peer->address, peer->address_size);
    if (self->last == peer)
        self->last = NULL;
    free(peer->address);
    free(peer);
}

void presence_destroy(presence_t **self_p)
{
    presence_t *self = *self_p;
    if (!self)
        return;
    *self_p = NULL;
    size_t position = 0;
    for (void *peer; (peer = map_next(self->peers, &position, NULL));)
        peer_drop(self, peer);
    map_destroy(&self->peers);
    map_destroy(&self->agents);
    free(self);
}

static struct peer_entry *find_peer(const presence_t *self, struct bytes address)
{
    return map_get(self->peers, address.data, address.size);
}

/* NULL when the directory is full. */
static struct peer_entry *add_peer(presence_t *self, struct bytes address)
{
    if (address.size == 0 || map_size(self->peers) >= LIMIT_BROKER_PEERS)
        return NULL;
    struct peer_entry *peer = xcalloc(1, sizeof *peer);
    peer->address = xmalloc(address.size);
    memcpy(peer->address, address.data, address.size);
    peer->address_size = address.size;
    map_put(self->peers, address.data, address.size, peer);
    return peer;
}

enum presence_heard presence_heard(presence_t *self, struct bytes address, int64_t now_us)
{
    struct peer_entry *peer = self->last;
    if (!peer || !bytes_equal(bytes_of(peer->address, peer->address_size), address))
        peer = find_peer(self, address);
    if (!peer && !route_is_peer(address))
        return PRESENCE_INVALID;
    if (!peer)
        peer = add_peer(self, address);
    if (!peer)
        return PRESENCE_UNKNOWN;
    self->last = peer;
    peer->heard_us = now_us;
    if (peer->registered)
        return PRESENCE_KNOWN;
    if (peer->asked && now_us - peer->asked_us < LIMIT_WHO_INTERVAL_US)
        return PRESENCE_UNKNOWN;
    peer->asked = true;
    peer->asked_us = now_us;
    return PRESENCE_ASK;
}

static int check_agents(const presence_t *self, const char *const *agents, size_t count,
                        struct err *err)
{
    if (count > LIMIT_PEER_AGENTS)
        return err_set(err, ERR_TOO_LARGE, "%zu agents are more than one peer may serve (%d)",
                       count, LIMIT_PEER_AGENTS);
    for (size_t i = 0; i < count; i++)
        if (!wire_name_valid(agents[i], strlen(agents[i])))
            return err_set(err, ERR_INVALID, "\"%.64s\" is not the name of an agent", agents[i]);
    if (map_size(self->agents) + count > LIMIT_BROKER_AGENTS)
        return err_set(err, ERR_LIMIT, "the broker's directory of agents is full (%d)",
                       LIMIT_BROKER_AGENTS);
    return 0;
}

/* Cut between characters: the text goes into documents, which are UTF-8. */
static char *cut_program(const char *program)
{
    size_t size = strnlen(program, LIMIT_PROGRAM_BYTES);
    while (size > 0 && ((unsigned char)program[size] & 0xc0) == 0x80)
        size--;
    return xstrndup(program, size);
}

int presence_register(presence_t *self, struct bytes address, const char *program,
                      const char *const *agents, size_t agents_count, int64_t now_us,
                      struct err *err)
{
    int rc = check_agents(self, agents, agents_count, err);
    if (rc)
        return rc;
    struct peer_entry *peer = find_peer(self, address);
    if (!peer)
        peer = add_peer(self, address);
    if (!peer)
        return err_set(err, ERR_LIMIT, "the broker's directory of peers is full (%d)",
                       LIMIT_BROKER_PEERS);
    peer_clear(self, peer);
    peer->program = cut_program(program ? program : "");
    peer->agents = agents_count ? xcalloc(agents_count, sizeof peer->agents[0]) : NULL;
    for (size_t i = 0; i < agents_count; i++)
        agent_add_peer(self, agents[i], peer);
    peer->registered = true;
    peer->asked = false;
    peer->heard_us = now_us;
    self->registered++;
    return 0;
}

bool presence_remove(presence_t *self, struct bytes address)
{
    struct peer_entry *peer = find_peer(self, address);
    if (!peer)
        return false;
    bool was = peer->registered;
    peer_drop(self, peer);
    return was;
}

size_t presence_serving(const presence_t *self, struct bytes agent)
{
    const struct agent_entry *entry = map_get(self->agents, agent.data, agent.size);
    return entry ? entry->count : 0;
}

struct bytes presence_choose(presence_t *self, struct bytes agent)
{
    struct agent_entry *entry = map_get(self->agents, agent.data, agent.size);
    if (!entry)
        return (struct bytes){0};
    if (entry->next >= entry->count)
        entry->next = 0;
    const struct peer_entry *peer = entry->peers[entry->next++];
    return bytes_of(peer->address, peer->address_size);
}

size_t presence_expire(presence_t *self, int64_t now_us)
{
    size_t before = self->registered;
    size_t position = 0;
    for (struct peer_entry *peer; (peer = map_next(self->peers, &position, NULL));)
        if (now_us - peer->heard_us >= LIMIT_BROKER_SILENCE_US)
            peer_drop(self, peer);
    return before - self->registered;
}

size_t presence_count(const presence_t *self)
{
    return self->registered;
}

static value_t *peer_document(const struct peer_entry *peer, int64_t now_us)
{
    value_t *document = value_map();
    value_t *address = value_string_n((const char *)peer->address, peer->address_size);
    value_set(document, "address", &address);
    value_set_string(document, "program", peer->program);
    value_t *agents = value_list();
    for (size_t i = 0; i < peer->agents_count; i++) {
        value_t *name = value_string(peer->agents[i]->name);
        value_append(agents, &name);
    }
    value_set(document, "agents", &agents);
    value_set_int(document, "last_heard_ms", (now_us - peer->heard_us) / 1000);
    return document;
}

/* An upper bound: keys and heads of all members take less than 64 bytes. */
static size_t document_size(const struct peer_entry *peer)
{
    size_t size = 64 + peer->address_size + strlen(peer->program);
    for (size_t i = 0; i < peer->agents_count; i++)
        size += 5 + strlen(peer->agents[i]->name);
    return size;
}

value_t *presence_document(const presence_t *self, int64_t now_us, size_t size_bytes,
                           bool *ret_complete)
{
    value_t *list = value_list();
    size_t position = 0, used = 0;
    *ret_complete = true;
    for (const struct peer_entry *peer; (peer = map_next(self->peers, &position, NULL));) {
        if (!peer->registered)
            continue;
        used += document_size(peer);
        if (used > size_bytes) {
            *ret_complete = false;
            break;
        }
        value_t *document = peer_document(peer, now_us);
        value_append(list, &document);
    }
    return list;
}
