#include "coordinator/catalog.h"
#include "coordinator/executions.h"
#include "coordinator/fleet.h"
#include "coordinator/links.h"
#include "coordinator/methods.h"

#include <string.h>

static void put_store(struct coordinator *self, struct doc *doc)
{
    struct store_info info;
    store_info(self->store, &info);
    doc_map(doc, "store");
    doc_string(doc, "path", self->paths.store);
    doc_string(doc, "durability", info.durability);
    doc_string(doc, "engine", info.engine);
    doc_int(doc, "format", info.format);
    doc_int(doc, "map_bytes", (int64_t)info.map_bytes);
    doc_int(doc, "used_bytes", (int64_t)info.used_bytes);
    doc_int(doc, "commits", (int64_t)info.commits);
    doc_end(doc);
}

static void put_counters(struct coordinator *self, struct doc *doc)
{
    const struct counters *counters = &self->counters;
    doc_map(doc, "counters");
    doc_int(doc, "messages", (int64_t)counters->messages);
    doc_int(doc, "batches", (int64_t)counters->batches);
    doc_int(doc, "starts", (int64_t)counters->starts);
    doc_int(doc, "ended", (int64_t)counters->ended);
    doc_int(doc, "steps", (int64_t)counters->steps);
    doc_int(doc, "dispatches", (int64_t)counters->dispatches);
    doc_int(doc, "losses", (int64_t)counters->losses);
    doc_int(doc, "delegations", (int64_t)counters->delegations);
    doc_int(doc, "calls_again", (int64_t)counters->calls_again);
    doc_int(doc, "malformed", (int64_t)(counters->malformed + peer_malformed(self->peer)));
    doc_int(doc, "refused_hellos", (int64_t)counters->refused_hellos);
    doc_int(doc, "refused_requests", (int64_t)counters->refused_requests);
    doc_int(doc, "undeliverable", (int64_t)counters->undeliverable);
    doc_int(doc, "unsent", (int64_t)counters->unsent);
    doc_end(doc);
}

static int64_t count_agents(struct coordinator *self)
{
    int64_t count = 0;
    for (size_t position = 0; catalog_next(self, DEFINITION_AGENT, &position) != NULL;)
        count++;
    return count;
}

int method_status(struct coordinator *self, const struct request *request, struct doc *doc,
                  struct err *err)
{
    (void)request;
    (void)err;
    doc_map(doc, NULL);
    doc_string(doc, "version", AF_VERSION);
    doc_int(doc, "epoch", (int64_t)self->epoch);
    doc_int(doc, "uptime_ms", (self->mono_us - self->started_us) / 1000);
    doc_bool(doc, "full", self->full);
    put_store(self, doc);
    doc_map(doc, "executions");
    doc_int(doc, "active", (int64_t)engine_active_executions(self->engine));
    doc_int(doc, "set_aside", (int64_t)aside_count(self));
    doc_end(doc);
    doc_int(doc, "agents", count_agents(self));
    doc_int(doc, "instances", (int64_t)links_count(self, LINK_INSTANCE));
    doc_int(doc, "hosts", (int64_t)links_count(self, LINK_HOST));
    doc_int(doc, "egresses", (int64_t)links_count(self, LINK_EGRESS));
    put_counters(self, doc);
    doc_end(doc);
    return 0;
}

static void put_link(struct doc *doc, const struct link_view *link)
{
    doc_string(doc, "id", link->id);
    doc_time(doc, "since", link->since_us);
    doc_int(doc, "pid", link->pid);
    doc_string(doc, "program", link->program);
}

int method_hosts_list(struct coordinator *self, const struct request *request, struct doc *doc,
                      struct err *err)
{
    struct link_view link;
    (void)request;
    (void)err;
    doc_map(doc, NULL);
    doc_list(doc, "items");
    for (size_t position = 0; links_next(self, &position, &link);) {
        if (link.role != LINK_HOST)
            continue;
        doc_map(doc, NULL);
        put_link(doc, &link);
        doc_bool(doc, "up", true); /* those that are not linked are not known */
        fleet_host_document(self, link.handle, doc);
        doc_end(doc);
    }
    doc_end(doc);
    doc_end(doc);
    return 0;
}

int method_instances_list(struct coordinator *self, const struct request *request, struct doc *doc,
                          struct err *err)
{
    struct link_view link;
    const char *agent = NULL;
    int rc = param_optional_text(request, "agent", &agent, err);
    if (rc < 0)
        return rc;
    doc_map(doc, NULL);
    doc_list(doc, "items");
    for (size_t position = 0; links_next(self, &position, &link);) {
        if (link.role != LINK_INSTANCE || (agent != NULL && strcmp(agent, link.agent) != 0))
            continue;
        doc_map(doc, NULL);
        put_link(doc, &link);
        doc_string(doc, "agent", link.agent);
        doc_string(doc, "host", link.host);
        doc_int(doc, "tasks", (int64_t)engine_instance_tasks(self->engine, link.handle));
        doc_bool(doc, "draining", link.draining);
        doc_end(doc);
    }
    doc_end(doc);
    doc_end(doc);
    return 0;
}
